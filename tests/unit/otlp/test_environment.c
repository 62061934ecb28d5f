/* OTEL_* variables: precedence, lists, and destinations that follow; no header's value is ever shown. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "destinations.h"

static const char *const *variables; /* name, value, …, NULL */

static const char *get(const char *name) {
    for (const char *const *v = variables; v != NULL && *v != NULL; v += 2)
        if (strcmp(*v, name) == 0) return v[1];
    return NULL;
}

static struct environment read_all(const char *const *list) {
    struct environment e;
    variables = list;
    environment_read(&e, get);
    return e;
}

static void nothing_set_asks_for_nothing(void **state) {
    (void)state;
    struct environment e = read_all(NULL);
    assert_false(e.disabled || e.gzip[0] || e.wanted[0] || e.wanted[1] || e.wanted[2]);
    assert_int_equal(e.timeout_ns[0] + e.delay_ns + e.metric_interval_ns + e.queue_items + e.batch_items, 0);
}

static void a_signals_own_variable_goes_first(void **state) {
    (void)state;
    static const char *const list[] = {"OTEL_EXPORTER_OTLP_ENDPOINT",
                                       "http://common",
                                       "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                                       "http://logs/x",
                                       "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                                       "a=1",
                                       "OTEL_EXPORTER_OTLP_HEADERS",
                                       "b=2",
                                       "OTEL_METRICS_EXPORTER",
                                       "otlp",
                                       "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
                                       "900",
                                       "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
                                       "gzip",
                                       "OTEL_EXPORTER_OTLP_TIMEOUT",
                                       "2500",
                                       "OTEL_BSP_MAX_QUEUE_SIZE",
                                       "zero",
                                       "OTEL_SDK_DISABLED",
                                       "TRUE",
                                       NULL};
    struct environment e = read_all(list);
    assert_true(e.disabled && e.wanted[SIGNAL_TRACES] && e.wanted[SIGNAL_METRICS] && e.wanted[SIGNAL_LOGS]);
    assert_true(slice_equal(e.endpoint[SIGNAL_TRACES], SLICE("http://common")) && !e.whole_url[SIGNAL_TRACES]);
    assert_true(slice_equal(e.endpoint[SIGNAL_LOGS], SLICE("http://logs/x")) && e.whole_url[SIGNAL_LOGS]);
    assert_true(slice_equal(e.headers[SIGNAL_TRACES], SLICE("a=1")));
    assert_true(slice_equal(e.headers[SIGNAL_LOGS], SLICE("b=2")));
    assert_int_equal(e.timeout_ns[SIGNAL_TRACES], 2500 * NS_PER_MS);
    assert_int_equal(e.timeout_ns[SIGNAL_LOGS], 900 * NS_PER_MS);
    assert_true(e.gzip[SIGNAL_METRICS] && !e.gzip[SIGNAL_TRACES]);
    assert_int_equal(e.queue_items, 0);
}

static void a_signal_can_be_turned_off(void **state) {
    (void)state;
    static const char *const list[] = {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_EXPORTER", "none", NULL};
    struct environment e = read_all(list);
    assert_false(e.wanted[SIGNAL_TRACES] || e.wanted[SIGNAL_METRICS] || e.wanted[SIGNAL_LOGS]);
}

static void exporters_are_a_list(void **state) {
    (void)state;
    static const char *const list[] = {"OTEL_EXPORTER_OTLP_ENDPOINT",
                                       "http://c",
                                       "OTEL_TRACES_EXPORTER",
                                       "console, otlp",
                                       "OTEL_METRICS_EXPORTER",
                                       "otlp,prometheus",
                                       "OTEL_LOGS_EXPORTER",
                                       "console",
                                       NULL};
    struct environment e = read_all(list);
    assert_true(e.wanted[SIGNAL_TRACES] && e.wanted[SIGNAL_METRICS] && !e.wanted[SIGNAL_LOGS]);
}

static void samplers_are_those_of_the_specification(void **state) {
    (void)state;
    static const uint64_t one = UINT64_C(1) << 56;
    const struct {
        const char *name, *argument;
        uint64_t threshold;
        bool always;
    } cases[] = {{"", "", 0, false},
                 {"always_on", "0", 0, true},
                 {"always_off", "", one, true},
                 {"parentbased_always_off", "", one, false},
                 {"traceidratio", "0.25", one / 4 * 3, true},
                 {"parentbased_traceidratio", "1.0", 0, false},
                 {"parentbased_traceidratio", ".5", one / 2, false},
                 {"parentbased_traceidratio", "0", one, false},
                 {"parentbased_traceidratio", "1.5", 0, false},
                 {"parentbased_traceidratio", "99999999999999999999999", 0, false},
                 {"parentbased_traceidratio", ".", 0, false},
                 {"parentbased_traceidratio", "half", 0, false},
                 {"jaeger_remote", "1", 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const list[] = {"OTEL_TRACES_SAMPLER_ARG", cases[i].argument, "OTEL_TRACES_SAMPLER", cases[i].name,
                                    NULL};
        variables = list;
        struct trace_sampler s = environment_sampler(get);
        if (s.threshold > cases[i].threshold + 256 || s.threshold + 256 < cases[i].threshold ||
            s.always != cases[i].always)
            fail_msg("%s %s: %llx", cases[i].name, cases[i].argument, (unsigned long long)s.threshold);
    }
}

static void pairs_are_decoded_and_bad_ones_noted(void **state) {
    (void)state;
    struct slice rest = SLICE(" a=1 ,b%=x, c = d%20e%2Cf%zz%4,,=1,g,h=%0d%0aEvil: 1,i="), key, value;
    char room[100];
    bool bad = false;
    static const char *const wanted[][2] = {{"a", "1"}, {"b%", "x"}, {"c", "d e,f%zz%4"}, {"i", ""}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_true(environment_pair(&rest, &key, &value, room, &bad));
        assert_true(slice_equal(key, slice_of(wanted[i][0])));
        assert_true(slice_equal(value, slice_of(wanted[i][1])));
    }
    assert_false(environment_pair(&rest, &key, &value, room, &bad));
    assert_true(bad);
}

/* ---- plans ---- */

static void plan_expect(const char *const *list, const char *host, const char *port, const char *path,
                        const char *fields) {
    struct environment e = read_all(list);
    struct config *c = config_default();
    struct plan p;
    char error[200];
    assert_true(plan_make(&p, c, &e, error, sizeof error));
    assert_int_equal(p.count, 1);
    const struct destination *d = &p.items[0].to;
    assert_string_equal(d->host, host);
    assert_string_equal(d->port, port);
    assert_true(slice_equal(d->path, slice_of(path)));
    assert_true(slice_equal(d->fields, slice_of(fields)));
    plan_clear(&p);
    config_free(c);
}

static void endpoints_are_bases_and_signals_own_ones_are_not(void **state) {
    (void)state;
    plan_expect((const char *const[]){"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", NULL}, "collector",
                "4318", "/v1/traces", "");
    plan_expect((const char *const[]){"OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1]/api//", "OTEL_EXPORTER_OTLP_HEADERS",
                                      "k=v%20w", NULL},
                "::1", "80", "/api/v1/traces", "k: v w\r\n");
    plan_expect((const char *const[]){"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c", NULL}, "c", "80", "/", "");
    plan_expect((const char *const[]){"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x/", NULL}, "c", "80", "/x/", "");
}

static void what_cannot_be_used_is_an_error_without_the_secret(void **state) {
    (void)state;
    static const char *const bad[][4] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", NULL},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@c", NULL},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://", NULL},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:/x", NULL},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/?secret", NULL},
    };
    char error[200];
    struct plan p;
    struct config *c = config_default();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct environment e = read_all(bad[i]);
        assert_false(plan_make(&p, c, &e, error, sizeof error));
        assert_null(strstr(error, "secret"));
        plan_clear(&p);
    }
    static const char *const values[] = {"secret", "Content-Length=3,a=secret"};
    for (size_t i = 0; i < 2; i++) {
        const char *const headers[] = {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_EXPORTER_OTLP_HEADERS",
                                       values[i], NULL};
        struct environment e = read_all(headers);
        assert_false(plan_make(&p, c, &e, error, sizeof error));
        assert_null(strstr(error, "secret"));
        plan_clear(&p);
    }
    config_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_asks_for_nothing),
        cmocka_unit_test(a_signals_own_variable_goes_first),
        cmocka_unit_test(a_signal_can_be_turned_off),
        cmocka_unit_test(exporters_are_a_list),
        cmocka_unit_test(samplers_are_those_of_the_specification),
        cmocka_unit_test(pairs_are_decoded_and_bad_ones_noted),
        cmocka_unit_test(endpoints_are_bases_and_signals_own_ones_are_not),
        cmocka_unit_test(what_cannot_be_used_is_an_error_without_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
