#include "io/ledger.h"
#include "cli/cli.h"

#include <stdio.h>
#include <sysexits.h>

#define EXIT_STORE 73

static const struct cli_option OPTIONS[] = {
    {'c', "config", "FILE", "The configuration file that names the ledger."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "ledger --config FILE show TOKEN | list | count",
    .about = "Looks into a ledger, also while its bridge runs; nothing is changed.\n"
             "  show TOKEN   the record of a ClientToken, as JSON; exits 1 where there is none\n"
             "  list         every unfinished command, one JSON object a line\n"
             "  count        how much is unfinished, waits, and is to be published",
    .options = OPTIONS,
    .operands_max = 2,
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
        return cli_wrong_call("ledger", "show TOKEN, list or count is needed");
    case STATUS_NOT_FOUND:
        fprintf(stderr, "ecs-mqtt-bridge ledger: no record of this ClientToken\n");
        return 1;
    default:
        fprintf(stderr, "ecs-mqtt-bridge ledger: %s\n",
                why->length > 0 ? why->data : "cannot be read");
        return EXIT_STORE;
    }
}

int cli_ledger(const struct cli_context *context, int argc, char **argv)
{
    const char *path = NULL;
    struct settings *settings = NULL;
    struct buf out = {0};
    struct buf why = {0};
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
    code = cli_load_settings("ledger", path, &settings);
    if (code != EX_OK) {
        return code;
    }
    enum status status = look(settings->ledger.store, argv + optind, argc - optind, &out, &why);
    code = report(status, &out, &why);
    buf_fini(&out);
    buf_fini(&why);
    settings_free(settings);
    return code;
}
