/* Every class of error is told at its exact place, all at once. */
#include "loading.h"

static void syntax_errors_are_told_at_their_place(void **state) {
    (void)state;
    expect_messages("log: {level: \"info}\n", "t:2:1: not valid YAML: found unexpected end of stream, while scanning a "
                                              "quoted scalar that begins in line 1\n");
    expect_messages("log:\n\tlevel: info\n", "t:2:1: not valid YAML: indent with spaces, not with a tab\n");
    expect_messages("log: {level: info}}\n",
                    "t:1:19: not valid YAML: did not find expected key, while parsing a block mapping\n");
    expect_messages("admin: {token: ${TOKEN}}\n",
                    "t:1:17: not valid YAML: did not find expected ',' or '}'; inside { } and [ ] put quotes around "
                    "\"${…}\"\n");
    expect_messages("- a\n", "t:1:1: expected keys, such as `listen:`, not a list\n");
    expect_messages("hello\n", "t:1:1: expected keys, such as `listen:`, not a plain value\n");
}

static void bytes_that_are_no_text_are_refused(void **state) {
    (void)state;
    expect_messages("log:\n  level: \x01\n", "t:2:10: not a text file: control characters are not allowed\n");
    expect_messages("log: \xff\xfe\n", "t:1:6: not a text file: invalid leading UTF-8 octet\n");
    expect_messages("log: {level: \"in\\0fo\"}\n", "t:1:14: the value contains a control character\n");
    expect_messages("log: {\"le\\0vel\": info}\n", "t:1:7: unknown key `le?vel`, did you mean `level`?\n");
}

static void yaml_beyond_plain_trees_is_refused(void **state) {
    (void)state;
    expect_messages(
        "log: &a {level: info}\nhttp: *a\n",
        "t:1:6: anchors and aliases (& and *) are not supported; put quotes around a text that begins so\n");
    expect_messages(PROVIDER(", models: [*a]"),
                    "t:1:81: anchors and aliases (& and *) are not supported; put quotes around a text that begins "
                    "so\n");
    expect_messages("log: !!map {level: info}\n",
                    "t:1:6: tags (!) are not supported; put quotes around a text that begins so\n");
    expect_messages("log: {level: info}\n---\nlog: {}\n",
                    "t:2:1: a second document (---) in one file is not supported\n");
    expect_messages("a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n", "t:1:20: nested too deeply\n");
    expect_messages("? {a: b}\n: c\n", "t:1:3: a key must be a plain name\n");
}

static void a_key_given_twice_is_told_with_its_first_line(void **state) {
    (void)state;
    expect_messages("log:\n  level: info\n  level: warn\n", "t:3:3: `level` is given twice, first in line 2\n");
    expect_messages("log: {}\nhttp: {}\nlog: {}\n", "t:3:1: `log` is given twice, first in line 1\n");
}

static void an_unknown_key_names_the_nearest(void **state) {
    (void)state;
    expect_messages("provider: {}\n", "t:1:1: unknown key `provider`, did you mean `providers`?\n");
    expect_messages("http: {body-bytes: 1MiB}\n", "t:1:8: unknown key `body-bytes`, did you mean `body_bytes`?\n");
    expect_messages(PROVIDER(", base_ulr: x"), "t:1:72: unknown key `base_ulr`, did you mean `base_url`?\n");
    expect_messages(PROVIDER(", api_key:sk-canary0123456789"),
                    "t:1:72: unknown key `api_key…`, did you mean `api_key`? A space belongs between a key's colon and "
                    "its value\n");
    expect_messages("sk-canary0123456789: 1\n",
                    "t:1:1: unknown key `sk-canar…`; known here: instance, listen, admin, otlp, workers, providers, "
                    "models, tenant_defaults, tenants, state, store, workloads, prices, log, http, include\n");
    expect_messages("log: {colour: red}\n", "t:1:7: unknown key `colour`; known here: access, level\n");
    expect_messages("http: {drain: 1s, NAME: 2s}\n",
                    "t:1:19: unknown key `NAME`; known here: uri_bytes, header_bytes, headers, body_bytes, "
                    "buffered_bytes, max_connections, keepalive, header_time, body_rate, half_close, drain\n");
}

static void a_value_of_the_wrong_shape_says_what_was_expected(void **state) {
    (void)state;
    expect_messages("log: [a]\n", "t:1:6: expected a map of keys, not a list\n");
    expect_messages("log: {level: [info]}\n", "t:1:14: expected a plain value, not a list\n");
    expect_messages("listen: {address: x}\n", "t:1:9: expected a list, such as [a, b], not a map\n");
    expect_messages("providers: [a]\n", "t:1:12: expected a map of names, not a list\n");
    expect_messages("providers: {p: 5}\n", "t:1:16: expected a map of keys, not a plain value\n");
    expect_messages(PROVIDER(", models: gpt"), "t:1:80: expected a list, such as [a, b], not a plain value\n");
    expect_messages(PROVIDER(", headers: [a]"), "t:1:81: expected a map, such as {name: value}, not a list\n");
    expect_messages("log:\n  level:\n", "t:2:9: the value is missing\n");
    expect_messages("log: {level: \"\"}\n", "t:1:14: the value is empty\n");
    expect_messages("prices: |\n  a\n", "t:1:9: the value contains a line end\n");
    expect_messages("listen: []\n", "t:1:9: needs at least 1\n");
}

static void a_number_must_have_its_unit_and_fit(void **state) {
    (void)state;
    expect_messages("http: {drain: 10x}\n", "t:1:15: expected a duration, such as 250ms, 30s, 5m, 12h or 30d\n");
    expect_messages("http: {drain: 10}\n", "t:1:15: expected a duration, such as 250ms, 30s, 5m, 12h or 30d\n");
    expect_messages("http: {drain: off}\n", "t:1:15: expected a duration, such as 250ms, 30s, 5m, 12h or 30d\n");
    expect_messages("http: {drain: 2d}\n", "t:1:15: out of range: from 0ms to 1d\n");
    expect_messages("http: {drain: 99999999999999d}\n",
                    "t:1:15: expected a duration, such as 250ms, 30s, 5m, 12h or 30d\n");
    expect_messages("http: {uri_bytes: 8KB}\n", "t:1:19: expected a size, such as 512B, 64KiB, 32MiB or 4GiB\n");
    expect_messages("http: {uri_bytes: 1MiB}\n", "t:1:19: out of range: from 256B to 64KiB\n");
    expect_messages("http: {body_rate: 1KiB}\n", "t:1:19: expected a rate, such as 1KiB/s, or off\n");
    expect_messages("workers: 0\n", "t:1:10: out of range: from 1 to 256, or auto\n");
    expect_messages("workers: -1\n", "t:1:10: expected a whole number, such as 600, 200k or 3M, or auto\n");
    expect_messages(PROVIDER(", timeouts: {connect: soon}"),
                    "t:1:92: expected a duration, such as 250ms, 30s, 5m, 12h or 30d, or off\n");
    expect_messages(PROVIDER(", trusted: maybe"), "t:1:81: expected true or false (or on, off)\n");
}

static void a_limit_must_not_be_zero_negative_or_too_large(void **state) {
    (void)state;
    expect_messages("tenant_defaults:\n  limits: {requests_per_minute: 0}\n",
                    "t:2:33: out of range: from 1 to 1000000000\n");
    expect_messages("tenant_defaults:\n  limits: {requests_per_minute: -5}\n",
                    "t:2:33: expected a whole number, such as 600, 200k or 3M\n");
    expect_messages("tenant_defaults:\n  limits: {tokens_per_minute: 18446744073709551616}\n",
                    "t:2:31: expected a whole number, such as 600, 200k or 3M\n");
    expect_messages("tenant_defaults:\n  limits: {usd_per_day: 0}\n",
                    "t:2:25: out of range: from 0.000001 to 1000000.000000\n");
    expect_messages("tenant_defaults:\n  limits: {usd_per_day: 0.1234567}\n",
                    "t:2:25: expected an amount in dollars, such as 25 or 0.50\n");
}

static void a_word_out_of_a_list_names_the_nearest(void **state) {
    (void)state;
    expect_messages("log: {level: wrn}\n", "t:1:14: not one of: debug info warn error; did you mean warn?\n");
    expect_messages("log: {level: 7}\n", "t:1:14: not one of: debug info warn error\n");
}

static void a_required_key_that_is_missing_is_told_at_its_owner(void **state) {
    (void)state;
    expect_messages("providers:\n  p: {}\n",
                    "t:2:3: `dialect` is missing\n"
                    "t:2:3: `base_url` is missing\n"
                    "t:2:3: `api_key` is missing (`auth: none` if this provider takes none)\n");
    expect_messages(PROVIDER("") "models:\n  m: {}\n", "t:3:3: `targets` is missing\n");
    expect_messages(PROVIDER("") "models:\n  m: {targets: }\n", "t:3:7: `targets` is missing\n");
    expect_messages(PROVIDER("") "models:\n  m: {targets: [{provider: p}]}\n", "t:3:17: `model` is missing\n");
    expect_messages("listen: [{insecure: true}]\n", "t:1:10: `address` is missing\n");
}

static void the_environment_must_give_something(void **state) {
    (void)state;
    unsetenv("CONF_TEST_UNSET");
    setenv("CONF_TEST_EMPTY", "", 1);
    setenv("CONF_TEST_LINES", "a\nb", 1);
    expect_messages("log:\n  level: ${CONF_TEST_UNSET}\n",
                    "t:2:10: the environment variable CONF_TEST_UNSET is not set\n");
    expect_messages("log:\n  level: a${CONF_TEST_EMPTY}\n",
                    "t:2:10: the environment variable CONF_TEST_EMPTY is empty\n");
    expect_messages("log: {level: \"${CONF_TEST_UNSET:-}\"}\n", "t:1:14: the value is empty\n");
    expect_messages("log: {access: \"${CONF_TEST_LINES}\"}\n",
                    "t:1:15: the value of ${CONF_TEST_LINES} contains a line end\n");
    static const char *const malformed[] = {"${", "${}", "${A", "${1}", "${A:b}", "${A B}", "${:-x}"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        char text[64];
        snprintf(text, sizeof text, "log: {level: \"%s\"}\n", malformed[i]);
        expect_messages(text, "t:1:14: expected ${NAME} or ${NAME:-default} (a literal ${ is written $${)\n");
    }
}

static void an_empty_key_never_becomes_no_auth(void **state) {
    (void)state;
    setenv("CONF_TEST_EMPTY", "", 1);
    expect_messages(
        "providers:\n  p: {dialect: openai, base_url: \"https://h/v1\",\n    api_key: \"${CONF_TEST_EMPTY}\"}\n",
        "t:3:14: the environment variable CONF_TEST_EMPTY is empty\n");
    expect_messages("providers:\n  p: {dialect: openai, base_url: \"https://h/v1\",\n    api_key: }\n",
                    "t:3:14: the value is missing\n");
}

static void everything_is_told_at_once_in_order(void **state) {
    (void)state;
    expect_messages("http: {drain: 1x}\n"
                    "log: {level: loud, acess: none}\n"
                    "providers: {v1: {dialect: openai, base_url: \"ftp://h\", api_key: k}}\n"
                    "models: {m: {targets: [{provider: q, model: x}]}}\n",
                    "t:1:15: expected a duration, such as 250ms, 30s, 5m, 12h or 30d\n"
                    "t:2:14: not one of: debug info warn error\n"
                    "t:2:20: unknown key `acess`, did you mean `access`?\n"
                    "t:3:13: `v1` is reserved: paths of weir's own begin with it\n"
                    "t:3:45: expected a URL that begins with http:// or https://\n"
                    "t:4:35: unknown provider `q`; there are: v1\n");
}

static void messages_beyond_the_ceiling_are_counted(void **state) {
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < CONF_MESSAGES_MAX + 50; i++) buf_printf(&text, "zzzz%d: 1\n", i);
    struct loading l = load_slice(buf_slice(&text));
    assert_int_equal(l.error_count, CONF_MESSAGES_MAX + 50);
    assert_non_null(strstr(l.messages, "\n… and 50 more\n"));
    loading_end(&l);
    buf_clear(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_errors_are_told_at_their_place),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(yaml_beyond_plain_trees_is_refused),
        cmocka_unit_test(a_key_given_twice_is_told_with_its_first_line),
        cmocka_unit_test(an_unknown_key_names_the_nearest),
        cmocka_unit_test(a_value_of_the_wrong_shape_says_what_was_expected),
        cmocka_unit_test(a_number_must_have_its_unit_and_fit),
        cmocka_unit_test(a_limit_must_not_be_zero_negative_or_too_large),
        cmocka_unit_test(a_word_out_of_a_list_names_the_nearest),
        cmocka_unit_test(a_required_key_that_is_missing_is_told_at_its_owner),
        cmocka_unit_test(the_environment_must_give_something),
        cmocka_unit_test(an_empty_key_never_becomes_no_auth),
        cmocka_unit_test(everything_is_told_at_once_in_order),
        cmocka_unit_test(messages_beyond_the_ceiling_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
