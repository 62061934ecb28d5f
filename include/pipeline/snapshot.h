/* pipeline/snapshot.h: a configuration ready to serve: immutable, shared by all workers, replaced whole by a reload. */
#pragma once
#include "base/hash.h"
#include "conf/config.h"
#include "http/head.h"
#include "llm/price.h"
#include "tenant/tenants.h"
#include "upstream/health.h"
#include "upstream/hedge.h"
#include "upstream/provider.h"
#include "upstream/retry.h"

struct target { /* one place a model can be had at */
    struct provider *provider;
    struct slice model;        /* the name the provider knows it by */
    uint32_t model_id;         /* name id */
    const struct price *price; /* NULL: unknown */
    bool rename;               /* the client's name for it differs: the request's model is replaced */
    /* of an alias's target */
    uint64_t weight;
    struct slice model_json; /* `model` as it stands in a body; owned */
    struct health *health;   /* known to all workers, outlives configurations; NULL: nothing is known */
    bool balanced;           /* tries under way there are counted */
    bool timed;              /* its first tokens are timed */
};

#define ALIAS_TARGETS_MAX 64

struct alias {
    struct slice name;
    const struct config_model *conf;
    struct target *targets;
    size_t target_count;
    const struct alias **chain; /* the aliases behind it, in the order they are tried, each once; owned */
    size_t chain_count;
    struct retry_policy retry;
    struct {
        uint64_t after_ns; /* 0: never; CONF_P95 */
        uint32_t percent;
        struct hedge_budget *budget; /* owned */
    } hedge;
    bool balances; /* `balance: latency` */
    bool persists; /* a failed try may be followed by another */
};

struct snapshot {
    struct config *config; /* owned */
    struct tenants *tenants;
    struct provider **providers;
    size_t provider_count;
    struct alias *aliases;
    size_t alias_count;
    struct map alias_by_name;
    struct price_table *prices;
    struct head_limits head_limits;
    uint32_t *workload_ids; /* of config->workloads */
};

/* NULL with everything that is wrong in `errors`; takes the configuration over only when it succeeds. Any
 * thread. */
struct snapshot *snapshot_compile(struct config *config, struct origins *origins, struct conf_errors *errors);
void snapshot_free(struct snapshot *s);
struct provider *snapshot_provider(const struct snapshot *s, struct slice name);
bool alias_speaks(const struct alias *a, enum dialect d); /* has it a target of that dialect? */
const struct alias *snapshot_alias(const struct snapshot *s, struct slice name);
