/* What is counted of the Redis that instances share; no samples where the state is in memory. */
#include "metrics_page.h"
#include "redis/redis.h"

static const struct redis *redis_of(const struct page *p, struct redis_stats *s) {
    if (p->sources->redis != NULL) redis_stats_read(p->sources->redis, s);
    return p->sources->redis;
}

void redis_up_put(struct page *p, const struct family *f) {
    struct redis_stats s;
    if (redis_of(p, &s) == NULL) return;
    sample_begin(p, f);
    sample_u64(p, false, s.clients > 0 && s.clients_up == s.clients);
}

void redis_calls_put(struct page *p, const struct family *f) {
    struct redis_stats s;
    if (redis_of(p, &s) == NULL) return;
    for (enum redis_failure i = 0; i < REDIS_FAILURE_COUNT; i++) {
        sample_begin(p, f);
        label_put(p->out, "result", redis_failure_name(i), true);
        sample_u64(p, true, s.ended[i]);
    }
}

void redis_latency_put(struct page *p, const struct family *f) {
    if (p->sources->redis == NULL) return;
    memset(&p->view, 0, sizeof p->view);
    redis_latency_read(p->sources->redis, &p->view);
    histogram_put(p, f, SLICE("{loop=\"worker\""), &p->view, NULL, 0);
}

void redis_connects_put(struct page *p, const struct family *f) {
    struct redis_stats s;
    if (redis_of(p, &s) == NULL) return;
    sample_begin(p, f);
    sample_u64(p, false, s.connects);
}
