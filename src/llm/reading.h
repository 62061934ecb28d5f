/* src/llm/reading.h: what the observer and the dialects share. A dialect is a table of JSON paths, each with an action
 * the reading knows, and at most two small functions for what a table cannot say. */
#pragma once
#include "json/scan.h"
#include "llm/observe.h"

/* Token counts as the provider named them; src/llm/counts.c makes a struct usage of them. */
enum count {
    COUNT_INPUT,
    COUNT_OUTPUT,
    COUNT_TOTAL,
    COUNT_CACHE_READ,
    COUNT_CACHE_READ_ALSO, /* the same under a second name; used when the first is missing */
    COUNT_CACHE_WRITE,
    COUNT_CACHE_WRITE_5M,
    COUNT_CACHE_WRITE_1H,
    COUNT_REASONING,
    COUNT_REASONING_ALSO,
    COUNT_TOOL_INPUT,
    COUNT_SUM_INPUT, /* from here on: summed over the elements of an array instead of overwritten */
    COUNT_SUM_CACHE_READ,
    COUNT_SUM_CACHE_WRITE,
    COUNT_SUM_OUTPUT,
    COUNT_SLOTS
};

struct counts {
    uint32_t value[COUNT_SLOTS];
    uint32_t known; /* bit per slot: the provider gave it, be it 0 */
};

enum counts_rule {
    COUNTS_INCLUSIVE, /* cached tokens inside input; reasoning inside output unless the total says otherwise */
    COUNTS_ADDENDS,   /* Anthropic: cached tokens beside input */
    COUNTS_GEMINI,    /* cached inside, tool results and reasoning beside; a field that is 0 is left out */
};

/* `final`: nothing more comes, so what is missing is known to be missing. */
struct usage counts_usage(const struct counts *c, enum counts_rule rule, bool final);

/* What is done with a value. Unless said otherwise null, empty and values of another type are passed over. */
enum read_action {
    READ_MODEL,            /* first non-empty one is kept */
    READ_MODEL_CHANGED,    /* replaces it */
    READ_TEXT,             /* generated text that a user may see; tool names and arguments too */
    READ_SIGN,             /* a generated thing whose size says nothing about tokens (audio) */
    READ_THING,            /* a generated object or array; its size in the text is counted */
    READ_REASONING,        /* reasoning text; a provider may send the same under several names: */
    READ_REASONING_SECOND, /* the longest of the three counts */
    READ_REASONING_THIRD,
    READ_REASONING_SIGN, /* encrypted reasoning */
    READ_INDEX,          /* of the choice being read */
    READ_FINISH,         /* of the choice being read */
    READ_CHOICE,         /* the end of a choice */
    READ_CHOICES,        /* the end of the list of choices */
    READ_FINISH_WHOLE,   /* the finish of a dialect without choices */
    READ_ERROR,          /* anything but null, false, 0, "" and {} */
    READ_USAGE,          /* the end of the object with the counts */
    READ_DONE,           /* true: the terminator */
    READ_SECONDS,        /* the provider's own time */
    READ_NANOSECONDS,
    READ_PROMPT_MS, /* … in two parts */
    READ_PREDICTED_MS,
    READ_ELEMENT,                        /* the end of an event that is an element of an array */
    READ_COUNT,                          /* READ_COUNT + enum count */
    READ_OWN = READ_COUNT + COUNT_SLOTS, /* READ_OWN + n: the dialect's value() */
};

enum {
    MARK_VISIBLE = 1,
    MARK_REASONING = 2,
    MARK_ERROR = 4,
    MARK_END = 8,
    MARK_CHOICES = 16,    /* choices with something in it */
    MARK_NO_CHOICES = 32, /* choices: [] */
    MARK_USAGE = 64,      /* usage is an object */
    MARK_COUNTED = 128,   /* some count came */
    MARK_INDEX = 256,
};

struct event {             /* what was found in the event being read; cleared at its start */
    uint32_t marks, fresh; /* fresh: counts that came in this event */
    uint32_t index;
    uint8_t kind, own; /* the dialect's */
    uint8_t finish_length;
    uint64_t own_bytes;
    uint64_t text_bytes, reasoning_bytes[3];
};

struct reading;
struct dialect_table {
    const struct json_path *paths;
    size_t path_count;
    enum counts_rule rule;
    bool counts_replace;   /* a usage object replaces the earlier one whole */
    bool done_text;        /* data: [DONE] is the terminator */
    uint32_t own_in_event; /* bit n: what value() does with READ_OWN + n changes nothing but the event */
    void (*value)(struct reading *r, int own, const struct json_value *v);
    void (*event)(struct reading *r);                       /* before the verdict; or NULL */
    enum event_verdict (*verdict)(const struct reading *r); /* of an event without token, error, end; or NULL */
};

extern const struct dialect_table openai_table, responses_table, anthropic_table, gemini_table, gemini_array_table,
    ollama_table, plain_table;

struct reading {
    const struct dialect_table *table;
    struct observation seen;
    struct counts counts;
    uint64_t wake_ns;
    uint64_t choices_seen, choices_finished; /* bit per choice, the last one for all above */
    uint64_t prompt_ns, predicted_ns;
    bool events;    /* an event stream: times and chunks mean something */
    bool succeeded; /* the status was 2xx: an error in the body is news */
    bool reasoning_sent;
    struct event event;
    char finish[OBSERVED_FINISH_BYTES]; /* of the choice being read */
};

/* json_value_fn; context is a struct reading. */
void reading_value(void *context, const struct json_value *v);
void reading_event_begin(struct reading *r);
enum event_verdict reading_event_end(struct reading *r);
/* Nothing more comes; `complete`: the body's own syntax was closed (always true for an event stream). */
void reading_end(struct reading *r, bool complete);

/* For the dialects' own functions. */
bool value_is(const struct json_value *v, const char *text); /* an unescaped string, equal */
uint64_t value_text_bytes(const struct json_value *v);       /* unescaped length of a string, exact up to the capture */
void reading_finish_note(struct reading *r, const struct json_value *v); /* into r->finish */
void reading_finish_commit(struct reading *r, uint32_t choice);
