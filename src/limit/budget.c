/* Budgets per UTC day and month. The hard part is a clock that is set: what decides is how long the period was to last
 * when it began, measured by the clock that is never set. */
#include "budget.h"

#include "base/clock.h"

#define DAY_NS ((int64_t)(86400 * NS_PER_S))

static int64_t floor_divide(int64_t a, int64_t b) {
    int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

/* Days from 1970-01-01 to the first of a month; years are counted from March, so that the leap day is the last. */
static int64_t month_begin_day(int64_t month) {
    int64_t from_march = month + 1970 * 12 - 2, year = floor_divide(from_march, 12), in_year = from_march - year * 12;
    int64_t leap_days = floor_divide(year, 4) - floor_divide(year, 100) + floor_divide(year, 400);
    return year * 365 + leap_days + (153 * in_year + 2) / 5 - 719468;
}

int64_t calendar_number(enum period_kind kind, int64_t unix_ns, int64_t *begin_unix_ns, int64_t *end_unix_ns) {
    int64_t day = floor_divide(unix_ns, DAY_NS), number = day, begin = day, end = day + 1;
    if (kind == PERIOD_MONTH) {
        number = floor_divide(day * 12, 366) - 1; /* not later than the month; a few steps at most are missing */
        while (month_begin_day(number + 1) <= day) number++;
        begin = month_begin_day(number);
        end = month_begin_day(number + 1);
    }
    *begin_unix_ns = begin * DAY_NS;
    *end_unix_ns = end * DAY_NS;
    return number;
}

bool period_advance(struct period *p, enum period_kind kind, uint64_t now_ns, int64_t unix_ns) {
    if (p->serial != 0 && now_ns < p->ends_ns) return false;
    int64_t begin, end, number = calendar_number(kind, unix_ns, &begin, &end);
    bool next = p->serial == 0 || number > p->number;
    p->number = number;
    p->ends_ns = now_ns + (uint64_t)(end - unix_ns);
    if (!next) return false; /* the clock was set back: the same one goes on until the calendar has caught up */
    p->serial++;
    p->since_unix_ns = begin;
    return true;
}

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bool budget_fits(const struct budget *b, uint64_t max, uint64_t pico_usd) {
    return sum(sum(b->used, b->reserved), pico_usd > 0 ? pico_usd : 1) <= max;
}

void budget_reserve(struct budget *b, uint64_t pico_usd) {
    b->reserved = sum(b->reserved, pico_usd);
}

void budget_settle(struct budget *b, uint64_t reserved, uint64_t actual) {
    b->reserved -= reserved < b->reserved ? reserved : b->reserved;
    b->used = sum(b->used, actual);
}
