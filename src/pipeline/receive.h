/* pipeline/receive.h: the client's side of an exchange while its request is read. */
#pragma once
#include "pipeline/exchange.h"

size_t receive_bytes(struct exchange *x, const char *p,
                     size_t n);                   /* takes up to the end of the request; returns how many */
void receive_client_drained(struct exchange *x);  /* the client has taken what was queued */
void receive_client_deadline(struct exchange *x); /* the client's deadline has passed */
void receive_client_queued(struct exchange *x);   /* something had to be queued for the client: its clock runs */
void receive_body_pause(struct exchange *x);      /* STREAMED: the provider cannot keep up */
void receive_body_resume(struct exchange *x);
