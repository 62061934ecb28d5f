/* Any bytes as a provider's answer, in every dialect and framing: nothing may break, and how the bytes are cut must not
 * change what is observed. All arrive at one instant, so that times do not depend on the cuts either. */
/* fuzz-sources: src/llm/observe.c src/llm/prefix.c src/llm/reading.c src/llm/counts.c src/llm/dialect_openai.c
 * src/llm/dialect_responses.c src/llm/dialect_anthropic.c src/llm/dialect_gemini.c src/llm/dialect_ollama.c
 * src/json/scan.c src/json/paths.c src/json/string_body.c src/json/number.c src/json/unescape.c src/http/sse.c
 * src/http/bytes.c src/base/mem.c src/base/slice.c */
#include <assert.h>
#include <stdlib.h>

#include "llm/observe.h"

struct outcome {
    struct observation seen;
    enum answer_shape shape;
    bool started;
    uint64_t events, verdicts;
};

static const char *const types[] = {"text/event-stream", "application/json", "application/x-ndjson", "text/plain"};
static const unsigned statuses[] = {200, 200, 200, 500};
static uint64_t memory[320];

static struct outcome replay(const uint8_t choices[2], const char *p, size_t n, size_t step) {
    struct outcome out;
    memset(&out, 0, sizeof out);
    assert(observer_bytes() <= sizeof memory);
    memset(memory, 0xa5, sizeof memory);
    struct observer *o = observer_init(memory, (enum dialect)(choices[0] % DIALECT_COUNT),
                                       (enum operation)(choices[1] % OPERATION_COUNT), choices[0] & 0x80,
                                       slice_of(types[choices[0] >> 3 & 3]), statuses[choices[0] >> 5 & 3]);
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = step ? step : 1 + (at * 7 + n) % 13;
        if (piece > n - at) piece = n - at;
        for (size_t used = 0; used < piece;) {
            bool ended;
            enum event_verdict verdict;
            size_t taken = observer_take(o, p + at + used, piece - used, 1, &ended, &verdict);
            assert(taken > 0 && taken <= piece - used && (ended || taken == piece - used));
            used += taken;
            out.events += ended;
            if (ended) out.verdicts = out.verdicts * 31 + verdict + 1;
        }
    }
    observer_end(o, 1);
    out.seen = *observer_seen(o);
    out.shape = observer_shape(o);
    out.started = observer_started(o);
    return out;
}

static void check_sense(const struct observation *s, size_t n) {
    const struct usage *u = &s->usage;
    assert(u->reasoning <= u->output && u->cache_write_1h <= u->cache_write && !u->estimated);
    assert(u->input == UINT32_MAX || (uint64_t)u->cache_read + u->cache_write <= u->input);
    assert(s->hidden_tokens <= u->output);
    assert(s->finish_length <= OBSERVED_FINISH_BYTES && s->model_length <= OBSERVED_MODEL_BYTES);
    assert(s->text_bytes <= n && s->chunks <= n);
    assert((s->chunks > 0) == (s->first_token_ns > 0) && (s->chunks > 0) == (s->last_token_ns > 0));
    assert(s->first_visible_ns == 0 || s->first_token_ns > 0);
    assert(s->first_token_ns == 0 || s->first_event_ns > 0);
}

static void check_equal(const struct outcome *a, const struct outcome *b) {
    struct observation x = a->seen, y = b->seen;
    assert(usage_equal(&x.usage, &y.usage));
    memset(&x.usage, 0, sizeof x.usage); /* it is assigned, so what stands between its members is anything; */
    memset(&y.usage, 0, sizeof y.usage); /* all else begins as zeros and is filled in place */
    assert(memcmp(&x, &y, sizeof x) == 0);
    assert(a->shape == b->shape && a->started == b->started);
    assert(a->events == b->events && a->verdicts == b->verdicts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const char *p = (const char *)data + 2;
    size_t n = size - 2;
    char *exact = malloc(n ? n : 1);
    if (n > 0) memcpy(exact, p, n);
    struct outcome whole = replay(data, exact, n, SIZE_MAX), bytes = replay(data, exact, n, 1),
                   pieces = replay(data, exact, n, 0);
    check_equal(&whole, &bytes);
    check_equal(&whole, &pieces);
    check_sense(&whole.seen, n);
    free(exact);
    return 0;
}
