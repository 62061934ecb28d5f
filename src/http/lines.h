/* http/lines.h (private): the line structure of a head, judged before any field is read. */
#pragma once
#include "http/head.h"

enum scan { SCAN_MORE, SCAN_WHOLE, SCAN_BROKEN };

/* Walks CRLF lines from *scanned on. WHOLE: *length bytes are a head and end with its empty line. BROKEN: the last of
 * *length bytes cannot stand there (bare CR or LF, a control byte, a folded line, a third leading empty line). *lines
 * counts the line ends passed before the empty line by this call. */
enum scan lines_scan(const char *p, size_t n, size_t *scanned, size_t *length, unsigned *lines);
size_t lines_leading(const char *p, size_t n); /* bytes of leading empty lines: 0, 2 or 4 */

/* Both fill what the start line says and return FAILURE_NONE, BAD_REQUEST or METHOD_NOT_ALLOWED; `line` is without
 * CRLF. */
enum failure request_line_parse(struct http_head *head, struct slice line);
enum failure status_line_parse(struct http_head *head, struct slice line); /* or BAD_RESPONSE */
bool host_is_valid(struct slice value); /* RFC 9112 3.2, without user information or escapes */
