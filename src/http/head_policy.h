/* http/head_policy.h (private): the second gate. */
#pragma once
#include "http/head.h"

/* Sets each field's id, head->first and all that is derived from fields (framing, keep_alive …), or refuses. */
enum failure policy_request(struct http_head *head);
enum failure policy_answer(struct http_head *head, bool answers_head_request);
