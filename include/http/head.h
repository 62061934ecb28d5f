/* http/head.h: parsed heads of HTTP/1.1 messages (RFC 9112). A head is parsed from one contiguous copy of its bytes,
 * which the caller keeps as long as the slices in here are used.
 *
 * Every head passes two gates: llhttp with no leniency, then the policy of weir's own (http/head_policy.c), which refuses
 * what llhttp lets through: bare LF and CR, folded lines, empty names, framing in more than one way, other versions. */
#pragma once
#include "base/slice.h"
#include "facts/failures.h"
#include "http/fields.h"

#define HEAD_FIELDS_MAX 256 /* hard ceiling above the configured `http.headers` */

struct field {
    enum field_id id; /* FIELD_OTHER when the name is not in the table */
    struct slice name, value; /* value without surrounding white space */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS, HTTP_METHOD_COUNT };
struct slice http_method_name(enum http_method m);

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE /* answers only */ };

struct head_limits {
    size_t uri_bytes, header_bytes, fields; /* header_bytes: all field lines; fields: their number */
};

struct http_head { /* request or answer */
    struct slice raw;             /* start line, field lines and the empty line */
    struct field *fields;         /* in the order received; in the memory given to the parser */
    unsigned field_count;
    uint16_t first[FIELD_COUNT];  /* 1 + index of the first field with that id, 0 = absent */
    enum framing framing;
    uint64_t content_length;      /* with FRAMING_LENGTH */
    bool keep_alive;              /* the message allows the connection to be used again */
    bool http_1_0;
    /* request */
    enum http_method method;
    struct slice target, path, query; /* as sent, nothing decoded; query without `?` */
    bool expect_continue;
    bool te_trailers;             /* TE: trailers */
    /* answer */
    unsigned status;
    struct slice reason;
};

/* Finds the end of a head in the n bytes at p. `*scanned` remembers how far an earlier call got (start at 0), so feeding
 * byte by byte stays linear. Returns the head's length including its empty line, 0 when more bytes are needed. Leading
 * empty lines are NOT skipped here (see head_parse_request). */
size_t head_end(const char *p, size_t n, size_t *scanned);

/* Parses one whole head. `fields` has room for HEAD_FIELDS_MAX. Returns FAILURE_NONE or what to answer (BAD_REQUEST,
 * URI_TOO_LONG, HEAD_TOO_LARGE, EXPECTATION_FAILED, UPGRADE_REFUSED, METHOD_NOT_ALLOWED); for answers BAD_RESPONSE.
 * Nothing is allocated. `head->raw` must be exactly what head_end() measured. */
enum failure head_parse_request(struct http_head *head, struct slice raw, struct field *fields, const struct head_limits *limits);
enum failure head_parse_answer(struct http_head *head, struct slice raw, struct field *fields, const struct head_limits *limits,
                               bool answers_head_request);
/* Before the head is complete: has the part that came already broken a limit? FAILURE_NONE, URI_TOO_LONG, HEAD_TOO_LARGE
 * or BAD_REQUEST (its first bytes cannot begin a request: TLS on a plain port, more than 2 leading empty lines …). */
enum failure head_check_partial(const char *p, size_t n, const struct head_limits *limits);

struct slice head_value(const struct http_head *head, enum field_id id); /* of the first such field; empty when absent */
struct slice head_find(const struct http_head *head, struct slice name); /* by name, any case; for names not in the table */
bool list_has_token(struct slice list, struct slice token);             /* comma list, any case */
/* Is this field named in a Connection field of the same head (RFC 9110 7.6.1)? Framing fields never count as named. */
bool head_nominated(const struct http_head *head, struct slice name);
