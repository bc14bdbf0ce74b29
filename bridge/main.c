/*
 * ecs-mqtt-bridge - starts disk replication on Alibaba Cloud on commands from MQTT, each of them
 * once.
 *
 * One binary: the subcommands for users, and the two MQTT processes that `run` starts.
 */
#include "base/hardening.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "mqtt/publisher.h"
#include "mqtt/receiver.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>

static int help(const struct cli_context *context, int argc, char **argv);

/* Rows without a help text are other names and are not listed. */
static const struct {
    const char *name;
    int (*run)(const struct cli_context *context, int argc, char **argv);
    const char *help;
} SUBCOMMANDS[] = {
    {"run", cli_run, "Run the bridge."},
    {"check", cli_check, "Check a configuration file, and with --online the access to the API."},
    {"send", cli_send, "Send a command, wait for its reply, and print it."},
    {"ledger", cli_ledger, "Read a ledger, or verify the audit file."},
    {"version", cli_version, "Print the version."},
    {"--version", cli_version, NULL},
    {"help", help, NULL},
    {"--help", help, NULL},
    {"-h", help, NULL},
};

/* The MQTT processes; `run` starts them, users do not. */
static const struct {
    const char *name;
    int (*run)(void);
} ROLES[] = {
    {"receiver", receiver_main},
    {"publisher", publisher_main},
};

static void print_help(FILE *out)
{
    fputs("Usage: ecs-mqtt-bridge SUBCOMMAND [OPTIONS]\n\n"
          "Starts disk replication on Alibaba Cloud on commands from MQTT.\n\n",
          out);
    for (size_t i = 0; i < sizeof SUBCOMMANDS / sizeof SUBCOMMANDS[0]; i++) {
        if (SUBCOMMANDS[i].help != NULL) {
            fprintf(out, "  %-10s %s\n", SUBCOMMANDS[i].name, SUBCOMMANDS[i].help);
        }
    }
    fputs("\nEvery subcommand has --help.\n", out);
}

static int help(const struct cli_context *context, int argc, char **argv)
{
    (void)context;
    (void)argc;
    (void)argv;
    print_help(stdout);
    return EX_OK;
}

int main(int argc, char **argv)
{
    /* A link to the running binary: MQTT processes started after an upgrade of the file are still
     * of this version. */
    const struct cli_context context = {.program = "/proc/self/exe"};
    hardening_apply();
    secret_setup();
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    for (size_t i = 0; i < sizeof SUBCOMMANDS / sizeof SUBCOMMANDS[0]; i++) {
        if (strcmp(argv[1], SUBCOMMANDS[i].name) == 0) {
            return SUBCOMMANDS[i].run(&context, argc - 1, argv + 1);
        }
    }
    for (size_t i = 0; i < sizeof ROLES / sizeof ROLES[0]; i++) {
        if (strcmp(argv[1], ROLES[i].name) == 0) {
            prctl(PR_SET_NAME, ROLES[i].name);
            return ROLES[i].run();
        }
    }
    fprintf(stderr, "ecs-mqtt-bridge: unknown subcommand %s\nTry: ecs-mqtt-bridge --help\n",
            argv[1]);
    return EX_USAGE;
}
