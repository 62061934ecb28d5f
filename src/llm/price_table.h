/* llm/price_table.h: the text of the price table that is compiled in. */
#pragma once
#include "base/slice.h"

extern const char price_table_json[], price_table_json_end[] __attribute__((visibility("hidden")));
struct slice price_table_text(void); /* static storage; JSON, not NUL-terminated */
