/* upstream/ack_habit.h: when a provider's tokens may be acknowledged late. After each small segment that is read at
 * once the kernel answers with an acknowledgement of its own, which costs as much as sending a token: a quarter of what
 * a paced token costs in all. A receiver may wait for a second segment instead (RFC 9293 3.8.6.3), and the kernel does
 * so from when it is asked to until it had to wait out its timer, at least ACK_TIMER_NS.
 *
 * The hard part is a sender that waits for the acknowledgement before it sends its next small segment (Nagle,
 * RFC 9293 3.7.4): it would be held up by that timer, each time. So what is asked for is a trial: it is asked for only
 * while tokens come closely, and a peer that pauses right after three trials is not tried again. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define ACK_TIMER_NS UINT64_C(40000000) /* Linux: the shortest time an acknowledgement is put off */

struct ack_peer { /* zero-initialise; what is known of a provider, one for a worker */
    unsigned failed_trials;
};

struct ack_habit { /* zero-initialise; one for a connection */
    uint64_t heard_ns;
    uint8_t close_count; /* segments in a row that came closely */
    bool late;           /* acknowledgements are put off, as far as is known */
};

/* Something was read at now_ns. True: acknowledgements are to be put off from now on (again). */
bool ack_habit_heard(struct ack_habit *h, struct ack_peer *peer, uint64_t now_ns);
