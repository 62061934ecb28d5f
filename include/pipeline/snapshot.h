/* pipeline/snapshot.h: a configuration ready to serve: immutable, shared by all workers, replaced whole by a reload. */
#pragma once
#include "base/hash.h"
#include "conf/config.h"
#include "http/head.h"
#include "llm/price.h"
#include "tenant/tenants.h"
#include "upstream/provider.h"

struct target { /* one place a model can be had at */
    struct provider *provider;
    struct slice model;        /* the name the provider knows it by */
    uint32_t model_id;         /* name id */
    const struct price *price; /* NULL: unknown */
    bool rename;               /* the client's name for it differs: the request's model is replaced */
};

struct alias {
    struct slice name;
    const struct config_model *conf;
    struct target *targets;
    size_t target_count;
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

/* NULL with everything that is wrong in `errors`; takes the configuration over only when it succeeds. */
struct snapshot *snapshot_compile(struct config *config, struct conf_errors *errors);
void snapshot_free(struct snapshot *s);
struct provider *snapshot_provider(const struct snapshot *s, struct slice name);
const struct alias *snapshot_alias(const struct snapshot *s, struct slice name);
