/* The trials by which a connection learns whether late acknowledgements hold its peer up. */
#include "upstream/ack_habit.h"

enum { CLOSE_BEFORE = 4 /* segments, and a trial begins */, CLOSE_AFTER = 8 /* and it went well */, TRIALS_MAX = 3 };
#define CLOSE_NS (ACK_TIMER_NS * 3 / 4)

bool ack_habit_heard(struct ack_habit *h, struct ack_peer *peer, uint64_t now_ns) {
    bool closely = now_ns - h->heard_ns < CLOSE_NS;
    h->heard_ns = now_ns;
    if (!closely) {
        if (h->late && h->close_count < CLOSE_AFTER) peer->failed_trials++;
        h->late = false; /* the timer may have run out, and the kernel with it out of the habit */
        h->close_count = 0;
        return false;
    }
    if (h->close_count < UINT8_MAX) h->close_count++;
    if (h->late && h->close_count == CLOSE_AFTER) peer->failed_trials = 0;
    if (h->late || h->close_count < CLOSE_BEFORE || peer->failed_trials >= TRIALS_MAX) return false;
    h->late = true;
    h->close_count = 0;
    return true;
}
