/* pipeline/redact.h: blanks every run of 12 or more characters of a secret in bytes that pass by, however they are cut.
 * The length does not change. For error bodies only: it costs a comparison a byte and a character of the secret. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum { REDACT_RUN_MIN = 12 };
struct redactor;
struct redactor *redactor_new(struct arena *arena, struct slice secret); /* lives in the arena; `secret` is borrowed */
struct slice redact_take(struct redactor *r, struct slice data); /* what may go out now; valid until the next call */
struct slice redact_end(struct redactor *r);                     /* the rest */

/* The same for answers that are no errors, but may hold one: cheap, in place, and nothing is held back. Of an echo that
 * is cut fewer than REDACT_RUN_MIN characters go out. Lives in the arena; `secret` is borrowed, and long enough to
 * echo. */
struct echoes;
struct echoes *echoes_new(struct arena *arena, struct slice secret);
void echoes_blank(struct echoes *e, char *p, size_t n);
