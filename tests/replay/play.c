/* Playing a scenario: time moves to each step's instant by way of every timer due before, the step is done, and what it
 * sets off is over before the next one. The bytes of one instant go out whole, byte by byte or cut at random: whatever
 * the cut, every expectation must hold. */
#include "play.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cut_names[] = {"whole", "byte by byte", "cut at random"};

void play_fail(const struct play *p, const char *format, ...) {
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_error("%s:%u: %s (bytes %s)\n", p->scenario->file, p->step->line, text, cut_names[p->cut]);
    fail();
    abort();
}

struct buf unescape(struct slice text) {
    struct buf out = {0};
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\' && i + 1 < text.n) {
            c = text.p[++i];
            if (c == 'r') c = '\r';
            if (c == 'n') c = '\n';
            if (c == 'x' && i + 2 < text.n) {
                char digits[] = {text.p[i + 1], text.p[i + 2], '\0'};
                c = (char)strtoul(digits, NULL, 16);
                i += 2;
            }
            if (c == '"' || c == 'u') buf_append(&out, "\\", 1); /* JSON's own */
        }
        buf_append(&out, &c, 1);
    }
    return out;
}

/* ---- sending ---- */

static size_t piece(struct play *p) {
    if (p->cut == CUT_WHOLE) return SIZE_MAX;
    return p->cut == CUT_BYTES ? 1 : 1 + random_next(&p->random) % 48;
}

static void pending_send(struct play *p) {
    struct peer *to = p->sender;
    p->sender = NULL;
    while (to != NULL && buf_length(&p->pending) > 0) {
        size_t n = piece(p), all = buf_length(&p->pending);
        if (n > all) n = all;
        peer_send(to, p->pending.data + p->pending.start, n);
        buf_consume(&p->pending, n);
        world_settle(&p->world);
    }
}

void play_send(struct play *p, struct peer *to, struct slice bytes) {
    if (p->sender != to) pending_send(p);
    p->sender = to;
    buf_append_slice(&p->pending, bytes);
}

/* ---- who ---- */

struct peer *play_client(struct play *p) {
    while (p->world.client_count <= p->step->number) world_client(&p->world, false);
    return &p->world.clients[p->step->number];
}

struct peer *play_provider(struct play *p) {
    if (p->step->number >= p->world.provider_count)
        play_fail(p, "there is no connection %u to the provider", p->step->number + 1);
    return &p->world.providers[p->step->number];
}

/* ---- what both sides can be asked ---- */

static void view_need_head(struct play *p, const struct peer *peer, const struct message_view *m) {
    struct slice got = buf_slice(&peer->got);
    if (m->length == 0) play_fail(p, "no head has come, only: %.*s", (int)got.n, got.p);
}

void peer_got_field(struct play *p, struct peer *peer, struct slice rest, bool is_answer, bool wanted) {
    struct message_view m = message_read(buf_slice(&peer->got), is_answer, peer->ended);
    view_need_head(p, peer, &m);
    const char *colon = memchr(rest.p, ':', rest.n);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(colon != NULL ? (size_t)(colon - rest.p) : rest.n), rest.p);
    struct slice value = message_field(&m, name), expected = {NULL, 0};
    if (colon != NULL) expected = slice_trim((struct slice){colon + 1, (size_t)(rest.p + rest.n - colon - 1)});
    if ((value.p != NULL) != wanted)
        play_fail(p, "field %s is %sthere:\n%.*s", name, wanted ? "not " : "", (int)m.fields.n, m.fields.p);
    if (colon != NULL && !slice_equal(value, expected)) play_fail(p, "field %s is %.*s", name, (int)value.n, value.p);
    message_clear(&m);
}

void peer_got_body(struct play *p, struct peer *peer, struct slice expected, bool is_answer) {
    struct message_view m = message_read(buf_slice(&peer->got), is_answer, peer->ended);
    view_need_head(p, peer, &m);
    struct slice body = buf_slice(&m.body);
    if (!slice_equal(body, expected))
        play_fail(p, "the body is\n%.*s\n-- not\n%.*s", (int)body.n, body.p, (int)expected.n, expected.p);
    message_clear(&m);
}

void peer_got_nothing(struct play *p, const struct peer *peer) {
    struct slice got = buf_slice(&peer->got);
    if (got.n > 0) play_fail(p, "it got: %.*s", (int)got.n, got.p);
}

void peer_sees(struct play *p, const struct peer *peer, const char *what) {
    const char *is = peer->reset ? "reset" : peer->ended ? "end" : "open";
    if (strcmp(is, what) != 0) play_fail(p, "its connection: %s", is);
}

/* ---- steps ---- */

static const struct verb *verb_find(const struct play *p, struct slice *text) {
    static const struct verb *const tables[] = {client_verbs, provider_verbs, network_verbs, worker_verbs};
    const struct verb *best = NULL;
    for (const struct verb *v = tables[p->step->actor]; v->words != NULL; v++) {
        struct slice words = slice_of(v->words);
        bool fits = slice_starts(*text, words) && (text->n == words.n || text->p[words.n] == ' ');
        if (fits && (best == NULL || words.n > strlen(best->words))) best = v;
    }
    if (best == NULL) play_fail(p, "what is that? %s", p->step->text);
    size_t n = strlen(best->words);
    *text = slice_trim((struct slice){text->p + n, text->n - n});
    return best;
}

/* The same peer sends more at the same instant. */
static bool goes_on(const struct play *p) {
    const struct step *before = p->step - 1;
    return p->step > p->scenario->steps && before->actor == p->step->actor && before->number == p->step->number &&
           before->at_ns == p->step->at_ns;
}

static void step_play(struct play *p) {
    struct slice text = slice_of(p->step->text);
    const struct verb *v = p->step->actor == ACTOR_RECORD ? NULL : verb_find(p, &text);
    if (v == NULL || !v->sends || !goes_on(p)) pending_send(p);
    if (world_ns() != p->step->at_ns) world_advance(&p->world, p->step->at_ns);
    if (v == NULL) {
        record_check(p, text);
        return;
    }
    v->run(p, text);
    if (!v->sends) world_settle(&p->world);
}

void play_scenario(const struct scenario *s, enum cut cut, uint64_t seed) {
    struct play p = {.scenario = s, .cut = cut, .random = seed};
    world_open(&p.world, s->settings != NULL ? s->settings : "",
               s->provider_settings != NULL ? s->provider_settings : "");
    for (size_t i = 0; i < s->step_count; i++) {
        p.step = &s->steps[i];
        step_play(&p);
    }
    pending_send(&p);
    buf_clear(&p.expected);
    world_close(&p.world);
}
