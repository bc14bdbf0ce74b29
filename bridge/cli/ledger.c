#include "ledger/ledger.h"

#include "audit/verify.h"
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#define EXIT_STORE      73
#define AUDIT_FILES_MAX 1000

#define LOOK_OPERANDS_MAX 2

static const struct cli_option OPTIONS[] = {
    {'c', "config", "FILE", "The configuration file that names the ledger and the audit file."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "ledger --config FILE show TOKEN | list | count | verify-audit [FILE...]",
    .about =
        "Looks into a ledger, also while its bridge runs; nothing is changed.\n"
        "  show TOKEN   the record of a ClientToken, as JSON; exits 1 where there is none\n"
        "  list         every unfinished command, one JSON object a line\n"
        "  count        how much is unfinished, waits, and is to be published\n"
        "  verify-audit [FILE...]\n"
        "               whether the audit file is whole; with files, the oldest first, those\n"
        "               together. Without --config their end is not compared with the ledger.\n"
        "               Exits 1 where something was changed or is missing",
    .options = OPTIONS,
    .operands_max = 1 + AUDIT_FILES_MAX,
};

static enum status look(const char *store, char **operands, int count, struct buf *out,
                        struct buf *why)
{
    const char *verb = count > 0 ? operands[0] : "";
    if (strcmp(verb, "show") == 0 && count == 2) {
        return ledger_show(store, slice_text(operands[1]), out, why);
    }
    if (strcmp(verb, "list") == 0 && count == 1) {
        return ledger_list(store, out, why);
    }
    if (strcmp(verb, "count") == 0 && count == 1) {
        return ledger_count(store, out, why);
    }
    return STATUS_LIMIT;
}

static int report(enum status status, const struct buf *out, const struct buf *why)
{
    switch (status) {
    case STATUS_OK:
        fwrite(out->data, 1, out->length, stdout);
        return EX_OK;
    case STATUS_LIMIT:
        return cli_wrong_call("ledger", "show TOKEN, list, count or verify-audit is needed");
    case STATUS_NOT_FOUND:
        fprintf(stderr, "ecs-mqtt-bridge ledger: no record of this ClientToken\n");
        return 1;
    default:
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n",
                why->length > 0 ? why->data : "cannot be read");
        return EXIT_STORE;
    }
}

/* ---- verify-audit ---- */

static void print_fault(const struct audit_report *report)
{
    if (report->line > 0) {
        printf("%s: line %" PRId64 " %s\n", report->path, report->line, report->what.data);
    } else {
        printf("%s: %s\n", report->path, report->what.data);
    }
    printf("%" PRId64 " lines before it are whole, the last one has Seq %" PRId64 "\n",
           report->count, report->chain.seq);
}

static int print_report(const struct audit_report *report, bool has_tip)
{
    if (!report->is_sound) {
        print_fault(report);
        return 1;
    }
    printf("%" PRId64 " lines are whole", report->count);
    if (report->count > 0) {
        printf(", Seq %" PRId64 " to %" PRId64, report->first_seq, report->chain.seq);
    }
    printf(has_tip ? ", and end as the ledger says\n"
                   : "; their end was not compared with a ledger (--config)\n");
    if (report->has_open_end) {
        printf("after them is an incomplete line: a crash, or it is being written now\n");
    }
    if (report->count > 0 && report->is_hashed) {
        printf("last hash %s\n", report->chain.hash);
    } else if (report->count > 0) {
        printf("the lines are not chained: what was changed in them does not show\n");
    }
    return EX_OK;
}

static int verify(char *const *paths, size_t count, const struct audit_tip *tip)
{
    struct audit_report report;
    struct buf why = {0};
    int code;
    if (audit_verify(paths, count, tip, &report, &why) == STATUS_OK) {
        code = print_report(&report, tip != NULL);
    } else {
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n", why.data);
        code = EXIT_STORE;
    }
    audit_report_fini(&report);
    buf_fini(&why);
    return code;
}

static int verify_audit(const struct settings *settings, char **files, int count)
{
    struct audit_tip tip;
    struct buf why = {0};
    char *own[] = {settings->audit.file};
    if (count == 0 && settings->audit.file[0] == '\0') {
        fprintf(stderr, "ecs-mqtt-bridge ledger: audit.file is not set\n");
        return EX_CONFIG;
    }
    if (ledger_audit_tip(settings->ledger.store, &tip, &why) != STATUS_OK) {
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n", why.data);
        buf_fini(&why);
        return EXIT_STORE;
    }
    return count > 0 ? verify(files, (size_t)count, &tip) : verify(own, 1, &tip);
}

static bool is_verify(char **operands, int count)
{
    return count > 0 && strcmp(operands[0], "verify-audit") == 0;
}

int cli_ledger(const struct cli_context *context, int argc, char **argv)
{
    const char *path = NULL;
    struct settings *settings = NULL;
    struct buf out = {0};
    struct buf why = {0};
    char what[160];
    char letter;
    int code;
    enum cli_next next;
    (void)context;
    while ((next = cli_next_option(&USAGE, argc, argv, &letter, &code)) == CLI_OPTION) {
        path = optarg;
    }
    if (next == CLI_EXIT) {
        return code;
    }
    bool is_verifying = is_verify(argv + optind, argc - optind);
    if (!is_verifying && argc - optind > LOOK_OPERANDS_MAX) {
        snprintf(what, sizeof what, "unexpected argument %s", argv[optind + LOOK_OPERANDS_MAX]);
        return cli_wrong_call("ledger", what);
    }
    if (is_verifying && path == NULL && argc - optind > 1) {
        return verify(argv + optind + 1, (size_t)(argc - optind - 1), NULL);
    }
    code = cli_load_settings("ledger", path, &settings);
    if (code != EX_OK) {
        return code;
    }
    if (is_verifying) {
        code = verify_audit(settings, argv + optind + 1, argc - optind - 1);
        settings_free(settings);
        return code;
    }
    enum status status = look(settings->ledger.store, argv + optind, argc - optind, &out, &why);
    code = report(status, &out, &why);
    buf_fini(&out);
    buf_fini(&why);
    settings_free(settings);
    return code;
}
