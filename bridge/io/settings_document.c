/* The users' page: one Markdown table a group, from the rows alone. */
#include "settings_table.h"

static const char INTRODUCTION[] =
    "# Settings\n"
    "\n"
    "The settings are one file in "
    "[libconfig](https://hyperrealm.github.io/libconfig/libconfig_manual.html) format, given\n"
    "with `--config FILE`. A key that is left out has its default. An unknown key, a wrong type or "
    "an impossible value is\n"
    "an error, and all of them are reported at once, each with file, line and key:\n"
    "\n"
    "    bridge.conf:7: broker.keepalive_s: is 0; allowed: a whole number, 1 to 65535\n"
    "\n"
    "`ecs-mqtt-bridge check -c FILE` checks a file without starting anything; `--print` shows the "
    "settings in effect.\n"
    "`ecs-mqtt-bridge.conf` beside this page has every key at its default, `minimal.conf` only "
    "what a first start needs.\n"
    "The file stands for itself: `@include` is not followed. Where a number with a fraction is "
    "expected, a whole number\n"
    "may stand.\n"
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
    "- `broker.tls.verify = false`;\n"
    "- a password or key file that others than its owner may open, or a user in `api.proxy` in a "
    "file everybody may read;\n"
    "- `limits.deadline_s` shorter than one attempt (`api.connect_timeout_ms` + "
    "`api.read_timeout_ms`);\n"
    "- `broker.session_expiry_s` shorter than `limits.deadline_s` (MQTT 5);\n"
    "- `response_topics = (\"#\")`, which lets a sender make the bridge publish anywhere;\n"
    "- command filters that overlap, in one route or in two;\n"
    "- a reply, dead-letter, status or event topic, or an allowed response topic, that can be a "
    "command topic: a loop;\n"
    "- `broker.receivers` above 1 or a `share` with MQTT 3.1.1, which has no shared "
    "subscriptions;\n"
    "- a quality of service other than 1.\n";

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
    buf_printf(out, " | %s |\n", row->meaning);
}

static void document_group(struct buf *out, const struct settings_row *row)
{
    buf_printf(out, "\n## %s\n\n%s\n", row->path, row->meaning);
}

static void document_table(struct buf *out, struct settings_table table, const void *base)
{
    static const char head[] = "\n| key | default | allowed | meaning |\n|---|---|---|---|\n";
    bool has_head = false;
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        if (row->type == SETTINGS_GROUP || row->type == SETTINGS_ROUTES) {
            document_group(out, row);
            has_head = false;
            continue;
        }
        if (!has_head) {
            buf_append_text(out, head);
            has_head = true;
        }
        document_row(out, row, base);
    }
}

void settings_document(struct buf *out)
{
    struct settings *settings = settings_new_defaults();
    struct route *route = settings_add_route(settings);
    buf_append_text(out, INTRODUCTION);
    document_table(out, settings_main_table(), settings);
    document_table(out, settings_route_table(), route);
    buf_append_text(out, WARNINGS);
    settings_free(settings);
}
