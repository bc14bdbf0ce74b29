#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void give_up(void)
{
    static const char message[] = "ecs-mqtt-bridge: out of memory\n";
    /* If this fails too, there is nothing else to do. */
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    abort();
}

void *mem_alloc(size_t size_bytes)
{
    void *memory = malloc(size_bytes == 0 ? 1 : size_bytes);
    if (memory == NULL) {
        give_up();
    }
    return memory;
}

void *mem_zalloc(size_t count, size_t size_bytes)
{
    bool is_empty = count == 0 || size_bytes == 0;
    void *memory = is_empty ? calloc(1, 1) : calloc(count, size_bytes);
    if (memory == NULL) {
        give_up();
    }
    return memory;
}

void *mem_realloc(void *memory, size_t size_bytes)
{
    void *moved = realloc(memory, size_bytes == 0 ? 1 : size_bytes);
    if (moved == NULL) {
        give_up();
    }
    return moved;
}

char *mem_dup(const void *data, size_t length)
{
    if (length == SIZE_MAX) {
        give_up();
    }
    char *copy = mem_alloc(length + 1);
    if (length > 0) {
        memcpy(copy, data, length);
    }
    copy[length] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : mem_dup(text, strlen(text));
}
