/* The users' page of errors, from the tables that make the code. */
#include "documents.h"

#include "ecs/outcome_map.h"
#include "model/group.h"

#include <stddef.h>
#include <string.h>

struct page_row {
    int http;
    int http_last; /* 0: one number, or none where `http` is 0 */
    const char *code;
    enum category category;
    enum reaction reaction;
    const char *hint;
};

static const struct page_row page_rows[] = {
#define OUTCOME(http, code, category, reaction, hint) \
    {http, 0, code, CATEGORY_##category, REACTION_##reaction, hint},
#define OUTCOME_OTHER(http_first, http_last, category, reaction, hint) \
    {http_first, http_last, NULL, CATEGORY_##category, REACTION_##reaction, hint},
#include "tables/outcomes.def"
};

static const struct {
    const char *code;
    const char *hint;
} action_hints[] = {
#define OUTCOME_HINT(code, action, parameter, hint) {code, hint},
#include "tables/outcomes.def"
};

static const struct {
    const char *text;
    enum retention retention;
} reactions[] = {
#define REACTION(id, retention, text) [REACTION_##id] = {text, RETENTION_##retention},
#include "tables/reactions.def"
};

enum { NO, YES };

static const struct {
    const char *name;
    bool allows[GROUP_CHANGE_COUNT];
} states[] = {
#define GROUP_STATE(name, class, start, one_shot, stop) {#name, {start, one_shot, stop}},
#include "tables/group_states.def"
};

static const struct {
    const char *state;
    enum group_change change;
    const char *hint;
} state_hints[] = {
#define GROUP_HINT(state, change, hint) {#state, CHANGE_##change, hint},
#include "tables/group_hints.def"
};

static void put_http(const struct page_row *row, struct buf *out)
{
    if (row->http == 0) {
        buf_append_text(out, "any");
    } else if (row->http_last > row->http && row->http % 100 != 0) {
        buf_printf(out, "%d, %d", row->http, row->http_last);
    } else if (row->http_last > row->http) {
        buf_printf(out, "other %dxx", row->http / 100);
    } else {
        buf_append_int(out, row->http);
    }
}

/* A '|' would end the cell. */
static void put_cell(const char *text, struct buf *out)
{
    for (; *text != '\0'; text++) {
        buf_append_text(out, *text == '|' ? "\\" : "");
        buf_append_char(out, *text);
    }
}

static void put_category(enum category category, bool is_unknown, struct buf *out)
{
    buf_printf(out, " | %s | %s | ", category_text(category),
               is_unknown || category_is_retryable(category) ? "yes" : "no");
}

static void put_row(const struct page_row *row, struct buf *out)
{
    buf_append_text(out, "| ");
    put_http(row, out);
    if (row->category == CATEGORY_UNKNOWN_OUTCOME) {
        buf_printf(out, " | any, reported as `%s`",
                   bridge_error_row(ERROR_NO_DEFINITE_ANSWER)->code);
    } else if (row->code == NULL) {
        buf_append_text(out, " | any other");
    } else {
        buf_printf(out, " | `%s`", row->code);
    }
    put_category(row->category, retention_is_unsure(reactions[row->reaction].retention), out);
    put_cell(reactions[row->reaction].text, out);
    buf_append_text(out, " | ");
    put_cell(row->hint, out);
    for (size_t i = 0; i < sizeof action_hints / sizeof action_hints[0]; i++) {
        if (row->code != NULL && strcmp(row->code, action_hints[i].code) == 0) {
            buf_append_text(out, " ");
            put_cell(action_hints[i].hint, out);
        }
    }
    buf_append_text(out, " |\n");
}

static const char *find_state_hint(const char *state, enum group_change change)
{
    for (size_t i = 0; i < sizeof state_hints / sizeof state_hints[0]; i++) {
        if (state_hints[i].change == change && strcmp(state_hints[i].state, state) == 0) {
            return state_hints[i].hint;
        }
    }
    return "no";
}

static void put_states(struct buf *out)
{
    buf_append_text(
        out,
        "\n## The state of the group (`OperationDenied.InvalidStatus`)\n\n"
        "From `include/tables/group_states.def` and `include/tables/group_hints.def`. On a route "
        "with `explain = true` such an error\n"
        "has the state in which the group was found after the refusal (`GroupStatus`), and the "
        "hint of the table, or the states in\n"
        "which the command is possible.\n\n"
        "| State | start, OneShot false | start, OneShot true | stop |\n"
        "|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        buf_printf(out, "| `%s`", states[i].name);
        for (int change = CHANGE_START; change < GROUP_CHANGE_COUNT; change++) {
            buf_printf(out, " | %s",
                       states[i].allows[change]
                           ? "yes"
                           : find_state_hint(states[i].name, (enum group_change)change));
        }
        buf_append_text(out, " |\n");
    }
}

void errors_page(struct buf *out)
{
    buf_append_text(
        out,
        "# Errors\n\n"
        "This page is generated from `include/tables/outcomes.def` and "
        "`include/tables/errors.def`.\n\n"
        "An error in a reply has a code, a category and a hint. `Retryable` means that the same "
        "command, sent again\n"
        "unchanged, may succeed without anybody changing anything.\n\n"
        "## From the API (`\"Source\":\"ecs\"`)\n\n"
        "The first row that fits decides. For a known code a 4xx stands for all of 4xx, since the "
        "API's documentation\n"
        "is not consistent about some numbers; a 5xx stands for itself, and its code under another "
        "status is no answer.\n"
        "`*` stands for anything. An answer without `Code` and `RequestId` in the API's JSON or XML "
        "counts as no\n"
        "answer, whatever its status, and so does a 200 with the code of an error: see "
        "`Bridge.NoDefiniteAnswer`.\n"
        "`{Action}` in a hint stands for the action of the route.\n\n"
        "After an attempt that may have had an effect, every refusal ends the command as `unknown` "
        "with this code, and\n"
        "`Retryable` is then true: only a success shows that the call had its effect once.\n\n"
        "| HTTP | Code | Category | Retryable | The bridge | Hint |\n"
        "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof page_rows / sizeof page_rows[0]; i++) {
        put_row(&page_rows[i], out);
    }
    put_states(out);
    buf_append_text(out, "\n## From the bridge (`\"Source\":\"bridge\"`)\n\n"
                         "| Code | Category | Retryable | Hint |\n"
                         "|---|---|---|---|\n");
    for (int error = ERROR_NONE + 1; error < ERROR_COUNT; error++) {
        buf_printf(out, "| `%s`", bridge_error_row((enum bridge_error)error)->code);
        put_category(bridge_error_row((enum bridge_error)error)->category,
                     bridge_error_status((enum bridge_error)error) == OUTCOME_UNKNOWN, out);
        put_cell(bridge_error_row((enum bridge_error)error)->hint, out);
        buf_append_text(out, " |\n");
    }
    buf_append_text(
        out, "\n## In events (`\"Source\":\"observation\"`)\n\n"
             "`Bridge.GroupFailed`, category `conflict`, not retryable: the event `failed` of a "
             "[watched group](../deploy/watch.md).\n"
             "The group is in a state that somebody must repair; `GroupStatus` names it. No reply "
             "has this code.\n");
}
