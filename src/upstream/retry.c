/* The retry policy. The hard part is which failure belongs to which word of the configuration: a status counts by
 * itself, what never became an answer by where it ended. What asking again cannot change is never retried: a refused
 * request, refused credentials, a used-up quota, the exchange's own deadline. */
#include "upstream/retry.h"

#include <assert.h>

#define NS UINT64_C(1000000000)
#define DAY_NS (86400 * NS)

/* ---- what is worth it ---- */

enum cause { CAUSE_NEVER, CAUSE_STATUS, CAUSE_CONNECT, CAUSE_FIRST_TOKEN, CAUSE_RESET };

/* Of an attempt whose client has got nothing yet. `truncated` and `idle_timeout` are what `reset` and
 * `first_token_timeout` are called once a head has come. */
static const enum cause causes[FAILURE_COUNT] = {
    [FAILURE_DNS_FAILED] = CAUSE_CONNECT,
    [FAILURE_CONNECT_FAILED] = CAUSE_CONNECT,
    [FAILURE_CONNECT_TIMEOUT] = CAUSE_CONNECT,
    [FAILURE_TLS_FAILED] = CAUSE_CONNECT,
    [FAILURE_FIRST_TOKEN_TIMEOUT] = CAUSE_FIRST_TOKEN,
    [FAILURE_IDLE_TIMEOUT] = CAUSE_FIRST_TOKEN,
    [FAILURE_RESET] = CAUSE_RESET,
    [FAILURE_TRUNCATED] = CAUSE_RESET,
    [FAILURE_BAD_RESPONSE] = CAUSE_RESET,
    [FAILURE_RATE_LIMITED] = CAUSE_STATUS,
    [FAILURE_OVERLOADED] = CAUSE_STATUS,
    [FAILURE_PROVIDER_ERROR] = CAUSE_STATUS,
};

static bool status_listed(const struct retry_policy *p, unsigned status) {
    unsigned bit = status - RETRY_STATUS_FIRST;
    return bit < RETRY_STATUS_COUNT && (p->statuses[bit / 64] >> bit % 64 & 1);
}

static void status_list(struct retry_policy *p, uint64_t status) {
    assert(status >= RETRY_STATUS_FIRST && status < RETRY_STATUS_FIRST + RETRY_STATUS_COUNT);
    unsigned bit = (unsigned)status - RETRY_STATUS_FIRST;
    p->statuses[bit / 64] |= UINT64_C(1) << bit % 64;
}

void retry_policy_compile(struct retry_policy *p, const struct config_model *m) {
    *p = (struct retry_policy){.attempts = (unsigned)m->retry.attempts, .backoff_ns = m->retry.backoff_ns};
    for (size_t i = 0; i < m->retry.when.count; i++) {
        struct slice word = m->retry.when.items[i].text;
        uint64_t status;
        if (slice_to_u64(word, &status)) status_list(p, status);
        p->connect |= slice_equal(word, SLICE("connect"));
        p->first_token |= slice_equal(word, SLICE("first_token"));
        p->reset |= slice_equal(word, SLICE("reset"));
    }
}

bool retry_wanted(const struct retry_policy *p, enum failure f, unsigned status, const struct retry_hint *hint) {
    assert(f < FAILURE_COUNT);
    enum cause cause = causes[f];
    if (cause == CAUSE_NEVER || hint->should == SHOULD_RETRY_NO || hint->no_quota) return false;
    switch (cause) {
    case CAUSE_CONNECT:
        return p->connect;
    case CAUSE_FIRST_TOKEN:
        return p->first_token;
    case CAUSE_RESET:
        return p->reset;
    default:
        break;
    }
    if (hint->should == SHOULD_RETRY_YES || status_listed(p, status)) return true;
    return status == 529 && status_listed(p, 503); /* Anthropic's word for it */
}

/* ---- after how long ---- */

uint64_t retry_delay_ns(const struct retry_policy *p, unsigned tries, const struct retry_hint *hint, uint64_t random) {
    uint64_t whole = p->backoff_ns;
    for (unsigned i = 1; i < tries && whole < RETRY_DELAY_MAX_NS; i++) whole *= 2;
    if (whole > RETRY_DELAY_MAX_NS) whole = RETRY_DELAY_MAX_NS;
    uint64_t delay = whole - (whole > 1 ? random % (whole / 2 + 1) : 0);
    return hint->after_said && hint->after_ns > delay ? hint->after_ns : delay;
}

/* `12`, `0.5`, in units of unit_ns; false for anything else. Digits beyond the ninth decimal do not count. */
static bool decimal_read(struct slice s, uint64_t unit_ns, uint64_t *ns) {
    const char *dot = memchr(s.p, '.', s.n);
    struct slice whole = {s.p, dot != NULL ? (size_t)(dot - s.p) : s.n};
    struct slice decimals = dot != NULL ? (struct slice){dot + 1, s.n - whole.n - 1} : SLICE("0");
    uint64_t units, part = 0;
    if (decimals.n > 9) decimals.n = 9;
    if (!slice_to_u64(whole, &units) || !slice_to_u64(decimals, &part)) return false;
    uint64_t scale = 1;
    for (size_t i = 0; i < decimals.n; i++) scale *= 10;
    if (units > DAY_NS / unit_ns) units = DAY_NS / unit_ns;
    *ns = units * unit_ns + (uint64_t)((unsigned __int128)part * unit_ns / scale);
    if (*ns > DAY_NS) *ns = DAY_NS;
    return true;
}

static bool digits_read(struct slice s, size_t at, size_t n, int64_t *value) {
    uint64_t number;
    if (at + n > s.n || !slice_to_u64((struct slice){s.p + at, n}, &number)) return false;
    *value = (int64_t)number;
    return true;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counting years from March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    if (month <= 2) year--;
    int64_t era_year = year % 400, month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return year / 400 * 146097 + era_year * 365 + era_year / 4 - era_year / 100 + day_of_year - 719468;
}

/* `Sun, 06 Nov 1994 08:49:37 GMT` */
static bool http_date_read(struct slice s, int64_t *unix_s) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t day, year, hour, minute, second, month = 0;
    if (s.n != 29 || memcmp(s.p + 25, " GMT", 4) != 0) return false;
    for (int64_t i = 0; i < 12; i++)
        if (memcmp(months + 3 * i, s.p + 8, 3) == 0) month = i + 1;
    bool read = digits_read(s, 5, 2, &day) && digits_read(s, 12, 4, &year) && digits_read(s, 17, 2, &hour) &&
                digits_read(s, 20, 2, &minute) && digits_read(s, 23, 2, &second);
    if (!read || month == 0 || day < 1 || day > 31 || year < 1970 || hour > 23 || minute > 59 || second > 60)
        return false;
    *unix_s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

bool retry_after_read(struct slice value, int64_t unix_now_s, uint64_t *ns) {
    int64_t at;
    if (value.n == 0) return false;
    if (decimal_read(value, NS, ns)) return true;
    if (!http_date_read(value, &at)) return false;
    uint64_t seconds = at > unix_now_s ? (uint64_t)(at - unix_now_s) : 0;
    *ns = seconds > DAY_NS / NS ? DAY_NS : seconds * NS;
    return true;
}

bool retry_after_ms_read(struct slice value, uint64_t *ns) {
    return value.n > 0 && decimal_read(value, NS / 1000, ns);
}

bool retry_duration_read(struct slice value, uint64_t *ns) {
    if (value.n < 2 || value.p[value.n - 1] != 's') return false;
    return decimal_read((struct slice){value.p, value.n - 1}, NS, ns);
}
