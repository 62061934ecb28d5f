/* Laying a record out in time. The hard part: a record has how long each phase ran in all, not when. Phases are laid
 * one after the other in the order in which they run: what a phase did in several stretches (`generate` and `drain`
 * take turns) stands there in one piece, so that the pieces fill the exchange exactly and no moment is told twice. */
#include "view.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "facts/names.h"

/* ---- texts ---- */

char *view_room(struct view *v, size_t n) {
    if (n > VIEW_SCRATCH_BYTES - v->scratch_used) return NULL;
    char *at = v->scratch + v->scratch_used;
    v->scratch_used += n;
    return at;
}

struct slice view_text(struct view *v, const char *format, ...) {
    size_t left = VIEW_SCRATCH_BYTES - v->scratch_used;
    char *at = v->scratch + v->scratch_used;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(at, left, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= left) return SLICE("");
    v->scratch_used += (size_t)n;
    return (struct slice){at, (size_t)n};
}

static struct slice joined(struct view *v, struct slice a, struct slice b, struct slice c) {
    char *at = view_room(v, a.n + b.n + c.n);
    if (at == NULL) return SLICE("");
    memcpy(at, a.p, a.n);
    memcpy(at + a.n, b.p, b.n);
    memcpy(at + a.n + b.n, c.p, c.n);
    return (struct slice){at, a.n + b.n + c.n};
}

/* ---- what was called ---- */

static const struct {
    struct slice operation, gen_ai;
    enum call_kind call;
} calls[] = {
    {SLICE_INIT("chat"), SLICE_INIT("chat"), CALL_LLM},
    {SLICE_INIT("responses"), SLICE_INIT("chat"), CALL_LLM},
    {SLICE_INIT("text_completion"), SLICE_INIT("text_completion"), CALL_LLM},
    {SLICE_INIT("generate_content"), SLICE_INIT("generate_content"), CALL_LLM},
    {SLICE_INIT("embeddings"), SLICE_INIT("embeddings"), CALL_EMBEDDING},
    {SLICE_INIT("image_generation"), SLICE_INIT("image_generation"), CALL_OTHER},
    {SLICE_INIT("speech"), SLICE_INIT("speech"), CALL_OTHER},
    {SLICE_INIT("moderations"), SLICE_INIT("moderations"), CALL_OTHER},
    {SLICE_INIT("count_tokens"), SLICE_INIT("count_tokens"), CALL_OTHER},
};

enum call_kind call_of(struct slice operation, struct slice *gen_ai) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (!slice_equal(operation, calls[i].operation)) continue;
        *gen_ai = calls[i].gen_ai;
        return calls[i].call;
    }
    return CALL_NONE;
}

/* The model's place in a path like /v1beta/models/{model}:{verb}: *before ends before it, *after begins behind it. */
static bool model_in_path(struct slice path, struct slice *before, struct slice *after) {
    static const struct slice mark = SLICE_INIT("/models/");
    const char *at = path.n > 0 ? memmem(path.p, path.n, mark.p, mark.n) : NULL;
    const char *colon = path.n > 0 ? memrchr(path.p, ':', path.n) : NULL;
    if (at == NULL || colon == NULL || colon <= at + mark.n) return false;
    *before = (struct slice){path.p, (size_t)(at + mark.n - path.p)};
    *after = (struct slice){colon, (size_t)(path.p + path.n - colon)};
    return true;
}

static bool is_passthrough(const struct view *v) {
    return slice_equal(v->texts[RECORD_TEXT_OPERATION], SLICE("passthrough"));
}

static struct slice route_of(struct view *v) {
    struct slice path = v->texts[RECORD_TEXT_PATH], before, after;
    if (v->texts[RECORD_TEXT_OPERATION].n == 0) return SLICE("");
    if (is_passthrough(v)) return v->place != NULL ? joined(v, SLICE("/"), v->place->name, SLICE("/*")) : SLICE("");
    return model_in_path(path, &before, &after) ? joined(v, before, SLICE("{model}"), after) : path;
}

/* Where the request went, as the route stage composes it; without its query, which may hold anything. */
struct slice view_url(struct view *v, const struct view_attempt *a) {
    struct slice path = v->texts[RECORD_TEXT_PATH], before, after;
    const struct place *p = a->place;
    if (p == NULL || path.n == 0) return SLICE("");
    if (is_passthrough(v)) {
        size_t prefix = 1 + p->name.n;
        if (path.n < prefix) return SLICE("");
        return joined(v, p->origin, (struct slice){path.p + prefix, path.n - prefix}, SLICE(""));
    }
    if (p->dialect == DIALECT_OPENAI && path.n > 3)
        path = (struct slice){path.p + 3, path.n - 3}; /* base_url has /v1 */
    if (!model_in_path(path, &before, &after)) return joined(v, p->base_url, path, SLICE(""));
    return joined(v, p->base_url, joined(v, before, a->model, after), SLICE(""));
}

/* ---- time ---- */

/* The phases in the order in which they run, and whose they are. */
static const struct {
    enum phase phase;
    enum { OF_EXCHANGE, OF_CALL, OF_ATTEMPT } whose;
} order[PHASE_COUNT] = {
    {PHASE_RECEIVE, OF_EXCHANGE}, {PHASE_ADMIT, OF_EXCHANGE},   {PHASE_QUEUE, OF_EXCHANGE}, {PHASE_RETRY, OF_CALL},
    {PHASE_DNS, OF_ATTEMPT},      {PHASE_CONNECT, OF_ATTEMPT},  {PHASE_TLS, OF_ATTEMPT},    {PHASE_SEND, OF_ATTEMPT},
    {PHASE_WAIT, OF_ATTEMPT},     {PHASE_GENERATE, OF_ATTEMPT}, {PHASE_LOOP, OF_CALL},      {PHASE_DRAIN, OF_EXCHANGE},
};

/* `a` NULL: nothing was attempted. */
static void phases_lay(struct view *v, struct view_attempt *a) {
    uint64_t at = 0;
    v->inference.from_ns = UINT64_MAX;
    for (int i = 0; i < PHASE_COUNT; i++) {
        enum phase p = order[i].phase;
        struct span_time t = {at, at + v->r->phase_ns[p]};
        at = t.to_ns;
        if (order[i].whose == OF_ATTEMPT && a != NULL)
            a->phases[p] = t;
        else
            v->phases[p] = t;
        if (p == PHASE_DNS && a != NULL) a->time.from_ns = t.from_ns;
        if (p == PHASE_GENERATE && a != NULL) a->time.to_ns = t.to_ns;
        if (p == PHASE_RETRY) v->inference.from_ns = t.from_ns;
        if (p == PHASE_LOOP) v->inference.to_ns = t.to_ns;
    }
}

static uint64_t clamp(uint64_t at, uint64_t low, uint64_t high) {
    return at < low ? low : at > high ? high : at;
}

/* An attempt that was given up, where it ran: the one that counts waited in `queue` later, which is laid before. */
static void given_up_lay(struct view *v, struct view_attempt *a, const struct record_attempt *from) {
    uint64_t low = v->inference.from_ns, high = v->inference.to_ns;
    uint64_t at = from->from_ns + v->r->phase_ns[PHASE_QUEUE];
    for (int i = 0; i < PHASE_COUNT; i++) {
        enum phase p = order[i].phase;
        uint64_t to = at + from->phase_ns[p];
        if (order[i].whose == OF_ATTEMPT) a->phases[p] = (struct span_time){clamp(at, low, high), clamp(to, low, high)};
        if (p == PHASE_DNS) a->time.from_ns = clamp(at, low, high);
        if (p == PHASE_GENERATE) a->time.to_ns = clamp(to, low, high);
        at = to;
    }
}

static void given_up_make(struct view *v, const struct places *places) {
    const struct record_attempt *all = record_given_up(v->r);
    for (unsigned i = 0; i < v->r->given_up_count && v->attempt_count < VIEW_ATTEMPTS_MAX; i++) {
        struct view_attempt *a = &v->attempts[v->attempt_count++];
        *a = (struct view_attempt){.n = all[i].n,
                                   .place = places_find(places, all[i].provider),
                                   .model = name_of(all[i].model),
                                   .status = all[i].status,
                                   .error = (enum failure)all[i].error,
                                   .reused = all[i].reused};
        given_up_lay(v, a, &all[i]);
    }
}

/* The last attempt stands first: its figures are the record's own. */
static void attempts_make(struct view *v, const struct places *places) {
    const struct record *r = v->r;
    v->attempt_count = r->attempts > 0;
    struct view_attempt *a = v->attempt_count > 0 ? &v->attempts[0] : NULL;
    if (a != NULL)
        *a = (struct view_attempt){.n = r->attempt != 0 ? r->attempt : r->attempts,
                                   .place = v->place,
                                   .model = name_of(r->model),
                                   .status = r->provider_status,
                                   .error = r->error_source == SOURCE_PROVIDER ? (enum failure)r->error : FAILURE_NONE,
                                   .reused = r->connection_reused,
                                   .last = true};
    phases_lay(v, a);
    if (a != NULL) given_up_make(v, places);
}

void view_make(struct view *v, const struct record *r, const struct places *places) {
    size_t at = 0;
    v->r = r;
    v->scratch_used = 0;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) {
        v->texts[i] = (struct slice){r->text + at, r->text_bytes[i]};
        at += r->text_bytes[i];
    }
    memset(v->phases, 0, sizeof v->phases);
    v->place = places_find(places, r->provider);
    v->call = r->attempts > 0 ? call_of(v->texts[RECORD_TEXT_OPERATION], &v->operation) : CALL_NONE;
    v->route = route_of(v);
    attempts_make(v, places);
}

bool view_is_error(const struct view *v) {
    return v->r->error != FAILURE_NONE &&
           (v->r->error_source == SOURCE_PROVIDER || v->r->error_source == SOURCE_GATEWAY);
}

bool view_server_is_error(const struct view *v) {
    return view_is_error(v) && v->r->status / 100 != 4;
}
