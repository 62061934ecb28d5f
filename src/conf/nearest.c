/* "Did you mean": the candidate fewest edits away, where an edit inserts, deletes, replaces or swaps neighbours. Letter
 * case and `-` against `_` count as no difference. Not for long texts: those have no nearest. */
#include "conf/errors.h"

enum { NAME_BYTES_MAX = 40 };

static char folded(char c) {
    return c == '-' ? '_' : ascii_lower(c);
}

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* Edits from a to b, by the usual table of which only three rows are kept. */
static unsigned distance(struct slice a, struct slice b) {
    unsigned rows[3][NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.n; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = folded(a.p[i - 1]) == folded(b.p[j - 1]);
            now[j] = least(before[j - 1] + !same, least(before[j], now[j - 1]) + 1);
            bool swapped =
                i > 1 && j > 1 && folded(a.p[i - 1]) == folded(b.p[j - 2]) && folded(a.p[i - 2]) == folded(b.p[j - 1]);
            if (swapped) now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return rows[a.n % 3][b.n];
}

/* A shortened or lengthened word (`max_conns` for `max_connections`) is near however many letters it lacks. */
static bool begin_alike(struct slice a, struct slice b) {
    size_t n = a.n < b.n ? a.n : b.n, same = 0;
    while (same < n && folded(a.p[same]) == folded(b.p[same])) same++;
    return same >= 3 && same * 4 >= n * 3;
}

struct slice conf_nearest(struct slice name, const struct slice *candidates, size_t count) {
    struct slice best = {0};
    if (name.n == 0 || name.n > NAME_BYTES_MAX) return best;
    unsigned allowed = 1 + (unsigned)name.n / 4, best_distance = allowed + 1;
    for (size_t i = 0; i < count; i++) {
        struct slice c = candidates[i];
        if (c.n == 0 || c.n > NAME_BYTES_MAX) continue;
        unsigned d = distance(name, c);
        if (d > allowed && begin_alike(name, c)) d = allowed;
        if (d < best_distance) {
            best = c;
            best_distance = d;
        }
    }
    return best;
}
