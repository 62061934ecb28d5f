/* base/mem.h: heap allocation that cannot fail. Out of memory aborts the process, here and nowhere else; everything
 * that can grow has a ceiling from the configuration, so running out means the machine is too small, not the input
 * too large. */
#pragma once
#include <stddef.h>

void *mem_alloc(size_t size);  /* uninitialised; never NULL; free with mem_free() */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_realloc(void *p, size_t size);
void *mem_array_grow(void *p, size_t *capacity, size_t item_size, size_t needed); /* doubles until `needed` items fit */
char *mem_strndup(const char *p, size_t n);                                       /* NUL-terminated copy */
void mem_free(void *p);                                                           /* NULL is allowed */
