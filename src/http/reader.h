/* http/reader.h (private): the first gate, llhttp. Does not include http/head.h: llhttp names its methods the same way.
 */
#pragma once
#include "http/fields.h"

/* Runs llhttp, no leniency, over one whole head without leading empty lines and fills the name and value of `count`
 * fields. False when it refuses the head or sees it otherwise than our own reading of the lines: that many fields, each
 * beginning where a line begins, and `target` between method and version. */
bool reader_request(struct slice raw, struct slice target, struct field *fields, unsigned count);
bool reader_answer(struct slice raw, struct field *fields, unsigned count);
