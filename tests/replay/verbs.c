/* What clients, the provider, the network and the worker do and see in a scenario (scenarios/README.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"

static void text_send(struct play *p, struct peer *to, struct slice text) {
    struct buf bytes = unescape(text);
    play_send(p, to, buf_slice(&bytes));
    buf_clear(&bytes);
}

/* The first word, and the rest. */
static struct slice first_word(struct slice text, struct slice *rest) {
    const char *space = text.n > 0 ? memchr(text.p, ' ', text.n) : NULL;
    size_t n = space != NULL ? (size_t)(space - text.p) : text.n;
    *rest = slice_trim((struct slice){text.p + n, text.n - n});
    return (struct slice){text.p, n};
}

/* ---- clients ---- */

static void client_connects(struct play *p, struct slice rest) {
    (void)rest;
    if (p->world.client_count != p->step->number) play_fail(p, "clients connect in order");
    world_client(&p->world, false);
}

static void client_connects_narrow(struct play *p, struct slice rest) {
    (void)rest;
    world_client(&p->world, true);
}

/* METHOD PATH [JSON] */
static void client_asks(struct play *p, struct slice rest) {
    struct slice path, json, method = first_word(rest, &rest);
    struct buf out = {0};
    path = first_word(rest, &json);
    buf_printf(&out, "%.*s %.*s HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer sk-weir-replay\r\n", (int)method.n,
               method.p, (int)path.n, path.p);
    if (json.n > 0) buf_printf(&out, "content-type: application/json\r\ncontent-length: %zu\r\n", json.n);
    buf_append_text(&out, "\r\n");
    buf_append_slice(&out, json);
    play_send(p, play_client(p), buf_slice(&out));
    buf_clear(&out);
}

static void client_sends(struct play *p, struct slice rest) {
    text_send(p, play_client(p), rest);
}

static void client_uploads(struct play *p, struct slice rest) {
    size_t n = strtoul(rest.p, NULL, 10);
    struct buf bytes = {0};
    memset(buf_reserve(&bytes, n), 'u', n);
    buf_commit(&bytes, n);
    play_send(p, play_client(p), buf_slice(&bytes));
    buf_clear(&bytes);
}

static void client_leaves(struct play *p, struct slice rest) {
    (void)rest;
    peer_close(play_client(p));
}

static void client_resets(struct play *p, struct slice rest) {
    (void)rest;
    peer_reset(play_client(p));
}

static void client_shuts(struct play *p, struct slice rest) {
    (void)rest;
    peer_end(play_client(p));
}

static void client_pauses(struct play *p, struct slice rest) {
    (void)rest;
    play_client(p)->paused = true;
}

static void client_reads(struct play *p, struct slice rest) {
    (void)rest;
    play_client(p)->paused = false;
}

static struct message_view client_view(struct play *p, bool complete) {
    struct peer *c = play_client(p);
    struct slice got = buf_slice(&c->got);
    struct message_view m = message_read(got, true, c->ended);
    if (m.length == 0) play_fail(p, "no answer's head has come, only: %.*s", (int)got.n, got.p);
    if (complete && !m.complete) play_fail(p, "the answer is not complete: %.*s", (int)got.n, got.p);
    return m;
}

static void client_consume(struct play *p, struct message_view *m) {
    buf_consume(&play_client(p)->got, m->length);
    message_clear(m);
}

static void client_got_status(struct play *p, struct slice rest) {
    struct message_view m = client_view(p, false);
    if (message_status(&m) != strtoul(rest.p, NULL, 10))
        play_fail(p, "the answer is %.*s", (int)m.start_line.n, m.start_line.p);
    message_clear(&m);
}

/* A complete answer, its body byte for byte what the provider sent. */
static void client_got_whole(struct play *p, struct slice rest) {
    (void)rest;
    peer_got_body(p, play_client(p), buf_slice(&p->expected), true);
    struct message_view m = client_view(p, true);
    client_consume(p, &m);
    buf_clear(&p->expected);
}

static void client_got_so_far(struct play *p, struct slice rest) {
    (void)rest;
    peer_got_body(p, play_client(p), buf_slice(&p->expected), true);
    struct message_view m = client_view(p, false);
    if (m.complete) play_fail(p, "the answer is complete");
    message_clear(&m);
}

static void client_got_body(struct play *p, struct slice rest) {
    struct buf expected = unescape(rest);
    peer_got_body(p, play_client(p), buf_slice(&expected), true);
    struct message_view m = client_view(p, true);
    client_consume(p, &m);
    buf_clear(&expected);
}

/* A complete answer of weir's own: its status and what x-weir-error says. */
static void client_got_error(struct play *p, struct slice rest) {
    struct message_view m = client_view(p, true);
    struct slice name, error = message_field(&m, "x-weir-error"), status = first_word(rest, &name);
    if (message_status(&m) != strtoul(status.p, NULL, 10) || !slice_equal(error, name))
        play_fail(p, "the answer is %.*s, error %.*s", (int)m.start_line.n, m.start_line.p, (int)error.n, error.p);
    client_consume(p, &m);
}

/* Everything the provider sent, then text that holds these words, and no end of the body. */
static void client_got_broken(struct play *p, struct slice rest) {
    struct message_view m = client_view(p, false);
    struct slice body = buf_slice(&m.body), sent = buf_slice(&p->expected);
    if (m.complete && !m.until_close) play_fail(p, "the answer looks complete");
    if (!slice_starts(body, sent))
        play_fail(p, "the body is\n%.*s\n-- not\n%.*s", (int)body.n, body.p, (int)sent.n, sent.p);
    struct slice tail = {body.p + sent.n, body.n - sent.n};
    struct buf words = unescape(rest);
    rest = buf_slice(&words);
    if (rest.n > 0 ? tail.n == 0 || memmem(tail.p, tail.n, rest.p, rest.n) == NULL : tail.n > 0)
        play_fail(p, "it ends with: %.*s", (int)tail.n, tail.p);
    buf_clear(&words);
    client_consume(p, &m);
    buf_clear(&p->expected);
}

static void client_got_continue(struct play *p, struct slice rest) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    (void)rest;
    struct buf *got = &play_client(p)->got;
    if (!slice_starts(buf_slice(got), SLICE(text))) play_fail(p, "it was not told to go on");
    buf_consume(got, sizeof text - 1);
}

/* Anywhere in what has come, as it came. */
static void client_got_text(struct play *p, struct slice rest) {
    struct buf text = unescape(rest);
    struct slice got = buf_slice(&play_client(p)->got), wanted = buf_slice(&text);
    if (got.n == 0 || memmem(got.p, got.n, wanted.p, wanted.n) == NULL) play_fail(p, "it got: %.*s", (int)got.n, got.p);
    buf_clear(&text);
}

static void client_got_nothing(struct play *p, struct slice rest) {
    (void)rest;
    peer_got_nothing(p, play_client(p));
}

static void client_got_field(struct play *p, struct slice rest) {
    peer_got_field(p, play_client(p), rest, true, true);
}

static void client_got_no_field(struct play *p, struct slice rest) {
    peer_got_field(p, play_client(p), rest, true, false);
}

static void client_sees_end(struct play *p, struct slice rest) {
    (void)rest;
    peer_sees(p, play_client(p), "end");
}

static void client_sees_reset(struct play *p, struct slice rest) {
    (void)rest;
    peer_sees(p, play_client(p), "reset");
}

static void client_sees_open(struct play *p, struct slice rest) {
    (void)rest;
    peer_sees(p, play_client(p), "open");
}

const struct verb client_verbs[] = {{"connects", client_connects, false},
                                    {"connects narrow", client_connects_narrow, false},
                                    {"asks", client_asks, true},
                                    {"sends", client_sends, true},
                                    {"uploads", client_uploads, true},
                                    {"leaves", client_leaves, false},
                                    {"resets", client_resets, false},
                                    {"ends its side", client_shuts, false},
                                    {"stops reading", client_pauses, false},
                                    {"reads", client_reads, false},
                                    {"got status", client_got_status, false},
                                    {"got whole", client_got_whole, false},
                                    {"got all so far", client_got_so_far, false},
                                    {"got body", client_got_body, false},
                                    {"got error", client_got_error, false},
                                    {"got broken", client_got_broken, false},
                                    {"got continue", client_got_continue, false},
                                    {"got text", client_got_text, false},
                                    {"got nothing", client_got_nothing, false},
                                    {"got field", client_got_field, false},
                                    {"got no field", client_got_no_field, false},
                                    {"sees end", client_sees_end, false},
                                    {"sees reset", client_sees_reset, false},
                                    {"sees open", client_sees_open, false},
                                    VERBS_END};

/* ---- the provider ---- */

/* A request that has been answered is done with. */
static void request_consume(struct peer *peer) {
    struct message_view m = message_read(buf_slice(&peer->got), false, peer->ended);
    if (m.complete) buf_consume(&peer->got, m.length);
    message_clear(&m);
}

static void head_send(struct play *p, struct slice rest, const char *framing) {
    struct slice type, status = first_word(rest, &type);
    struct buf head = {0};
    buf_printf(&head, "HTTP/1.1 %.*s Said\r\ncontent-type: %.*s\r\n%s\r\n", (int)status.n, status.p, (int)type.n,
               type.p, framing);
    play_send(p, play_provider(p), buf_slice(&head));
    buf_clear(&head);
}

/* STATUS TYPE: a head; the body follows in chunks. */
static void provider_answers(struct play *p, struct slice rest) {
    p->in_chunks[p->step->number] = true;
    head_send(p, rest, "transfer-encoding: chunked\r\n");
}

/* N STATUS TYPE: … or has a length. */
static void provider_answers_with_length(struct play *p, struct slice rest) {
    char framing[64];
    struct slice length = first_word(rest, &rest);
    snprintf(framing, sizeof framing, "content-length: %.*s\r\n", (int)length.n, length.p);
    p->in_chunks[p->step->number] = false;
    head_send(p, rest, framing);
}

static void provider_answers_until_close(struct play *p, struct slice rest) {
    p->in_chunks[p->step->number] = false;
    head_send(p, rest, "");
}

static void body_send(struct play *p, struct slice bytes, bool expected) {
    struct peer *to = play_provider(p);
    struct buf out = {0};
    bool chunk = p->in_chunks[p->step->number];
    if (chunk) buf_printf(&out, "%zx\r\n", bytes.n);
    buf_append_slice(&out, bytes);
    if (chunk) buf_append_text(&out, "\r\n");
    play_send(p, to, buf_slice(&out));
    if (expected) buf_append_slice(&p->expected, bytes);
    buf_clear(&out);
}

static void event_send(struct play *p, struct slice name, struct slice data, bool expected) {
    struct buf event = {0};
    if (name.n > 0) buf_printf(&event, "event: %.*s\n", (int)name.n, name.p);
    buf_printf(&event, "data: %.*s\n\n", (int)data.n, data.p);
    body_send(p, buf_slice(&event), expected);
    buf_clear(&event);
}

static void provider_data(struct play *p, struct slice rest) {
    event_send(p, SLICE(""), rest, true);
}

static void provider_withheld(struct play *p, struct slice rest) {
    event_send(p, SLICE(""), rest, false);
}

static void provider_event(struct play *p, struct slice rest) {
    struct slice name = first_word(rest, &rest);
    event_send(p, name, rest, true);
}

static void provider_body(struct play *p, struct slice rest) {
    struct buf bytes = unescape(rest);
    body_send(p, buf_slice(&bytes), true);
    buf_clear(&bytes);
}

static void provider_fills(struct play *p, struct slice rest) {
    struct buf bytes = {0};
    for (size_t n = strtoul(rest.p, NULL, 10), i = 0; i < n; i++) buf_append(&bytes, &"0123456789abcde"[i % 15], 1);
    body_send(p, buf_slice(&bytes), true);
    buf_clear(&bytes);
}

static void provider_sends(struct play *p, struct slice rest) {
    text_send(p, play_provider(p), rest);
}

static void provider_ends(struct play *p, struct slice rest) {
    (void)rest;
    play_send(p, play_provider(p), SLICE("0\r\n\r\n"));
    request_consume(play_provider(p));
}

static void provider_done(struct play *p, struct slice rest) {
    event_send(p, SLICE(""), SLICE("[DONE]"), true);
    provider_ends(p, rest);
}

/* STATUS JSON [with FIELD: VALUE]: a whole answer. */
static void reply_send(struct play *p, struct slice rest, bool expected) {
    struct slice json, fields = {"", 0}, status = first_word(rest, &json);
    const char *with = json.n > 0 ? memmem(json.p, json.n, "} with ", 7) : NULL;
    if (with != NULL) {
        fields = (struct slice){with + 7, json.n - (size_t)(with - json.p) - 7};
        json.n = (size_t)(with - json.p) + 1;
    }
    struct buf out = {0};
    buf_printf(&out, "HTTP/1.1 %.*s Said\r\ncontent-type: application/json\r\n%.*s%scontent-length: %zu\r\n\r\n%.*s",
               (int)status.n, status.p, (int)fields.n, fields.p, fields.n > 0 ? "\r\n" : "", json.n, (int)json.n,
               json.p);
    play_send(p, play_provider(p), buf_slice(&out));
    if (expected) buf_append_slice(&p->expected, json);
    buf_clear(&out);
    request_consume(play_provider(p));
}

static void provider_replies(struct play *p, struct slice rest) {
    reply_send(p, rest, true);
}

/* … that the client must not get. */
static void provider_refuses(struct play *p, struct slice rest) {
    reply_send(p, rest, false);
}

static void provider_closes(struct play *p, struct slice rest) {
    (void)rest;
    peer_close(play_provider(p));
}

static void provider_resets(struct play *p, struct slice rest) {
    (void)rest;
    peer_reset(play_provider(p));
}

static void provider_shuts(struct play *p, struct slice rest) {
    (void)rest;
    peer_end(play_provider(p));
}

static void provider_pauses(struct play *p, struct slice rest) {
    (void)rest;
    play_provider(p)->paused = true;
}

static void provider_reads(struct play *p, struct slice rest) {
    (void)rest;
    play_provider(p)->paused = false;
}

/* METHOD PATH: a whole request. */
static void provider_got_request(struct play *p, struct slice rest) {
    struct peer *peer = play_provider(p);
    struct slice got = buf_slice(&peer->got);
    struct message_view m = message_read(got, false, peer->ended);
    if (!m.complete) play_fail(p, "no whole request has come, only: %.*s", (int)got.n, got.p);
    struct slice line = m.start_line, version = SLICE(" HTTP/1.1");
    if (line.n != rest.n + version.n || !slice_starts(line, rest))
        play_fail(p, "the request is %.*s", (int)line.n, line.p);
    message_clear(&m);
}

static void provider_got_body(struct play *p, struct slice rest) {
    struct buf expected = unescape(rest);
    peer_got_body(p, play_provider(p), buf_slice(&expected), false);
    buf_clear(&expected);
}

static void provider_got_nothing(struct play *p, struct slice rest) {
    (void)rest;
    if (p->step->number < p->world.provider_count) peer_got_nothing(p, play_provider(p));
}

static void provider_is_not_there(struct play *p, struct slice rest) {
    (void)rest;
    if (p->step->number < p->world.provider_count) play_fail(p, "there are %u connections", p->world.provider_count);
}

static void provider_got_field(struct play *p, struct slice rest) {
    peer_got_field(p, play_provider(p), rest, false, true);
}

static void provider_got_no_field(struct play *p, struct slice rest) {
    peer_got_field(p, play_provider(p), rest, false, false);
}

static void provider_sees_end(struct play *p, struct slice rest) {
    (void)rest;
    const struct peer *peer = play_provider(p); /* what was not read may turn the end into a reset */
    if (!peer->ended && !peer->reset) play_fail(p, "its connection is open");
}

static void provider_sees_open(struct play *p, struct slice rest) {
    (void)rest;
    peer_sees(p, play_provider(p), "open");
}

const struct verb provider_verbs[] = {{"answers", provider_answers, true},
                                      {"answers with length", provider_answers_with_length, true},
                                      {"answers until its end", provider_answers_until_close, true},
                                      {"data", provider_data, true},
                                      {"withheld", provider_withheld, true},
                                      {"event", provider_event, true},
                                      {"body", provider_body, true},
                                      {"fills", provider_fills, true},
                                      {"sends", provider_sends, true},
                                      {"ends", provider_ends, true},
                                      {"done", provider_done, true},
                                      {"replies", provider_replies, true},
                                      {"refuses", provider_refuses, true},
                                      {"closes", provider_closes, false},
                                      {"resets", provider_resets, false},
                                      {"ends its side", provider_shuts, false},
                                      {"stops reading", provider_pauses, false},
                                      {"reads", provider_reads, false},
                                      {"got request", provider_got_request, false},
                                      {"got body", provider_got_body, false},
                                      {"got nothing", provider_got_nothing, false},
                                      {"is not there", provider_is_not_there, false},
                                      {"got field", provider_got_field, false},
                                      {"got no field", provider_got_no_field, false},
                                      {"sees end", provider_sees_end, false},
                                      {"sees open", provider_sees_open, false},
                                      VERBS_END};

/* ---- the network and the worker ---- */

static void network_holds_connects(struct play *p, struct slice rest) {
    (void)rest;
    world_connects_hold(&p->world, true);
}

static void network_lets_connect(struct play *p, struct slice rest) {
    (void)rest;
    world_connects_hold(&p->world, false);
}

static void network_refuses(struct play *p, struct slice rest) {
    (void)rest;
    world_refuse(&p->world);
}

static void network_holds_names(struct play *p, struct slice rest) {
    (void)p, (void)rest;
    fake_names_hold(true);
}

static void network_answers_names(struct play *p, struct slice rest) {
    (void)p, (void)rest;
    fake_names_answer(true);
}

static void network_fails_names(struct play *p, struct slice rest) {
    (void)p, (void)rest;
    fake_names_answer(false);
}

const struct verb network_verbs[] = {{"holds connects", network_holds_connects, false},
                                     {"lets connects through", network_lets_connect, false},
                                     {"refuses connects", network_refuses, false},
                                     {"holds names", network_holds_names, false},
                                     {"answers names", network_answers_names, false},
                                     {"fails names", network_fails_names, false},
                                     VERBS_END};

/* Together with what is sent at the same instant: the worker finds all of it ready, and others first. */
static void worker_is_busy(struct play *p, struct slice rest) {
    uint64_t ns = 0;
    if (!time_read(rest.p, rest.n, &ns)) play_fail(p, "busy for how long?");
    world_busy(&p->world, ns);
}

static void worker_leaves(struct play *p, struct slice rest) {
    (void)rest;
    world_leave(&p->world);
}

static void worker_drains(struct play *p, struct slice rest) {
    (void)rest;
    world_drain(&p->world);
}

static void worker_cuts(struct play *p, struct slice rest) {
    (void)rest;
    world_cut(&p->world);
}

const struct verb worker_verbs[] = {{"is busy", worker_is_busy, true},
                                    {"drains", worker_drains, false},
                                    {"leaves", worker_leaves, false},
                                    {"cuts", worker_cuts, false},
                                    VERBS_END};
