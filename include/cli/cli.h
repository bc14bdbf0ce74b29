/*
 * cli - the subcommands, one file each, and what they share.
 *
 * A subcommand gets its own arguments (argv[0] is its name) and returns a sysexits code. `--help`
 * works everywhere and exits 0; a wrong call says what is wrong and exits 64.
 *
 * Thread: the main one.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "settings/settings.h"

#include <getopt.h>
#include <stdbool.h>

struct cli_context {
    const char *program; /* path of this binary */
};

int cli_run(const struct cli_context *context, int argc, char **argv);
int cli_check(const struct cli_context *context, int argc, char **argv);
int cli_send(const struct cli_context *context, int argc, char **argv);
int cli_ledger(const struct cli_context *context, int argc, char **argv);
int cli_version(const struct cli_context *context, int argc, char **argv);

/* One option of a subcommand; tables of these make getopt's and the help's. */
struct cli_option {
    char letter;
    const char *name;
    const char *argument; /* its name in the help, NULL for a flag */
    const char *help;
};

/* What a subcommand is called with; `options` ends with a row whose name is NULL. --help is added
 * by itself. */
struct cli_usage {
    const char *synopsis; /* behind "ecs-mqtt-bridge " */
    const char *about;
    const struct cli_option *options;
    int operands_max;
};

enum cli_next { CLI_OPTION, CLI_END, CLI_EXIT };

/*
 * The next option: *out_letter, and its argument in optarg. CLI_END when there are no more (optind
 * is the first operand); CLI_EXIT after --help or a wrong call: leave with *out_code.
 */
enum cli_next cli_next_option(const struct cli_usage *usage, int argc, char **argv,
                              char *out_letter, int *out_code);

/* Says that a call is wrong, and where help is. Returns EX_USAGE. */
int cli_wrong_call(const char *subcommand, const char *what);

/*
 * Loads and checks a file, telling errors and warnings on standard error. Returns EX_OK with
 * *out_settings, or EX_CONFIG; EX_USAGE where `path` is NULL.
 */
int cli_load_settings(const char *subcommand, const char *path, struct settings **out_settings);

#endif
