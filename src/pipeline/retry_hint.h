/* pipeline/retry_hint.h: what an error answer says about asking again. */
#pragma once
#include "http/head.h"
#include "upstream/retry.h"

/* x-should-retry, retry-after-ms and, where that is not there, retry-after. */
void retry_hint_head(struct retry_hint *hint, const struct http_head *head, int64_t unix_now_s);
/* An error's whole body: OpenAI's `insufficient_quota`, Google's RetryInfo. What is not JSON says nothing. */
void retry_hint_body(struct retry_hint *hint, struct slice body);
