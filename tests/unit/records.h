/* tests/unit/records.h: records for tests that need some. */
#pragma once
#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "facts/names.h"
#include "facts/record.h"

/* A record with these texts, in the order of the enum; free with mem_free(). Everything else is zero. */
static inline struct record *record_with(const struct slice texts[RECORD_TEXT_COUNT]) {
    size_t bytes = 0;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) bytes += texts[i].n;
    struct record *r = mem_zalloc(sizeof *r + bytes);
    char *at = r->text;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) {
        r->text_bytes[i] = (uint16_t)texts[i].n;
        if (texts[i].n > 0) memcpy(at, texts[i].p, texts[i].n);
        at += texts[i].n;
    }
    r->size_bytes = (uint32_t)(sizeof *r + bytes);
    return r;
}

/* A usual one: a streamed chat answer, every number different from every other. */
static inline struct record *record_usual(void) {
    static const struct slice texts[RECORD_TEXT_COUNT] = {
        [RECORD_TEXT_METHOD] = SLICE_INIT("POST"),
        [RECORD_TEXT_PATH] = SLICE_INIT("/v1/chat/completions"),
        [RECORD_TEXT_OPERATION] = SLICE_INIT("chat"),
        [RECORD_TEXT_MODEL_REQUESTED] = SLICE_INIT("fast"),
        [RECORD_TEXT_MODEL] = SLICE_INIT("gpt-4o-mini-2024-07-18"),
        [RECORD_TEXT_SESSION] = SLICE_INIT("s-17"),
        [RECORD_TEXT_RELEASE] = SLICE_INIT("web-418"),
        [RECORD_TEXT_FINISH_REASON] = SLICE_INIT("stop"),
        [RECORD_TEXT_CLIENT] = SLICE_INIT("10.1.2.3"),
        [RECORD_TEXT_USER_AGENT] = SLICE_INIT("OpenAI/Python 2.8.1"),
        [RECORD_TEXT_PROVIDER_REQUEST_ID] = SLICE_INIT("req_7c1e"),
        [RECORD_TEXT_TAGS] = SLICE_INIT("feature\0ask\0empty\0\0city\0K\xc3\xb8"
                                        "benhavn\0"),
        [RECORD_TEXT_LIMIT] = SLICE_INIT("requests_per_minute"),
        [RECORD_TEXT_TRACE_STATE] = SLICE_INIT("vendor=1"),
    };
    struct record *r = record_with(texts);
    for (int i = 0; i < 16; i++) r->trace_id[i] = (uint8_t)(0x10 * i + 15 - i);
    for (int i = 0; i < 8; i++) r->span_id[i] = (uint8_t)(0xf0 + i), r->parent_id[i] = (uint8_t)(0x08 + i);
    r->tenant = name_id(SLICE("acme")), r->key = name_id(SLICE("ci")), r->provider = name_id(SLICE("openai"));
    r->model = name_id(SLICE("gpt-4o-mini")), r->workload = name_id(SLICE("support"));
    r->start_unix_ns = INT64_C(1795342528563402123);
    r->status = 429, r->attempts = 2, r->stream = true, r->connection_reused = true;
    r->error = FAILURE_RATE_LIMITED, r->error_source = SOURCE_PROVIDER;
    r->total_ns = 1130000417, r->ttft_ns = 311698002, r->first_visible_ns = 311698003, r->tpot_ns = 4991411;
    r->head_ns = 7, r->first_event_ns = 8, r->attempt_ttft_ns = 9;
    for (int i = 0; i < PHASE_COUNT; i++) r->phase_ns[i] = (uint64_t)i * 1000000 + (uint64_t)i;
    r->gap_max_ns = 48200000, r->callback_ns = 31207, r->limiter_ns = 370000, r->tls_in_ns = 1000001;
    r->settle_ns = 19, r->provider_ns = 290000000, r->rtt_client_ns = 1900000, r->rtt_provider_ns = 11812000;
    r->request_bytes = 7311, r->response_bytes = 41877, r->cost_pico_usd = 297600000, r->waste_pico_usd = 1;
    r->usage = (struct usage){.input = 1840, .output = 164, .cache_read = 1024, .cache_write = 12, .reasoning = 64};
    r->usage.estimated = true;
    r->chunks = 166, r->in_flight = 301;
    r->trace_flags = 1, r->max_tokens = 4096, r->choices = 2;
    return r;
}
