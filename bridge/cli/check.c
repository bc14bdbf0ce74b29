#include "cli/cli.h"

#include "base/clock.h"
#include "check_online.h"
#include "credentials/credentials.h"
#include "tls/files.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

struct options {
    const char *path;
    const char *region;
    bool has_print;
    bool has_online;
};

static const struct cli_option OPTIONS[] = {
    {'c', "config", "FILE", offsetof(struct options, path), "The configuration file."},
    {'p', "print", NULL, offsetof(struct options, has_print),
     "Print the complete settings; secrets are masked."},
    {'o', "online", NULL, offsetof(struct options, has_online),
     "Also get credentials and ask the API whether it accepts them."},
    {'r', "region", "REGION", offsetof(struct options, region),
     "The region for --online, instead of the routes' own regions."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "check --config FILE [--print] [--online [--region REGION]]",
    .about = "Checks a configuration file and prints errors and warnings. With --online it also\n"
             "prints which source has credentials, when they expire, and whether the API accepts\n"
             "them, with a call that changes nothing (DescribeDiskReplicaGroups).\n"
             "Exits 78 on an error or a refusal, 69 if a service cannot be reached, 0 otherwise.",
    .options = OPTIONS,
};

struct checked {
    const char *path;
    const struct settings *settings;
};

static void warn_of_credentials(void *arg, enum status status,
                                const struct credentials *credentials, const char *text)
{
    const struct checked *checked = arg;
    (void)credentials;
    if (status != STATUS_OK) {
        fprintf(stderr, "warning: %s: credentials.provider: %s\n", checked->path, text);
    }
}

static void warn_of_file(void *arg, const char *path)
{
    const struct checked *checked = arg;
    const struct credential_settings *settings = &checked->settings->credentials;
    struct stat info;
    /* The files that are named in the settings were checked when the settings were read. */
    bool is_checked =
        strcmp(path, settings->profile_file) == 0 || strcmp(path, settings->cli_profile_file) == 0;
    if (!is_checked && stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
        (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        fprintf(stderr,
                "warning: %s: credentials.provider: %s is a secret file that other users may open "
                "(mode %04o); use mode 0600 or 0400\n",
                checked->path, path, (unsigned)info.st_mode & 07777U);
    }
}

/* Without asking a service: only what can be checked on this machine. */
static int check_credentials(struct checked *checked)
{
    struct buf why = {0};
    struct loop *loop = loop_new();
    struct credential_context *context = credentials_context_new(loop, checked->settings, NULL);
    struct credential_source *source = credentials_open(context, &why);
    if (source == NULL) {
        fprintf(stderr, "%s: %s\n", checked->path, buf_slice(&why).data);
    } else {
        credentials_files(source, warn_of_file, checked);
        if (strcmp(checked->settings->credentials.provider, "env") == 0) {
            credentials_get(source, warn_of_credentials, checked);
        }
    }
    int code = source == NULL ? EX_CONFIG : EX_OK;
    credentials_source_free(source);
    credentials_context_free(context);
    loop_free(loop);
    buf_fini(&why);
    return code;
}

static void print_lines(const char *path, const char *kind, struct slice lines)
{
    for (struct slice line; slice_take_line(&lines, &line);) {
        fprintf(stderr, "%s%s: %.*s\n", kind, path, (int)line.length, line.data);
    }
}

/* An expired certificate is an error here, although `run` starts with it. */
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

static int check(const struct options *options, struct settings *settings)
{
    struct checked checked = {options->path, settings};
    int code = check_credentials(&checked);
    int certificates_code = check_certificates(options->path, settings);
    code = code == EX_OK ? certificates_code : code;
    if (options->has_print) {
        struct buf text = {0};
        settings_print(settings, &text);
        fwrite(text.data, 1, text.length, stdout);
        buf_fini(&text);
    } else if (code == EX_OK) {
        printf("%s: no errors\n", options->path);
    }
    return options->has_online && code == EX_OK ? check_online(settings, options->region) : code;
}

int cli_check(int argc, char **argv)
{
    struct options options = {0};
    struct settings *settings = NULL;
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &options, &code)) {
        return code;
    }
    if (options.region != NULL && !options.has_online) {
        return cli_wrong_call("check", "--region is for --online");
    }
    code = cli_load_settings("check", options.path, &settings);
    if (code == EX_OK) {
        code = check(&options, settings);
    }
    settings_free(settings);
    return code;
}
