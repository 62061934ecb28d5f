/* pipeline/loss.h: what attempts used, also those that nobody got anything of. */
#pragma once
#include "facts/record.h"
#include "pipeline/exchange.h"

/* Fills `u` with what the attempt's answer says was used; counted from the stream where the provider gave no number. */
void attempt_usage(const struct attempt *a, struct usage *u);
/* The same of the exchange's last attempt. Where nobody got to say how much it used, its input is estimated. */
void exchange_usage(const struct exchange *x, struct usage *u);
/* It ended in a way after which its provider has done work and bills it, though it may not have got to say how much. */
bool loss_unsaid(const struct exchange *x);
/* Did nobody get anything of it? Its client has left, or it failed before there was anything. */
bool loss_is_all(const struct exchange *x, const struct usage *u);
/* What that is billed by: its target's price, else that of the model which its answer names (a deployment has a name of
 * its own). NULL: not known. */
const struct price *attempt_price(const struct attempt *a);
/* The attempt is given up, for that failure (none: it is cancelled). Where the provider has work to bill, that is kept
 * until the exchange settles. */
void loss_note(const struct attempt *a, enum failure f);
/* Fills in what the exchange cost, for what the record says that its last attempt used and what was noted of those
 * before it: all of it is the cost, which is not known when any part of it is not. */
void costs_book(const struct exchange *x, struct record *r);
