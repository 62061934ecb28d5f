/* What one decision of the limiter costs: taken and settled, refused, and shown, with every limit configured for the
 * tenant and for the model. `make bench-limits` builds and runs it.
 * Prints the best of several rounds, because the machine's noise only ever adds. */
#include <stdio.h>

#include "base/clock.h"
#include "limit/limit.h"

enum { ROUNDS = 25, DECISIONS = 20000 };

static struct limiter *limiter;
static struct config_model_limit models[4];
static struct config_limits limits;
static struct tenant tenant = {.name = SLICE_INIT("acme"), .limits = &limits};
static struct limit_refusal why;
static uint64_t now_ns;

static void taken_and_settled(void) {
    struct limit_request want = {500, 256, true, 1000000};
    struct reservation hold;
    limiter_take(limiter, &tenant, SLICE("fast"), now_ns, (int64_t)now_ns, &want, &hold, &why);
    limit_settle(&hold, 600, 900000, now_ns, (int64_t)now_ns);
}

static void taken(void) {
    struct limit_request want = {0};
    struct reservation hold;
    limiter_take(limiter, &tenant, SLICE("fast"), now_ns, (int64_t)now_ns, &want, &hold, &why);
}

static void shown(void) {
    struct limit_row rows[2 * LIMIT_COUNT];
    limit_view(limiter, &tenant, SLICE("fast"), now_ns, (int64_t)now_ns, rows);
}

static void measure(const char *what, void (*decide)(void)) {
    uint64_t best_ns = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = clock_now_ns();
        for (int i = 0; i < DECISIONS; i++, now_ns += 1000) decide();
        uint64_t spent_ns = clock_now_ns() - begin_ns;
        if (spent_ns < best_ns) best_ns = spent_ns;
    }
    printf("%-28s %6.1f ns\n", what, (double)best_ns / DECISIONS);
}

int main(void) {
    const struct config_limit plenty = {1000000000, UINT64_C(1000000000000), 1000000, UINT64_C(1) << 59,
                                        UINT64_C(1) << 59};
    limits.limit = plenty;
    limits.models.items = models;
    limits.models.count = 4;
    models[0].name.text = SLICE("smart");
    models[1].name.text = SLICE("cheap");
    models[2].name.text = SLICE("embeddings");
    models[3].name.text = SLICE("fast");
    for (int i = 0; i < 4; i++) models[i].limit = plenty;
    limiter = limiter_new();
    now_ns = clock_now_ns();
    measure("taken and settled, 10 limits", taken_and_settled);
    measure("shown, 10 limits", shown);
    limits.limit.requests_per_minute = 1;
    measure("refused", taken);
    limits.models.count = 0;
    limits.limit = (struct config_limit){.requests_per_minute = 1000000000};
    measure("taken and settled, 1 limit", taken_and_settled);
    limits.limit.requests_per_minute = 0;
    measure("no limits", taken_and_settled);
    limiter_free(limiter);
    return 0;
}
