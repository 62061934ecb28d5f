/* Any bytes as a request or an answer head. Must hold: the outcome does not depend on how the bytes were cut; what is
 * accepted, written anew from its parsed parts, parses again to the same parts; framing is never ambiguous. */
/* fuzz-sources: src/http/bytes.c src/http/fields.c src/http/head.c src/http/head_policy.c src/http/lines.c */
/* fuzz-sources: src/http/reader.c src/http/start_line.c */
/* fuzz-sources: src/base/slice.c src/base/buf.c src/base/json_text.c src/base/mem.c */
#include <assert.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/head.h"

static const struct head_limits limits = {.uri_bytes = 200, .header_bytes = 1000, .fields = 20};

struct parsed {
    int outcome; /* -1: more bytes are needed */
    struct http_head head;
    struct field fields[HEAD_FIELDS_MAX];
};

static enum failure parse(struct parsed *out, struct slice raw, int mode) {
    if (mode == 0) return head_parse_request(&out->head, raw, out->fields, &limits);
    return head_parse_answer(&out->head, raw, out->fields, &limits, mode == 2);
}

static void feed(struct parsed *out, struct slice bytes, int mode, size_t step) {
    size_t scanned = 0, have = 0;
    out->outcome = -1;
    while (have < bytes.n && out->outcome == -1) {
        have = bytes.n - have < step ? bytes.n : have + step;
        size_t length = head_end(bytes.p, have, &scanned);
        assert(length <= have);
        if (length > 0) {
            out->outcome = (int)parse(out, (struct slice){bytes.p, length}, mode);
        } else {
            enum failure f = mode == 0 ? head_check_partial(bytes.p, have, &limits)
                                       : head_check_partial_answer(bytes.p, have, &limits);
            if (f != FAILURE_NONE) out->outcome = (int)f;
        }
    }
}

static void serialise(const struct http_head *head, int mode, struct buf *out) {
    const char *version = head->http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
    if (mode == 0) {
        buf_append_slice(out, http_method_name(head->method));
        buf_append_text(out, " ");
        buf_append_slice(out, head->path);
        if (head->query.p != NULL) buf_append_text(out, "?");
        buf_append_slice(out, head->query);
        buf_printf(out, " %s\r\n", version);
    } else {
        buf_printf(out, "%s %u ", version, head->status);
        buf_append_slice(out, head->reason);
        buf_append_text(out, "\r\n");
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        buf_append_slice(out, head->fields[i].name);
        buf_append_text(out, ":");
        buf_append_slice(out, head->fields[i].value);
        buf_append_text(out, "\r\n");
    }
    buf_append_text(out, "\r\n");
}

static void assert_same(const struct http_head *a, const struct http_head *b) {
    assert(a->framing == b->framing && a->content_length == b->content_length && a->keep_alive == b->keep_alive);
    assert(a->method == b->method && a->status == b->status && a->http_1_0 == b->http_1_0);
    assert(a->expect_continue == b->expect_continue && a->te_trailers == b->te_trailers &&
           a->field_count == b->field_count);
    assert(slice_equal(a->target, b->target) && slice_equal(a->path, b->path) && slice_equal(a->query, b->query));
    assert(slice_equal(a->reason, b->reason) && memcmp(a->first, b->first, sizeof a->first) == 0);
    for (unsigned i = 0; i < a->field_count; i++) {
        assert(slice_equal(a->fields[i].name, b->fields[i].name) &&
               slice_equal(a->fields[i].value, b->fields[i].value));
        assert(a->fields[i].id == b->fields[i].id);
    }
}

/* What a simple-minded peer would look for in the accepted bytes. */
static void assert_plain(const struct http_head *head) {
    unsigned framing_fields = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct field f = head->fields[i];
        assert(f.name.n > 0);
        for (size_t k = 0; k < f.name.n; k++)
            assert((unsigned char)f.name.p[k] > ' ' && (unsigned char)f.name.p[k] < 0x7f && f.name.p[k] != ':');
        for (size_t k = 0; k < f.value.n; k++) assert((unsigned char)f.value.p[k] >= ' ' || f.value.p[k] == '\t');
        framing_fields += f.id == FIELD_CONTENT_LENGTH || f.id == FIELD_TRANSFER_ENCODING;
        (void)head_nominated(head, f.name);
    }
    assert(framing_fields <= 1);
    (void)path_has_dot_segments(head->path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    int mode = data[0] % 3;
    struct slice bytes = {(const char *)data + 2, size - 2};
    static struct parsed whole, cut, again;
    feed(&whole, bytes, mode, bytes.n);
    feed(&cut, bytes, mode, 1 + data[1] % 16);
    assert(whole.outcome == cut.outcome);
    if (whole.outcome != FAILURE_NONE) return 0;
    assert_same(&whole.head, &cut.head);
    assert_plain(&whole.head);
    struct buf text = {0};
    serialise(&whole.head, mode, &text);
    feed(&again, buf_slice(&text), mode, buf_length(&text));
    assert(again.outcome == FAILURE_NONE);
    assert_same(&whole.head, &again.head);
    buf_clear(&text);
    return 0;
}
