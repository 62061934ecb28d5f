/* pipeline/queueing.h: waiting for a tenant's limit instead of being refused
 * (tenants.NAME.queue): what the stage LIMITS does before and after it asks the
 * limiter. */
#pragma once
#include "pipeline/stages.h"

/* Before asking. NEXT: ask; WAIT: others come first, or nothing has changed;
 * FAIL: the line is full. */
enum step queue_before(struct exchange *x);
/* After asking: `asked` is what the limiter's answer would mean. A refusal that
 * waiting may help against is WAIT, as long as the tenant's queue allows. */
enum step queue_after(struct exchange *x, enum step asked);
void queue_leave(struct exchange *x);   /* harmless when not in line */
void queue_settled(struct exchange *x); /* it has given back what it held: others may go on */
