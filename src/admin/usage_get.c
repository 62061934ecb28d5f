/* GET /api/usage. Where replicas share their counts in Redis, all that was told there is read, a tenant after the other
 * and a page of its hashes at a time; the session waits. Redis gone: this replica's own numbers, which say so.
 * The hard part is the session's end while a question is out: the reading is then freed and its call cancelled. */
#include "usage_get.h"

#include <stdio.h>

#include "api.h"
#include "api_usage.h"
#include "base/clock.h"
#include "base/mem.h"
#include "facts/names.h"
#include "redis/usage_key.h"
#include "redis/client.h"
#include "telemetry/row_text.h"

enum {
    KEYS_A_CALL = 64,
    PAGE_BYTES = 1 << 20,
    HASHES_MAX = 100000, /* a question about more is refused */
};
#define CALL_NS (2 * NS_PER_S)

struct usage_reading {
    struct session *session;
    struct query query; /* the question's and the page's texts */
    struct usage_question question;
    struct usage_page page;
    struct usage_answer answer;
    enum usage_level level;
    int64_t first_s, end_s; /* slots that can be there */
    uint32_t *tenants;      /* whose hashes are read */
    size_t tenant_count, tenant_capacity, tenant_at;
    int64_t batch_s, next_s; /* first slot of the call that is out; the one after its last */
    struct buf after;        /* the field of its first hash to go on behind */
    struct redis_handle call;
};

void usage_reading_free(struct usage_reading *r) {
    if (r == NULL) return;
    if (r->session->options->redis_client != NULL) redis_cancel(r->session->options->redis_client, r->call);
    usage_answer_clear(&r->answer);
    buf_clear(&r->page.text);
    buf_clear(&r->after);
    mem_free(r->tenants);
    mem_free(r);
}

static int64_t wall_ns(void) {
    return clock_wall_ns(clock_now_ns());
}

static void answer_reply(struct usage_reading *r, struct slice scope, bool keep) {
    struct buf body = {0};
    usage_answer_sort(&r->answer);
    usage_answer_write(&body, &r->question, &r->page, &r->answer, scope, wall_ns());
    session_reply(r->session, 200, SLICE("application/json"), buf_slice(&body), keep);
    buf_clear(&body);
}

static void answer_own(struct usage_reading *r, bool keep) {
    usage_answer_clear(&r->answer);
    usage_ask(r->session->options->usage, &r->question, &r->answer);
    answer_reply(r, SLICE("replica"), keep);
}

/* ---- reading ---- */

static void batch_ask(struct usage_reading *r);

/* The answer is on its way; the session was kept waiting and ends with it. */
static void reading_end(struct usage_reading *r, bool all) {
    struct session *s = r->session;
    r->call = (struct redis_handle){0};
    if (all)
        answer_reply(r, SLICE("fleet"), false);
    else
        answer_own(r, false);
    session_end(s, true);
}

/* Key, field and value of each; a row that cannot be read is another version's, and passed over. */
static void page_take(struct usage_reading *r, const struct redis_reply *page) {
    struct traffic_key key = {.tenant = r->tenants[r->tenant_at]};
    for (size_t i = 2; i + 2 < page->count; i += 3) {
        int64_t hash = redis_item_integer(page, i, 0);
        int64_t slot_s = r->batch_s + (hash - 1) * usage_level_seconds(r->level);
        struct row row = {0};
        if (hash >= 1 && hash <= KEYS_A_CALL && usage_field_read(redis_item_text(page, i + 1), &key) &&
            row_text_read(redis_item_text(page, i + 2), &row))
            usage_answer_add(&r->answer, &r->question, slot_s, &key, &row);
        row_clear(&row);
    }
}

/* Where to go on: within this batch, with the tenant's next, or with the next tenant. */
static void page_done(void *context, const struct redis_result *result) {
    struct usage_reading *r = context;
    const struct redis_reply *page = result->reply;
    bool good = result->failure == REDIS_OK && page->type == REDIS_ARRAY;
    int64_t go_on = good ? redis_item_integer(page, 0, -1) : -1;
    if (go_on < 0 || go_on > KEYS_A_CALL) {
        reading_end(r, false);
        return;
    }
    page_take(r, page);
    r->after.start = r->after.end = 0;
    if (go_on > 0) {
        r->batch_s += (go_on - 1) * usage_level_seconds(r->level);
        buf_append_slice(&r->after, redis_item_text(page, 1));
    } else {
        r->batch_s = r->next_s;
        if (r->batch_s >= r->end_s) r->tenant_at++, r->batch_s = r->first_s;
    }
    batch_ask(r);
}

static void batch_ask(struct usage_reading *r) {
    const struct admin_options *o = r->session->options;
    struct slice words[KEYS_A_CALL + 2];
    struct buf text = {0};
    size_t ends[KEYS_A_CALL];
    unsigned n = 0;
    if (r->tenant_at == r->tenant_count) {
        reading_end(r, true);
        return;
    }
    struct slice tenant = name_of(r->tenants[r->tenant_at]);
    for (r->next_s = r->batch_s; n < KEYS_A_CALL && r->next_s < r->end_s; r->next_s += usage_level_seconds(r->level)) {
        usage_key_append(&text, o->redis_prefix, tenant, (enum usage_kind)r->level, r->next_s);
        ends[n++] = buf_length(&text);
    }
    for (unsigned i = 0; i < n; i++) {
        size_t begin = i > 0 ? ends[i - 1] : 0;
        words[i] = (struct slice){text.data + text.start + begin, ends[i] - begin};
    }
    char bytes[24];
    snprintf(bytes, sizeof bytes, "%d", PAGE_BYTES);
    words[n] = slice_of(bytes);
    words[n + 1] = buf_slice(&r->after);
    bool taken = redis_call(o->redis_client,
                            &(struct redis_call){.script = redis_script(REDIS_SCRIPT_count_read),
                                                 .words = words,
                                                 .word_count = n + 2,
                                                 .key_count = n,
                                                 .done = page_done,
                                                 .context = r,
                                                 .timeout_ns = CALL_NS},
                            &r->call);
    buf_clear(&text);
    if (!taken) reading_end(r, false);
}

static bool tenant_is_asked_for(const struct usage_question *q, struct slice tenant) {
    bool any = false;
    for (unsigned i = 0; i < q->filter_count; i++) {
        if (q->filters[i].key != TRAFFIC_PART_tenant) continue;
        if (slice_equal(q->filters[i].value, tenant)) return true;
        any = true;
    }
    return !any;
}

static void tenant_add(struct usage_reading *r, struct slice tenant) {
    if (!tenant_is_asked_for(&r->question, tenant)) return;
    r->tenants = mem_array_grow(r->tenants, &r->tenant_capacity, sizeof *r->tenants, r->tenant_count + 1);
    r->tenants[r->tenant_count++] = name_told(tenant);
}

static void tenants_done(void *context, const struct redis_result *result) {
    struct usage_reading *r = context;
    if (result->failure != REDIS_OK || result->reply->type != REDIS_ARRAY) {
        reading_end(r, false);
        return;
    }
    tenant_add(r, SLICE(""));
    for (size_t i = 0; i < result->reply->count; i++) {
        struct buf tenant = {0};
        if (usage_tenant_field_read(redis_item_text(result->reply, i), &tenant)) tenant_add(r, buf_slice(&tenant));
        buf_clear(&tenant);
    }
    int64_t slots = (r->end_s - r->first_s) / usage_level_seconds(r->level);
    if ((int64_t)r->tenant_count * slots > HASHES_MAX) {
        struct session *s = r->session;
        r->call = (struct redis_handle){0};
        session_reply_error(s, 429, "busy", "too many tenants and steps at once: ask for fewer", false);
        session_end(s, true);
        return;
    }
    if (slots <= 0) r->tenant_count = 0;
    batch_ask(r);
}

/* The slots of the question that Redis can still have. */
static void slots_find(struct usage_reading *r) {
    r->level = usage_question_level(&r->question);
    int64_t unit_s = usage_level_seconds(r->level), now_s = wall_ns() / (int64_t)NS_PER_S;
    int64_t oldest_s = now_s - usage_key_ttl_s((enum usage_kind)r->level), newest_s = now_s + 2 * unit_s;
    oldest_s = (oldest_s / unit_s + 1) * unit_s;
    r->first_s = r->question.from_s > oldest_s ? r->question.from_s : oldest_s;
    r->end_s = r->question.to_s < newest_s ? r->question.to_s : newest_s - newest_s % unit_s;
    r->batch_s = r->first_s;
    r->answer.since_s = r->first_s;
}

/* False: nobody can be asked at present. */
static bool reading_begin(struct usage_reading *r) {
    const struct admin_options *o = r->session->options;
    struct buf key = {0};
    if (o->redis_client == NULL) return false;
    slots_find(r);
    usage_tenants_key_append(&key, o->redis_prefix);
    const struct slice words[] = {SLICE("HKEYS"), buf_slice(&key)};
    bool taken = redis_call(
        o->redis_client,
        &(struct redis_call){
            .words = words, .word_count = 2, .key_count = 1, .done = tenants_done, .context = r, .timeout_ns = CALL_NS},
        &r->call);
    buf_clear(&key);
    return taken;
}

void usage_get(struct session *s, const struct http_head *h, bool keep) {
    struct usage_reading *r = mem_zalloc(sizeof *r);
    struct buf body = {0};
    const char *message;
    r->session = s;
    const char *wrong = "query";
    if (query_parse(&r->query, h->query))
        wrong = usage_query_read(&r->query, wall_ns(), &r->question, &r->page, &message);
    else
        message = "malformed";
    if (wrong != NULL) {
        unsigned status = api_bad_query(&body, wrong, message);
        session_reply(s, status, SLICE("application/json"), buf_slice(&body), keep);
    } else if (reading_begin(r)) {
        s->reading = r;
        return;
    } else {
        answer_own(r, keep);
    }
    usage_reading_free(r);
    buf_clear(&body);
}
