/* The words of a script's call, written one after another into one buffer. */
#include "shared.h"

enum { PICO_A_MICRO = 1000000 };
#define NUMBER_MAX ((INT64_C(1) << 53) - 1)

int64_t add_i64(int64_t a, int64_t b) {
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

void words_begin(struct words *w) {
    w->text.end = w->text.start;
    w->count = 0;
}

static void word_end(struct words *w) {
    w->ends[w->count++] = (uint32_t)buf_length(&w->text);
}

void words_put(struct words *w, struct slice word) {
    buf_append_slice(&w->text, word);
    word_end(w);
}

/* A script's numbers are doubles: what one cannot hold exactly is cut. */
void words_put_i64(struct words *w, int64_t number) {
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    if (number < 0) buf_append(&w->text, "-", 1);
    buf_append_u64(&w->text, size < NUMBER_MAX ? size : NUMBER_MAX);
    word_end(w);
}

void words_put_money(struct words *w, int64_t pico) {
    int64_t micro = pico / PICO_A_MICRO, rest = pico % PICO_A_MICRO;
    if (rest < 0) {
        micro--;
        rest += PICO_A_MICRO;
    }
    words_put_i64(w, micro);
    words_put_i64(w, rest);
}

void words_put_limits(struct words *w, const struct config_limit *limit) {
    words_put_i64(w, (int64_t)limit->requests_per_minute);
    words_put_i64(w, (int64_t)limit->tokens_per_minute);
    words_put_i64(w, (int64_t)limit->concurrent_requests);
    words_put_money(w, (int64_t)limit->pico_usd_per_day);
    words_put_money(w, (int64_t)limit->pico_usd_per_month);
}

bool words_send(struct limit_shared *s, enum limit_script script, unsigned key_count, redis_done *done, void *context) {
    struct words *w = &s->words;
    struct slice text = buf_slice(&w->text);
    for (unsigned i = 0; i < w->count; i++) {
        uint32_t begin = i > 0 ? w->ends[i - 1] : 0;
        w->slices[i] = (struct slice){text.p + begin, w->ends[i] - begin};
    }
    struct redis_call call = {.script = limit_script(script),
                              .words = w->slices,
                              .word_count = w->count,
                              .key_count = key_count,
                              .done = done,
                              .context = context};
    return redis_call(s->options.redis, &call, NULL);
}
