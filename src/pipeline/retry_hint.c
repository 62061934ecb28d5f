/* What an error answer says about asking again. Read only when a try has failed: nothing here is on the way of a
 * request that succeeds. */
#include "retry_hint.h"

#include <pthread.h>

#include "json/scan.h"

void retry_hint_head(struct retry_hint *hint, const struct http_head *head, int64_t unix_now_s) {
    struct slice should = head_value(head, FIELD_X_SHOULD_RETRY);
    if (slice_equal_nocase(should, SLICE("true"))) hint->should = SHOULD_RETRY_YES;
    if (slice_equal_nocase(should, SLICE("false"))) hint->should = SHOULD_RETRY_NO;
    hint->after_said = retry_after_ms_read(slice_trim(head_find(head, SLICE("retry-after-ms"))), &hint->after_ns) ||
                       retry_after_read(slice_trim(head_value(head, FIELD_RETRY_AFTER)), unix_now_s, &hint->after_ns);
    if (!hint->after_said) hint->after_ns = 0;
}

/* ---- the body ---- */

enum { FOUND_CODE, FOUND_DELAY };

/* Google answers a stream that nobody asked events of with an array, errors included. */
static const struct json_path object_paths[] = {
    {"error.code", FOUND_CODE}, {"error.type", FOUND_CODE}, {"error.details[].retryDelay", FOUND_DELAY}};
static const struct json_path array_paths[] = {{"[].error.details[].retryDelay", FOUND_DELAY}};
static struct json_paths *object, *array;
static pthread_once_t compile_once = PTHREAD_ONCE_INIT;

static void paths_compile(void) {
    object = json_paths_new(object_paths, sizeof object_paths / sizeof *object_paths);
    array = json_paths_new(array_paths, sizeof array_paths / sizeof *array_paths);
}

static void value_found(void *context, const struct json_value *v) {
    struct retry_hint *hint = context;
    uint64_t ns;
    if (v->type != JSON_STRING) return;
    if (v->id == FOUND_CODE) {
        hint->no_quota |= slice_equal(v->text, SLICE("insufficient_quota"));
    } else if (retry_duration_read(v->text, &ns) && (!hint->after_said || ns > hint->after_ns)) {
        hint->after_said = true;
        hint->after_ns = ns;
    }
}

void retry_hint_body(struct retry_hint *hint, struct slice body) {
    struct json_scan scan;
    pthread_once(&compile_once, paths_compile);
    body = slice_trim(body);
    if (body.n == 0) return;
    json_scan_init(&scan, body.p[0] == '[' ? array : object, JSON_RELAXED, value_found, hint);
    json_scan_feed(&scan, body.p, body.n);
}
