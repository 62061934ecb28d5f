/* The health of targets. The hard part is that all workers judge at once: the state and its end are one word, changed
 * by compare-and-swap, so that exactly one try becomes the probe; the counts beside it may be off by a race, which
 * moves a cool-down by a failure and nothing else. */
#include "upstream/health.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "facts/names.h"

enum { HEALTHS_MAX = 8192, STATE_BITS = 2, TTFT_WEIGHT = 8, LATE_SAMPLES = 20 };
#define TOLD_NS UINT64_C(1000000000) /* shorter cool-downs come and go with each request: nobody wants to read them */
#define TTFT_SAMPLE_NS UINT64_C(2000000) /* two samples closer than that are one: the line stays with its readers */

static struct health *_Atomic all[HEALTHS_MAX];
static unsigned all_count;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

static struct health *health_new(uint32_t provider, uint32_t model) {
    struct health *h = aligned_alloc(_Alignof(struct health), sizeof *h);
    assert(h != NULL);
    *h = (struct health){.provider = provider, .model = model};
    return h;
}

struct health *health_of(uint32_t provider, uint32_t model) {
    struct health *found = NULL;
    pthread_mutex_lock(&all_lock);
    for (unsigned i = 0; i < all_count && found == NULL; i++) {
        struct health *h = atomic_load_explicit(&all[i], memory_order_relaxed);
        if (h->provider == provider && h->model == model) found = h;
    }
    if (found == NULL && all_count < HEALTHS_MAX) {
        found = health_new(provider, model);
        atomic_store_explicit(&all[all_count++], found, memory_order_release);
    }
    pthread_mutex_unlock(&all_lock);
    return found;
}

struct health *health_next(unsigned *cursor) {
    return *cursor < HEALTHS_MAX ? atomic_load_explicit(&all[(*cursor)++], memory_order_acquire) : NULL;
}

const char *health_state_name(enum health_state s) {
    static const char *const names[] = {"up", "cooling", "probing"};
    assert(s <= HEALTH_PROBING);
    return names[s];
}

const char *health_tell(uint32_t provider, uint32_t model) {
    unsigned cursor = 0;
    for (const struct health *h; (h = health_next(&cursor)) != NULL;)
        if (h->provider == provider && h->model == model) return health_state_name(health_state_of(h));
    return NULL;
}

static uint64_t word_of(enum health_state s, uint64_t until_ns) {
    return until_ns << STATE_BITS | s;
}

enum health_state health_state_of(const struct health *h) {
    return atomic_load_explicit(&h->word, memory_order_relaxed) & ((1 << STATE_BITS) - 1);
}

uint64_t health_until_ns(const struct health *h) {
    return atomic_load_explicit(&h->word, memory_order_relaxed) >> STATE_BITS;
}

bool health_usable(const struct health *h, uint64_t now_ns) {
    return now_ns >= health_until_ns(h);
}

bool health_enter(struct health *h, uint64_t now_ns, bool *probe) {
    uint64_t word = atomic_load_explicit(&h->word, memory_order_relaxed);
    *probe = false;
    if (word == word_of(HEALTH_UP, 0)) return true;
    if (now_ns < word >> STATE_BITS) return false;
    *probe = atomic_compare_exchange_strong(&h->word, &word, word_of(HEALTH_PROBING, now_ns + HEALTH_PROBE_NS));
    return *probe || word == word_of(HEALTH_UP, 0);
}

void health_succeeded(struct health *h, uint64_t now_ns) {
    if (atomic_load_explicit(&h->failures, memory_order_relaxed) != 0)
        atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
    uint64_t word = atomic_load_explicit(&h->word, memory_order_relaxed);
    enum health_state state = word & ((1 << STATE_BITS) - 1);
    bool over = state == HEALTH_COOLING && now_ns >= word >> STATE_BITS;
    if (state != HEALTH_PROBING && !over) return; /* an older try says nothing against a cool-down */
    if (!atomic_compare_exchange_strong(&h->word, &word, word_of(HEALTH_UP, 0))) return;
    atomic_store_explicit(&h->coolings, 0, memory_order_relaxed);
    if (!atomic_exchange_explicit(&h->told, false, memory_order_relaxed)) return;
    struct slice provider = name_of(h->provider), model = name_of(h->model);
    log_info("%.*s/%.*s: works again", (int)provider.n, provider.p, (int)model.n, model.p);
}

static void cool(struct health *h, uint64_t word, uint64_t now_ns, uint64_t for_ns, const char *why) {
    if (!atomic_compare_exchange_strong(&h->word, &word, word_of(HEALTH_COOLING, now_ns + for_ns))) return;
    atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
    if (for_ns < TOLD_NS) return;
    atomic_store_explicit(&h->told, true, memory_order_relaxed);
    struct slice provider = name_of(h->provider), model = name_of(h->model);
    log_warn("%.*s/%.*s: left alone for %llu ms (%s)", (int)provider.n, provider.p, (int)model.n, model.p,
             (unsigned long long)(for_ns / 1000000), why);
}

static uint64_t cooling_ns(struct health *h) {
    unsigned times = atomic_fetch_add_explicit(&h->coolings, 1, memory_order_relaxed);
    uint64_t ns = HEALTH_COOL_NS;
    for (unsigned i = 0; i < times && ns < HEALTH_COOL_MAX_NS; i++) ns *= 2;
    return ns < HEALTH_COOL_MAX_NS ? ns : HEALTH_COOL_MAX_NS;
}

void health_failed(struct health *h, uint64_t now_ns, uint64_t asked_ns, const char *why) {
    unsigned failures = atomic_fetch_add_explicit(&h->failures, 1, memory_order_relaxed) + 1;
    uint64_t word = atomic_load_explicit(&h->word, memory_order_relaxed);
    enum health_state state = word & ((1 << STATE_BITS) - 1);
    if (asked_ns > HEALTH_ASKED_MAX_NS) asked_ns = HEALTH_ASKED_MAX_NS;
    if (asked_ns > 0) {
        if (state != HEALTH_COOLING || word >> STATE_BITS < now_ns + asked_ns) cool(h, word, now_ns, asked_ns, why);
    } else if (state == HEALTH_PROBING || (state == HEALTH_UP && failures >= HEALTH_FAILURES)) {
        cool(h, word, now_ns, cooling_ns(h), why);
    }
}

void health_undecided(struct health *h, uint64_t now_ns) {
    uint64_t word = atomic_load_explicit(&h->word, memory_order_relaxed);
    if ((word & ((1 << STATE_BITS) - 1)) == HEALTH_PROBING)
        atomic_compare_exchange_strong(&h->word, &word, word_of(HEALTH_COOLING, now_ns));
}

/* ---- how quick it is ---- */

/* The 95th percentile without a histogram: each sample above it raises the estimate by so much, each below lowers it by
 * a nineteenth of that, so it rests where one of twenty is above. The first ones set it. */
static void late_learn(struct health *h, uint64_t ttft_ns) {
    uint64_t late = atomic_load_explicit(&h->late_ns, memory_order_relaxed);
    unsigned samples = atomic_load_explicit(&h->samples, memory_order_relaxed);
    uint64_t step = late / 20;
    if (samples < LATE_SAMPLES) {
        atomic_store_explicit(&h->samples, samples + 1, memory_order_relaxed);
        if (ttft_ns > late) late = ttft_ns;
    } else if (ttft_ns > late) {
        late += step + 1;
    } else {
        late -= step / 19;
    }
    atomic_store_explicit(&h->late_ns, late, memory_order_relaxed);
}

uint64_t health_late_ns(const struct health *h) {
    bool known = atomic_load_explicit(&h->samples, memory_order_relaxed) >= LATE_SAMPLES;
    return known ? atomic_load_explicit(&h->late_ns, memory_order_relaxed) : 0;
}

void health_first_token(struct health *h, uint64_t ttft_ns, uint64_t now_ns) {
    uint64_t at = atomic_load_explicit(&h->ttft_at_ns, memory_order_relaxed);
    if (at != 0 && now_ns < at + TTFT_SAMPLE_NS) return;
    late_learn(h, ttft_ns);
    uint64_t mean = atomic_load_explicit(&h->ttft_ns, memory_order_relaxed);
    bool known = at != 0 && now_ns < at + 8 * HEALTH_HALF_LIFE_NS;
    uint64_t next = known ? mean - mean / TTFT_WEIGHT + ttft_ns / TTFT_WEIGHT : ttft_ns;
    atomic_store_explicit(&h->ttft_ns, next, memory_order_relaxed);
    atomic_store_explicit(&h->ttft_at_ns, now_ns, memory_order_relaxed);
}

/* What nothing has confirmed for long counts for less: who was slow once gets tried again. */
uint64_t health_score(const struct health *h, uint64_t now_ns) {
    uint64_t at = atomic_load_explicit(&h->ttft_at_ns, memory_order_relaxed);
    uint64_t ttft = atomic_load_explicit(&h->ttft_ns, memory_order_relaxed);
    uint64_t halvings = now_ns > at ? (now_ns - at) / HEALTH_HALF_LIFE_NS : 0;
    ttft = halvings < 40 ? ttft >> halvings : 0;
    return (ttft + 1) * (atomic_load_explicit(&h->in_flight, memory_order_relaxed) + UINT64_C(1));
}
