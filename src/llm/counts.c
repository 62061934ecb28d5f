/* From the counts a provider reports to the ones weir keeps: `input` with cached tokens, `output` with reasoning.
 * Providers differ in what their fields include and some differ from themselves, so where a total is given it decides.
 * An explicit 0 is a number, a missing field is not. Does no pricing and no estimating. */
#include "reading.h"

static bool has(const struct counts *c, enum count slot) {
    return c->known >> slot & 1;
}
static uint64_t get(const struct counts *c, enum count slot) {
    return has(c, slot) ? c->value[slot] : 0;
}
static uint64_t either(const struct counts *c, enum count first, enum count second) {
    return has(c, first) ? c->value[first] : get(c, second);
}
static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}
static uint32_t fit(uint64_t value) {
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* Is reasoning inside the output count or beside it? Where there is a total, what is in it and not input is output,
 * unless that is less than the output itself; without one the dialect's custom decides. */
static uint64_t output_with_reasoning(const struct counts *c, enum counts_rule rule, uint64_t input,
                                      uint64_t reasoning) {
    uint64_t output = get(c, COUNT_OUTPUT), total = get(c, COUNT_TOTAL);
    if (reasoning == 0) return output;
    if (has(c, COUNT_TOTAL)) return larger(output, total > input ? total - input : 0);
    return rule == COUNTS_GEMINI || reasoning > output ? output + reasoning : output;
}

static struct usage usage_make(uint64_t input, uint64_t output, uint64_t read, uint64_t written, uint64_t reasoning) {
    return (struct usage){.input = fit(larger(input, read + written)),
                          .output = fit(output),
                          .cache_read = fit(read),
                          .cache_write = fit(written),
                          .reasoning = fit(reasoning < output ? reasoning : output)};
}

static struct usage usage_addends(const struct counts *c) {
    uint64_t written = has(c, COUNT_CACHE_WRITE) ? get(c, COUNT_CACHE_WRITE)
                                                 : get(c, COUNT_CACHE_WRITE_5M) + get(c, COUNT_CACHE_WRITE_1H);
    uint64_t read = larger(get(c, COUNT_CACHE_READ), get(c, COUNT_SUM_CACHE_READ));
    written = larger(written, get(c, COUNT_SUM_CACHE_WRITE));
    uint64_t input = larger(get(c, COUNT_INPUT), get(c, COUNT_SUM_INPUT)) + read + written;
    uint64_t output = larger(get(c, COUNT_OUTPUT), get(c, COUNT_SUM_OUTPUT));
    struct usage u = usage_make(input, output, read, written, get(c, COUNT_REASONING));
    uint64_t hour = get(c, COUNT_CACHE_WRITE_1H);
    u.cache_write_1h = fit(hour < written ? hour : written);
    u.input_known = has(c, COUNT_INPUT) || has(c, COUNT_SUM_INPUT);
    u.output_known = has(c, COUNT_OUTPUT) || has(c, COUNT_SUM_OUTPUT);
    return u;
}

struct usage counts_usage(const struct counts *c, enum counts_rule rule, bool final) {
    if (rule == COUNTS_ADDENDS) return usage_addends(c);
    uint64_t input = get(c, COUNT_INPUT) + get(c, COUNT_TOOL_INPUT);
    uint64_t reasoning = either(c, COUNT_REASONING, COUNT_REASONING_ALSO);
    uint64_t output = output_with_reasoning(c, rule, input, reasoning);
    bool output_known = has(c, COUNT_OUTPUT);
    if (rule == COUNTS_GEMINI) {
        output_known = output_known || has(c, COUNT_REASONING) || (final && c->known);
    } else if (!output_known && final && has(c, COUNT_INPUT) && has(c, COUNT_TOTAL)) {
        output_known = true; /* embeddings give input and total only */
        output = get(c, COUNT_TOTAL) > input ? get(c, COUNT_TOTAL) - input : 0;
    }
    struct usage u = usage_make(input, output, either(c, COUNT_CACHE_READ, COUNT_CACHE_READ_ALSO),
                                get(c, COUNT_CACHE_WRITE), reasoning);
    u.input_known = has(c, COUNT_INPUT) || (rule == COUNTS_GEMINI && output_known);
    u.output_known = output_known;
    return u;
}
