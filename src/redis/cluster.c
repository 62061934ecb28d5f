/* Which node a key lives on. A server alone is a cluster of one link until it answers MOVED; then the map of slots is
 * made, filled by CLUSTER SLOTS where that is allowed and by further redirections where it is not. */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "breaker.h"
#include "client_parts.h"
#include "command.h"
#include "redis/key.h"

#define REFRESH_NS NS_PER_S

struct link *cluster_link(struct redis_client *c, struct slice key, bool has_key) {
    if (c->map == NULL) return c->links[0];
    if (has_key) return c->links[c->map[redis_key_slot(key)]];
    for (unsigned i = 0; i < c->link_count; i++)
        if (c->links[i]->mapped && link_is_up(c->links[i])) return c->links[i];
    return c->links[0];
}

/* ---- nodes ---- */

static struct link *link_find(struct redis_client *c, struct slice host, struct slice port) {
    for (unsigned i = 0; i < c->link_count; i++)
        if (slice_equal(slice_of(c->links[i]->host), host) && slice_equal(slice_of(c->links[i]->port), port))
            return c->links[i];
    return NULL;
}

/* A new one, or one whose node is gone and which owes nobody anything. */
static struct link *link_make(struct redis_client *c, struct slice host, struct slice port) {
    unsigned i = c->link_count;
    if (i == LINKS_MAX) {
        for (i = 1; i < LINKS_MAX; i++)
            if (c->links[i]->state == LINK_IDLE && !c->links[i]->asking && c->links[i]->pending_count == 0) break;
        if (i == LINKS_MAX) return NULL;
        link_clear(c->links[i]);
    } else {
        c->links[c->link_count++] = mem_zalloc(sizeof(struct link));
    }
    link_init(c->links[i], c, host, port);
    c->links[i]->index = (uint8_t)i;
    return c->links[i];
}

static struct link *link_known(struct redis_client *c, struct slice host, struct slice port) {
    uint64_t number;
    if (host.n == 0 || host.n >= LINK_HOST_MAX || !slice_to_u64(port, &number) || number == 0 || number > 65535)
        return NULL;
    struct link *k = link_find(c, host, port);
    if (k == NULL) k = link_make(c, host, port);
    if (k == NULL) return NULL;
    k->mapped = true;
    link_start(k);
    return k;
}

void cluster_first_link(struct redis_client *c) {
    struct link *k = link_make(c, slice_of(c->site->host), slice_of(c->site->port));
    k->mapped = true;
    link_start(k);
}

void cluster_clear(struct redis_client *c) {
    for (unsigned i = 0; i < c->link_count; i++) link_clear(c->links[i]);
    for (unsigned i = 0; i < c->link_count; i++) mem_free(c->links[i]);
    mem_free(c->map);
}

/* ---- redirections ---- */

/* host:port, where the host may hold colons, or be empty: that of the node that says it. */
static struct link *link_at(struct redis_client *c, const struct link *from, struct slice address) {
    const char *colon = address.n > 0 ? memrchr(address.p, ':', address.n) : NULL;
    if (colon == NULL) return NULL;
    struct slice host = {address.p, (size_t)(colon - address.p)};
    struct slice port = {colon + 1, address.n - host.n - 1};
    return link_known(c, host.n > 0 ? host : slice_of(from->host), port);
}

struct link *cluster_redirect(struct redis_client *c, struct link *from, struct slice text) {
    struct slice rest = text, kind, number, address;
    uint64_t slot;
    if (!slice_cut(&rest, ' ', &kind) || !slice_cut(&rest, ' ', &number) || !slice_cut(&rest, ' ', &address) ||
        !slice_to_u64(number, &slot) || slot >= REDIS_SLOTS)
        return NULL;
    struct link *to = link_at(c, from, address);
    if (to == NULL || to == from) return NULL;
    if (c->map == NULL) c->map = mem_zalloc(REDIS_SLOTS);
    if (slice_equal(kind, SLICE("MOVED"))) {
        c->map[slot] = to->index;
        cluster_refresh(c, client_now_ns(c));
    }
    return to;
}

/* ---- the map ---- */

void cluster_refresh(struct redis_client *c, uint64_t now_ns) {
    if (c->closing || c->refreshing || (c->refreshed_ns != 0 && now_ns - c->refreshed_ns < REFRESH_NS)) return;
    for (unsigned i = 0; i < c->link_count; i++) {
        struct link *k = c->links[i];
        if (!link_is_up(k) || !link_has_room(k, 64)) continue;
        c->refreshing = true;
        c->refreshed_ns = now_ns;
        command_append(&k->window, (struct slice[]){SLICE("CLUSTER"), SLICE("SLOTS")}, 2);
        link_queued(k, PENDING_SLOTS, 0, 0);
        return;
    }
}

/* [first slot, last slot, [host, port, …] of the master, …]: false when it is not. */
static bool range_apply(struct redis_client *c, const struct link *from, const struct redis_reply *range) {
    int64_t first = redis_item_integer(range, 0, -1), last = redis_item_integer(range, 1, -1);
    if (first < 0 || last < first || last >= REDIS_SLOTS || range->count < 3) return false;
    struct slice host = redis_item_text(&range->items[2], 0);
    int64_t port = redis_item_integer(&range->items[2], 1, 0);
    char digits[8];
    if (port < 1 || port > 65535) return false;
    int n = snprintf(digits, sizeof digits, "%u", (unsigned)port);
    struct link *k = link_known(c, host.n > 0 ? host : slice_of(from->host), (struct slice){digits, (size_t)n});
    if (k == NULL) return false;
    memset(c->map + first, k->index, (size_t)(last - first + 1));
    return true;
}

static void refused_tell(struct redis *site, const struct redis_reply *reply) {
    if (reply == NULL || reply->type != REDIS_ERROR_TEXT || atomic_exchange(&site->slots_told, true)) return;
    log_info("redis: CLUSTER SLOTS is refused (%s): the nodes of slots are learnt one redirection at a time",
             redis_error_word(redis_error_of(reply->text)));
}

void client_slots_replied(struct redis_client *c, struct link *k, const struct redis_reply *reply) {
    c->refreshing = false;
    refused_tell(c->site, reply);
    if (reply == NULL || reply->type != REDIS_ARRAY || reply->count == 0 || c->map == NULL || c->closing) return;
    for (unsigned i = 0; i < c->link_count; i++) c->links[i]->mapped = false;
    bool any = false;
    for (size_t i = 0; i < reply->count; i++) any |= range_apply(c, k, &reply->items[i]);
    for (unsigned i = 0; i < c->link_count; i++) {
        if (!any) c->links[i]->mapped = c->links[i]->state != LINK_IDLE;
        if (!c->links[i]->mapped && i > 0) link_close_quietly(c->links[i]);
    }
    client_link_changed(c, k);
}
