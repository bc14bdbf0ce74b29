/*
 * ecs-mqtt-bridge - starts disk replication on Alibaba Cloud on commands from MQTT, each of them
 * once.
 *
 * The subcommands. The MQTT connections are processes of an executable of their own
 * (mqtt/main.c).
 */
#include "base/hardening.h"
#include "base/secret.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int help(int argc, char **argv);

/* Rows without a help text are other names and are not listed. */
static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} SUBCOMMANDS[] = {
    {"run", cli_run, "Run the bridge."},
    {"check", cli_check, "Check a configuration file, and with --online the access to the API."},
    {"send", cli_send, "Send a command, wait for its reply, and print it."},
    {"ctl", cli_ctl, "Order something of a running bridge."},
    {"ledger", cli_ledger, "Read a ledger, or verify the audit file."},
    {"version", cli_version, "Print the version."},
    {"--version", cli_version, NULL},
    {"help", help, NULL},
    {"--help", help, NULL},
    {"-h", help, NULL},
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

static int help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    print_help(stdout);
    return EX_OK;
}

int main(int argc, char **argv)
{
    hardening_apply();
    secret_setup();
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    for (size_t i = 0; i < sizeof SUBCOMMANDS / sizeof SUBCOMMANDS[0]; i++) {
        if (strcmp(argv[1], SUBCOMMANDS[i].name) == 0) {
            return SUBCOMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "ecs-mqtt-bridge: unknown subcommand %s\nTry: ecs-mqtt-bridge --help\n",
            argv[1]);
    return EX_USAGE;
}
