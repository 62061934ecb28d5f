/* What no single value can tell: who may reach what, references, circles, keys that two tenants share. */
#include "loading.h"

#define NOT_BUILT(key) "warning: `" key "` is not built yet: it is checked, but has no effect in this version\n"
#define TENANT "tenants: {a: {keys: [\"sha256:" DIGEST_A "\"]}}\n"

static void plain_http_off_loopback_must_be_meant(void **state) {
    (void)state;
    expect_messages(TENANT "listen:\n  - address: 0.0.0.0:8080\n",
                    "t:3:14: plain HTTP on an address that is not loopback: add `tls`, or `insecure: true` if it is "
                    "meant\n");
    expect_messages(TENANT "listen:\n  - {address: \"0.0.0.0:8080\", insecure: true}\n", "");
    expect_messages(TENANT "listen:\n  - {address: \"0.0.0.0:8443\", tls: {certificate: c, key: k}}\n", "");
    expect_messages("listen: [\"127.9.9.9:1\", \"[::1]:2\", \"localhost:3\"]\n", "");
}

static void without_tenants_only_loopback_is_open(void **state) {
    (void)state;
    const char *told = "t:1:20: without tenants only loopback addresses are allowed: anyone could spend the providers' "
                       "keys\n";
    expect_messages("listen: [{address: \"0.0.0.0:8443\", tls: {certificate: c, key: k}}]\n", told);
    expect_messages("listen: [{address: \"[::]:80\", insecure: on}]\n", told);
    expect_messages("tenants:\nlisten: [{address: \"10.0.0.1:80\", insecure: on}]\n",
                    "t:2:20: without tenants only loopback addresses are allowed: anyone could spend the providers' "
                    "keys\n");
}

static void tls_needs_both_files(void **state) {
    (void)state;
    expect_messages("listen: [{address: \"127.0.0.1:1\", tls: {key: k}}]\n",
                    "t:1:46: `certificate` is missing beside `key`\n");
    expect_messages("listen: [{address: \"127.0.0.1:1\", tls: {certificate: c}}]\n",
                    "t:1:54: `key` is missing beside `certificate`\n");
}

static void an_open_admin_port_needs_a_token(void **state) {
    (void)state;
    expect_messages("admin:\n  address: 0.0.0.0:9347\n",
                    "t:2:12: an admin address that is not loopback needs `admin.token`\n");
    expect_messages("admin:\n  address: 0.0.0.0:9347\n  token: 0123456789abcdef\n", "");
    expect_messages("admin: {token: short}\n", "t:1:16: warning: a token of fewer than 16 characters can be guessed\n");
    expect_messages(
        "otlp: {receive: {address: \"0.0.0.0:4318\"}}\n",
        "t:1:8: " NOT_BUILT(
            "receive") "t:1:27: an OTLP address that is not loopback needs tenants, whose keys it asks for\n");
}

static void exporters_are_checked(void **state) {
    (void)state;
    expect_messages("otlp: {export: [{endpoint: \"http://127.0.0.1:1\", headers: {Host: a, x-a: b, X-A: c}}]}\n",
                    "t:1:60: the header `Host` is written by weir itself\n"
                    "t:1:77: the header `X-A` is given twice\n");
    expect_messages("otlp: {export: [{endpoint: \"http://127.0.0.1:1\", signals: [logs, traces, logs]}]}\n",
                    "t:1:74: the signal `logs` is given twice\n");
    expect_messages("otlp: {export: [{endpoint: \"http://there\", headers: {x-a: b}}]}\n",
                    "t:1:28: warning: `headers` travel unencrypted (http://)\n");
    expect_messages("otlp: {export: [{endpoint: \"https://there\", tls: {verify: false}}]}\n",
                    "t:1:28: warning: `tls.verify` is off: whoever answers gets what is exported\n");
    expect_messages("otlp: {export: [{endpoint: \"http://there?x\"}, {endpoint: \"http://a\", signals: [spans]}]}\n",
                    "t:1:28: a URL here must not have a query (?)\n"
                    "t:1:80: the item is not a known signal; known words: traces metrics logs\n");
}

static void no_address_is_taken_twice(void **state) {
    (void)state;
    expect_messages("listen: [\"127.0.0.1:80\", \"127.0.0.1:80\"]\n",
                    "t:1:26: 127.0.0.1:80 is taken by `listen` already\n");
    expect_messages("listen: [\"127.0.0.1:9347\"]\n", "t:1:10: 127.0.0.1:9347 is taken by `listen` already\n");
    expect_messages("listen: [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nadmin: {address: \"127.0.0.1:0\"}\n", "");
}

static void an_address_must_be_one(void **state) {
    (void)state;
    static const struct {
        const char *address, *told;
    } rows[] = {
        {"8080", "expected HOST:PORT, such as 127.0.0.1:8080 or \"[::1]:8080\""},
        {"127.0.0.1:", "expected HOST:PORT, such as 127.0.0.1:8080 or \"[::1]:8080\""},
        {"[::1]8080", "expected HOST:PORT, such as 127.0.0.1:8080 or \"[::1]:8080\""},
        {":8080", "the host is missing"},
        {"::1:8080", "put an IPv6 address in brackets: \"[::1]:8080\""},
        {"[127.0.0.1]:80", "expected an IPv6 address between [ and ]"},
        {"127.0.0.1:65536", "the port must be from 0 (the system picks one) to 65535"},
        {"127.0.0.1:+80", "the port must be from 0 (the system picks one) to 65535"},
        {"127.0.0.1:http", "the port must be from 0 (the system picks one) to 65535"},
        {"999.1.1.1:80", "expected an IPv4 address, an IPv6 address in brackets, or a host's name"},
        {"*:80", "expected an IPv4 address, an IPv6 address in brackets, or a host's name"},
        {"http://h:80", "put an IPv6 address in brackets: \"[::1]:8080\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128], told[256];
        snprintf(text, sizeof text, "listen: [\"%s\"]\n", rows[i].address);
        snprintf(told, sizeof told, "t:1:10: %s\n", rows[i].told);
        expect_messages(text, told);
    }
}

static void a_base_url_must_be_a_plain_one(void **state) {
    (void)state;
    static const struct {
        const char *url, *told;
    } rows[] = {
        {"ftp://h/v1", "expected a URL that begins with http:// or https://"},
        {"HTTPS://h/v1", "expected a URL that begins with http:// or https://"},
        {"api.openai.com/v1", "expected a URL that begins with http:// or https://"},
        {"https://user:secret@h/v1", "a URL here must not contain a user name or password"},
        {"https://h@evil/v1", "a URL here must not contain a user name or password"},
        {"https://h/v1?key=1", "a URL here must not have a query (?)"},
        {"https://h/v1#x", "a URL here must not have a fragment (#)"},
        {"https:///v1", "the host is missing"},
        {"https://h:0/v1", "the URL's port must be from 1 to 65535"},
        {"https://h:65536/v1", "the URL's port must be from 1 to 65535"},
        {"https://h:/v1", "the URL's port must be from 1 to 65535"},
        {"https://[::1/v1", "the URL's host is malformed"},
        {"https://h/v 1", "a URL here consists of printable ASCII without spaces, quotes or backslashes"},
        {"https://h/\xc3\xa4", "a URL here consists of printable ASCII without spaces, quotes or backslashes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256], told[256];
        snprintf(text, sizeof text, "providers: {p: {dialect: openai, api_key: k, base_url: \"%s\"}}\n", rows[i].url);
        snprintf(told, sizeof told, "t:1:56: %s\n", rows[i].told);
        expect_messages(text, told);
    }
}

static void a_base_url_that_does_not_fit_its_dialect_is_warned_about(void **state) {
    (void)state;
    expect_messages("providers: {p: {dialect: openai, api_key: k, base_url: \"https://h/\"}}\n",
                    "t:1:56: warning: a base_url of the openai dialect usually ends in /v1\n");
    expect_messages("providers: {p: {dialect: gemini, api_key: k, base_url: \"https://h/v1beta/\"}}\n",
                    "t:1:56: warning: a base_url of the gemini dialect usually has no version at its end\n");
    expect_messages("providers: {p: {dialect: openai, api_key: k, base_url: \"http://h/v1\"}}\n",
                    "t:1:56: warning: the provider's key travels unencrypted (http://)\n");
    expect_messages("providers: {p: {dialect: openai, auth: none, base_url: \"http://h/v1\"}}\n", "");
    expect_messages("providers: {p: {dialect: openai, api_key: k, base_url: \"http://127.0.0.1:1/v1\"}}\n", "");
    expect_messages(PROVIDER(", tls: {verify: off}"),
                    "t:1:44: warning: `tls.verify` is off: whoever answers gets the key\n");
}

static void the_first_parts_of_own_paths_are_reserved(void **state) {
    (void)state;
    static const char *const names[] = {"v1", "v1beta", "weir", "healthz", "readyz", "V1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[128], told[128];
        snprintf(text, sizeof text, "providers: {%s: {dialect: openai, auth: none, base_url: \"https://h/v1\"}}\n",
                 names[i]);
        snprintf(told, sizeof told, "t:1:13: `%s` is reserved: paths of weir's own begin with it\n", names[i]);
        expect_messages(text, told);
    }
    expect_messages("providers: {a/b: {}}\n", "t:1:13: the name is not a name: letters, digits, `.`, `_` and `-`, a "
                                              "letter or digit first, at most 64\n");
}

static void headers_that_weir_writes_are_refused(void **state) {
    (void)state;
    expect_messages(PROVIDER(", headers: {Host: a}"), "t:1:82: the header `Host` is written by weir itself\n");
    expect_messages(PROVIDER(", headers: {authorization: a}"),
                    "t:1:82: the header `authorization` carries `api_key`: set that, or `auth: none`\n");
    expect_messages(PROVIDER(", headers: {x-a: a, X-A: b}"), "t:1:90: the header `X-A` is given twice\n");
    expect_messages(PROVIDER(", headers: {\"a b\": c}"), "t:1:82: the name is not a header's name\n");
    expect_messages(PROVIDER(", headers: {a: \"b\\r\\nc: d\"}"), "t:1:85: the value contains a line end\n");
    expect_messages(PROVIDER(", auth: none"), "t:1:69: `api_key` is never sent, because `auth` is none\n");
}

static void references_must_exist(void **state) {
    (void)state;
    expect_messages("models: {m: {targets: [{provider: p, model: x}]}}\n",
                    "t:1:35: unknown provider `p`: none is configured\n");
    expect_messages("providers: {openai: {dialect: openai, auth: none, base_url: \"https://h/v1\"}}\n"
                    "models: {m: {targets: [{provider: opanai, model: x}]}}\n"
                    "tenants: {a: {keys: [\"" DIGEST_A "\"],\n"
                    "  passthrough: [{provider: openi, paths: [/v1/files]}]}}\n",
                    "t:2:35: unknown provider `opanai`, did you mean `openai`?\n"
                    "t:4:28: unknown provider `openi`, did you mean `openai`?\n");
    expect_messages(PROVIDER("") "models:\n  fast: {targets: [{provider: p, model: x}], fallback: [fats]}\n",
                    "t:3:57: unknown alias `fats`, did you mean `fast`?\n");
}

static void fallbacks_must_end_somewhere(void **state) {
    (void)state;
#define ALIAS(name, fallback) "  " name ": {targets: [{provider: p, model: x}], fallback: [" fallback "]}\n"
    expect_messages(PROVIDER("") "models:\n" ALIAS("a", "a"),
                    "t:3:54: the fallback of `a` leads back to it: `a` is in a circle\n");
    expect_messages(PROVIDER("") "models:\n" ALIAS("a", "b") ALIAS("b", "c") ALIAS("c", "a"),
                    "t:5:54: the fallback of `a` leads back to it: `c` is in a circle\n");
    expect_messages(PROVIDER("") "models:\n" ALIAS("a", "b, c") ALIAS("b", "d") ALIAS("c", "d") ALIAS("d", ""), "");
}

static void what_asking_again_does_not_change_is_no_cause_to(void **state) {
    (void)state;
    expect_messages(PROVIDER("") "models:\n"
                                 "  a: {targets: [{provider: p, model: x}], retry: {when: [429, 500, 599, reset]}}\n"
                                 "  b: {targets: [{provider: p, model: x}], retry: {when: [400, 200, timeout]}}\n",
                    "t:4:58: the item is not 429 or a status from 500 to 599 (asking again does not change others); "
                    "known words: connect first_token reset\n"
                    "t:4:63: the item is not 429 or a status from 500 to 599 (asking again does not change others); "
                    "known words: connect first_token reset\n"
                    "t:4:68: the item is not 429 or a status from 500 to 599 (asking again does not change others); "
                    "known words: connect first_token reset\n");
}

static void a_hedge_says_when(void **state) {
    (void)state;
    expect_messages(PROVIDER("") "models:\n"
                                 "  a: {targets: [{provider: p, model: x}], hedge: {after: p95, budget: 100%}}\n"
                                 "  b: {targets: [{provider: p, model: x}], hedge: {after: 800ms}}\n"
                                 "  c: {targets: [{provider: p, model: x}], hedge: {budget: 3%}}\n"
                                 "  d: {targets: [{provider: p, model: x}], hedge: {after: p99, budget: 0%}}\n"
                                 "  e: {targets: [{provider: p, model: x}], hedge: {after: off, budget: 5}}\n",
                    "t:5:43: `after` is missing: a time such as 800ms, or p95\n"
                    "t:6:58: expected a duration, such as 250ms, 30s, 5m, 12h or 30d, or p95\n"
                    "t:6:71: out of range: from 1% to 100%\n"
                    "t:7:58: expected a duration, such as 250ms, 30s, 5m, 12h or 30d, or p95\n"
                    "t:7:71: expected a share, such as 5%\n");
}

static void a_long_chain_of_fallbacks_needs_no_stack(void **state) {
    (void)state;
    struct buf text = {0};
    buf_append_text(&text, PROVIDER("") "models:\n");
    for (int i = 0; i < 9999; i++)
        buf_printf(&text, "  m%d: {targets: [{provider: p, model: x}], fallback: [m%d]}\n", i, (i + 1) % 9999);
    struct loading l = load_slice(buf_slice(&text));
    assert_int_equal(l.error_count, 1);
    assert_non_null(strstr(l.messages, "the fallback of `m0` leads back to it: `m9998` is in a circle"));
    loading_end(&l);
    buf_clear(&text);
}

static void an_alias_nobody_can_use_is_refused(void **state) {
    (void)state;
#define TARGETS "targets: [{provider: p, model: x}]"
    expect_messages(PROVIDER("") "models:\n  fast: {" TARGETS "}\n"
                                 "tenants: {a: {models: [\"gpt-*\"], keys: [\"" DIGEST_A "\"]}}\n",
                    "t:3:3: nobody can use the alias `fast`: no enabled tenant's `models` allow it\n");
    expect_messages(PROVIDER("") "models:\n  fast: {" TARGETS "}\n"
                                 "tenants: {a: {disabled: on, keys: [\"" DIGEST_A "\"]}}\n",
                    "t:3:3: nobody can use the alias `fast`: no enabled tenant's `models` allow it\n");
    expect_messages(PROVIDER("") "models:\n  gpt-5: {" TARGETS "}\n"
                                 "tenants: {a: {models: [\"gpt-*\"], keys: [\"" DIGEST_A "\"]}}\n",
                    "");
    expect_messages(PROVIDER("") "models:\n  fast: {" TARGETS ", fallback: [slow]}\n  slow: {" TARGETS "}\n"
                                 "tenants: {a: {models: [fast], keys: [\"" DIGEST_A "\"]}}\n",
                    "");
    expect_messages("providers:\n"
                    "  o: {dialect: openai, auth: none, base_url: \"https://h/v1\"}\n"
                    "  g: {dialect: gemini, auth: none, base_url: \"https://h\"}\n"
                    "models:\n"
                    "  a: {targets: [{provider: o, model: x}], fallback: [b]}\n"
                    "  b: {targets: [{provider: g, model: x}]}\n",
                    "t:5:54: warning: `b` is never reached: it has no target of the dialect of `a`\n");
}

static void no_two_tenants_share_a_key(void **state) {
    (void)state;
    expect_messages("tenants:\n  a: {keys: [\"sha256:" DIGEST_A "\"]}\n  b: {keys: [{sha256: \"" DIGEST_A "\"}]}\n",
                    "t:3:14: the same key stands in t:2:14 already\n");
    expect_messages("tenants:\n  a: {keys: [{name: x, sha256: \"" DIGEST_A "\"}, {name: x, sha256: \"" DIGEST_B
                    "\"}]}\n",
                    "t:2:108: the key name `x` is given twice in this tenant\n");
}

static void a_key_must_be_a_digest(void **state) {
    (void)state;
    const char *told = "t:1:22: expected a SHA-256: 64 hex digits, as `weir key new` prints them\n";
    expect_messages("tenants: {a: {keys: [\"9f86\"]}}\n", told);
    expect_messages("tenants: {a: {keys: [\"" DIGEST_A "0\"]}}\n", told);
    expect_messages("tenants: {a: {keys: [\"sha512:" DIGEST_A "\"]}}\n", told);
    expect_messages("tenants: {a: {keys: [\"sk-weir-abcdef\"]}}\n",
                    "t:1:22: this looks like a key; write its digest: `weir key hash` makes one\n");
    expect_messages("tenants: {a: {keys: [\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]}}\n",
                    "t:1:22: this is the SHA-256 of an empty key\n");
    expect_messages("tenants: {a: {}}\n", "t:1:11: warning: the tenant `a` has no keys: nobody can use it\n");
}

static void a_limit_is_of_a_model_that_somebody_can_ask_for(void **state) {
    (void)state;
    const char *rest = "providers: {p: {dialect: openai, base_url: \"http://h/v1\", auth: none, models: [\"gpt-*\"]}}\n"
                       "models: {fast: {targets: [{provider: p, model: m}]}}\n";
    static const char *const good[] = {"fast", "gpt-4o", "p/any"};
    char text[1024];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text,
                 "tenants: {a: {keys: [" DIGEST_A "], limits: {models: {%s: {requests_per_minute: 1}}}}}\n%s", good[i],
                 rest);
        expect_messages(text, "");
    }
    snprintf(text, sizeof text,
             "tenant_defaults: {limits: {models: {fsat: {requests_per_minute: 1}}}}\n"
             "tenants: {a: {keys: [" DIGEST_A "]}, b: {keys: [" DIGEST_B
             "], limits: {models: {q/m: {usd_per_day: 1}}}}}\n%s",
             rest);
    expect_messages(text, "t:1:37: warning: nobody can ask for the model `fsat`: no alias has that name, no provider's "
                          "`models` match it\n"
                          "t:2:186: warning: nobody can ask for the model `q/m`: no alias has that name, no provider's "
                          "`models` match it\n");
}

static void an_expiry_must_be_a_date(void **state) {
    (void)state;
    static const char *const wrong[] = {"2027-13-01",           "2027-02-29",          "2027-1-1", "27-01-01",
                                        "2027-01-01T24:00:00Z", "2027-01-01 00:00:00", "tomorrow"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[256];
        snprintf(text, sizeof text, "tenants: {a: {keys: [{sha256: \"" DIGEST_A "\", expires: \"%s\"}]}}\n", wrong[i]);
        expect_messages(text, "t:1:108: expected a date, such as 2027-01-31 or 2027-01-31T12:00:00Z (UTC)\n");
    }
    expect_messages("tenants: {a: {keys: [{sha256: \"" DIGEST_A "\", expires: 2001-01-01}]}}\n",
                    "t:1:22: warning: this key has expired\n");
}

static void an_empty_allow_list_is_not_everything(void **state) {
    (void)state;
    expect_messages("tenants: {a: {models: [], keys: [\"" DIGEST_A "\"]}}\n", "t:1:23: needs at least 1\n");
    expect_messages("tenants:\n  a:\n    keys: [\"" DIGEST_A "\"]\n    models:\n", "t:4:12: needs at least 1\n");
}

static void passthrough_rules_are_checked(void **state) {
    (void)state;
    expect_messages(PROVIDER("") "tenants: {a: {keys: [\"" DIGEST_A "\"],\n"
                                 "  passthrough: [{provider: p, paths: [v1, \"/a b\"], methods: [get]}]}}\n",
                    "t:3:39: the item is not a path pattern: printable, without spaces, `/` first, at most 1000\n"
                    "t:3:43: the item is not a path pattern: printable, without spaces, `/` first, at most 1000\n"
                    "t:3:62: the item is not a known method; known words: GET HEAD POST PUT PATCH DELETE OPTIONS\n");
}

static void shared_state_needs_a_place(void **state) {
    (void)state;
    expect_messages("log: {}\nstate: {backend: redis}\n",
                    "t:2:1: `state.redis.url` is missing, because `state.backend` is redis\n");
    expect_messages("state:\n  redis: {url: \"http://u:secret@h\"}\n",
                    "t:2:16: expected a URL that begins with redis:// or rediss://\n");
}

static void a_redis_url_is_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *url, *host, *port, *user, *password;
        unsigned database;
        bool tls;
    } good[] = {
        {"redis://h", "h", "6379", "", "", 0, false},
        {"rediss://[::1]:7000/3", "::1", "7000", "", "", 3, true},
        {"redis://user:pass@10.0.0.1:6380/", "10.0.0.1", "6380", "user", "pass", 0, false},
        {"redis://:p%40s%2Fs@h/15", "h", "6379", "", "p@s/s", 15, false},
        {"redis://user@h", "h", "6379", "user", "", 0, false},
        {"redis://:a@b:c@h", "h", "6379", "", "a@b:c", 0, false},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "state: {backend: redis, redis: {url: \"%s\"}}\n", good[i].url);
        struct loading l = load(text);
        assert_non_null(l.config);
        const struct config_redis_target *t = &l.config->state.redis.target;
        assert_string_equal(t->host.p, good[i].host);
        assert_string_equal(t->port.p, good[i].port);
        assert_string_equal(t->user.n > 0 ? t->user.p : "", good[i].user);
        assert_string_equal(t->password.n > 0 ? t->password.p : "", good[i].password);
        assert_int_equal(t->database, good[i].database);
        assert_int_equal(t->tls, good[i].tls);
        loading_end(&l);
    }
}

static void a_redis_url_that_is_none_is_refused_without_being_shown(void **state) {
    (void)state;
    static const struct {
        const char *url, *fault;
    } bad[] = {
        {"redis://", "the host is missing"},
        {"redis://u:s3cret@", "the host is missing"},
        {"redis://u:s3cret@h:0", "the URL's port must be from 1 to 65535"},
        {"redis://u:s3cret@h:x", "the URL's port must be from 1 to 65535"},
        {"redis://h/x", "after the host, a Redis URL may only have the number of a database, as in /0"},
        {"redis://h/0?x=1", "after the host, a Redis URL may only have the number of a database, as in /0"},
        {"redis://u:s3cret%4@h", "the URL's user or password is malformed (percent-encode what is special there)"},
        {"unix:///run/redis.sock", "expected a URL that begins with redis:// or rediss://"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256], expected[256];
        snprintf(text, sizeof text, "state: {redis: {url: \"%s\"}}\n", bad[i].url);
        snprintf(expected, sizeof expected, "t:1:22: %s\n", bad[i].fault);
        expect_messages(text, expected);
    }
    expect_messages("state: {redis: {url: \"redis://:s3cret@h\"}}\n",
                    "t:1:22: warning: the password of Redis travels unencrypted (redis://)\n");
    expect_messages("log: {}\nstate: {redis: {prefix: \"a{b}\"}}\n",
                    "t:2:25: braces are not allowed here: they decide where a cluster keeps a "
                    "key\n");
}

static void a_body_must_fit_the_buffers(void **state) {
    (void)state;
    expect_messages("log: {}\nhttp: {body_bytes: 2GiB}\n",
                    "t:2:1: `http.buffered_bytes` must not be below `http.body_bytes`\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_http_off_loopback_must_be_meant),
        cmocka_unit_test(without_tenants_only_loopback_is_open),
        cmocka_unit_test(tls_needs_both_files),
        cmocka_unit_test(an_open_admin_port_needs_a_token),
        cmocka_unit_test(exporters_are_checked),
        cmocka_unit_test(no_address_is_taken_twice),
        cmocka_unit_test(an_address_must_be_one),
        cmocka_unit_test(a_base_url_must_be_a_plain_one),
        cmocka_unit_test(a_base_url_that_does_not_fit_its_dialect_is_warned_about),
        cmocka_unit_test(the_first_parts_of_own_paths_are_reserved),
        cmocka_unit_test(headers_that_weir_writes_are_refused),
        cmocka_unit_test(references_must_exist),
        cmocka_unit_test(fallbacks_must_end_somewhere),
        cmocka_unit_test(what_asking_again_does_not_change_is_no_cause_to),
        cmocka_unit_test(a_hedge_says_when),
        cmocka_unit_test(a_long_chain_of_fallbacks_needs_no_stack),
        cmocka_unit_test(an_alias_nobody_can_use_is_refused),
        cmocka_unit_test(no_two_tenants_share_a_key),
        cmocka_unit_test(a_key_must_be_a_digest),
        cmocka_unit_test(a_limit_is_of_a_model_that_somebody_can_ask_for),
        cmocka_unit_test(an_expiry_must_be_a_date),
        cmocka_unit_test(an_empty_allow_list_is_not_everything),
        cmocka_unit_test(passthrough_rules_are_checked),
        cmocka_unit_test(shared_state_needs_a_place),
        cmocka_unit_test(a_redis_url_is_taken_apart),
        cmocka_unit_test(a_redis_url_that_is_none_is_refused_without_being_shown),
        cmocka_unit_test(a_body_must_fit_the_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
