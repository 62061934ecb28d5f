/* json/scan.h: finds the byte ranges and the first bytes of a few members of a JSON text, without building a tree and
 * without allocating. Resumable at any byte, so that a body or an event needs no buffer, whatever its size.
 *
 * Which members is a table of paths, compiled once into a `json_paths`: `stream_options.include_usage` is a member of a
 * member, `choices[].delta.content` goes through every element of an array, `[]` at the front means the text itself is
 * an array, the empty path is the whole text. Names are compared after decoding escapes, so `mod\u0065l` is `model`.
 *
 * Strict mode (requests) validates all of RFC 8259: one value, numbers, escapes, UTF-8, no lone surrogates, a depth
 * cap. Relaxed mode (responses) follows only strings and brackets outside the wanted members, and never reads twice; a
 * wanted number or literal that is none (NaN) is passed over in silence; past JSON_CAPTURE_BYTES nobody looks. */
#pragma once
#include "base/slice.h"

#define JSON_DEPTH_MAX 128
#define JSON_CAPTURE_BYTES 256 /* how much of a wanted scalar's text is kept */
#define JSON_PATH_STEPS_MAX 10 /* names and [] in a path */
#define JSON_NAME_MAX 40       /* bytes of a name in a path */

enum json_type { JSON_NONE, JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

struct json_path {
    const char *path;
    int id; /* >= 0; the caller's; several paths may share one */
};

struct json_paths; /* a compiled table: immutable, shared by threads */
/* Aborts on a malformed path, one given twice, or more than 64 wanted members in one object: program bugs. */
struct json_paths *json_paths_new(const struct json_path *paths, size_t count);
void json_paths_free(struct json_paths *p);

struct json_value {
    int id;
    enum json_type type;
    uint64_t begin, end; /* offsets in the text: quotes and brackets included */
    struct slice text; /* raw text: for a string without its quotes and NOT unescaped; at most JSON_CAPTURE_BYTES of it;
                          empty for objects and arrays */
    uint64_t length;   /* the full length of that raw text, for objects and arrays the number of members or elements
                          (relaxed mode: 0 or at least 1) */
    bool escaped;      /* a string with a backslash in it */
    bool member_repeated; /* strict mode: this member's name stood in the same object before */
    uint32_t index;       /* of the innermost array element on the way, 0-based */
};
/* Called as each wanted value ends (an object's members before the object). Must not call back into the scanner. */
typedef void json_value_fn(void *context, const struct json_value *value);

enum json_mode { JSON_STRICT, JSON_RELAXED };
enum json_state { JSON_MORE, JSON_DONE, JSON_BAD }; /* DONE: the value is complete; only white space may follow */

/* One open container on a wanted path. Deeper ones need no more than a bit each. */
struct json_frame {
    uint64_t begin; /* offset of the opening bracket */
    uint64_t count; /* members or elements so far */
    uint64_t seen;  /* strict mode: a bit for each wanted member that has been here */
    uint32_t index; /* of the innermost array element around this container */
    uint16_t node;  /* in the compiled table */
    bool repeated;  /* this container's own name stood in the same object before */
};

/* Fixed size (under 1 KiB), nothing to free, copyable between feeds, moved freely. Members are the scanner's own. */
struct json_scan {
    const struct json_paths *paths;
    json_value_fn *on_value;
    void *context;
    uint64_t offset, value_begin, skip_depth;
    uint64_t kinds[JSON_DEPTH_MAX / 64]; /* bit d: is the container at depth d + 1 an object? */
    uint32_t depth, live;                /* containers open; how many of the outermost have a frame */
    uint32_t code_unit;                  /* of the \u escape being read */
    uint16_t node, text_length;          /* the current value's node; bytes in `text` carried over from earlier feeds */
    uint8_t mode, where, step, string_step, type, utf8_left, utf8_low, utf8_high;
    bool escaped, repeated, high_surrogate, skip_string, skip_inside;
    struct json_frame frames[JSON_PATH_STEPS_MAX + 1];
    char text[JSON_CAPTURE_BYTES]; /* of a name or a wanted scalar that was cut */
};

void json_scan_init(struct json_scan *s, const struct json_paths *paths, enum json_mode mode, json_value_fn *on_value,
                    void *context);
/* Feeds the next n bytes (n may be 0); a caller that must bound its time feeds at most 64 KiB a call. */
enum json_state json_scan_feed(struct json_scan *s, const char *p, size_t n);
/* No more bytes: DONE, or BAD when the value was not complete (a bare number ends here). */
enum json_state json_scan_end(struct json_scan *s);
/* Tells values to somebody else from now on. */
static inline void json_scan_listen(struct json_scan *s, json_value_fn *on_value, void *context) {
    s->on_value = on_value;
    s->context = context;
}
/* The caller knows what the n bytes after the start are: a whole text whose values it has accounted for. */
void json_scan_known(struct json_scan *s, size_t n);
/* Where a scanner stood between two feeds, in less room. */
#define JSON_SAVED_FRAMES 7
struct json_saved {
    _Alignas(uint64_t) char state[96];
    struct json_frame frames[JSON_SAVED_FRAMES];
};
/* False: it stands too deep for that, or in a name or a wanted scalar that was cut. */
bool json_scan_save(struct json_saved *to, const struct json_scan *from);
/* From then on `to` goes on where the other one stood; whom it tells stays as it is. */
void json_scan_restore(struct json_scan *to, const struct json_saved *from);
/* Bytes taken so far; after BAD, the offset of the first bad byte. */
uint64_t json_scan_offset(const struct json_scan *s);

/* Unescapes the raw text of a JSON string into out (at most `max` bytes, which may equal raw.n); false when it does not
 * fit or an escape is malformed. */
bool json_unescape(struct slice raw, char *out, size_t max, size_t *written);
/* Reads a number that is a whole, non-negative value (also 12.0 or 1e3); clamps above; false otherwise. */
bool json_number_u32(struct slice text, uint32_t *value);
