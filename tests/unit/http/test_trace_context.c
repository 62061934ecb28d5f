/* Trace Context and Baggage by the letter: what is good goes on as it came, what is malformed begins anew or is left
 * out, and limits cut whole members. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "http/trace_context.h"

#define ID "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
#define GOOD "00-" ID "-01"

static struct buf text;

static struct http_head head_of(const char *fields) {
    static struct field parsed[HEAD_FIELDS_MAX];
    static const struct head_limits limits = {.uri_bytes = 100, .header_bytes = 100000, .fields = 200};
    struct http_head head;
    size_t scanned = 0;
    buf_clear(&text);
    buf_printf(&text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    struct slice raw = buf_slice(&text);
    assert_int_equal(head_end(raw.p, raw.n, &scanned), raw.n);
    assert_int_equal(head_parse_request(&head, raw, parsed, &limits), FAILURE_NONE);
    return head;
}

static void expect_list(void (*read)(const struct http_head *, struct buf *), const char *fields, const char *wanted) {
    struct http_head head = head_of(fields);
    struct buf out = {0};
    read(&head, &out);
    buf_append(&out, "", 1);
    if (strcmp(out.data, wanted) != 0) fail_msg("%s gave %s, not %s", fields, out.data, wanted);
    buf_clear(&out);
}

static void a_good_traceparent_is_read_and_written_again(void **state) {
    (void)state;
    struct trace_parent t;
    char out[TRACEPARENT_BYTES];
    assert_true(trace_parent_parse(SLICE(GOOD), &t));
    assert_int_equal(t.flags, TRACE_SAMPLED);
    assert_int_equal(t.trace_id[0], 0x0a);
    assert_int_equal(t.parent_id[7], 0x31);
    trace_parent_write(out, &t);
    assert_memory_equal(out, GOOD, TRACEPARENT_BYTES);
}

static void unknown_flags_are_left_out_and_newer_versions_read(void **state) {
    (void)state;
    struct trace_parent t;
    assert_true(trace_parent_parse(SLICE("00-" ID "-ff"), &t));
    assert_int_equal(t.flags, TRACE_SAMPLED | TRACE_RANDOM);
    assert_true(trace_parent_parse(SLICE("cc-" ID "-00"), &t));
    assert_int_equal(t.flags, 0);
    assert_true(trace_parent_parse(SLICE("cc-" ID "-01-what-the-future-will-be-like"), &t));
    assert_true(trace_parent_parse(SLICE("cc-" ID "-01-"), &t));
}

static void a_threshold_takes_its_share_of_traces(void **state) {
    (void)state;
    const struct trace_sampler all = {0}, none = {.threshold = UINT64_C(1) << 56},
                               upper = {.threshold = UINT64_C(1) << 55};
    uint8_t low[16], high[16] = {[9] = 0x80}, highest[16];
    memset(low, 0xff, sizeof low);
    memset(highest, 0xff, sizeof highest);
    low[9] = 0x7f;
    assert_true(trace_sampler_takes(&all, low) && trace_sampler_takes(&all, high));
    assert_false(trace_sampler_takes(&none, low) || trace_sampler_takes(&none, highest));
    assert_false(trace_sampler_takes(&upper, low));
    assert_true(trace_sampler_takes(&upper, high) && trace_sampler_takes(&upper, highest));
}

static void what_is_malformed_is_no_traceparent(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "ff-" ID "-01",
        GOOD "-",
        GOOD "x",
        "cc-" ID "-01.what",
        "00-" ID "-0",
        "00-" ID "-0G",
        "0x-" ID "-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
    };
    struct trace_parent t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (trace_parent_parse(slice_of(bad[i]), &t)) fail_msg("%s is taken", bad[i]);
    for (size_t n = 0; n < TRACEPARENT_BYTES; n++) assert_false(trace_parent_parse((struct slice){GOOD, n}, &t));
}

static void two_traceparents_are_none(void **state) {
    (void)state;
    struct trace_parent t;
    struct http_head one = head_of("TraceParent: " GOOD "\r\n");
    assert_true(trace_parent_read(&one, &t));
    struct http_head two = head_of("traceparent: " GOOD "\r\nx: y\r\ntraceparent: " GOOD "\r\n");
    assert_false(trace_parent_read(&two, &t));
    struct http_head none = head_of("");
    assert_false(trace_parent_read(&none, &t));
}

static void tracestates_are_joined_in_order(void **state) {
    (void)state;
    expect_list(trace_state_read, "tracestate: a=1\r\nx: y\r\nTraceState: b=2,\tc=3 ,,\r\ntracestate:\r\n",
                "a=1,b=2,c=3");
    expect_list(trace_state_read, "tracestate: 0a_-*/@z=!\"#$%&'()*+-./0:;<>?@[]^_`{|}~ x\r\n",
                "0a_-*/@z=!\"#$%&'()*+-./0:;<>?@[]^_`{|}~ x");
    expect_list(trace_state_read, "tracestate: a=1,a=2\r\n", "a=1,a=2");
    expect_list(trace_state_read, "tracestate:\r\n", "");
    expect_list(trace_state_read, "x: y\r\n", "");
}

static void one_malformed_member_drops_the_tracestate(void **state) {
    (void)state;
    static const char *const bad[] = {"a",     "=1",  "a=",    "A=1",    "_a=1",  "a =1",
                                      "a=1=2", "a= ", "a.b=1", "a=\x80", "a=b\tc"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char fields[64];
        snprintf(fields, sizeof fields, "tracestate: ok=1\r\ntracestate: %s,z=9\r\n", bad[i]);
        expect_list(trace_state_read, fields, "");
    }
}

static void list_write(struct buf *out, const char *name, unsigned count, size_t value_bytes) {
    buf_printf(out, "%s: ", name);
    for (unsigned i = 0; i < count; i++) {
        buf_printf(out, "%sk%u=", i > 0 ? "," : "", i);
        for (size_t n = 0; n < value_bytes; n++) buf_append(out, "v", 1);
    }
    buf_append(out, "\r\n", 3);
}

static size_t list_read(void (*read)(const struct http_head *, struct buf *), const char *name, unsigned count,
                        size_t value_bytes, unsigned *members) {
    struct buf fields = {0}, out = {0};
    list_write(&fields, name, count, value_bytes);
    struct http_head head = head_of(fields.data);
    read(&head, &out);
    size_t bytes = buf_length(&out);
    *members = bytes > 0;
    for (size_t i = 0; i < bytes; i++) *members += out.data[i] == ',';
    buf_clear(&fields);
    buf_clear(&out);
    return bytes;
}

static void limits_cut_whole_members(void **state) {
    (void)state;
    unsigned members;
    list_read(trace_state_read, "tracestate", 32, 1, &members);
    assert_int_equal(members, 32);
    list_read(trace_state_read, "tracestate", 33, 1, &members);
    assert_int_equal(members, 0);
    assert_in_range(list_read(trace_state_read, "tracestate", 20, 60, &members), 440, TRACESTATE_BYTES_MAX);
    assert_int_equal(members, 8);
    assert_int_equal(list_read(trace_state_read, "tracestate", 1, 256, &members), 259);
    assert_int_equal(list_read(trace_state_read, "tracestate", 1, 257, &members), 0);
    list_read(trace_state_read, "tracestate", 3, 200, &members);
    assert_int_equal(members, 0); /* more than 512 bytes: the long ones go first */
    list_read(baggage_read, "baggage", 70, 1, &members);
    assert_int_equal(members, BAGGAGE_MEMBERS_MAX);
    assert_in_range(list_read(baggage_read, "baggage", 60, 200, &members), 8000, BAGGAGE_BYTES_MAX);
}

static void baggage_is_judged_member_by_member(void **state) {
    (void)state;
    expect_list(baggage_read, "baggage: a=1 , b=\r\nBaggage: c = d%20e;p;q=r\r\n", "a=1,b=,c = d%20e;p;q=r");
    expect_list(baggage_read, "baggage: a b=1,=2,c,d=\"x\",e=f g,h=1;,i=\xc3\xa4,k=1=2\r\n", "k=1=2");
    expect_list(baggage_read, "x: y\r\n", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_traceparent_is_read_and_written_again),
        cmocka_unit_test(unknown_flags_are_left_out_and_newer_versions_read),
        cmocka_unit_test(a_threshold_takes_its_share_of_traces),
        cmocka_unit_test(what_is_malformed_is_no_traceparent),
        cmocka_unit_test(two_traceparents_are_none),
        cmocka_unit_test(tracestates_are_joined_in_order),
        cmocka_unit_test(one_malformed_member_drops_the_tracestate),
        cmocka_unit_test(limits_cut_whole_members),
        cmocka_unit_test(baggage_is_judged_member_by_member),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&text);
    return failed;
}
