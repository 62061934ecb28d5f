/* What jansson says about a request body before and after weir's edits. Apart from the fuzz target because jansson.h
 * and json/scan.h share names. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Aborts unless `edited` is `original` with its model replaced by `model` (NULL: left alone) and, when `asked`,
 * stream_options.include_usage true; everything else the same, in value. */
void oracle_compare(const char *original, size_t original_bytes, const char *edited, size_t edited_bytes,
                    const char *model, bool asked);
