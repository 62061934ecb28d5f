/* The relay. The hard part is doing as little as possible: bytes go from the read buffer to the client's socket in
 * one send, and are looked at afterwards, unless the answer ends in this very read: then it is looked at
 * first, because whether it is complete decides how it ends. */
#include "relay.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "loss.h"
#include "race.h"
#include "redact.h"
#include "retry_hint.h"
#include "respond.h"
#include "targets.h"

#define HELD_EVENT_MAX ((size_t)65536) /* a longer event is no usage report: it passes as it comes */

/* ---- towards the client ---- */

void relay_written(const struct attempt *a) {
    struct exchange *x = a->exchange;
    if (a->holding) return;
    if (x->head_written_ns != 0 && (a->observer == NULL || x->visible_written_ns != 0)) return;
    uint64_t now = loop_stamp(x->worker->loop);
    const struct observation *seen = a->observer != NULL ? observer_seen(a->observer) : NULL;
    if (x->head_written_ns == 0) x->head_written_ns = now;
    if (seen == NULL) return;
    if (seen->first_token_ns != 0 && x->ttft_written_ns == 0) x->ttft_written_ns = now;
    if (seen->first_visible_ns != 0 && x->visible_written_ns == 0) x->visible_written_ns = now;
}

/* ---- looking ---- */

/* An error inside an answer may repeat what the provider was sent, as one that is an answer by itself. `data` is the
 * connection's own memory, or the attempt's. */
static void echoes_take(struct attempt *a, struct slice data) {
    struct slice secret = a->target->provider->secret;
    if (secret.n < REDACT_RUN_MIN) return;
    if (a->echoes == NULL) a->echoes = echoes_new(&a->exchange->arena, secret);
    echoes_blank(a->echoes, (char *)(uintptr_t)data.p, data.n);
}

static bool may_hold_error(const struct attempt *a) {
    if (a->observer == NULL) return false;
    enum answer_shape shape = observer_shape(a->observer);
    return shape == ANSWER_SSE || shape == ANSWER_JSON_ARRAY || shape == ANSWER_NDJSON;
}

/* observer_take(), and the gap before a token is counted when it is one of the answer's that goes to the client. */
static size_t take(struct attempt *a, struct slice data, bool *ended, enum event_verdict *verdict) {
    const struct observation *seen = observer_seen(a->observer);
    uint64_t last_ns = seen->last_token_ns;
    uint32_t chunks = seen->chunks;
    size_t used = observer_take(a->observer, data.p, data.n, a->exchange->worker->loop->wake_ns, ended, verdict);
    if (seen->chunks == chunks || chunks == 0 || a->exchange->flight == NULL) return used;
    if (seen->last_token_ns == last_ns)
        a->tokens_together++;
    else
        traffic_gap(a->exchange->flight, seen->last_token_ns - last_ns, 1);
    return used;
}

/* Tokens of one read have no gap between them; they are counted at once. */
static void gaps_count(struct attempt *a) {
    if (a->tokens_together > 0 && a->exchange->flight != NULL) traffic_gap(a->exchange->flight, 0, a->tokens_together);
    a->tokens_together = 0;
}

static void observe(struct attempt *a, struct slice data) {
    bool ended;
    enum event_verdict verdict;
    uint64_t wake_ns = a->exchange->worker->loop->wake_ns;
    while (data.n > 0) {
        size_t used = take(a, data, &ended, &verdict);
        if (ended || observer_shape(a->observer) != ANSWER_SSE) a->progress_ns = wake_ns;
        data.p += used;
        data.n -= used;
    }
}

/* Whole events only: the one that exists because weir asked for it is left out, the rest passes as it came. */
static void events_relay(struct attempt *a, struct outgoing *out, struct slice data) {
    uint64_t wake_ns = a->exchange->worker->loop->wake_ns;
    while (data.n > 0) {
        bool ended;
        enum event_verdict verdict;
        size_t used = take(a, data, &ended, &verdict);
        if (ended) a->progress_ns = wake_ns;
        if (observer_seen(a->observer)->failed) {
            echoes_take(a, buf_slice(&a->held));
            echoes_take(a, (struct slice){data.p, used});
        }
        if (a->event_passes) {
            outgoing_body(a, out, (struct slice){data.p, used});
            a->event_passes = !ended;
        } else if (!ended) {
            buf_append(&a->held, data.p, used);
            if (buf_length(&a->held) > HELD_EVENT_MAX) {
                outgoing_body(a, out, buf_slice(&a->held));
                outgoing_flush(a, out, SLICE(""));
                buf_clear(&a->held);
                a->event_passes = true;
            }
        } else {
            bool keep = verdict != EVENT_USAGE_ONLY;
            if (buf_length(&a->held) > 0) {
                if (keep) {
                    buf_append(&a->held, data.p, used);
                    outgoing_body(a, out, buf_slice(&a->held));
                    outgoing_flush(a, out, SLICE(""));
                }
                buf_clear(&a->held);
            } else if (keep) {
                outgoing_body(a, out, (struct slice){data.p, used});
            }
        }
        data.p += used;
        data.n -= used;
    }
}

/* ---- the end ---- */

/* A stream that was cut before its terminator must not look complete, whatever its framing says; nor must an object
 * that the provider's framing has no end for. */
static bool answer_is_cut(const struct attempt *a) {
    const struct exchange *x = a->exchange;
    if (a->observer == NULL || x->failure != FAILURE_NONE) return false;
    const struct observation *seen = observer_seen(a->observer);
    enum answer_shape shape = observer_shape(a->observer);
    if (a->reader.framing == FRAMING_CLOSE && seen->unclosed) return true;
    if (!x->stream) return false;
    return (shape == ANSWER_SSE || shape == ANSWER_JSON_ARRAY) && !seen->terminated && !seen->failed;
}

static void debug_comment(const struct attempt *a, struct buf *out) {
    const struct exchange *x = a->exchange;
    const struct observation *seen = observer_seen(a->observer);
    struct record costs = {0};
    attempt_usage(a, &costs.usage);
    costs_book(x, &costs);
    uint64_t now = x->worker->loop->now_ns;
    buf_append_text(out, ": weir {\"total_ms\":");
    json_text_ms(out, now - x->ledger.begin_ns);
    buf_append_text(out, ",\"ttft_ms\":");
    if (seen->first_token_ns != 0) /* a token of this very read goes out with the comment */
        json_text_ms(out, (x->ttft_written_ns != 0 ? x->ttft_written_ns : now) - x->received_ns);
    else
        buf_append_text(out, "null");
    buf_printf(out, ",\"input_tokens\":%u,\"output_tokens\":%u,\"cost_usd\":", costs.usage.input, costs.usage.output);
    if (costs.cost_pico_usd != COST_UNKNOWN)
        json_text_usd(out, costs.cost_pico_usd);
    else
        buf_append_text(out, "null");
    buf_append_text(out, "}\n\n");
}

static void end_send(struct attempt *a, struct outgoing *out) {
    struct exchange *x = a->exchange;
    struct buf comment = {0}, end = {0};
    race_won(a); /* it may have come whole: what the other one used is part of the cost */
    if (x->debug && a->observer != NULL && observer_shape(a->observer) == ANSWER_SSE && a->framing != FRAMING_LENGTH) {
        debug_comment(a, &comment);
        outgoing_body(a, out, buf_slice(&comment));
    }
    if (a->framing == FRAMING_CHUNKED) {
        buf_append_text(&end, "0\r\n");
        if (x->head.te_trailers) {
            buf_append_text(&end, "server-timing: ");
            respond_timing_end(x, &end);
            buf_append_text(&end, "\r\n");
        }
        buf_append_text(&end, "\r\n");
    }
    outgoing_flush(a, out, buf_slice(&end));
    buf_clear(&comment);
    buf_clear(&end);
    x->answer_ended = true;
    a->answer_done = true;
}

/* A length promises the client an end that it must not be given. When nothing has gone out, an error still can. */
static void last_withhold(const struct attempt *a, struct outgoing *out) {
    struct exchange *x = a->exchange;
    outgoing_begin(out, x->worker);
    if (x->head_written_ns == 0 && x->response_bytes == 0) x->answered = false;
}

/* The refusal is whole: now it is known whether it is worth another try. Until that is decided it is kept. */
static void refusal_end(struct attempt *a, struct outgoing *out) {
    outgoing_flush(a, out, SLICE(""));
    if (!a->holding) { /* too large to be held: it has gone out */
        end_send(a, out);
        return;
    }
    struct slice kept = buf_slice(&a->stash);
    retry_hint_body(&a->hint, (struct slice){kept.p + a->stash_head_bytes, kept.n - a->stash_head_bytes});
    a->refused_whole = true;
    a->failure = a->refused;
}

void relay_refusal(struct attempt *a) {
    struct outgoing out;
    outgoing_begin(&out, a->exchange->worker);
    a->failure = FAILURE_NONE;
    a->released = true;
    end_send(a, &out);
    relay_written(a);
}

void relay_end(struct attempt *a, struct outgoing *out) {
    struct exchange *x = a->exchange;
    if (a->relay == RELAY_REDACT) outgoing_body(a, out, redact_end(a->redactor));
    if (a->observer != NULL) observer_end(a->observer, x->worker->loop->wake_ns);
    if (buf_length(&a->held) > 0) {
        echoes_take(a, buf_slice(&a->held)); /* its end has not come, and may have told that it is an error */
        outgoing_body(a, out, buf_slice(&a->held));
    }
    if (a->observer != NULL && observer_seen(a->observer)->failed && x->source == SOURCE_NONE) {
        x->failure = FAILURE_STREAM_ERROR; /* its bytes passed as they came; it is no success */
        x->source = SOURCE_PROVIDER;
        target_failed(a, FAILURE_STREAM_ERROR);
    }
    bool cut = answer_is_cut(a);
    if (a->holding && cut) {
        a->failure = FAILURE_TRUNCATED; /* worth another try, or an error of weir's own */
        return;
    }
    if (a->holding && a->refused != FAILURE_NONE) {
        refusal_end(a, out);
        return;
    }
    a->released = true;
    bool withheld = cut && a->framing == FRAMING_LENGTH;
    if (withheld)
        last_withhold(a, out);
    else if (cut)
        outgoing_flush(a, out, SLICE(""));
    else
        end_send(a, out);
    if (cut) a->failure = FAILURE_TRUNCATED;
    buf_clear(&a->held);
    if (!withheld) relay_written(a);
}

/* ---- from the provider ---- */

static void run_relay(struct attempt *a, struct outgoing *out, struct slice data) {
    switch (a->relay) {
    case RELAY_RAW:
        outgoing_body(a, out, data);
        break;
    case RELAY_EVENTS:
        events_relay(a, out, data);
        break;
    case RELAY_REDACT:
        outgoing_body(a, out, redact_take(a->redactor, data));
        outgoing_flush(a, out, SLICE(""));
        break;
    }
}

/* What is left of `bytes` is not the body's. */
static enum body_state body_take(struct attempt *a, struct outgoing *out, struct slice *bytes) {
    enum { RUNS_MAX = 48 };
    struct slice runs[RUNS_MAX];
    int run_count = 0;
    enum body_state state = BODY_MORE;
    size_t used = 1;
    while (state == BODY_MORE && used > 0) {
        struct slice data;
        used = body_reader_take(&a->reader, bytes->p, bytes->n, &data, &state);
        *bytes = (struct slice){bytes->p + used, bytes->n - used};
        if (data.n > 0) {
            if (a->first_byte_ns == 0) a->first_byte_ns = a->exchange->worker->loop->wake_ns;
            if (a->observer == NULL) a->progress_ns = a->exchange->worker->loop->wake_ns;
            if (a->relay == RELAY_RAW && may_hold_error(a)) echoes_take(a, data);
            if (a->holding && a->relay == RELAY_RAW && a->observer != NULL)
                observe(a, data); /* whether it may go out depends on what is in it */
            else if (a->relay == RELAY_RAW)
                runs[run_count++] = data;
            run_relay(a, out, data);
        }
        if (run_count == RUNS_MAX || (state == BODY_MORE && used == 0) || state == BODY_BAD) {
            outgoing_flush(a, out, SLICE(""));
            for (int i = 0; i < run_count && a->observer != NULL; i++) observe(a, runs[i]);
            run_count = 0;
            relay_written(a);
        }
    }
    for (int i = 0; i < run_count && a->observer != NULL; i++) observe(a, runs[i]);
    return state;
}

void relay_bytes(struct attempt *a, struct outgoing *out, struct slice bytes) {
    enum body_state state = body_take(a, out, &bytes);
    gaps_count(a);
    if (state == BODY_BAD) a->failure = FAILURE_TRUNCATED;
    if (state != BODY_DONE) return;
    if (bytes.n > 0) a->keep = false; /* bytes after the end: not an answer to anything */
    relay_end(a, out);
}

void relay_redact_begin(struct attempt *a) {
    a->relay = RELAY_REDACT;
    a->redactor = redactor_new(&a->exchange->arena, a->target->provider->secret);
}
