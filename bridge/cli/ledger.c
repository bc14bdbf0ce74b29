#include "ledger/move.h"
#include "ledger/view.h"

#include "audit/verify.h"
#include "base/clock.h"
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define EXIT_STORE        73
#define AUDIT_FILES_MAX   1000
#define VERB_OPERANDS_MAX 2 /* copy alone has one more */

struct options {
    struct cli_config config;
    bool all;
    const char *state;
    const char *route;
    const char *region;
    const char *group;
    const char *since;
    const char *until;
    const char *limit;
    bool is_exclusive;
};

static const struct cli_option OPTIONS[] = {
    CLI_CONFIG_OPTIONS(offsetof(struct options, config),
                       "The configuration file that names the ledger and the audit file."),
    {'a', "all", NULL, offsetof(struct options, all), "list: finished commands, too."},
    {'s', "state", "STATE", offsetof(struct options, state),
     "list, export: only ready, calling, unsure, recalling or done; or succeeded, failed, "
     "unknown."},
    {'r', "route", "NAME", offsetof(struct options, route), "list, export: only of this route."},
    {'R', "region", "PATTERN", offsetof(struct options, region),
     "list, export: only of regions that match, such as 'cn-*'."},
    {'g', "group", "PATTERN", offsetof(struct options, group),
     "list, export: only of replica groups that match."},
    {'f', "since", "TIME", offsetof(struct options, since),
     "list, export: only received at this time or later: 2026-01-31T12:00:00Z, or 90s, 30m, 6h, 2d "
     "ago."},
    {'u', "until", "TIME", offsetof(struct options, until),
     "list, export: only received before this time."},
    {'n', "limit", "COUNT", offsetof(struct options, limit), "list, export: at most so many."},
    {'e', "exclusive", NULL, offsetof(struct options, is_exclusive),
     "migrate: fails if a bridge uses the ledger, which some steps need."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis =
        "ledger --config FILE show TOKEN | list | count | stats | export | backup FILE |\n"
        "                              verify | verify-audit [FILE...] | migrate | copy FROM TO",
    .about =
        "Reads a ledger, also while its bridge runs; only migrate and copy change something.\n"
        "  show TOKEN   prints the record of a ClientToken with its history as JSON; exits 1 if\n"
        "               there is none\n"
        "  list         prints every unfinished command, one JSON object per line\n"
        "  count        prints how many commands are unfinished or wait, and how many messages\n"
        "               are not yet published\n"
        "  stats        the same with the size of the file, its free space and its oldest records\n"
        "  export       prints all records with their histories, one JSON object per line\n"
        "  backup FILE  makes a consistent copy, which becomes a ledger where it is put in place\n"
        "               of one; does not replace a file\n"
        "  verify       checks the whole file, and that the records fit each other and their\n"
        "               histories; exits 1 with a line for each fault\n"
        "  verify-audit [FILE...]\n"
        "               checks that the audit file is complete; with files, the oldest first,\n"
        "               that they are complete together. Without --config their end is not\n"
        "               compared with the ledger. Exits 1 if lines were changed or are missing\n"
        "  migrate      makes the tables of a ledger in PostgreSQL, or what a newer version needs\n"
        "               in them; a bridge does the same when it starts\n"
        "  copy FROM TO copies a ledger \"sqlite:PATH\" into an empty database "
        "\"postgresql://...\"\n"
        "               and compares every row; no bridge may run on either. The instance and the\n"
        "               password file are those of the configuration",
    .options = OPTIONS,
    .operands_max = 1 + AUDIT_FILES_MAX,
};

/* A call of a verb. */
struct call {
    struct ledger_source source;
    char *const *operands; /* after the verb */
    struct ledger_filter filter;
    bool is_exclusive;
};

static void put_text(void *arg, struct slice text)
{
    (void)arg;
    fwrite(text.data, 1, text.length, stdout);
}

/* Prints what was read, or the reason of the failure. Returns the exit code. */
static int finish(enum status status, const struct buf *out, const struct buf *why)
{
    if (status == STATUS_OK && out->length > 0) {
        put_text(NULL, buf_slice(out));
    }
    if (status != STATUS_OK) {
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n",
                why->length > 0 ? why->data : "cannot be read");
        return EXIT_STORE;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("ecs-mqtt-bridge ledger: cannot write the output");
        return EX_IOERR;
    }
    return EX_OK;
}

static int show(const struct call *call, struct buf *out, struct buf *why)
{
    enum status status = ledger_show(&call->source, slice_text(call->operands[0]), out, why);
    if (status == STATUS_NOT_FOUND) {
        fprintf(stderr, "ecs-mqtt-bridge ledger: no record of this ClientToken\n");
        return 1;
    }
    return finish(status, out, why);
}

static int list(const struct call *call, struct buf *out, struct buf *why)
{
    return finish(ledger_list(&call->source, &call->filter, put_text, NULL, why), out, why);
}

static int export_all(const struct call *call, struct buf *out, struct buf *why)
{
    struct ledger_filter filter = call->filter;
    filter.has_finished = true;
    filter.has_history = true;
    return finish(ledger_list(&call->source, &filter, put_text, NULL, why), out, why);
}

static int count(const struct call *call, struct buf *out, struct buf *why)
{
    return finish(ledger_count(&call->source, out, why), out, why);
}

static int stats(const struct call *call, struct buf *out, struct buf *why)
{
    return finish(ledger_stats(&call->source, out, why), out, why);
}

static int backup(const struct call *call, struct buf *out, struct buf *why)
{
    return finish(ledger_backup(&call->source, call->operands[0], why), out, why);
}

static int verify_records(const struct call *call, struct buf *out, struct buf *why)
{
    int64_t faults = 0;
    int64_t records = 0;
    enum status status = ledger_verify(&call->source, put_text, NULL, &faults, &records, why);
    buf_printf(out, "%" PRId64 " records, %" PRId64 " faults\n", records, faults);
    int code = finish(status, out, why);
    return code == EX_OK && faults > 0 ? 1 : code;
}

static int migrate(const struct call *call, struct buf *out, struct buf *why)
{
    return finish(ledger_migrate(call->source.store, call->source.password_file, call->is_exclusive,
                                 out, why),
                  out, why);
}

static int copy(const struct call *call, struct buf *out, struct buf *why)
{
    const struct ledger_copy order = {
        .from = call->operands[0],
        .to = call->operands[1],
        .password_file = call->source.password_file,
        .instance = call->source.instance,
    };
    return finish(ledger_copy(&order, out, why), out, why);
}

/* The verbs of a ledger. verify-audit is not here, because it reads files. */
static const struct verb {
    const char *name;
    int operand_count; /* after the verb */
    bool has_filter;
    int (*run)(const struct call *call, struct buf *out, struct buf *why);
} VERBS[] = {
    {"show", 1, false, show},
    {"list", 0, true, list},
    {"count", 0, false, count},
    {"stats", 0, false, stats},
    {"export", 0, true, export_all},
    {"backup", 1, false, backup},
    {"verify", 0, false, verify_records},
    {"migrate", 0, false, migrate},
    {"copy", 2, false, copy},
};

static const struct verb *find_verb(char **operands, int operand_count)
{
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        if (operand_count == 1 + VERBS[i].operand_count &&
            strcmp(operands[0], VERBS[i].name) == 0) {
            return &VERBS[i];
        }
    }
    return NULL;
}

/* ---- the filter ---- */

/* A time, or how long ago: a number with s, m, h or d. */
static enum status read_time(const char *text, int64_t now_ms, int64_t *out_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } UNITS[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++) {
        if (end[0] == UNITS[i].unit && end[1] == '\0' && end != text && errno == 0 && number >= 0 &&
            number <= now_ms / UNITS[i].ms) {
            *out_ms = now_ms - number * UNITS[i].ms;
            return STATUS_OK;
        }
    }
    return clock_parse(slice_text(text), out_ms);
}

static enum status read_limit(const char *text, int64_t *out_limit)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || number < 1) {
        return STATUS_INVALID;
    }
    *out_limit = number;
    return STATUS_OK;
}

/* Returns EX_OK, or EX_USAGE after an error message. */
static int read_filter(const struct options *options, struct ledger_filter *out)
{
    int64_t now_ms = clock_wall_ms();
    ledger_filter_init(out);
    out->has_finished = options->all;
    out->route = options->route;
    out->region = options->region;
    out->group = options->group;
    if (options->state != NULL && ledger_filter_set_state(out, options->state) != STATUS_OK) {
        return cli_wrong_call("ledger", "--state is ready, calling, unsure, recalling, done, "
                                        "succeeded, failed or unknown");
    }
    if ((options->since != NULL &&
         read_time(options->since, now_ms, &out->since_ms) != STATUS_OK) ||
        (options->until != NULL &&
         read_time(options->until, now_ms, &out->until_ms) != STATUS_OK)) {
        return cli_wrong_call("ledger", "--since and --until are a time such as "
                                        "2026-01-31T12:00:00Z, or how long ago: 90s, 30m, 6h, 2d");
    }
    if (options->limit != NULL && read_limit(options->limit, &out->limit) != STATUS_OK) {
        return cli_wrong_call("ledger", "--limit is a number, at least 1");
    }
    return EX_OK;
}

static bool has_filter(const struct options *options)
{
    return options->all || options->state != NULL || options->route != NULL ||
           options->region != NULL || options->group != NULL || options->since != NULL ||
           options->until != NULL || options->limit != NULL;
}

static int run_verb(const struct verb *verb, const struct call *call)
{
    struct buf out = {0};
    struct buf why = {0};
    int code = verb->run(call, &out, &why);
    buf_fini(&out);
    buf_fini(&why);
    return code;
}

/* ---- verify-audit ---- */

static int print_report(const struct audit_check *check)
{
    if (check->fault != NULL) {
        if (check->line > 0) {
            printf("%s: line %" PRId64 " %s\n", check->path, check->line, check->fault);
        } else {
            printf("%s: %s\n", check->path, check->fault);
        }
        printf("%" PRId64 " lines before it are whole, the last one has Seq %" PRId64 "\n",
               check->count, check->chain.seq);
        return 1;
    }
    printf("%" PRId64 " lines are whole", check->count);
    if (check->count > 0) {
        printf(", Seq %" PRId64 " to %" PRId64, check->first_seq, check->chain.seq);
    }
    printf(check->tip != NULL ? ", and end as the ledger says\n"
                              : "; their end was not compared with a ledger (--config)\n");
    if (check->has_open_end) {
        printf("the last line is incomplete: a crash, or it is being written now\n");
    }
    if (check->count > 0 && check->chain.is_hashed) {
        printf("last hash %s\n", check->chain.hash);
    } else if (check->count > 0) {
        printf("the lines are not chained, so changes in them are not found\n");
    }
    return EX_OK;
}

static int verify(char *const *paths, size_t count, const struct audit_tip *tip)
{
    struct audit_check check;
    struct buf why = {0};
    int code = EXIT_STORE;
    if (audit_verify(paths, count, tip, &check, &why) == STATUS_OK) {
        code = print_report(&check);
    } else {
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n", why.data);
    }
    buf_fini(&why);
    return code;
}

static struct ledger_source source_of(const struct settings *settings)
{
    return (struct ledger_source){settings->ledger.store, settings->ledger.password_file,
                                  settings->instance};
}

static int verify_audit(const struct settings *settings, char **files, int count)
{
    const struct ledger_source source = source_of(settings);
    struct audit_tip tip;
    struct buf why = {0};
    char *own[] = {settings->audit.file};
    if (count == 0 && settings->audit.file[0] == '\0') {
        fprintf(stderr, "ecs-mqtt-bridge ledger: audit.file is not set\n");
        return EX_CONFIG;
    }
    if (ledger_audit_tip(&source, &tip, &why) != STATUS_OK) {
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n", why.data);
        buf_fini(&why);
        return EXIT_STORE;
    }
    return count > 0 ? verify(files, (size_t)count, &tip) : verify(own, 1, &tip);
}

int cli_ledger(int argc, char **argv)
{
    struct options options = {0};
    struct settings *settings = NULL;
    struct ledger_filter filter;
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &options, &code)) {
        return code;
    }
    char **operands = argv + optind;
    int operand_count = argc - optind;
    bool is_verifying = operand_count > 0 && strcmp(operands[0], "verify-audit") == 0;
    const struct verb *verb = operand_count > 0 ? find_verb(operands, operand_count) : NULL;
    if (is_verifying && options.config.path == NULL && operand_count > 1) {
        return verify(operands + 1, (size_t)operand_count - 1, NULL);
    }
    if (!is_verifying && verb == NULL && operand_count > VERB_OPERANDS_MAX) {
        char what[160];
        snprintf(what, sizeof what, "unexpected argument %s", operands[VERB_OPERANDS_MAX]);
        return cli_wrong_call("ledger", what);
    }
    code = read_filter(&options, &filter);
    if (code == EX_OK && has_filter(&options) && (verb == NULL || !verb->has_filter)) {
        code = cli_wrong_call("ledger", "these options are for list and export only");
    }
    if (code == EX_OK && options.is_exclusive && (verb == NULL || verb->run != migrate)) {
        code = cli_wrong_call("ledger", "--exclusive is for migrate only");
    }
    if (code == EX_OK) {
        code = cli_load_settings("ledger", &options.config, &settings, NULL);
    }
    if (code == EX_OK && is_verifying) {
        code = verify_audit(settings, operands + 1, operand_count - 1);
    } else if (code == EX_OK && verb == NULL) {
        code = cli_wrong_call("ledger", "show TOKEN, list, count, stats, export, backup FILE, "
                                        "verify, verify-audit, migrate or copy FROM TO is needed");
    } else if (code == EX_OK) {
        const struct call call = {
            .source = source_of(settings),
            .operands = operands + 1,
            .filter = filter,
            .is_exclusive = options.is_exclusive,
        };
        code = run_verb(verb, &call);
    }
    settings_free(settings);
    return code;
}
