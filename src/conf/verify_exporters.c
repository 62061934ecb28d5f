/* Exporters: headers that the request has anyway, credentials that travel in the clear, signals named twice. */
#include "address.h"
#include "verify.h"

static const struct slice own_headers[] = {
    SLICE_INIT("host"),       SLICE_INIT("content-length"), SLICE_INIT("content-type"), SLICE_INIT("content-encoding"),
    SLICE_INIT("connection"), SLICE_INIT("keep-alive"),     SLICE_INIT("te"),           SLICE_INIT("transfer-encoding"),
    SLICE_INIT("trailer"),    SLICE_INIT("upgrade"),        SLICE_INIT("expect"),       SLICE_INIT("user-agent"),
};

bool exporter_header_is_own(struct slice name) {
    for (size_t i = 0; i < sizeof own_headers / sizeof *own_headers; i++)
        if (slice_equal_nocase(own_headers[i], name)) return true;
    return false;
}

static void verify_headers(const struct config_exporter *x, struct conf_errors *errors) {
    for (size_t i = 0; i < x->headers.count; i++) {
        const struct conf_text *name = &x->headers.items[i].name;
        if (exporter_header_is_own(name->text))
            conf_error_add(errors, name->at, "the header `%s` is written by weir itself",
                           conf_quote(errors, name->text));
        for (size_t j = 0; j < i; j++)
            if (slice_equal_nocase(name->text, x->headers.items[j].name.text))
                conf_error_add(errors, name->at, "the header `%s` is given twice", conf_quote(errors, name->text));
    }
}

static void verify_signals(const struct config_exporter *x, struct conf_errors *errors) {
    for (size_t i = 0; i < x->signals.count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(x->signals.items[i].text, x->signals.items[j].text))
                conf_error_add(errors, x->signals.items[i].at, "the signal `%s` is given twice",
                               conf_quote(errors, x->signals.items[i].text));
}

static void verify_transport(const struct config_exporter *x, struct conf_errors *errors) {
    struct slice url = x->endpoint.text;
    bool loopback;
    if (url.p == NULL) return;
    address_url_authority(url, &loopback);
    bool plain = slice_starts(url, SLICE("http://"));
    if (plain && !loopback && x->headers.count > 0)
        conf_warning_add(errors, x->endpoint.at, "`headers` travel unencrypted (http://)");
    if (plain && text_given(&x->tls.ca)) conf_warning_add(errors, x->tls.ca.at, "`tls` has no effect with http://");
    if (!plain && !x->tls.verify)
        conf_warning_add(errors, x->endpoint.at, "`tls.verify` is off: whoever answers gets what is exported");
}

void verify_exporters(const struct config *c, struct conf_errors *errors) {
    for (size_t i = 0; i < c->otlp.exporters.count; i++) {
        verify_headers(&c->otlp.exporters.items[i], errors);
        verify_signals(&c->otlp.exporters.items[i], errors);
        verify_transport(&c->otlp.exporters.items[i], errors);
    }
}
