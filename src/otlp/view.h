/* otlp/view.h: a record as spans see it: its texts, its attempts, and where on the time line its parts lie. */
#pragma once
#include "facts/record.h"
#include "places.h"

enum { VIEW_ATTEMPTS_MAX = RECORD_GIVEN_UP_MAX + 1, VIEW_SCRATCH_BYTES = 8192 };

struct span_time { /* from the exchange's beginning */
    uint64_t from_ns, to_ns;
};

struct view_attempt {
    unsigned n;                /* from 1 */
    const struct place *place; /* NULL: unknown */
    struct slice model;        /* the target's name for it */
    unsigned status;           /* what the provider answered; 0: it did not, or that is not known */
    enum failure error;
    bool reused, last; /* last: the record's own figures are its */
    struct span_time time;
    struct span_time phases[PHASE_COUNT]; /* those of an attempt; empty ones did not run */
};

enum call_kind { CALL_NONE /* no model was called: a refusal, a pass-through */, CALL_LLM, CALL_EMBEDDING, CALL_OTHER };

/* What an operation (as in the record) is in OpenTelemetry's words; CALL_NONE: no call of a model. */
enum call_kind call_of(struct slice operation, struct slice *gen_ai);

struct view {
    const struct record *r;
    struct slice texts[RECORD_TEXT_COUNT];
    const struct place *place; /* of the attempt that counts; NULL: none, or unknown */
    enum call_kind call;
    struct slice operation; /* gen_ai.operation.name */
    struct slice route;     /* http.route; empty: the path is none of ours */
    struct span_time inference;
    struct span_time phases[PHASE_COUNT]; /* those of the exchange itself */
    unsigned attempt_count;
    struct view_attempt attempts[VIEW_ATTEMPTS_MAX];
    size_t scratch_used;
    char scratch[VIEW_SCRATCH_BYTES]; /* texts made up on the way */
};

void view_make(struct view *v, const struct record *r, const struct places *places);
/* Where the attempt's request went (url.full), without its query; empty: unknown. */
struct slice view_url(struct view *v, const struct view_attempt *a);
/* Room in the scratch for n bytes; NULL when it is used up: then that text is left out. */
char *view_room(struct view *v, size_t n);
struct slice view_text(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Did it fail in the sense of telemetry? A client that left, or was refused, is no error of the one that served it. */
bool view_is_error(const struct view *v);
/* The same of the SERVER span: a 4xx is no error of a server's, says HTTP's convention, whoever it came from. */
bool view_server_is_error(const struct view *v);
