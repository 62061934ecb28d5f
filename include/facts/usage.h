/* facts/usage.h: token counts of one exchange, normalised: `input` includes cached tokens (read and written), `output`
 * includes reasoning, whatever the provider's own field names include. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct usage {
    uint32_t input, output, cache_read, cache_write, reasoning;
    uint32_t cache_write_1h;        /* part of cache_write that was written for an hour (Anthropic), for the price */
    bool input_known, output_known; /* the provider said so; a counted or estimated number leaves these false */
    bool estimated;                 /* any number here is weir's own count */
};

static inline bool usage_equal(const struct usage *a, const struct usage *b) { /* bytes between members do not count */
    return a->input == b->input && a->output == b->output && a->cache_read == b->cache_read &&
           a->cache_write == b->cache_write && a->reasoning == b->reasoning && a->cache_write_1h == b->cache_write_1h &&
           a->input_known == b->input_known && a->output_known == b->output_known && a->estimated == b->estimated;
}
