/* Heads and chunk headers that go out. Everything written here is re-read by somebody else's parser, so a value that
 * would begin a new line is a program bug and stops the process rather than leave it. */
#include "http/write.h"

#include <assert.h>
#include <stdio.h>

#include "bytes.h"

#define REASONS(X)                                                                                                     \
    X(100, "Continue")                                                                                                 \
    X(101, "Switching Protocols") X(102, "Processing") X(103, "Early Hints") X(200, "OK") X(201, "Created")            \
        X(202, "Accepted") X(203, "Non-Authoritative Information") X(204, "No Content") X(205, "Reset Content")        \
            X(206, "Partial Content") X(207, "Multi-Status") X(300, "Multiple Choices") X(301, "Moved Permanently")    \
                X(302, "Found") X(303, "See Other") X(304, "Not Modified") X(307, "Temporary Redirect") X(             \
                    308, "Permanent Redirect") X(400, "Bad Request") X(401, "Unauthorized") X(402, "Payment Required") \
                    X(403, "Forbidden") X(404, "Not Found") X(405, "Method Not Allowed") X(406, "Not Acceptable")      \
                        X(407, "Proxy Authentication Required") X(408, "Request Timeout") X(409, "Conflict")           \
                            X(410, "Gone") X(411, "Length Required") X(412, "Precondition Failed")                     \
                                X(413, "Content Too Large") X(414, "URI Too Long") X(415, "Unsupported Media Type")    \
                                    X(416, "Range Not Satisfiable") X(417, "Expectation Failed")                       \
                                        X(421, "Misdirected Request") X(422, "Unprocessable Content") X(423, "Locked") \
                                            X(424, "Failed Dependency") X(425, "Too Early") X(426, "Upgrade Required") \
                                                X(428, "Precondition Required") X(429, "Too Many Requests")            \
                                                    X(431, "Request Header Fields Too Large")                          \
                                                        X(451, "Unavailable For Legal Reasons")                        \
                                                            X(498, "Token Expired") X(499, "Client Closed Request")    \
                                                                X(500, "Internal Server Error")                        \
                                                                    X(501, "Not Implemented") X(502, "Bad Gateway")    \
                                                                        X(503, "Service Unavailable")                  \
                                                                            X(504, "Gateway Timeout")                  \
                                                                                X(505, "HTTP Version Not Supported")   \
                                                                                    X(529, "Overloaded")

struct slice http_reason(unsigned status) {
    switch (status) {
#define REASON(code, text)                                                                                             \
    case code:                                                                                                         \
        return SLICE(text);
        REASONS(REASON)
#undef REASON
    default:
        return SLICE("Unknown");
    }
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
