#include "cli/cli.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define OPTIONS_MAX 24
#define WHAT_BYTES  160

static void print_help(const struct cli_usage *usage)
{
    printf("Usage: ecs-mqtt-bridge %s\n\n%s\n\nOptions:\n", usage->synopsis, usage->about);
    for (const struct cli_option *option = usage->options; option->name != NULL; option++) {
        char left[64];
        snprintf(left, sizeof left, "-%c, --%s%s%s", option->letter, option->name,
                 option->argument == NULL ? "" : " ",
                 option->argument == NULL ? "" : option->argument);
        printf("  %-28s %s\n", left, option->help);
    }
    printf("  %-28s %s\n", "-h, --help", "Show this help.");
}

/* getopt's two forms of the options: the letters, and the long names. */
static void fill_options(const struct cli_usage *usage, char *letters, struct option *names)
{
    *letters++ = ':';
    for (const struct cli_option *option = usage->options; option->name != NULL; option++) {
        bool has_argument = option->argument != NULL;
        assert(option - usage->options < OPTIONS_MAX);
        *letters++ = option->letter;
        if (has_argument) {
            *letters++ = ':';
        }
        *names++ = (struct option){option->name, has_argument ? required_argument : no_argument,
                                   NULL, option->letter};
    }
    strcpy(letters, "h");
    *names++ = (struct option){"help", no_argument, NULL, 'h'};
    *names = (struct option){0};
}

int cli_wrong_call(const char *subcommand, const char *what)
{
    fprintf(stderr, "ecs-mqtt-bridge %s: %s\nTry: ecs-mqtt-bridge %s --help\n", subcommand, what,
            subcommand);
    return EX_USAGE;
}

static bool is_option(const struct cli_usage *usage, int letter)
{
    for (const struct cli_option *option = usage->options; option->name != NULL; option++) {
        if (option->letter == letter) {
            return true;
        }
    }
    return letter == 'h';
}

/* getopt's answer in words. optopt names the letter, also that of a long option that is known; it
 * is 0 for an unknown long one, which is then the last argument read. */
static void say_fault(const struct cli_usage *usage, int answer, char **argv, char out[WHAT_BYTES])
{
    if (answer == ':') {
        snprintf(out, WHAT_BYTES, "%s needs a value", argv[optind - 1]);
    } else if (optopt == 0) {
        snprintf(out, WHAT_BYTES, "unknown option %s", argv[optind - 1]);
    } else if (is_option(usage, optopt)) {
        snprintf(out, WHAT_BYTES, "%s takes no value", argv[optind - 1]);
    } else {
        snprintf(out, WHAT_BYTES, "unknown option -%c", optopt);
    }
}

enum cli_next cli_next_option(const struct cli_usage *usage, int argc, char **argv,
                              char *out_letter, int *out_code)
{
    char letters[2 * OPTIONS_MAX + 3];
    struct option names[OPTIONS_MAX + 2];
    char what[WHAT_BYTES];
    fill_options(usage, letters, names);
    opterr = 0;
    int letter = getopt_long(argc, argv, letters, names, NULL);
    if (letter == 'h') {
        print_help(usage);
        *out_code = EX_OK;
        return CLI_EXIT;
    }
    if (letter == '?' || letter == ':') {
        say_fault(usage, letter, argv, what);
        *out_code = cli_wrong_call(argv[0], what);
        return CLI_EXIT;
    }
    if (letter == -1 && argc - optind > usage->operands_max) {
        snprintf(what, sizeof what, "unexpected argument %s", argv[optind + usage->operands_max]);
        *out_code = cli_wrong_call(argv[0], what);
        return CLI_EXIT;
    }
    *out_letter = (char)letter;
    return letter == -1 ? CLI_END : CLI_OPTION;
}

/* Each line of the report begins with its place. */
static void print_warnings(const char *lines)
{
    while (*lines != '\0') {
        size_t length = strcspn(lines, "\n");
        fprintf(stderr, "warning: %.*s\n", (int)length, lines);
        lines += length + 1;
    }
}

int cli_load_settings(const char *subcommand, const char *path, struct settings **out_settings)
{
    struct settings_report report = {0};
    if (path == NULL) {
        return cli_wrong_call(subcommand, "--config FILE is needed");
    }
    enum status status = settings_load(path, out_settings, &report);
    if (report.error_count > 0) {
        fputs(report.errors.data, stderr);
    }
    if (report.warning_count > 0) {
        print_warnings(report.warnings.data);
    }
    settings_report_fini(&report);
    return status == STATUS_OK ? EX_OK : EX_CONFIG;
}
