/*
 * cli - the subcommands, one file each, and what they have in common.
 *
 * A subcommand gets its own arguments (argv[0] is its name) and returns a sysexits code. `--help`
 * works everywhere and exits 0; a wrong call prints what is wrong and exits 64.
 *
 * Thread: the main one.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "settings/settings.h"

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_send(int argc, char **argv);
int cli_ctl(int argc, char **argv);
int cli_ledger(int argc, char **argv);
int cli_version(int argc, char **argv);

/* The arguments of an option that may be given several times. */
#define CLI_TEXTS_MAX 64
struct cli_texts {
    const char *items[CLI_TEXTS_MAX];
    size_t count;
};

/* What every subcommand that reads the settings is called with. */
struct cli_config {
    const char *path;
    struct cli_texts set;
};

/*
 * One option of a subcommand. getopt's tables, the help and the reading all come from these rows.
 * `offset` is the member of the subcommand's own struct that the option fills: a const char * with
 * the argument, a struct cli_texts where the option may be repeated, or a bool that becomes true
 * for a flag.
 */
struct cli_option {
    char letter;
    const char *name;
    const char *argument; /* its name in the help, with "..." if repeated; NULL for a flag */
    size_t offset;
    const char *help;
};

/* The rows of a struct cli_config at this offset. */
#define CLI_CONFIG_OPTIONS(member_offset, config_help)                                         \
    {'c', "config", "FILE", (member_offset) + offsetof(struct cli_config, path), config_help}, \
    {                                                                                          \
        'S', "set", "PATH=VALUE...", (member_offset) + offsetof(struct cli_config, set),       \
            "Another value for a setting of the file, such as log.level=debug."                \
    }

/* How a subcommand is called; `options` ends with a row whose name is NULL. --help is always
 * there. */
struct cli_usage {
    const char *synopsis; /* behind "ecs-mqtt-bridge " */
    const char *about;
    const struct cli_option *options;
    int operands_max;
};

/*
 * Reads all options into the struct at `out`; optind is then the first operand. False after --help
 * or a wrong call: leave with *out_code.
 */
bool cli_read_options(const struct cli_usage *usage, int argc, char **argv, void *out,
                      int *out_code);

/* Prints what is wrong with a call, and how to get help. Returns EX_USAGE. */
int cli_wrong_call(const char *subcommand, const char *what);

/*
 * Loads and checks the settings, with errors on standard error. Warnings are appended to
 * `out_warnings` where that is not NULL, a line each. Returns EX_OK with *out_settings, or
 * EX_CONFIG; EX_USAGE without --config.
 */
int cli_load_settings(const char *subcommand, const struct cli_config *config,
                      struct settings **out_settings, struct buf *out_warnings);

#endif
