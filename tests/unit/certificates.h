/* certificates.h: an authority and certificates made at run time, in a directory of their own that is removed again. */
#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct issued {
    X509 *certificate;
    EVP_PKEY *key;
    char certificate_file[128], key_file[128];
};

static char certificates_dir[64];

static inline void extension_add(X509 *x, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* issuer NULL: self-signed. names as in subjectAltName, NULL: an authority. Valid from yesterday for `days` from now.
 */
static inline struct issued issue(const char *label, const struct issued *issuer, const char *names, int days) {
    struct issued made = {.certificate = X509_new(), .key = EVP_EC_gen("P-256")};
    X509 *x = made.certificate;
    X509_set_version(x, 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -2L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(x), days * 86400L);
    X509_set_pubkey(x, made.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)label, -1, -1, 0);
    X509 *signer = issuer != NULL ? issuer->certificate : x;
    X509_set_issuer_name(x, X509_get_subject_name(signer));
    extension_add(x, signer, NID_basic_constraints, names == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (names != NULL) extension_add(x, signer, NID_subject_alt_name, names);
    assert_true(X509_sign(x, issuer != NULL ? issuer->key : made.key, EVP_sha256()) > 0);
    snprintf(made.certificate_file, sizeof made.certificate_file, "%s/%s.crt", certificates_dir, label);
    snprintf(made.key_file, sizeof made.key_file, "%s/%s.key", certificates_dir, label);
    FILE *f = fopen(made.certificate_file, "w");
    assert_non_null(f);
    PEM_write_X509(f, x);
    fclose(f);
    f = fopen(made.key_file, "w");
    PEM_write_PrivateKey(f, made.key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    return made;
}

static inline void issued_clear(struct issued *i) {
    X509_free(i->certificate);
    EVP_PKEY_free(i->key);
    unlink(i->certificate_file);
    unlink(i->key_file);
}

static inline void certificates_begin(void) {
    const char *base = getenv("TMPDIR");
    snprintf(certificates_dir, sizeof certificates_dir, "%s/weir-test-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(certificates_dir));
}
