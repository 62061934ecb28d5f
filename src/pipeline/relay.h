/* pipeline/relay.h: the answer's body on its way to the client: taken out of the provider's framing, looked at, put
 * into the client's. One chunk and one send a turn. */
#pragma once
#include "outgoing.h"

void relay_bytes(struct attempt *a, struct outgoing *out, struct slice bytes); /* as read from the provider */
void relay_end(struct attempt *a, struct outgoing *out);                       /* the provider's side is complete */
void relay_written(const struct attempt *a); /* something went to the client: notes when what is told of it was there */
void relay_refusal(struct attempt *a);       /* a refusal that is held whole goes to the client after all */
void relay_redact_begin(struct attempt *a);  /* an error's body follows: blank echoes of the key */
