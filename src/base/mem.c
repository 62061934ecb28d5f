/* Heap allocation that aborts instead of failing. The only file that may call malloc and its kin. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p, size_t size) {
    if (p == NULL && size != 0) {
        fprintf(stderr, "weir: out of memory (%zu bytes)\n", size);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size) {
    return checked(malloc(size), size);
}

void *mem_zalloc(size_t size) {
    return checked(calloc(1, size), size);
}

void *mem_realloc(void *p, size_t size) {
    return checked(realloc(p, size), size);
}

void *mem_array_grow(void *p, size_t *capacity, size_t item_size, size_t needed) {
    if (needed <= *capacity) return p;
    size_t grown = *capacity ? *capacity : 8;
    while (grown < needed) grown *= 2;
    *capacity = grown;
    return checked(reallocarray(p, grown, item_size), grown * item_size);
}

char *mem_strndup(const char *p, size_t n) {
    char *copy = mem_alloc(n + 1);
    if (n > 0) memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

void mem_free(void *p) {
    free(p);
}
