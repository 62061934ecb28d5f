/* TLS contexts: what the operator did wrong is said, and what the contexts enforce. Handshakes are in the tests of net.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "certificates.h"
#include "crypto/tls_context.h"
#include "tls_sessions.h"

static struct issued authority, good, other;

static int group_setup(void **state) {
    (void)state;
    certificates_begin();
    authority = issue("authority", NULL, NULL, 10);
    good = issue("good", &authority, "DNS:provider.test", 10);
    other = issue("other", &authority, "DNS:other.test", 10);
    return 0;
}

static int group_teardown(void **state) {
    (void)state;
    issued_clear(&authority);
    issued_clear(&good);
    issued_clear(&other);
    rmdir(certificates_dir);
    return 0;
}

static void refused_server(const char *certificate, const char *key, const char *names, const char *reason) {
    char error[512] = "";
    assert_null(tls_server_new(certificate, key, error, sizeof error));
    assert_non_null(strstr(error, names));
    assert_non_null(strstr(error, reason));
}

static void unusable_files_are_named_with_the_reason(void **state) {
    (void)state;
    char error[512] = "";
    refused_server("missing.crt", good.key_file, "certificate missing.crt", "No such file");
    refused_server(good.certificate_file, "missing.key", "key missing.key", "No such file");
    refused_server(good.key_file, good.key_file, good.key_file, "no start line");
    refused_server(good.certificate_file, other.key_file, other.key_file, "key values mismatch");
    assert_null(tls_client_new("missing.pem", true, error, sizeof error));
    assert_non_null(strstr(error, "missing.pem"));
}

static void a_key_with_a_passphrase_is_refused_without_asking_for_it(void **state) {
    (void)state;
    char path[600], phrase[] = "secret";
    snprintf(path, sizeof path, "%s/encrypted.key", certificates_dir);
    FILE *in = fopen(good.key_file, "r"), *out = fopen(path, "w");
    EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    assert_int_equal(PEM_write_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), phrase, 6, NULL, NULL), 1);
    EVP_PKEY_free(key);
    fclose(in);
    fclose(out);
    refused_server(good.certificate_file, path, path, "it has a passphrase");
    unlink(path);
}

static void contexts_enforce_versions_modes_and_verification(void **state) {
    (void)state;
    char error[512];
    struct tls_context *server = tls_server_new(good.certificate_file, good.key_file, error, sizeof error);
    struct tls_context *client = tls_client_new(authority.certificate_file, true, error, sizeof error);
    struct tls_context *trusting = tls_client_new(NULL, false, error, sizeof error);
    struct tls_context *const all[] = {server, client, trusting};
    for (size_t i = 0; i < 3; i++) {
        SSL_CTX *ssl = tls_context_ssl(all[i]);
        assert_int_equal(SSL_CTX_get_min_proto_version(ssl), TLS1_2_VERSION);
        assert_true((SSL_CTX_get_options(ssl) & SSL_OP_NO_RENEGOTIATION) != 0);
        assert_true((SSL_CTX_get_options(ssl) & SSL_OP_IGNORE_UNEXPECTED_EOF) == 0);
        assert_int_equal(SSL_CTX_get_max_early_data(ssl), 0);
        assert_true((SSL_CTX_get_mode(ssl) & SSL_MODE_RELEASE_BUFFERS) != 0);
    }
    assert_int_equal(SSL_CTX_get_verify_mode(tls_context_ssl(client)), SSL_VERIFY_PEER);
    assert_true(tls_context_verifies(client));
    assert_int_equal(SSL_CTX_get_verify_mode(tls_context_ssl(trusting)), SSL_VERIFY_NONE);
    assert_false(tls_context_verifies(trusting));
    assert_int_equal(SSL_CTX_get_num_tickets(tls_context_ssl(server)), 2);
    for (size_t i = 0; i < 3; i++) tls_context_unref(all[i]);
}

static void a_context_lives_until_its_last_reference(void **state) {
    (void)state;
    char error[512];
    struct tls_context *t = tls_client_new(NULL, false, error, sizeof error);
    assert_ptr_equal(tls_context_ref(t), t);
    tls_context_unref(t);
    SSL *ssl = tls_ssl_new(t, "provider.test");
    assert_string_equal(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "provider.test");
    tls_ssl_free(ssl, false);
    tls_context_unref(t);
    tls_context_unref(NULL);
    assert_null(tls_context_ref(NULL));
}

static SSL_SESSION *session_made(int version, long age_s) {
    SSL_SESSION *s = SSL_SESSION_new();
    unsigned char id[4] = {1, 2, 3, (unsigned char)age_s};
    SSL_SESSION_set_protocol_version(s, version);
    SSL_SESSION_set1_id(s, id, sizeof id);
    SSL_SESSION_set_time(s, (long)time(NULL) - age_s);
    SSL_SESSION_set_timeout(s, 300);
    return s;
}

static void sessions_are_kept_per_host_newest_first_and_given_once_in_1_3(void **state) {
    (void)state;
    struct tls_sessions sessions;
    sessions_init(&sessions);
    struct tls_peer *a = sessions_peer(&sessions, "a.test"), *b = sessions_peer(&sessions, "b.test");
    assert_ptr_equal(a, sessions_peer(&sessions, "a.test"));
    assert_ptr_not_equal(a, b);
    assert_null(sessions_take(&sessions, a));
    for (long age = 100; age > 0; age -= 10) sessions_put(&sessions, a, session_made(TLS1_3_VERSION, age));
    assert_null(sessions_take(&sessions, b));
    for (long age = 10; age <= 10 * SESSIONS_PER_HOST; age += 10) {
        SSL_SESSION *s = sessions_take(&sessions, a);
        assert_non_null(s);
        assert_true(labs((long)time(NULL) - SSL_SESSION_get_time(s) - age) <= 2);
        SSL_SESSION_free(s);
    }
    assert_null(sessions_take(&sessions, a));
    sessions_put(&sessions, b, session_made(TLS1_2_VERSION, 0));
    for (int i = 0; i < 3; i++) {
        SSL_SESSION *s = sessions_take(&sessions, b);
        assert_non_null(s);
        SSL_SESSION_free(s);
    }
    sessions_put(&sessions, a, session_made(TLS1_3_VERSION, 301));
    assert_null(sessions_take(&sessions, a)); /* too old */
    sessions_clear(&sessions);
}

static void hosts_beyond_the_ceiling_are_not_kept(void **state) {
    (void)state;
    struct tls_sessions sessions;
    sessions_init(&sessions);
    char host[32];
    for (int i = 0; i <= SESSION_HOSTS_MAX; i++) {
        snprintf(host, sizeof host, "host-%d.test", i);
        struct tls_peer *peer = sessions_peer(&sessions, host);
        if (i < SESSION_HOSTS_MAX)
            assert_non_null(peer);
        else
            assert_null(peer);
    }
    sessions_clear(&sessions);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unusable_files_are_named_with_the_reason),
        cmocka_unit_test(a_key_with_a_passphrase_is_refused_without_asking_for_it),
        cmocka_unit_test(contexts_enforce_versions_modes_and_verification),
        cmocka_unit_test(a_context_lives_until_its_last_reference),
        cmocka_unit_test(sessions_are_kept_per_host_newest_first_and_given_once_in_1_3),
        cmocka_unit_test(hosts_beyond_the_ceiling_are_not_kept),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
