/* Numbers with units. The hard part is that nothing may overflow or be half understood: `10x`, `-1`, `1.5.2` and
 * 584 years are all refused. Numbers are read by hand: the C library's readers look at the locale and skip spaces. */
#include "units.h"

#include <stdio.h>

#define ROW_COUNT(array) (sizeof(array) / sizeof *(array))

struct unit {
    struct slice name;
    uint64_t factor;
};

static const struct unit counts[] = {{SLICE_INIT(""), 1}, {SLICE_INIT("k"), 1000}, {SLICE_INIT("M"), 1000000}};
static const struct unit durations[] = {{SLICE_INIT("ms"), UINT64_C(1000000)},
                                        {SLICE_INIT("s"), UINT64_C(1000000000)},
                                        {SLICE_INIT("m"), UINT64_C(60000000000)},
                                        {SLICE_INIT("h"), UINT64_C(3600000000000)},
                                        {SLICE_INIT("d"), UINT64_C(86400000000000)}};
static const struct unit sizes[] = {{SLICE_INIT("B"), 1},
                                    {SLICE_INIT("KiB"), UINT64_C(1) << 10},
                                    {SLICE_INIT("MiB"), UINT64_C(1) << 20},
                                    {SLICE_INIT("GiB"), UINT64_C(1) << 30},
                                    {SLICE_INIT("TiB"), UINT64_C(1) << 40}};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t digits_length(struct slice s) {
    size_t n = 0;
    while (n < s.n && is_digit(s.p[n])) n++;
    return n;
}

static bool with_unit(struct slice s, const struct unit *units, size_t unit_count, uint64_t *value) {
    size_t digits = digits_length(s);
    uint64_t number;
    if (!slice_to_u64((struct slice){s.p, digits}, &number)) return false;
    struct slice name = {s.p + digits, s.n - digits};
    for (size_t i = 0; i < unit_count; i++)
        if (slice_equal(name, units[i].name)) return !__builtin_mul_overflow(number, units[i].factor, value);
    *value = 0;
    return name.n == 0 && number == 0;
}

bool units_count(struct slice s, uint64_t *value) {
    return with_unit(s, counts, ROW_COUNT(counts), value);
}
bool units_duration(struct slice s, uint64_t *ns) {
    return with_unit(s, durations, ROW_COUNT(durations), ns);
}
bool units_size(struct slice s, uint64_t *bytes) {
    return with_unit(s, sizes, ROW_COUNT(sizes), bytes);
}

bool units_rate(struct slice s, uint64_t *bytes_per_s) {
    if (s.n < 3 || memcmp(s.p + s.n - 2, "/s", 2) != 0) return false;
    return units_size((struct slice){s.p, s.n - 2}, bytes_per_s);
}

bool units_percent(struct slice s, uint64_t *percent) {
    return s.n > 1 && s.p[s.n - 1] == '%' && slice_to_u64((struct slice){s.p, s.n - 1}, percent);
}

bool units_money(struct slice s, uint64_t *pico_usd) {
    static const uint64_t pico_per_usd = UINT64_C(1000000000000);
    size_t whole_digits = digits_length(s);
    uint64_t whole, fraction = 0;
    if (!slice_to_u64((struct slice){s.p, whole_digits}, &whole)) return false;
    struct slice rest = {s.p + whole_digits, s.n - whole_digits};
    if (rest.n > 0) {
        struct slice decimals = {rest.p + 1, rest.n - 1};
        if (rest.p[0] != '.' || decimals.n > 6 || !slice_to_u64(decimals, &fraction)) return false;
        uint64_t scale = pico_per_usd;
        for (size_t i = 0; i < decimals.n; i++) scale /= 10;
        fraction *= scale;
    }
    return !__builtin_mul_overflow(whole, pico_per_usd, pico_usd) &&
           !__builtin_add_overflow(*pico_usd, fraction, pico_usd);
}

bool units_bool(struct slice s, bool *value) {
    *value = slice_equal(s, SLICE("true")) || slice_equal(s, SLICE("on"));
    return *value || slice_equal(s, SLICE("false")) || slice_equal(s, SLICE("off"));
}

static bool two_digits(const char *p, unsigned lowest, unsigned highest, unsigned *value) {
    if (!is_digit(p[0]) || !is_digit(p[1])) return false;
    *value = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
    return *value >= lowest && *value <= highest;
}

static unsigned month_days(unsigned year, unsigned month) {
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static int64_t days_before(unsigned year, unsigned month) {
    int64_t y = year - 1;
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 - 719162; /* to 1970-01-01 */
    for (unsigned m = 1; m < month; m++) days += month_days(year, m);
    return days;
}

bool units_date(struct slice s, int64_t *unix_s) {
    unsigned century, years, month, day, hour = 0, minute = 0, second = 0;
    if (s.n != 10 && s.n != 20) return false;
    const char *p = s.p;
    bool date = two_digits(p, 19, 99, &century) && two_digits(p + 2, 0, 99, &years) && p[4] == '-' &&
                two_digits(p + 5, 1, 12, &month) && p[7] == '-' && two_digits(p + 8, 1, 31, &day);
    if (!date || century * 100 + years < 1970 || day > month_days(century * 100 + years, month)) return false;
    if (s.n == 20) {
        bool time = p[10] == 'T' && two_digits(p + 11, 0, 23, &hour) && p[13] == ':' &&
                    two_digits(p + 14, 0, 59, &minute) && p[16] == ':' && two_digits(p + 17, 0, 59, &second) &&
                    p[19] == 'Z';
        if (!time) return false;
    }
    int64_t days = days_before(century * 100 + years, month) + day - 1;
    *unix_s = days * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

static void text_write(uint64_t value, const struct unit *units, size_t unit_count, char out[UNITS_TEXT_BYTES]) {
    size_t largest = 0;
    for (size_t i = 0; i < unit_count && value > 0; i++)
        if (value % units[i].factor == 0) largest = i;
    snprintf(out, UNITS_TEXT_BYTES, "%llu%s", (unsigned long long)(value / units[largest].factor),
             units[largest].name.p);
}

void units_duration_text(uint64_t ns, char out[UNITS_TEXT_BYTES]) {
    text_write(ns, durations, ROW_COUNT(durations), out);
}

void units_size_text(uint64_t bytes, char out[UNITS_TEXT_BYTES]) {
    text_write(bytes, sizes, ROW_COUNT(sizes), out);
}
