/* OpenAI's Responses, and the event streams of images and speech, which have the same make: every event says its
 * `type`, and what a `delta` is depends on it. A last event repeats the whole answer; only its usage and status are
 * read there. */
#include "reading.h"

enum { OWN_TYPE, OWN_DELTA, OWN_ITEM_TYPE, OWN_STATUS, OWN_REASON, OWN_IMAGE };

enum kind {
    KIND_WHOLE,
    KIND_TEXT,
    KIND_REASONING,
    KIND_AUDIO,
    KIND_ITEM,
    KIND_IMAGE,
    KIND_LAST,
    KIND_FAILED,
    KIND_OTHER
};
enum { PENDING_CALL = 1, PENDING_REASON = 2, PENDING_DELTA = 4, PENDING_IMAGE = 8 };

/* clang-format off */
#define ANSWER_PATHS(answer)                                                                                          \
    {answer "model", READ_MODEL},                                                                                     \
    {answer "status", READ_OWN + OWN_STATUS},                                                                         \
    {answer "incomplete_details.reason", READ_OWN + OWN_REASON},                                                      \
    {answer "error", READ_ERROR},                                                                                     \
    {answer "usage", READ_USAGE},                                                                                     \
    {answer "usage.input_tokens", READ_COUNT + COUNT_INPUT},                                                          \
    {answer "usage.output_tokens", READ_COUNT + COUNT_OUTPUT},                                                        \
    {answer "usage.total_tokens", READ_COUNT + COUNT_TOTAL},                                                          \
    {answer "usage.input_tokens_details.cached_tokens", READ_COUNT + COUNT_CACHE_READ},                               \
    {answer "usage.input_tokens_details.cache_write_tokens", READ_COUNT + COUNT_CACHE_WRITE},                         \
    {answer "usage.output_tokens_details.reasoning_tokens", READ_COUNT + COUNT_REASONING}
/* clang-format on */

static const struct json_path paths[] = {
    {"type", READ_OWN + OWN_TYPE},
    {"delta", READ_OWN + OWN_DELTA},
    {"audio", READ_OWN + OWN_DELTA},
    {"item.type", READ_OWN + OWN_ITEM_TYPE},
    {"partial_image_b64", READ_OWN + OWN_IMAGE},
    {"b64_json", READ_OWN + OWN_IMAGE},
    ANSWER_PATHS("response."),
    ANSWER_PATHS(""),
    {"output[].content[].text", READ_TEXT},
    {"output[].content[].refusal", READ_TEXT},
    {"output[].summary[].text", READ_REASONING},
    {"output[].name", READ_TEXT},
    {"output[].arguments", READ_TEXT},
    {"output[].input", READ_TEXT},
};

static const struct {
    const char *type;
    enum kind kind;
} kinds[] = {
    {"response.output_item.added", KIND_ITEM},
    {"response.completed", KIND_LAST},
    {"response.incomplete", KIND_LAST},
    {"response.failed", KIND_FAILED},
    {"response.cancelled", KIND_LAST},
    {"error", KIND_FAILED},
    {"response.image_generation_call.partial_image", KIND_IMAGE},
    {"image_generation.partial_image", KIND_IMAGE},
    {"image_edit.partial_image", KIND_IMAGE},
    {"image_generation.completed", KIND_LAST},
    {"image_edit.completed", KIND_LAST},
    {"speech.audio.done", KIND_LAST},
    {"transcript.text.done", KIND_LAST},
};

static bool contains(struct slice s, const char *part) {
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static enum kind kind_of(struct slice type) {
    static const struct slice delta = SLICE_INIT(".delta");
    if (type.n > delta.n && memcmp(type.p + type.n - delta.n, delta.p, delta.n) == 0) {
        if (contains(type, "reasoning")) return KIND_REASONING;
        return contains(type, "audio") && !contains(type, "transcript") ? KIND_AUDIO : KIND_TEXT;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_equal(type, slice_of(kinds[i].type))) return kinds[i].kind;
    return KIND_OTHER;
}

static void status_note(struct reading *r, const struct json_value *v) {
    if ((r->event.own & PENDING_REASON) || value_is(v, "in_progress") || value_is(v, "queued")) return;
    reading_finish_note(r, v);
    if (value_is(v, "failed")) r->event.marks |= MARK_ERROR;
}

static void value(struct reading *r, int own, const struct json_value *v) {
    if (v->type != JSON_STRING || v->length == 0) return;
    switch (own) {
    case OWN_TYPE:
        r->event.kind = (uint8_t)kind_of(v->text);
        break;
    case OWN_DELTA:
        r->event.own |= PENDING_DELTA;
        r->event.own_bytes += value_text_bytes(v);
        break;
    case OWN_ITEM_TYPE:
        if (value_is(v, "function_call") || value_is(v, "custom_tool_call")) r->event.own |= PENDING_CALL;
        break;
    case OWN_STATUS:
        status_note(r, v);
        break;
    case OWN_REASON:
        reading_finish_note(r, v);
        r->event.own |= PENDING_REASON;
        break;
    default:
        r->event.own |= PENDING_IMAGE;
        break;
    }
}

static void delta_settle(struct reading *r, uint32_t mark, uint64_t *bytes) {
    if (!(r->event.own & PENDING_DELTA)) return;
    r->event.marks |= mark;
    if (bytes) *bytes += r->event.own_bytes;
}

static void event(struct reading *r) {
    struct event *e = &r->event;
    switch (e->kind) {
    case KIND_TEXT:
        delta_settle(r, MARK_VISIBLE, &e->text_bytes);
        break;
    case KIND_REASONING:
        delta_settle(r, MARK_REASONING, &e->reasoning_bytes[0]);
        break;
    case KIND_AUDIO:
        delta_settle(r, MARK_VISIBLE, NULL);
        break;
    case KIND_ITEM:
        e->marks |= e->own & PENDING_CALL ? MARK_VISIBLE : 0;
        break;
    case KIND_IMAGE:
        e->marks |= e->own & PENDING_IMAGE ? MARK_VISIBLE : 0;
        break;
    case KIND_FAILED:
        e->marks |= MARK_ERROR; /* fall through */
    case KIND_LAST:
        e->marks |= MARK_END; /* fall through */
    case KIND_WHOLE:
        reading_finish_commit(r, 0);
        break;
    default:
        break;
    }
}

const struct dialect_table responses_table = {.paths = paths,
                                              .path_count = sizeof paths / sizeof *paths,
                                              .rule = COUNTS_INCLUSIVE,
                                              .value = value,
                                              .event = event};
