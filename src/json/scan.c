/* The JSON scanner: one automaton over bytes, compiled twice (strict and relaxed), that stops and goes on anywhere.
 *
 * The hard part is doing nearly nothing per byte while any byte may be the last for now. So all that must survive a cut
 * is in `json_scan`; what one feed needs besides is in `struct cursor`, which never leaves the processor's registers. A
 * name or wanted scalar that lies whole in the feed is handed on in place; only one that was cut is carried over, in
 * `text`. Containers off the wanted paths cost a bit (strict) or a counter (relaxed), not a frame.
 *
 * It builds no tree, allocates nothing, and converts nothing: see json_unescape() and json_number_u32(). */
#include <assert.h>

#include "number.h"
#include "paths.h"
#include "run.h"
#include "string_body.h"

enum where { /* what the next byte belongs to */
             AT_VALUE,
             AT_FIRST, /* right after an opening bracket */
             AT_NAME,
             IN_NAME,
             AT_COLON,
             IN_STRING,
             IN_NUMBER,  /* strict only */
             IN_LITERAL, /* strict only */
             IN_TOKEN,   /* relaxed only: a number or a literal, looked at when it is complete */
             IN_SKIP,    /* relaxed only: inside a container without wanted members */
             AFTER_VALUE,
             AT_END, /* the text is complete: white space only */
             AT_BAD,
};

static_assert(sizeof(struct json_scan) <= 1024, "one lives in every open stream");

struct cursor {
    const char *p, *end, *start; /* of this feed */
    const char *token;           /* where the text being kept begins in this feed */
    enum where where;
    bool in_object;
};

ALWAYS_INLINE bool is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Indented texts have long runs of spaces. */
static __attribute__((noinline)) bool skip_space_long(struct cursor *c) {
#if defined(__SSE2__) && !defined(WEIR_SCALAR)
    while (c->end - c->p >= 16) {
        unsigned spaces = run_space_mask(c->p);
        if (spaces != 0xffff) {
            c->p += __builtin_ctz(~spaces);
            return true;
        }
        c->p += 16;
    }
#endif
    while (c->p < c->end && is_space((uint8_t)*c->p)) c->p++;
    return c->p < c->end;
}

/* False: this feed ends here. Mostly there is no space, or one. */
ALWAYS_INLINE bool skip_space(struct cursor *c) {
    for (int i = 0; i < 2; i++) {
        if (c->p == c->end) return false;
        if ((uint8_t)*c->p > ' ' || !is_space((uint8_t)*c->p)) return true;
        c->p++;
    }
    return skip_space_long(c);
}

ALWAYS_INLINE uint64_t offset_of(const struct json_scan *s, const struct cursor *c) {
    return s->offset + (uint64_t)(c->p - c->start);
}

/* Does the innermost container have a frame, so that names and elements in it may be wanted? */
ALWAYS_INLINE bool is_tracked(const struct json_scan *s) {
    return s->depth == s->live;
}

ALWAYS_INLINE bool is_object_at(const struct json_scan *s, uint32_t depth) {
    return depth > 0 && (s->kinds[(depth - 1) / 64] >> ((depth - 1) % 64) & 1) != 0;
}

ALWAYS_INLINE bool is_wanted(const struct json_scan *s) {
    return s->paths->nodes[s->node].id >= 0;
}

/* What nearly always comes next is taken at once, without another round through take_step(): here, the comma. */
ALWAYS_INLINE void end_value(struct json_scan *s, struct cursor *c) {
    c->where = s->depth > 0 ? AFTER_VALUE : AT_END;
    if (c->where != AFTER_VALUE || c->p == c->end || *c->p != ',') return;
    c->p++;
    c->where = c->in_object ? AT_NAME : AT_VALUE;
}

static void keep_text(struct json_scan *s, const char *p, size_t n) {
    size_t room = sizeof(s->text) - s->text_length;
    if (n > room) n = room;
    memcpy(s->text + s->text_length, p, n);
    s->text_length = (uint16_t)(s->text_length + n);
}

/* The text from where it began to c->p, wherever its parts are; never more than JSON_CAPTURE_BYTES. */
ALWAYS_INLINE struct slice kept_text(struct json_scan *s, const struct cursor *c) {
    size_t n = (size_t)(c->p - c->token);
    if (__builtin_expect(s->text_length > 0, 0)) {
        keep_text(s, c->token, n);
        return (struct slice){s->text, s->text_length};
    }
    return (struct slice){c->token, n < JSON_CAPTURE_BYTES ? n : JSON_CAPTURE_BYTES};
}

/* Position in the innermost array on the wanted path. */
static uint32_t element_index(const struct json_scan *s) {
    if (s->live == 0) return 0;
    const struct json_frame *f = &s->frames[s->live - 1];
    return is_object_at(s, s->live) ? f->index : (uint32_t)(f->count - 1);
}

static void report(const struct json_scan *s, struct json_value *v) {
    v->index = element_index(s);
    s->on_value(s->context, v);
}

static __attribute__((noinline)) void report_scalar(const struct json_scan *s, enum json_type type, uint64_t end,
                                                    struct slice text) {
    struct json_value v = {.id = s->paths->nodes[s->node].id,
                           .type = type,
                           .begin = s->value_begin,
                           .end = end,
                           .text = text,
                           .escaped = type == JSON_STRING && s->escaped,
                           .member_repeated = s->repeated};
    v.length = end - v.begin - (type == JSON_STRING ? 2 : 0);
    report(s, &v);
}

static __attribute__((noinline)) void report_container(const struct json_scan *s, enum json_type type, uint64_t end,
                                                       const struct json_frame *f) {
    struct json_value v = {.id = s->paths->nodes[f->node].id,
                           .type = type,
                           .begin = f->begin,
                           .end = end,
                           .length = f->count,
                           .member_repeated = f->repeated};
    report(s, &v);
}

ALWAYS_INLINE void push_frame(struct json_scan *s, const struct cursor *c) {
    struct json_frame *f = &s->frames[s->live];
    *f = (struct json_frame){
        .begin = offset_of(s, c), .index = element_index(s), .node = s->node, .repeated = s->repeated};
    s->live++;
}

/* c->p is at the opening bracket. */
ALWAYS_INLINE void open_container(struct json_scan *s, struct cursor *c, bool object, const bool strict) {
    const struct json_node *n = &s->paths->nodes[s->node];
    bool framed = n->id >= 0 || (object ? n->has_names : n->element != JSON_NODE_NONE);
    if (!strict && !framed) {
        s->skip_depth = 1;
        s->skip_inside = false;
        c->p++;
        c->where = IN_SKIP;
        return;
    }
    if (strict && s->depth == JSON_DEPTH_MAX) {
        c->where = AT_BAD;
        return;
    }
    if (framed)
        push_frame(s, c);
    else
        s->node = JSON_NODE_NONE; /* and so it stays for all that is in here */
    uint64_t bit = 1ULL << (s->depth % 64);
    if (object)
        s->kinds[s->depth / 64] |= bit;
    else
        s->kinds[s->depth / 64] &= ~bit;
    s->depth++;
    c->in_object = object;
    c->p++;
    c->where = AT_FIRST;
    if (object && (strict || n->has_names) && c->p < c->end && *c->p == '"') c->where = AT_NAME; /* as nearly always */
}

/* c->p is at the closing bracket. */
ALWAYS_INLINE void close_container(struct json_scan *s, struct cursor *c) {
    bool tracked = is_tracked(s), object = c->in_object;
    c->p++;
    s->depth--;
    if (tracked) {
        s->live--;
        const struct json_frame *f = &s->frames[s->live];
        if (s->paths->nodes[f->node].id >= 0)
            report_container(s, object ? JSON_OBJECT : JSON_ARRAY, offset_of(s, c), f);
    }
    c->in_object = is_object_at(s, s->depth);
    end_value(s, c);
}

/* Is c->p now at the closing quote? Otherwise the feed has ended or the text is bad. */
ALWAYS_INLINE bool string_body(struct json_scan *s, struct cursor *c, const bool strict) {
    if (s->string_step == STRING_PLAIN) {
        c->p = strict ? run_strict(c->p, c->end, c->start) : run_relaxed(c->p, c->end, c->start);
        if (c->p < c->end && *c->p == '"') return true;
        if (c->p == c->end) return false;
    }
    c->p = strict ? string_rest_strict(s, c->p, c->end, c->start) : string_rest_relaxed(s, c->p, c->end, c->start);
    if (c->p == c->end) return false;
    if (*c->p == '"' && s->string_step == STRING_PLAIN) return true;
    c->where = AT_BAD;
    return false;
}

ALWAYS_INLINE void in_string(struct json_scan *s, struct cursor *c, const bool strict) {
    if (!string_body(s, c, strict)) return;
    if (is_wanted(s)) report_scalar(s, JSON_STRING, offset_of(s, c) + 1, kept_text(s, c));
    c->p++;
    end_value(s, c);
}

ALWAYS_INLINE void end_token(struct json_scan *s, struct cursor *c, enum json_type type) {
    if (is_wanted(s)) report_scalar(s, type, offset_of(s, c), kept_text(s, c));
    end_value(s, c);
}

ALWAYS_INLINE void in_number(struct json_scan *s, struct cursor *c) {
    enum number_step step = (enum number_step)s->step;
    while (c->p < c->end) {
        enum number_step next = number_next(step, (uint8_t)*c->p);
        if (next == NUMBER_BAD) break;
        step = next;
        c->p++;
    }
    s->step = (uint8_t)step;
    if (c->p == c->end) return;
    if (number_may_end(step))
        end_token(s, c, JSON_NUMBER);
    else
        c->where = AT_BAD;
}

ALWAYS_INLINE void in_literal(struct json_scan *s, struct cursor *c) {
    static const char *const texts[] = {[JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null"};
    const char *text = texts[s->type];
    while (text[s->step] != '\0' && c->p < c->end) {
        if (*c->p != text[s->step]) {
            c->where = AT_BAD;
            return;
        }
        s->step++;
        c->p++;
    }
    if (text[s->step] == '\0') end_token(s, c, (enum json_type)s->type);
}

static __attribute__((noinline)) void report_token(const struct json_scan *s, uint64_t end, struct slice text) {
    enum json_type type = token_type(text, end - s->value_begin > text.n);
    if (type != JSON_NONE) report_scalar(s, type, end, text);
}

ALWAYS_INLINE void in_token(struct json_scan *s, struct cursor *c) {
    c->p = run_token(c->p, c->end, c->start);
    if (c->p == c->end) return;
    if (is_wanted(s)) report_token(s, offset_of(s, c), kept_text(s, c));
    end_value(s, c);
}

ALWAYS_INLINE void begin_scalar(struct json_scan *s, struct cursor *c) {
    s->value_begin = offset_of(s, c);
    s->text_length = 0;
    c->token = c->p;
}

ALWAYS_INLINE void begin_element(struct json_scan *s) {
    struct json_frame *f = &s->frames[s->live - 1];
    f->count++;
    s->node = s->paths->nodes[f->node].element;
    s->repeated = false;
}

ALWAYS_INLINE void begin_strict_token(struct json_scan *s, struct cursor *c, uint8_t byte) {
    s->type = byte == 't' ? JSON_TRUE : byte == 'f' ? JSON_FALSE : byte == 'n' ? JSON_NULL : JSON_NUMBER;
    s->step = 0; /* the first character of a literal, and NUMBER_BAD: at_value() has not taken the byte */
    if (s->type != JSON_NUMBER) {
        c->where = IN_LITERAL;
        in_literal(s, c);
    } else if (number_next(NUMBER_BAD, byte) == NUMBER_BAD) {
        c->where = AT_BAD;
    } else {
        c->where = IN_NUMBER;
        in_number(s, c);
    }
}

ALWAYS_INLINE void at_value(struct json_scan *s, struct cursor *c, const bool in_object, const bool strict) {
    if (!skip_space(c)) return;
    uint8_t byte = (uint8_t)*c->p;
    if (!in_object && is_tracked(s) && s->live > 0) begin_element(s);
    if (byte == '{' || byte == '[') {
        open_container(s, c, byte == '{', strict);
        return;
    }
    begin_scalar(s, c);
    if (byte == '"') {
        s->escaped = false;
        c->p++;
        c->token++;
        c->where = IN_STRING;
        in_string(s, c, strict);
        return;
    }
    if (strict) {
        begin_strict_token(s, c, byte);
    } else if (run_stops(byte, RUN_TOKEN)) {
        c->where = AT_BAD;
    } else {
        c->where = IN_TOKEN;
        in_token(s, c);
    }
}

ALWAYS_INLINE void at_first(struct json_scan *s, struct cursor *c, const bool strict) {
    if (!skip_space(c)) return;
    if (*c->p == (c->in_object ? '}' : ']')) {
        close_container(s, c);
        return;
    }
    c->where = c->in_object ? AT_NAME : AT_VALUE;
    if (strict) return;
    struct json_frame *f = &s->frames[s->live - 1]; /* relaxed: open containers all have frames */
    const struct json_node *n = &s->paths->nodes[f->node];
    if (c->in_object ? n->has_names : n->element != JSON_NODE_NONE) return;
    f->count = 1;
    s->skip_depth = 1;
    s->skip_inside = true;
    c->where = IN_SKIP;
}

static __attribute__((noinline)) uint16_t escaped_member(const struct json_scan *s, uint16_t node, struct slice raw) {
    char name[JSON_CAPTURE_BYTES];
    size_t n;
    if (!json_unescape(raw, name, sizeof(name), &n)) return JSON_NODE_NONE;
    return paths_member(s->paths, node, name, n);
}

/* A name of JSON_CAPTURE_BYTES or more may have lost its end, but what is left is still longer than any wanted one. */
static_assert(JSON_CAPTURE_BYTES / 6 > JSON_NAME_MAX, "an escape makes one byte of six");

ALWAYS_INLINE void end_name(struct json_scan *s, struct cursor *c, const bool strict) {
    struct json_frame *f = &s->frames[s->live - 1];
    struct slice raw = kept_text(s, c);
    f->count++;
    if (s->escaped)
        s->node = escaped_member(s, f->node, raw);
    else
        s->node = paths_member(s->paths, f->node, raw.p, raw.n);
    s->repeated = false;
    if (!strict || s->node == JSON_NODE_NONE) return;
    uint64_t bit = 1ULL << s->paths->nodes[s->node].child_bit;
    s->repeated = (f->seen & bit) != 0;
    f->seen |= bit;
}

ALWAYS_INLINE void in_name(struct json_scan *s, struct cursor *c, const bool strict) {
    if (!string_body(s, c, strict)) return;
    if (!strict || is_tracked(s)) end_name(s, c, strict); /* relaxed: what has no frame is skipped */
    c->p++;
    c->where = AT_COLON;
    if (c->p == c->end || *c->p != ':') return;
    c->p++;
    c->where = AT_VALUE;
    if (c->p < c->end) at_value(s, c, true, strict);
}

ALWAYS_INLINE void at_name(struct json_scan *s, struct cursor *c, const bool strict) {
    if (!skip_space(c)) return;
    if (*c->p != '"') {
        c->where = AT_BAD;
        return;
    }
    c->p++;
    c->token = c->p;
    s->text_length = 0;
    s->escaped = false;
    c->where = IN_NAME;
    in_name(s, c, strict);
}

ALWAYS_INLINE void at_colon(struct cursor *c) {
    if (!skip_space(c)) return;
    if (*c->p != ':') {
        c->where = AT_BAD;
        return;
    }
    c->p++;
    c->where = AT_VALUE;
}

ALWAYS_INLINE void in_skip(struct json_scan *s, struct cursor *c) {
    while (c->p < c->end) {
        if (s->skip_string) {
            if (!string_body(s, c, false)) return;
            s->skip_string = false;
            c->p++;
        }
        c->p = run_skip(c->p, c->end, c->start);
        if (c->p == c->end) return;
        if (*c->p == '"') {
            s->skip_string = true;
        } else if ((*c->p & 0x06) == 0x02) { /* { or [ */
            s->skip_depth++;
        } else if (--s->skip_depth == 0) {
            if (s->skip_inside)
                c->where = AFTER_VALUE; /* this bracket closes a container that has a frame */
            else
                c->p++, end_value(s, c);
            return;
        }
        c->p++;
    }
}

ALWAYS_INLINE void after_value(struct json_scan *s, struct cursor *c) {
    if (!skip_space(c)) return;
    if (*c->p == ',') {
        c->p++;
        c->where = c->in_object ? AT_NAME : AT_VALUE;
    } else if (*c->p == (c->in_object ? '}' : ']')) {
        close_container(s, c);
    } else {
        c->where = AT_BAD;
    }
}

ALWAYS_INLINE void take_step(struct json_scan *s, struct cursor *c, const bool strict) {
    switch (c->where) {
    case AT_VALUE:
        at_value(s, c, c->in_object, strict);
        break;
    case AT_FIRST:
        at_first(s, c, strict);
        break;
    case AT_NAME:
        do at_name(s, c, strict);
        while (c->where == AT_NAME && c->p < c->end);
        break;
    case IN_NAME:
        in_name(s, c, strict);
        break;
    case AT_COLON:
        at_colon(c);
        break;
    case IN_STRING:
        in_string(s, c, strict);
        break;
    case IN_NUMBER:
        in_number(s, c);
        break;
    case IN_LITERAL:
        in_literal(s, c);
        break;
    case IN_TOKEN:
        in_token(s, c);
        break;
    case IN_SKIP:
        in_skip(s, c);
        break;
    case AFTER_VALUE:
        after_value(s, c);
        break;
    case AT_END:
        if (skip_space(c)) c->where = AT_BAD;
        break;
    case AT_BAD:
        break;
    }
}

ALWAYS_INLINE bool keeps_text(const struct json_scan *s, enum where where) {
    if (where == IN_NAME) return is_tracked(s);
    return where >= IN_STRING && where <= IN_TOKEN && is_wanted(s);
}

ALWAYS_INLINE void take_bytes(struct json_scan *s, const char *p, size_t n, const bool strict) {
    struct cursor c = {p, p + n, p, p, (enum where)s->where, is_object_at(s, s->depth)};
    while (c.p < c.end && c.where != AT_BAD) take_step(s, &c, strict);
    if (c.where != AT_BAD && keeps_text(s, c.where)) keep_text(s, c.token, (size_t)(c.end - c.token));
    s->where = (uint8_t)c.where;
    s->offset += (uint64_t)(c.p - p);
}

static void take_strict(struct json_scan *s, const char *p, size_t n) {
    take_bytes(s, p, n, true);
}
static void take_relaxed(struct json_scan *s, const char *p, size_t n) {
    take_bytes(s, p, n, false);
}

static enum json_state state_of(const struct json_scan *s) {
    return s->where == AT_END ? JSON_DONE : s->where == AT_BAD ? JSON_BAD : JSON_MORE;
}

void json_scan_init(struct json_scan *s, const struct json_paths *paths, enum json_mode mode, json_value_fn *on_value,
                    void *context) {
    assert(paths != NULL && on_value != NULL);
    memset(s, 0, offsetof(struct json_scan, frames)); /* frames and text are written before they are read */
    s->paths = paths;
    s->on_value = on_value;
    s->context = context;
    s->mode = (uint8_t)mode;
    s->node = JSON_NODE_ROOT;
}

enum json_state json_scan_feed(struct json_scan *s, const char *p, size_t n) {
    if (n > 0 && s->mode == JSON_STRICT)
        take_strict(s, p, n);
    else if (n > 0)
        take_relaxed(s, p, n);
    return state_of(s);
}

/* A bare number or (relaxed) literal is complete only now. */
enum json_state json_scan_end(struct json_scan *s) {
    bool number = s->where == IN_NUMBER && number_may_end((enum number_step)s->step);
    bool complete = s->depth == 0 && (number || s->where == IN_TOKEN);
    if (complete && is_wanted(s)) report_token(s, s->offset, (struct slice){s->text, s->text_length});
    if (complete)
        s->where = AT_END;
    else if (s->where != AT_END)
        s->where = AT_BAD;
    return state_of(s);
}

void json_scan_known(struct json_scan *s, size_t n) {
    s->where = AT_END;
    s->offset = n;
    s->depth = s->live = 0;
    s->text_length = 0;
}

static_assert(offsetof(struct json_scan, frames) == sizeof(((struct json_saved *)NULL)->state), "it is kept whole");

bool json_scan_save(struct json_saved *to, const struct json_scan *from) {
    if (from->live > JSON_SAVED_FRAMES || from->text_length > 0) return false;
    memcpy(to->state, from, sizeof to->state);
    memcpy(to->frames, from->frames, from->live * sizeof from->frames[0]);
    return true;
}

void json_scan_restore(struct json_scan *to, const struct json_saved *from) {
    json_value_fn *on_value = to->on_value;
    void *context = to->context;
    memcpy(to, from->state, sizeof from->state);
    memcpy(to->frames, from->frames, to->live * sizeof to->frames[0]);
    json_scan_listen(to, on_value, context);
}

uint64_t json_scan_offset(const struct json_scan *s) {
    return s->offset;
}
