/* client_parts.h: what the files of the client share: the client itself. */
#pragma once
#include "link.h"
#include "site.h"

enum { LINKS_MAX = 64, REDIRECTS_MAX = 5 };

struct waiting { /* a call that has not ended */
    redis_done *done;
    void *context;
    const struct redis_script *script;
    uint64_t begun_ns, deadline_ns, end; /* end: of its bytes in its link's window */
    uint32_t generation, next_free;
    uint8_t link, redirects;
    bool used, as_eval; /* as_eval: its bytes hold the script's text */
};

struct redis_client {
    struct redis *site;
    struct loop *loop;
    struct inbox *inbox;
    struct resolver *resolver;
    struct client_counts *counts;
    struct loop_task task; /* sends what is new on each link */
    struct timer timer;    /* the earliest deadline of a call */
    struct waiting *slots;
    size_t slot_capacity;
    uint32_t slot_count, free_slot; /* slots ever used; the first free one, UINT32_MAX none */
    uint32_t used_count;
    struct link *links[LINKS_MAX]; /* [0] is where the options point to */
    unsigned link_count;
    uint8_t *map; /* a cluster: of each slot, the link; NULL: no cluster */
    uint64_t refreshed_ns;
    bool refreshing, counted, closing, up;
};

struct redis_client *client_new(struct redis *r, struct loop *l, struct inbox *inbox, struct resolver *resolver,
                                bool counted);
/* cluster.c */
void cluster_first_link(struct redis_client *c);
struct link *cluster_link(struct redis_client *c, struct slice key, bool has_key);
/* Where a MOVED or ASK points to, known from now on; NULL: not understood, or too many nodes. */
struct link *cluster_redirect(struct redis_client *c, struct link *from, struct slice text);
void cluster_refresh(struct redis_client *c, uint64_t now_ns); /* asks a link that is up, once a second at most */
void cluster_clear(struct redis_client *c);
