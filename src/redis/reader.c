/* hiredis' reader with functions of our own that build the tree: an array's elements stand in one piece, made when its
 * length is known, and everything of one reply is taken from a block that is used again. The hard part is what a peer
 * can claim: sizes are refused before memory is taken for them, which hiredis then reports as an error. */
#include "reader.h"

#include <assert.h>
#include <hiredis/read.h>

enum { READER_KEEPS_BYTES = 65536 };

static void *reply_alloc(struct reader *r, size_t n) {
    n = (n + 7) & ~(size_t)7;
    if (n <= sizeof r->space - r->space_used) {
        r->space_used += n;
        return r->space + r->space_used - n;
    }
    return r->more.used_bytes + n > REDIS_REPLY_BYTES_MAX + REDIS_REPLY_ELEMENTS_MAX * sizeof(struct redis_reply)
               ? NULL
               : arena_alloc(&r->more, n);
}

static struct redis_reply *place_of(const redisReadTask *task) {
    struct reader *r = task->privdata;
    if (task->parent == NULL) return &r->root;
    struct redis_reply *array = task->parent->obj;
    assert(array->type == REDIS_ARRAY && task->idx >= 0 && (size_t)task->idx < array->count);
    return (struct redis_reply *)&array->items[task->idx];
}

static enum redis_type text_type(int task_type) {
    return task_type == REDIS_REPLY_ERROR    ? REDIS_ERROR_TEXT
           : task_type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                             : REDIS_STRING;
}

static void *string_create(const redisReadTask *task, char *p, size_t n) {
    struct redis_reply *reply = place_of(task);
    char *copy = reply_alloc(task->privdata, n);
    if (copy == NULL) return NULL;
    if (n > 0) memcpy(copy, p, n);
    *reply = (struct redis_reply){.type = text_type(task->type), .text = {copy, n}};
    return reply;
}

static void *array_create(const redisReadTask *task, int count) {
    struct reader *r = task->privdata;
    struct redis_reply *reply = place_of(task), *items = NULL;
    if (count < 0 || (size_t)count > REDIS_REPLY_ELEMENTS_MAX - r->elements) return NULL;
    r->elements += (size_t)count;
    if (count > 0) {
        items = reply_alloc(r, (size_t)count * sizeof *items);
        if (items == NULL) return NULL;
        memset(items, 0, (size_t)count * sizeof *items);
    }
    *reply = (struct redis_reply){.type = REDIS_ARRAY, .items = items, .count = (size_t)count};
    return reply;
}

static void *integer_create(const redisReadTask *task, long long value) {
    struct redis_reply *reply = place_of(task);
    *reply = (struct redis_reply){.type = REDIS_INTEGER, .integer = value};
    return reply;
}

static void *nil_create(const redisReadTask *task) {
    struct redis_reply *reply = place_of(task);
    *reply = (struct redis_reply){.type = REDIS_NIL};
    return reply;
}

static void nothing_free(void *reply) {
    (void)reply;
}

static redisReplyObjectFunctions functions = {string_create, array_create, integer_create, nil_create, nothing_free};

void reader_init(struct reader *r) {
    r->hiredis = redisReaderCreateWithFunctions(&functions);
    assert(r->hiredis != NULL);
    r->hiredis->privdata = r;
    r->hiredis->maxbuf = READER_KEEPS_BYTES;
    r->space_used = r->elements = 0;
    arena_init(&r->more);
}

void reader_clear(struct reader *r) {
    if (r->hiredis != NULL) redisReaderFree(r->hiredis);
    r->hiredis = NULL;
    arena_clear(&r->more);
}

bool reader_feed(struct reader *r, const char *p, size_t n) {
    if (r->hiredis->len - r->hiredis->pos + n > REDIS_REPLY_BYTES_MAX) return false;
    return redisReaderFeed(r->hiredis, p, n) == 0;
}

enum reading reader_next(struct reader *r, const struct redis_reply **reply) {
    void *done = NULL;
    if (r->hiredis->ridx == -1) { /* the one before is whole: its memory is free again */
        r->space_used = r->elements = 0;
        if (r->more.used_bytes > 0) arena_clear(&r->more);
    }
    if (redisReaderGetReply(r->hiredis, &done) != 0) return READING_GARBAGE;
    if (done == NULL) return READING_MORE;
    *reply = done;
    return READING_REPLY;
}
