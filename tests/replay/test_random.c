/* Random exchanges: clients and a provider that do anything at any instant, thousands of times, from fixed seeds.
 * Whatever happens: each exchange that begins leaves one record and is freed, its phases sum to its total, no answer
 * that looks complete is not byte for byte what the provider sent for that very request, nothing hangs for ever, and
 * nothing is held in the end (world_close). REPLAY_SEED=n REPLAY_WORLDS=1 plays one world again. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "message.h"
#include "pipeline/exchange.h"
#include "world.h"

enum { WORLDS = 600, REQUESTS_MAX = 64, CLIENTS_MAX = 5, REQUESTS_EACH_MAX = 4, STEPS_MAX = 400 };

enum kind { CHAT, CHAT_STREAM, CHAT_STREAM_USAGE, MESSAGES_STREAM, GEMINI_STREAM, UPLOAD, KIND_COUNT };

enum { ANSWERS_MAX = 24 };
struct request { /* and what the provider made of it, each time it was asked */
    enum kind kind;
    unsigned answer_count;
    struct {
        struct buf body; /* what the client must get of the answer's body */
        bool cut;        /* its end was not sent */
    } answers[ANSWERS_MAX];
};

struct client_agent {
    struct peer *peer;
    struct buf unsent;
    unsigned first, count, seen; /* its requests, and how many answers were looked at */
    bool gone, broken;           /* broken: an answer that was not complete; nothing is looked at any more */
};

struct provider_agent {
    struct buf unsent;
    enum { THEN_NOTHING, THEN_CLOSE, THEN_RESET, THEN_SILENCE } then;
    bool busy, spent; /* spent: it answered before it knew the request, and hears no other */
};

static uint64_t state, playing; /* playing: this world's seed; 0 none */
static unsigned births, deaths, records;
static unsigned exchanges_total, complete_total, broken_total, retried_total;

static struct world world;
static struct request requests[REQUESTS_MAX];
static unsigned request_count;
static struct client_agent clients[CLIENTS_MAX];
static unsigned client_count;
static struct provider_agent providers[PEERS_MAX];
static bool injects;

/* The linker puts these in front of the real ones. */
struct exchange *__real_exchange_new(struct client *c, uint64_t first_byte_ns);
struct exchange *__wrap_exchange_new(struct client *c, uint64_t first_byte_ns);
void __real_exchange_free(struct exchange *x);
void __wrap_exchange_free(struct exchange *x);

struct exchange *__wrap_exchange_new(struct client *c, uint64_t first_byte_ns) {
    births++;
    return __real_exchange_new(c, first_byte_ns);
}

void __wrap_exchange_free(struct exchange *x) {
    deaths++;
    __real_exchange_free(x);
}

static unsigned draw(unsigned n) {
    return (unsigned)(random_next(&state) >> 16) % n;
}

static bool chance(unsigned percent) {
    return draw(100) < percent;
}

/* ---- requests ---- */

static const struct {
    const char *path, *body; /* its number and the end are added */
    bool stream,
        marked; /* marked: its last event says that it is the last, whatever becomes of the framing behind it */
} kinds[KIND_COUNT] = {
    [CHAT] = {"/v1/chat/completions", "{\"model\":\"gpt-4o\",\"user\":\"r", false, false},
    [CHAT_STREAM] = {"/v1/chat/completions", "{\"model\":\"gpt-4o\",\"stream\":true,\"user\":\"r", true, true},
    [CHAT_STREAM_USAGE] = {"/v1/chat/completions",
                           "{\"model\":\"gpt-4o\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                           "\"user\":\"r",
                           true, true},
    [MESSAGES_STREAM] = {"/v1/messages", "{\"model\":\"claude-x\",\"stream\":true,\"max_tokens\":9,\"user\":\"r", true,
                         true},
    [GEMINI_STREAM] = {"/v1beta/models/gemini-x:streamGenerateContent?alt=sse", "{\"contents\":[],\"user\":\"r", true,
                       false},
    [UPLOAD] = {"/openai/v1/files", "{\"purpose\":\"batch\",\"user\":\"r", false, false},
};

static void request_write(struct client_agent *c, unsigned number) {
    struct buf body = {0};
    requests[number].kind = (enum kind)draw(KIND_COUNT);
    buf_printf(&body, "%s%u\"}", kinds[requests[number].kind].body, number);
    if (chance(5)) /* a large one: blanks behind the object */
        for (unsigned i = draw(300000); i > 0; i--) buf_append(&body, " ", 1);
    buf_printf(&c->unsent, "POST %s HTTP/1.1\r\nhost: w\r\nx-api-key: sk-weir-replay\r\n",
               kinds[requests[number].kind].path);
    if (chance(5)) buf_append_text(&c->unsent, "expect: 100-continue\r\n");
    if (chance(20)) {
        size_t first = 1 + draw((unsigned)buf_length(&body) - 1);
        buf_printf(&c->unsent, "transfer-encoding: chunked\r\n\r\n%zx\r\n", first);
        buf_append(&c->unsent, body.data, first);
        buf_printf(&c->unsent, "\r\n%zx\r\n", buf_length(&body) - first);
        buf_append(&c->unsent, body.data + first, buf_length(&body) - first);
        buf_append_text(&c->unsent, "\r\n0\r\n\r\n");
    } else {
        buf_printf(&c->unsent, "content-length: %zu\r\n\r\n", buf_length(&body));
        buf_append_slice(&c->unsent, buf_slice(&body));
    }
    buf_clear(&body);
}

/* ---- answers ---- */

struct answer {
    struct buf wire;
    struct buf *body; /* the request's */
    struct request *request;
    bool chunked;
};

static void body_add(struct answer *a, const char *text, size_t n, bool passes) {
    if (a->chunked) buf_printf(&a->wire, "%zx\r\n", n);
    buf_append(&a->wire, text, n);
    if (a->chunked) buf_append_text(&a->wire, "\r\n");
    if (passes) buf_append(a->body, text, n);
}

static void sse_add(struct answer *a, const char *event, bool passes) {
    char text[512];
    int n = snprintf(text, sizeof text, "data: %s\n\n", event);
    body_add(a, text, (size_t)n, passes);
}

static void openai_stream(struct answer *a, unsigned number) {
    char text[256];
    sse_add(a, "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}", true);
    for (unsigned i = draw(8); i > 0; i--) {
        if (chance(10)) body_add(a, ": keep-alive\n\n", 14, true);
        snprintf(text, sizeof text, "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"r%u-%u \"}}]}", number, i);
        sse_add(a, text, true);
    }
    sse_add(a, "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}", true);
    if (chance(70))
        sse_add(a, "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8}}",
                a->request->kind == CHAT_STREAM_USAGE || !injects);
    sse_add(a, "[DONE]", true);
}

static void anthropic_stream(struct answer *a, unsigned number) {
    char text[256];
    sse_add(a, "{\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"usage\":{\"input_tokens\":5}}}",
            true);
    for (unsigned i = draw(8); i > 0; i--) {
        snprintf(text, sizeof text,
                 "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"r%u-%u\"}}", number,
                 i);
        sse_add(a, chance(10) ? "{\"type\":\"ping\"}" : text, true);
    }
    sse_add(a, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}",
            true);
    sse_add(a, "{\"type\":\"message_stop\"}", true);
}

static void gemini_stream(struct answer *a, unsigned number) {
    char text[256];
    for (unsigned i = draw(8); i > 0; i--) {
        snprintf(text, sizeof text, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"r%u-%u\"}]}}]}", number, i);
        sse_add(a, text, true);
    }
    sse_add(a, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"!\"}]},\"finishReason\":\"STOP\"}]}", true);
}

static void whole_answer(struct answer *a, unsigned number) {
    struct buf json = {0};
    buf_printf(&json,
               "{\"id\":\"r%u\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4},\"filler\":\"",
               number);
    if (chance(10))
        for (unsigned i = draw(400000); i > 0; i--) buf_append(&json, &"0123456789"[i % 10], 1);
    buf_append_text(&json, "\"}");
    if (!a->chunked) buf_printf(&a->wire, "content-length: %zu\r\n\r\n", buf_length(&json));
    body_add(a, json.data, buf_length(&json), true);
    buf_clear(&json);
}

static void answer_write(struct answer *a, unsigned number) {
    static void (*const streams[KIND_COUNT])(struct answer * a,
                                             unsigned number) = {[CHAT_STREAM] = openai_stream,
                                                                 [CHAT_STREAM_USAGE] = openai_stream,
                                                                 [MESSAGES_STREAM] = anthropic_stream,
                                                                 [GEMINI_STREAM] = gemini_stream};
    static const char *const refusals[] = {"400", "401", "429", "500", "503", "302"};
    bool fails = chance(10), stream = kinds[a->request->kind].stream && !fails;
    if (chance(3)) buf_append_text(&a->wire, "HTTP/1.1 100 Continue\r\n\r\n");
    a->chunked = stream || chance(30);
    buf_printf(&a->wire, "HTTP/1.1 %s Said\r\ncontent-type: %s\r\n%s", fails ? refusals[draw(6)] : "200",
               stream ? "text/event-stream" : "application/json",
               a->chunked ? "transfer-encoding: chunked\r\n\r\n" : "");
    if (stream)
        streams[a->request->kind](a, number);
    else
        whole_answer(a, number);
    if (a->chunked) buf_append_text(&a->wire, "0\r\n\r\n");
}

/* Faults: cut at any byte, then an end, a reset or silence; or bytes that are no answer. */
static void faults_add(struct provider_agent *p, struct answer *a, bool *cut) {
    p->then = chance(10) ? THEN_CLOSE : chance(10) ? THEN_RESET : THEN_NOTHING;
    if (!chance(20)) {
        if (chance(2)) buf_append_text(&a->wire, "HTTP/1.1 200 OK\r\n"); /* behind the end */
        return;
    }
    a->wire.end = a->wire.start + draw((unsigned)buf_length(&a->wire));
    *cut = true;
    p->then = chance(40) ? THEN_CLOSE : chance(70) ? THEN_RESET : THEN_SILENCE;
    if (!chance(10)) return;
    buf_clear(&a->wire);
    buf_append_text(&a->wire, "HTTP/1.1 \001garbage\r\n\r\n");
}

/* The number stands in the body, whatever else was spliced into it. */
static bool request_number(const struct message_view *m, unsigned *number) {
    struct slice body = buf_slice(&m->body);
    const char *at = body.n == 0 ? NULL : memmem(body.p, body.n, "\"user\":\"r", 9);
    if (at == NULL) return false;
    size_t left = body.n - (size_t)(at - body.p) - 9, digits = 0;
    for (*number = 0; digits < left && at[9 + digits] >= '0' && at[9 + digits] <= '9'; digits++)
        *number = *number * 10 + (unsigned)(at[9 + digits] - '0');
    return digits > 0 && digits < left && *number < request_count;
}

static void provider_look(struct peer *peer, struct provider_agent *p) {
    struct message_view m = message_read(buf_slice(&peer->got), false, false);
    unsigned number;
    bool early = m.length > 0 && chance(1);
    if ((m.complete || early) && request_number(&m, &number)) {
        struct request *r = &requests[number];
        assert_true(r->answer_count < ANSWERS_MAX);
        struct answer a = {.request = r, .body = &r->answers[r->answer_count].body};
        answer_write(&a, number);
        faults_add(p, &a, &r->answers[r->answer_count++].cut);
        buf_append_slice(&p->unsent, buf_slice(&a.wire));
        buf_clear(&a.wire);
        p->busy = true;
        p->spent = !m.complete;
        if (m.complete) buf_consume(&peer->got, m.length);
    }
    message_clear(&m);
}

/* ---- steps ---- */

/* Anything from a byte to everything. */
static size_t portion(size_t n) {
    size_t most = chance(30) ? n : chance(50) ? 64 : 2000;
    size_t some = 1 + draw((unsigned)(most < 1 ? 1 : most));
    return some < n ? some : n;
}

static bool send_some(struct peer *peer, struct buf *unsent) {
    if (buf_length(unsent) == 0) return false;
    size_t n = portion(buf_length(unsent));
    peer_send(peer, unsent->data + unsent->start, n);
    buf_consume(unsent, n);
    return true;
}

static void provider_step(unsigned i) {
    struct peer *peer = &world.providers[i];
    struct provider_agent *p = &providers[i];
    if (peer->fd < 0) return;
    if (!p->busy) {
        if (chance(2)) peer_close(peer);
        if (peer->fd >= 0 && !peer->ended && !p->spent) provider_look(peer, p);
        return;
    }
    if (chance(5)) peer->paused = !peer->paused;
    if (send_some(peer, &p->unsent)) return;
    if (p->then == THEN_CLOSE) peer_close(peer);
    if (p->then == THEN_RESET) peer_reset(peer);
    p->busy = p->then == THEN_SILENCE;
}

/* Of two attempts in a race either may be the one that the client hears of. */
static bool is_an_answer(const struct request *r, struct slice body) {
    for (unsigned i = 0; i < r->answer_count; i++)
        if ((!r->answers[i].cut || kinds[r->kind].marked) && slice_equal(body, buf_slice(&r->answers[i].body)))
            return true;
    return false;
}

static void answers_look(struct client_agent *c) {
    while (!c->broken && c->seen < c->count) {
        struct peer *peer = c->peer;
        struct message_view m = message_read(buf_slice(&peer->got), true, false);
        const struct request *r = &requests[c->first + c->seen];
        bool interim = m.length > 0 && message_status(&m) < 200, complete = m.complete && !interim;
        if (complete && message_status(&m) == 200) {
            complete_total++;
            if (!is_an_answer(r, buf_slice(&m.body)))
                fail_msg("request %u got something that no answer to it was:\n%.*s", c->first + c->seen,
                         (int)peer->got.end, peer->got.data);
        }
        if (m.complete) buf_consume(&peer->got, m.length);
        message_clear(&m);
        if (!complete && !interim) return;
        if (complete) c->seen++;
    }
}

static void client_step(struct client_agent *c) {
    if (c->gone) return;
    answers_look(c);
    if (chance(1)) {
        c->gone = true;
        if (chance(50))
            peer_close(c->peer);
        else
            peer_reset(c->peer);
        return;
    }
    if (chance(3)) c->peer->paused = !c->peer->paused;
    send_some(c->peer, &c->unsent);
}

static void records_take(void) {
    const struct record *r;
    while ((r = world_record(&world)) != NULL) {
        records++;
        exchanges_total++;
        if (r->error_source != SOURCE_NONE) broken_total++;
        if (r->attempts > 1) retried_total++;
        assert_true(r->status >= 200 && r->status < 600);
        if (r->error_source == SOURCE_NONE) assert_true(r->status < 400);
        assert_true(r->ttft_ns == TIME_UNKNOWN_NS || r->ttft_ns <= r->total_ns);
        assert_true(r->ttft_ns == TIME_UNKNOWN_NS || r->first_event_ns <= r->ttft_ns);
        assert_true(r->gap_max_ns == TIME_UNKNOWN_NS || r->gap_max_ns <= r->total_ns);
        assert_true(r->attempts <= REQUESTS_MAX);
        assert_true(r->callback_ns <= r->total_ns);
        world_record_done(&world);
    }
}

static void time_step(void) {
    static const uint64_t most_ns[] = {1000, NS_PER_MS, 40 * NS_PER_MS, 900 * NS_PER_MS};
    unsigned which = draw(100);
    if (which < 50) return;
    uint64_t most = most_ns[which < 70 ? 0 : which < 90 ? 1 : which < 98 ? 2 : 3];
    world_advance(&world, world_ns() + random_next(&state) % most);
}

static void step(void) {
    if (chance(60) && client_count > 0) client_step(&clients[draw(client_count)]);
    for (unsigned i = 0; i < world.provider_count; i++)
        if (chance(50)) provider_step(i);
    if (chance(5)) world_busy(&world, draw(3000000));
    if (chance(2)) world_connects_hold(&world, !world.connects_held);
    world_settle(&world);
    records_take();
    time_step();
}

/* ---- a world ---- */

static void agents_open(void) {
    client_count = 1 + draw(CLIENTS_MAX);
    request_count = 0;
    memset(providers, 0, sizeof providers);
    for (unsigned i = 0; i < client_count; i++) {
        struct client_agent *c = &clients[i];
        *c = (struct client_agent){.first = request_count, .count = 1 + draw(REQUESTS_EACH_MAX)};
        c->peer = world_client(&world, chance(20));
        for (unsigned k = 0; k < c->count; k++) {
            requests[request_count] = (struct request){0};
            request_write(c, request_count++);
        }
    }
}

/* Everybody reads again, nobody sends any more, and every deadline passes: a large body has bought minutes. */
static void all_end(void) {
    world_connects_hold(&world, false);
    for (unsigned i = 0; i < world.client_count; i++) world.clients[i].paused = false;
    for (unsigned i = 0; i < world.provider_count; i++) world.providers[i].paused = false;
    for (int i = 0; i < 80; i++) {
        world_settle(&world);
        records_take();
        world_advance(&world, world_ns() + 5 * NS_PER_S);
    }
    world_settle(&world);
    records_take();
    for (unsigned i = 0; i < client_count; i++) answers_look(&clients[i]);
    if (world.worker->in_flight != 0) fail_msg("%u exchanges hang", world.worker->in_flight);
}

static void agents_close(void) {
    for (unsigned i = 0; i < client_count; i++) buf_clear(&clients[i].unsent);
    for (unsigned i = 0; i < PEERS_MAX; i++) buf_clear(&providers[i].unsent);
    for (unsigned i = 0; i < request_count; i++)
        for (unsigned k = 0; k < requests[i].answer_count; k++) buf_clear(&requests[i].answers[k].body);
}

static void world_play(uint64_t seed) {
    static const char *const provider_settings[] = {
        "    timeouts: {connect: 800ms, first_token: 1s, idle: 500ms, total: 5s}\n",
        "    timeouts: {total: 9s}\n    max_connections: 1\n    queue: {wait: 1s, size: 3}\n",
        "    timeouts: {first_token: 2s, total: 6s}\n    max_connections: 2\n    queue: {wait: 3s, size: 100}\n    "
        "usage: never\n"};
    /* The names that clients ask for, as aliases that go on after a failed try. */
    static const char retrying[] =
        "models:\n"
        "  gpt-4o:\n"
        "    targets: [{provider: openai, model: gpt-4o}, {provider: openai, model: gpt-longer-name, weight: 3}]\n"
        "    retry: {attempts: 2, backoff: 20ms}\n"
        "    commit_after: 300ms\n"
        "    balance: latency\n"
        "  claude-x:\n"
        "    targets: [{provider: anthropic, model: claude-x}]\n"
        "    fallback: [claude-y]\n"
        "  claude-y:\n"
        "    targets: [{provider: anthropic, model: claude-y}]\n"
        "    retry: {attempts: 3, backoff: 0s, when: [429, 500, reset]}\n"
        "  gemini-x:\n"
        "    targets: [{provider: gemini, model: gemini-x}]\n"
        "    retry: {attempts: 4, backoff: 200ms}\n";
    static const char racing[] =
        "models:\n"
        "  gpt-4o:\n"
        "    targets: [{provider: openai, model: gpt-4o}, {provider: openai, model: gpt-longer-name, weight: 3}]\n"
        "    hedge: {after: 8ms, budget: 100%}\n"
        "    commit_after: 300ms\n"
        "  claude-x:\n"
        "    targets: [{provider: anthropic, model: claude-x}]\n"
        "    hedge: {after: 1ms, budget: 100%}\n"
        "    retry: {attempts: 3, backoff: 10ms}\n"
        "  gemini-x:\n"
        "    targets: [{provider: gemini, model: gemini-x}]\n"
        "    hedge: {after: p95, budget: 50%}\n";
    static const char *const routings[] = {"", retrying, racing};
    static const uint64_t ticks[] = {0, 0, 700, 90000};
    state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    unsigned setting = draw(3);
    injects = setting != 2;
    births = deaths = records = 0;
    fake_clock_tick(ticks[draw(4)], state | 1);
    world_open(&world, routings[seed % 3], provider_settings[setting]);
    agents_open();
    for (unsigned steps = 60 + draw(STEPS_MAX); steps > 0; steps--) step();
    if (chance(15)) world_drain(&world);
    if (chance(10)) world_cut(&world);
    all_end();
    assert_int_equal(births, records);
    agents_close();
    fake_clock_tick(0, 1);
    world_close(&world);
    assert_int_equal(births, deaths);
}

static uint64_t setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void whatever_happens_each_exchange_leaves_one_exact_record_and_nothing_else(void **test) {
    uint64_t first = setting("REPLAY_SEED", 1), worlds = setting("REPLAY_WORLDS", WORLDS);
    (void)test;
    for (playing = first; playing < first + worlds; playing++) world_play(playing);
    playing = 0;
    print_message("%u exchanges in %" PRIu64 " worlds: %u whole answers, %u failed, %u tried twice\n", exchanges_total,
                  worlds, complete_total, broken_total, retried_total);
    if (worlds >= WORLDS) assert_true(complete_total > 500 && broken_total > 500 && retried_total > 5);
}

static int playing_tell(void **test) {
    (void)test;
    if (playing != 0) print_error("REPLAY_SEED=%" PRIu64 " REPLAY_WORLDS=1 plays this world again\n", playing);
    return 0;
}

static void aborted(int number) {
    (void)number;
    playing_tell(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(
        whatever_happens_each_exchange_leaves_one_exact_record_and_nothing_else, playing_tell)};
    signal(SIGABRT, aborted); /* an assertion of the gateway's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
