/* Events that begin and end alike are mostly not read again (src/llm/prefix.c): over random streams whose events share
 * much and differ in little, whole pieces must be observed exactly as single bytes are, which are always read. */
#include "replay.h"

#define STREAMS 4000

static uint32_t state;

static const char *one_of(const char *const *texts, size_t count) {
    return texts[replay_random(&state) % count];
}
#define ONE_OF(...)                                                                                                    \
    one_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const char *delta(void) {
    return ONE_OF("\"content\":\"Hi\"", "\"content\":\" you\"", "\"content\":\"a longer piece of it\"",
                  "\"content\":\"\"", "\"content\":\"x:\"", "\"content\":\"say \\\"it\\\"\"", "\"content\":\"a\\\\\"",
                  "\"content\":\"\\u00e9\"", "\"content\":null", "\"role\":\"assistant\",\"content\":\"\"",
                  "\"content\":\"a\",\"refusal\":\"b\"", "\"reasoning_content\":\"hm\"",
                  "\"reasoning\":\"hm\",\"content\":\"b\"", "\"unknown\":\"Hi\"", "",
                  "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]");
}

static const char *ending(void) {
    return ONE_OF("", "", "", ",\"usage\":null", ",\"obfuscation\":\"aX\"", ",\"obfuscation\":\"b\"",
                  ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}", ",\"usage\":{\"completion_tokens\":5}",
                  ",\"error\":null", ",\"error\":{\"message\":\"no\"}", ",\"x_groq\":{\"usage\":{\"total_time\":0.5}}",
                  ",\"x_groq\":{\"usage\":{\"total_time\":0.7}}", ",\"timings\":{\"prompt_ms\":1.5,\"predicted_ms\":2}",
                  ",\"object\":\"error\"", " ");
}

/* The shape with the values put in for %1 to %5. Returns how long it is. */
static size_t filled(char *at, size_t room, const char *shape, const char *const values[5]) {
    size_t n = 0;
    for (; *shape != '\0'; shape++) {
        const char *text = *shape == '%' ? values[*++shape - '1'] : shape;
        size_t length = text == shape ? 1 : strlen(text);
        assert_true(n + length < room);
        memcpy(at + n, text, length);
        n += length;
    }
    at[n] = '\0';
    return n;
}

#define USUAL_SHAPE                                                                                                    \
    "data: "                                                                                                           \
    "{\"id\":\"chatcmpl-1\",\"model\":\"%1\",\"choices\":[{\"index\":%2,\"delta\":{%3},\"finish_reason\":%4}]%5}\n\n"

static const char *odd_shape(void) {
    return ONE_OF("data: {\"id\":\"chatcmpl-1\",\"model\":\"%1\",\"choices\":[{\"delta\":{%3},\"index\":%2,"
                  "\"finish_reason\":%4}]%5}\n\n",
                  "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"model\":\"%1\"%5}\n\n",
                  "data: {\"id\":\"chatcmpl-1\",\"model\":\"%1\",\n"
                  "data: \"choices\":[{\"delta\":{%3},\"index\":%2}]}\n\n",
                  "data: {\"id\":\"chatcmpl-1\",\"model\":\"%1\",\"choices\":[{\"index\":%2,\"delta\":{%3},"
                  "\"finish_reason\":%4}]%5}}\n\n",
                  "data: {\"choices\":[{\"delta\":{%3}}]}\n\n", "event: error\ndata: {\"id\":\"chatcmpl-1\"}\n\n",
                  "data: [DONE]\n\n");
}

/* What stands before a stream's choices, or behind them. */
#define STEM_SHAPE(stem)                                                                                               \
    "data: {\"id\":\"chatcmpl-1\",\"created\":1234567890," stem                                                        \
    "\"model\":\"%1\",\"choices\":[{\"index\":%2,\"delta\":{%3},\"finish_reason\":%4}]%5}\n\n"
#define COUNTED_STEM(tokens) STEM_SHAPE("\"usage\":{\"completion_tokens\":" tokens "},")

static const char *shape_of(unsigned variety) {
    if (variety == 13) return ONE_OF(COUNTED_STEM("3"), COUNTED_STEM("3"), COUNTED_STEM("4"));
    if (variety == 14)
        return ONE_OF(STEM_SHAPE("\"object\":\"chunk\","), STEM_SHAPE("\"object\":\"chunk\","),
                      STEM_SHAPE("\"object\":\"error\","), STEM_SHAPE("\"error\":0,"), STEM_SHAPE("\"error\":1,"));
    if (variety == 15)
        return ONE_OF("data: {\"choices\":[{\"index\":%2,\"delta\":{%3},\"finish_reason\":%4}],\"model\":\"%1\"%5}\n\n",
                      "data: {\"choices\":[{\"index\":%2,\"delta\":{%3},\"finish_reason\":%4}],\"model\":\"%1\"%5}\n\n",
                      STEM_SHAPE("\"object\":\"chunk\","), USUAL_SHAPE);
    return USUAL_SHAPE;
}

/* How much the events of one stream differ is the stream's own: some are as regular as real ones. */
static size_t event_put(char *at, size_t room, unsigned variety) {
    enum { NOTHING = 0, INDEX = 1, FINISH = 2, MODEL = 4, DELTA = 8, ENDING = 16, SHAPE = 32 };
    unsigned varied = NOTHING;
    if (replay_random(&state) % 8 < variety) varied = 1u << replay_random(&state) % 6;
    if (variety == 8) varied |= replay_random(&state);
    if (variety == 9) varied = ENDING;
    const char *index = varied & INDEX ? ONE_OF("0", "1", "70", "\"0\"") : variety % 2 ? "1" : "0";
    const char *finish = varied & FINISH ? ONE_OF("\"stop\"", "\"\"", "\"error\"", "7") : "null";
    const char *model =
        varied & MODEL ? ONE_OF("m", "n", "", "a-long-name-of-a-model[1m]", "a-long-name-of-a-model[2m]") : "m";
    const char *plain = ONE_OF("\"content\":\"a\"", "\"content\":\"bcd\"", "\"content\":\"ef: g\"");
    if (variety == 10) plain = ONE_OF("\"audio\":{\"data\":\"QUJD\"}", "\"audio\":{\"data\":\"QUJDREVG\"}");
    if (variety == 11) plain = ONE_OF("\"reasoning\":\"a\"", "\"reasoning\":\"bcd\"", "\"content\":\"e\"");
    if (variety == 12)
        plain = ONE_OF("\"content\":\"a\\n\"", "\"content\":\"\\\\\"", "\"content\":\"\\u00e9\\ud83d\\ude00.\"",
                       "\"content\":\"\\\"b\"", "\"content\":\"c\\\n\"", "\"content\":\"\n\"", "\"content\":\"d\"");
    const char *rest = varied & ENDING ? ending() : "";
    const char *what = varied & DELTA ? delta() : plain;
    const char *shape = varied & SHAPE ? odd_shape() : shape_of(variety);
    return filled(at, room, shape, (const char *const[]){model, index, what, finish, rest});
}

static void same(const struct fixture *f, const struct replay *a, const struct replay *b) {
    const struct observation *x = &a->seen, *y = &b->seen;
    bool alike = a->events == b->events && strcmp(a->verdicts, b->verdicts) == 0 && a->started == b->started &&
                 x->first_event_ns == y->first_event_ns && x->first_token_ns == y->first_token_ns &&
                 x->first_visible_ns == y->first_visible_ns && x->last_token_ns == y->last_token_ns &&
                 x->gap_max_ns == y->gap_max_ns && x->chunks == y->chunks && x->hidden_tokens == y->hidden_tokens &&
                 x->text_bytes == y->text_bytes && x->terminated == y->terminated && x->failed == y->failed &&
                 x->finish_length == y->finish_length && x->model_length == y->model_length &&
                 memcmp(x->finish, y->finish, x->finish_length) == 0 &&
                 memcmp(x->model, y->model, x->model_length) == 0 && x->provider_ns == y->provider_ns &&
                 usage_equal(&x->usage, &y->usage);
    if (!alike)
        fail_msg("verdicts %s and %s, text %llu and %llu of\n%s", a->verdicts, b->verdicts,
                 (unsigned long long)x->text_bytes, (unsigned long long)y->text_bytes, f->body);
}

/* Ollama's lines: tokens and counts stand before the first object or array as well. */
static size_t line_put(char *at, size_t room, unsigned variety) {
#define LINE(members) "{\"model\":\"%1\",\"created_at\":\"2026\"," members "}\n"
    static const char *const shapes[] = {
        LINE("\"message\":{\"role\":\"assistant\",\"content\":\"%2\"},\"done\":false"),
        LINE("\"response\":\"%2\",\"done\":false,\"context\":[1]"),
        LINE("\"eval_count\":%3,\"message\":{\"content\":\"%2\"},\"done\":false"),
        LINE("\"done\":true,\"done_reason\":\"stop\",\"context\":[1]"),
        LINE("\"total_duration\":%3,\"message\":{\"content\":\"%2\"},\"done\":false"),
        "{\"message\":{\"content\":\"%2\"},\"eval_count\":%3,\"total_duration\":%3}\n",
    };
    enum { SHAPES = sizeof shapes / sizeof *shapes };
    const char *shape = shapes[replay_random(&state) % 4 > 0 ? variety % SHAPES : replay_random(&state) % SHAPES];
    return filled(
        at, room, shape,
        (const char *const[]){ONE_OF("m", "m", "n"), ONE_OF("Hi", " you", ""), ONE_OF("3", "3", "4"), "", ""});
}

static unsigned observe_alike(struct fixture *f, size_t (*put)(char *at, size_t room, unsigned variety),
                              unsigned varieties) {
    static char body[65536];
    unsigned tokens = 0;
    f->body = body;
    for (uint32_t seed = 1; seed <= STREAMS; seed++) {
        state = seed * 2654435761u;
        unsigned events = 2 + replay_random(&state) % 40, variety = replay_random(&state) % varieties;
        size_t n = 0;
        for (unsigned i = 0; i < events; i++) n += put(body + n, sizeof body - n, variety);
        struct replay bytes = replay_cut(f, 1), whole = replay_cut(f, 0), pieces = replay_cut(f, seed + 1);
        same(f, &bytes, &whole);
        same(f, &bytes, &pieces);
        tokens += bytes.seen.chunks;
    }
    return tokens;
}

static void streams_of_like_events_are_observed_as_if_each_was_read(void **unused) {
    (void)unused;
    struct fixture f = {.dialect = DIALECT_OPENAI, .operation = OPERATION_CHAT, .type = "text/event-stream"};
    assert_true(observe_alike(&f, event_put, 16) > STREAMS * 5);
}

static void lines_that_are_alike_are_observed_as_if_each_was_read(void **unused) {
    (void)unused;
    struct fixture f = {.dialect = DIALECT_OPENAI, .operation = OPERATION_CHAT, .type = "application/x-ndjson"};
    assert_true(observe_alike(&f, line_put, 6) > STREAMS * 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(streams_of_like_events_are_observed_as_if_each_was_read),
                                       cmocka_unit_test(lines_that_are_alike_are_observed_as_if_each_was_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
