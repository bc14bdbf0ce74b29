/*
 * bench_load_options - the command line of bench_load.
 *
 * Thread: one. A wrong option ends the program with a message and EX_USAGE.
 */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include "bench_cost.h"

#include <stdbool.h>
#include <stddef.h>

enum { LOAD_PAYLOAD_MAX_BYTES = 1048576 };

enum mode { MODE_COMMANDS, MODE_ECHO, MODE_WAIT_ONLINE };

struct load_options {
    enum mode mode;
    const char *host;
    size_t port;
    size_t count;
    size_t window;
    size_t gap_ms; /* at least this and at most twice this between two commands; 0: no pause */
    size_t groups;
    size_t routes;
    size_t payload_bytes; /* shortest payload of a command */
    bool has_replays;
    size_t warmup;
    size_t idle_timeout_s;
    const char *command_topic;
    const char *status_topic;
    const char *threads_file; /* NULL: none */
    struct bench_watch watch;
};

/* Texts belong to `argv`. */
void load_options_read(struct load_options *out_options, int argc, char **argv);

#endif
