/* http/write.h: the bytes of heads and chunks that weir sends itself. */
#pragma once
#include "base/buf.h"
#include "http/head.h"

struct slice http_reason(unsigned status);                /* "Too Many Requests"; "Unknown" otherwise */
void write_status_line(struct buf *out, unsigned status); /* HTTP/1.1 NNN Reason CRLF */
void write_field(struct buf *out, struct slice name,
                 struct slice value); /* value must hold no CR, LF or NUL (asserted) */
#define CHUNK_HEAD_MAX 18
size_t write_chunk_head(char out[CHUNK_HEAD_MAX], uint64_t length); /* "1f4\r\n"; returns its length */
void write_http_date(char out[30], int64_t unix_s);                 /* RFC 9110 5.6.7, NUL-terminated */
void write_date(struct buf *out, int64_t unix_s); /* the field that every answer must have (6.6.1) */
