/* cli/admin_client.h: asks a running gateway's admin port, for the commands that read one. Blocking. */
#pragma once
#include "base/buf.h"

enum { ADMIN_ANSWER_MAX = 64 << 20 };

struct admin_client { /* zero-initialise */
    const char *url;  /* http://HOST[:PORT]; NULL: WEIR_ADMIN_URL, else http://127.0.0.1:9347 */
    char shown[256];  /* the URL that is asked, for messages */
    unsigned status;  /* of the last answer; 0: there was none */
};

/* GET `target` (a path with its query). True: 200, with the body in `body`; else `message` says what is wrong in words
 * for a person, without the token (WEIR_ADMIN_TOKEN). Waits `timeout_ms` at most, all in all. */
bool admin_get(struct admin_client *c, const char *target, unsigned timeout_ms, struct buf *body, char *message,
               size_t message_bytes);
