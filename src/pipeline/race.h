/* pipeline/race.h: a second attempt beside the first (a hedge): the first of the two to bring content is the exchange's
 * attempt, the other is cancelled. Nothing of it exists until it is needed. */
#pragma once
#include "pipeline/exchange.h"

void race_arm(struct attempt *a);   /* the first try has begun: when a second one would be due */
void race_begin(struct attempt *a); /* it is due: another begins, where the budget allows it */
/* Something an attempt waited for has happened: goes on with it, whichever of the two it is. */
void attempt_run(struct attempt *a);
void race_won(struct attempt *a); /* it is about to answer: the other one is cancelled. Harmless without another */
/* It has failed. True: the exchange goes on with the other one. */
bool race_lost(struct attempt *a, enum failure f);
void race_end(struct exchange *x); /* the exchange is over: nobody has won */
bool race_runs(const struct exchange *x);
