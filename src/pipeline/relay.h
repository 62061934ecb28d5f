/* pipeline/relay.h: the answer's body on its way to the client: taken out of the provider's framing, looked at, put
 * into the client's. One chunk and one send a turn. */
#pragma once
#include "outgoing.h"

void relay_bytes(struct exchange *x, struct outgoing *out, struct slice bytes); /* as read from the provider */
void relay_end(struct exchange *x, struct outgoing *out);                       /* the provider's side is complete */
void relay_redact_begin(struct exchange *x); /* an error's body follows: blank echoes of the key */
