/*
 * violation - broken promises, each told once with the seed.
 */
#ifndef TORTURE_VIOLATION_H
#define TORTURE_VIOLATION_H

enum violation {
    VIOLATION_LOST,    /* acknowledged, and neither reply nor dead letter */
    VIOLATION_DOUBLED, /* more than one effect of a token */
    VIOLATION_WRONG,   /* a reply that must not be */
    VIOLATION_LIE,     /* a status that the API's own record contradicts */
    VIOLATION_ORDER,   /* calls of one group at the same time */
    VIOLATION_PROCESS, /* the bridge ended by itself, did not stop, or never came to rest */
    VIOLATION_COUNTERS,
    VIOLATION_COUNT
};

/* Tells it, up to a number of each kind, and counts it. */
void violate(enum violation violation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int violation_count(enum violation violation);
int violation_total(void);
const char *violation_name(enum violation violation);
/* Where they are told besides standard error. */
void violation_open(const char *path, unsigned long long seed);

#endif
