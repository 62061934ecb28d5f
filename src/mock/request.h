/* mock/request.h: what of a request decides its answer. */
#pragma once
#include "base/buf.h"
#include "json/scan.h"
#include "mock/mock.h"
#include "operations.h"

#define REQUEST_NAME_MAX 96
#define REQUEST_KEPT_MAX ((size_t)4 * 1024 * 1024) /* of an echoed body */

/* Everything an answer depends on, and nothing else: answers are kept under its bytes, so padding is zero. */
struct request_facts {
    enum operation operation;
    enum dialect dialect;
    uint8_t stream, include_usage, has_tools, gemini_sse, base64, deletes;
    uint32_t max_tokens, inputs; /* 0: not given */
    struct mock_knobs knobs;
    char model[REQUEST_NAME_MAX], tool[REQUEST_NAME_MAX]; /* as raw JSON string text, NUL-padded */
};

struct request {
    struct request_facts facts;
    struct json_scan scan;
    bool json;
    unsigned members; /* NEED_… bits seen in the body */
    enum json_state json_state;
    uint64_t body_bytes, checksum; /* FNV-1a, of bodies that are not JSON */
    struct buf head, body;         /* kept for an echo or a key that is leaked */
    unsigned refused_status;       /* decided by the head alone; 0: not refused */
    char refusal[160];
    char key[160]; /* the credential sent, empty when there was none */
};

/* Judges a head: operation, knobs, credential (`key` NULL: any, or none). A refusal is noted in the request. */
void request_begin(struct request *r, const struct http_head *head, const struct mock_knobs *defaults, const char *key);
void request_body(struct request *r, struct slice piece);
void request_body_end(struct request *r); /* may note a refusal: malformed JSON, a member missing */
void request_clear(struct request *r);
