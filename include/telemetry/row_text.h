/* telemetry/row_text.h: a row as text that other processes read: how rows are kept in Redis. Counters in their order,
 * with commas; then for each measure a semicolon and, unless it is empty, its sum, its max, and BUCKET:COUNT for each
 * bucket, with commas. New counters and measures come behind those there are: a reader passes over what it does not
 * know, and takes what is missing for 0. */
#pragma once
#include "telemetry/row.h"

void row_text_write(struct buf *out, const struct row *r, bool measures);
/* Adds what the text says to the row. False: it is no such text, and nothing was added. */
bool row_text_read(struct slice text, struct row *into);
