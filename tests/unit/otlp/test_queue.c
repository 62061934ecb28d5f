/* What waits is bounded, in items and bytes; batches are given when full, when old, or when asked for. */
#include "unit.h"

#include "queue.h"

static struct queue queue_of(unsigned items, size_t bytes) {
    return (struct queue){
        .limits = {
            .items_max = items, .batch_items_max = 4, .bytes_max = bytes, .batch_bytes_max = 100, .delay_ns = 1000}};
}

static void a_batch_goes_when_it_is_full_or_old(void **state) {
    (void)state;
    struct queue q = queue_of(100, 1000);
    assert_int_equal(queue_due_ns(&q), UINT64_MAX);
    assert_null(queue_take(&q, true, 5));
    assert_true(queue_add(&q, SLICE("abc"), 2, 10));
    assert_int_equal(queue_due_ns(&q), 1010);
    assert_null(queue_take(&q, false, 1009));
    assert_true(queue_add(&q, SLICE("def"), 2, 20));
    assert_int_equal(queue_due_ns(&q), 10);
    assert_true(queue_add(&q, SLICE("next"), 1, 30));
    struct batch *b = queue_take(&q, false, 30);
    assert_int_equal(b->count, 4);
    assert_true(slice_equal(buf_slice(&b->items), SLICE("abcdef")));
    batch_free(b);
    assert_null(queue_take(&q, false, 1029));
    b = queue_take(&q, false, 1030);
    assert_int_equal(b->count, 1);
    batch_free(b);
    assert_int_equal(q.items, 0);
    assert_int_equal(q.bytes, 0);
}

static void a_full_queue_refuses_the_newest(void **state) {
    (void)state;
    struct queue q = queue_of(10, 1000);
    for (int i = 0; i < 5; i++) assert_true(queue_add(&q, SLICE("xx"), 2, 1));
    assert_false(queue_add(&q, SLICE("xx"), 1, 1));
    struct batch *b = queue_take(&q, true, 1);
    assert_int_equal(b->count, 4);
    batch_free(b);
    assert_true(queue_add(&q, SLICE("xx"), 4, 1));
    assert_false(queue_add(&q, SLICE("xx"), 1, 1));
    assert_int_equal(queue_clear(&q), 10);
    struct queue small = queue_of(100, 10);
    assert_true(queue_add(&small, SLICE("12345678"), 1, 1));
    assert_false(queue_add(&small, SLICE("123"), 1, 1));
    assert_true(queue_add(&small, SLICE("12"), 1, 1));
    assert_int_equal(queue_clear(&small), 2);
    assert_null(queue_take(&small, true, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_goes_when_it_is_full_or_old),
        cmocka_unit_test(a_full_queue_refuses_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
