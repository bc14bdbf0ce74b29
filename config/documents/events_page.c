/* The users' page of log events and of the reasons for "degraded", from the tables. */
#include "documents.h"

#include "base/health.h"

#include <string.h>

/* A row without a name begins a section; its title is the meaning. */
static const struct {
    const char *name;
    const char *levels;
    const char *fields;
    const char *meaning;
    const char *advice;
} ROWS[] = {
#define SECTION(title) {NULL, NULL, NULL, title, NULL},
#define EVENT(name, levels, fields, meaning, advice) \
    {#name, levels, fields, meaning, advice},
#include "tables/log_events.def"
#undef SECTION
#undef EVENT
};

static const char INTRODUCTION[] =
    "# Log events\n"
    "\n"
    "This page is generated from `include/tables/log_events.def` and "
    "`include/tables/health_reasons.def`.\n"
    "\n"
    "Each line of the log has `time`, `level`, `role` (`bridge`, or the MQTT process that wrote it), "
    "`event`, and the fields\n"
    "that this page lists. A field with nothing to say is left out. The names of events and fields "
    "are stable; texts in `why`,\n"
    "`message` and `text` are for people.\n";

/* The words of a list, each between two `quotes`, with commas between them. */
static void put_words(const char *words, const char *quote, struct buf *out)
{
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        buf_append_text(out, quote);
        buf_append(out, slice_of(words, length));
        buf_append_text(out, quote);
        words += length + strspn(words + length, " ");
        buf_append_text(out, *words == '\0' ? "" : ", ");
    }
}

void events_page(struct buf *out)
{
    buf_append_text(out, INTRODUCTION);
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ROWS[i].name == NULL) {
            buf_printf(out,
                       "\n## %s\n\n| event | level | fields | meaning | what to do |\n"
                       "|---|---|---|---|---|\n",
                       ROWS[i].meaning);
        } else {
            buf_printf(out, "| `%s` | ", ROWS[i].name);
            put_words(ROWS[i].levels, "", out);
            buf_append_text(out, " | ");
            put_words(ROWS[i].fields, "`", out);
            buf_printf(out, " | %s | %s |\n", ROWS[i].meaning, ROWS[i].advice);
        }
    }
    buf_append_text(out, "\n## Reasons of the state `degraded`\n\n"
                         "| reason | `/readyz` | meaning | what to do |\n|---|---|---|---|\n");
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        const struct health_reason_info *info = health_reason_info((enum health_reason)i);
        buf_printf(out, "| `%s` | %s | %s | %s |\n", info->name, info->blocks_ready ? "503" : "200",
                   info->meaning, info->advice);
    }
}
