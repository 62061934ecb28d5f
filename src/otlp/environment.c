/* Reading OTEL_* variables. The hard part is precedence: a signal's own variable goes before the common one, and its
 * endpoint is a whole URL where the common one is a base. Values of headers are secret: no message shows one. */
#include "environment.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

static struct slice read_one(const char *(*get)(const char *), const char *name) {
    return slice_trim(slice_of(get(name)));
}

/* OTEL_EXPORTER_OTLP_TRACES_x, else OTEL_EXPORTER_OTLP_x. */
static struct slice read_signal(const char *(*get)(const char *), enum signal s, const char *what, bool *own) {
    static const char *const names[SIGNAL_COUNT] = {"TRACES", "METRICS", "LOGS"};
    char name[96];
    snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s_%s", names[s], what);
    struct slice value = read_one(get, name);
    *own = value.n > 0;
    if (*own) return value;
    snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s", what);
    return read_one(get, name);
}

static uint64_t number_of(struct slice text, const char *name, uint64_t max) {
    uint64_t value;
    if (text.n == 0) return 0;
    if (slice_to_u64(text, &value) && value > 0 && value <= max) return value;
    log_warn("%s is not a number from 1 to %llu: it is left out", name, (unsigned long long)max);
    return 0;
}

static uint64_t read_number(const char *(*get)(const char *), const char *name, uint64_t max) {
    return number_of(read_one(get, name), name, max);
}

static void read_protocol(const char *(*get)(const char *)) {
    bool own, other = false;
    for (enum signal s = 0; s < SIGNAL_COUNT; s++) {
        struct slice protocol = read_signal(get, s, "PROTOCOL", &own);
        other = other || (protocol.n > 0 && !slice_equal(protocol, SLICE("http/protobuf")));
    }
    if (other) log_warn("OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken");
}

static bool list_has(struct slice list, struct slice wanted) {
    struct slice item;
    while (slice_cut(&list, ',', &item))
        if (slice_equal(slice_trim(item), wanted)) return true;
    return false;
}

/* Traces are exported where an endpoint is set, the others where they are asked for, or have an endpoint of their own.
 */
static bool read_wanted(const char *(*get)(const char *), enum signal s, bool endpoint, bool own) {
    static const char *const names[SIGNAL_COUNT] = {"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER",
                                                    "OTEL_LOGS_EXPORTER"};
    struct slice exporter = read_one(get, names[s]);
    if (!endpoint) return false;
    if (exporter.n > 0) return list_has(exporter, SLICE("otlp"));
    return own || s == SIGNAL_TRACES;
}

void environment_read(struct environment *e, const char *(*get)(const char *name)) {
    bool own;
    const uint64_t day_ms = 86400000;
    *e = (struct environment){.disabled = slice_equal_nocase(read_one(get, "OTEL_SDK_DISABLED"), SLICE("true")),
                              .service = read_one(get, "OTEL_SERVICE_NAME"),
                              .attributes = read_one(get, "OTEL_RESOURCE_ATTRIBUTES")};
    for (enum signal s = 0; s < SIGNAL_COUNT; s++) {
        e->headers[s] = read_signal(get, s, "HEADERS", &own);
        e->certificate[s] = read_signal(get, s, "CERTIFICATE", &own);
        e->gzip[s] = slice_equal(read_signal(get, s, "COMPRESSION", &own), SLICE("gzip"));
        e->timeout_ns[s] =
            number_of(read_signal(get, s, "TIMEOUT", &own), "OTEL_EXPORTER_OTLP_TIMEOUT", day_ms) * NS_PER_MS;
        e->endpoint[s] = read_signal(get, s, "ENDPOINT", &e->whole_url[s]);
        e->wanted[s] = read_wanted(get, s, e->endpoint[s].n > 0, e->whole_url[s]);
    }
    e->delay_ns = read_number(get, "OTEL_BSP_SCHEDULE_DELAY", day_ms) * NS_PER_MS;
    e->metric_interval_ns = read_number(get, "OTEL_METRIC_EXPORT_INTERVAL", day_ms) * NS_PER_MS;
    e->queue_items = (unsigned)read_number(get, "OTEL_BSP_MAX_QUEUE_SIZE", 10000000);
    e->batch_items = (unsigned)read_number(get, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1000000);
    read_protocol(get);
}

/* ---- the sampler ---- */

#define PROBABILITY_ONE (UINT64_C(1) << 56)

/* A decimal from 0 to 1, as 56-bit fixed point; false: none. */
static bool ratio_read(struct slice s, uint64_t *ratio) {
    uint64_t whole = 0, unit = PROBABILITY_ONE;
    size_t digits = 0, at = 0;
    for (; at < s.n && s.p[at] >= '0' && s.p[at] <= '9' && whole <= 1; at++, digits++)
        whole = whole * 10 + (uint64_t)(s.p[at] - '0');
    *ratio = whole * PROBABILITY_ONE;
    if (at < s.n && s.p[at] == '.')
        for (at++; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++, digits++) {
            *ratio += unit / 10 * (uint64_t)(s.p[at] - '0');
            unit /= 10;
        }
    return digits > 0 && at == s.n && *ratio <= PROBABILITY_ONE;
}

struct trace_sampler environment_sampler(const char *(*get)(const char *name)) {
    static const struct {
        struct slice name;
        bool always;
        int ratio; /* 0 or 1; -1: its argument */
    } samplers[] = {
        {SLICE_INIT("always_on"), true, 1},
        {SLICE_INIT("always_off"), true, 0},
        {SLICE_INIT("traceidratio"), true, -1},
        {SLICE_INIT("parentbased_always_on"), false, 1},
        {SLICE_INIT("parentbased_always_off"), false, 0},
        {SLICE_INIT("parentbased_traceidratio"), false, -1},
    };
    struct slice name = read_one(get, "OTEL_TRACES_SAMPLER"), argument = read_one(get, "OTEL_TRACES_SAMPLER_ARG");
    uint64_t ratio = PROBABILITY_ONE;
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
        if (!slice_equal(name, samplers[i].name)) continue;
        if (samplers[i].ratio >= 0) {
            ratio = (uint64_t)samplers[i].ratio * PROBABILITY_ONE;
        } else if (argument.n > 0 && !ratio_read(argument, &ratio)) {
            log_warn("OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1: every trace is sampled");
            ratio = PROBABILITY_ONE;
        }
        return (struct trace_sampler){.threshold = PROBABILITY_ONE - ratio, .always = samplers[i].always};
    }
    if (name.n > 0) log_warn("OTEL_TRACES_SAMPLER: not known: every trace is sampled");
    return (struct trace_sampler){0};
}

/* ---- lists of pairs ---- */

static bool is_token(struct slice s) { /* RFC 9110 5.6.2 */
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) return false;
    }
    return s.n > 0;
}

/* A `%` that begins no escape stands for itself, as everybody reads it. What a header cannot hold is refused. */
static bool percent_decode(struct slice s, char *room, struct slice *value) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = (uint8_t)s.p[i];
        if (byte == '%' && i + 2 < s.n && hex_decode((struct slice){s.p + i + 1, 2}, &byte, 1)) i += 2;
        if (byte < 0x20 || byte == 0x7f) return false;
        room[n++] = (char)byte;
    }
    *value = (struct slice){room, n};
    return true;
}

bool environment_pair(struct slice *rest, struct slice *key, struct slice *value, char *room, bool *bad) {
    struct slice item;
    while (slice_cut(rest, ',', &item)) {
        item = slice_trim(item);
        if (item.n == 0) continue;
        const char *equals = memchr(item.p, '=', item.n);
        size_t n = equals != NULL ? (size_t)(equals - item.p) : 0;
        *key = slice_trim((struct slice){item.p, n});
        if (equals != NULL && is_token(*key) &&
            percent_decode(slice_trim((struct slice){equals + 1, item.n - n - 1}), room, value))
            return true;
        *bad = true;
    }
    return false;
}
