/* What is counted of exchanges. Workers keep one group per tenant, provider, model, workload and operation; a family
 * tells fewer of these apart. For each kind of label set the groups of all workers are strung together into series,
 * and a series is summed when it is written, so no label combination appears twice. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "facts/names.h"
#include "metrics_page.h"

/* ---- OpenTelemetry's words (semantic conventions for generative AI, September 2026) ---- */

struct word {
    struct slice ours, theirs;
};

static const struct word operations[] = {
    {SLICE_INIT("chat"), SLICE_INIT("chat")},
    {SLICE_INIT("responses"), SLICE_INIT("chat")},
    {SLICE_INIT("text_completion"), SLICE_INIT("text_completion")},
    {SLICE_INIT("generate_content"), SLICE_INIT("generate_content")},
};
static const struct word providers[] = {
    {SLICE_INIT("azure"), SLICE_INIT("azure.ai.openai")},
    {SLICE_INIT("bedrock"), SLICE_INIT("aws.bedrock")},
    {SLICE_INIT("gemini"), SLICE_INIT("gcp.gemini")},
    {SLICE_INIT("vertex"), SLICE_INIT("gcp.vertex_ai")},
    {SLICE_INIT("mistral"), SLICE_INIT("mistral_ai")},
    {SLICE_INIT("moonshot"), SLICE_INIT("moonshot_ai")},
    {SLICE_INIT("xai"), SLICE_INIT("x_ai")},
    {SLICE_INIT("watsonx"), SLICE_INIT("ibm.watsonx.ai")},
};

static const struct word *word_of(const struct word *words, size_t count, uint32_t name) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(words[i].ours, name_of(name))) return &words[i];
    return NULL;
}

/* The name to be told for this one; its own where there is no other. */
static uint32_t translated(const struct word *words, size_t count, uint32_t name) {
    const struct word *w = word_of(words, count, name);
    return w != NULL ? name_id(w->theirs) : name;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_inference(const struct traffic_group *g) {
    return word_of(operations, COUNT(operations), g->operation) != NULL;
}

/* ---- groups to series ---- */

enum { KEY_PROVIDER, KEY_MODEL, KEY_TENANT, KEY_WORKLOAD, KEY_OPERATION };

/* False: the group has no place in such a family. */
static bool key_of(enum series_kind kind, const struct traffic_group *g, uint32_t key[SERIES_NAMES]) {
    memset(key, 0, SERIES_NAMES * sizeof *key);
    key[KEY_PROVIDER] = g->provider;
    key[KEY_MODEL] = g->model;
    if (kind == SERIES_TENANT || kind == SERIES_WORKLOAD) key[KEY_TENANT] = g->tenant;
    if (kind == SERIES_WORKLOAD) key[KEY_WORKLOAD] = g->workload;
    if (kind != SERIES_GENAI) return true;
    key[KEY_PROVIDER] = translated(providers, COUNT(providers), g->provider);
    key[KEY_OPERATION] = translated(operations, COUNT(operations), g->operation);
    return g->provider != NAME_NONE;
}

static void member_add(struct page *p, const struct traffic_group *g) {
    p->members = mem_array_grow(p->members, &p->member_capacity, sizeof *p->members, p->member_count + 1);
    struct member *m = &p->members[p->member_count++];
    m->group = g;
    for (int kind = 0; kind < SERIES_KIND_COUNT; kind++) {
        uint32_t key[SERIES_NAMES];
        if (!key_of((enum series_kind)kind, g, key)) continue;
        struct series *s = series_of(&p->sets[kind], key);
        m->next[kind] = s->head;
        s->head = (uint32_t)p->member_count;
    }
}

void members_collect(struct page *p) {
    p->member_count = 0;
    for (int kind = 0; kind < SERIES_KIND_COUNT; kind++)
        for (unsigned i = 0; i < p->sets[kind].count; i++) p->sets[kind].items[i].head = 0;
    for (unsigned i = 0; i < p->sources->worker_count; i++) {
        unsigned cursor = 0;
        for (const struct traffic_group *g; (g = traffic_next(p->sources->traffics[i], &cursor)) != NULL;)
            member_add(p, g);
    }
}

/* Walks the groups of a series: *at starts as its head. NULL at the end. */
static const struct traffic_group *group_next(const struct page *p, enum series_kind kind, uint32_t *at) {
    if (*at == 0) return NULL;
    const struct member *m = &p->members[*at - 1];
    *at = m->next[kind];
    return m->group;
}

static void labels_put(struct buf *out, enum series_kind kind, const uint32_t key[SERIES_NAMES], bool first) {
    if (kind == SERIES_GENAI) {
        label_put(out, "gen_ai_operation_name", name_of(key[KEY_OPERATION]), first);
        label_put(out, "gen_ai_provider_name", name_of(key[KEY_PROVIDER]), false);
        label_put(out, "gen_ai_request_model", name_of(key[KEY_MODEL]), false);
        return;
    }
    if (kind != SERIES_MODEL) label_put(out, "tenant", name_of(key[KEY_TENANT]), first);
    label_put(out, "provider", name_of(key[KEY_PROVIDER]), kind == SERIES_MODEL && first);
    label_put(out, "model", name_of(key[KEY_MODEL]), false);
    if (kind == SERIES_WORKLOAD) label_put(out, "workload", name_of(key[KEY_WORKLOAD]), false);
}

/* ---- counters ---- */

static uint64_t counter_read(const _Atomic uint64_t *c) {
    return atomic_load_explicit(c, memory_order_relaxed);
}

static const struct outcome *outcomes_of(const struct traffic_group *g, bool tries) {
    return atomic_load_explicit(tries ? &g->tries : &g->outcomes, memory_order_acquire);
}

/* Sums them up by what tells them apart: the labels of a tenant's series, then status and error. */
static struct series_set *outcomes_count(struct page *p, bool tries) {
    struct series_set *sums = tries ? &p->tries : &p->outcomes;
    for (unsigned i = 0; i < sums->count; i++) sums->items[i].value = 0;
    for (unsigned i = 0; i < p->sets[SERIES_TENANT].count; i++) {
        const struct series *s = &p->sets[SERIES_TENANT].items[i];
        uint32_t at = s->head;
        for (const struct traffic_group *g; (g = group_next(p, SERIES_TENANT, &at)) != NULL;)
            for (const struct outcome *o = outcomes_of(g, tries); o != NULL;
                 o = atomic_load_explicit(&o->next, memory_order_acquire)) {
                const uint32_t key[SERIES_NAMES] = {s->key[KEY_PROVIDER], s->key[KEY_MODEL], s->key[KEY_TENANT],
                                                    o->status, o->error};
                series_of(sums, key)->value += counter_read(&o->count);
            }
    }
    return sums;
}

void requests_put(struct page *p, const struct family *f) {
    const struct series_set *sums = outcomes_count(p, false);
    for (unsigned i = 0; i < sums->count; i++) {
        const struct series *s = &sums->items[i];
        char status[16];
        snprintf(status, sizeof status, "%u", s->key[3]);
        if (s->value == 0) continue;
        sample_begin(p, f);
        labels_put(p->out, SERIES_TENANT, s->key, true);
        label_put(p->out, "status", i == 0 ? SLICE("_other") : slice_of(status), false);
        label_put(p->out, "error", i == 0 ? SLICE("_other") : slice_of(failure_row((enum failure)s->key[4])->name),
                  false);
        sample_u64(p, true, s->value);
    }
}

void tries_put(struct page *p, const struct family *f) {
    const struct series_set *sums = outcomes_count(p, true);
    for (unsigned i = 0; i < sums->count; i++) {
        const struct series *s = &sums->items[i];
        const struct outcome o = {.status = (uint16_t)s->key[3], .error = (uint8_t)s->key[4]};
        if (s->value == 0) continue;
        sample_begin(p, f);
        labels_put(p->out, SERIES_TENANT, s->key, true);
        label_put(p->out, "outcome", i == 0 ? SLICE("_other") : slice_of(try_end_name(&o)), false);
        sample_u64(p, true, s->value);
    }
}

static uint64_t tokens_sum(const struct page *p, enum series_kind kind, const struct series *s, int type,
                           bool inference_only) {
    uint64_t sum = 0;
    uint32_t at = s->head;
    for (const struct traffic_group *g; (g = group_next(p, kind, &at)) != NULL;)
        if (!inference_only || is_inference(g)) sum += counter_read(&g->tokens[type]);
    return sum;
}

void tokens_put(struct page *p, const struct family *f) {
#define TOKEN_NAME(id, name) #name,
    static const char *const types[] = {TOKEN_TYPES(TOKEN_NAME)};
#undef TOKEN_NAME
    for (unsigned i = 0; i < p->sets[SERIES_TENANT].count; i++) {
        const struct series *s = &p->sets[SERIES_TENANT].items[i];
        for (int t = 0; s->head != 0 && t < TOKEN_TYPE_COUNT; t++) {
            sample_begin(p, f);
            labels_put(p->out, SERIES_TENANT, s->key, true);
            label_put(p->out, "type", slice_of(types[t]), false);
            sample_u64(p, true, tokens_sum(p, SERIES_TENANT, s, t, false));
        }
    }
}

void genai_tokens_put(struct page *p, const struct family *f) {
    for (unsigned i = 0; i < p->sets[SERIES_GENAI].count; i++) {
        const struct series *s = &p->sets[SERIES_GENAI].items[i];
        uint64_t sum = tokens_sum(p, SERIES_GENAI, s, f->what, true);
        if (sum == 0) continue;
        sample_begin(p, f);
        labels_put(p->out, SERIES_GENAI, s->key, true);
        label_put(p->out, "gen_ai_token_modality", SLICE("unknown"), false);
        sample_u64(p, true, sum);
    }
}

static uint64_t spent_of(const struct traffic_group *g, enum spent what) {
    const _Atomic uint64_t *const counters[] = {[SPENT_USD] = &g->cost_pico_usd,
                                                [SPENT_WASTE_USD] = &g->waste_pico_usd,
                                                [SPENT_WASTE_TOKENS] = &g->waste_tokens};
    return counter_read(counters[what]);
}

void spent_put(struct page *p, const struct family *f) {
    const uint64_t usd = UINT64_C(1000000000000);
    for (unsigned i = 0; i < p->sets[SERIES_TENANT].count; i++) {
        const struct series *s = &p->sets[SERIES_TENANT].items[i];
        uint64_t sum = 0;
        uint32_t at = s->head;
        if (at == 0) continue;
        for (const struct traffic_group *g; (g = group_next(p, SERIES_TENANT, &at)) != NULL;)
            sum += spent_of(g, (enum spent)f->what);
        sample_begin(p, f);
        labels_put(p->out, SERIES_TENANT, s->key, true);
        if (f->what == SPENT_WASTE_TOKENS)
            sample_u64(p, true, sum);
        else
            sample_decimal(p, true, sum / usd, sum % usd, 12);
    }
}

/* ---- histograms ---- */

enum which { ALL, INFERENCE, OTHER };
enum { EXEMPLARS_MAX = 64 };

static bool is_of(const struct traffic_group *g, enum which which) {
    return which == ALL || is_inference(g) == (which == INFERENCE);
}

static unsigned exemplars_gather(const struct page *p, const struct traffic_group *g, int measure,
                                 struct exemplar list[EXEMPLARS_MAX], unsigned count) {
    if (p->format != METRICS_OPENMETRICS || p->sources->exemplars == NULL ||
        count + EXEMPLARS_PER_MEASURE > EXEMPLARS_MAX)
        return count;
    return count + exemplars_read(p->sources->exemplars, g, (enum measure)measure, list + count);
}

/* One measure in all series of a kind; `phase`: one more label in front, or NULL. */
static void histograms_put(struct page *p, const struct family *f, enum series_kind kind, enum which which, int measure,
                           const char *phase) {
    struct exemplar exemplars[EXEMPLARS_MAX];
    for (unsigned i = 0; i < p->sets[kind].count; i++) {
        const struct series *s = &p->sets[kind].items[i];
        unsigned exemplar_count = 0;
        uint32_t at = s->head;
        memset(&p->view, 0, sizeof p->view);
        for (const struct traffic_group *g; (g = group_next(p, kind, &at)) != NULL;) {
            if (!is_of(g, which)) continue;
            histogram_read(&g->measures[measure], &p->view);
            exemplar_count = exemplars_gather(p, g, measure, exemplars, exemplar_count);
        }
        if (p->view.count == 0) continue;
        p->labels.start = p->labels.end = 0;
        if (phase != NULL) label_put(&p->labels, "phase", slice_of(phase), true);
        labels_put(&p->labels, kind, s->key, phase == NULL);
        histogram_put(p, f, buf_slice(&p->labels), &p->view, exemplars, exemplar_count);
    }
}

void measure_put(struct page *p, const struct family *f) {
    histograms_put(p, f, SERIES_WORKLOAD, ALL, f->what, NULL);
}

void phases_put(struct page *p, const struct family *f) {
    for (int i = 0; i < PHASE_COUNT; i++)
        histograms_put(p, f, SERIES_MODEL, ALL, MEASURE_PHASE + i, phase_name((enum phase)i));
}

void genai_measure_put(struct page *p, const struct family *f) {
    histograms_put(p, f, SERIES_GENAI, INFERENCE, f->what, NULL);
}

void genai_other_put(struct page *p, const struct family *f) {
    histograms_put(p, f, SERIES_GENAI, OTHER, f->what, NULL);
}
