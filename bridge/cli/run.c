#include "app/bridge.h"
#include "base/crash_point.h"
#include "cli/cli.h"
#include "credentials/credentials.h"

#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

/* How long the end waits for the reader of the log. */
#define CLOSE_LOG_MS 300

struct options {
    struct cli_config config;
    bool is_leaving;
};

static const struct cli_option OPTIONS[] = {
    CLI_CONFIG_OPTIONS(offsetof(struct options, config), "The configuration file."),
    {'l', "leave", NULL, offsetof(struct options, is_leaving),
     "Takes the bridge out of service: takes and answers what the broker holds for it, ends its "
     "sessions there, and exits."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "run --config FILE [--set PATH=VALUE]... [--leave]",
    .about =
        "Runs the bridge until SIGTERM or SIGINT.\n"
        "SIGHUP   reads the file again, with certificates, keys and passwords, and reopens the\n"
        "         audit file\n"
        "SIGUSR1  writes the counts of all commands to the log\n"
        "SIGUSR2  confirms that the report of a lost session, or of lost commits of a shared\n"
        "         ledger, was seen\n"
        "Exits 0 after a stop, 73 if the ledger or the audit file cannot be used, 75 if other\n"
        "bridges that share its ledger have taken over its work, 78 if the configuration is\n"
        "wrong.",
    .options = OPTIONS,
};

#ifdef BRIDGE_CRASH_POINTS
static int set_crash_point(void)
{
    struct buf why = {0};
    enum status status = crash_point_setup(false, &why);
    if (status != STATUS_OK) {
        fprintf(stderr, "ecs-mqtt-bridge run: %s\n", why.data);
    }
    buf_fini(&why);
    return status == STATUS_OK ? EX_OK : EX_CONFIG;
}
#else
static int set_crash_point(void)
{
    return EX_OK;
}
#endif

int cli_run(int argc, char **argv)
{
    struct options options = {0};
    struct settings *settings = NULL;
    struct buf warnings = {0};
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &options, &code)) {
        return code;
    }
    code = set_crash_point();
    if (code == EX_OK) {
        code = cli_load_settings("run", &options.config, &settings, &warnings);
    }
    if (code != EX_OK) {
        buf_fini(&warnings);
        return code;
    }
    /* An inherited descriptor could be mistaken for a socket of ours. */
    close_range(STDERR_FILENO + 1, ~0U, 0);
    log_setup(settings_log_level(settings), log_style_for(settings->log.format), "bridge");
    log_keep_recent();
    log_lines(LOG_LEVEL_WARN, "settings_warning", buf_slice(&warnings));
    buf_fini(&warnings);
    if (geteuid() == 0) {
        LOG_WARN("running_as_root", LOG_TEXT("user", "root"));
    }
    credentials_env_hide();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* at the file size limit the ledger fails, but the process goes on */
    mallopt(M_ARENA_MAX, 2);  /* with few threads, more arenas only use memory */
    const struct settings_source source = {options.config.path,
                                           {options.config.set.items, options.config.set.count}};
    code = bridge_run(settings, &source, options.is_leaving);
    settings_free(settings);
    log_close(CLOSE_LOG_MS);
    return code;
}
