/* units.h: numbers with the units that people write. Pure functions: false for what is malformed or does not fit. */
#pragma once
#include "base/slice.h"

bool units_count(struct slice s, uint64_t *value);      /* 200, 200k, 3M */
bool units_duration(struct slice s, uint64_t *ns);      /* 250ms, 30s, 5m, 12h, 30d; a bare 0 */
bool units_size(struct slice s, uint64_t *bytes);       /* 512B, 64KiB, 32MiB, 4GiB, 1TiB; a bare 0 */
bool units_rate(struct slice s, uint64_t *bytes_per_s); /* 1KiB/s */
bool units_percent(struct slice s, uint64_t *percent);  /* `5%` */
bool units_money(struct slice s, uint64_t *pico_usd);   /* 25, 0.50: dollars with at most 6 decimals */
bool units_bool(struct slice s, bool *value);           /* true false on off */
/* 2027-01-01 (its first second in UTC) or 2027-01-01T12:00:00Z, from 1970 to 9999. */
bool units_date(struct slice s, int64_t *unix_s);

/* Writes a value in the largest unit that shows it exactly, as the functions above read it. */
#define UNITS_TEXT_BYTES 40
void units_duration_text(uint64_t ns, char out[UNITS_TEXT_BYTES]);
void units_size_text(uint64_t bytes, char out[UNITS_TEXT_BYTES]);
