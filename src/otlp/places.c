/* Providers as places. What a provider is called in telemetry (gen_ai.provider.name) is told by its host where that is
 * a known one; else an OpenAI-compatible server is called as it is configured, and one that speaks another dialect by
 * that dialect's word. */
#include "places.h"

#include "base/mem.h"
#include "base/url.h"
#include "facts/names.h"

struct places {
    size_t count;
    struct place items[];
};

/* Well-known values of gen_ai.provider.name, by the end of the host's name. */
static const struct {
    struct slice host_end, system;
} systems[] = {
    {SLICE_INIT("api.openai.com"), SLICE_INIT("openai")},
    {SLICE_INIT(".openai.azure.com"), SLICE_INIT("azure.ai.openai")},
    {SLICE_INIT(".services.ai.azure.com"), SLICE_INIT("azure.ai.inference")},
    {SLICE_INIT("api.anthropic.com"), SLICE_INIT("anthropic")},
    {SLICE_INIT("generativelanguage.googleapis.com"), SLICE_INIT("gcp.gemini")},
    {SLICE_INIT("aiplatform.googleapis.com"), SLICE_INIT("gcp.vertex_ai")},
    {SLICE_INIT(".amazonaws.com"), SLICE_INIT("aws.bedrock")},
    {SLICE_INIT("api.cohere.com"), SLICE_INIT("cohere")},
    {SLICE_INIT("api.cohere.ai"), SLICE_INIT("cohere")},
    {SLICE_INIT("api.deepseek.com"), SLICE_INIT("deepseek")},
    {SLICE_INIT("api.groq.com"), SLICE_INIT("groq")},
    {SLICE_INIT(".ml.cloud.ibm.com"), SLICE_INIT("ibm.watsonx.ai")},
    {SLICE_INIT("api.mistral.ai"), SLICE_INIT("mistral_ai")},
    {SLICE_INIT("api.moonshot.ai"), SLICE_INIT("moonshot_ai")},
    {SLICE_INIT("api.moonshot.cn"), SLICE_INIT("moonshot_ai")},
    {SLICE_INIT("api.perplexity.ai"), SLICE_INIT("perplexity")},
    {SLICE_INIT("api.x.ai"), SLICE_INIT("x_ai")},
};

static struct slice system_of(const struct place *p) {
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
        struct slice end = systems[i].host_end;
        if (p->host.n >= end.n && slice_equal_nocase((struct slice){p->host.p + p->host.n - end.n, end.n}, end))
            return systems[i].system;
    }
    if (p->dialect == DIALECT_ANTHROPIC) return SLICE("anthropic");
    return p->dialect == DIALECT_GEMINI ? SLICE("gcp.gemini") : p->name;
}

/* base_url was checked when the configuration was read. */
static void url_take(struct place *p) {
    struct url url;
    url_split(p->base_url, &url);
    p->origin = url.origin;
    p->host = url.host;
    slice_to_u64(url.port, &p->port);
}

static struct slice copy(struct slice s) {
    return (struct slice){mem_strndup(s.p, s.n), s.n};
}

struct places *places_new(const struct config *c) {
    struct places *p = mem_zalloc(sizeof *p + c->providers.count * sizeof p->items[0]);
    for (size_t i = 0; i < c->providers.count; i++) {
        const struct config_provider *from = &c->providers.items[i];
        struct place *to = &p->items[p->count++];
        to->name = copy(from->name.text);
        to->name_id = name_id(to->name);
        to->dialect = from->dialect;
        to->base_url = copy(from->base_url.text);
        url_take(to);
        to->system = system_of(to);
    }
    return p;
}

void places_free(struct places *p) {
    if (p == NULL) return;
    for (size_t i = 0; i < p->count; i++) {
        mem_free((void *)(uintptr_t)p->items[i].name.p);
        mem_free((void *)(uintptr_t)p->items[i].base_url.p);
    }
    mem_free(p);
}

const struct place *places_find(const struct places *p, uint32_t name_id) {
    for (size_t i = 0; name_id != NAME_NONE && i < p->count; i++)
        if (p->items[i].name_id == name_id) return &p->items[i];
    return NULL;
}
