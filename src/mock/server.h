/* mock/server.h: the mock's side of its connections. One per loop. */
#pragma once
#include "cache.h"
#include "net/conn.h"

struct mock_client;

struct mock_server {
    struct loop *loop;
    struct tls_context *tls;        /* NULL: plain */
    const struct mock_knobs *knobs; /* defaults, borrowed */
    const char *key;                /* the only one taken; NULL: any; borrowed */
    struct script_cache cache;
    struct mock_client *clients;
    uint64_t requests, answered, abandoned, connections; /* since the start */
};
void server_accept(struct mock_server *s, int fd); /* owns fd */
void server_close(struct mock_server *s);          /* closes every connection, frees the cache */
