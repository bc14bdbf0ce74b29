/*
 * bench_cost - what the processes of a measurement use between its first command and its last
 * reply.
 *
 * The measured program is a process with all its descendants. The broker, the API and the sender
 * (this process) are counted beside it, to see whether one of them is the limit.
 *
 * Thread: one.
 */
#ifndef BENCH_COST_H
#define BENCH_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The processes to watch; 0: none. */
struct bench_watch {
    pid_t measured;
    pid_t broker;
    pid_t responder;
};

struct bench_cost;

struct bench_cost *bench_cost_begin(const struct bench_watch *watch);
/* Call it once, after the last reply. */
void bench_cost_end(struct bench_cost *cost);
void bench_cost_free(struct bench_cost *cost);

double bench_cost_seconds(const struct bench_cost *cost);

/* Whether a process of the measured program was replaced, so that its CPU time is not known. */
bool bench_cost_is_spoiled(const struct bench_cost *cost);

/* Prints fields of a JSON object to standard output, each with a comma before it. */
void bench_cost_print(const struct bench_cost *cost, size_t commands);

/* Writes a line for each thread of the measured program that was there from begin to end:
 * process, pid, thread, tid, and for each command CPU time in microseconds, voluntary and
 * involuntary context switches; separated by tabs, the greatest CPU time first. */
void bench_cost_write_threads(const struct bench_cost *cost, size_t commands, const char *path);

#endif
