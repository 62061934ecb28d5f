/* The relay. The hard part is doing as little as possible: bytes go from the read buffer to the client's socket in
 * one send, and are looked at afterwards, unless the answer ends in this very read: then it is looked at
 * first, because whether it is complete decides how it ends. */
#include "relay.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "redact.h"
#include "respond.h"

#define HELD_EVENT_MAX ((size_t)65536) /* a longer event is no usage report: it passes as it comes */

/* ---- towards the client ---- */

static void written_note(struct exchange *x) {
    if (x->head_written_ns != 0 && (x->observer == NULL || x->visible_written_ns != 0)) return;
    uint64_t now = loop_stamp(x->worker->loop);
    const struct observation *seen = x->observer != NULL ? observer_seen(x->observer) : NULL;
    if (x->head_written_ns == 0) x->head_written_ns = now;
    if (seen == NULL) return;
    if (seen->first_token_ns != 0 && x->ttft_written_ns == 0) x->ttft_written_ns = now;
    if (seen->first_visible_ns != 0 && x->visible_written_ns == 0) x->visible_written_ns = now;
}

/* ---- looking ---- */

static void observe(struct exchange *x, struct slice data) {
    bool ended;
    enum event_verdict verdict;
    uint64_t wake_ns = x->worker->loop->wake_ns;
    while (data.n > 0) {
        size_t used = observer_take(x->observer, data.p, data.n, wake_ns, &ended, &verdict);
        if (ended || observer_shape(x->observer) != ANSWER_SSE) x->attempt.progress_ns = wake_ns;
        data.p += used;
        data.n -= used;
    }
}

/* Whole events only: the one that exists because weir asked for it is left out, the rest passes as it came. */
static void events_relay(struct exchange *x, struct outgoing *out, struct slice data) {
    uint64_t wake_ns = x->worker->loop->wake_ns;
    while (data.n > 0) {
        bool ended;
        enum event_verdict verdict;
        size_t used = observer_take(x->observer, data.p, data.n, wake_ns, &ended, &verdict);
        if (ended) x->attempt.progress_ns = wake_ns;
        if (x->event_passes) {
            outgoing_body(x, out, (struct slice){data.p, used});
            x->event_passes = !ended;
        } else if (!ended) {
            buf_append(&x->held, data.p, used);
            if (buf_length(&x->held) > HELD_EVENT_MAX) {
                outgoing_body(x, out, buf_slice(&x->held));
                outgoing_flush(x, out, SLICE(""));
                buf_clear(&x->held);
                x->event_passes = true;
            }
        } else {
            bool keep = verdict != EVENT_USAGE_ONLY;
            if (buf_length(&x->held) > 0) {
                if (keep) {
                    buf_append(&x->held, data.p, used);
                    outgoing_body(x, out, buf_slice(&x->held));
                    outgoing_flush(x, out, SLICE(""));
                }
                buf_clear(&x->held);
            } else if (keep) {
                outgoing_body(x, out, (struct slice){data.p, used});
            }
        }
        data.p += used;
        data.n -= used;
    }
}

/* ---- the end ---- */

/* A stream that was cut before its terminator must not look complete, whatever its framing says. */
static bool stream_is_cut(const struct exchange *x) {
    if (x->observer == NULL || !x->stream || x->failure != FAILURE_NONE) return false;
    const struct observation *seen = observer_seen(x->observer);
    enum answer_shape shape = observer_shape(x->observer);
    return (shape == ANSWER_SSE || shape == ANSWER_JSON_ARRAY) && !seen->terminated && !seen->failed;
}

static void debug_comment(struct exchange *x, struct buf *out) {
    const struct observation *seen = observer_seen(x->observer);
    uint64_t now = x->worker->loop->now_ns;
    buf_append_text(out, ": weir {\"total_ms\":");
    json_text_ms(out, now - x->ledger.begin_ns);
    buf_append_text(out, ",\"ttft_ms\":");
    if (x->ttft_written_ns != 0)
        json_text_ms(out, x->ttft_written_ns - x->received_ns);
    else
        buf_append_text(out, "null");
    buf_printf(out, ",\"input_tokens\":%u,\"output_tokens\":%u,\"cost_usd\":", seen->usage.input, seen->usage.output);
    if (x->target->price != NULL)
        json_text_usd(out, price_cost(x->target->price, &seen->usage));
    else
        buf_append_text(out, "null");
    buf_append_text(out, "}\n\n");
}

static void end_send(struct exchange *x, struct outgoing *out) {
    struct buf comment = {0}, end = {0};
    if (x->debug && x->observer != NULL && observer_shape(x->observer) == ANSWER_SSE &&
        x->answer_framing != FRAMING_LENGTH) {
        debug_comment(x, &comment);
        outgoing_body(x, out, buf_slice(&comment));
    }
    if (x->answer_framing == FRAMING_CHUNKED) {
        buf_append_text(&end, "0\r\n");
        if (x->head.te_trailers) {
            buf_append_text(&end, "server-timing: ");
            respond_timing_end(x, &end);
            buf_append_text(&end, "\r\n");
        }
        buf_append_text(&end, "\r\n");
    }
    outgoing_flush(x, out, buf_slice(&end));
    buf_clear(&comment);
    buf_clear(&end);
    x->answer_ended = true;
    x->attempt.answer_done = true;
}

/* A length promises the client an end that it must not be given. When nothing has gone out, an error still can. */
static void last_withhold(struct exchange *x, struct outgoing *out) {
    outgoing_begin(out, x->worker);
    if (x->head_written_ns == 0 && x->response_bytes == 0) x->answered = false;
}

void relay_end(struct exchange *x, struct outgoing *out) {
    if (x->relay == RELAY_REDACT) outgoing_body(x, out, redact_end(x->redactor));
    if (x->observer != NULL) observer_end(x->observer, x->worker->loop->wake_ns);
    if (buf_length(&x->held) > 0) outgoing_body(x, out, buf_slice(&x->held));
    if (x->observer != NULL && observer_seen(x->observer)->failed && x->source == SOURCE_NONE) {
        x->failure = FAILURE_STREAM_ERROR; /* its bytes passed as they came; it is no success */
        x->source = SOURCE_PROVIDER;
    }
    bool cut = stream_is_cut(x), withheld = cut && x->answer_framing == FRAMING_LENGTH;
    if (withheld)
        last_withhold(x, out);
    else if (cut)
        outgoing_flush(x, out, SLICE(""));
    else
        end_send(x, out);
    if (cut) x->attempt.failure = FAILURE_TRUNCATED;
    buf_clear(&x->held);
    if (!withheld) written_note(x);
}

/* ---- from the provider ---- */

static void run_relay(struct exchange *x, struct outgoing *out, struct slice data) {
    switch (x->relay) {
    case RELAY_RAW:
        outgoing_body(x, out, data);
        break;
    case RELAY_EVENTS:
        events_relay(x, out, data);
        break;
    case RELAY_REDACT:
        outgoing_body(x, out, redact_take(x->redactor, data));
        outgoing_flush(x, out, SLICE(""));
        break;
    }
}

void relay_bytes(struct exchange *x, struct outgoing *out, struct slice bytes) {
    struct attempt *a = &x->attempt;
    enum { RUNS_MAX = 48 };
    struct slice runs[RUNS_MAX];
    int run_count = 0;
    enum body_state state = BODY_MORE;
    while (state == BODY_MORE) {
        struct slice data;
        size_t used = body_reader_take(&a->reader, bytes.p, bytes.n, &data, &state);
        bytes = (struct slice){bytes.p + used, bytes.n - used};
        if (data.n > 0) {
            if (a->first_byte_ns == 0) a->first_byte_ns = x->worker->loop->wake_ns;
            if (x->observer == NULL) a->progress_ns = x->worker->loop->wake_ns;
            a->answer_bytes += data.n;
            run_relay(x, out, data);
            if (x->relay == RELAY_RAW) runs[run_count++] = data;
        }
        if (run_count == RUNS_MAX || (state == BODY_MORE && used == 0) || state == BODY_BAD) {
            outgoing_flush(x, out, SLICE(""));
            for (int i = 0; i < run_count && x->observer != NULL; i++) observe(x, runs[i]);
            run_count = 0;
            written_note(x);
        }
        if (used == 0 && state == BODY_MORE) return;
    }
    for (int i = 0; i < run_count && x->observer != NULL; i++) observe(x, runs[i]);
    if (state == BODY_BAD) {
        a->failure = FAILURE_TRUNCATED;
        return;
    }
    if (bytes.n > 0) a->keep = false; /* bytes after the end: not an answer to anything */
    relay_end(x, out);
}

void relay_redact_begin(struct exchange *x) {
    x->relay = RELAY_REDACT;
    x->redactor = redactor_new(&x->arena, x->target->provider->secret);
}
