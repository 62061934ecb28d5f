/* Pins: the current configuration and the older ones that still have exchanges, newest first. There is hardly ever more
 * than one, so a list will do. */
#include "pipeline/pins.h"

#include <assert.h>

static void release(struct pin *pin) {
    if (pin->released != NULL) pin->released(pin);
}

void pins_adopt(struct pins *p, struct pin *next) {
    struct pin *before = p->current;
    next->count = 0;
    next->older = NULL;
    p->current = next;
    if (before == NULL) return;
    if (before->count == 0) {
        release(before);
        return;
    }
    before->older = p->older;
    p->older = before;
}

void pins_give(struct pins *p, const struct snapshot *conf) {
    if (p->current->conf == conf) {
        assert(p->current->count > 0);
        p->current->count--;
        return;
    }
    struct pin **link = &p->older;
    while ((*link)->conf != conf) link = &(*link)->older;
    struct pin *pin = *link;
    assert(pin->count > 0);
    if (--pin->count > 0) return;
    *link = pin->older;
    release(pin);
}
