/* facts/phases.h: what an exchange can be busy with. At every instant exactly one phase runs, so the phases sum to the
 * total to the nanosecond. One row here is all a new phase takes: the ledger, the record, the access log, the metrics
 * and the response header read this table. */
#pragma once
#include "facts/layers.h"

/*        id        name      layer     runs while … */
#define PHASES(X)                                                                                                      \
    X(RECEIVE, receive, NETWORK)    /* the request is being read from the client */                                    \
    X(ADMIT, admit, GATEWAY)        /* key, policy and limits are being decided */                                     \
    X(QUEUE, queue, GATEWAY)        /* waiting for a slot, or behind a pipelined answer */                             \
    X(RETRY, retry, PROVIDER)       /* attempts that were given up, and their back-off */                              \
    X(DNS, dns, NETWORK)            /* a new upstream connection: the name is being resolved */                        \
    X(CONNECT, connect, NETWORK)    /* … TCP handshake */                                                            \
    X(TLS, tls, NETWORK)            /* … TLS handshake */                                                            \
    X(SEND, send, NETWORK)          /* the request is being written to the provider */                                 \
    X(WAIT, wait, PROVIDER)         /* nothing of the answer's content has come yet */                                 \
    X(GENERATE, generate, PROVIDER) /* the provider is producing and weir can take bytes */                            \
    X(DRAIN, drain, NETWORK)        /* the client is the slow one */                                                   \
    X(LOOP, loop, GATEWAY)          /* bytes were ready, the worker was busy with others */

#define PHASE_ENUM(id, name, layer) PHASE_##id,
enum phase { PHASES(PHASE_ENUM) PHASE_COUNT };
#undef PHASE_ENUM

const char *phase_name(enum phase p);
enum layer phase_layer(enum phase p);
