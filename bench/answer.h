/* bench/answer.h: the load generator's view of one HTTP answer: parsed in place as it arrives, only counters are kept.
 * The events of a stream are counted by their empty lines, whatever the chunks and reads they come in. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 8192

enum parse_state { AT_HEAD, IN_LENGTH, TO_CLOSE, IN_CHUNK_SIZE, IN_CHUNK, AFTER_CHUNK, IN_TRAILER };

struct answer {
    enum parse_state parse;
    bool close_after;
    unsigned status;
    size_t head_length;
    uint64_t left, body_bytes, events, line_length;
    char last_line[16]; /* of the body: its last line that was not empty, when it is this short */
    char *head;         /* HEAD_MAX bytes: the head, then each line of chunk framing */
};

/* An event ends at an empty line. Lines may end in CRLF or LF and be cut anywhere. */
static inline void answer_count_events(struct answer *a, const char *p, size_t n) {
    for (const char *end = p + n; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t run = (size_t)((eol ? eol : end) - p);
        bool empty = a->line_length == 0 && (run == 0 || (run == 1 && p[0] == '\r'));
        if (!empty) {
            size_t text = run - (run && p[run - 1] == '\r');
            for (size_t i = 0; i < text && a->line_length + i < sizeof a->last_line; i++)
                a->last_line[a->line_length + i] = p[i];
            a->line_length += run;
            size_t stop = a->line_length - (run - text);
            a->last_line[stop < sizeof a->last_line ? stop : 0] = 0;
        }
        if (!eol) return;
        if (empty) a->events++;
        a->line_length = 0;
        p = eol + 1;
    }
}

static inline void take_body(struct answer *a, const char *p, size_t n, bool events) {
    a->body_bytes += n;
    if (events) answer_count_events(a, p, n);
}

static inline bool head_field(const char *line, const char *name, const char **value) {
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':') return false;
    *value = line + n + 1 + strspn(line + n + 1, " \t");
    return true;
}

/* Reads the collected head; returns false when it is no answer. */
static inline bool take_head(struct answer *a) {
    a->head[a->head_length] = 0;
    if (strncmp(a->head, "HTTP/1.", 7) != 0) return false;
    a->status = (unsigned)strtoul(a->head + 9, NULL, 10);
    a->parse = a->status == 204 || a->status == 304 ? IN_LENGTH : TO_CLOSE;
    a->left = 0;
    a->close_after = a->head[7] == '0';
    for (char *line = strchr(a->head, '\n'); line && line[1] != '\r'; line = strchr(line + 1, '\n')) {
        const char *value;
        if (head_field(line + 1, "content-length", &value)) {
            a->left = strtoull(value, NULL, 10);
            a->parse = IN_LENGTH;
        } else if (head_field(line + 1, "transfer-encoding", &value)) {
            a->parse = strncasecmp(value, "chunked", 7) == 0 ? IN_CHUNK_SIZE : TO_CLOSE;
        } else if (head_field(line + 1, "connection", &value)) {
            a->close_after = strncasecmp(value, "close", 5) == 0;
        }
    }
    a->head_length = 0;
    a->body_bytes = a->events = a->line_length = 0;
    a->last_line[0] = 0;
    if (a->status < 200) a->parse = AT_HEAD;
    if (a->parse == TO_CLOSE) a->close_after = true;
    return true;
}

static inline size_t collect_head(struct answer *a, const char *p, size_t n, bool *bad) {
    size_t used = 0;
    while (used < n && a->head_length < HEAD_MAX - 1) {
        const char *eol = memchr(p + used, '\n', n - used);
        size_t run = eol ? (size_t)(eol - p) + 1 - used : n - used;
        if (run > HEAD_MAX - 1 - a->head_length) break;
        memcpy(a->head + a->head_length, p + used, run);
        a->head_length += run;
        used += run;
        if (a->head_length >= 4 && memcmp(a->head + a->head_length - 4, "\r\n\r\n", 4) == 0) {
            *bad = !take_head(a);
            return used;
        }
    }
    *bad = used < n;
    return used;
}

/* One line of chunk framing, collected in `head`; returns bytes used and says when the line is whole. */
static inline size_t take_line(struct answer *a, const char *p, size_t n, bool *whole) {
    const char *eol = memchr(p, '\n', n);
    size_t used = eol ? (size_t)(eol - p) + 1 : n;
    for (size_t i = 0; i < used && a->head_length < 64; i++) a->head[a->head_length++] = p[i];
    *whole = eol != NULL;
    if (*whole) a->head[a->head_length < 64 ? a->head_length : 63] = 0;
    return used;
}

/* Parses from the n bytes at p; returns how many were used. *done: the answer is complete. *bad: it is not HTTP. */
static inline size_t answer_take(struct answer *a, const char *p, size_t n, bool events, bool *done, bool *bad) {
    size_t used;
    bool whole = false;
    switch (a->parse) {
    case AT_HEAD:
        used = collect_head(a, p, n, bad);
        *done = !*bad && a->parse == IN_LENGTH && a->left == 0;
        return used;
    case IN_LENGTH:
    case IN_CHUNK:
        used = n < a->left ? n : (size_t)a->left;
        take_body(a, p, used, events);
        a->left -= used;
        if (a->left == 0 && a->parse == IN_CHUNK)
            a->parse = AFTER_CHUNK;
        else
            *done = a->left == 0;
        return used;
    case TO_CLOSE:
        take_body(a, p, n, events);
        return n;
    default:
        break;
    }
    used = take_line(a, p, n, &whole);
    if (!whole) return used;
    if (a->parse == IN_CHUNK_SIZE) {
        char *end;
        a->left = strtoull(a->head, &end, 16);
        *bad = end == a->head || (*end != '\r' && *end != ';');
        a->parse = a->left ? IN_CHUNK : IN_TRAILER;
    } else if (a->parse == AFTER_CHUNK) {
        *bad = strcmp(a->head, "\r\n") != 0;
        a->parse = IN_CHUNK_SIZE;
    } else {
        *done = strcmp(a->head, "\r\n") == 0;
    }
    a->head_length = 0;
    return used;
}
