/* http/head.h: parsed heads of HTTP/1.1 messages (RFC 9112). A head is parsed from one contiguous copy of its bytes,
 * which the caller keeps as long as the slices in here are used.
 *
 * Every head passes two gates: llhttp with no leniency, then the policy of weir's own (http/head_policy.c), which
 * refuses what llhttp lets through: bare LF and CR, folded lines, empty names, framing in more than one way, other
 * versions. */
#pragma once
#include "base/slice.h"
#include "facts/failures.h"
#include "http/fields.h"

#define HEAD_FIELDS_MAX 256 /* hard ceiling above the configured `http.headers` */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS, HTTP_METHOD_COUNT };
struct slice http_method_name(enum http_method m);

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE /* answers only */ };

struct head_limits {
    size_t uri_bytes;    /* of the target; of an answer's status line */
    size_t header_bytes; /* of all field lines together */
    size_t fields;       /* their number */
};

struct http_head {        /* request or answer */
    struct slice raw;     /* start line, field lines and the empty line; not the empty lines before it */
    struct field *fields; /* in the order received; in the memory given to the parser */
    unsigned field_count;
    uint16_t first[FIELD_COUNT]; /* 1 + index of the first field with that id, 0 = absent */
    enum framing framing;
    uint64_t content_length; /* with FRAMING_LENGTH */
    bool keep_alive;         /* the message allows the connection to be used again */
    bool http_1_0;
    /* request */
    enum http_method method;
    struct slice target, path, query; /* as sent, nothing decoded; query without `?` */
    bool expect_continue;             /* HTTP/1.1, and a body is to come */
    bool te_trailers;                 /* TE: trailers */
    /* answer */
    unsigned status;
    struct slice reason;
};

/* Finds the end of a head in the n bytes at p. `*scanned` remembers how far an earlier call got (start at 0), so
 * feeding byte by byte stays linear. Returns 0 when more bytes are needed, else the length of what to parse: a head
 * with its empty line (and up to two empty lines before it), or, as soon as one comes, everything up to a byte that no
 * head may hold (bare CR or LF, a control byte, a folded line): parsing that is refused, so a head that ends wrongly
 * never hangs. */
size_t head_end(const char *p, size_t n, size_t *scanned);

/* Parses one whole head. `fields` has room for HEAD_FIELDS_MAX. Returns FAILURE_NONE or what to answer (BAD_REQUEST,
 * URI_TOO_LONG, HEAD_TOO_LARGE, EXPECTATION_FAILED, UPGRADE_REFUSED, METHOD_NOT_ALLOWED); for answers BAD_RESPONSE.
 * `raw` must be exactly what head_end() measured. Nothing is allocated. After any failure the framing of what follows
 * is unknown: answer and close. `head` may then be read but is filled in part only. */
enum failure head_parse_request(struct http_head *head, struct slice raw, struct field *fields,
                                const struct head_limits *limits);
enum failure head_parse_answer(struct http_head *head, struct slice raw, struct field *fields,
                               const struct head_limits *limits, bool answers_head_request);
/* While head_end() says 0: have the n bytes that came already broken a limit, or can they not begin a head (TLS on a
 * plain port, more than 2 leading empty lines …)? FAILURE_NONE, URI_TOO_LONG, HEAD_TOO_LARGE or BAD_REQUEST; for
 * answers BAD_RESPONSE. Cheap enough for every read: it looks at the start line only. */
enum failure head_check_partial(const char *p, size_t n, const struct head_limits *limits);
enum failure head_check_partial_answer(const char *p, size_t n, const struct head_limits *limits);

/* The value of the first field with that id, or by that name (any case; for names not in the table). Empty: absent. */
struct slice head_value(const struct http_head *head, enum field_id id);
struct slice head_find(const struct http_head *head, struct slice name);
bool list_has_token(struct slice list, struct slice token); /* comma list, any case */
/* Is this field named in a Connection field of the same head (RFC 9110 7.6.1)? Framing fields and Host never count. */
bool head_nominated(const struct http_head *head, struct slice name);
/* Is one segment `.` or `..`, also when spelled with %2e? Paths are matched and forwarded as sent, so whoever lets a
 * caller choose the rest of a path (pass-through) must refuse these: a provider may fold them. */
bool path_has_dot_segments(struct slice path);
