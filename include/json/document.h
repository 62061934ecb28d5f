/* json/document.h: JSON as a tree, where one is right: answers of weir's own API, read by its commands. jansson's own
 * types are used as they are. Not together with json/scan.h in one file: their names clash. */
#pragma once
#include <jansson.h>

#include "base/slice.h"

/* NULL: not one JSON object or array. The caller's: json_decref(). */
json_t *document_parse(struct slice text);
/* A member's number; `otherwise` when it is not there or no number (null: not known). */
double document_number(const json_t *object, const char *member, double otherwise);
const char *document_text(const json_t *object, const char *member, const char *otherwise); /* borrowed from the tree */
