/* pipeline/hold.h: an answer that may still be given up is kept from the client until its content begins: then all of
 * it goes out in one send. The last moment to try again is just before that. */
#pragma once
#include "outgoing.h"

#define HOLD_BYTES_MAX ((size_t)65536)

/* What was gathered is about to be sent, and the attempt is holding. True: it is kept, nothing goes out. False: the
 * hold is over, and what was kept now stands in front. */
bool hold_keeps(struct attempt *a, struct outgoing *out);
void hold_release(struct attempt *a); /* nothing is waited for any longer: what was kept goes out now */
