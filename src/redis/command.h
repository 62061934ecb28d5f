/* command.h: commands as they are sent: arrays of bulk strings, each with its length, so no byte in a word means
 * anything. */
#pragma once
#include "base/buf.h"
#include "redis/script.h"

void command_begin(struct buf *out, size_t word_count);
void command_word(struct buf *out, struct slice word);
void command_number(struct buf *out, uint64_t value);
/* A whole command of words. */
void command_append(struct buf *out, const struct slice *words, size_t count);
/* EVALSHA sha1 key_count words… */
void command_evalsha(struct buf *out, const struct redis_script *s, const struct slice *words, size_t count,
                     size_t key_count);
/* How long, and appended to `out`: the EVAL of what command_evalsha() made. `evalsha` may lie within `out` itself when
 * it has room for so many bytes more. */
size_t command_eval_bytes(const struct redis_script *s, struct slice evalsha);
void command_eval_from(struct buf *out, const struct redis_script *s, struct slice evalsha);
