/* Writing the spans of one exchange. Ids below the exchange's own follow from it (facts/span_ids.h): what a trusted
 * provider was told as its parent is the id of the attempt's span here. */
#include "spans.h"

#include "facts/span_ids.h"
#include "http/trace_context.h"
#include "messages.h"

struct span {
    struct buf *out;
    struct view *v;
    uint8_t id[8], parent[8];
    size_t mark;
};

static bool is_none(const uint8_t id[8]) {
    static const uint8_t none[8];
    return memcmp(id, none, sizeof none) == 0;
}

static void span_open(struct span *s, struct slice name, unsigned kind, struct span_time time) {
    const struct record *r = s->v->r;
    bool remote = kind == KIND_SERVER;
    s->mark = proto_open(s->out, SCOPE_ITEMS);
    proto_bytes(s->out, SPAN_TRACE_ID, r->trace_id, sizeof r->trace_id);
    proto_bytes(s->out, SPAN_SPAN_ID, s->id, sizeof s->id);
    if (s->v->texts[RECORD_TEXT_TRACE_STATE].n > 0)
        proto_text(s->out, SPAN_TRACE_STATE, s->v->texts[RECORD_TEXT_TRACE_STATE]);
    if (!is_none(s->parent)) proto_bytes(s->out, SPAN_PARENT_ID, s->parent, sizeof s->parent);
    proto_fixed32(s->out, SPAN_FLAGS, r->trace_flags | FLAGS_REMOTE_KNOWN | (remote ? FLAGS_REMOTE : 0));
    proto_text(s->out, SPAN_NAME, name);
    proto_uint(s->out, SPAN_KIND, kind);
    proto_fixed64(s->out, SPAN_START, (uint64_t)r->start_unix_ns + time.from_ns);
    proto_fixed64(s->out, SPAN_END, (uint64_t)r->start_unix_ns + time.to_ns);
}

static void span_close(struct span *s, enum failure error) {
    if (error != FAILURE_NONE) {
        size_t status = proto_open(s->out, SPAN_STATUS);
        proto_text(s->out, STATUS_MESSAGE, slice_of(failure_row(error)->text));
        proto_uint(s->out, STATUS_CODE, CODE_ERROR);
        proto_close(s->out, status);
    }
    proto_close(s->out, s->mark);
}

static unsigned phases_put(const struct span *parent, const struct span_time phases[PHASE_COUNT], unsigned attempt,
                           bool mine[PHASE_COUNT]) {
    unsigned count = 0;
    for (int i = 0; i < PHASE_COUNT; i++) {
        enum phase p = (enum phase)i;
        struct span s = {.out = parent->out, .v = parent->v};
        if (!mine[i] || phases[i].to_ns == phases[i].from_ns) continue;
        span_id_below(parent->v->r->span_id, SPAN_PHASE(attempt, i), s.id);
        memcpy(s.parent, parent->id, sizeof s.parent);
        span_open(&s, slice_of(phase_name(p)), KIND_INTERNAL, phases[i]);
        attribute_text(s.out, SPAN_ATTRIBUTES, "weir.layer", slice_of(layer_name(phase_layer(p))));
        span_close(&s, FAILURE_NONE);
        count++;
    }
    return count;
}

static struct slice method_or_http(const struct view *v) {
    struct slice method = v->texts[RECORD_TEXT_METHOD];
    return method.n > 0 ? method : SLICE("HTTP");
}

static unsigned attempt_put(const struct span *parent, const struct view_attempt *a, enum semconv dialect) {
    struct span s = {.out = parent->out, .v = parent->v};
    bool mine[PHASE_COUNT];
    for (int i = 0; i < PHASE_COUNT; i++) mine[i] = true;
    span_id_below(s.v->r->span_id, SPAN_ATTEMPT(a->n), s.id);
    memcpy(s.parent, parent->id, sizeof s.parent);
    span_open(&s, method_or_http(s.v), KIND_CLIENT, a->time);
    semconv_put(s.out, SPAN_ATTRIBUTES, s.v, a, ROLE_ATTEMPT, dialect);
    span_close(&s, a->error);
    return 1 + phases_put(&s, a->phases, a->n, mine);
}

static unsigned attempts_put(const struct span *parent, enum semconv dialect) {
    unsigned count = 0;
    for (unsigned i = 0; i < parent->v->attempt_count; i++)
        count += attempt_put(parent, &parent->v->attempts[i], dialect);
    return count;
}

/* Phoenix takes the time to the first token from an event of this name. */
static void first_token_put(const struct span *s) {
    const struct record *r = s->v->r;
    if (r->ttft_ns == TIME_UNKNOWN_NS) return;
    size_t event = proto_open(s->out, SPAN_EVENTS);
    proto_fixed64(s->out, EVENT_TIME, (uint64_t)r->start_unix_ns + r->phase_ns[PHASE_RECEIVE] + r->ttft_ns);
    proto_text(s->out, EVENT_NAME, SLICE("First Token Stream Event"));
    proto_close(s->out, event);
}

static bool phase_is_of_call(int i) {
    return i == PHASE_RETRY || i == PHASE_LOOP;
}

static unsigned inference_put(const struct span *parent, enum semconv dialect) {
    struct view *v = parent->v;
    struct span s = {.out = parent->out, .v = v};
    bool mine[PHASE_COUNT];
    for (int i = 0; i < PHASE_COUNT; i++) mine[i] = phase_is_of_call(i);
    span_id_below(v->r->span_id, SPAN_INFERENCE, s.id);
    memcpy(s.parent, parent->id, sizeof s.parent);
    struct slice model = v->attempts[0].model;
    struct slice name = view_text(v, "%.*s%s%.*s", (int)v->operation.n, v->operation.p, model.n > 0 ? " " : "",
                                  (int)model.n, model.n > 0 ? model.p : "");
    span_open(&s, name, KIND_CLIENT, v->inference);
    semconv_put(s.out, SPAN_ATTRIBUTES, v, NULL, ROLE_INFERENCE, dialect);
    if (dialect == SEMCONV_OPENINFERENCE) first_token_put(&s);
    span_close(&s, view_is_error(v) ? (enum failure)v->r->error : FAILURE_NONE);
    return 1 + phases_put(&s, v->phases, 0, mine) + attempts_put(&s, dialect);
}

unsigned spans_put(struct buf *out, struct view *v, enum semconv dialect) {
    struct span s = {.out = out, .v = v};
    bool called = v->call != CALL_NONE, mine[PHASE_COUNT];
    for (int i = 0; i < PHASE_COUNT; i++) mine[i] = !called || !phase_is_of_call(i);
    memcpy(s.id, v->r->span_id, sizeof s.id);
    memcpy(s.parent, v->r->parent_id, sizeof s.parent);
    struct slice method = method_or_http(v);
    struct slice name = view_text(v, "%.*s%s%.*s", (int)method.n, method.p, v->route.n > 0 ? " " : "", (int)v->route.n,
                                  v->route.n > 0 ? v->route.p : "");
    span_open(&s, name, KIND_SERVER, (struct span_time){0, v->r->total_ns});
    semconv_put(out, SPAN_ATTRIBUTES, v, NULL, ROLE_SERVER, dialect);
    span_close(&s, view_server_is_error(v) ? (enum failure)v->r->error : FAILURE_NONE);
    unsigned count = 1 + phases_put(&s, v->phases, 0, mine);
    return count + (called ? inference_put(&s, dialect) : attempts_put(&s, dialect));
}
