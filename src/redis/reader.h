/* reader.h: replies out of bytes, in any cut: hiredis' reader, building trees in memory that is used again for the next
 * one. What a reply claims to be long costs nothing before it has come, but for the places of an array's elements. */
#pragma once
#include "base/arena.h"
#include "redis/reply.h"

enum reading { READING_MORE, READING_REPLY, READING_GARBAGE };

struct redisReader;
struct reader { /* embedded; must not move after init */
    struct redisReader *hiredis;
    struct redis_reply root;
    struct arena more; /* what does not fit `space` */
    size_t space_used, elements;
    _Alignas(8) char space[4096];
};

void reader_init(struct reader *r);
void reader_clear(struct reader *r);
/* False: more than a reply may be long has come and is no reply yet. Take replies out before feeding more. */
bool reader_feed(struct reader *r, const char *p, size_t n);
/* REPLY: *reply is valid until the next call of any function here. After GARBAGE only reader_clear(). */
enum reading reader_next(struct reader *r, const struct redis_reply **reply);
