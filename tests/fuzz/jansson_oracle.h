/* What jansson says about a text. Apart from the fuzz target because jansson.h and json/scan.h share names. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct oracle_answer {
    bool accepted;
    bool by_intent;   /* refused for a reason that weir does not share */
    const char *type; /* of the root */
    size_t size;      /* members (repeated ones once) or elements of the root */
    bool a_is_string; /* the last member "a" of a root object */
    char *a;          /* its text; free() it */
    size_t a_length;
};

struct oracle_answer oracle_ask(const char *text, size_t n);
