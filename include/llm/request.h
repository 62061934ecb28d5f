/* llm/request.h: what weir needs to know from a request body, found while it arrives. */
#pragma once
#include "json/scan.h"
#include "json/splice.h"
#include "base/arena.h"
#include "llm/operation.h"

#define REQUEST_MODEL_BYTES 200

struct request_facts { /* zero-initialise, then request_scan_begin() */
    struct json_scan scan;
    enum dialect dialect;
    enum operation operation;
    bool is_object;
    enum failure failure; /* BAD_JSON, NO_MODEL … once known */
    /* the model's value: byte range with quotes, and its unescaped text */
    uint64_t model_begin, model_end;
    char model[REQUEST_MODEL_BYTES];
    unsigned model_length;
    bool model_seen, stream, stream_seen;
    /* stream_options (OpenAI chat and completions) */
    enum json_type options_type; /* JSON_NONE: not there */
    uint64_t options_begin, options_end, options_members;
    enum json_type include_usage; /* JSON_TRUE, JSON_FALSE, JSON_NULL, JSON_NONE: not there, other: left alone */
    uint64_t include_usage_begin, include_usage_end;
    uint32_t max_tokens; /* 0: not given */
    uint32_t choices;    /* n / candidateCount; 1 when not given */
};

void request_scan_begin(struct request_facts *f, enum dialect dialect, enum operation operation);
enum failure request_scan_feed(struct request_facts *f, const char *p, size_t n); /* BAD_JSON at the first bad byte */
/* The body is complete. Decides duplicates and types: FAILURE_NONE, BAD_JSON (also for a model's name longer than
 * REQUEST_MODEL_BYTES), or NO_MODEL when the operation takes the model from the body and there is none. */
enum failure request_scan_end(struct request_facts *f);

/* Adds the edits that make the provider report usage at the end of a stream (stream_options.include_usage: true),
 * whatever shape stream_options has; false when nothing is to be done (not a stream, already asked, operation has
 * none).
 * Replacements are made in `arena`. When true, the extra chunk must be taken out of what the client sees. */
bool request_inject_usage(const struct request_facts *f, struct splice *edits, struct arena *arena);
/* Adds the edit that replaces the model's name. */
void request_replace_model(const struct request_facts *f, struct slice model, struct splice *edits,
                           struct arena *arena);
