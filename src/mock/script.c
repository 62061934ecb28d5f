/* src/mock/script.c: makes plans. The hard part is that knobs combine: a fault may hit any byte of any framing, cuts
 * fall inside characters and chunk heads alike, and the pace must hold whatever the pieces are. So everything goes
 * through one function that knows the body's framing (put_body), and cutting into segments comes last, over finished
 * bytes. */
#include "script.h"

#include <assert.h>

#include "answers.h"
#include "base/mem.h"
#include "base/random.h"
#include "http/write.h"

enum fault {
    FAULT_NONE,
    FAULT_ERROR_EVENT,
    FAULT_RESET,
    FAULT_TRUNCATE,
    FAULT_STALL,
    FAULT_GARBAGE,
    FAULT_BAD_EVENT,
    FAULT_RESET_HEAD,
    FAULT_CLOSE_HEAD,
    FAULT_BAD_HEAD
};
#define NO_FAULT_BYTE UINT64_MAX

void script_unref(struct script *s) {
    if (--s->refs) return;
    buf_clear(&s->bytes);
    mem_free(s->pieces);
    mem_free(s);
}

static void add_piece(struct script *s, uint32_t due_ms) {
    size_t end = buf_length(&s->bytes);
    if (s->piece_count && s->pieces[s->piece_count - 1].end == end) return;
    if (s->piece_count == s->piece_capacity)
        s->pieces = mem_array_grow(s->pieces, &s->piece_capacity, sizeof *s->pieces, s->piece_count + 1);
    s->pieces[s->piece_count++] = (struct piece){end, due_ms};
}

static void end_with(struct build *b, enum script_end end) {
    if (!b->over) b->script->end = end;
    b->over = true;
}

/* --- heads */

static const char *const noise_openai =
    "openai-organization: org-mock\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999000\r\nx-ratelimit-reset-requests: "
    "6ms\r\n"
    "x-ratelimit-reset-tokens: 30ms\r\n";
static const char *const noise_anthropic =
    "anthropic-organization-id: 00000000-0000-4000-8000-000000000001\r\nanthropic-ratelimit-requests-limit: 4000\r\n"
    "anthropic-ratelimit-requests-remaining: 3999\r\nanthropic-ratelimit-requests-reset: 2026-01-01T00:00:00Z\r\n"
    "anthropic-ratelimit-tokens-limit: 400000\r\nanthropic-ratelimit-tokens-remaining: 399000\r\n"
    "anthropic-ratelimit-tokens-reset: 2026-01-01T00:00:00Z\r\n";
static const char *const noise_any =
    "set-cookie: __cf_bm=mock; path=/; HttpOnly\r\nalt-svc: h3=\":443\"; ma=86400\r\nserver: mock\r\nvia: 1.1 mock\r\n"
    "strict-transport-security: max-age=31536000\r\n";

static void head_ids(struct build *b) {
    static const char *const names[DIALECT_COUNT] = {"x-request-id", "request-id", "x-request-id"};
    struct script *s = b->script;
    buf_printf(&s->bytes, "%s: req_", names[b->request->facts.dialect]);
    s->id_at = buf_length(&s->bytes);
    buf_append_text(&s->bytes, "0000000000000000\r\n");
    uint64_t ms = knob(b, MOCK_HEAD_MS);
    if (b->request->facts.dialect == DIALECT_OPENAI)
        buf_printf(&s->bytes, "openai-processing-ms: %llu\r\nopenai-version: 2020-10-01\r\n", (unsigned long long)ms);
    else if (b->request->facts.dialect == DIALECT_GEMINI)
        buf_printf(&s->bytes, "server-timing: gfet4t7; dur=%llu\r\n", (unsigned long long)ms);
    if (!knob(b, MOCK_NOISE)) return;
    if (b->request->facts.dialect != DIALECT_GEMINI)
        buf_append_text(&s->bytes, b->request->facts.dialect == DIALECT_OPENAI ? noise_openai : noise_anthropic);
    buf_append_text(&s->bytes, noise_any);
}

/* `length` is used with BODY_LENGTH only. Sets b->framing from the knob, or `usual` where it says auto. */
static void put_head(struct build *b, unsigned status, const char *content_type, int usual, uint64_t length,
                     uint32_t delay_ms) {
    static const int framings[] = {-1, BODY_CHUNKED, BODY_LENGTH, BODY_CLOSE};
    struct buf *out = &b->script->bytes;
    uint64_t fault = knob(b, MOCK_FAULT);
    b->due_ms = (uint32_t)knob(b, MOCK_HEAD_MS) + delay_ms;
    for (uint64_t i = 0; i < knob(b, MOCK_INTERIM) && i < 64; i++) {
        buf_append_text(out, "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
        add_piece(b->script, 0);
    }
    if (fault == FAULT_RESET_HEAD) end_with(b, END_RESET);
    if (fault == FAULT_CLOSE_HEAD) end_with(b, END_CLOSE);
    if (fault == FAULT_BAD_HEAD) {
        buf_append_text(out, "HTTP/1.1 2OO OK\r\ncontent length 12\r\n\r\n");
        add_piece(b->script, b->due_ms);
        end_with(b, END_CLOSE);
    }
    int framing = framings[knob(b, MOCK_FRAMING)];
    b->framing = framing < 0 ? usual : framing;
    if (usual == BODY_CHUNKED && b->framing == BODY_LENGTH) b->framing = BODY_CHUNKED; /* a stream has no length */
    if (b->over) return;
    write_status_line(out, status);
    if (content_type) buf_printf(out, "content-type: %s\r\n", content_type);
    head_ids(b);
    if (status >= 400 && knob(b, MOCK_RETRY_AFTER))
        buf_printf(out, "retry-after: %llu\r\n", (unsigned long long)knob(b, MOCK_RETRY_AFTER));
    if (knob(b, MOCK_CLOSE) || b->framing == BODY_CLOSE) buf_append_text(out, "connection: close\r\n");
    if (b->framing == BODY_CHUNKED)
        buf_append_text(out, "transfer-encoding: chunked\r\n");
    else if (b->framing == BODY_LENGTH)
        buf_printf(out, "content-length: %llu\r\n", (unsigned long long)length);
    buf_append_text(out, "\r\n");
    add_piece(b->script, b->due_ms);
}

/* --- faults and bodies */

static void put_framed(struct build *b, struct slice data) {
    char line[CHUNK_HEAD_MAX];
    struct buf *out = &b->script->bytes;
    if (data.n == 0) return;
    if (b->framing == BODY_CHUNKED) buf_append(out, line, write_chunk_head(line, data.n));
    buf_append_slice(out, data);
    if (b->framing == BODY_CHUNKED) buf_append_text(out, "\r\n");
    add_piece(b->script, b->due_ms);
    b->body_bytes += data.n;
}

static void put_last_chunk(struct build *b) {
    struct script *s = b->script;
    if (b->framing == BODY_CHUNKED) buf_append_text(&s->bytes, "0\r\n\r\n");
    if (s->piece_count) s->pieces[s->piece_count - 1].end = buf_length(&s->bytes);
}

static void fail_now(struct build *b) {
    switch ((enum fault)knob(b, MOCK_FAULT)) {
    case FAULT_ERROR_EVENT:
        if (b->framing == BODY_LENGTH) {
            end_with(b, END_CLOSE);
            break;
        }
        buf_clear(&b->event);
        answer_error_event(b);
        put_framed(b, buf_slice(&b->event));
        buf_clear(&b->event);
        put_last_chunk(b);
        end_with(b, b->framing == BODY_CLOSE || knob(b, MOCK_CLOSE) ? END_CLOSE : END_KEEP);
        break;
    case FAULT_RESET:
        end_with(b, END_RESET);
        break;
    case FAULT_TRUNCATE:
        end_with(b, END_CLOSE);
        break;
    case FAULT_STALL:
        end_with(b, END_STALL);
        break;
    case FAULT_GARBAGE: /* not a chunk; in other framings it is merely not what was asked for */
        buf_append_text(&b->script->bytes, "zz\r\n\x01\x02garbage\r\n\r\n");
        add_piece(b->script, b->due_ms);
        end_with(b, END_CLOSE);
        break;
    case FAULT_BAD_EVENT:
        if (b->framing != BODY_LENGTH) put_framed(b, SLICE("data: {\"broken\": [1, 2\n\n"));
        break;
    default:
        break;
    }
}

static bool fault_in_body(const struct build *b) {
    uint64_t f = knob(b, MOCK_FAULT);
    return f >= FAULT_ERROR_EVENT && f <= FAULT_BAD_EVENT;
}

/* The only way into a body: data up to the byte a fault is to hit. */
static void put_body(struct build *b, struct slice data, uint64_t fault_byte) {
    if (b->over) return;
    bool hit = fault_byte >= b->body_bytes && fault_byte - b->body_bytes < data.n;
    size_t before = hit ? (size_t)(fault_byte - b->body_bytes) : data.n;
    put_framed(b, (struct slice){data.p, before});
    if (!hit) return;
    fail_now(b);
    if (!b->over) put_framed(b, (struct slice){data.p + before, data.n - before});
}

static void flush_group(struct build *b) {
    uint64_t at = fault_in_body(b) && knob(b, MOCK_FAULT_BYTES) ? knob(b, MOCK_FAULT_BYTES) : NO_FAULT_BYTE;
    put_body(b, buf_slice(&b->group), at);
    buf_clear(&b->group);
    b->group_tokens = 0;
}

static bool fault_by_events(const struct build *b) {
    return fault_in_body(b) && knob(b, MOCK_FAULT_BYTES) == 0 && b->events == knob(b, MOCK_FAULT_AFTER);
}

static uint32_t jitter(const struct build *b) {
    uint64_t most = knob(b, MOCK_JITTER_MS);
    return most ? (uint32_t)(random_u64() % (most + 1)) : 0;
}

void build_stream(struct build *b, const char *content_type) {
    put_head(b, 200, content_type, BODY_CHUNKED, 0, 0);
    if (fault_by_events(b)) fail_now(b);
}

void build_event(struct build *b, bool token) {
    uint64_t per_write = knob(b, MOCK_PER_WRITE);
    if (!token && b->group_tokens) flush_group(b);
    if (token && b->group_tokens == 0) {
        b->due_ms += (uint32_t)(b->tokens_seen ? knob(b, MOCK_GAP_MS) : knob(b, MOCK_TTFT_MS)) + jitter(b);
        b->tokens_seen = 1;
    }
    if (!b->over) buf_append_slice(&b->group, buf_slice(&b->event));
    buf_clear(&b->event);
    b->group_tokens += token;
    if (!token || b->group_tokens >= per_write) flush_group(b);
    b->events++;
    if (b->over || !fault_by_events(b)) return;
    flush_group(b);
    fail_now(b);
}

void build_stream_end(struct build *b) {
    flush_group(b);
    if (b->over) return;
    put_last_chunk(b);
    b->script->end = b->framing == BODY_CLOSE || knob(b, MOCK_CLOSE) ? END_CLOSE : END_KEEP;
}

/* As long as the stream of the same answer would have taken: providers send the head with the body then. */
static uint32_t answer_delay_ms(const struct build *b, unsigned status) {
    if (status >= 400) return 0;
    if (!operation_generates(b->request->facts.operation)) return (uint32_t)knob(b, MOCK_TTFT_MS) + jitter(b);
    uint64_t per_event = knob(b, MOCK_PER_EVENT) ? knob(b, MOCK_PER_EVENT) : 1;
    uint64_t per_write = knob(b, MOCK_PER_WRITE) ? knob(b, MOCK_PER_WRITE) : 1;
    uint64_t writes = (knob(b, MOCK_TOKENS) + per_event * per_write - 1) / (per_event * per_write);
    uint64_t ms = knob(b, MOCK_TTFT_MS) + jitter(b) + (writes > 1 ? (writes - 1) * knob(b, MOCK_GAP_MS) : 0);
    return ms < 86400000 ? (uint32_t)ms : 86400000;
}

void build_answer(struct build *b, unsigned status, const char *content_type, struct slice body) {
    put_head(b, status, content_type, BODY_LENGTH, body.n, answer_delay_ms(b, status));
    uint64_t at = !fault_in_body(b)           ? NO_FAULT_BYTE
                  : knob(b, MOCK_FAULT_BYTES) ? knob(b, MOCK_FAULT_BYTES)
                                              : body.n / 2;
    for (size_t i = 0; i < body.n && !b->over; i += 65536)
        put_body(b, (struct slice){body.p + i, body.n - i < 65536 ? body.n - i : 65536}, at);
    if (b->over) return;
    put_last_chunk(b);
    b->script->end = b->framing == BODY_CLOSE || knob(b, MOCK_CLOSE) ? END_CLOSE : END_KEEP;
}

/* --- the whole plan */

static void cut_pieces(struct script *s, size_t most, uint32_t apart_ms) {
    struct piece *whole = s->pieces;
    size_t count = s->piece_count, begin = 0;
    uint32_t late_ms = 0;
    s->pieces = NULL;
    s->piece_count = s->piece_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = begin; at < whole[i].end; at += most) {
            size_t end = at + most < whole[i].end ? at + most : whole[i].end;
            if (s->piece_count == s->piece_capacity)
                s->pieces = mem_array_grow(s->pieces, &s->piece_capacity, sizeof *s->pieces, s->piece_count + 1);
            s->pieces[s->piece_count++] = (struct piece){end, whole[i].due_ms + late_ms};
            late_ms += apart_ms;
        }
        begin = whole[i].end;
    }
    mem_free(whole);
    s->apart = true;
    s->id_at = 0;
}

typedef void answer_fn(struct build *b);
static answer_fn *const answers[OPERATION_COUNT] = {
    [OPERATION_CHAT] = openai_chat,
    [OPERATION_COMPLETIONS] = openai_completions,
    [OPERATION_RESPONSES] = openai_responses,
    [OPERATION_EMBEDDINGS] = openai_embeddings,
    [OPERATION_MODERATIONS] = openai_moderations,
    [OPERATION_IMAGES] = openai_images,
    [OPERATION_SPEECH] = openai_speech,
    [OPERATION_MESSAGES] = anthropic_messages,
    [OPERATION_COUNT_TOKENS] = anthropic_count_tokens,
    [OPERATION_MODELS] = openai_models,
    [OPERATION_MODEL] = openai_model,
    [OPERATION_FILES] = openai_files,
    [OPERATION_GENERATE] = gemini_generate,
    [OPERATION_STREAM_GENERATE] = gemini_generate,
    [OPERATION_EMBED] = gemini_embed,
    [OPERATION_BATCH_EMBED] = gemini_embed,
    [OPERATION_COUNT_GEMINI] = gemini_count_tokens,
};

struct script *script_make(const struct request *r) {
    struct script *s = mem_zalloc(sizeof *s);
    struct build b = {.script = s, .request = r};
    s->refs = 1;
    s->facts = r->facts;
    if (r->refused_status)
        answer_error(&b, r->refused_status, slice_of(r->refusal));
    else if (knob(&b, MOCK_ERROR))
        answer_error(&b, (unsigned)knob(&b, MOCK_ERROR), SLICE("the mock was asked for this error"));
    else if (knob(&b, MOCK_ECHO))
        answer_echo(&b);
    else {
        assert(r->facts.operation < OPERATION_COUNT && answers[r->facts.operation]);
        answers[r->facts.operation](&b);
    }
    buf_clear(&b.event);
    buf_clear(&b.group);
    if (knob(&b, MOCK_SPLIT)) cut_pieces(s, knob(&b, MOCK_SPLIT), (uint32_t)knob(&b, MOCK_SPLIT_MS));
    return s;
}

struct script *script_of_json(const struct request *r, struct slice body) {
    struct script *s = mem_zalloc(sizeof *s);
    struct build b = {.script = s, .request = r};
    s->refs = 1;
    build_answer(&b, 200, "application/json", body);
    return s;
}
