/*
 * violation - broken promises; each is reported once with the seed.
 */
#ifndef TORTURE_VIOLATION_H
#define TORTURE_VIOLATION_H

enum violation {
    VIOLATION_LOST,    /* acknowledged, and neither reply nor dead letter */
    VIOLATION_DOUBLED, /* more than one effect of a token */
    VIOLATION_WRONG,   /* a reply that is wrong */
    VIOLATION_LIE,     /* a status that the API's own record contradicts */
    VIOLATION_ORDER,   /* calls of one group at the same time */
    VIOLATION_PROCESS, /* the bridge exited by itself, did not stop, or never became idle */
    VIOLATION_COUNTERS,
    VIOLATION_LEDGER, /* records that contradict each other or their histories */
    VIOLATION_STALE,  /* a write of a run that was removed from a shared ledger */
    VIOLATION_WATCH,  /* events about a watched group: a gap, another content, no end */
    VIOLATION_COUNT
};

/* Counts and prints it; prints only a limited number of each kind. */
void violate(enum violation violation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int violation_count(enum violation violation);
int violation_total(void);
const char *violation_name(enum violation violation);
/* Sets the file to which they are written in addition to standard error. */
void violation_open(const char *path, unsigned long long seed);

#endif
