/* Heads and chunk headers that go out. Everything written here is re-read by somebody else's parser, so a value that
 * would begin a new line is a program bug and stops the process rather than leave it. */
#include "http/write.h"

#include <assert.h>
#include <stdio.h>

#include "bytes.h"

static const struct slice reasons[600] = {
    [100] = SLICE_INIT("Continue"),
    [101] = SLICE_INIT("Switching Protocols"),
    [102] = SLICE_INIT("Processing"),
    [103] = SLICE_INIT("Early Hints"),
    [200] = SLICE_INIT("OK"),
    [201] = SLICE_INIT("Created"),
    [202] = SLICE_INIT("Accepted"),
    [203] = SLICE_INIT("Non-Authoritative Information"),
    [204] = SLICE_INIT("No Content"),
    [205] = SLICE_INIT("Reset Content"),
    [206] = SLICE_INIT("Partial Content"),
    [207] = SLICE_INIT("Multi-Status"),
    [300] = SLICE_INIT("Multiple Choices"),
    [301] = SLICE_INIT("Moved Permanently"),
    [302] = SLICE_INIT("Found"),
    [303] = SLICE_INIT("See Other"),
    [304] = SLICE_INIT("Not Modified"),
    [307] = SLICE_INIT("Temporary Redirect"),
    [308] = SLICE_INIT("Permanent Redirect"),
    [400] = SLICE_INIT("Bad Request"),
    [401] = SLICE_INIT("Unauthorized"),
    [402] = SLICE_INIT("Payment Required"),
    [403] = SLICE_INIT("Forbidden"),
    [404] = SLICE_INIT("Not Found"),
    [405] = SLICE_INIT("Method Not Allowed"),
    [406] = SLICE_INIT("Not Acceptable"),
    [407] = SLICE_INIT("Proxy Authentication Required"),
    [408] = SLICE_INIT("Request Timeout"),
    [409] = SLICE_INIT("Conflict"),
    [410] = SLICE_INIT("Gone"),
    [411] = SLICE_INIT("Length Required"),
    [412] = SLICE_INIT("Precondition Failed"),
    [413] = SLICE_INIT("Content Too Large"),
    [414] = SLICE_INIT("URI Too Long"),
    [415] = SLICE_INIT("Unsupported Media Type"),
    [416] = SLICE_INIT("Range Not Satisfiable"),
    [417] = SLICE_INIT("Expectation Failed"),
    [421] = SLICE_INIT("Misdirected Request"),
    [422] = SLICE_INIT("Unprocessable Content"),
    [423] = SLICE_INIT("Locked"),
    [424] = SLICE_INIT("Failed Dependency"),
    [425] = SLICE_INIT("Too Early"),
    [426] = SLICE_INIT("Upgrade Required"),
    [428] = SLICE_INIT("Precondition Required"),
    [429] = SLICE_INIT("Too Many Requests"),
    [431] = SLICE_INIT("Request Header Fields Too Large"),
    [451] = SLICE_INIT("Unavailable For Legal Reasons"),
    [498] = SLICE_INIT("Token Expired"),
    [499] = SLICE_INIT("Client Closed Request"),
    [500] = SLICE_INIT("Internal Server Error"),
    [501] = SLICE_INIT("Not Implemented"),
    [502] = SLICE_INIT("Bad Gateway"),
    [503] = SLICE_INIT("Service Unavailable"),
    [504] = SLICE_INIT("Gateway Timeout"),
    [505] = SLICE_INIT("HTTP Version Not Supported"),
    [529] = SLICE_INIT("Overloaded"),
};

struct slice http_reason(unsigned status) {
    bool known = status < sizeof reasons / sizeof *reasons && reasons[status].n > 0;
    return known ? reasons[status] : SLICE("Unknown");
}

void write_status_line(struct buf *out, unsigned status) {
    assert(status >= 100 && status <= 999);
    char begin[] = "HTTP/1.1 NNN ";
    char *digits = begin + sizeof "HTTP/1.1 " - 1;
    digits[0] = (char)('0' + status / 100);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    buf_append(out, begin, sizeof begin - 1);
    buf_append_slice(out, http_reason(status));
    buf_append(out, "\r\n", 2);
}

void write_field(struct buf *out, struct slice name, struct slice value) {
    assert(name.n > 0 && bytes_are(name, BYTE_TOKEN));
    assert(value.n == 0 || find_control(value.p, value.p + value.n) == value.p + value.n);
    char *to = buf_reserve(out, name.n + value.n + 4);
    memcpy(to, name.p, name.n);
    to += name.n;
    *to++ = ':';
    *to++ = ' ';
    if (value.n > 0) memcpy(to, value.p, value.n);
    to += value.n;
    *to++ = '\r';
    *to = '\n';
    buf_commit(out, name.n + value.n + 4);
}

size_t write_chunk_head(char out[CHUNK_HEAD_MAX], uint64_t length) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    int shift = 60;
    while (shift > 0 && (length >> shift) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) out[n++] = digits[length >> shift & 15];
    out[n++] = '\r';
    out[n++] = '\n';
    return n;
}

/* Days since 1970-01-01 to a date of the Gregorian calendar, by eras of 400 years that begin on 1 March: leap days then
 * fall at a year's end and need no case of their own. */
static void date_of(int64_t days, int *year, int *month, int *day) {
    const int64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
    const int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * years + years / 4 - years / 100), from_march = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * from_march + 2) / 5) + 1;
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(years + era * 400) + (*month <= 2);
}

void write_http_date(char out[30], int64_t unix_s) {
    static const char weekdays[][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}; /* day 0 was a Thursday */
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t last = INT64_C(253402300799); /* 9999-12-31T23:59:59: the format has four digits */
    unix_s = unix_s < 0 ? 0 : unix_s > last ? last : unix_s;
    int64_t days = unix_s / 86400, of_day = unix_s % 86400;
    int year, month, day;
    date_of(days, &year, &month, &day);
    char text[64];
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[days % 7], day, months[month - 1], year,
             (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
    memcpy(out, text, 29);
    out[29] = '\0';
}

void write_date(struct buf *out, int64_t unix_s) {
    static _Thread_local int64_t kept_s = INT64_MIN;
    static _Thread_local char kept[30];
    if (unix_s != kept_s) write_http_date(kept, unix_s);
    kept_s = unix_s;
    write_field(out, SLICE("date"), (struct slice){kept, sizeof kept - 1});
}
