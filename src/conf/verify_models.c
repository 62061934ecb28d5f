/* Aliases: their targets exist, their fallbacks exist and end somewhere, and somebody can use them. */
#include "base/mem.h"
#include "verify.h"

struct aliases {
    const struct config *config;
    struct map by_name;
    bool *is_fallback; /* of another alias, by index */
    struct conf_errors *errors;
};

static const struct config_model *alias_find(const struct aliases *a, struct slice name) {
    return map_get(&a->by_name, name);
}

static size_t alias_index(const struct aliases *a, const struct config_model *m) {
    return (size_t)(m - a->config->models.items);
}

static unsigned dialects_of(const struct config *c, const struct config_model *m) {
    unsigned set = 0;
    for (size_t i = 0; i < m->targets.count; i++) {
        size_t provider = m->targets.items[i].provider_index;
        if (provider < c->providers.count) set |= 1u << c->providers.items[provider].dialect;
    }
    return set;
}

static void fallback_unknown(const struct aliases *a, const struct conf_text *name) {
    const struct config *c = a->config;
    struct slice *known = arena_alloc(&a->errors->arena, (c->models.count + 1) * sizeof *known);
    for (size_t i = 0; i < c->models.count; i++) known[i] = c->models.items[i].name.text;
    unknown_reference_add(a->errors, name, "alias", known, c->models.count);
}

static void verify_fallbacks(const struct aliases *a, const struct config_model *m) {
    for (size_t i = 0; i < m->fallback.count; i++) {
        const struct conf_text *name = &m->fallback.items[i];
        const struct config_model *other = alias_find(a, name->text);
        if (other == NULL) {
            fallback_unknown(a, name);
            continue;
        }
        if (other != m) a->is_fallback[alias_index(a, other)] = true;
        unsigned own = dialects_of(a->config, m), its = dialects_of(a->config, other);
        if (own != 0 && its != 0 && (own & its) == 0)
            conf_warning_add(a->errors, name->at, "`%s` is never reached: it has no target of the dialect of `%s`",
                             conf_quote(a->errors, name->text), conf_quote(a->errors, m->name.text));
    }
}

/* Depth first with a stack of our own: ten thousand aliases may stand in one chain. */
struct visit {
    const struct config_model *alias;
    size_t next; /* fallback to look at next */
};
enum mark { MARK_NEW, MARK_OPEN, MARK_DONE };

static void cycles_from(const struct aliases *a, const struct config_model *start, unsigned char *marks,
                        struct visit *stack) {
    size_t depth = 0;
    if (marks[alias_index(a, start)] != MARK_NEW) return;
    marks[alias_index(a, start)] = MARK_OPEN;
    stack[depth++] = (struct visit){start, 0};
    while (depth > 0) {
        struct visit *top = &stack[depth - 1];
        if (top->next == top->alias->fallback.count) {
            marks[alias_index(a, top->alias)] = MARK_DONE;
            depth--;
            continue;
        }
        const struct conf_text *name = &top->alias->fallback.items[top->next++];
        const struct config_model *other = alias_find(a, name->text);
        if (other == NULL) continue;
        unsigned char *mark = &marks[alias_index(a, other)];
        if (*mark == MARK_OPEN)
            conf_error_add(a->errors, name->at, "the fallback of `%s` leads back to it: `%s` is in a circle",
                           conf_quote(a->errors, other->name.text), conf_quote(a->errors, top->alias->name.text));
        if (*mark != MARK_NEW) continue;
        *mark = MARK_OPEN;
        stack[depth++] = (struct visit){other, 0};
    }
}

static void verify_cycles(const struct aliases *a) {
    size_t count = a->config->models.count;
    unsigned char *marks = mem_zalloc(count + 1);
    struct visit *stack = mem_alloc((count + 1) * sizeof *stack);
    for (size_t i = 0; i < count; i++) cycles_from(a, &a->config->models.items[i], marks, stack);
    mem_free(stack);
    mem_free(marks);
}

static bool tenant_allows(const struct config_tenant *t, struct slice alias) {
    if (t->disabled) return false;
    for (size_t i = 0; i < t->models.count; i++)
        if (slice_matches(alias, t->models.items[i].text)) return true;
    return t->models.count == 0;
}

static void verify_use(const struct aliases *a, const struct config_model *m) {
    const struct config *c = a->config;
    bool usable = c->tenants.count == 0 || a->is_fallback[alias_index(a, m)];
    for (size_t i = 0; i < c->tenants.count && !usable; i++) usable = tenant_allows(&c->tenants.items[i], m->name.text);
    if (!usable)
        conf_error_add(a->errors, m->name.at, "nobody can use the alias `%s`: no enabled tenant's `models` allow it",
                       conf_quote(a->errors, m->name.text));
}

/* Its budget alone makes no second attempt. */
static void verify_hedge(const struct aliases *a, const struct config_model *m) {
    if (m->hedge.at.line > 0 && m->hedge.after_ns == 0)
        conf_error_add(a->errors, m->hedge.at, "`after` is missing: a time such as 800ms, or p95");
}

static void resolve_targets(struct config *c, struct conf_errors *errors) {
    struct provider_names names;
    provider_names_init(&names, c);
    for (size_t i = 0; i < c->models.count; i++)
        for (size_t j = 0; j < c->models.items[i].targets.count; j++) {
            struct config_target *t = &c->models.items[i].targets.items[j];
            t->provider_index = SIZE_MAX;
            provider_resolve(&names, &t->provider, &t->provider_index, errors);
        }
    provider_names_clear(&names);
}

void verify_models(struct config *c, struct conf_errors *errors) {
    struct aliases a = {.config = c, .errors = errors, .is_fallback = mem_zalloc(c->models.count + 1)};
    resolve_targets(c, errors);
    for (size_t i = 0; i < c->models.count; i++) map_put(&a.by_name, c->models.items[i].name.text, &c->models.items[i]);
    for (size_t i = 0; i < c->models.count; i++) verify_fallbacks(&a, &c->models.items[i]);
    for (size_t i = 0; i < c->models.count; i++) verify_hedge(&a, &c->models.items[i]);
    verify_cycles(&a);
    for (size_t i = 0; i < c->models.count; i++) verify_use(&a, &c->models.items[i]);
    map_clear(&a.by_name);
    mem_free(a.is_fallback);
}
