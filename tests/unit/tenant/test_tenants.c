/* Who may call and what they may use: keys by their digests, and each tenant's patterns. */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "facts/names.h"
#include "tenant/tenants.h"

static struct config *config;
static struct tenants *tenants;

static void compile(struct slice text) {
    struct conf_errors errors = {0};
    config = config_load_text("t", text, &errors, NULL);
    if (config == NULL) {
        struct buf messages = {0};
        conf_errors_write(&errors, &messages);
        fail_msg("%.*s", (int)buf_length(&messages), messages.data);
    }
    conf_errors_clear(&errors);
    tenants = tenants_compile(config);
}

static int teardown(void **state) {
    (void)state;
    tenants_free(tenants);
    config_free(config);
    tenants = NULL;
    config = NULL;
    return 0;
}

static void digest_append(struct buf *yaml, const char *key) {
    uint8_t digest[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES];
    digest_sha256(slice_of(key), digest);
    hex_encode(digest, sizeof digest, hex);
    buf_append(yaml, hex, sizeof hex);
}

/* <key> in the text stands for the digest of that key. */
static void compile_with_keys(const char *text) {
    struct buf yaml = {0};
    char key[64];
    for (const char *at = text; *at;) {
        int n = 0;
        if (sscanf(at, "<%63[^>]>%n", key, &n) == 1 && n > 0) {
            digest_append(&yaml, key);
            at += n;
        } else {
            buf_append(&yaml, at++, 1);
        }
    }
    compile(buf_slice(&yaml));
    buf_clear(&yaml);
}

static void two_tenants(void) {
    compile_with_keys("providers:\n"
                      "  one: {dialect: openai, base_url: \"http://127.0.0.1:9/v1\", auth: none}\n"
                      "  two: {dialect: openai, base_url: \"http://127.0.0.1:9/v1\", auth: none}\n"
                      "tenants:\n"
                      "  acme:\n"
                      "    keys:\n"
                      "      - {name: ci, sha256: <acme-key>}\n"
                      "      - {name: old, sha256: <old-key>, expires: 2031-01-02T00:00:00Z}\n"
                      "    models: [\"gpt-*\", \"fast\"]\n"
                      "    passthrough:\n"
                      "      - {provider: one, paths: [\"/v1/files/*\", \"/v1/files\"]}\n"
                      "      - {provider: one, paths: [\"/v1/batches*\"], methods: [GET, POST]}\n"
                      "  closed: {disabled: true, keys: [{sha256: <closed-key>, expires: 2031-01-02T00:00:00Z}]}\n"
                      "  free: {keys: [\"sha256:<free-key>\"]}\n");
}

enum { EXPIRES_S = 1925078400 }; /* 2031-01-02T00:00:00Z */

static enum failure find(const char *key_text, int64_t now_s, const struct tenant_key **key) {
    return tenants_find(tenants, slice_of(key_text), now_s, key);
}

static void what_is_no_key_is_unknown(void **state) {
    (void)state;
    const struct tenant_key *key;
    two_tenants();
    static const char *const wrong[] = {"", "x", "acme-key ", " acme-key", "Acme-key", "acme-ke", "acme-key1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        key = (const struct tenant_key *)(const void *)config;
        assert_int_equal(find(wrong[i], 0, &key), FAILURE_UNKNOWN_KEY);
        assert_null(key);
    }
    struct buf digest = {0}; /* the digest itself opens nothing */
    digest_append(&digest, "acme-key");
    assert_int_equal(tenants_find(tenants, buf_slice(&digest), 0, &key), FAILURE_UNKNOWN_KEY);
    assert_int_equal(tenants_find(tenants, SLICE("acme-key\0"), 0, &key), FAILURE_UNKNOWN_KEY);
    buf_clear(&digest);
}

static void a_key_expires_at_its_second(void **state) {
    (void)state;
    const struct tenant_key *key;
    two_tenants();
    assert_int_equal(find("old-key", 0, &key), FAILURE_NONE);
    assert_int_equal(key->expires_unix_s, EXPIRES_S);
    assert_int_equal(find("old-key", EXPIRES_S - 1, &key), FAILURE_NONE);
    assert_int_equal(find("old-key", EXPIRES_S, &key), FAILURE_EXPIRED_KEY);
    assert_non_null(key);
    assert_true(slice_equal(name_of(key->name_id), SLICE("old")));
    assert_int_equal(find("old-key", INT64_MAX, &key), FAILURE_EXPIRED_KEY);
    assert_int_equal(find("acme-key", INT64_MAX, &key), FAILURE_NONE); /* no date: never */
}

static void a_disabled_tenants_key_is_known_but_refused(void **state) {
    (void)state;
    const struct tenant_key *key;
    two_tenants();
    assert_int_equal(find("closed-key", 0, &key), FAILURE_TENANT_DISABLED);
    assert_true(slice_equal(key->tenant->name, SLICE("closed")));
    assert_int_equal(find("closed-key", EXPIRES_S + 1, &key), FAILURE_TENANT_DISABLED);
}

static void a_key_leads_to_its_tenant_and_its_name(void **state) {
    (void)state;
    const struct tenant_key *key;
    two_tenants();
    assert_null(tenants_open_to_all(tenants));
    assert_int_equal(find("acme-key", 0, &key), FAILURE_NONE);
    assert_true(slice_equal(key->tenant->name, SLICE("acme")));
    assert_true(slice_equal(name_of(key->tenant->name_id), SLICE("acme")));
    assert_true(slice_equal(name_of(key->name_id), SLICE("ci")));
    assert_int_equal(find("free-key", 0, &key), FAILURE_NONE);
    assert_true(slice_equal(key->tenant->name, SLICE("free")));
    assert_int_equal(name_of(key->name_id).n, 8); /* named by its digest's first digits */
}

/* ---- asking again on one connection ---- */

static enum failure find_again(struct key_memo *memo, const char *key_text, int64_t now_s,
                               const struct tenant_key **key) {
    return tenants_find_again(tenants, memo, slice_of(key_text), now_s, key);
}

static void a_memo_answers_as_the_table_does(void **state) {
    (void)state;
    static const char *const asked[] = {"acme-key", "acme-key", "acme-ke", "acme-key1",  "",
                                        "free-key", "acme-key", "old-key", "closed-key", "acme-key",
                                        "unknown",  "old-key",  "old-key"};
    struct key_memo memo = {0};
    two_tenants();
    for (int64_t now_s = EXPIRES_S - 1; now_s <= EXPIRES_S; now_s++) /* the memo of before must not outlive the date */
        for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
            const struct tenant_key *key, *again;
            enum failure f = find(asked[i], now_s, &key);
            assert_int_equal(find_again(&memo, asked[i], now_s, &again), f);
            assert_ptr_equal(again, key);
        }
}

static void a_memo_holds_no_key_that_is_too_long_and_is_wiped(void **state) {
    (void)state;
    struct key_memo memo = {0};
    const struct tenant_key *key;
    static const struct key_memo wiped;
    char length[2][KEY_MEMO_BYTES + 2];
    struct buf yaml = {0};
    buf_append_text(&yaml, "tenants: {a: {keys: [");
    for (int i = 0; i < 2; i++) {
        memset(length[i], 'k', sizeof length[i]);
        length[i][KEY_MEMO_BYTES + i] = '\0';
        buf_append_text(&yaml, i ? "\", \"sha256:" : "\"sha256:");
        digest_append(&yaml, length[i]);
    }
    buf_append_text(&yaml, "\"]}}\n");
    compile(buf_slice(&yaml));
    buf_clear(&yaml);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++) assert_int_equal(find_again(&memo, length[i], 0, &key), FAILURE_NONE);
    assert_int_equal(memo.length, KEY_MEMO_BYTES);
    key_memo_clear(&memo);
    assert_memory_equal(&memo, &wiped, sizeof memo);
    assert_int_equal(find_again(&memo, "", 0, &key), FAILURE_UNKNOWN_KEY); /* an empty memo knows no empty key */
}

static void a_memo_of_other_tenants_does_not_count(void **state) {
    (void)state;
    struct key_memo memo = {0};
    const struct tenant_key *key;
    two_tenants();
    assert_int_equal(find_again(&memo, "free-key", 0, &key), FAILURE_NONE);
    struct tenants *before = tenants;
    struct config *config_before = config;
    compile_with_keys("tenants: {free: {disabled: true, keys: [\"sha256:<free-key>\"]}}\n");
    assert_int_equal(find_again(&memo, "free-key", 0, &key), FAILURE_TENANT_DISABLED);
    tenants_free(before);
    config_free(config_before);
}

static void each_of_many_keys_is_found(void **state) {
    (void)state;
    enum { KEYS = 700 };
    struct buf yaml = {0};
    char text[32];
    buf_append_text(&yaml, "tenants:\n");
    for (int i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "key-%d", i);
        if (i % 7 == 0) buf_printf(&yaml, "  t%d:\n    keys:\n", i); /* has this key and the six after it */
        buf_append_text(&yaml, "      - \"sha256:");
        digest_append(&yaml, text);
        buf_append_text(&yaml, "\"\n");
    }
    compile(buf_slice(&yaml));
    buf_clear(&yaml);
    for (int i = 0; i < KEYS; i++) {
        const struct tenant_key *key;
        char tenant[32];
        snprintf(text, sizeof text, "key-%d", i);
        snprintf(tenant, sizeof tenant, "t%d", i - i % 7);
        assert_int_equal(find(text, 0, &key), FAILURE_NONE);
        assert_true(slice_equal(key->tenant->name, slice_of(tenant)));
        snprintf(text, sizeof text, "key-%d", KEYS + i);
        assert_int_equal(find(text, 0, &key), FAILURE_UNKNOWN_KEY);
    }
}

static void without_tenants_everybody_is_the_default_one(void **state) {
    (void)state;
    compile(SLICE("workers: 1\n"));
    const struct tenant *everybody = tenants_open_to_all(tenants);
    const struct tenant_key *key;
    assert_non_null(everybody);
    assert_true(slice_equal(everybody->name, SLICE("default")));
    assert_true(slice_equal(name_of(everybody->name_id), SLICE("default")));
    assert_true(tenant_may_use(everybody, SLICE("anything")));
    assert_false(tenant_may_pass(everybody, SLICE("one"), SLICE("GET"), SLICE("/v1/files")));
    assert_int_equal(find("any", 0, &key), FAILURE_UNKNOWN_KEY);
}

static const struct tenant *tenant_of(const char *key_text) {
    const struct tenant_key *key;
    assert_int_equal(find(key_text, 0, &key), FAILURE_NONE);
    return key->tenant;
}

static void models_are_what_the_patterns_say(void **state) {
    (void)state;
    two_tenants();
    const struct tenant *acme = tenant_of("acme-key"), *free_one = tenant_of("free-key");
    assert_true(tenant_may_use(acme, SLICE("gpt-4o")));
    assert_true(tenant_may_use(acme, SLICE("gpt-")));
    assert_true(tenant_may_use(acme, SLICE("fast")));
    assert_false(tenant_may_use(acme, SLICE("faster")));
    assert_false(tenant_may_use(acme, SLICE("GPT-4o")));
    assert_false(tenant_may_use(acme, SLICE("openai/gpt-4o"))); /* the name as it was asked for */
    assert_false(tenant_may_use(acme, SLICE("")));
    assert_true(tenant_may_use(free_one, SLICE("claude-opus")));
}

static void defaults_bind_tenants_that_say_nothing_and_the_default_one(void **state) {
    (void)state;
    compile_with_keys("tenant_defaults: {models: [\"small-*\"]}\n"
                      "tenants: {a: {keys: [\"sha256:<a>\"]}, b: {keys: [\"sha256:<b>\"], models: [\"big\"]}}\n");
    assert_true(tenant_may_use(tenant_of("a"), SLICE("small-1")));
    assert_false(tenant_may_use(tenant_of("a"), SLICE("big")));
    assert_true(tenant_may_use(tenant_of("b"), SLICE("big")));
    assert_false(tenant_may_use(tenant_of("b"), SLICE("small-1")));
    teardown(NULL);
    compile(SLICE("tenant_defaults: {models: [\"small-*\"]}\n"));
    assert_true(tenant_may_use(tenants_open_to_all(tenants), SLICE("small-1")));
    assert_false(tenant_may_use(tenants_open_to_all(tenants), SLICE("big")));
}

static void pass_through_needs_a_rule_with_all_three(void **state) {
    (void)state;
    two_tenants();
    static const struct {
        const char *provider, *method, *path;
        bool allowed;
    } cases[] = {
        {"one", "GET", "/v1/files", true},     {"one", "GET", "/v1/files/abc/content", true},
        {"one", "POST", "/v1/files", false},   {"one", "HEAD", "/v1/files", false},
        {"one", "GET", "/v1/file", false},     {"one", "GET", "/v1/filesystem", false},
        {"one", "POST", "/v1/batches", true},  {"one", "DELETE", "/v1/batches/1", false},
        {"two", "GET", "/v1/files", false},    {"One", "GET", "/v1/files", false},
        {"one", "get", "/v1/files", false},    {"one", "GET", "", false},
        {"one", "GET", "/x/v1/files/", false}, {"", "GET", "/v1/files", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (tenant_may_pass(tenant_of("acme-key"), slice_of(cases[i].provider), slice_of(cases[i].method),
                            slice_of(cases[i].path)) != cases[i].allowed)
            fail_msg("%s %s %s", cases[i].provider, cases[i].method, cases[i].path);
    assert_false(tenant_may_pass(tenant_of("free-key"), SLICE("one"), SLICE("GET"), SLICE("/v1/files")));
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_key_is_unknown),
        TEST(a_key_expires_at_its_second),
        TEST(a_disabled_tenants_key_is_known_but_refused),
        TEST(a_key_leads_to_its_tenant_and_its_name),
        TEST(a_memo_answers_as_the_table_does),
        TEST(a_memo_holds_no_key_that_is_too_long_and_is_wiped),
        TEST(a_memo_of_other_tenants_does_not_count),
        TEST(each_of_many_keys_is_found),
        TEST(without_tenants_everybody_is_the_default_one),
        TEST(models_are_what_the_patterns_say),
        TEST(defaults_bind_tenants_that_say_nothing_and_the_default_one),
        TEST(pass_through_needs_a_rule_with_all_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
