/* Times and refusals of the API. Nothing here reads the time zone or the locale. */
#include "api.h"

#include "base/clock.h"
#include "base/json_text.h"

unsigned api_bad_query(struct buf *body, const char *field, const char *message) {
    buf_append_text(body, "{\"error\":{\"code\":\"bad_query\",\"message\":");
    struct buf text = {0};
    buf_append_text(&text, field);
    buf_append_text(&text, ": ");
    buf_append_text(&text, message);
    json_text_string(body, buf_slice(&text));
    buf_clear(&text);
    buf_append_text(body, ",\"field\":");
    json_text_string(body, slice_of(field));
    buf_append_text(body, "}}");
    return 400;
}

bool api_duration_s(struct slice s, uint64_t *seconds) {
    static const char units[] = "smhd";
    static const uint64_t unit_s[] = {1, 60, 3600, 86400};
    const char *unit = s.n > 1 ? memchr(units, s.p[s.n - 1], sizeof units - 1) : NULL;
    uint64_t count;
    if (unit == NULL || !slice_to_u64((struct slice){s.p, s.n - 1}, &count) || count > 1000000) return false;
    *seconds = count * unit_s[unit - units];
    return true;
}

/* Exactly `n` digits, which are taken off; -1: something else. */
static int digits_take(struct slice *s, size_t n) {
    int value = 0;
    if (s->n < n) return -1;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') return -1;
        value = 10 * value + (s->p[i] - '0');
    }
    s->p += n, s->n -= n;
    return value;
}

static bool char_take(struct slice *s, const char *any) {
    if (s->n == 0 || strchr(any, s->p[0]) == NULL || s->p[0] == '\0') return false;
    s->p++, s->n--;
    return true;
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool date_take(struct slice *s, int64_t *days) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = digits_take(s, 4);
    if (year < 1970 || year > 2199 || !char_take(s, "-")) return false;
    int month = digits_take(s, 2);
    if (month < 1 || month > 12 || !char_take(s, "-")) return false;
    int day = digits_take(s, 2), length = lengths[month - 1] + (month == 2 && is_leap(year));
    if (day < 1 || day > length) return false;
    int64_t count = day - 1;
    for (int y = 1970; y < year; y++) count += 365 + is_leap(y);
    for (int m = 1; m < month; m++) count += lengths[m - 1] + (m == 2 && is_leap(year));
    *days = count;
    return true;
}

static bool clock_take(struct slice *s, int64_t *seconds) {
    int hour = digits_take(s, 2);
    if (hour < 0 || hour > 23 || !char_take(s, ":")) return false;
    int minute = digits_take(s, 2);
    if (minute < 0 || minute > 59 || !char_take(s, ":")) return false;
    int second = digits_take(s, 2);
    if (second < 0 || second > 60) return false; /* 60: a leap second, which is the next one's */
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool fraction_take(struct slice *s, int64_t *ns) {
    *ns = 0;
    if (!char_take(s, ".")) return true;
    int64_t unit = 100000000;
    size_t count = 0;
    for (int digit; count < 9 && (digit = digits_take(s, 1)) >= 0; count++, unit /= 10) *ns += digit * unit;
    return count > 0;
}

static bool zone_take(struct slice *s, int64_t *seconds) {
    *seconds = 0;
    if (char_take(s, "Zz")) return true;
    bool west = s->n > 0 && s->p[0] == '-';
    if (!char_take(s, "+-")) return false;
    int hour = digits_take(s, 2);
    if (hour < 0 || hour > 23 || !char_take(s, ":")) return false;
    int minute = digits_take(s, 2);
    if (minute < 0 || minute > 59) return false;
    *seconds = (hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

bool api_rfc3339(struct slice s, int64_t *unix_ns) {
    int64_t days, seconds, ns, zone;
    if (!date_take(&s, &days) || !char_take(&s, "Tt ") || !clock_take(&s, &seconds) || !fraction_take(&s, &ns) ||
        !zone_take(&s, &zone) || s.n > 0)
        return false;
    *unix_ns = (days * 86400 + seconds - zone) * (int64_t)NS_PER_S + ns;
    return *unix_ns >= 0;
}

bool api_time(struct slice s, int64_t now_unix_ns, int64_t *unix_ns) {
    const uint64_t back_max_s = UINT64_C(200) * 366 * 86400; /* as nanoseconds it still is an int64_t */
    uint64_t back_s;
    if (s.n == 0 || s.p[0] != '-') return api_rfc3339(s, unix_ns);
    if (!api_duration_s((struct slice){s.p + 1, s.n - 1}, &back_s) || back_s > back_max_s) return false;
    int64_t back_ns = (int64_t)(back_s * NS_PER_S);
    *unix_ns = back_ns > now_unix_ns ? 0 : now_unix_ns - back_ns;
    return true;
}

void api_instant_write(struct buf *out, int64_t unix_s) {
    char text[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(unix_s * (int64_t)NS_PER_S, text);
    buf_append(out, "\"", 1);
    buf_append_text(out, text);
    buf_append(out, "\"", 1);
}
