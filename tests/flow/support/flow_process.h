/*
 * flow_process - starts real programs for a test and ends them by their process id.
 *
 * The kernel kills every program when the test that started it ends (PR_SET_PDEATHSIG). Thread: the
 * only thread of the test. Fails the running test if a program cannot be started.
 */
#ifndef FLOW_PROCESS_H
#define FLOW_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long a test waits for an event that must happen; several times longer than it needs. */
#ifndef FLOW_TIMEOUT_MS
#define FLOW_TIMEOUT_MS 20000
#endif

int64_t flow_now_ms(void);

/* Pauses between two polls of a condition that has no event. */
void flow_pause(void);

struct process_spec {
    const char *const *argv; /* argv[0] is the program's path or name; ends with NULL */
    const char *const *env;  /* NAME=value added to the environment; ends with NULL, or NULL */
    const char *directory;   /* to run in, or NULL */
    const char *output;      /* file that standard output is appended to; NULL: dropped */
    const char *errors;      /* the same for standard error; NULL: goes where `output` goes */
    bool has_descriptors;    /* inherits the test's open files and sockets */
};

/* Starts a program; returns its process id. */
pid_t process_start(const struct process_spec *spec);

/* Waits for the end: the exit code, 128 + the signal's number, or -1 if it did not end in time. */
int process_wait(pid_t pid, int timeout_ms);

/* Sends the signal and waits as process_wait() does. 0 is no process: returns -1. */
int process_end(pid_t pid, int signal_number, int timeout_ms);

/* The result of a program that ran to its end. */
struct tool_result {
    int code; /* as of process_wait() */
    char *output;
    char *errors;
};

/* Runs a program to its end, at most FLOW_TIMEOUT_MS; its output goes through files in
 * `directory`. */
struct tool_result tool_run(const char *directory, const char *const *env, const char *const *argv);
void tool_result_fini(struct tool_result *result);

/* The whole file as a string, "" if it does not exist. The caller frees it. */
char *file_read(const char *path);
void file_write(const char *path, const char *text);
/* Whether the file contains the text after the first `offset` bytes. */
bool file_contains(const char *path, long offset, const char *text);
long file_size(const char *path);

#endif
