/* src/llm/prefix.h: the events of one stream are alike. Of its first event it is remembered what stands before the
 * first object or array in it (the stem: names of the answer and its model, mostly): what begins with it is scanned
 * from there on. Of the first event with a token it is remembered what stands before the token, what stands behind it,
 * and what it all came to: an event that is the same but for its token is not scanned at all, only its token's length
 * counts, and one that ends otherwise is scanned from its token on. */
#pragma once
#include "reading.h"

enum { PREFIX_BYTES_MAX = 320, TAIL_BYTES_MAX = 160 };

struct prefix {             /* zero-initialise */
    uint16_t stem_length;   /* 0 = none is known */
    uint16_t length;        /* of what stands before the token's opening quote; 0 = no event is known */
    uint8_t tail_length;    /* from the token's closing quote to the event's end; 0 = not known */
    uint8_t tails_learnt;   /* endings that change with each event are not learnt for ever */
    bool stands;            /* before_token and `before` are valid */
    int token;              /* the action that reads the token */
    struct json_saved stem; /* the scanner behind the stem: the event is still blank there */
    struct json_saved before_token;
    struct event before;                                /* what had been found before the token */
    struct event whole;                                 /* what an event came to, but for the token's bytes */
    char bytes[PREFIX_BYTES_MAX], tail[TAIL_BYTES_MAX]; /* bytes: with the token's opening quote */
};

/* Takes the first piece of an event: by what is known, or by feeding it to `scan`, which has just begun and tells r,
 * and learning from it. Returns what json_scan_feed() would. */
enum json_state prefix_feed(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text);
/* Does `text`, which may go on behind it, begin with an event that is known but for its token? Returns how long it is,
 * with all that it comes to in r->event; 0: it does not. Whether the event ends there is for the caller to see: until
 * one begins anew r->event means nothing. */
size_t prefix_whole(const struct prefix *p, struct reading *r, struct slice text);
