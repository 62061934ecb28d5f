/* Prints what config_read() meets, while it meets it. Secrets never reach the output: the row says which they are. */
#include "print.h"

#include <assert.h>

size_t print_enter(struct printer *p, struct slice name) {
    size_t mark = buf_length(&p->path);
    if (p->out == NULL) return mark;
    if (mark > 0) buf_append_text(&p->path, ".");
    buf_append_slice(&p->path, name);
    return mark;
}

size_t print_enter_index(struct printer *p, struct slice index) {
    size_t mark = buf_length(&p->path);
    if (p->out != NULL) buf_append_slice(&p->path, index);
    return mark;
}

void print_leave(struct printer *p, size_t mark) {
    assert(mark <= buf_length(&p->path));
    p->path.end = p->path.start + mark;
}

static void line_begin(struct printer *p) {
    buf_append_slice(p->out, buf_slice(&p->path));
    buf_append_text(p->out, ": ");
}

static void line_end(struct printer *p, struct conf_position at) {
    if (at.file == NULL)
        buf_append_text(p->out, "  # default\n");
    else
        buf_printf(p->out, "  # %s:%u:%u\n", at.file, at.line, at.column);
}

void print_value(struct printer *p, const struct key *k, const struct value *v) {
    if (p->out == NULL) return;
    line_begin(p);
    if (!(k->flags & KEY_SECRET))
        buf_append_slice(p->out, v->text);
    else if (v->environment == NULL)
        buf_append_text(p->out, "•••");
    if (v->environment != NULL) buf_printf(p->out, "%s(from ${%s})", k->flags & KEY_SECRET ? "" : " ", v->environment);
    line_end(p, v->at);
}

void print_texts(struct printer *p, const struct conf_texts *list, struct conf_position at) {
    if (p->out == NULL) return;
    line_begin(p);
    buf_append_text(p->out, "[");
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) buf_append_text(p->out, ", ");
        buf_append_slice(p->out, list->items[i].text);
    }
    buf_append_text(p->out, "]");
    line_end(p, at);
}

void print_unset(struct printer *p, const struct key *k) {
    if (p->out == NULL) return;
    line_begin(p);
    buf_printf(p->out, "(%s)", k->unset != NULL ? k->unset : "none");
    line_end(p, (struct conf_position){0});
}

void print_end(struct printer *p) {
    buf_clear(&p->path);
}
