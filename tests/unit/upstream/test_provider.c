/* A provider as it is called: where base_url says it is, and the exact fields every request to it carries. */
#include "unit.h"

#include <string.h>

#include "base/buf.h"
#include "facts/names.h"
#include "upstream/provider.h"

static struct config *config;
static struct provider *provider;
static struct origins *origins;
static struct conf_errors errors;

static int teardown(void **state) {
    (void)state;
    provider_free(provider);
    origins_free(origins);
    origins = NULL;
    config_free(config);
    conf_errors_clear(&errors);
    provider = NULL;
    config = NULL;
    return 0;
}

/* Loads a configuration whose provider `p` has these members, and compiles it. */
static void compile(const char *members) {
    struct buf yaml = {0};
    buf_printf(&yaml, "providers:\n  p: {%s}\n", members);
    config = config_load_text("t", buf_slice(&yaml), &errors, NULL);
    buf_clear(&yaml);
    if (config == NULL) fail_msg("%s: %s", members, errors.messages[0].text);
    provider = provider_compile(&config->providers.items[0], origins = origins_new(), &errors);
}

static void a_missing_authority_file_is_told_at_its_place(void **state) {
    (void)state;
    compile("dialect: openai, base_url: \"https://h/v1\", api_key: k, tls: {ca: /nowhere/ca.pem}");
    assert_null(provider);
    assert_int_equal(errors.error_count, 1);
    assert_int_equal(errors.messages[errors.count - 1].at.line, 2);
    assert_non_null(strstr(errors.messages[errors.count - 1].text, "/nowhere/ca.pem"));
}

static void base_urls_are_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *url, *host, *port, *path, *field;
    } urls[] = {
        {"http://h", "h", "80", "", "host: h\r\n"},
        {"http://h/v1", "h", "80", "/v1", "host: h\r\n"},
        {"http://h:8000", "h", "8000", "", "host: h:8000\r\n"},
        {"http://127.0.0.1:9/a/b:c", "127.0.0.1", "9", "/a/b:c", "host: 127.0.0.1:9\r\n"},
        {"http://[::1]", "::1", "80", "", "host: [::1]\r\n"},
        {"http://[::1]:9/v1", "::1", "9", "/v1", "host: [::1]:9\r\n"},
        {"http://[2001:db8::7]/v1beta", "2001:db8::7", "80", "/v1beta", "host: [2001:db8::7]\r\n"},
        {"http://a.b-c.example:65535/x", "a.b-c.example", "65535", "/x", "host: a.b-c.example:65535\r\n"},
        {"https://api.example.com/v1", "api.example.com", "443", "/v1", "host: api.example.com\r\n"},
        {"https://api.example.com:8443", "api.example.com", "8443", "", "host: api.example.com:8443\r\n"},
        {"https://[::1]:8443/v1", "::1", "8443", "/v1", "host: [::1]:8443\r\n"},
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct buf members = {0};
        buf_printf(&members, "dialect: openai, auth: none, base_url: \"%s\"", urls[i].url);
        buf_append(&members, "", 1);
        compile(members.data);
        buf_clear(&members);
        assert_non_null(provider);
        assert_string_equal(provider->origin->host, urls[i].host);
        assert_string_equal(provider->origin->port, urls[i].port);
        assert_true(slice_equal(provider->base_path, slice_of(urls[i].path)));
        assert_true(slice_starts(provider->fields, slice_of(urls[i].field)));
        assert_int_equal(provider->origin->tls != NULL, strncmp(urls[i].url, "https", 5) == 0);
        teardown(NULL);
    }
}

#define H "base_url: \"http://h/v1\", "
#define HOST "host: h\r\n"
#define ENCODING "accept-encoding: identity\r\n"

static void each_credential_travels_in_its_field(void **state) {
    (void)state;
    static const struct {
        const char *members, *fields, *secret;
    } cases[] = {
        {H "dialect: openai, api_key: sk-1", HOST "authorization: Bearer sk-1\r\n" ENCODING, "sk-1"},
        {H "dialect: anthropic, api_key: sk-1", HOST "x-api-key: sk-1\r\n" ENCODING, "sk-1"},
        {H "dialect: gemini, api_key: sk-1", HOST "x-goog-api-key: sk-1\r\n" ENCODING, "sk-1"},
        {H "dialect: openai, api_key: sk-1, auth: api-key", HOST "api-key: sk-1\r\n" ENCODING, "sk-1"},
        {H "dialect: anthropic, api_key: sk-1, auth: bearer", HOST "authorization: Bearer sk-1\r\n" ENCODING, "sk-1"},
        {H "dialect: openai, auth: none", HOST ENCODING, ""},
        {H "dialect: openai, api_key: k, headers: {OpenAI-Project: proj_1, X-B: \"two words\"}",
         HOST "authorization: Bearer k\r\nOpenAI-Project: proj_1\r\nX-B: two words\r\n" ENCODING, "k"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        compile(cases[i].members);
        if (!slice_equal(provider->fields, slice_of(cases[i].fields)))
            fail_msg("%s gives %.*s", cases[i].members, (int)provider->fields.n, provider->fields.p);
        assert_true(slice_equal(provider->secret, slice_of(cases[i].secret)));
        teardown(NULL);
    }
}

static void a_provider_knows_its_name_its_place_and_its_bounds(void **state) {
    (void)state;
    compile(H "dialect: gemini, api_key: k, max_connections: 7");
    assert_true(slice_equal(provider->name, SLICE("p")));
    assert_true(slice_equal(name_of(provider->name_id), SLICE("p")));
    assert_int_equal(provider->dialect, DIALECT_GEMINI);
    assert_int_equal(provider->origin->permits.max, 7);
    assert_null(provider->origin->tls);
}

static void it_serves_what_its_patterns_match(void **state) {
    (void)state;
    compile(H "dialect: openai, api_key: k, models: [\"gpt-*\", \"o*\", \"text\"]");
    assert_true(provider_serves(provider, SLICE("gpt-4o")));
    assert_true(provider_serves(provider, SLICE("o3")));
    assert_true(provider_serves(provider, SLICE("text")));
    assert_false(provider_serves(provider, SLICE("text-2")));
    assert_false(provider_serves(provider, SLICE("claude")));
    assert_false(provider_serves(provider, SLICE("")));
    teardown(NULL);
    compile(H "dialect: openai, api_key: k"); /* no patterns: only by alias or provider/model */
    assert_false(provider_serves(provider, SLICE("gpt-4o")));
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_missing_authority_file_is_told_at_its_place),
        TEST(base_urls_are_taken_apart),
        TEST(each_credential_travels_in_its_field),
        TEST(a_provider_knows_its_name_its_place_and_its_bounds),
        TEST(it_serves_what_its_patterns_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
