/*
 * process - what the operating system knows of this process, for the metrics page.
 *
 * Thread: any.
 */
#ifndef ADMIN_PROCESS_H
#define ADMIN_PROCESS_H

#include <stdint.h>

/* -1: not known. */
struct process_figures {
    int64_t cpu_us; /* user and system time of all threads */
    int64_t resident_bytes;
    int64_t virtual_bytes;
    int64_t open_fds;
    int64_t max_fds; /* INT64_MAX: no limit */
};

void process_figures_read(struct process_figures *out);

#endif
