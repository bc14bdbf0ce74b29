#include "cli/cli.h"

#include "base/clock.h"
#include "check_files.h"
#include "check_online.h"
#include "check_sample.h"
#include "credentials/credentials.h"
#include "tls/files.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct options {
    struct cli_config config;
    const char *region;
    struct sample sample;
    bool has_print;
    bool has_online;
    bool is_strict;
};

static const struct cli_option OPTIONS[] = {
    CLI_CONFIG_OPTIONS(offsetof(struct options, config), "The configuration file."),
    {'p', "print", NULL, offsetof(struct options, has_print),
     "Print the complete settings; secrets are masked."},
    {'s', "strict", NULL, offsetof(struct options, is_strict), "Treat warnings as errors."},
    {'o', "online", NULL, offsetof(struct options, has_online),
     "Also connect to the broker, get credentials, and ask the API whether it accepts them."},
    {'r', "region", "REGION", offsetof(struct options, region),
     "The region for --online, instead of the routes' own regions."},
    {'f', "sample", "FILE", offsetof(struct options, sample.path),
     "Also print what --route makes of a message with this payload."},
    {'R', "route", "NAME", offsetof(struct options, sample.route), "The route, for --sample."},
    {'t', "topic", "TOPIC", offsetof(struct options, sample.topic),
     "The topic of the sample, instead of the first one of the route."},
    {'T', "content-type", "TYPE", offsetof(struct options, sample.content_type),
     "The MQTT 5 Content Type of the sample."},
    {'u', "property", "NAME=VALUE...", offsetof(struct options, sample.properties),
     "A user property of the sample."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "check --config FILE [--set PATH=VALUE]... [--strict] [--print]\n"
                "                             [--online [--region REGION]]\n"
                "                             [--sample FILE --route NAME [--topic TOPIC]\n"
                "                              [--content-type TYPE] [--property NAME=VALUE]...]",
    .about = "Checks a configuration file, the rights of the files that it names and the place of\n"
             "the ledger, and prints errors and warnings. Run it as the bridge's user and in its\n"
             "working directory. With --online it also\n"
             "prints which source has credentials, when they expire, and whether the API accepts\n"
             "them, with a call that changes nothing (DescribeDiskReplicaGroups), and connects to\n"
             "the broker and to the database of a shared ledger.\n"
             "With --sample it prints the commands that a route makes of a message.\n"
             "Exits 78 on an error or a refusal, 69 if a service cannot be reached, 0 otherwise.",
    .options = OPTIONS,
};

static void warn_of_credentials(void *arg, enum status status,
                                const struct credentials *credentials, const char *text)
{
    (void)credentials;
    if (status != STATUS_OK) {
        check_warning(arg, "credentials.provider", "%s", text);
    }
}

static void warn_of_file(void *arg, const char *path)
{
    struct check *check = arg;
    const struct credential_settings *settings = &check->settings->credentials;
    /* The files that are named in the settings were checked when the settings were read. */
    if (strcmp(path, settings->profile_file) != 0 &&
        strcmp(path, settings->cli_profile_file) != 0) {
        check_secret_file(check, "credentials.provider", path);
    }
}

/* Without asking a service: only what can be checked on this machine. */
static void check_credentials(struct check *check)
{
    struct buf why = {0};
    struct loop *loop = loop_new();
    struct credential_context *context = credentials_context_new(loop, check->settings, NULL);
    struct credential_source *source = credentials_open(context, &why);
    if (source == NULL) {
        check->error_count++;
        fprintf(stderr, "%s: %s\n", check->path, buf_slice(&why).data);
    } else {
        credentials_files(source, warn_of_file, check);
        if (strcmp(check->settings->credentials.provider, "env") == 0) {
            credentials_get(source, warn_of_credentials, check);
        }
    }
    credentials_source_free(source);
    credentials_context_free(context);
    loop_free(loop);
    buf_fini(&why);
}

/* Returns the number of lines. */
static int print_lines(const char *path, const char *kind, struct slice lines)
{
    int count = 0;
    for (struct slice line; slice_take_line(&lines, &line); count++) {
        fprintf(stderr, "%s%s: %.*s\n", kind, path, (int)line.length, line.data);
    }
    return count;
}

/* An expired certificate is an error here, although `run` starts with it. */
static void check_certificates(struct check *check)
{
    struct tls_files broker;
    struct tls_files api;
    struct tls_report report = {0};
    int64_t now_ms = clock_wall_ms();
    (void)tls_files_load_broker(&broker, check->settings, now_ms, &report);
    (void)tls_files_load_api(&api, check->settings, now_ms, &report);
    check->error_count += print_lines(check->path, "", buf_slice(&report.errors));
    check->error_count += print_lines(check->path, "", buf_slice(&report.outdated));
    check->warning_count += print_lines(check->path, "warning: ", buf_slice(&report.warnings));
    tls_report_fini(&report);
    tls_files_fini(&broker);
    tls_files_fini(&api);
}

static int check(const struct options *options, const struct settings *settings, int warning_count)
{
    struct check check = {
        .path = options->config.path, .settings = settings, .warning_count = warning_count};
    check_credentials(&check);
    check_certificates(&check);
    check_files(&check);
    bool is_refused = check.error_count > 0 || (options->is_strict && check.warning_count > 0);
    if (check.error_count == 0 && is_refused) {
        fprintf(stderr, "%s: %d warnings, and --strict makes them errors\n", check.path,
                check.warning_count);
    }
    if (options->has_print) {
        struct buf text = {0};
        settings_print(settings, &text);
        fwrite(text.data, 1, text.length, stdout);
        buf_fini(&text);
    } else if (!is_refused) {
        printf("%s: no errors\n", check.path);
    }
    if (is_refused) {
        return EX_CONFIG;
    }
    int sample_code =
        options->sample.path == NULL ? EX_OK : check_sample(settings, &options->sample);
    if (!options->has_online || sample_code != EX_OK) {
        return sample_code;
    }
    int api_code = check_online(settings, options->region);
    if (api_code == EX_USAGE) {
        return api_code;
    }
    int ledger_code = check_ledger(settings);
    int broker_code = check_broker(settings);
    if (api_code != EX_OK) {
        return api_code;
    }
    return ledger_code == EX_OK ? broker_code : ledger_code;
}

int cli_check(int argc, char **argv)
{
    struct options options = {0};
    struct settings *settings = NULL;
    struct buf warnings = {0};
    /* The lines stay in order where both streams go to one file. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &options, &code)) {
        return code;
    }
    if (options.region != NULL && !options.has_online) {
        return cli_wrong_call("check", "--region is for --online");
    }
    if (options.sample.path == NULL &&
        (options.sample.route != NULL || options.sample.topic != NULL ||
         options.sample.content_type != NULL || options.sample.properties.count > 0)) {
        return cli_wrong_call("check", "--route, --topic, --content-type and --property are for "
                                       "--sample");
    }
    code = cli_load_settings("check", &options.config, &settings, &warnings);
    if (code == EX_OK) {
        int warning_count = 0;
        struct slice rest = buf_slice(&warnings);
        for (struct slice line; slice_take_line(&rest, &line); warning_count++) {
            fprintf(stderr, "warning: %.*s\n", (int)line.length, line.data);
        }
        code = check(&options, settings, warning_count);
    }
    settings_free(settings);
    buf_fini(&warnings);
    return code;
}
