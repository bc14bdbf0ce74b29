#include "ledger/ledger.h"

#include "audit/verify.h"
#include "cli/cli.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#define EXIT_STORE      73
#define AUDIT_FILES_MAX 1000

#define LOOK_OPERANDS_MAX 2

struct options {
    struct cli_config config;
};

static const struct cli_option OPTIONS[] = {
    CLI_CONFIG_OPTIONS(offsetof(struct options, config),
                       "The configuration file that names the ledger and the audit file."),
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "ledger --config FILE show TOKEN | list | count | verify-audit [FILE...]",
    .about =
        "Reads a ledger, also while its bridge runs; changes nothing.\n"
        "  show TOKEN   prints the record of a ClientToken as JSON; exits 1 if there is none\n"
        "  list         prints every unfinished command, one JSON object per line\n"
        "  count        prints how many commands are unfinished or wait, and how many messages\n"
        "               are not yet published\n"
        "  verify-audit [FILE...]\n"
        "               checks that the audit file is complete; with files, the oldest first,\n"
        "               that they are complete together. Without --config their end is not\n"
        "               compared with the ledger. Exits 1 if lines were changed or are missing",
    .options = OPTIONS,
    .operands_max = 1 + AUDIT_FILES_MAX,
};

static enum status list(const char *store, struct slice token, struct buf *out, struct buf *why)
{
    (void)token;
    return ledger_list(store, out, why);
}

static enum status count(const char *store, struct slice token, struct buf *out, struct buf *why)
{
    (void)token;
    return ledger_count(store, out, why);
}

/* The verbs that read a ledger. verify-audit is not here, because it reads files. */
static const struct verb {
    const char *name;
    int operand_count; /* after the verb */
    enum status (*look)(const char *store, struct slice token, struct buf *out, struct buf *why);
} VERBS[] = {{"show", 1, ledger_show}, {"list", 0, list}, {"count", 0, count}};

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

static int look(const struct verb *verb, const char *store, const char *token)
{
    struct buf out = {0};
    struct buf why = {0};
    int code;
    enum status status = verb->look(store, slice_text(token), &out, &why);
    if (status == STATUS_OK) {
        fwrite(out.data, 1, out.length, stdout);
        code = EX_OK;
    } else if (status == STATUS_NOT_FOUND) {
        fprintf(stderr, "ecs-mqtt-bridge ledger: no record of this ClientToken\n");
        code = 1;
    } else {
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n",
                why.length > 0 ? why.data : "cannot be read");
        code = EXIT_STORE;
    }
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

int cli_ledger(int argc, char **argv)
{
    struct options options = {0};
    struct settings *settings = NULL;
    char what[160];
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &options, &code)) {
        return code;
    }
    char **operands = argv + optind;
    int operand_count = argc - optind;
    bool is_verifying = operand_count > 0 && strcmp(operands[0], "verify-audit") == 0;
    const struct verb *verb = find_verb(operands, operand_count);
    if (is_verifying && options.config.path == NULL && operand_count > 1) {
        return verify(operands + 1, (size_t)operand_count - 1, NULL);
    }
    if (!is_verifying && operand_count > LOOK_OPERANDS_MAX) {
        snprintf(what, sizeof what, "unexpected argument %s", operands[LOOK_OPERANDS_MAX]);
        return cli_wrong_call("ledger", what);
    }
    code = cli_load_settings("ledger", &options.config, &settings, NULL);
    if (code == EX_OK && is_verifying) {
        code = verify_audit(settings, operands + 1, operand_count - 1);
    } else if (code == EX_OK && verb == NULL) {
        code = cli_wrong_call("ledger", "show TOKEN, list, count or verify-audit is needed");
    } else if (code == EX_OK) {
        code = look(verb, settings->ledger.store, operand_count > 1 ? operands[1] : NULL);
    }
    settings_free(settings);
    return code;
}
