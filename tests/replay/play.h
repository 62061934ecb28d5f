/* tests/replay/play.h: a scenario being played. A step that does not find what it says ends the test. */
#pragma once
#include "message.h"
#include "script.h"
#include "world.h"

enum cut { CUT_WHOLE, CUT_BYTES, CUT_RANDOM }; /* how each run of bytes is sent */

struct play {
    struct world world;
    const struct scenario *scenario;
    const struct step *step;
    enum cut cut;
    uint64_t random;
    struct buf pending; /* what one peer sends at one instant, over several lines */
    struct peer *sender;
    struct buf expected;       /* what the client should have got of the answer's body */
    bool in_chunks[PEERS_MAX]; /* how that provider's answer is framed */
};

struct verb {
    const char *words; /* the text begins with them; the longest that fits counts */
    void (*run)(struct play *p, struct slice rest);
    bool sends; /* does not wait for what was said before to be sent */
};
#define VERBS_END                                                                                                      \
    { NULL, NULL, false }
extern const struct verb client_verbs[], provider_verbs[], network_verbs[], worker_verbs[];
void record_check(struct play *p, struct slice expected);

void play_scenario(const struct scenario *s, enum cut cut, uint64_t seed);

/* ---- for verbs ---- */
void play_fail(const struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void play_send(struct play *p, struct peer *to, struct slice bytes);
struct buf unescape(struct slice text);   /* \r \n \\ \xNN; the caller clears it */
struct peer *play_client(struct play *p); /* the step's; connected when it was not */
struct peer *play_provider(struct play *p);
void peer_got_field(struct play *p, struct peer *peer, struct slice rest, bool is_answer, bool wanted);
void peer_got_body(struct play *p, struct peer *peer, struct slice expected, bool is_answer);
void peer_got_nothing(struct play *p, const struct peer *peer);
void peer_sees(struct play *p, const struct peer *peer, const char *what);
