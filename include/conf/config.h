/* conf/config.h: the configuration as plain data: what the file says, defaults filled in, units converted, references
 * between its parts checked. No behaviour hangs on it: every folder compiles the part it needs from here.
 *
 * Names follow the YAML keys (docs/configuration.md). Everything belongs to the `struct config` and dies with it. Every
 * slice is NUL-terminated (not counted in n), so `.p` serves where C wants a string; `.p == NULL` means not configured.
 * Lists are `{items, count}`. Times are nanoseconds, sizes bytes, rates bytes a second, money pico-dollars. */
#pragma once
#include <limits.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/slice.h"
#include "conf/errors.h"
#include "facts/dialect.h"

#define CONF_NEVER UINT64_MAX     /* a duration that was switched `off` */
#define CONF_P95 (UINT64_MAX - 1) /* a duration that is measured: what one of twenty takes longer than */
#define CONF_UNLIMITED 0          /* a limit that is not configured (a configured 0 is refused) */
#define CONF_DIGEST_BYTES 32
#define CONF_NAME_BYTES 64   /* tenants, keys, providers, workloads */
#define CONF_MODEL_BYTES 200 /* aliases and model names */
#define CONF_TAGS_MAX 16

struct conf_text { /* a text and where it stands */
    struct slice text;
    struct conf_position at;
};

struct conf_texts { /* names or patterns (`*` matches any run; see slice_matches) */
    struct conf_text *items;
    size_t count;
};

struct conf_pair { /* a header or a tag */
    struct conf_text name, value;
};

struct conf_pairs {
    struct conf_pair *items;
    size_t count;
};

struct conf_address {
    struct slice text; /* as written; .p NULL: not configured */
    struct conf_position at;
    struct slice host, port; /* host without brackets; port as digits */
    uint64_t port_number;    /* 0: the system picks one */
    bool loopback;           /* 127.0.0.0/8, ::1 or localhost */
};

struct config_listener {
    struct conf_position at;
    struct conf_address address;
    struct {
        struct conf_text certificate, key; /* PEM files, paths resolved; both or none */
    } tls;
    bool insecure; /* plain HTTP off loopback is meant */
};

struct config_queue {
    uint64_t wait_ns, size; /* 0 and 0: refuse at once */
};

struct config_provider {
    struct conf_text name;
    enum dialect dialect;
    struct conf_text base_url; /* http(s)://host[:port][/path], no trailing slash, no userinfo, query or fragment */
    struct conf_text api_key;  /* secret; .p NULL exactly when auth is AUTH_NONE */
    enum auth auth;            /* resolved: the dialect's own when not configured */
    struct conf_texts models;  /* patterns of bare model names; none: only by alias or provider/model */
    struct conf_pairs headers; /* valid field names and values, none of the framing's or the credential's; secret */
    struct {
        uint64_t connect_ns, first_token_ns, idle_ns, total_ns; /* CONF_NEVER: off */
    } timeouts;
    uint64_t max_connections;
    struct config_queue queue; /* for a connection slot */
    enum config_usage { CONFIG_USAGE_INJECT, CONFIG_USAGE_NEVER } usage;
    struct {
        struct conf_text ca; /* PEM file; .p NULL: the system's */
        bool verify;
    } tls;
    bool trusted;
};

struct config_target {
    struct conf_position at;
    struct conf_text provider;
    size_t provider_index; /* in config.providers */
    struct conf_text model;
    uint64_t weight; /* from 1 */
};

struct config_model { /* an alias */
    struct conf_text name;
    struct {
        struct config_target *items;
        size_t count; /* at least 1 */
    } targets;
    struct conf_texts fallback; /* other aliases, in order, without cycles */
    uint64_t commit_after_ns;
    struct {
        uint64_t attempts; /* per target, from 1 */
        struct conf_texts when;
        uint64_t backoff_ns;
    } retry;
    struct {
        struct conf_position at;
        uint64_t after_ns; /* 0: no hedging; CONF_P95 */
        uint64_t percent;  /* of the alias's requests, at most */
    } hedge;
    enum config_balance { CONFIG_BALANCE_WEIGHT, CONFIG_BALANCE_LATENCY } balance;
};

struct config_limit { /* CONF_UNLIMITED: none */
    uint64_t requests_per_minute, tokens_per_minute, concurrent_requests;
    uint64_t pico_usd_per_day, pico_usd_per_month;
};

struct config_model_limit {
    struct conf_text name; /* the name clients ask for */
    struct config_limit limit;
};

struct config_model_limits {
    struct config_model_limit *items;
    size_t count;
};

struct config_limits {
    struct config_limit limit;
    struct config_model_limits models;
};

struct config_key {
    struct conf_position at;
    struct conf_text name;             /* the first 8 hex digits when not configured; unique within its tenant */
    uint8_t digest[CONF_DIGEST_BYTES]; /* SHA-256; unique in the whole configuration */
    int64_t expires_unix_s;            /* 0: never; the key is refused from this second on */
};

struct config_passthrough {
    struct conf_position at;
    struct conf_text provider;
    size_t provider_index;
    struct conf_texts paths, methods; /* patterns that begin with `/`; upper-case method names */
};

struct config_tenant {
    struct conf_text name;
    bool disabled; /* its keys are known but refused */
    struct {
        struct config_key *items;
        size_t count;
    } keys;
    struct conf_texts models; /* patterns of what clients may ask for; none: everything */
    struct {
        struct config_passthrough *items;
        size_t count;
    } passthrough;
    struct conf_pairs tags;
    struct config_limits limits; /* tenant_defaults already filled in */
    struct config_queue queue;
};

struct config_redis_target { /* state.redis.url, taken apart; user and password are secret and may hold any byte */
    struct slice host, port, user, password;
    uint64_t database;
    bool tls, loopback;
};

struct config_exporter {
    struct conf_position at;
    struct conf_text endpoint;
    struct conf_pairs headers; /* secret */
    enum config_export_dialect { CONFIG_EXPORT_GENAI, CONFIG_EXPORT_OPENINFERENCE, CONFIG_EXPORT_LANGFUSE } dialect;
    struct conf_texts signals; /* of: traces metrics logs */
    enum config_compression {
        CONFIG_COMPRESSION_NONE,
        CONFIG_COMPRESSION_GZIP,
        CONFIG_COMPRESSION_DEFAULT
    } compression;
    uint64_t timeout_ns; /* CONF_NEVER: not configured */
    struct {
        struct conf_text ca; /* PEM file; .p NULL: the system's */
        bool verify;
    } tls;
};

struct config_workload {
    struct conf_text name;
    struct {
        struct conf_text path, model;
    } match;
};

struct config {
    struct arena arena;
    struct {
        struct conf_text name, region, environment; /* name: the host's when not configured */
    } instance;
    struct {
        struct config_listener *items;
        size_t count; /* at least 1; by default 127.0.0.1:8080 */
    } listen;
    struct {
        struct conf_address address;
        struct conf_text token; /* secret; always there when the address is not loopback */
    } admin;
    struct {
        struct {
            struct conf_address address; /* text.p NULL: off */
        } receive;
        struct {
            struct config_exporter *items;
            size_t count;
        } exporters;
    } otlp;
    uint64_t workers; /* 0: auto */
    struct {
        struct config_provider *items; /* in the order they are written: the first that matches serves a bare name */
        size_t count;
    } providers;
    struct {
        struct config_model *items;
        size_t count;
    } models;
    struct {
        struct conf_texts models;
        struct config_limits limits;
        struct config_queue queue;
    } tenant_defaults; /* already filled into the tenants; for the tenant `default` when there are none */
    struct {
        struct config_tenant *items; /* none: loopback only, no key needed, tenant `default` */
        size_t count;
    } tenants;
    struct {
        struct conf_position at;
        enum config_backend { CONFIG_BACKEND_MEMORY, CONFIG_BACKEND_REDIS } backend;
        struct {
            struct conf_text url, prefix; /* url is secret; prefix without braces */
            struct config_redis_target target;
            struct {
                struct conf_text ca; /* PEM file; .p NULL: the system's */
                bool verify;
            } tls;
            uint64_t timeout_ns;
            enum config_redis_mode { CONFIG_REDIS_EXACT, CONFIG_REDIS_LEASE } mode;
            enum config_on_failure {
                CONFIG_ON_FAILURE_LOCAL,
                CONFIG_ON_FAILURE_ALLOW,
                CONFIG_ON_FAILURE_DENY
            } on_failure;
        } redis;
    } state;
    struct {
        bool enabled;
        struct conf_text path;
        enum config_capture { CONFIG_CAPTURE_NONE, CONFIG_CAPTURE_REPLAY } capture;
        struct {
            uint64_t spans_ns, records_ns, histograms_ns, size_bytes;
        } retain;
        struct {
            bool errors, slow;
            uint64_t per_second;
        } keep;
    } store;
    struct {
        struct config_workload *items;
        size_t count;
    } workloads;
    struct conf_text prices; /* a file; .p NULL: the table compiled in */
    struct {
        enum config_access { CONFIG_ACCESS_STDOUT, CONFIG_ACCESS_NONE, CONFIG_ACCESS_FILE } access;
        struct conf_text access_file; /* for CONFIG_ACCESS_FILE */
        enum log_level level;
    } log;
    struct {
        struct conf_position at; /* of the section; no file when it is not there */
        uint64_t uri_bytes, header_bytes, headers, body_bytes, buffered_bytes, max_connections;
        uint64_t keepalive_ns, header_time_ns;
        uint64_t body_rate_bytes_per_s; /* 0: any rate will do */
        enum config_half_close { CONFIG_HALF_CLOSE_CANCEL, CONFIG_HALF_CLOSE_ALLOW } half_close;
        uint64_t drain_ns;
    } http;
};

/* Reads a file and what it includes. NULL when there was an error (every one is in `errors`, all found at once);
 * warnings alone do not prevent it. `errors` stays valid after the configuration is gone. `print`, when not NULL, gets
 * one line `path: value  # where from` per value in effect, secrets redacted, also when there were errors. */
struct config *config_load(const char *path, struct conf_errors *errors, struct buf *print);
/* The same from memory; `name` stands for the file in messages. Relative paths stay as they are; no includes. */
struct config *config_load_text(const char *name, struct slice text, struct conf_errors *errors, struct buf *print);
struct config *config_default(void);   /* an empty file's: listens on loopback, no providers, no tenants */
void config_free(struct config *c);    /* NULL is allowed */
/* Is this a header of every export request, which no configuration may set? Any case. */
bool exporter_header_is_own(struct slice name);
const char *config_default_path(void); /* ./weir.yaml, then /etc/weir/weir.yaml; NULL when neither exists */
