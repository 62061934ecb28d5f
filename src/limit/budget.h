/* limit/budget.h: money per calendar period, UTC. A period that has begun ends by the monotonic clock when the calendar
 * said it would: setting the clock ahead gives no fresh budget, setting it back lengthens the running period by at most
 * one more. Not thread-safe. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum period_kind { PERIOD_DAY, PERIOD_MONTH };

struct period {      /* zero-initialise */
    uint64_t serial; /* how many there were */
    int64_t number;  /* days or months since 1970, as the wall clock had it */
    int64_t since_unix_ns;
    uint64_t ends_ns; /* monotonic */
};

struct budget {              /* zero-initialise; begin a period with an empty one */
    uint64_t used, reserved; /* pico-dollars; they saturate */
};

/* Begins the next period when it is time to; true when it did. */
bool period_advance(struct period *p, enum period_kind kind, uint64_t now_ns, int64_t unix_ns);
bool budget_fits(const struct budget *b, uint64_t max, uint64_t pico_usd); /* of unknown size (0): while any is left */
void budget_reserve(struct budget *b, uint64_t pico_usd);
void budget_settle(struct budget *b, uint64_t reserved,
                   uint64_t actual); /* only within the period of the reservation */
/* Of a wall clock's instant: the number of its day or month since 1970, and when that began and the next one begins. */
int64_t calendar_number(enum period_kind kind, int64_t unix_ns, int64_t *begin_unix_ns, int64_t *end_unix_ns);
