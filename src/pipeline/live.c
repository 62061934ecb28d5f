/* GET /weir/live: what the asking tenant's models do right now. The numbers are kept by the recorder; asking takes hold
 * of them for a moment and waits for nobody. */
#include "telemetry/live.h"

#include "pipeline/exchange.h"
#include "respond.h"

static bool window_find(struct slice query, uint64_t *window_ns) {
    struct slice item, name;
    *window_ns = LIVE_WINDOW_DEFAULT_NS;
    while (slice_cut(&query, '&', &item)) {
        struct slice value = item;
        if (slice_cut(&value, '=', &name) && slice_equal(name, SLICE("window")) && !live_window_parse(value, window_ns))
            return false;
    }
    return true;
}

enum failure respond_live(struct exchange *x) {
    struct buf out = {0};
    uint64_t window_ns;
    if (!window_find(x->head.query, &window_ns)) {
        x->detail = SLICE("window is from 10s to 15m");
        return FAILURE_BAD_REQUEST;
    }
    if (x->worker->live == NULL) return FAILURE_NOT_FOUND;
    live_write_tenant(x->worker->live, x->tenant->name_id, window_ns, &out);
    respond_json(x, 200, buf_slice(&out));
    buf_clear(&out);
    return FAILURE_NONE;
}
