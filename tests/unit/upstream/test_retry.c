/* What is tried again, and when. */
#include "unit.h"

#include "upstream/retry.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct conf_text words[16];

/* The list of words, separated by spaces, as the configuration would hold it. */
static struct retry_policy policy(const char *when, unsigned attempts, uint64_t backoff_ns) {
    struct config_model m = {.retry = {.attempts = attempts, .backoff_ns = backoff_ns, .when.items = words}};
    struct slice rest = slice_of(when), word;
    while (slice_cut(&rest, ' ', &word)) words[m.retry.when.count++].text = word;
    struct retry_policy p;
    retry_policy_compile(&p, &m);
    return p;
}

static struct retry_policy usual(void) {
    return policy("429 500 502 503 504 connect first_token reset", 2, 200 * MS);
}

static const struct retry_hint nothing_said;

static void what_is_retried_by_default_is_what_the_failure_table_says(void **state) {
    (void)state;
    static const unsigned statuses[FAILURE_COUNT] = {
        [FAILURE_RATE_LIMITED] = 429, [FAILURE_OVERLOADED] = 503, [FAILURE_PROVIDER_ERROR] = 500};
    struct retry_policy p = usual();
    for (enum failure f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
        bool named_otherwise_later = f == FAILURE_TRUNCATED || f == FAILURE_IDLE_TIMEOUT;
        if (retry_wanted(&p, f, statuses[f], &nothing_said) != (failure_row(f)->retried || named_otherwise_later))
            fail_msg("%s", failure_row(f)->name);
    }
}

static void each_cause_is_retried_only_when_it_is_named(void **state) {
    (void)state;
    static const struct {
        const char *word;
        enum failure failure;
        unsigned status;
    } rows[] = {{"429", FAILURE_RATE_LIMITED, 429},
                {"503", FAILURE_OVERLOADED, 503},
                {"503", FAILURE_OVERLOADED, 529},
                {"529", FAILURE_OVERLOADED, 529},
                {"500", FAILURE_PROVIDER_ERROR, 500},
                {"599", FAILURE_PROVIDER_ERROR, 599},
                {"connect", FAILURE_DNS_FAILED, 0},
                {"connect", FAILURE_CONNECT_FAILED, 0},
                {"connect", FAILURE_CONNECT_TIMEOUT, 0},
                {"connect", FAILURE_TLS_FAILED, 0},
                {"first_token", FAILURE_FIRST_TOKEN_TIMEOUT, 0},
                {"first_token", FAILURE_IDLE_TIMEOUT, 200},
                {"reset", FAILURE_RESET, 0},
                {"reset", FAILURE_TRUNCATED, 200},
                {"reset", FAILURE_BAD_RESPONSE, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            struct retry_policy p = policy(rows[i].word, 2, 0);
            bool overloaded = strcmp(rows[i].word, "503") == 0 || strcmp(rows[i].word, "529") == 0;
            bool named = strcmp(rows[i].word, rows[j].word) == 0 || (overloaded && rows[j].status == 529);
            if (retry_wanted(&p, rows[j].failure, rows[j].status, &nothing_said) != named)
                fail_msg("when %s: %s %u", rows[i].word, failure_row(rows[j].failure)->name, rows[j].status);
        }
}

static void what_would_fail_again_is_never_retried(void **state) {
    (void)state;
    static const enum failure never[] = {FAILURE_PROVIDER_REJECTED, FAILURE_PROVIDER_AUTH,  FAILURE_TOTAL_TIMEOUT,
                                         FAILURE_CLIENT_GONE,       FAILURE_LIMIT_EXCEEDED, FAILURE_QUEUE_FULL};
    struct retry_policy p = policy("400 401 404 429 500 connect first_token reset", 8, 0);
    struct retry_hint yes = {.should = SHOULD_RETRY_YES};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        assert_false(retry_wanted(&p, never[i], 400, &nothing_said));
        assert_false(retry_wanted(&p, never[i], 400, &yes));
    }
    struct retry_hint quota = {.no_quota = true, .should = SHOULD_RETRY_YES};
    assert_false(retry_wanted(&p, FAILURE_RATE_LIMITED, 429, &quota));
}

static void the_providers_word_counts_for_more_than_the_list(void **state) {
    (void)state;
    struct retry_policy p = usual();
    struct retry_hint no = {.should = SHOULD_RETRY_NO}, yes = {.should = SHOULD_RETRY_YES};
    assert_false(retry_wanted(&p, FAILURE_PROVIDER_ERROR, 500, &no));
    assert_false(retry_wanted(&p, FAILURE_PROVIDER_ERROR, 501, &nothing_said));
    assert_true(retry_wanted(&p, FAILURE_PROVIDER_ERROR, 501, &yes));
}

static void the_back_off_doubles_and_half_of_it_is_random(void **state) {
    (void)state;
    struct retry_policy p = usual();
    for (unsigned tries = 1; tries <= 4; tries++) {
        uint64_t whole = (200 * MS) << (tries - 1), least = UINT64_MAX, most = 0;
        for (uint64_t random = 0; random < 100000; random++) {
            uint64_t delay = retry_delay_ns(&p, tries, &nothing_said, random * UINT64_C(0x9e3779b97f4a7c15));
            if (delay < least) least = delay;
            if (delay > most) most = delay;
        }
        assert_in_range(least, whole / 2, whole / 2 + whole / 50);
        assert_in_range(most, whole - whole / 50, whole);
    }
    assert_true(retry_delay_ns(&p, 60, &nothing_said, 0) == RETRY_DELAY_MAX_NS);
    p.backoff_ns = 0;
    assert_true(retry_delay_ns(&p, 3, &nothing_said, 12345) == 0);
}

static void no_sooner_than_the_provider_asks(void **state) {
    (void)state;
    struct retry_policy p = usual();
    struct retry_hint long_after = {.after_said = true, .after_ns = 90 * SECOND}, at_once = {.after_said = true};
    assert_true(retry_delay_ns(&p, 1, &long_after, 7) == 90 * SECOND);
    assert_true(retry_delay_ns(&p, 1, &at_once, 0) == 200 * MS);
}

static void retry_after_is_seconds_or_a_date(void **state) {
    (void)state;
    static const int64_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value;
        int64_t ms; /* -1: neither */
    } rows[] = {{"0", 0},
                {"7", 7000},
                {"0.25", 250},
                {"1.5", 1500},
                {"99999999999999", 86400000},
                {"99999999999999999999", -1},
                {"", -1},
                {"-1", -1},
                {"soon", -1},
                {"1e3", -1},
                {".5", -1},
                {"1.", -1},
                {"1.x", -1},
                {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
                {"Sun, 06 Nov 1994 08:49:47 GMT", 10000},
                {"Sun, 06 Nov 1994 08:49:27 GMT", 0},
                {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
                {"Fri, 31 Dec 9999 23:59:59 GMT", 86400000},
                {"Sun, 06 Nov 1994 08:49:37 CET", -1},
                {"Sun, 06 Xxx 1994 08:49:37 GMT", -1},
                {"Sun, 06 Nov 1994 28:49:37 GMT", -1},
                {"Sun, 00 Nov 1994 08:49:37 GMT", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ns = 0;
        bool read = retry_after_read(slice_of(rows[i].value), now, &ns);
        if (read != (rows[i].ms >= 0) || (read && ns != (uint64_t)rows[i].ms * MS))
            fail_msg("%s: %llu", rows[i].value, (unsigned long long)ns);
    }
}

static void dates_are_counted_over_leap_years(void **state) {
    (void)state;
    static const struct {
        const char *date;
        int64_t unix_s;
    } rows[] = {{"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
                {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
                {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
                {"Sat, 28 Nov 2026 21:14:03 GMT", 1795900443}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ns;
        assert_true(retry_after_read(slice_of(rows[i].date), rows[i].unix_s - 5, &ns));
        if (ns != 5 * SECOND) fail_msg("%s: %llu", rows[i].date, (unsigned long long)ns);
    }
}

static void milliseconds_and_durations(void **state) {
    (void)state;
    uint64_t ns;
    assert_true(retry_after_ms_read(slice_of("1500"), &ns) && ns == 1500 * MS);
    assert_true(retry_after_ms_read(slice_of("0.5"), &ns) && ns == MS / 2);
    assert_false(retry_after_ms_read(slice_of(""), &ns));
    assert_true(retry_duration_read(slice_of("13s"), &ns) && ns == 13 * SECOND);
    assert_true(retry_duration_read(slice_of("0.250000001s"), &ns) && ns == 250 * MS + 1);
    assert_true(retry_duration_read(slice_of("3.123456789123s"), &ns) && ns == 3123456789);
    assert_false(retry_duration_read(slice_of("13"), &ns));
    assert_false(retry_duration_read(slice_of("s"), &ns));
    assert_false(retry_duration_read(slice_of("-1s"), &ns));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_retried_by_default_is_what_the_failure_table_says),
        cmocka_unit_test(each_cause_is_retried_only_when_it_is_named),
        cmocka_unit_test(what_would_fail_again_is_never_retried),
        cmocka_unit_test(the_providers_word_counts_for_more_than_the_list),
        cmocka_unit_test(the_back_off_doubles_and_half_of_it_is_random),
        cmocka_unit_test(no_sooner_than_the_provider_asks),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(dates_are_counted_over_leap_years),
        cmocka_unit_test(milliseconds_and_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
