/* The collection of what is wrong with a configuration. It copies everything it is given, so that it outlives the
 * configuration that it speaks of. It keeps a bounded number of messages, and counts the rest. */
#include "conf/errors.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { QUOTE_BYTES_MAX = 60, MESSAGE_BYTES_MAX = 1024 };

/* Sorting goes by the order in which files were first mentioned: reuse the copy, and compare pointers' first places. */
static const char *file_copy(struct conf_errors *errors, const char *file) {
    if (file == NULL) return NULL;
    for (size_t i = 0; i < errors->count; i++) {
        const char *known = errors->messages[i].at.file;
        if (known != NULL && strcmp(known, file) == 0) return known;
    }
    return arena_copy(&errors->arena, slice_of(file)).p;
}

static void message_add(struct conf_errors *errors, struct conf_position at, bool warning, const char *format,
                        va_list args) {
    if (warning)
        errors->warning_count++;
    else
        errors->error_count++;
    if (errors->count == CONF_MESSAGES_MAX) return;
    char text[MESSAGE_BYTES_MAX];
    vsnprintf(text, sizeof text, format, args);
    at.file = file_copy(errors, at.file);
    if (errors->count == errors->capacity)
        errors->messages =
            mem_array_grow(errors->messages, &errors->capacity, sizeof *errors->messages, errors->count + 1);
    errors->messages[errors->count++] =
        (struct conf_message){at, arena_copy(&errors->arena, slice_of(text)).p, warning};
}

void conf_error_add(struct conf_errors *errors, struct conf_position at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    message_add(errors, at, false, format, args);
    va_end(args);
}

void conf_warning_add(struct conf_errors *errors, struct conf_position at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    message_add(errors, at, true, format, args);
    va_end(args);
}

static size_t file_order(const struct conf_errors *errors, const char *file) {
    for (size_t i = 0; i < errors->count; i++)
        if (errors->messages[i].at.file == file) return i;
    return errors->count;
}

static bool comes_after(const struct conf_errors *errors, const struct conf_message *a, const struct conf_message *b) {
    size_t file_a = file_order(errors, a->at.file), file_b = file_order(errors, b->at.file);
    if (file_a != file_b) return file_a > file_b;
    if (a->at.line != b->at.line) return a->at.line > b->at.line;
    return a->at.column > b->at.column;
}

static void message_write(const struct conf_message *m, struct buf *out) {
    const char *kind = m->warning ? "warning: " : "";
    if (m->at.file == NULL)
        buf_printf(out, "%s%s\n", kind, m->text);
    else if (m->at.line == 0)
        buf_printf(out, "%s: %s%s\n", m->at.file, kind, m->text);
    else
        buf_printf(out, "%s:%u:%u: %s%s\n", m->at.file, m->at.line, m->at.column, kind, m->text);
}

/* Insertion sort: stable, and there are few. */
static void order_find(const struct conf_errors *errors, const struct conf_message *order[CONF_MESSAGES_MAX]) {
    for (size_t i = 0; i < errors->count; i++) {
        size_t at = i;
        for (; at > 0 && comes_after(errors, order[at - 1], &errors->messages[i]); at--) order[at] = order[at - 1];
        order[at] = &errors->messages[i];
    }
}

void conf_errors_write(struct conf_errors *errors, struct buf *out) {
    const struct conf_message *order[CONF_MESSAGES_MAX];
    order_find(errors, order);
    for (size_t i = 0; i < errors->count; i++) message_write(order[i], out);
    size_t all = errors->error_count + errors->warning_count;
    if (all > errors->count) buf_printf(out, "… and %zu more\n", all - errors->count);
}

static void json_text_or_null(struct buf *out, const char *text) {
    if (text != NULL)
        json_text_string(out, slice_of(text));
    else
        buf_append_text(out, "null");
}

static void json_number_or_null(struct buf *out, unsigned number) {
    if (number > 0)
        buf_append_u64(out, number);
    else
        buf_append_text(out, "null");
}

void conf_errors_write_json(const struct conf_errors *errors, struct buf *out) {
    const struct conf_message *order[CONF_MESSAGES_MAX];
    order_find(errors, order);
    buf_append_text(out, "[");
    for (size_t i = 0; i < errors->count; i++) {
        buf_append_text(out, i > 0 ? ",{\"file\":" : "{\"file\":");
        json_text_or_null(out, order[i]->at.file);
        buf_append_text(out, ",\"line\":");
        json_number_or_null(out, order[i]->at.line);
        buf_append_text(out, ",\"column\":");
        json_number_or_null(out, order[i]->at.column);
        buf_append_text(out, order[i]->warning ? ",\"level\":\"warning\",\"message\":"
                                               : ",\"level\":\"error\",\"message\":");
        json_text_string(out, slice_of(order[i]->text));
        buf_append_text(out, "}");
    }
    buf_append_text(out, "]");
}

void conf_errors_clear(struct conf_errors *errors) {
    arena_clear(&errors->arena);
    mem_free(errors->messages);
    *errors = (struct conf_errors){0};
}

/* A C1 control (U+0080 to U+009F) is valid UTF-8, and still nothing to send to a terminal. */
static bool is_c1(const unsigned char *p, size_t length) {
    return length == 2 && p[0] == 0xC2 && p[1] < 0xA0;
}

const char *conf_quote(struct conf_errors *errors, struct slice name) {
    char *out = arena_alloc(&errors->arena, QUOTE_BYTES_MAX + 4);
    size_t n = 0, i = 0;
    while (i < name.n && n + 4 <= QUOTE_BYTES_MAX) {
        unsigned char c = (unsigned char)name.p[i];
        size_t length = utf8_length((const unsigned char *)name.p + i, name.n - i);
        bool shown = length > 0 && c >= 0x20 && c != 0x7F && !is_c1((const unsigned char *)name.p + i, length);
        if (!shown) length = 1;
        if (shown)
            memcpy(out + n, name.p + i, length);
        else
            out[n] = '?';
        n += length;
        i += length;
    }
    if (i < name.n) n += (size_t)snprintf(out + n, 4, "…");
    out[n] = '\0';
    return out;
}
