/* What a good configuration becomes: values, defaults, inheritance, and what is shown of it. */
#include "loading.h"

#include "base/clock.h"

static struct loading load_fine(const char *text) {
    struct loading l = load(text);
    if (l.config == NULL) fail_msg("%s\n-- refused:\n%s", text, l.messages);
    return l;
}

static void expect_text(struct slice s, const char *expected) {
    if (s.p == NULL || strcmp(s.p, expected) != 0) fail_msg("<%s> instead of <%s>", s.p ? s.p : "(none)", expected);
    assert_int_equal(s.n, strlen(expected));
}

static void expect_line(const struct loading *l, const char *line) {
    if (strstr(l->printed, line) == NULL) fail_msg("no line <%s> in\n%s", line, l->printed);
}

static void an_empty_file_means_the_defaults(void **state) {
    (void)state;
    struct config *c = config_default();
    assert_non_null(c);
    assert_int_equal(c->listen.count, 1);
    expect_text(c->listen.items[0].address.host, "127.0.0.1");
    expect_text(c->listen.items[0].address.port, "8080");
    assert_true(c->listen.items[0].address.loopback);
    expect_text(c->admin.address.text, "127.0.0.1:9347");
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->providers.count + c->models.count + c->tenants.count + c->workloads.count, 0);
    assert_int_equal(c->http.uri_bytes, 8192);
    assert_int_equal(c->http.body_bytes, 32 << 20);
    assert_int_equal(c->http.buffered_bytes, 1 << 30);
    assert_int_equal(c->http.keepalive_ns, 75 * NS_PER_S);
    assert_int_equal(c->http.body_rate_bytes_per_s, 1024);
    assert_int_equal(c->http.half_close, CONFIG_HALF_CLOSE_CANCEL);
    assert_int_equal(c->log.access, CONFIG_ACCESS_STDOUT);
    assert_int_equal(c->log.level, LOG_LEVEL_INFO);
    assert_int_equal(c->state.backend, CONFIG_BACKEND_MEMORY);
    assert_null(c->otlp.receive.address.text.p);
    assert_null(c->prices.text.p);
    assert_non_null(c->instance.name.text.p);
    config_free(c);
}

static void a_provider_has_its_values_and_the_defaults_of_the_rest(void **state) {
    (void)state;
    struct loading l =
        load_fine("providers:\n"
                  "  openai: {dialect: openai, base_url: \"https://api.openai.com/v1//\", api_key: k1,\n"
                  "    models: [\"gpt-*\", o1], headers: {OpenAI-Project: proj_1},\n"
                  "    timeouts: {total: off, idle: 250ms}, usage: never, trusted: on}\n"
                  "  claude: {dialect: anthropic, base_url: \"https://api.anthropic.com\", api_key: k2}\n"
                  "  gem: {dialect: gemini, base_url: \"https://g\", api_key: k3, auth: bearer}\n");
    assert_int_equal(l.config->providers.count, 3);
    const struct config_provider *p = l.config->providers.items;
    expect_text(p[0].name.text, "openai");
    expect_text(p[0].base_url.text, "https://api.openai.com/v1");
    expect_text(p[0].api_key.text, "k1");
    assert_int_equal(p[0].models.count, 2);
    expect_text(p[0].models.items[1].text, "o1");
    assert_int_equal(p[0].models.items[1].at.line, 3);
    assert_int_equal(p[0].models.items[1].at.column, 23);
    expect_text(p[0].headers.items[0].name.text, "OpenAI-Project");
    expect_text(p[0].headers.items[0].value.text, "proj_1");
    assert_int_equal(p[0].timeouts.connect_ns, 5 * NS_PER_S);
    assert_true(p[0].timeouts.first_token_ns == CONF_NEVER && p[0].timeouts.total_ns == CONF_NEVER);
    assert_int_equal(p[0].timeouts.idle_ns, 250 * NS_PER_MS);
    assert_int_equal(p[0].usage, CONFIG_USAGE_NEVER);
    assert_true(p[0].trusted && p[0].tls.verify);
    assert_int_equal(p[0].max_connections, 10000);
    assert_int_equal(p[0].auth, AUTH_BEARER);
    assert_int_equal(p[1].auth, AUTH_X_API_KEY);
    assert_int_equal(p[2].auth, AUTH_BEARER);
    assert_int_equal(p[2].dialect, DIALECT_GEMINI);
    loading_end(&l);
}

static void tenants_inherit_what_they_do_not_set(void **state) {
    (void)state;
    struct loading l =
        load_fine("tenant_defaults: {models: [\"gpt-*\"], limits: {requests_per_minute: 600, usd_per_day: 2.5},\n"
                  "                  queue: {wait: 2s, size: 9}}\n"
                  "tenants:\n"
                  "  a: {keys: [\"sha256:" DIGEST_A "\"]}\n"
                  "  b: {keys: [{name: ci, sha256: " DIGEST_B ", expires: 2100-03-01}], models: [x],\n"
                  "      limits: {requests_per_minute: 5, tokens_per_minute: 200k,\n"
                  "               models: {fast: {requests_per_minute: 1}}}, queue: {wait: 0s, size: 0},\n"
                  "      tags: {plan: gold}}\n");
    const struct config_tenant *a = &l.config->tenants.items[0], *b = &l.config->tenants.items[1];
    assert_int_equal(a->limits.limit.requests_per_minute, 600);
    assert_int_equal(a->limits.limit.pico_usd_per_day, 2500000000000);
    assert_int_equal(a->limits.limit.tokens_per_minute, CONF_UNLIMITED);
    expect_text(a->models.items[0].text, "gpt-*");
    assert_int_equal(a->queue.wait_ns, 2 * NS_PER_S);
    assert_int_equal(a->queue.size, 9);
    expect_text(a->keys.items[0].name.text, "9f86d081");
    assert_int_equal(a->keys.items[0].digest[0], 0x9f);
    assert_int_equal(a->keys.items[0].digest[31], 0x08);
    assert_int_equal(a->keys.items[0].expires_unix_s, 0);
    assert_int_equal(b->limits.limit.requests_per_minute, 5);
    assert_int_equal(b->limits.limit.tokens_per_minute, 200000);
    assert_int_equal(b->limits.limit.pico_usd_per_day, 2500000000000);
    assert_int_equal(b->limits.models.items[0].limit.requests_per_minute, 1);
    expect_text(b->models.items[0].text, "x");
    assert_int_equal(b->queue.wait_ns, 0);
    assert_int_equal(b->queue.size, 0);
    expect_text(b->keys.items[0].name.text, "ci");
    assert_int_equal(b->keys.items[0].expires_unix_s, 4107542400);
    expect_text(b->tags.items[0].value.text, "gold");
    loading_end(&l);
}

static void targets_and_rules_point_at_their_providers(void **state) {
    (void)state;
    struct loading l =
        load_fine("models: {m: {targets: [{provider: q, model: \"llama3:8b\", weight: 3}, {provider: p, model: y}]}}\n"
                  "tenants: {t: {keys: [\"" DIGEST_A "\"],\n"
                  "  passthrough: [{provider: q, paths: [\"/v1/files/*\"]}]}}\n"
                  "providers:\n"
                  "  p: {dialect: openai, auth: none, base_url: \"https://h/v1\"}\n"
                  "  q: {dialect: openai, auth: none, base_url: \"https://h/v1\"}\n");
    const struct config_model *m = &l.config->models.items[0];
    assert_int_equal(m->targets.items[0].provider_index, 1);
    assert_int_equal(m->targets.items[0].weight, 3);
    expect_text(m->targets.items[0].model.text, "llama3:8b");
    assert_int_equal(m->targets.items[1].provider_index, 0);
    assert_int_equal(m->targets.items[1].weight, 1);
    assert_int_equal(m->retry.attempts, 1);
    assert_int_equal(m->retry.when.count, 8);
    expect_text(m->retry.when.items[0].text, "429");
    const struct config_passthrough *rule = &l.config->tenants.items[0].passthrough.items[0];
    assert_int_equal(rule->provider_index, 1);
    assert_int_equal(rule->methods.count, 1);
    expect_text(rule->methods.items[0].text, "GET");
    loading_end(&l);
}

static void an_address_is_taken_apart(void **state) {
    (void)state;
    struct loading l = load_fine("listen: [\"[::1]:65535\", \"LocalHost:0\"]\n");
    const struct conf_address *a = &l.config->listen.items[0].address, *b = &l.config->listen.items[1].address;
    expect_text(a->host, "::1");
    expect_text(a->port, "65535");
    assert_int_equal(a->port_number, 65535);
    assert_true(a->loopback && b->loopback);
    expect_text(b->host, "LocalHost");
    assert_int_equal(b->port_number, 0);
    loading_end(&l);
}

static void variables_are_replaced_once_and_only_as_text(void **state) {
    (void)state;
    unsetenv("CONF_TEST_UNSET");
    setenv("CONF_TEST_A", "x: {y: ${CONF_TEST_B}}", 1);
    setenv("CONF_TEST_B", "info", 1);
    struct loading l = load_fine("prices: ${CONF_TEST_A}\n"
                                 "log: {level: \"${CONF_TEST_B}\", access: \"/a-${CONF_TEST_UNSET:-b}-$${c}-$d-$\"}\n");
    expect_text(l.config->prices.text, "x: {y: ${CONF_TEST_B}}");
    assert_int_equal(l.config->log.level, LOG_LEVEL_INFO);
    assert_int_equal(l.config->log.access, CONFIG_ACCESS_FILE);
    expect_text(l.config->log.access_file.text, "/a-b-${c}-$d-$");
    expect_line(&l, "log.level: info (from ${CONF_TEST_B})  # t:2:14\n");
    loading_end(&l);
}

static void crlf_byte_order_mark_and_no_last_line_end_are_fine(void **state) {
    (void)state;
    struct loading l = load_fine("\xef\xbb\xbflog:\r\n  level: warn\r\n  access: none");
    assert_int_equal(l.config->log.level, LOG_LEVEL_WARN);
    assert_int_equal(l.config->log.access, CONFIG_ACCESS_NONE);
    expect_line(&l, "log.level: warn  # t:2:10\n");
    loading_end(&l);
}

static void sections_without_entries_count_as_not_given(void **state) {
    (void)state;
    struct loading l = load_fine("tenants:\nproviders:\nmodels: {}\nhttp:\nlisten:\nlog: ~\n");
    assert_string_equal(l.messages, "");
    assert_int_equal(l.config->tenants.count, 0);
    assert_int_equal(l.config->http.headers, 100);
    loading_end(&l);
}

static void print_shows_every_value_and_its_place(void **state) {
    (void)state;
    struct loading l = load_fine("http: {drain: 5s}\nproviders:\n  p: {dialect: openai, auth: none, base_url: "
                                 "\"https://h/v1\", models: [a, b]}\n");
    expect_line(&l, "http.drain: 5s  # t:1:15\n");
    expect_line(&l, "http.keepalive: 75s  # default\n");
    expect_line(&l, "listen[0].address: 127.0.0.1:8080  # default\n");
    expect_line(&l, "providers.p.models: [a, b]  # t:3:70\n");
    expect_line(&l, "providers.p.tls.ca: (the system's)  # default\n");
    expect_line(&l, "tenants: (none: loopback only, no key needed)  # default\n");
    loading_end(&l);
}

/* The same with every secret's row in error, too: neither the values in effect nor the messages may contain one. */
static void secrets_are_never_shown(void **state) {
    (void)state;
    setenv("CONF_TEST_SECRET", "tops3cret-from-the-environment", 1);
    static const char *const texts[] = {
        "admin: {token: tops3cret-0123456789}\n",
        PROVIDER("-tops3cret, headers: {x-secret: tops3cret}"),
        "providers: {p: {dialect: openai, base_url: \"https://h/v1\", api_key: \"${CONF_TEST_SECRET}\"}}\n",
        "providers: {p: {dialect: openai, base_url: \"https://h/v1\", api_key: \"tops3cret with space\"}}\n",
        "providers: {p: {dialect: openai, base_url: \"https://u:tops3cret@h/v1\", api_key: k}}\n",
        "providers: {p: {dialect: tops3cret, base_url: tops3cret, auth: tops3cret, api_key: k, usage: tops3cret,\n"
        "  trusted: tops3cret, max_connections: tops3cret, timeouts: {idle: tops3cret}}}\n",
        "providers: {p: {dialect: openai, base_url: \"${CONF_TEST_SECRET}\", api_key: k}}\n",
        "state: {redis: {url: \"redis://u:tops3cret@h\"}}\n",
        "state: {redis: {url: \"http://u:tops3cret@h\"}}\n",
        "otlp: {export: [{endpoint: \"http://h\", headers: {authorization: tops3cret}}]}\n",
        "tenants: {a: {keys: [tops3cret, {sha256: tops3cret, expires: tops3cret}]}}\n",
        "listen: [\"tops3cret\"]\nworkers: tops3cret\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct loading l = load(texts[i]);
        if (strstr(l.messages, "tops3cret")) fail_msg("%s-- told in:\n%s", texts[i], l.messages);
        if (strstr(l.printed, "tops3cret")) fail_msg("%s-- shown in:\n%s", texts[i], l.printed);
        loading_end(&l);
    }
    struct loading l = load_fine(texts[2]);
    expect_text(l.config->providers.items[0].api_key.text, "tops3cret-from-the-environment");
    expect_line(&l, "providers.p.api_key: (from ${CONF_TEST_SECRET})  # t:1:69\n");
    loading_end(&l);
    l = load_fine(texts[0]);
    expect_line(&l, "admin.token: •••  # t:1:16\n");
    loading_end(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_means_the_defaults),
        cmocka_unit_test(a_provider_has_its_values_and_the_defaults_of_the_rest),
        cmocka_unit_test(tenants_inherit_what_they_do_not_set),
        cmocka_unit_test(targets_and_rules_point_at_their_providers),
        cmocka_unit_test(an_address_is_taken_apart),
        cmocka_unit_test(variables_are_replaced_once_and_only_as_text),
        cmocka_unit_test(crlf_byte_order_mark_and_no_last_line_end_are_fine),
        cmocka_unit_test(sections_without_entries_count_as_not_given),
        cmocka_unit_test(print_shows_every_value_and_its_place),
        cmocka_unit_test(secrets_are_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
