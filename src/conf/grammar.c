/* The grammar of the configuration, in the order of the documentation. A new key is a row here, a member in
 * conf/config.h, and its place in docs/configuration.md and conf/weir.yaml (a test insists). Relations between keys are
 * not told here: see verify_*.c. */
#include "grammar.h"

#include <stddef.h>

#include "conf/config.h"

#define ROW_COUNT(array) (sizeof(array) / sizeof *(array))
/* The offset of a member, refusing to compile when the member is not of the type that the row's reader writes. */
#define FIELD(owner, member, type)                                                                                     \
    .offset = offsetof(struct owner, member) +                                                                         \
              0 * sizeof(char[__builtin_types_compatible_p(typeof(((struct owner *)0)->member), type) ? 1 : -1])
#define TEXT(owner, member) FIELD(owner, member, struct conf_text)
#define TEXTS(owner, member) FIELD(owner, member, struct conf_texts)
#define PAIRS(owner, member) FIELD(owner, member, struct conf_pairs)
#define ADDRESS(owner, member) FIELD(owner, member, struct conf_address)
#define NUMBER(owner, member) FIELD(owner, member, uint64_t)
#define BOOL(owner, member) FIELD(owner, member, bool)
#define ITEMS(owner, member, item) FIELD(owner, member.items, struct item *), .item_bytes = sizeof(struct item)
#define S UINT64_C(1000000000)
#define DAY (86400 * S)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define USD UINT64_C(1000000000000)

/* clang-format off */
#define LIMIT_ROWS(prefix, owner, member, otherwise)                                                                  \
    {prefix ".requests_per_minute", KEY_COUNT, .unset = otherwise, NUMBER(owner, member.requests_per_minute),         \
     .min = 1, .max = 1000000000},                                                                                    \
    {prefix ".tokens_per_minute", KEY_COUNT, .unset = otherwise, NUMBER(owner, member.tokens_per_minute),             \
     .min = 1, .max = 1000000000000},                                                                                 \
    {prefix ".concurrent_requests", KEY_COUNT, .unset = otherwise, NUMBER(owner, member.concurrent_requests),         \
     .min = 1, .max = 1000000},                                                                                       \
    {prefix ".usd_per_day", KEY_MONEY, .unset = otherwise, NUMBER(owner, member.pico_usd_per_day),                    \
     .min = USD / 1000000, .max = 1000000 * USD},                                                                     \
    {prefix ".usd_per_month", KEY_MONEY, .unset = otherwise, NUMBER(owner, member.pico_usd_per_month),                \
     .min = USD / 1000000, .max = 1000000 * USD}

#define LIMITS_ROWS(prefix, owner, member, otherwise)                                                                 \
    {prefix, KEY_SECTION},                                                                                            \
    LIMIT_ROWS(prefix, owner, member.limit, otherwise),                                                               \
    {prefix ".models", KEY_NAMED, .rule = RULE_MODEL, .unset = otherwise,                                             \
     ITEMS(owner, member.models, config_model_limit)},                                                                \
    LIMIT_ROWS(prefix ".models.NAME", config_model_limit, limit, "no limit")

#define QUEUE_ROWS(prefix, owner, member, flags, wait, size_max)                                                      \
    {prefix, KEY_SECTION, flags},                                                                                     \
    {prefix ".wait", KEY_DURATION, .fallback = wait, NUMBER(owner, member.wait_ns), .max = 3600 * S},                 \
    {prefix ".size", KEY_COUNT, .fallback = size_max, NUMBER(owner, member.size), .max = 1000000}

#define TIMEOUT(name, value)                                                                                          \
    {"providers.NAME.timeouts." #name, KEY_DURATION, KEY_OFF, .fallback = value,                                      \
     NUMBER(config_provider, timeouts.name##_ns), .min = 1000000, .max = DAY}
/* clang-format on */

const struct key grammar[] = {
    {"instance", KEY_SECTION},
    {"instance.name", KEY_TEXT, .rule = RULE_NAME, .unset = "the host's name", TEXT(config, instance.name)},
    {"instance.region", KEY_TEXT, .rule = RULE_NAME, .unset = "none", TEXT(config, instance.region)},
    {"instance.environment", KEY_TEXT, .rule = RULE_NAME, .unset = "none", TEXT(config, instance.environment)},

    {"listen", KEY_LIST, .fallback = "127.0.0.1:8080", .short_form = "address", .min = 1, .max = 64,
     ITEMS(config, listen, config_listener)},
    {"listen[].address", KEY_ADDRESS, KEY_REQUIRED, ADDRESS(config_listener, address)},
    {"listen[].tls", KEY_SECTION},
    {"listen[].tls.certificate", KEY_PATH, .unset = "plain HTTP", TEXT(config_listener, tls.certificate)},
    {"listen[].tls.key", KEY_PATH, .unset = "plain HTTP", TEXT(config_listener, tls.key)},
    {"listen[].insecure", KEY_BOOL, .fallback = "false", BOOL(config_listener, insecure)},

    {"admin", KEY_SECTION},
    {"admin.address", KEY_ADDRESS, .fallback = "127.0.0.1:9347", ADDRESS(config, admin.address)},
    {"admin.token", KEY_TEXT, KEY_SECRET, .rule = RULE_SECRET, .unset = "none is asked for", TEXT(config, admin.token)},

    {"otlp", KEY_SECTION},
    {"otlp.receive", KEY_SECTION, KEY_NOT_BUILT},
    {"otlp.receive.address", KEY_ADDRESS, .unset = "off", ADDRESS(config, otlp.receive.address)},
    {"otlp.export", KEY_LIST, .unset = "off", .max = 16, ITEMS(config, otlp.exporters, config_exporter)},
    {"otlp.export[].endpoint", KEY_URL, KEY_REQUIRED, TEXT(config_exporter, endpoint)},
    {"otlp.export[].headers", KEY_PAIRS, KEY_SECRET, .rule = RULE_HEADER, .unset = "none", .max = 32,
     PAIRS(config_exporter, headers)},
    {"otlp.export[].dialect", KEY_CHOICE, .fallback = "genai", .words = "genai openinference langfuse",
     FIELD(config_exporter, dialect, enum config_export_dialect)},
    {"otlp.export[].signals", KEY_TEXTS, .rule = RULE_SIGNAL, .words = "traces metrics logs", .fallback = "traces",
     .min = 1, .max = 3, TEXTS(config_exporter, signals)},
    {"otlp.export[].compression", KEY_CHOICE, .fallback = "default", /* what the environment says, else none */
     .words = "none gzip default", FIELD(config_exporter, compression, enum config_compression)},
    {"otlp.export[].timeout", KEY_DURATION, KEY_INHERITED, .unset = "OTEL_EXPORTER_OTLP_TIMEOUT, else 10s",
     NUMBER(config_exporter, timeout_ns), .min = 1000000, .max = 3600 * S},
    {"otlp.export[].tls", KEY_SECTION},
    {"otlp.export[].tls.ca", KEY_PATH, .unset = "the system's", TEXT(config_exporter, tls.ca)},
    {"otlp.export[].tls.verify", KEY_BOOL, .fallback = "true", BOOL(config_exporter, tls.verify)},

    {"workers", KEY_COUNT, KEY_AUTO, .fallback = "auto", NUMBER(config, workers), .min = 1, .max = 256},

    {"providers", KEY_NAMED, .rule = RULE_NAME, .unset = "none", .max = 1000,
     ITEMS(config, providers, config_provider)},
    {"providers.NAME.dialect", KEY_CHOICE, KEY_REQUIRED, .words = "openai anthropic gemini",
     FIELD(config_provider, dialect, enum dialect)},
    {"providers.NAME.base_url", KEY_URL, KEY_REQUIRED, TEXT(config_provider, base_url)},
    {"providers.NAME.api_key", KEY_TEXT, KEY_SECRET, .rule = RULE_SECRET, .unset = "required unless auth is none",
     TEXT(config_provider, api_key)},
    {"providers.NAME.auth", KEY_CHOICE, .fallback = "default", /* the last word is AUTH_COUNT: the dialect's own */
     .words = "bearer x-api-key api-key x-goog-api-key none default", FIELD(config_provider, auth, enum auth)},
    {"providers.NAME.models", KEY_TEXTS, .rule = RULE_PATTERN, .unset = "none", .max = 1000,
     TEXTS(config_provider, models)},
    {"providers.NAME.headers", KEY_PAIRS, KEY_SECRET, .rule = RULE_HEADER, .unset = "none", .max = 32,
     PAIRS(config_provider, headers)},
    {"providers.NAME.timeouts", KEY_SECTION},
    TIMEOUT(connect, "5s"),
    TIMEOUT(first_token, "off"),
    TIMEOUT(idle, "60s"),
    TIMEOUT(total, "10m"),
    {"providers.NAME.max_connections", KEY_COUNT, .fallback = "10000", NUMBER(config_provider, max_connections),
     .min = 1, .max = 1000000},
    QUEUE_ROWS("providers.NAME.queue", config_provider, queue, 0, "2s", "1000"),
    {"providers.NAME.usage", KEY_CHOICE, .fallback = "inject", .words = "inject never",
     FIELD(config_provider, usage, enum config_usage)},
    {"providers.NAME.tls", KEY_SECTION},
    {"providers.NAME.tls.ca", KEY_PATH, .unset = "the system's", TEXT(config_provider, tls.ca)},
    {"providers.NAME.tls.verify", KEY_BOOL, .fallback = "true", BOOL(config_provider, tls.verify)},
    {"providers.NAME.trusted", KEY_BOOL, .fallback = "false", BOOL(config_provider, trusted)},

    {"models", KEY_NAMED, .rule = RULE_MODEL, .unset = "none", .max = 10000, ITEMS(config, models, config_model)},
    {"models.NAME.targets", KEY_LIST, KEY_REQUIRED, .min = 1, .max = 64, ITEMS(config_model, targets, config_target)},
    {"models.NAME.targets[].provider", KEY_TEXT, KEY_REQUIRED, .rule = RULE_NAME, TEXT(config_target, provider)},
    {"models.NAME.targets[].model", KEY_TEXT, KEY_REQUIRED, .rule = RULE_MODEL, TEXT(config_target, model)},
    {"models.NAME.targets[].weight", KEY_COUNT, .fallback = "1", NUMBER(config_target, weight), .min = 1, .max = 10000},
    {"models.NAME.fallback", KEY_TEXTS, .rule = RULE_MODEL, .unset = "none", .max = 16, TEXTS(config_model, fallback)},
    {"models.NAME.commit_after", KEY_DURATION, .fallback = "10s", NUMBER(config_model, commit_after_ns), .min = 1000000,
     .max = 3600 * S},
    {"models.NAME.retry", KEY_SECTION},
    {"models.NAME.retry.attempts", KEY_COUNT, .fallback = "1", NUMBER(config_model, retry.attempts), .min = 1,
     .max = 8},
    {"models.NAME.retry.when", KEY_TEXTS, .rule = RULE_RETRY_CAUSE, .words = "connect first_token reset",
     .fallback = "429 500 502 503 504 connect first_token reset", .max = 64, TEXTS(config_model, retry.when)},
    {"models.NAME.retry.backoff", KEY_DURATION, .fallback = "200ms", NUMBER(config_model, retry.backoff_ns),
     .max = 60 * S},
    {"models.NAME.hedge", KEY_SECTION, FIELD(config_model, hedge.at, struct conf_position)},
    {"models.NAME.hedge.after", KEY_DURATION, KEY_P95, .unset = "no hedging", NUMBER(config_model, hedge.after_ns),
     .min = 1000000, .max = 600 * S},
    {"models.NAME.hedge.budget", KEY_PERCENT, .fallback = "5%", NUMBER(config_model, hedge.percent), .min = 1,
     .max = 100},
    {"models.NAME.balance", KEY_CHOICE, .fallback = "weight", .words = "weight latency",
     FIELD(config_model, balance, enum config_balance)},

    {"tenant_defaults", KEY_SECTION},
    {"tenant_defaults.models", KEY_TEXTS, .rule = RULE_PATTERN, .unset = "all", .min = 1, .max = 1000,
     TEXTS(config, tenant_defaults.models)},
    LIMITS_ROWS("tenant_defaults.limits", config, tenant_defaults.limits, "no limit"),
    QUEUE_ROWS("tenant_defaults.queue", config, tenant_defaults.queue, 0, "0s", "0"),

    {"tenants", KEY_NAMED, .rule = RULE_NAME, .unset = "none: loopback only, no key needed", .max = 100000,
     ITEMS(config, tenants, config_tenant)},
    {"tenants.NAME.disabled", KEY_BOOL, .fallback = "false", BOOL(config_tenant, disabled)},
    {"tenants.NAME.keys", KEY_LIST, .unset = "none", .short_form = "sha256", .max = 10000,
     ITEMS(config_tenant, keys, config_key)},
    {"tenants.NAME.keys[].name", KEY_TEXT, .rule = RULE_NAME, .unset = "the digest's first 8 digits",
     TEXT(config_key, name)},
    {"tenants.NAME.keys[].sha256", KEY_DIGEST, KEY_REQUIRED, FIELD(config_key, digest, uint8_t[CONF_DIGEST_BYTES])},
    {"tenants.NAME.keys[].expires", KEY_DATE, .unset = "never", FIELD(config_key, expires_unix_s, int64_t)},
    {"tenants.NAME.models", KEY_TEXTS, .rule = RULE_PATTERN, .unset = "as tenant_defaults", .min = 1, .max = 1000,
     TEXTS(config_tenant, models)},
    {"tenants.NAME.passthrough", KEY_LIST, .unset = "none", .max = 100,
     ITEMS(config_tenant, passthrough, config_passthrough)},
    {"tenants.NAME.passthrough[].provider", KEY_TEXT, KEY_REQUIRED, .rule = RULE_NAME,
     TEXT(config_passthrough, provider)},
    {"tenants.NAME.passthrough[].paths", KEY_TEXTS, KEY_REQUIRED, .rule = RULE_URL_PATH, .min = 1, .max = 100,
     TEXTS(config_passthrough, paths)},
    {"tenants.NAME.passthrough[].methods", KEY_TEXTS, .rule = RULE_METHOD, .fallback = "GET", .min = 1, .max = 16,
     .words = "GET HEAD POST PUT PATCH DELETE OPTIONS", TEXTS(config_passthrough, methods)},
    {"tenants.NAME.tags", KEY_PAIRS, .rule = RULE_TAG, .unset = "none", .max = CONF_TAGS_MAX,
     PAIRS(config_tenant, tags)},
    LIMITS_ROWS("tenants.NAME.limits", config_tenant, limits, "as tenant_defaults"),
    {"tenants.NAME.queue", KEY_SECTION},
    {"tenants.NAME.queue.wait", KEY_DURATION, KEY_INHERITED, .unset = "as tenant_defaults",
     NUMBER(config_tenant, queue.wait_ns), .max = 3600 * S},
    {"tenants.NAME.queue.size", KEY_COUNT, KEY_INHERITED, .unset = "as tenant_defaults",
     NUMBER(config_tenant, queue.size), .max = 1000000},

    {"state", KEY_SECTION, FIELD(config, state.at, struct conf_position)},
    {"state.backend", KEY_CHOICE, .fallback = "memory", .words = "memory redis",
     FIELD(config, state.backend, enum config_backend)},
    {"state.redis", KEY_SECTION},
    {"state.redis.url", KEY_TEXT, KEY_SECRET, .unset = "required when backend is redis", TEXT(config, state.redis.url)},
    {"state.redis.tls", KEY_SECTION},
    {"state.redis.tls.ca", KEY_PATH, .unset = "the system's", TEXT(config, state.redis.tls.ca)},
    {"state.redis.tls.verify", KEY_BOOL, .fallback = "true", BOOL(config, state.redis.tls.verify)},
    {"state.redis.prefix", KEY_TEXT, .rule = RULE_PATTERN, .fallback = "weir:", TEXT(config, state.redis.prefix)},
    {"state.redis.timeout", KEY_DURATION, .fallback = "50ms", NUMBER(config, state.redis.timeout_ns), .min = 1000000,
     .max = 10 * S},
    {"state.redis.mode", KEY_CHOICE, .fallback = "exact", .words = "exact lease",
     FIELD(config, state.redis.mode, enum config_redis_mode)},
    {"state.redis.on_failure", KEY_CHOICE, .fallback = "local", .words = "local allow deny",
     FIELD(config, state.redis.on_failure, enum config_on_failure)},

    {"store", KEY_SECTION, KEY_NOT_BUILT},
    {"store.enabled", KEY_BOOL, .fallback = "true", BOOL(config, store.enabled)},
    {"store.path", KEY_PATH, .fallback = "var/weir.db", TEXT(config, store.path)},
    {"store.capture", KEY_CHOICE, .fallback = "none", .words = "none replay",
     FIELD(config, store.capture, enum config_capture)},
    {"store.retain", KEY_SECTION},
    {"store.retain.spans", KEY_DURATION, .fallback = "7d", NUMBER(config, store.retain.spans_ns), .min = 60 * S,
     .max = 3660 * DAY},
    {"store.retain.records", KEY_DURATION, .fallback = "30d", NUMBER(config, store.retain.records_ns), .min = 60 * S,
     .max = 3660 * DAY},
    {"store.retain.histograms", KEY_DURATION, .fallback = "400d", NUMBER(config, store.retain.histograms_ns),
     .min = 60 * S, .max = 3660 * DAY},
    {"store.retain.size", KEY_SIZE, .fallback = "4GiB", NUMBER(config, store.retain.size_bytes), .min = 16 * MIB,
     .max = 65536 * GIB},
    {"store.keep", KEY_SECTION},
    {"store.keep.errors", KEY_BOOL, .fallback = "true", BOOL(config, store.keep.errors)},
    {"store.keep.slow", KEY_BOOL, .fallback = "true", BOOL(config, store.keep.slow)},
    {"store.keep.per_second", KEY_COUNT, .fallback = "20", NUMBER(config, store.keep.per_second), .max = 100000},

    {"workloads", KEY_NAMED, .rule = RULE_NAME, .unset = "none", .max = 1000,
     ITEMS(config, workloads, config_workload)},
    {"workloads.NAME.match", KEY_SECTION},
    {"workloads.NAME.match.path", KEY_TEXT, .rule = RULE_URL_PATH, .unset = "any", TEXT(config_workload, match.path)},
    {"workloads.NAME.match.model", KEY_TEXT, .rule = RULE_PATTERN, .unset = "any", TEXT(config_workload, match.model)},

    {"prices", KEY_PATH, .unset = "the table compiled in", TEXT(config, prices)},

    {"log", KEY_SECTION},
    {"log.access", KEY_PATH, .fallback = "stdout", .words = "stdout none", TEXT(config, log.access_file)},
    {"log.level", KEY_CHOICE, .fallback = "info", .words = "debug info warn error",
     FIELD(config, log.level, enum log_level)},

    {"http", KEY_SECTION, FIELD(config, http.at, struct conf_position)},
    {"http.uri_bytes", KEY_SIZE, .fallback = "8KiB", NUMBER(config, http.uri_bytes), .min = 256, .max = 64 * KIB},
    {"http.header_bytes", KEY_SIZE, .fallback = "64KiB", NUMBER(config, http.header_bytes), .min = KIB, .max = MIB},
    {"http.headers", KEY_COUNT, .fallback = "100", NUMBER(config, http.headers), .min = 8, .max = 1000},
    {"http.body_bytes", KEY_SIZE, .fallback = "32MiB", NUMBER(config, http.body_bytes), .min = KIB, .max = 4 * GIB},
    {"http.buffered_bytes", KEY_SIZE, .fallback = "1GiB", NUMBER(config, http.buffered_bytes), .min = MIB,
     .max = 1024 * GIB},
    {"http.max_connections", KEY_COUNT, .fallback = "10000", NUMBER(config, http.max_connections), .min = 1,
     .max = 1000000},
    {"http.keepalive", KEY_DURATION, .fallback = "75s", NUMBER(config, http.keepalive_ns), .min = 1000000, .max = DAY},
    {"http.header_time", KEY_DURATION, .fallback = "10s", NUMBER(config, http.header_time_ns), .min = 100000000,
     .max = 3600 * S},
    {"http.body_rate", KEY_RATE, KEY_OFF, .fallback = "1KiB/s", NUMBER(config, http.body_rate_bytes_per_s), .min = 1,
     .max = GIB},
    {"http.half_close", KEY_CHOICE, .fallback = "cancel", .words = "cancel allow",
     FIELD(config, http.half_close, enum config_half_close)},
    {"http.drain", KEY_DURATION, .fallback = "30s", NUMBER(config, http.drain_ns), .max = DAY},

    {"include", KEY_INCLUDE, .unset = "none", .max = 64},
};
const size_t grammar_count = ROW_COUNT(grammar);

const struct key *grammar_next(const char *prefix, size_t *cursor, struct slice *name) {
    size_t prefix_bytes = strlen(prefix);
    while (*cursor < grammar_count) {
        const struct key *k = &grammar[(*cursor)++];
        if (strncmp(k->path, prefix, prefix_bytes) != 0) continue;
        const char *rest = k->path + prefix_bytes;
        if (strchr(rest, '.') != NULL) continue;
        *name = slice_of(rest);
        return k;
    }
    return NULL;
}
