/* Heads of messages: the way through both gates, and questions about a parsed head. The order of the checks is part of
 * the contract: limits first, then line structure, start line, llhttp, policy, so that a head cut anywhere on its way
 * in is answered exactly like the whole. */
#include "http/head.h"

#include <assert.h>

#include "head_policy.h"
#include "lines.h"
#include "reader.h"

/* Sets head->raw and *line; returns the number of field lines, or -1 when the line structure is broken. */
static int open_head(struct http_head *head, struct slice raw, struct slice *line) {
    size_t scanned = 0, length = 0;
    unsigned lines;
    if (lines_scan(raw.p, raw.n, &scanned, &length, &lines) != SCAN_WHOLE || length != raw.n) return -1;
    size_t leading = lines_leading(raw.p, raw.n);
    head->raw = (struct slice){raw.p + leading, raw.n - leading};
    *line = (struct slice){head->raw.p, (size_t)((const char *)memchr(head->raw.p, '\r', head->raw.n) - head->raw.p)};
    return (int)lines - 1;
}

static size_t fields_limit(const struct head_limits *limits) {
    return limits->fields < HEAD_FIELDS_MAX ? limits->fields : HEAD_FIELDS_MAX;
}

enum failure head_parse_request(struct http_head *head, struct slice raw, struct field *fields,
                                const struct head_limits *limits) {
    *head = (struct http_head){.fields = fields};
    enum failure failure = head_check_partial(raw.p, raw.n, limits);
    if (failure != FAILURE_NONE) return failure;
    struct slice line;
    int field_lines = open_head(head, raw, &line);
    if (field_lines < 0) return FAILURE_BAD_REQUEST;
    if ((size_t)field_lines > fields_limit(limits)) return FAILURE_HEAD_TOO_LARGE;
    failure = request_line_parse(head, line);
    if (failure != FAILURE_NONE) return failure;
    if (!reader_request(head->raw, head->target, fields, (unsigned)field_lines)) return FAILURE_BAD_REQUEST;
    head->field_count = (unsigned)field_lines;
    return policy_request(head);
}

enum failure head_parse_answer(struct http_head *head, struct slice raw, struct field *fields,
                               const struct head_limits *limits, bool answers_head_request) {
    *head = (struct http_head){.fields = fields};
    enum failure failure = head_check_partial_answer(raw.p, raw.n, limits);
    if (failure != FAILURE_NONE) return failure;
    struct slice line;
    int field_lines = open_head(head, raw, &line);
    if (field_lines < 0 || (size_t)field_lines > fields_limit(limits)) return FAILURE_BAD_RESPONSE;
    failure = status_line_parse(head, line);
    if (failure != FAILURE_NONE) return failure;
    if (!reader_answer(head->raw, fields, (unsigned)field_lines)) return FAILURE_BAD_RESPONSE;
    head->field_count = (unsigned)field_lines;
    return policy_answer(head, answers_head_request);
}

struct slice head_value(const struct http_head *head, enum field_id id) {
    assert(id != FIELD_OTHER && id < FIELD_COUNT);
    return head->first[id] ? head->fields[head->first[id] - 1].value : (struct slice){NULL, 0};
}

struct slice head_find(const struct http_head *head, struct slice name) {
    for (unsigned i = 0; i < head->field_count; i++)
        if (slice_equal_nocase(head->fields[i].name, name)) return head->fields[i].value;
    return (struct slice){NULL, 0};
}

bool list_has_token(struct slice list, struct slice token) {
    struct slice item;
    while (slice_cut(&list, ',', &item))
        if (slice_equal_nocase(slice_trim(item), token)) return true;
    return false;
}

static bool is_framing(struct slice name) {
    enum field_id id = field_lookup(name);
    return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_HOST;
}

bool head_nominated(const struct http_head *head, struct slice name) {
    if (head->first[FIELD_CONNECTION] == 0 || is_framing(name)) return false;
    for (unsigned i = head->first[FIELD_CONNECTION] - 1u; i < head->field_count; i++)
        if (head->fields[i].id == FIELD_CONNECTION && list_has_token(head->fields[i].value, name)) return true;
    return false;
}
