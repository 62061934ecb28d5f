/* src/mock/openai_other.c: OpenAI's endpoints that produce no text: embeddings, moderations, images, speech, models,
 * files. A file that is posted is not kept: its size and checksum (FNV-1a, 64 bit) come back, so that a test can tell
 * whether it arrived as it was sent. */
#include "answers.h"

enum { DIMENSIONS = 8 };

static void finish(struct build *b, struct buf *body) {
    build_answer(b, 200, "application/json", buf_slice(body));
    buf_clear(body);
}

void openai_embeddings(struct build *b) {
    const struct request_facts *f = &b->request->facts;
    struct counts n = answer_counts(b);
    struct buf body = {0};
    buf_append_text(&body, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; i < f->inputs; i++) {
        buf_printf(&body, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i ? "," : "", i);
        if (f->base64) { /* eight little-endian floats: 0.5 each */
            buf_append_text(&body, "\"AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8=\"}");
            continue;
        }
        for (int d = 0; d < DIMENSIONS; d++) buf_printf(&body, "%s0.5", d ? "," : "[");
        buf_append_text(&body, "]}");
    }
    buf_printf(&body, "],\"model\":\"%s\",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", answer_model(b),
               n.input, n.input);
    finish(b, &body);
}

void openai_moderations(struct build *b) {
    static const char *const categories[] = {"harassment", "hate", "illicit", "self-harm", "sexual", "violence"};
    enum { CATEGORIES = sizeof categories / sizeof categories[0] };
    struct buf body = {0};
    buf_printf(&body, "{\"id\":\"modr-mock1\",\"model\":\"%s\",\"results\":[{\"flagged\":false,\"categories\":{",
               answer_model(b));
    for (int i = 0; i < CATEGORIES; i++) buf_printf(&body, "%s\"%s\":false", i ? "," : "", categories[i]);
    buf_append_text(&body, "},\"category_scores\":{");
    for (int i = 0; i < CATEGORIES; i++) buf_printf(&body, "%s\"%s\":0.01", i ? "," : "", categories[i]);
    buf_append_text(&body, "}}]}");
    finish(b, &body);
}

void openai_images(struct build *b) {
    static const char pixel[] = /* one transparent pixel */
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    struct counts n = answer_counts(b);
    struct buf body = {0};
    buf_printf(&body,
               "{\"created\":%lld,\"data\":[{\"b64_json\":\"%s\"}],\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u,"
               "\"total_tokens\":%u,\"input_tokens_details\":{\"image_tokens\":0,\"text_tokens\":%u}}}",
               (long long)answer_time_s(), pixel, n.input, n.output, n.input + n.output, n.input);
    finish(b, &body);
}

static void put_bytes(struct buf *out, size_t n) { /* every byte value, over and over */
    if (n > ANSWER_BYTES_MAX) n = ANSWER_BYTES_MAX;
    char *p = buf_reserve(out, n + 1);
    for (size_t i = 0; i < n; i++) p[i] = (char)(i * 7 + i / 256);
    buf_commit(out, n);
}

void openai_speech(struct build *b) {
    struct buf body = {0};
    put_bytes(&body, knob(b, MOCK_BODY_BYTES));
    build_answer(b, 200, "audio/mpeg", buf_slice(&body));
    buf_clear(&body);
}

static const char *const model_names[] = {"gpt-4o-mini", "gpt-4o", "text-embedding-3-small", "mock-model"};
static const char *const claude_names[] = {"claude-sonnet-4-5", "claude-haiku-4-5"};

void openai_models(struct build *b) {
    struct buf body = {0};
    if (b->request->facts.dialect == DIALECT_ANTHROPIC) {
        buf_append_text(&body, "{\"data\":[");
        for (size_t i = 0; i < sizeof claude_names / sizeof claude_names[0]; i++)
            buf_printf(
                &body,
                "%s{\"type\":\"model\",\"id\":\"%s\",\"display_name\":\"%s\",\"created_at\":\"2025-10-01T00:00:00Z\"}",
                i ? "," : "", claude_names[i], claude_names[i]);
        buf_printf(&body, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", claude_names[0],
                   claude_names[1]);
    } else {
        buf_append_text(&body, "{\"object\":\"list\",\"data\":[");
        for (size_t i = 0; i < sizeof model_names / sizeof model_names[0]; i++)
            buf_printf(&body, "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}",
                       i ? "," : "", model_names[i]);
        buf_append_text(&body, "]}");
    }
    finish(b, &body);
}

void openai_model(struct build *b) {
    struct buf body = {0};
    if (b->request->facts.dialect == DIALECT_ANTHROPIC)
        buf_printf(&body,
                   "{\"type\":\"model\",\"id\":\"%s\",\"display_name\":\"%s\",\"created_at\":\"2025-10-01T00:00:00Z\"}",
                   answer_model(b), answer_model(b));
    else
        buf_printf(&body, "{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}",
                   answer_model(b));
    finish(b, &body);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

void openai_files(struct build *b) {
    const struct request *r = b->request;
    const char *rest = r->facts.model; /* what follows /v1/files */
    struct buf body = {0};
    if (r->facts.deletes) {
        buf_printf(&body, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}", rest[0] ? rest + 1 : "");
    } else if (r->body_bytes) {
        buf_printf(
            &body,
            "{\"id\":\"file-mock1\",\"object\":\"file\",\"bytes\":%llu,\"created_at\":%lld,\"filename\":\"upload\","
            "\"purpose\":\"assistants\",\"status\":\"processed\",\"checksum\":\"%016llx\"}",
            (unsigned long long)r->body_bytes, (long long)answer_time_s(), (unsigned long long)r->checksum);
    } else if (ends_with(rest, "/content")) {
        put_bytes(&body, knob(b, MOCK_BODY_BYTES));
        build_answer(b, 200, "application/octet-stream", buf_slice(&body));
        buf_clear(&body);
        return;
    } else if (rest[0] && rest[1]) {
        buf_printf(
            &body,
            "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%llu,\"created_at\":1700000000,\"filename\":\"upload\","
            "\"purpose\":\"assistants\",\"status\":\"processed\"}",
            rest + 1, (unsigned long long)knob(b, MOCK_BODY_BYTES));
    } else {
        buf_append_text(&body,
                        "{\"object\":\"list\",\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}");
    }
    finish(b, &body);
}
