/* The names of the conventions: OpenTelemetry's for HTTP (1.44) and GenAI (2026-09), the older ones that backends still
 * read, OpenInference's and Langfuse's, and weir's own. One row a name: where it stands, who gets it, where its value
 * comes from. What has no value is left out. A key never stands here, nor anything a body said. */
#include "semconv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "facts/names.h"
#include "telemetry/traffic.h"

/* Where values come from: the view, and for attempts the attempt. */
#define FACT(name) static struct value name(struct view *v, const struct view_attempt *a)
#define UNUSED_ATTEMPT (void)a
#define TEXT_FACT(name, which)                                                                                         \
    FACT(name) {                                                                                                       \
        UNUSED_ATTEMPT;                                                                                                \
        return value_text(v->texts[RECORD_TEXT_##which]);                                                              \
    }
#define NAME_FACT(name, member)                                                                                        \
    FACT(name) {                                                                                                       \
        UNUSED_ATTEMPT;                                                                                                \
        return value_text(name_of(v->r->member));                                                                      \
    }
#define COUNT_FACT(name, condition, expression)                                                                        \
    FACT(name) {                                                                                                       \
        UNUSED_ATTEMPT;                                                                                                \
        const struct record *r = v->r;                                                                                 \
        return (condition) ? value_int(expression) : value_none();                                                     \
    }
#define MS_FACT(name, expression)                                                                                      \
    FACT(name) {                                                                                                       \
        UNUSED_ATTEMPT;                                                                                                \
        const struct record *r = v->r;                                                                                 \
        uint64_t ns = (expression);                                                                                    \
        return ns != TIME_UNKNOWN_NS ? value_double((double)ns / (double)NS_PER_MS) : value_none();                    \
    }

TEXT_FACT(path, PATH)
TEXT_FACT(client_address, CLIENT)
TEXT_FACT(user_agent, USER_AGENT)
TEXT_FACT(session, SESSION)
TEXT_FACT(release, RELEASE)
TEXT_FACT(model_requested, MODEL_REQUESTED)
TEXT_FACT(model_answered, MODEL)
TEXT_FACT(limit, LIMIT)
NAME_FACT(tenant, tenant)
NAME_FACT(key_name, key)
NAME_FACT(workload, workload)

COUNT_FACT(status, r->status != 499, r->status) /* 499 was never sent */
COUNT_FACT(request_bytes, true, r->request_bytes)
COUNT_FACT(response_bytes, true, r->response_bytes)
COUNT_FACT(attempts, true, r->attempts)
COUNT_FACT(in_flight, true, r->in_flight)
COUNT_FACT(max_tokens, r->max_tokens > 0, r->max_tokens)
COUNT_FACT(choices, r->choices > 1, r->choices)
COUNT_FACT(chunks, r->stream, r->chunks)
COUNT_FACT(input_tokens, r->usage.input > 0 || r->usage.input_known, r->usage.input)
COUNT_FACT(output_tokens, r->usage.output > 0 || (r->usage.output_known && v->call == CALL_LLM), r->usage.output)
COUNT_FACT(all_tokens, r->usage.input + (uint64_t)r->usage.output > 0, r->usage.input + (uint64_t)r->usage.output)
COUNT_FACT(cache_read_tokens, r->usage.cache_read > 0, r->usage.cache_read)
COUNT_FACT(cache_write_tokens, r->usage.cache_write > 0, r->usage.cache_write)
COUNT_FACT(reasoning_tokens, r->usage.reasoning > 0, r->usage.reasoning)

MS_FACT(overhead_ms, record_overhead_ns(r))
MS_FACT(cpu_ms, r->callback_ns)
MS_FACT(ttft_ms, r->ttft_ns)
MS_FACT(first_visible_ms, r->first_visible_ns)
MS_FACT(tpot_ms, r->tpot_ns)
MS_FACT(gap_max_ms, r->gap_max_ns)
MS_FACT(limiter_ms, r->limiter_ns)
MS_FACT(provider_ms, a->last ? r->provider_ns : TIME_UNKNOWN_NS)
MS_FACT(rtt_provider_ms, a->last && r->rtt_provider_ns != 0 ? r->rtt_provider_ns : TIME_UNKNOWN_NS)
MS_FACT(rtt_client_ms, r->rtt_client_ns != 0 ? r->rtt_client_ns : TIME_UNKNOWN_NS)

FACT(scheme) {
    UNUSED_ATTEMPT;
    return value_text(v->r->client_tls ? SLICE("https") : SLICE("http"));
}
FACT(route) {
    UNUSED_ATTEMPT;
    return value_text(v->route);
}
FACT(http_version) {
    (void)v, UNUSED_ATTEMPT;
    return value_text(SLICE("1.1"));
}
FACT(method) { /* one that was not understood is not known by its name */
    UNUSED_ATTEMPT;
    return value_text(v->texts[RECORD_TEXT_METHOD].n > 0 ? v->texts[RECORD_TEXT_METHOD] : SLICE("_OTHER"));
}
/* A client that left is no error of whoever served it, and a refusal is an answer. */
FACT(error_type) {
    enum failure f = a != NULL ? a->error : view_is_error(v) ? (enum failure)v->r->error : FAILURE_NONE;
    return value_text(slice_of(failure_row(f)->name));
}
FACT(server_error_type) {
    return view_server_is_error(v) ? error_type(v, a) : value_none();
}
FACT(error_name) {
    UNUSED_ATTEMPT;
    return value_text(slice_of(failure_row((enum failure)v->r->error)->name));
}
FACT(error_source) {
    UNUSED_ATTEMPT;
    return value_text(slice_of(error_source_name((enum error_source)v->r->error_source)));
}

FACT(operation) {
    UNUSED_ATTEMPT;
    return value_text(v->operation);
}
static const struct place *place_of(const struct view *v, const struct view_attempt *a) {
    return a != NULL ? a->place : v->place;
}
FACT(system_name) {
    const struct place *p = place_of(v, a);
    return value_text(p != NULL ? p->system : name_of(v->r->provider));
}
FACT(provider_name) {
    const struct place *p = place_of(v, a);
    return value_text(p != NULL ? p->name : name_of(v->r->provider));
}
FACT(server_address) {
    const struct place *p = place_of(v, a);
    return p != NULL ? value_text(p->host) : value_none();
}
FACT(server_port) {
    const struct place *p = place_of(v, a);
    return p != NULL ? value_int(p->port) : value_none();
}
FACT(model_called) {
    return value_text(a != NULL ? a->model : name_of(v->r->model));
}
FACT(model_of_answer) { /* without an answer the record's is the target's */
    return v->r->provider_status / 100 == 2 ? model_answered(v, a) : value_none();
}
FACT(stream) {
    UNUSED_ATTEMPT;
    return v->r->stream ? value_bool(true) : value_none();
}
/* What was broken off while it was generated ended with `error`, whoever broke it off. */
FACT(finish_reasons) {
    UNUSED_ATTEMPT;
    struct slice reason = v->texts[RECORD_TEXT_FINISH_REASON];
    bool broken_off = v->r->error != FAILURE_NONE && v->r->chunks > 0;
    struct value reasons = value_text(reason.n == 0 && broken_off ? SLICE("error") : reason);
    if (reasons.type == VALUE_TEXT) reasons.type = VALUE_LIST;
    return reasons;
}
TEXT_FACT(finish_reason, FINISH_REASON)
FACT(first_chunk_s) {
    UNUSED_ATTEMPT;
    uint64_t ns = v->r->attempt_ttft_ns;
    return v->r->stream && ns != TIME_UNKNOWN_NS ? value_double((double)ns / (double)NS_PER_S) : value_none();
}
FACT(openai_api) {
    UNUSED_ATTEMPT;
    if (v->place == NULL || v->place->dialect != DIALECT_OPENAI) return value_none();
    if (slice_equal(v->texts[RECORD_TEXT_OPERATION], SLICE("responses"))) return value_text(SLICE("responses"));
    return slice_equal(v->texts[RECORD_TEXT_OPERATION], SLICE("chat")) ? value_text(SLICE("chat_completions"))
                                                                       : value_none();
}
static struct value usd(int64_t pico) {
    return pico != COST_UNKNOWN ? value_double((double)pico / 1e12) : value_none();
}
FACT(cost_usd) {
    UNUSED_ATTEMPT;
    return usd(v->r->cost_pico_usd);
}
FACT(waste_usd) {
    UNUSED_ATTEMPT;
    return v->r->waste_pico_usd != 0 ? usd(v->r->waste_pico_usd) : value_none();
}
FACT(estimated) {
    UNUSED_ATTEMPT;
    return v->r->usage.estimated ? value_bool(true) : value_none();
}

FACT(attempt_number) {
    (void)v;
    return value_int(a->n);
}
FACT(resends) {
    (void)v;
    return a->n > 1 ? value_int(a->n - 1) : value_none();
}
FACT(attempt_status) {
    (void)v;
    return a->status != 0 ? value_int(a->status) : value_none();
}
FACT(reused) {
    (void)v;
    return value_bool(a->reused);
}
FACT(url) {
    return value_text(view_url(v, a));
}
FACT(provider_request_id) {
    if (!a->last) return value_none();
    struct value id = value_text(v->texts[RECORD_TEXT_PROVIDER_REQUEST_ID]);
    if (id.type == VALUE_TEXT) id.type = VALUE_LIST;
    return id;
}

/* ---- OpenInference ---- */

FACT(openinference_kind) {
    UNUSED_ATTEMPT;
    static const char *const kinds[] = {
        [CALL_NONE] = "CHAIN", [CALL_LLM] = "LLM", [CALL_EMBEDDING] = "EMBEDDING", [CALL_OTHER] = "CHAIN"};
    return value_text(slice_of(kinds[v->call]));
}
FACT(openinference_chain) {
    (void)v, UNUSED_ATTEMPT;
    return value_text(SLICE("CHAIN"));
}
static struct value only_of(const struct view *v, enum call_kind call, struct value value) {
    return v->call == call ? value : value_none();
}
FACT(llm_model) {
    return only_of(v, CALL_LLM, model_answered(v, a));
}
FACT(llm_system) {
    return only_of(v, CALL_LLM, system_name(v, a));
}
FACT(embedding_model) {
    return only_of(v, CALL_EMBEDDING, model_answered(v, a));
}
FACT(invocation_parameters) {
    UNUSED_ATTEMPT;
    if (v->call != CALL_LLM) return value_none();
    const char *stream = v->r->stream ? "\"stream\": true" : "";
    if (v->r->max_tokens == 0) return value_text(view_text(v, "{%s}", stream));
    return value_text(view_text(v, "{%s%s\"max_tokens\": %u}", stream, *stream ? ", " : "", v->r->max_tokens));
}

/* ---- Langfuse ---- */

FACT(langfuse_type) {
    UNUSED_ATTEMPT;
    static const char *const types[] = {
        [CALL_NONE] = "span", [CALL_LLM] = "generation", [CALL_EMBEDDING] = "embedding", [CALL_OTHER] = "span"};
    return value_text(slice_of(types[v->call]));
}
FACT(langfuse_first_token) {
    UNUSED_ATTEMPT;
    char at[CLOCK_RFC3339_BYTES];
    if (v->r->ttft_ns == TIME_UNKNOWN_NS) return value_none();
    clock_format_rfc3339(v->r->start_unix_ns + (int64_t)(v->r->phase_ns[PHASE_RECEIVE] + v->r->ttft_ns), at);
    return value_text(view_text(v, "%s", at));
}
FACT(langfuse_cost) {
    UNUSED_ATTEMPT;
    struct buf number = {0};
    if (v->r->cost_pico_usd == COST_UNKNOWN) return value_none();
    json_text_usd(&number, v->r->cost_pico_usd);
    struct value cost = value_text(view_text(v, "{\"total\": %.*s}", (int)buf_length(&number), buf_slice(&number).p));
    buf_clear(&number);
    return cost;
}

/* ---- the table ---- */

enum {
    S = ROLE_SERVER,
    I = ROLE_INFERENCE,
    A = ROLE_ATTEMPT,
    ALL = SEMCONV_GENAI_ONLY | SEMCONV_OPENINFERENCE | SEMCONV_LANGFUSE,
    OI = SEMCONV_OPENINFERENCE,
    LF = SEMCONV_LANGFUSE,
};

/* clang-format off */
static const struct {
    struct slice key;
    unsigned roles, dialects;
    struct value (*of)(struct view *v, const struct view_attempt *a);
} rows[] = {
#define ROW(key, roles, dialects, of) {SLICE_INIT(key), roles, dialects, of},
    /* HTTP (stable) */
    ROW("http.request.method", S | A, ALL, method)
    ROW("url.path", S, ALL, path)
    ROW("url.scheme", S, ALL, scheme)
    ROW("http.route", S, ALL, route)
    ROW("http.response.status_code", S, ALL, status)
    ROW("http.response.status_code", A, ALL, attempt_status)
    ROW("error.type", S, ALL, server_error_type)
    ROW("error.type", I | A, ALL, error_type)
    ROW("client.address", S, ALL, client_address)
    ROW("user_agent.original", S, ALL, user_agent)
    ROW("network.protocol.version", A, ALL, http_version)
    ROW("http.request.body.size", S, ALL, request_bytes)
    ROW("http.response.body.size", S, ALL, response_bytes)
    ROW("http.request.resend_count", A, ALL, resends)
    ROW("url.full", A, ALL, url)
    ROW("http.response.header.x-request-id", A, ALL, provider_request_id)
    ROW("server.address", I | A, ALL, server_address)
    ROW("server.port", I | A, ALL, server_port)
    ROW("session.id", S | I, ALL, session)

    /* GenAI, newest */
    ROW("gen_ai.operation.name", I, ALL, operation)
    ROW("gen_ai.provider.name", I, ALL, system_name)
    ROW("gen_ai.request.model", I, ALL, model_called)
    ROW("gen_ai.response.model", I, ALL, model_of_answer)
    ROW("gen_ai.request.stream", I, ALL, stream)
    ROW("gen_ai.request.max_tokens", I, ALL, max_tokens)
    ROW("gen_ai.request.choice.count", I, ALL, choices)
    ROW("gen_ai.conversation.id", I, ALL, session)
    ROW("gen_ai.response.finish_reasons", I, ALL, finish_reasons)
    ROW("gen_ai.response.time_to_first_chunk", I, ALL, first_chunk_s)
    ROW("gen_ai.usage.input_tokens", I, ALL, input_tokens)
    ROW("gen_ai.usage.output_tokens", I, ALL, output_tokens)
    ROW("gen_ai.usage.cache_read.input_tokens", I, ALL, cache_read_tokens)
    ROW("gen_ai.usage.cache_write.input_tokens", I, ALL, cache_write_tokens)
    ROW("gen_ai.usage.reasoning.output_tokens", I, ALL, reasoning_tokens)
    ROW("openai.api.type", I, ALL, openai_api)
    /* … until 2026-06; Phoenix and Langfuse know only this one */
    ROW("gen_ai.usage.cache_creation.input_tokens", I, ALL, cache_write_tokens)
    /* … until 1.36 */
    ROW("gen_ai.system", I, OI | LF, system_name)
    ROW("gen_ai.usage.cost", I, LF, cost_usd)

    /* OpenInference */
    ROW("openinference.span.kind", S, OI, openinference_chain)
    ROW("openinference.span.kind", I, OI, openinference_kind)
    ROW("llm.model_name", I, OI, llm_model)
    ROW("llm.provider", I, OI, llm_system)
    ROW("llm.system", I, OI, llm_system)
    ROW("llm.invocation_parameters", I, OI, invocation_parameters)
    ROW("llm.finish_reason", I, OI, finish_reason)
    ROW("llm.token_count.prompt", I, OI, input_tokens)
    ROW("llm.token_count.completion", I, OI, output_tokens)
    ROW("llm.token_count.total", I, OI, all_tokens)
    ROW("llm.token_count.prompt_details.cache_read", I, OI, cache_read_tokens)
    ROW("llm.token_count.prompt_details.cache_write", I, OI, cache_write_tokens)
    ROW("llm.token_count.completion_details.reasoning", I, OI, reasoning_tokens)
    ROW("llm.cost.total", I, OI, cost_usd)
    ROW("embedding.model_name", I, OI, embedding_model)

    /* Langfuse */
    ROW("langfuse.observation.type", I, LF, langfuse_type)
    ROW("langfuse.observation.model.name", I, LF, model_answered)
    ROW("langfuse.observation.completion_start_time", I, LF, langfuse_first_token)
    ROW("langfuse.observation.cost_details", I, LF, langfuse_cost)
    ROW("langfuse.session.id", S | I, LF, session)
    ROW("langfuse.user.id", S | I, LF, tenant)
    ROW("langfuse.release", S | I, LF, release)

    /* weir's own */
    ROW("weir.tenant", S | I, ALL, tenant)
    ROW("weir.key", S, ALL, key_name)
    ROW("weir.workload", S | I, ALL, workload)
    ROW("weir.release", S | I, ALL, release)
    ROW("weir.provider", S | I | A, ALL, provider_name)
    ROW("weir.model", A, ALL, model_called)
    ROW("weir.model_requested", S | I, ALL, model_requested)
    ROW("weir.attempts", S | I, ALL, attempts)
    ROW("weir.attempt", A, ALL, attempt_number)
    ROW("weir.error", S | I, ALL, error_name)
    ROW("weir.error_source", S | I, ALL, error_source)
    ROW("weir.limit", S, ALL, limit)
    ROW("weir.cost_usd", I, ALL, cost_usd)
    ROW("weir.waste_usd", I, ALL, waste_usd)
    ROW("weir.tokens_estimated", I, ALL, estimated)
    ROW("weir.ttft_ms", S | I, ALL, ttft_ms)
    ROW("weir.first_visible_ms", I, ALL, first_visible_ms)
    ROW("weir.tpot_ms", S | I, ALL, tpot_ms)
    ROW("weir.gap_max_ms", I, ALL, gap_max_ms)
    ROW("weir.chunks", I, ALL, chunks)
    ROW("weir.overhead_ms", S, ALL, overhead_ms)
    ROW("weir.cpu_ms", S, ALL, cpu_ms)
    ROW("weir.limiter_ms", S, ALL, limiter_ms)
    ROW("weir.in_flight", S, ALL, in_flight)
    ROW("weir.rtt_client_ms", S, ALL, rtt_client_ms)
    ROW("weir.rtt_provider_ms", A, ALL, rtt_provider_ms)
    ROW("weir.provider_ms", A, ALL, provider_ms)
    ROW("weir.connection_reused", A, ALL, reused)
#undef ROW
};
/* clang-format on */

static void tags_put(struct buf *out, unsigned field, struct view *v) {
    struct slice rest = v->texts[RECORD_TEXT_TAGS], name, value;
    while (rest.n > 0 && slice_cut(&rest, '\0', &name) && slice_cut(&rest, '\0', &value))
        attribute_put(out, field, view_text(v, "weir.tag.%.*s", (int)name.n, name.p), value_text(value));
}

void semconv_put(struct buf *out, unsigned field, struct view *v, const struct view_attempt *a, enum span_role role,
                 enum semconv dialect) {
    size_t scratch_used = v->scratch_used;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].roles & (unsigned)role && rows[i].dialects & (unsigned)dialect)
            attribute_put(out, field, rows[i].key, rows[i].of(v, a));
    if (role != ROLE_ATTEMPT) tags_put(out, field, v);
    v->scratch_used = scratch_used; /* what was made up is written */
}
