/* What scanning a request body or a stream's event costs. Needs nothing but the json folder:
 *   gcc -std=gnu17 -O2 -D_GNU_SOURCE -Iinclude -o build/bench-json bench/json_scan.c build/release/lib/json.a \
 *       build/release/lib/base.a && build/bench-json
 * Prints the best of several rounds, because the machine's noise only ever adds. */
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "json/scan.h"

static const struct json_path request_paths[] = {{"", 0},
                                                 {"model", 1},
                                                 {"stream", 2},
                                                 {"stream_options", 3},
                                                 {"stream_options.include_usage", 4},
                                                 {"max_tokens", 5},
                                                 {"max_completion_tokens", 6},
                                                 {"n", 7}};
static const struct json_path chunk_paths[] = {{"model", 1},
                                               {"choices", 2},
                                               {"choices[].delta.content", 3},
                                               {"choices[].delta.reasoning_content", 4},
                                               {"choices[].delta.reasoning", 5},
                                               {"choices[].delta.refusal", 6},
                                               {"choices[].delta.tool_calls[].function.name", 7},
                                               {"choices[].delta.tool_calls[].function.arguments", 8},
                                               {"choices[].finish_reason", 9},
                                               {"usage", 10},
                                               {"usage.prompt_tokens", 11},
                                               {"usage.completion_tokens", 12},
                                               {"usage.prompt_tokens_details.cached_tokens", 13},
                                               {"usage.completion_tokens_details.reasoning_tokens", 14},
                                               {"error", 15},
                                               {"x_groq.usage.total_time", 16}};

static const char prose[] = "The ferry left an hour late, and by then the fog had come down over the whole of the "
                            "sound, so that the lights of the "
                            "other shore were gone and only the bell at the end of the pier told us which way we were "
                            "not going. Nobody spoke much. ";
static const char cjk[] =
    "昨日の会議では、来年度の予算について長い議論がありました。結論はまだ出ていませんが、方向は決まりました。";
static const char code[] = "static int open_port(const char *name) {\\n    if (name == NULL) {\\n        "
                           "log_warn(\\\"no port\\\");\\n        return -1;\\n"
                           "    }\\n    return open(name, O_RDWR);\\n}\\n\\n";
static const char chunk[] =
    "{\"id\":\"chatcmpl-BzKq81Vd3rT0\",\"object\":\"chat.completion.chunk\",\"created\":1753001122,\"model\":\"gpt-5.4-"
    "mini\","
    "\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" harbour\"},\"logprobs\":null,"
    "\"finish_reason\":null}]}";

static uint64_t sink;
static void note(void *context, const struct json_value *v) {
    (void)context, sink += v->length + v->text.n;
}

/* A chat request of `turns` messages of about `bytes` each. */
static void make_body(struct buf *b, const char *text, int turns, size_t bytes) {
    buf_append_text(
        b, "{\"model\":\"gpt-5.4-mini\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[");
    for (int i = 0; i < turns; i++) {
        if (i > 0) buf_append_text(b, ",");
        buf_append_text(b, i % 2 ? "{\"role\":\"assistant\",\"content\":\"" : "{\"role\":\"user\",\"content\":\"");
        size_t from = buf_length(b), whole = strlen(text);
        if (bytes < whole) buf_append(b, text, bytes);
        while (bytes >= whole && buf_length(b) - from < bytes) buf_append_text(b, text);
        buf_append_text(b, "\"}");
    }
    buf_append_text(b, "],\"max_completion_tokens\":800,\"temperature\":0.7}");
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure(const char *name, const struct json_paths *paths, enum json_mode mode, struct slice text) {
    size_t times = 4000000 / text.n + 1;
    double best = 1e9;
    for (int round = 0; round < 25; round++) {
        double from = seconds();
        for (size_t i = 0; i < times; i++) {
            struct json_scan s;
            json_scan_init(&s, paths, mode, note, NULL);
            json_scan_feed(&s, text.p, text.n);
            if (json_scan_end(&s) != JSON_DONE) printf("%s: not JSON\n", name);
        }
        double one = (seconds() - from) / (double)times;
        if (one < best) best = one;
    }
    printf("%-26s %7zu bytes %9.1f ns %8.3f us/KB\n", name, text.n, best * 1e9, best * 1e6 / ((double)text.n / 1024));
}

int main(void) {
    struct json_paths *request = json_paths_new(request_paths, sizeof(request_paths) / sizeof(request_paths[0]));
    struct json_paths *event = json_paths_new(chunk_paths, sizeof(chunk_paths) / sizeof(chunk_paths[0]));
    static const struct {
        const char *name, *text;
        int turns;
        size_t bytes;
    } bodies[] = {{"prose, strict", prose, 4, 4000},
                  {"turns of 200 B, strict", prose, 80, 200},
                  {"turns of 60 B, strict", prose, 160, 60},
                  {"CJK, strict", cjk, 4, 4000},
                  {"code, strict", code, 4, 4000}};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct buf b = {0};
        make_body(&b, bodies[i].text, bodies[i].turns, bodies[i].bytes);
        measure(bodies[i].name, request, JSON_STRICT, buf_slice(&b));
        buf_clear(&b);
    }
    measure("event, relaxed", event, JSON_RELAXED, SLICE(chunk));
    measure("event, strict", event, JSON_STRICT, SLICE(chunk));
    json_paths_free(request);
    json_paths_free(event);
    return sink == 0;
}
