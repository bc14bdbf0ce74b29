/* The users' page of settings: one Markdown table for each group, made from the rows. */
#include "documents.h"

#include "settings/table.h"

static const char INTRODUCTION[] =
    "# Settings\n"
    "\n"
    "The settings are one file in "
    "[libconfig](https://hyperrealm.github.io/libconfig/libconfig_manual.html) format; its name is\n"
    "the argument of `--config FILE`. A key that is not in the file has its default. An unknown "
    "key, a wrong type or a value\n"
    "out of range is an error. All errors are reported at once, each with file, line and key:\n"
    "\n"
    "    bridge.conf:7: broker.keepalive_s: is 0; allowed: a whole number, 1 to 65535\n"
    "\n"
    "`ecs-mqtt-bridge check -c FILE` checks a file without starting anything; `--print` also "
    "prints the settings in effect.\n"
    "`ecs-mqtt-bridge.conf` in this folder has every key with its default, `minimal.conf` only "
    "the keys for a first start.\n"
    "`@include` is not supported. A whole number is accepted where a number with a fraction is "
    "expected.\n"
    "\n"
    "The column `reload` says whether a running bridge takes a new value when it reads the file "
    "again (SIGHUP, or\n"
    "`ecs-mqtt-bridge ctl reload`); where it says no, the bridge takes it at its next start.\n"
    "\n"
    "This page is generated from `include/tables/settings.def`.\n";

static const char WARNINGS[] =
    "\n"
    "## What `check` warns about\n"
    "\n"
    "These settings work, but are dangerous:\n"
    "\n"
    "- a broker without encryption (`mqtt://`, `ws://`) or an API endpoint without it (`http://`) "
    "that is not on loopback;\n"
    "- `broker.tls.verify = false` (an error with a password or a certificate for a broker that is "
    "not on loopback);\n"
    "- a certificate that expires within 14 days (one that has expired is an error);\n"
    "- a password or key file, or a file of the ledger, that other users may open; a user name in "
    "`api.proxy` in a file that everybody may read; a file or a ledger's directory that everybody "
    "may write;\n"
    "- a write-ahead log beside a ledger that no bridge has open: if the ledger was restored from "
    "a backup, remove that log first;\n"
    "- `limits.deadline_s` shorter than one attempt (`api.connect_timeout_ms` + "
    "`api.read_timeout_ms`);\n"
    "- `broker.session_expiry_s` shorter than `limits.deadline_s` (MQTT 5);\n"
    "- `response_topics = (\"#\")`, which lets a sender make the bridge publish anywhere;\n"
    "- command filters that overlap, in one route or in two;\n"
    "- an allowed response topic that can be a command topic;\n"
    "- `regions = (\"*\")` together with `groups = (\"*\")`, as in the default route;\n"
    "- a pattern that no region or no replica group can match, such as `cn_beijing`;\n"
    "- `admin.listen` on an address that is not on loopback;\n"
    "- `${NAME}` in a text that is no template of `map` or `when`: variables of the environment are "
    "not replaced;\n"
    "- a user property in a template with MQTT 3.1.1, which has none;\n"
    "- a `map.ClientToken` that is the same for all elements of `each`;\n"
    "- a setting beyond a limit of the service in `broker.profile` (an error where the service "
    "would refuse it for sure);\n"
    "- a `share` with MQTT 3.1.1, which has no shared "
    "subscriptions;\n"
    "- a quality of service other than 1.\n"
    "\n"
    "With `--strict` these are errors.\n"
    "\n"
    "Errors that need more than one setting, or the machine; `run` refuses all but the last one, "
    "which it meets when it opens the ledger:\n"
    "\n"
    "- a route whose topics match a topic that the bridge itself publishes to (replies, dead "
    "letters, status, events): each of its messages would become a command, and that another "
    "message;\n"
    "- `dedup.success_ttl_s` shorter than `broker.session_expiry_s` (MQTT 5): the broker could "
    "deliver a command again after its outcome was forgotten;\n"
    "- `map`, `each` or `when` with input `command`; with another input a field that is needed and "
    "neither mapped nor in `defaults`; a table that does not exist; a condition without patterns;\n"
    "- `coalesce_s` longer than `dedup.success_ttl_s`;\n"
    "- a ledger whose directory does not exist or that this user may not write.\n"
    "\n"
    "## Settings on the command line\n"
    "\n"
    "`run`, `check`, `send`, `ctl` and `ledger` take `--set PATH=VALUE`, as often as needed: it replaces "
    "a setting of the file, for example `--set log.level=debug` or `--set "
    "'broker.uris=(\"mqtts://a.example\", \"mqtts://b.example\")'`. The value is written as in "
    "the file; what is not a number, `true`, `false`, a quoted text or a list is a text, without "
    "quotes. All settings but those of `routes` can be set. Other users of the machine can see "
    "the command line: no password belongs there.\n";

static const struct {
    const char *profile;
    const char *path;
    const char *value;
} profile_defaults[] = {
#define PROFILE_DEFAULT(name, path, value)       {name, path, value},
#define PROFILE_ROUTE_DEFAULT(name, path, value) {name, "routes: " path, value},
#include "tables/broker_profiles.def"
};

static void document_profiles(struct buf *out)
{
    buf_append_text(out, "\n## Defaults of `broker.profile`\n\n"
                         "Settings that are in the file, or in a `--set`, keep their value. Limits of each "
                         "service are in [brokers.md](../deploy/brokers.md#services).\n\n"
                         "| profile | key | default |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof profile_defaults / sizeof profile_defaults[0]; i++) {
        const char *value = profile_defaults[i].value;
        buf_printf(out, "| `%s` | `%s` | `%s` |\n", profile_defaults[i].profile,
                   profile_defaults[i].path, value[0] == '\0' ? "\"\"" : value);
    }
}

static void document_row(struct buf *out, const struct settings_row *row, const void *base)
{
    buf_printf(out, "| `%s` | ", row->path);
    if (settings_row_is_set(row, base)) {
        buf_append_char(out, '`');
        settings_row_print(row, base, out);
        buf_append_text(out, "` | ");
    } else {
        buf_append_text(out, "not set | ");
    }
    settings_row_allowed(row, out);
    buf_printf(out, " | %s | %s |\n", row->reload == SETTINGS_LIVE ? "yes" : "no", row->meaning);
}

static bool has_parent(const struct settings_row *row, const char *parent)
{
    size_t length = strlen(parent);
    size_t prefix = strlen(row->path) - strlen(settings_row_name(row));
    return prefix == (length == 0 ? 0 : length + 1) && strncmp(row->path, parent, length) == 0;
}

/* The keys that are directly in a group; "" for those in no group. */
static void document_keys(struct buf *out, struct settings_table table, const void *base,
                          const char *parent)
{
    buf_append_text(out, "\n| key | default | allowed | reload | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        bool is_key = row->type != SETTINGS_GROUP && row->type != SETTINGS_ROUTES;
        if (is_key && has_parent(row, parent)) {
            document_row(out, row, base);
        }
    }
}

/* The keys of the groups in a list, with the defaults of a group that is added to it. */
static void document_groups(struct buf *out, const struct settings_row *row, void *base,
                            const char *prefix)
{
    buf_printf(out, "\n## %sone group of %s\n", prefix, row->path);
    document_keys(out, settings_row_group_table(row), settings_row_add_group(row, base), "");
}

static void document_table(struct buf *out, struct settings_table table, void *base,
                           const char *prefix)
{
    document_keys(out, table, base, "");
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        if (row->type == SETTINGS_GROUP) {
            buf_printf(out, "\n## %s%s\n\n%s\n", prefix, row->path, row->meaning);
            document_keys(out, table, base, row->path);
        } else if (row->type == SETTINGS_ROUTES) {
            buf_printf(out, "\n## %s%s\n\n%s\n", prefix, row->path, row->meaning);
        } else if (settings_row_group_table(row).count > 0) {
            document_groups(out, row, base, prefix);
        }
    }
}

void settings_page(struct buf *out)
{
    struct settings *settings = settings_new_defaults();
    struct route *route = settings_add_route(settings);
    buf_append_text(out, INTRODUCTION);
    document_table(out, settings_main_table(), settings, "");
    document_table(out, settings_route_table(), route, "routes: ");
    document_profiles(out);
    buf_append_text(out, WARNINGS);
    settings_free(settings);
}
