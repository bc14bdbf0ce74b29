#include "cli/cli.h"

#include "base/mem.h"
#include "ecs/credentials.h"

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
    if (has_print) {
        print_settings(settings);
    } else {
        printf("%s: no errors\n", path);
    }
    settings_free(settings);
    return EX_OK;
}
