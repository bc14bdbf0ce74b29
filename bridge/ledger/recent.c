#include "recent.h"

#include "record.h"

#include <stdlib.h>

void recent_fini(struct recent *recent)
{
    for (size_t i = 0; i < RECENT_MAX; i++) {
        free(recent->records[i]);
    }
    *recent = (struct recent){0};
}

void recent_add(struct recent *recent, const struct finish_request *finish)
{
    if (finish->expires_at_ms > finish->kept_from_ms) {
        return;
    }
    const struct command *command = finish->command;
    const struct outcome *outcome = &finish->outcome;
    const struct store_row row = {
        .state = STATE_DONE,
        .action = slice_text(command->action->name),
        .region = slice_text(command->region),
        .group = slice_text(command->group),
        .token = slice_text(command->token),
        .route = slice_text(command->route == NULL ? "" : command->route->name),
        .params = slice_text(command->params),
        .received_at_ms = command->received_at_ms,
        .deadline_at_ms = command->deadline_at_ms,
        .attempts = command->attempts,
        .status = (int)outcome->status,
        .request_id = slice_text(outcome->request_id),
        .code = slice_text(outcome->code),
        .error = finish_error(finish),
        .observed = slice_text(outcome->observed),
        .completed_at_ms = finish->completed_at_ms,
    };
    struct ledger_record **place = &recent->records[recent->count++ % RECENT_MAX];
    free(*place);
    *place = record_new(&row, 0);
}

static bool is_in(const struct query_request *list, const struct ledger_record *record)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->records[i]->completed_at_ms == record->completed_at_ms &&
            slice_equals(list->records[i]->token, record->token)) {
            return true;
        }
    }
    return false;
}

size_t recent_merge(const struct recent *recent, const struct query_request *list, size_t limit,
                    const struct ledger_record **out)
{
    size_t next = recent->count; /* the place behind the next one, counted from the first ever */
    size_t end = next < RECENT_MAX ? 0 : next - RECENT_MAX;
    size_t count = 0;
    size_t listed = 0;
    while (count < limit && (next > end || listed < list->count)) {
        const struct ledger_record *mine =
            next > end ? recent->records[(next - 1) % RECENT_MAX] : NULL;
        if (mine != NULL && is_in(list, mine)) {
            next--;
        } else if (mine != NULL &&
                   (listed == list->count ||
                    mine->completed_at_ms > list->records[listed]->completed_at_ms)) {
            out[count++] = mine;
            next--;
        } else {
            out[count++] = list->records[listed++];
        }
    }
    return count;
}
