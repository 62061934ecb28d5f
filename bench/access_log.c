/* What one line of the access log costs the recorder's thread. Needs nothing but three folders:
 *   gcc -std=gnu17 -O2 -D_GNU_SOURCE -Iinclude -o build/bench-access-log bench/access_log.c
 * build/release/lib/recorder.a \
 *       build/release/lib/telemetry.a build/release/lib/facts.a build/release/lib/base.a -lm -pthread && \
 *       build/bench-access-log
 * Prints the best of several rounds, because the machine's noise only ever adds. */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "facts/names.h"
#include "recorder/access_log.h"

enum { ROUNDS = 25, LINES = 20000 };

static const struct {
    enum record_text which;
    struct slice text;
} texts[] = {{RECORD_TEXT_METHOD, SLICE_INIT("POST")},
             {RECORD_TEXT_PATH, SLICE_INIT("/v1/chat/completions")},
             {RECORD_TEXT_OPERATION, SLICE_INIT("chat")},
             {RECORD_TEXT_MODEL_REQUESTED, SLICE_INIT("fast")},
             {RECORD_TEXT_MODEL, SLICE_INIT("gpt-4o-mini-2024-07-18")},
             {RECORD_TEXT_RELEASE, SLICE_INIT("web-418")},
             {RECORD_TEXT_FINISH_REASON, SLICE_INIT("stop")},
             {RECORD_TEXT_CLIENT, SLICE_INIT("10.1.2.3")},
             {RECORD_TEXT_USER_AGENT, SLICE_INIT("OpenAI/Python 2.8.1")},
             {RECORD_TEXT_PROVIDER_REQUEST_ID, SLICE_INIT("req_7c1e5b2a9f0d4c38")},
             {RECORD_TEXT_TAGS, SLICE_INIT("feature\0ask\0")}};

static struct record *record_make(void) {
    struct record *r = mem_zalloc(sizeof *r + 1024);
    size_t at = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) { /* in the order of the enum */
        memcpy(r->text + at, texts[i].text.p, texts[i].text.n);
        r->text_bytes[texts[i].which] = (uint16_t)texts[i].text.n;
        at += texts[i].text.n;
    }
    for (int i = 0; i < 16; i++) r->trace_id[i] = (uint8_t)(i * 37 + 11);
    for (int i = 0; i < 8; i++) r->span_id[i] = r->parent_id[i] = (uint8_t)(i * 91 + 5);
    r->status = 200, r->attempts = 1, r->stream = r->connection_reused = true;
    r->tenant = name_id(SLICE("acme")), r->key = name_id(SLICE("ci")), r->provider = name_id(SLICE("openai"));
    r->model = name_id(SLICE("gpt-4o-mini")), r->workload = name_id(SLICE("chat"));
    r->start_unix_ns = INT64_C(1795342528563402123);
    for (int i = 0; i < PHASE_COUNT; i++) r->phase_ns[i] = i % 3 ? (uint64_t)i * 1234567 : 0;
    r->total_ns = 1130000417, r->ttft_ns = r->first_visible_ns = 311698002, r->tpot_ns = 4991411;
    r->gap_max_ns = 48200311, r->callback_ns = 31207, r->limiter_ns = r->tls_in_ns = r->provider_ns = TIME_UNKNOWN_NS;
    r->settle_ns = 19044, r->rtt_client_ns = 1900000, r->rtt_provider_ns = 11812000;
    r->request_bytes = 7311, r->response_bytes = 41877, r->cost_pico_usd = 297600000;
    r->usage = (struct usage){.input = 1840, .output = 164, .cache_read = 1024};
    r->chunks = 166, r->in_flight = 301;
    return r;
}

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(void) {
    struct record *r = record_make();
    struct buf out = {0};
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = cpu_ns();
        for (int i = 0; i < LINES; i++) {
            r->start_unix_ns += 100000; /* ten thousand a second */
            access_log_line(&out, r, SLICE("gw-1"));
            if (buf_length(&out) > 65536) out.start = out.end = 0;
        }
        double took = (cpu_ns() - begin) / LINES;
        if (took < best) best = took;
    }
    out.start = out.end = 0;
    access_log_line(&out, r, SLICE("gw-1"));
    printf("%zu bytes a line, %.0f ns a line\n", buf_length(&out), best);
    buf_clear(&out);
    mem_free(r);
    return 0;
}
