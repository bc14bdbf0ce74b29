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

/* The options in getopt's two forms: the letters, and the long names. */
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

static const struct cli_option *find_option(const struct cli_usage *usage, int letter)
{
    for (const struct cli_option *option = usage->options; option->name != NULL; option++) {
        if (option->letter == letter) {
            return option;
        }
    }
    return NULL;
}

/* Describes getopt's error. optopt is the letter, also for a known long option. It is 0 for an
 * unknown long option, which is then the last argument read. */
static void put_fault(const struct cli_usage *usage, int answer, char **argv, char out[WHAT_BYTES])
{
    if (answer == ':') {
        snprintf(out, WHAT_BYTES, "%s needs a value", argv[optind - 1]);
    } else if (optopt == 0) {
        snprintf(out, WHAT_BYTES, "unknown option %s", argv[optind - 1]);
    } else if (optopt == 'h' || find_option(usage, optopt) != NULL) {
        snprintf(out, WHAT_BYTES, "%s takes no value", argv[optind - 1]);
    } else {
        snprintf(out, WHAT_BYTES, "unknown option -%c", optopt);
    }
}

bool cli_read_options(const struct cli_usage *usage, int argc, char **argv, void *out,
                      int *out_code)
{
    char letters[2 * OPTIONS_MAX + 3];
    struct option names[OPTIONS_MAX + 2];
    char what[WHAT_BYTES];
    int letter;
    fill_options(usage, letters, names);
    opterr = 0;
    while ((letter = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (letter == 'h') {
            print_help(usage);
            *out_code = EX_OK;
            return false;
        }
        if (letter == '?' || letter == ':') {
            put_fault(usage, letter, argv, what);
            *out_code = cli_wrong_call(argv[0], what);
            return false;
        }
        const struct cli_option *option = find_option(usage, letter);
        char *member = (char *)out + option->offset;
        if (option->argument != NULL && strstr(option->argument, "...") != NULL) {
            struct cli_texts *texts = (void *)member;
            if (texts->count == CLI_TEXTS_MAX) {
                snprintf(what, sizeof what, "more than %d times --%s", CLI_TEXTS_MAX, option->name);
                *out_code = cli_wrong_call(argv[0], what);
                return false;
            }
            texts->items[texts->count++] = optarg;
        } else if (option->argument != NULL) {
            *(const char **)(void *)member = optarg;
        } else {
            *(bool *)member = true;
        }
    }
    if (argc - optind > usage->operands_max) {
        snprintf(what, sizeof what, "unexpected argument %s", argv[optind + usage->operands_max]);
        *out_code = cli_wrong_call(argv[0], what);
        return false;
    }
    return true;
}

int cli_load_settings(const char *subcommand, const struct cli_config *config,
                      struct settings **out_settings, struct buf *out_warnings)
{
    struct settings_report report = {0};
    const struct settings_options options = {config->set.items, config->set.count};
    if (config->path == NULL) {
        return cli_wrong_call(subcommand, "--config FILE is needed");
    }
    enum status status = settings_load_with(config->path, &options, out_settings, &report);
    if (report.error_count > 0) {
        fputs(report.errors.data, stderr);
    }
    if (out_warnings != NULL) {
        buf_append(out_warnings, buf_slice(&report.warnings));
    }
    settings_report_fini(&report);
    return status == STATUS_OK ? EX_OK : EX_CONFIG;
}
