/* llm/observe.h: reads a provider's answer as it passes and says what is in it: when the first token came, how many
 * tokens, how it ended. Sees const bytes after transfer decoding; cannot fail, block, allocate or change a byte: a bug
 * here can spoil a number, never a reply. Everything is resumable at any byte; state is of fixed size. */
#pragma once
#include "facts/dialect.h"
#include "facts/usage.h"
#include "llm/operation.h"

#define OBSERVED_MODEL_BYTES 96
#define OBSERVED_FINISH_BYTES 40

enum event_verdict {
    EVENT_PASS,       /* nothing special */
    EVENT_TOKEN,      /* carries generated tokens of any channel */
    EVENT_USAGE_ONLY, /* OpenAI chat/completions: `choices: []` and a usage object, no error; may be taken out if weir
                         asked for it */
    EVENT_ERROR,      /* an error inside a 200 */
    EVENT_END,        /* the dialect's terminator */
};

struct observation {
    /* Stamps as given to observer_take() with the last byte of the event; 0 = not yet. Of event streams, arrays and
     * lines only: a whole answer has no first token. */
    uint64_t first_event_ns, first_token_ns, first_visible_ns, last_token_ns, terminator_ns;
    uint64_t gap_max_ns;    /* between two events that carried tokens */
    uint32_t chunks;        /* events that carried a token */
    uint32_t hidden_tokens; /* output tokens produced before the first visible sign (reasoning that sent no bytes) */
    uint64_t text_bytes;    /* generated text seen (unescaped length, all channels), for the estimate */
    struct usage usage;     /* normalised (facts/usage.h); from the provider only */
    bool terminated;        /* its terminator, or every choice seen has finished; a whole answer: its JSON is closed;
                               what weir cannot read: it was ended. Settled by observer_end() */
    bool failed;            /* an error inside a 200, even when a terminator follows */
    bool unclosed;          /* one JSON text, well-formed as far as it goes, that was not closed. By observer_end() */
    uint8_t finish_length, model_length;
    char finish[OBSERVED_FINISH_BYTES]; /* the provider's own word, of the first choice */
    char model[OBSERVED_MODEL_BYTES];   /* the model that answered; empty when not said */
    uint64_t provider_ns; /* the provider's own processing time where the body says it (Ollama, Groq, llama.cpp);
                             0 = not said */
};

/* How the answer's body is framed for reading; chosen from status, Content-Type and the first non-space byte. */
enum answer_shape {
    ANSWER_SSE,
    ANSWER_JSON,
    ANSWER_JSON_ARRAY, /* Gemini's array stream */
    ANSWER_NDJSON,
    ANSWER_OPAQUE,
};

struct observer; /* lives in memory the caller gives (an exchange's arena) */
size_t observer_bytes(void);
struct observer *observer_init(void *memory, enum dialect dialect, enum operation operation, bool stream,
                               struct slice content_type, unsigned status);

/* Takes bytes of the body up to and including the end of the first event in them; returns how many (> 0 when n > 0).
 * *ended says that an event ended there, and *verdict what it was; otherwise all n bytes were taken and the event goes
 * on. Not an event stream: takes all, never `ended`. `wake_ns`: when the bytes arrived. */
size_t observer_take(struct observer *o, const char *p, size_t n, uint64_t wake_ns, bool *ended,
                     enum event_verdict *verdict);
/* The body is complete (or will not be): settles the last event, usage and finish. Idempotent. */
void observer_end(struct observer *o, uint64_t wake_ns);
const struct observation *observer_seen(const struct observer *o);
enum answer_shape observer_shape(const struct observer *o);
/* Has the first token been seen, or, for what has no tokens (embeddings, a non-streamed answer), the first byte of the
 * body that is no white space? */
bool observer_started(const struct observer *o);
