/* Any bytes as an event stream: the splitter, however its input is cut, must see what the plain model sees. */
/* fuzz-sources: src/http/sse.c src/http/bytes.c src/base/slice.c src/base/buf.c src/base/json_text.c src/base/mem.c */
#include <assert.h>

#include "../unit/http/sse_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice bytes = {(const char *)data, size};
    struct buf model = {0};
    sse_model(bytes, &model);
    static const size_t steps[] = {0, 1, 6};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf split = {0};
        bool kept = sse_split(bytes, steps[i], (uint32_t)size, &split);
        assert(kept);
        assert(slice_equal(sse_text(&split), sse_text(&model)));
        buf_clear(&split);
    }
    buf_clear(&model);
    return 0;
}
