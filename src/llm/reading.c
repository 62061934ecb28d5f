/* The reading: turns the values a JSON scan reports into an observation, by the actions of the dialect's table. The
 * hard part is what counts when: effects on times and chunks wait for the event's end, because only then is it known to
 * be one well-formed event. Knows nothing about framing (observe.c) nor about what counts mean (counts.c). */
#include "reading.h"

#include <assert.h>

#include "base/clock.h"

#define CHOICE_LAST 63u
#define SUMMED_COUNTS (UINT32_MAX << COUNT_SUM_INPUT)

bool value_is(const struct json_value *v, const char *text) {
    return v->type == JSON_STRING && !v->escaped && slice_equal(v->text, slice_of(text));
}

/* Bytes that the escape at p stands for in UTF-8; *raw: how long it is written. */
static uint64_t escape_bytes(const char *p, size_t n, size_t *raw) {
    *raw = n < 2 ? n : p[1] == 'u' ? 6 : 2;
    if (*raw > n) *raw = n;
    if (*raw < 6) return 1;
    if (p[2] != '0') return (p[2] | 0x20) == 'd' && p[3] >= '8' ? 2 : 3; /* two surrogates make four bytes */
    if (p[3] >= '8') return 3;
    return p[3] != '0' || p[4] >= '8' ? 2 : 1;
}

uint64_t value_text_bytes(const struct json_value *v) {
    if (!v->escaped || v->text.n == 0) return v->length;
    uint64_t bytes = 0;
    for (size_t i = 0, step; i < v->text.n; i += step) {
        step = 1;
        bytes += v->text.p[i] == '\\' ? escape_bytes(v->text.p + i, v->text.n - i, &step) : 1;
    }
    return bytes + (v->length - v->text.n) * bytes / v->text.n;
}

static bool value_empty(const struct json_value *v) {
    switch (v->type) {
    case JSON_STRING:
    case JSON_OBJECT:
    case JSON_ARRAY:
        return v->length == 0;
    case JSON_NUMBER:
        return slice_equal(v->text, SLICE("0"));
    case JSON_TRUE:
        return false;
    default:
        return true;
    }
}

/* Copies a string's text; cut at a character when it does not fit. Returns the length. */
static uint8_t value_copy(const struct json_value *v, char *out, size_t max) {
    char plain[JSON_CAPTURE_BYTES];
    struct slice text = v->text;
    if (v->escaped) {
        size_t n = 0;
        if (!json_unescape(text, plain, sizeof plain, &n)) return 0;
        text = (struct slice){plain, n};
    }
    if (text.n > max) {
        text.n = max;
        while (text.n > 0 && ((unsigned char)text.p[text.n] & 0xc0) == 0x80) text.n--;
    }
    if (text.n > 0) memcpy(out, text.p, text.n);
    return (uint8_t)text.n;
}

static void model_note(struct reading *r, const struct json_value *v, bool replace) {
    if ((r->seen.model_length && !replace) || v->type != JSON_STRING || v->length == 0) return;
    r->seen.model_length = value_copy(v, r->seen.model, sizeof r->seen.model);
}

void reading_finish_note(struct reading *r, const struct json_value *v) {
    if (v->type != JSON_STRING || v->length == 0 || value_is(v, "FINISH_REASON_UNSPECIFIED")) return;
    r->event.finish_length = value_copy(v, r->finish, sizeof r->finish);
    if (value_is(v, "error")) r->event.marks |= MARK_ERROR;
}

void reading_finish_commit(struct reading *r, uint32_t choice) {
    uint64_t bit = UINT64_C(1) << (choice < CHOICE_LAST ? choice : CHOICE_LAST);
    r->choices_seen |= bit;
    if (r->event.finish_length == 0) return;
    r->choices_finished |= bit;
    if (choice == 0 && r->seen.finish_length == 0) {
        memcpy(r->seen.finish, r->finish, r->event.finish_length);
        r->seen.finish_length = r->event.finish_length;
    }
    r->event.finish_length = 0;
}

static void choice_end(struct reading *r, const struct json_value *v) {
    uint32_t choice = r->event.marks & MARK_INDEX ? r->event.index : v->index;
    r->event.marks &= ~(uint32_t)MARK_INDEX;
    reading_finish_commit(r, choice);
}

static void count_note(struct reading *r, enum count slot, const struct json_value *v) {
    uint32_t value, bit = UINT32_C(1) << slot;
    assert(slot < COUNT_SLOTS);
    if (v->type != JSON_NUMBER || !json_number_u32(v->text, &value)) return;
    if (r->event.fresh & bit & SUMMED_COUNTS) {
        uint32_t sum;
        value = __builtin_add_overflow(r->counts.value[slot], value, &sum) ? UINT32_MAX : sum;
    }
    r->counts.value[slot] = value;
    r->counts.known |= bit;
    r->event.fresh |= bit;
    r->event.marks |= MARK_COUNTED;
}

static void usage_end(struct reading *r, const struct json_value *v) {
    if (v->type != JSON_OBJECT) return;
    r->event.marks |= MARK_USAGE;
    if (r->table->counts_replace && r->event.fresh) r->counts.known = r->event.fresh;
}

/* A decimal number of units as nanoseconds, without the locale and without rounding surprises; 0 when it is none. */
static uint64_t number_ns(const struct json_value *v, uint64_t unit_ns) {
    uint64_t whole = 0, fraction = 0, scale = unit_ns;
    size_t i = 0;
    if (v->type != JSON_NUMBER) return 0;
    for (; i < v->text.n && v->text.p[i] >= '0' && v->text.p[i] <= '9'; i++) {
        whole = whole * 10 + (uint64_t)(v->text.p[i] - '0');
        if (whole > UINT64_C(1000000000000000000) / unit_ns) return 0; /* 30 years is no processing time */
    }
    if (i < v->text.n && v->text.p[i] == '.')
        for (i++; i < v->text.n && v->text.p[i] >= '0' && v->text.p[i] <= '9'; i++) {
            scale /= 10;
            fraction += scale * (uint64_t)(v->text.p[i] - '0');
        }
    if (i < v->text.n) { /* an exponent: small times are written so (5.2e-05) */
        if (i + 2 >= v->text.n || (v->text.p[i] | 0x20) != 'e' || v->text.p[i + 1] != '-') return 0;
        uint64_t ns = whole * unit_ns + fraction, places;
        if (!slice_to_u64((struct slice){v->text.p + i + 2, v->text.n - i - 2}, &places) || places > 18) return 0;
        while (places-- > 0) ns /= 10;
        return ns;
    }
    return whole * unit_ns + fraction;
}

static void text_note(struct reading *r, const struct json_value *v) {
    if (v->type != JSON_STRING || v->length == 0) return;
    r->event.marks |= MARK_VISIBLE;
    r->event.text_bytes += value_text_bytes(v);
}

static void reasoning_note(struct reading *r, const struct json_value *v, int name) {
    if (v->type != JSON_STRING || v->length == 0) return;
    r->event.marks |= MARK_REASONING;
    r->event.reasoning_bytes[name] += value_text_bytes(v);
}

static void thing_note(struct reading *r, const struct json_value *v) {
    if (value_empty(v)) return;
    r->event.marks |= MARK_VISIBLE;
    r->event.text_bytes += v->end - v->begin;
}

static void index_note(struct reading *r, const struct json_value *v) {
    if (v->type == JSON_NUMBER && json_number_u32(v->text, &r->event.index)) r->event.marks |= MARK_INDEX;
}

static void choices_end(struct reading *r, const struct json_value *v) {
    if (v->type == JSON_ARRAY) r->event.marks |= v->length == 0 ? MARK_NO_CHOICES : MARK_CHOICES;
}

static void rare_value(struct reading *r, const struct json_value *v) {
    switch (v->id) {
    case READ_MODEL_CHANGED:
        model_note(r, v, true);
        break;
    case READ_SIGN:
        r->event.marks |= value_empty(v) ? 0 : MARK_VISIBLE;
        break;
    case READ_THING:
        thing_note(r, v);
        break;
    case READ_REASONING_SIGN:
        r->event.marks |= value_empty(v) ? 0 : MARK_REASONING;
        break;
    case READ_FINISH_WHOLE:
        reading_finish_note(r, v);
        reading_finish_commit(r, 0);
        break;
    case READ_DONE:
        r->event.marks |= v->type == JSON_TRUE ? MARK_END : 0;
        break;
    case READ_SECONDS:
        r->seen.provider_ns = number_ns(v, NS_PER_S);
        break;
    case READ_NANOSECONDS:
        r->seen.provider_ns = number_ns(v, 1);
        break;
    case READ_PROMPT_MS:
        r->prompt_ns = number_ns(v, NS_PER_MS);
        break;
    case READ_PREDICTED_MS:
        r->predicted_ns = number_ns(v, NS_PER_MS);
        break;
    case READ_ELEMENT:
        reading_event_end(r);
        reading_event_begin(r);
        break;
    default:
        assert(!"an action without code");
    }
}

void reading_value(void *context, const struct json_value *v) {
    struct reading *r = context;
    switch (v->id) {
    case READ_MODEL:
        model_note(r, v, false);
        break;
    case READ_TEXT:
        text_note(r, v);
        break;
    case READ_REASONING:
    case READ_REASONING_SECOND:
    case READ_REASONING_THIRD:
        reasoning_note(r, v, v->id - READ_REASONING);
        break;
    case READ_INDEX:
        index_note(r, v);
        break;
    case READ_FINISH:
        reading_finish_note(r, v);
        break;
    case READ_CHOICE:
        choice_end(r, v);
        break;
    case READ_CHOICES:
        choices_end(r, v);
        break;
    case READ_ERROR:
        r->event.marks |= value_empty(v) ? 0 : MARK_ERROR;
        break;
    case READ_USAGE:
        usage_end(r, v);
        break;
    default:
        if (v->id >= READ_OWN)
            r->table->value(r, v->id - READ_OWN, v);
        else if (v->id >= READ_COUNT)
            count_note(r, (enum count)(v->id - READ_COUNT), v);
        else
            rare_value(r, v);
    }
}

void reading_event_begin(struct reading *r) {
    r->event = (struct event){0};
}

static void token_note(struct reading *r, uint32_t marks) {
    struct observation *seen = &r->seen;
    if (seen->first_token_ns == 0) seen->first_token_ns = r->wake_ns;
    if ((marks & MARK_VISIBLE) && seen->first_visible_ns == 0) seen->first_visible_ns = r->wake_ns;
    if (seen->chunks > 0 && r->wake_ns - seen->last_token_ns > seen->gap_max_ns)
        seen->gap_max_ns = r->wake_ns - seen->last_token_ns;
    seen->last_token_ns = r->wake_ns;
    if (seen->chunks < UINT32_MAX) seen->chunks++;
}

static void text_settle(struct reading *r) {
    const struct event *e = &r->event;
    uint64_t reasoning = 0;
    for (int i = 0; i < 3; i++)
        if (e->reasoning_bytes[i] > reasoning) reasoning = e->reasoning_bytes[i];
    r->seen.text_bytes += e->text_bytes + reasoning;
    if (e->marks & MARK_REASONING) r->reasoning_sent = true;
}

static void usage_settle(struct reading *r, bool final) {
    r->seen.usage = counts_usage(&r->counts, r->table->rule, final);
    r->seen.hidden_tokens = r->events && !r->reasoning_sent ? r->seen.usage.reasoning : 0;
    if (r->predicted_ns) r->seen.provider_ns = r->prompt_ns + r->predicted_ns;
}

enum event_verdict reading_event_end(struct reading *r) {
    if (r->table->event) r->table->event(r);
    uint32_t marks = r->event.marks, token = marks & (MARK_VISIBLE | MARK_REASONING);
    if (r->events && r->seen.first_event_ns == 0) r->seen.first_event_ns = r->wake_ns;
    if (token) text_settle(r);
    if (token && r->events) token_note(r, marks);
    if (marks & MARK_COUNTED) usage_settle(r, false);
    if ((marks & MARK_END) && r->seen.terminator_ns == 0) r->seen.terminator_ns = r->wake_ns;
    if (marks & MARK_END) r->seen.terminated = true;
    if (marks & MARK_ERROR) {
        r->seen.failed = r->seen.failed || r->succeeded;
        return EVENT_ERROR;
    }
    if (marks & MARK_END) return EVENT_END;
    if (token) return EVENT_TOKEN;
    return r->table->verdict ? r->table->verdict(r) : EVENT_PASS;
}

void reading_end(struct reading *r, bool complete) {
    bool finished = r->choices_seen != 0 && r->choices_seen == r->choices_finished;
    if (complete && (finished || !r->events)) r->seen.terminated = true;
    usage_settle(r, complete && r->seen.terminated);
}
