/* The price table that is compiled in: conf/prices.json as it was at build time, byte for byte. The assembler reads the
 * file (make runs in the project's root), so no generator and no second copy exist. */
#include "price_table.h"

__asm__(".pushsection .rodata\n"
        ".hidden price_table_json\n"
        ".hidden price_table_json_end\n"
        ".globl price_table_json\n"
        ".globl price_table_json_end\n"
        "price_table_json:\n"
        ".incbin \"conf/prices.json\"\n"
        "price_table_json_end:\n"
        ".popsection\n");

struct slice price_table_text(void) {
    /* Both symbols bound one object, which the assembler made. */
    // cppcheck-suppress comparePointers
    return (struct slice){price_table_json, (size_t)(price_table_json_end - price_table_json)};
}
