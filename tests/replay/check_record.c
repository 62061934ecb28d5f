/* Comparing a record with what a scenario says of it: `name=value …`. A phase that is not named must be 0, an error
 * that is not named must not be there, and attempts are 1 unless said otherwise; other members count only when named.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facts/names.h"
#include "play.h"

enum kind { TIME, U16, U32, U64, I64, FLAG, NAME, TEXT };

#define AT(member) offsetof(struct record, member)
static const struct {
    const char *name;
    enum kind kind;
    size_t at;
} members[] = {
    {"status", U16, AT(status)},
    {"attempts", U16, AT(attempts)},
    {"total", TIME, AT(total_ns)},
    {"ttft", TIME, AT(ttft_ns)},
    {"first_visible", TIME, AT(first_visible_ns)},
    {"head", TIME, AT(head_ns)},
    {"first_event", TIME, AT(first_event_ns)},
    {"attempt_ttft", TIME, AT(attempt_ttft_ns)},
    {"tpot", TIME, AT(tpot_ns)},
    {"gap_max", TIME, AT(gap_max_ns)},
    {"provider_time", TIME, AT(provider_ns)},
    {"chunks", U32, AT(chunks)},
    {"in_flight", U32, AT(in_flight)},
    {"request_bytes", U64, AT(request_bytes)},
    {"response_bytes", U64, AT(response_bytes)},
    {"cost", I64, AT(cost_pico_usd)},
    {"waste", I64, AT(waste_pico_usd)},
    {"waste_tokens", U64, AT(waste_tokens)},
    {"stream", FLAG, AT(stream)},
    {"reused", FLAG, AT(connection_reused)},
    {"estimated", FLAG, AT(usage.estimated)},
    {"input", U32, AT(usage.input)},
    {"output", U32, AT(usage.output)},
    {"cache_read", U32, AT(usage.cache_read)},
    {"cache_write", U32, AT(usage.cache_write)},
    {"reasoning", U32, AT(usage.reasoning)},
    {"tenant", NAME, AT(tenant)},
    {"provider", NAME, AT(provider)},
    {"model", TEXT, RECORD_TEXT_MODEL},
    {"model_requested", TEXT, RECORD_TEXT_MODEL_REQUESTED},
    {"operation", TEXT, RECORD_TEXT_OPERATION},
    {"finish", TEXT, RECORD_TEXT_FINISH_REASON},
    {"limit", TEXT, RECORD_TEXT_LIMIT},
};

static const char *time_text(uint64_t ns, char out[32]) {
    snprintf(out, 32, "%" PRIu64 ".%06" PRIu64 "ms", ns / 1000000, ns % 1000000);
    return ns == TIME_UNKNOWN_NS ? "-" : out;
}

static void time_check(struct play *p, const char *name, uint64_t is, struct slice value) {
    char text[32];
    uint64_t expected = TIME_UNKNOWN_NS;
    if (!slice_equal(value, SLICE("-")) && !time_read(value.p, value.n, &expected))
        play_fail(p, "%.*s is no time", (int)value.n, value.p);
    if (is != expected) play_fail(p, "%s is %s, not %.*s", name, time_text(is, text), (int)value.n, value.p);
}

static int64_t number_at(const struct record *r, enum kind kind, size_t at) {
    const char *from = (const char *)r + at;
    switch (kind) {
    case U16:
        return *(const uint16_t *)(const void *)from;
    case U32:
        return *(const uint32_t *)(const void *)from;
    case FLAG:
        return *(const bool *)(const void *)from;
    default:
        return *(const int64_t *)(const void *)from;
    }
}

static void text_check(struct play *p, const char *name, struct slice is, struct slice value) {
    if (slice_equal(value, SLICE("-"))) value.n = 0;
    if (!slice_equal(is, value)) play_fail(p, "%s is %.*s, not %.*s", name, (int)is.n, is.p, (int)value.n, value.p);
}

static bool member_check(struct play *p, const struct record *r, struct slice name, struct slice value) {
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!slice_equal(name, slice_of(members[i].name))) continue;
        if (members[i].kind == TIME) {
            time_check(p, members[i].name, (uint64_t)number_at(r, U64, members[i].at), value);
        } else if (members[i].kind == TEXT) {
            text_check(p, members[i].name, record_text(r, (enum record_text)members[i].at), value);
        } else if (members[i].kind == NAME) {
            text_check(p, members[i].name, name_of((uint32_t)number_at(r, U32, members[i].at)), value);
        } else {
            int64_t is = number_at(r, members[i].kind, members[i].at), expected = strtoll(value.p, NULL, 10);
            if (slice_equal(value, SLICE("-"))) expected = COST_UNKNOWN;
            if (is != expected) play_fail(p, "%s is %" PRId64 ", not %" PRId64, members[i].name, is, expected);
        }
        return true;
    }
    return false;
}

/* The value of `name=` among the words; .p NULL when it is not there. */
static struct slice named(struct slice words, const char *name) {
    struct slice word;
    size_t n = strlen(name);
    while (slice_cut(&words, ' ', &word))
        if (word.n > n && memcmp(word.p, name, n) == 0 && word.p[n] == '=')
            return (struct slice){word.p + n + 1, word.n - n - 1};
    return (struct slice){NULL, 0};
}

static void phases_check(struct play *p, const struct record *r, struct slice expected) {
    char all[1024], time[32];
    size_t n = 0;
    for (int i = 0; i < PHASE_COUNT; i++)
        if (r->phase_ns[i] != 0)
            n += (size_t)snprintf(all + n, sizeof all - n, " %s=%s", phase_name((enum phase)i),
                                  time_text(r->phase_ns[i], time));
    all[n] = '\0';
    for (int i = 0; i < PHASE_COUNT; i++) {
        struct slice value = named(expected, phase_name((enum phase)i));
        uint64_t ns = 0;
        if (slice_equal(value, SLICE("?"))) continue;
        if (value.p != NULL && !time_read(value.p, value.n, &ns)) play_fail(p, "%.*s?", (int)value.n, value.p);
        if (r->phase_ns[i] != ns) play_fail(p, "the phases are%s", all);
    }
}

static void error_check(struct play *p, const struct record *r, struct slice expected) {
    struct slice value = named(expected, "error");
    const char *is = r->error_source == SOURCE_NONE ? "-" : failure_row((enum failure)r->error)->name;
    if (value.p == NULL) value = SLICE("-");
    if (!slice_equal(value, slice_of(is))) play_fail(p, "the error is %s, status %u", is, r->status);
    if (named(expected, "status").p == NULL && r->status != 200) play_fail(p, "the status is %u", r->status);
    if (named(expected, "attempts").p == NULL && r->attempts > 1) play_fail(p, "there were %u attempts", r->attempts);
}

static bool is_checked_apart(struct slice name) {
    if (slice_equal(name, SLICE("error"))) return true;
    for (int i = 0; i < PHASE_COUNT; i++)
        if (slice_equal(name, slice_of(phase_name((enum phase)i)))) return true;
    return false;
}

void record_check(struct play *p, struct slice expected) {
    const struct record *r = world_record(&p->world);
    if (slice_equal(expected, SLICE("none"))) {
        if (r != NULL) play_fail(p, "there is a record, status %u", r->status);
        return;
    }
    if (r == NULL) play_fail(p, "there is no record");
    error_check(p, r, expected);
    phases_check(p, r, expected);
    struct slice rest = expected, word;
    while (slice_cut(&rest, ' ', &word)) {
        const char *equals = word.n > 0 ? memchr(word.p, '=', word.n) : NULL;
        if (word.n == 0) continue;
        if (equals == NULL) play_fail(p, "name=value, not %.*s", (int)word.n, word.p);
        struct slice name = {word.p, (size_t)(equals - word.p)}, value = {equals + 1, word.n - name.n - 1};
        if (!is_checked_apart(name) && !member_check(p, r, name, value))
            play_fail(p, "a record has no %.*s", (int)name.n, name.p);
    }
    world_record_done(&p->world);
}
