#include "bench_load_options.h"

#include "bench.h"

#include <stdint.h>
#include <string.h>
#include <sysexits.h>

static enum mode mode_of(const char *name)
{
    if (strcmp(name, "commands") == 0) {
        return MODE_COMMANDS;
    }
    if (strcmp(name, "echo") == 0) {
        return MODE_ECHO;
    }
    if (strcmp(name, "wait-online") == 0) {
        return MODE_WAIT_ONLINE;
    }
    bench_die(EX_USAGE, "the first argument is one of: commands, echo, wait-online");
}

/* One option: where its text goes, or its number, which is at least `min` and at most `max`. */
struct row {
    const char *name; /* with the dashes */
    const char **text;
    size_t *number;
    pid_t *pid;
    uint64_t min;
    uint64_t max;
};

static const struct row *row_of(const struct row *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    bench_die(EX_USAGE, "there is no option %s", name);
}

void load_options_read(struct load_options *out_options, int argc, char **argv)
{
    struct load_options options = {.host = "127.0.0.1",
                                   .count = 10000,
                                   .window = 64,
                                   .groups = 256,
                                   .routes = 1,
                                   .warmup = 100,
                                   .idle_timeout_s = 60,
                                   .command_topic = "ecs-bridge/v1/commands/start"};
    const struct row rows[] = {
        {"--host", .text = &options.host},
        {"--command-topic", .text = &options.command_topic},
        {"--status-topic", .text = &options.status_topic},
        {"--threads-file", .text = &options.threads_file},
        {"--port", .number = &options.port, .min = 1, .max = 65535},
        {"--commands", .number = &options.count, .min = 1, .max = 100000000},
        {"--window", .number = &options.window, .min = 1, .max = 60000},
        {"--gap-ms", .number = &options.gap_ms, .max = 60000},
        {"--groups", .number = &options.groups, .min = 1, .max = 100000},
        {"--routes", .number = &options.routes, .min = 1, .max = 100000},
        {"--payload-bytes", .number = &options.payload_bytes, .max = LOAD_PAYLOAD_MAX_BYTES},
        {"--warmup", .number = &options.warmup, .max = 100000000},
        {"--idle-timeout-s", .number = &options.idle_timeout_s, .min = 1, .max = 86400},
        {"--watch-pid", .pid = &options.watch.measured, .min = 1, .max = INT32_MAX},
        {"--broker-pid", .pid = &options.watch.broker, .min = 1, .max = INT32_MAX},
        {"--responder-pid", .pid = &options.watch.responder, .min = 1, .max = INT32_MAX},
    };

    options.mode = mode_of(argc > 1 ? argv[1] : "");
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--replays") == 0) {
            options.has_replays = true;
            continue;
        }
        const struct row *row = row_of(rows, sizeof(rows) / sizeof(rows[0]), argv[i]);
        if (++i == argc) {
            bench_die(EX_USAGE, "%s needs a value", row->name);
        }
        if (row->text != NULL) {
            *row->text = argv[i];
        } else if (row->number != NULL) {
            *row->number = bench_number(row->name, argv[i], row->min, row->max);
        } else {
            *row->pid = (pid_t)bench_number(row->name, argv[i], row->min, row->max);
        }
    }
    if (options.port == 0) {
        bench_die(EX_USAGE, "--port is needed");
    }
    if (options.mode == MODE_WAIT_ONLINE && options.status_topic == NULL) {
        bench_die(EX_USAGE, "--status-topic is needed");
    }
    if (options.has_replays && options.warmup == 0) {
        bench_die(EX_USAGE, "--replays needs a --warmup");
    }
    *out_options = options;
}
