/* SHA-256 against the vectors of FIPS 180-4, comparison, and random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/digest.h"
#include "crypto/random.h"

static void sha256_matches_the_published_vectors(void **state) {
    (void)state;
    static const struct {
        struct slice text;
        const char *hex;
    } vectors[] = {
        {{NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {SLICE_INIT("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {SLICE_INIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t digest[DIGEST_BYTES];
        char hex[2 * DIGEST_BYTES + 1] = "";
        digest_sha256(vectors[i].text, digest);
        hex_encode(digest, sizeof digest, hex);
        assert_string_equal(hex, vectors[i].hex);
    }
}

static void equal_digests_differ_in_no_byte(void **state) {
    (void)state;
    uint8_t a[DIGEST_BYTES], b[DIGEST_BYTES];
    digest_sha256(SLICE("key"), a);
    memcpy(b, a, sizeof b);
    assert_true(digest_equal(a, b));
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        b[i] ^= 0x80;
        assert_false(digest_equal(a, b));
        b[i] ^= 0x80;
    }
}

static void secrets_differ_and_are_wiped(void **state) {
    (void)state;
    uint8_t a[1000] = {0}, b[1000] = {0}, zero[1000] = {0};
    random_secret(a, sizeof a);
    random_secret(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 900, zero, 100);
    secret_wipe(a, sizeof a);
    assert_memory_equal(a, zero, sizeof a);
    secret_wipe(NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_matches_the_published_vectors),
        cmocka_unit_test(equal_digests_differ_in_no_byte),
        cmocka_unit_test(secrets_differ_and_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
