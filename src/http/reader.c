/* The only file that knows llhttp. It gets one whole, contiguous head, so every span arrives in one piece and can be
 * kept as a slice of it. The hard part is trust: the version at hand may be an old one built without its strict mode,
 * so each span is also checked against the line structure, and what the two readings do not agree on is refused. */
#include "reader.h"

#include <llhttp.h>

struct reading {
    struct slice target;
    struct field *fields;
    unsigned count, expected;
    bool complete;
};

static int refuse(llhttp_t *parser) {
    llhttp_set_error_reason(parser, "the line structure disagrees");
    return HPE_USER;
}

static int on_target(llhttp_t *parser, const char *at, size_t n) {
    const struct reading *reading = parser->data;
    return slice_equal((struct slice){at, n}, reading->target) ? HPE_OK : refuse(parser);
}

static int on_name(llhttp_t *parser, const char *at, size_t n) {
    struct reading *reading = parser->data;
    if (reading->count == reading->expected || n == 0 || at[-1] != '\n' || at[n] != ':') return refuse(parser);
    reading->fields[reading->count++] = (struct field){.name = {at, n}, .value = {at + n + 1, 0}};
    return HPE_OK;
}

static struct slice strip(const char *p, size_t n) {
    while (n > 0 && (p[0] == ' ' || p[0] == '\t')) p++, n--;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
    return (struct slice){p, n};
}

static int on_value(llhttp_t *parser, const char *at, size_t n) {
    struct reading *reading = parser->data;
    if (reading->count == 0) return refuse(parser);
    struct slice *value = &reading->fields[reading->count - 1].value;
    if (value->n != 0) return refuse(parser);
    *value = strip(at, n);
    return HPE_OK;
}

/* Pausing here keeps llhttp from reading a body: the rest of the message is ours. */
static int on_complete(llhttp_t *parser) {
    struct reading *reading = parser->data;
    reading->complete = true;
    return HPE_PAUSED;
}

static bool run(struct reading *reading, struct slice raw, llhttp_type_t type, const llhttp_settings_t *settings) {
    llhttp_t parser;
    llhttp_init(&parser, type, settings);
    parser.data = reading;
    llhttp_errno_t error = llhttp_execute(&parser, raw.p, raw.n);
    return error == HPE_PAUSED && reading->complete && reading->count == reading->expected;
}

bool reader_request(struct slice raw, struct slice target, struct field *fields, unsigned count) {
    static const llhttp_settings_t settings = {.on_url = on_target,
                                               .on_header_field = on_name,
                                               .on_header_value = on_value,
                                               .on_headers_complete = on_complete};
    struct reading reading = {.target = target, .fields = fields, .expected = count};
    return run(&reading, raw, HTTP_REQUEST, &settings);
}

bool reader_answer(struct slice raw, struct field *fields, unsigned count) {
    static const llhttp_settings_t settings = {
        .on_header_field = on_name, .on_header_value = on_value, .on_headers_complete = on_complete};
    struct reading reading = {.fields = fields, .expected = count};
    return run(&reading, raw, HTTP_RESPONSE, &settings);
}
