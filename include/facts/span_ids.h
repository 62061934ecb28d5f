/* facts/span_ids.h: the ids of the spans below an exchange's own. They follow from its span id, so that whoever needs
 * one (the head sent to a provider, an exporter, the store) computes it and no record has to carry it. */
#pragma once
#include <stdint.h>

#include "facts/phases.h"

/* Which span below the exchange's own: the model's call as a whole, the n-th attempt (from 1), and the phases of the
 * exchange (attempt 0) or of an attempt. */
#define SPAN_INFERENCE 0u
#define SPAN_ATTEMPT(n) ((uint32_t)(n))
#define SPAN_PHASE(attempt, phase) (UINT32_C(0x10000) + (uint32_t)(attempt)*PHASE_COUNT + (uint32_t)(phase))

/* Never all zero, never the exchange's own, and no two of one exchange alike. */
void span_id_below(const uint8_t exchange[8], uint32_t which, uint8_t out[8]);
