/* Numbers and literals: the grammar table the scanner steps through, and reading a token count without strtod (which
 * reads the locale). Values are never computed in floating point. */
#include "number.h"

const uint8_t number_class_of[256] = {
    ['0'] = CLASS_ZERO,  ['1'] = CLASS_DIGIT, ['2'] = CLASS_DIGIT, ['3'] = CLASS_DIGIT, ['4'] = CLASS_DIGIT,
    ['5'] = CLASS_DIGIT, ['6'] = CLASS_DIGIT, ['7'] = CLASS_DIGIT, ['8'] = CLASS_DIGIT, ['9'] = CLASS_DIGIT,
    ['-'] = CLASS_MINUS, ['+'] = CLASS_PLUS,  ['.'] = CLASS_DOT,   ['e'] = CLASS_E,     ['E'] = CLASS_E,
};

const uint8_t number_steps[NUMBER_STEPS][NUMBER_CLASSES] = {
    [NUMBER_BAD] = {[CLASS_ZERO] = NUMBER_ZERO, [CLASS_DIGIT] = NUMBER_INT, [CLASS_MINUS] = NUMBER_MINUS},
    [NUMBER_MINUS] = {[CLASS_ZERO] = NUMBER_ZERO, [CLASS_DIGIT] = NUMBER_INT},
    [NUMBER_ZERO] = {[CLASS_DOT] = NUMBER_DOT, [CLASS_E] = NUMBER_E},
    [NUMBER_INT] =
        {[CLASS_ZERO] = NUMBER_INT, [CLASS_DIGIT] = NUMBER_INT, [CLASS_DOT] = NUMBER_DOT, [CLASS_E] = NUMBER_E},
    [NUMBER_DOT] = {[CLASS_ZERO] = NUMBER_FRACTION, [CLASS_DIGIT] = NUMBER_FRACTION},
    [NUMBER_FRACTION] = {[CLASS_ZERO] = NUMBER_FRACTION, [CLASS_DIGIT] = NUMBER_FRACTION, [CLASS_E] = NUMBER_E},
    [NUMBER_E] = {[CLASS_ZERO] = NUMBER_EXPONENT,
                  [CLASS_DIGIT] = NUMBER_EXPONENT,
                  [CLASS_MINUS] = NUMBER_E_SIGN,
                  [CLASS_PLUS] = NUMBER_E_SIGN},
    [NUMBER_E_SIGN] = {[CLASS_ZERO] = NUMBER_EXPONENT, [CLASS_DIGIT] = NUMBER_EXPONENT},
    [NUMBER_EXPONENT] = {[CLASS_ZERO] = NUMBER_EXPONENT, [CLASS_DIGIT] = NUMBER_EXPONENT},
};

/* `cut`: there was more of it, so it may stop anywhere in a number. */
static bool is_number(struct slice token, bool cut) {
    enum number_step step = NUMBER_BAD;
    for (size_t i = 0; i < token.n; i++) {
        step = number_next(step, (uint8_t)token.p[i]);
        if (step == NUMBER_BAD) return false;
    }
    return cut || number_may_end(step);
}

enum json_type token_type(struct slice token, bool cut) {
    if (token.n > 0 && token.p[0] <= '9') return is_number(token, cut) ? JSON_NUMBER : JSON_NONE;
    if (slice_equal(token, SLICE("null"))) return JSON_NULL;
    if (slice_equal(token, SLICE("true"))) return JSON_TRUE;
    return slice_equal(token, SLICE("false")) ? JSON_FALSE : JSON_NONE;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The digits of a number without its point, where the point stands among them, and the power of ten that follows. */
struct decimal {
    struct slice whole, fraction;
    int64_t exponent;
};

#define EXPONENT_MAX 1000000 /* far beyond what 256 digits can undo */

static struct decimal split_decimal(struct slice text) {
    struct decimal d = {.whole = text};
    size_t i = 0;
    while (i < text.n && is_digit(text.p[i])) i++;
    d.whole.n = i;
    if (i < text.n && text.p[i] == '.') {
        size_t from = ++i;
        while (i < text.n && is_digit(text.p[i])) i++;
        d.fraction = (struct slice){text.p + from, i - from};
    }
    if (i == text.n) return d;
    bool negative = text.p[i + 1] == '-';
    for (i += 1 + (negative || text.p[i + 1] == '+'); i < text.n; i++)
        if (d.exponent < EXPONENT_MAX) d.exponent = d.exponent * 10 + (text.p[i] - '0');
    if (negative) d.exponent = -d.exponent;
    return d;
}

/* Counts are mostly that: a few digits, the first of them no zero. */
static bool plain_count(struct slice text, uint32_t *value) {
    uint32_t v = 0;
    if (text.n == 0 || text.n > 9 || (text.p[0] == '0' && text.n > 1)) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (!is_digit(text.p[i])) return false;
        v = v * 10 + (uint32_t)(text.p[i] - '0');
    }
    *value = v;
    return true;
}

bool json_number_u32(struct slice text, uint32_t *value) {
    if (plain_count(text, value)) return true;
    if (!is_number(text, false) || text.p[0] == '-') return false;
    struct decimal d = split_decimal(text);
    int64_t digit_count = (int64_t)(d.whole.n + d.fraction.n), point = (int64_t)d.whole.n + d.exponent;
    uint64_t v = 0;
    for (int64_t i = 0; i < digit_count; i++) {
        size_t at = (size_t)i;
        char c = at < d.whole.n ? d.whole.p[at] : d.fraction.p[at - d.whole.n];
        if (i < point)
            v = v > UINT32_MAX ? v : v * 10 + (uint64_t)(c - '0');
        else if (c != '0')
            return false;
    }
    for (int64_t i = digit_count; i < point && v != 0 && v <= UINT32_MAX; i++) v *= 10;
    *value = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    return true;
}
