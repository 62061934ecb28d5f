/* What a head may mean, judged on its parsed fields. The hard part is framing: two parties that disagree on where a
 * message ends are a smuggled request, so a length is taken in exactly one spelling, once, or the message is refused.
 * Line structure (lines.c) and the start line (start_line.c) have been judged before. */
#include "head_policy.h"

#include "bytes.h"
#include "lines.h"

/* Sums of lengths cannot overflow below this, and no JSON number in a record loses digits. */
#define CONTENT_LENGTH_MAX (UINT64_C(1) << 53)

static bool is_single(enum field_id id) {
    return id == FIELD_HOST || id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING;
}

/* False for a name that is no token, or a second field where only one can be obeyed. */
static bool index_fields(struct http_head *head) {
    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if (!bytes_are(field->name, BYTE_TOKEN)) return false;
        field->id = field_lookup(field->name);
        if (field->id == FIELD_OTHER) continue;
        if (head->first[field->id] == 0) {
            head->first[field->id] = (uint16_t)(i + 1);
        } else if (is_single(field->id)) {
            return false;
        }
    }
    return true;
}

static bool is_present(const struct http_head *head, enum field_id id) {
    return head->first[id] != 0;
}

/* Walks the fields with that id; *cursor starts at 0. */
static const struct field *next_field(const struct http_head *head, enum field_id id, unsigned *cursor) {
    unsigned i = *cursor ? *cursor : head->first[id] ? head->first[id] - 1u : head->field_count;
    while (i < head->field_count && head->fields[i].id != id) i++;
    *cursor = i + 1;
    return i < head->field_count ? &head->fields[i] : NULL;
}

static bool any_has_token(const struct http_head *head, enum field_id id, struct slice token) {
    const struct field *field;
    for (unsigned cursor = 0; (field = next_field(head, id, &cursor)) != NULL;)
        if (list_has_token(field->value, token)) return true;
    return false;
}

/* Leaves FRAMING_NONE when neither field is there. */
static bool read_framing(struct http_head *head) {
    bool has_length = is_present(head, FIELD_CONTENT_LENGTH);
    if (is_present(head, FIELD_TRANSFER_ENCODING)) {
        if (has_length || head->http_1_0) return false;
        if (!slice_equal_nocase(head_value(head, FIELD_TRANSFER_ENCODING), SLICE("chunked"))) return false;
        head->framing = FRAMING_CHUNKED;
    } else if (has_length) {
        if (!slice_to_u64(head_value(head, FIELD_CONTENT_LENGTH), &head->content_length)) return false;
        if (head->content_length > CONTENT_LENGTH_MAX) return false;
        head->framing = FRAMING_LENGTH;
    }
    return true;
}

static void read_connection(struct http_head *head) {
    bool close = any_has_token(head, FIELD_CONNECTION, SLICE("close"));
    bool keep = !head->http_1_0 || any_has_token(head, FIELD_CONNECTION, SLICE("keep-alive"));
    head->keep_alive = keep && !close;
}

static bool host_is_good(const struct http_head *head) {
    if (!is_present(head, FIELD_HOST)) return head->http_1_0;
    return host_is_valid(head_value(head, FIELD_HOST));
}

static bool read_expect(struct http_head *head) {
    const struct field *field;
    for (unsigned cursor = 0; (field = next_field(head, FIELD_EXPECT, &cursor)) != NULL;)
        if (!slice_equal_nocase(field->value, SLICE("100-continue"))) return false;
    bool has_body = head->framing == FRAMING_CHUNKED || head->content_length > 0;
    /* RFC 9110 10.1.1: ignored in HTTP/1.0, and pointless without a body to wait with */
    head->expect_continue = is_present(head, FIELD_EXPECT) && !head->http_1_0 && has_body;
    return true;
}

enum failure policy_request(struct http_head *head) {
    if (!index_fields(head) || !host_is_good(head) || !read_framing(head)) return FAILURE_BAD_REQUEST;
    if (is_present(head, FIELD_UPGRADE)) return FAILURE_UPGRADE_REFUSED;
    if (!read_expect(head)) return FAILURE_EXPECTATION_FAILED;
    read_connection(head);
    head->te_trailers = any_has_token(head, FIELD_TE, SLICE("trailers"));
    return FAILURE_NONE;
}

/* RFC 9112 6.3: these end with their head, whatever their fields say. */
static bool never_has_body(const struct http_head *head, bool answers_head_request) {
    return answers_head_request || head->status < 200 || head->status == 204 || head->status == 304;
}

enum failure policy_answer(struct http_head *head, bool answers_head_request) {
    if (!index_fields(head) || !read_framing(head)) return FAILURE_BAD_RESPONSE;
    if (head->status == 101) return FAILURE_BAD_RESPONSE; /* nobody asked: Upgrade is never forwarded */
    read_connection(head);
    if (never_has_body(head, answers_head_request)) {
        /* 1xx and 204 must not announce a body (RFC 9110 8.6, 9112 6.1): one that does may well send it too */
        bool announces = head->framing == FRAMING_CHUNKED || head->content_length > 0;
        if (announces && !answers_head_request && head->status != 304) head->keep_alive = false;
        head->framing = FRAMING_NONE;
        head->content_length = 0;
    } else if (head->framing == FRAMING_NONE) {
        head->framing = FRAMING_CLOSE;
        head->keep_alive = false;
    }
    return FAILURE_NONE;
}
