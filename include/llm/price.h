/* llm/price.h: what an exchange cost, in integer pico-dollars (1e-12 USD): a price per million tokens in dollars times
 * 1e6 is exact pico-dollars a token. */
#pragma once
#include "facts/usage.h"
#include "base/slice.h"

struct price_table;
/* NULL file: the table compiled in (conf/prices.json at build time). The file is a JSON array of objects (or {"prices":
 * […]}) with the fields of docs/prices.md. NULL with a message on error. */
struct price_table *price_table_load(const char *file, char *error, size_t error_bytes);
void price_table_free(struct price_table *t);
struct price; /* one row; belongs to the table */
/* Exact provider and model, then without a date suffix, then the model under any provider when that is unambiguous.
 * NULL: no known price, the cost is then unknown, never 0. */
const struct price *price_find(const struct price_table *t, struct slice provider, struct slice model);
int64_t price_cost(const struct price *p, const struct usage *u); /* pico-dollars; saturates */
/* Walks all rows; *cursor starts at 0; false at the end. */
bool price_next(const struct price_table *t, size_t *cursor, struct slice *provider, struct slice *model);
size_t price_count(const struct price_table *t);
