#include "violation.h"

#include <stdarg.h>
#include <stdio.h>

enum { TOLD_MAX = 12, TEXT_BYTES = 4096 };

static int counts[VIOLATION_COUNT];
static FILE *file;
static unsigned long long the_seed;

const char *violation_name(enum violation violation)
{
    static const char *const names[VIOLATION_COUNT] = {
        [VIOLATION_LOST] = "lost",         [VIOLATION_DOUBLED] = "doubled",
        [VIOLATION_WRONG] = "wrong",       [VIOLATION_LIE] = "lie",
        [VIOLATION_ORDER] = "overlap",     [VIOLATION_PROCESS] = "process",
        [VIOLATION_COUNTERS] = "counters", [VIOLATION_LEDGER] = "ledger",
        [VIOLATION_STALE] = "stale",       [VIOLATION_WATCH] = "watch",
    };
    return names[violation];
}

void violation_open(const char *path, unsigned long long seed)
{
    file = fopen(path, "we");
    the_seed = seed;
}

void violate(enum violation violation, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (counts[violation]++ < TOLD_MAX) {
        fprintf(stderr, "VIOLATION %s (seed %llu): %s\n", violation_name(violation), the_seed,
                text);
    }
    if (file != NULL) {
        fprintf(file, "%s: %s\n", violation_name(violation), text);
        fflush(file);
    }
}

int violation_count(enum violation violation)
{
    return counts[violation];
}

int violation_total(void)
{
    int total = 0;
    for (int i = 0; i < VIOLATION_COUNT; i++) {
        total += counts[i];
    }
    return total;
}
