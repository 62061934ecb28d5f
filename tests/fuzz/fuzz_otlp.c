/* Any bytes as what a collector answers, as its Retry-After, and as a list of pairs from the environment. Must hold:
 * nothing is read beyond what was given, a pair fits the room it was given and can stand in a head. */
/* fuzz-sources: src/otlp/reply.c src/otlp/environment.c src/base/slice.c src/base/log.c src/base/clock.c
 * src/base/clock_source.c src/base/mem.c */
#include <assert.h>
#include <stdlib.h>

#include "../../src/otlp/environment.h"
#include "../../src/otlp/reply.h"
#include "base/mem.h"

static void pairs_check(struct slice list) {
    char *room = mem_alloc(list.n + 1);
    struct slice key, value;
    bool bad = false;
    while (environment_pair(&list, &key, &value, room, &bad)) {
        assert(key.n > 0);
        for (size_t i = 0; i < key.n; i++) assert(key.p[i] > 0x20 && key.p[i] < 0x7f && key.p[i] != ':');
        for (size_t i = 0; i < value.n; i++) assert((unsigned char)value.p[i] >= 0x20 && value.p[i] != 0x7f);
    }
    mem_free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct reply reply;
    uint64_t wait_s;
    char *copy = mem_alloc(size + 1); /* so that the sanitizer sees its end */
    memcpy(copy, data, size);
    struct slice bytes = {copy, size};
    if (reply_read(bytes, &reply) && reply.message.n > 0)
        assert(reply.message.p >= copy && reply.message.p + reply.message.n <= copy + size);
    reply_retry_after(bytes, 784111677, &wait_s);
    pairs_check(bytes);
    mem_free(copy);
    return 0;
}
