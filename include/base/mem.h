/*
 * mem - heap memory. Where there is none left, the process ends.
 *
 * A daemon that cannot get a few kilobytes cannot do its work either: it ends at once, the service
 * manager restarts it, and the ledger resumes. So no caller needs code for NULL.
 *
 * Thread: any. Free with free().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* `size_bytes` may be 0. Never NULL. */
void *mem_alloc(size_t size_bytes);
/* Zeroed; the product is checked for overflow. Never NULL. */
void *mem_zalloc(size_t count, size_t size_bytes);
/* As realloc(); never NULL. */
void *mem_realloc(void *memory, size_t size_bytes);
/* A heap copy of the bytes with a NUL behind them. */
char *mem_dup(const void *data, size_t length);
/* A heap copy of a C string; NULL gives NULL. */
char *mem_strdup(const char *text);

#endif
