#include "cli/cli.h"

#include "base/clock.h"
#include "base/mem.h"
#include "ecs/credentials.h"
#include "io/tls_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct cli_option OPTIONS[] = {
    {'c', "config", "FILE", "The configuration file."},
    {'p', "print", NULL, "Print the complete settings; secrets are masked."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "check --config FILE [--print]",
    .about = "Checks a configuration file: says what is wrong and what is dangerous.\n"
             "Exits 78 on an error, 0 otherwise.",
    .options = OPTIONS,
};

static void warn_of_credentials(void *arg, enum status status,
                                const struct credentials *credentials, const char *text)
{
    (void)credentials;
    if (status != STATUS_OK) {
        fprintf(stderr, "warning: %s: credentials.provider: %s\n", (const char *)arg, text);
    }
}

/* Only what the machine itself knows: no service is asked. */
static void check_credentials(const char *path, const struct settings *settings)
{
    struct buf why = {0};
    struct loop *loop = loop_new();
    struct credential_source *source = credentials_open(loop, settings, &why);
    char *file = mem_strdup(path);
    if (source == NULL) {
        fprintf(stderr, "warning: %s: %s\n", path, buf_slice(&why).data);
    } else if (strcmp(settings->credentials.provider, "env") == 0) {
        credentials_get(source, warn_of_credentials, file);
    }
    credentials_source_free(source);
    loop_free(loop);
    free(file);
    buf_fini(&why);
}

static void print_lines(const char *path, const char *kind, struct slice lines)
{
    while (lines.length > 0) {
        const char *end = memchr(lines.data, '\n', lines.length);
        size_t length = end == NULL ? lines.length : (size_t)(end - lines.data);
        fprintf(stderr, "%s%s: %.*s\n", kind, path, (int)length, lines.data);
        size_t taken = length + (end != NULL);
        lines = slice_of(lines.data + taken, lines.length - taken);
    }
}

/* What `run` starts with all the same, an expired certificate, is an error here. */
static int check_certificates(const char *path, const struct settings *settings)
{
    struct tls_files broker;
    struct tls_files api;
    struct tls_report report = {0};
    int64_t now_ms = clock_wall_ms();
    (void)tls_files_load_broker(&broker, settings, now_ms, &report);
    (void)tls_files_load_api(&api, settings, now_ms, &report);
    bool is_good = report.errors.length == 0 && report.outdated.length == 0;
    print_lines(path, "", buf_slice(&report.errors));
    print_lines(path, "", buf_slice(&report.outdated));
    print_lines(path, "warning: ", buf_slice(&report.warnings));
    tls_report_fini(&report);
    tls_files_fini(&broker);
    tls_files_fini(&api);
    return is_good ? EX_OK : EX_CONFIG;
}

static void print_settings(const struct settings *settings)
{
    struct buf text = {0};
    settings_print(settings, &text);
    fwrite(text.data, 1, text.length, stdout);
    buf_fini(&text);
}

int cli_check(const struct cli_context *context, int argc, char **argv)
{
    const char *path = NULL;
    bool has_print = false;
    struct settings *settings = NULL;
    char letter;
    int code;
    enum cli_next next;
    (void)context;
    while ((next = cli_next_option(&USAGE, argc, argv, &letter, &code)) == CLI_OPTION) {
        if (letter == 'c') {
            path = optarg;
        } else {
            has_print = true;
        }
    }
    if (next == CLI_EXIT) {
        return code;
    }
    code = cli_load_settings("check", path, &settings);
    if (code != EX_OK) {
        return code;
    }
    check_credentials(path, settings);
    code = check_certificates(path, settings);
    if (has_print) {
        print_settings(settings);
    } else if (code == EX_OK) {
        printf("%s: no errors\n", path);
    }
    settings_free(settings);
    return code;
}
