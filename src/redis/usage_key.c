/* Names of the keys and fields of usage. Names of tenants, providers, models and workloads are any text. */
#include "redis/usage_key.h"

#include <stdio.h>

#include "facts/names.h"
#include "redis/key.h"

static const struct {
    struct slice of_tenant, of_none, part;
    uint32_t ttl_s; /* a little longer than a replica keeps it */
} kinds[USAGE_KIND_COUNT] = {
    [USAGE_KIND_MINUTE] = {SLICE_INIT("usage"), SLICE_INIT("usage-of-none"), SLICE_INIT("minute"), 4 * 3600},
    [USAGE_KIND_HOUR] = {SLICE_INIT("usage"), SLICE_INIT("usage-of-none"), SLICE_INIT("hour"), 15 * 86400},
    [USAGE_KIND_DAY] = {SLICE_INIT("usage"), SLICE_INIT("usage-of-none"), SLICE_INIT("day"), 401 * 86400},
    [USAGE_KIND_DAY_SUM] = {SLICE_INIT("sums"), SLICE_INIT("sums-of-none"), SLICE_INIT("day"), 41 * 86400},
    [USAGE_KIND_MONTH_SUM] = {SLICE_INIT("sums"), SLICE_INIT("sums-of-none"), SLICE_INIT("month"), 430 * 86400},
};

void usage_key_append(struct buf *out, struct slice prefix, struct slice tenant, enum usage_kind k, int64_t start_s) {
    char start[24];
    snprintf(start, sizeof start, "%lld", (long long)start_s);
    const struct slice parts[] = {kinds[k].part, slice_of(start)};
    bool none = tenant.n == 0; /* an empty tag would be none */
    redis_key_append(out, prefix, none ? SLICE("-") : tenant, none ? kinds[k].of_none : kinds[k].of_tenant, parts, 2);
}

uint32_t usage_key_ttl_s(enum usage_kind k) {
    return kinds[k].ttl_s;
}

void usage_field_append(struct buf *out, struct slice replica, const struct traffic_key *key) {
    const uint32_t names[] = {key->provider, key->model, key->workload};
    buf_append_slice(out, replica);
    for (int i = 0; i < 3; i++) {
        buf_append(out, ":", 1);
        redis_key_part_append(out, name_of(names[i]));
    }
}

/* A name that was too long for a part is known by what stands for it. */
static uint32_t name_read(struct slice part) {
    struct buf text = {0};
    bool whole = redis_key_part_decode(part, &text);
    uint32_t id = part.n == 0 ? NAME_NONE : name_told(whole ? buf_slice(&text) : part);
    buf_clear(&text);
    return id;
}

bool usage_field_read(struct slice field, struct traffic_key *key) {
    struct slice replica, parts[3];
    uint8_t number[USAGE_REPLICA_DIGITS / 2];
    if (!slice_cut(&field, ':', &replica) || !hex_decode(replica, number, sizeof number)) return false;
    for (int i = 0; i < 3; i++)
        if (!slice_cut(&field, ':', &parts[i])) return false;
    if (field.p != NULL) return false;
    key->provider = name_read(parts[0]);
    key->model = name_read(parts[1]);
    key->workload = name_read(parts[2]);
    return true;
}

void usage_tenants_key_append(struct buf *out, struct slice prefix) {
    redis_key_append(out, prefix, SLICE("usage"), SLICE("tenants"), NULL, 0);
}

void usage_tenant_field_append(struct buf *out, struct slice tenant) {
    buf_append(out, "=", 1);
    redis_key_part_append(out, tenant);
}

bool usage_tenant_field_read(struct slice field, struct buf *tenant) {
    return field.n > 0 && field.p[0] == '=' && redis_key_part_decode((struct slice){field.p + 1, field.n - 1}, tenant);
}
