/* cli/top_table.h: live numbers as a table of text. */
#pragma once
#include "base/buf.h"
#include "json/document.h"

enum { TOP_COLUMNS_MAX = 24 };

struct top_view {
    unsigned width, height; /* of the screen; height 0: as many lines as there are */
    unsigned sort;          /* column; 0 is the name */
    bool reversed;          /* against the column's own order: numbers from the top, names from A */
    bool colour;
    const char *message; /* in the last line instead of the keys; NULL: none */
};

unsigned top_column_of(const char *name); /* by the word of --sort; TOP_COLUMNS_MAX: there is none */
unsigned top_column_of_key(char key);     /* by the key to press */
const char *top_column_words(void);       /* all words of --sort, for help */
/* The screen's lines, each with its end; on a screen (height > 0) each clears the rest of its line. */
void top_write(struct buf *out, const json_t *live, const struct top_view *view);
