/* redis/usage_key.h: where usage is kept in Redis (docs/usage.md). For each tenant and slot a hash, whose fields are
 * one replica's counts of one group each (telemetry/row_text.h), and `#REPLICA`, the number of its last telling. A
 * replica is a process's life: REPLICA is drawn at its start. All of a tenant's hashes have its tag. */
#pragma once
#include "base/buf.h"
#include "telemetry/usage.h"

#define USAGE_REPLICA_DIGITS 16

/* `weir:{acme}usage:day:1795305600`; a tenant of no name has one of its own that no tenant's can be. */
void usage_key_append(struct buf *out, struct slice prefix, struct slice tenant, enum usage_kind k, int64_t start_s);
uint32_t usage_key_ttl_s(enum usage_kind k);
/* `00f067aa0ba902b7:openai:gpt-4o-mini:chat`: the replica, then the key but for the tenant. */
void usage_field_append(struct buf *out, struct slice replica, const struct traffic_key *key);
/* Fills in the key's provider, model and workload. False: it is no such field. */
bool usage_field_read(struct slice field, struct traffic_key *key);

/* The hash of all tenants that were ever counted; its fields are their names. */
void usage_tenants_key_append(struct buf *out, struct slice prefix);
void usage_tenant_field_append(struct buf *out, struct slice tenant);
bool usage_tenant_field_read(struct slice field, struct buf *tenant); /* false: none; a name too long is none */
#define USAGE_TENANTS_TTL_S (401 * 86400)
