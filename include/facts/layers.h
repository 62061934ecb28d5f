/* facts/layers.h: the layers of an AI application that a slice of time can belong to. */
#pragma once

#define LAYERS(X)                                                                                                      \
    X(UI, ui)                                                                                                          \
    X(APP, app)                                                                                                        \
    X(AGENT, agent)                                                                                                    \
    X(RETRIEVAL, retrieval)                                                                                            \
    X(EMBEDDING, embedding)                                                                                            \
    X(MEMORY, memory)                                                                                                  \
    X(TOOL, tool)                                                                                                      \
    X(GUARDRAIL, guardrail)                                                                                            \
    X(GATEWAY, gateway)                                                                                                \
    X(NETWORK, network)                                                                                                \
    X(PROVIDER, provider)                                                                                              \
    X(OTHER, other)

#define LAYER_ENUM(id, name) LAYER_##id,
enum layer { LAYERS(LAYER_ENUM) LAYER_COUNT };
#undef LAYER_ENUM

const char *layer_name(enum layer l);
