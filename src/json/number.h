/* json/number.h: the grammar of a number (RFC 8259 section 6) as a table, so that it can stop and go on at any byte. */
#pragma once
#include "json/scan.h"

enum number_step {
    NUMBER_BAD, /* also: no digit may come here, so the number ends before this byte */
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_INT,
    NUMBER_DOT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_E_SIGN,
    NUMBER_EXPONENT,
    NUMBER_STEPS
};

enum number_class { CLASS_OTHER, CLASS_ZERO, CLASS_DIGIT, CLASS_MINUS, CLASS_PLUS, CLASS_DOT, CLASS_E, NUMBER_CLASSES };
extern const uint8_t number_class_of[256];
extern const uint8_t number_steps[NUMBER_STEPS][NUMBER_CLASSES];

/* The step after byte c; NUMBER_BAD when c is no part of the number. Begin with NUMBER_BAD for the first byte. */
static inline enum number_step number_next(enum number_step step, uint8_t c) {
    return (enum number_step)number_steps[step][number_class_of[c]];
}
static inline bool number_may_end(enum number_step step) {
    return step == NUMBER_ZERO || step == NUMBER_INT || step == NUMBER_FRACTION || step == NUMBER_EXPONENT;
}
/* What a whole token outside a string is: JSON_NUMBER, a literal, or JSON_NONE when it is neither. `cut`: only its
 * beginning is known, and judged. */
enum json_type token_type(struct slice token, bool cut);
