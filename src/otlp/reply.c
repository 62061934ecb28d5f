/* Reading the collector's answer: a protobuf of which two fields matter, the others are skipped by their wire type; and
 * the form of an HTTP date that may be sent. Every length is checked against what is left. */
#include "reply.h"

#include "messages.h"

struct reader {
    struct slice rest;
    bool broken;
};

static uint64_t varint(struct reader *r) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && r->rest.n > 0; shift += 7) {
        uint8_t byte = (uint8_t)r->rest.p[0];
        r->rest.p++, r->rest.n--;
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    r->broken = true;
    return 0;
}

static struct slice bytes(struct reader *r, uint64_t n) {
    if (n > r->rest.n) {
        r->broken = true;
        return SLICE("");
    }
    struct slice taken = {r->rest.p, (size_t)n};
    r->rest.p += n, r->rest.n -= (size_t)n;
    return taken;
}

struct entry { /* one field */
    uint64_t number;
    uint64_t value;    /* of a varint */
    struct slice text; /* of what has a length */
    unsigned wire;
};

static bool entry_next(struct reader *r, struct entry *e) {
    if (r->rest.n == 0 || r->broken) return false;
    uint64_t tag = varint(r);
    *e = (struct entry){.number = tag >> 3, .wire = tag & 7};
    if (e->wire == 0)
        e->value = varint(r);
    else if (e->wire == 1 || e->wire == 5)
        bytes(r, e->wire == 1 ? 8 : 4);
    else if (e->wire == 2)
        e->text = bytes(r, varint(r));
    else
        r->broken = true;
    if (e->number == 0) r->broken = true;
    return !r->broken;
}

static bool partial_read(struct slice message, struct reply *reply) {
    struct reader r = {.rest = message};
    for (struct entry e; entry_next(&r, &e);) {
        if (e.number == PARTIAL_REJECTED && e.wire == 0)
            reply->rejected = (int64_t)e.value > 0 ? e.value : 0;
        else if (e.number == PARTIAL_MESSAGE && e.wire == 2)
            reply->message = e.text;
    }
    return !r.broken;
}

bool reply_read(struct slice body, struct reply *reply) {
    struct reader r = {.rest = body};
    *reply = (struct reply){0};
    for (struct entry e; entry_next(&r, &e);) {
        if (e.number != RESPONSE_PARTIAL_SUCCESS || e.wire != 2) continue;
        reply->partial = true;
        if (!partial_read(e.text, reply)) return false;
    }
    return !r.broken;
}

/* ---- Retry-After ---- */

static bool number_take(struct slice *rest, size_t digits, unsigned *value) {
    *value = 0;
    if (rest->n < digits) return false;
    for (size_t i = 0; i < digits; i++) {
        if (rest->p[i] < '0' || rest->p[i] > '9') return false;
        *value = *value * 10 + (unsigned)(rest->p[i] - '0');
    }
    rest->p += digits, rest->n -= digits;
    return true;
}

static bool text_take(struct slice *rest, struct slice text) {
    if (!slice_starts(*rest, text)) return false;
    rest->p += text.n, rest->n -= text.n;
    return true;
}

static bool month_take(struct slice *rest, unsigned *month) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (*month = 1; *month <= 12; ++*month)
        if (text_take(rest, (struct slice){names + 3 * (*month - 1), 3})) return true;
    return false;
}

/* Days from 1970-01-01 in the Gregorian calendar, years counted from March (Hinnant, days_from_civil). */
static int64_t days_of(int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    int64_t era = year / 400;
    unsigned of_era = (unsigned)(year - era * 400), of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* IMF-fixdate, the only form that may be sent: Sun, 06 Nov 1994 08:49:37 GMT. */
static bool date_read(struct slice rest, int64_t *unix_s) {
    unsigned day, month, year, hour, minute, second;
    const char *comma = rest.n > 4 ? memchr(rest.p, ',', 4) : NULL;
    if (comma == NULL) return false;
    rest.n -= (size_t)(comma + 1 - rest.p), rest.p = comma + 1;
    if (!text_take(&rest, SLICE(" ")) || !number_take(&rest, 2, &day) || !text_take(&rest, SLICE(" ")) ||
        !month_take(&rest, &month) || !text_take(&rest, SLICE(" ")) || !number_take(&rest, 4, &year) ||
        !text_take(&rest, SLICE(" ")) || !number_take(&rest, 2, &hour) || !text_take(&rest, SLICE(":")) ||
        !number_take(&rest, 2, &minute) || !text_take(&rest, SLICE(":")) || !number_take(&rest, 2, &second) ||
        !slice_equal(rest, SLICE(" GMT")))
        return false;
    if (year < 1970 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return false;
    *unix_s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

bool reply_retry_after(struct slice value, int64_t now_unix_s, uint64_t *wait_s) {
    int64_t at;
    value = slice_trim(value);
    if (slice_to_u64(value, wait_s)) return true;
    if (!date_read(value, &at)) return false;
    *wait_s = at > now_unix_s ? (uint64_t)(at - now_unix_s) : 0;
    return true;
}
