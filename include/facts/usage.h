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
