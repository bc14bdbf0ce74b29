#include "rows.h"

#include "base/mem.h"
#include "ledger/rules.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

int64_t postgres_int(const PGresult *result, int row, int column)
{
    const char *bytes = PQgetvalue(result, row, column);
    uint64_t big;
    uint32_t middle;
    uint16_t small;
    switch (PQgetisnull(result, row, column) != 0 ? 0 : PQgetlength(result, row, column)) {
    case 8:
        memcpy(&big, bytes, sizeof big);
        return (int64_t)be64toh(big);
    case 4:
        memcpy(&middle, bytes, sizeof middle);
        return (int32_t)be32toh(middle);
    case 2:
        memcpy(&small, bytes, sizeof small);
        return (int16_t)be16toh(small);
    case 1:
        return bytes[0];
    default:
        return 0;
    }
}

struct slice postgres_slice(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0
               ? (struct slice){0}
               : slice_of(PQgetvalue(result, row, column),
                          (size_t)PQgetlength(result, row, column));
}

void postgres_append_ids(const PGresult *result, struct buf *out)
{
    for (int i = 0; i < PQntuples(result); i++) {
        buf_printf(out, "%s%" PRId64, i == 0 ? "{" : ",", postgres_int(result, i, 0));
    }
    buf_append_char(out, '}');
}

/* ---- commands ---- */

enum status postgres_read_row(const PGresult *result, int row, struct store_row *out_row)
{
    const struct store_row read = {
        .id = postgres_int(result, row, COLUMN_seq),
        .state = (enum state)postgres_int(result, row, COLUMN_state),
        .action = postgres_slice(result, row, COLUMN_action),
        .region = postgres_slice(result, row, COLUMN_region),
        .group = postgres_slice(result, row, COLUMN_grp),
        .token = postgres_slice(result, row, COLUMN_token),
        .route = postgres_slice(result, row, COLUMN_route),
        .params = postgres_slice(result, row, COLUMN_params),
        .fingerprint = postgres_slice(result, row, COLUMN_fingerprint),
        .received_at_ms = postgres_int(result, row, COLUMN_received_at),
        .deadline_at_ms = postgres_int(result, row, COLUMN_deadline_at),
        .attempts = (uint32_t)postgres_int(result, row, COLUMN_attempts),
        .not_before_ms = postgres_int(result, row, COLUMN_not_before),
        .status = (int)postgres_int(result, row, COLUMN_status),
        .retention = (int)postgres_int(result, row, COLUMN_retention),
        .request_id = postgres_slice(result, row, COLUMN_request_id),
        .code = postgres_slice(result, row, COLUMN_code),
        .error = postgres_slice(result, row, COLUMN_error),
        .observed = postgres_slice(result, row, COLUMN_observed),
        .completed_at_ms = postgres_int(result, row, COLUMN_completed_at),
        .expires_at_ms = postgres_int(result, row, COLUMN_state) == STATE_DONE
                             ? postgres_int(result, row, COLUMN_due_at)
                             : 0,
        .crashes = (uint32_t)postgres_int(result, row, COLUMN_crashes),
        .history = postgres_slice(result, row, COLUMN_history),
    };
    if (!store_row_is_sound(&read)) {
        return STATUS_STORE;
    }
    *out_row = read;
    return STATUS_OK;
}

static char *text_at(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0 ? NULL : PQgetvalue(result, row, column);
}

struct reply_to postgres_read_reply_to(const PGresult *result, int row, int column)
{
    return (struct reply_to){
        .topic = text_at(result, row, column),
        .correlation_data = text_at(result, row, column + 1),
        .correlation_data_bytes = (size_t)PQgetlength(result, row, column + 1),
        .correlation_id = text_at(result, row, column + 2),
        .traceparent = text_at(result, row, column + 3),
        .tracestate = text_at(result, row, column + 4),
        .has_body_trace = postgres_int(result, row, column + 5) != 0,
        .element_place = postgres_int(result, row, column + 6),
    };
}

struct reply_to postgres_read_sender(const PGresult *result, int row)
{
    _Static_assert(COLUMN_element == COLUMN_topic + 6, "the columns of a sender are together");
    return postgres_read_reply_to(result, row, COLUMN_topic);
}

struct reply_to postgres_copy_reply_to(const struct reply_to *reply_to)
{
    struct reply_to copy = *reply_to;
    copy.topic = mem_strdup(reply_to->topic);
    copy.correlation_data =
        reply_to->correlation_data == NULL
            ? NULL
            : mem_dup(reply_to->correlation_data, reply_to->correlation_data_bytes);
    copy.correlation_id = mem_strdup(reply_to->correlation_id);
    copy.traceparent = mem_strdup(reply_to->traceparent);
    copy.tracestate = mem_strdup(reply_to->tracestate);
    return copy;
}

/* ---- parameters ---- */

void postgres_reply_to_values(const struct reply_to *reply_to, struct postgres_value *out)
{
    out[0] = postgres_bytes(slice_text(reply_to->topic));
    out[1] = postgres_bytes(slice_of(reply_to->correlation_data, reply_to->correlation_data_bytes));
    out[2] = postgres_bytes(slice_text(reply_to->correlation_id));
    out[3] = postgres_bytes(slice_text(reply_to->traceparent));
    out[4] = postgres_bytes(slice_text(reply_to->tracestate));
    out[5] = postgres_bool(reply_to->has_body_trace);
    out[6] = postgres_number(reply_to->element_place);
}

size_t postgres_claim_values(const struct claim_request *claim, int64_t run, struct slice history,
                             struct postgres_value *out)
{
    const struct command *command = claim->ask.command;
    bool is_called = claim->state == STATE_CALLING || claim->state == STATE_RECALLING;
    out[0] = postgres_bytes(slice_text(command->token));
    out[1] = postgres_number(run);
    out[2] = postgres_number(claim->id);
    out[3] = postgres_number(command->received_at_ms);
    out[4] = postgres_number(command->deadline_at_ms);
    out[5] = postgres_number(command->not_before_ms);
    out[6] = postgres_number(is_called ? 1 : 0);
    out[7] = postgres_number(claim->state);
    out[8] = postgres_bytes(slice_text(command->action->name));
    out[9] = postgres_bytes(slice_text(command->region));
    out[10] = postgres_bytes(slice_text(command->group));
    out[11] = postgres_bytes(slice_text(command->route == NULL ? "" : command->route->name));
    out[12] = postgres_bytes(slice_text(command->params));
    out[13] = postgres_bytes(slice_of(command->fingerprint, sizeof command->fingerprint));
    postgres_reply_to_values(&claim->ask.reply_to, &out[14]);
    out[21] = postgres_bytes(history);
    return 22;
}

size_t postgres_finish_values(const struct ledger_request *request, int64_t run,
                              struct slice events, struct postgres_value *out)
{
    const struct finish_request *finish = &request->finish;
    const struct outcome *outcome = &finish->outcome;
    out[0] = postgres_bytes(slice_text(finish->command->token));
    out[1] = run == 0 ? postgres_bytes((struct slice){0}) : postgres_number(run);
    out[2] = postgres_number(finish->command->attempts);
    out[3] = postgres_number(outcome->status);
    out[4] = postgres_number(outcome->retention);
    out[5] = postgres_bytes(slice_text(outcome->request_id));
    out[6] = postgres_bytes(slice_text(outcome->code));
    out[7] = postgres_bytes(finish_error(finish));
    out[8] = postgres_number(finish->completed_at_ms);
    out[9] = postgres_number(finish->expires_at_ms);
    out[10] = postgres_bytes(events);
    out[11] = postgres_bool(rules_keeps_reply_tos(outcome));
    out[12] = postgres_bytes(slice_text(outcome->observed));
    return 13;
}

/* ---- watches ---- */

#define WATCH_COLUMN(name) WATCH_COLUMN_##name,
enum watch_column { WATCH_COLUMN_object, POSTGRES_WATCH_COLUMNS(WATCH_COLUMN) WATCH_COLUMN_COUNT };

struct watch *postgres_read_watch(const PGresult *result, int row)
{
    const struct action *action = action_find(postgres_slice(result, row, WATCH_COLUMN_action));
    struct slice status = postgres_slice(result, row, WATCH_COLUMN_status);
    int64_t outcome = postgres_int(result, row, WATCH_COLUMN_outcome);
    if (action == NULL || action->goal == GOAL_NONE ||
        (status.length > 0 && !group_status_is_valid(status)) ||
        (outcome != OUTCOME_SUCCEEDED && outcome != OUTCOME_UNKNOWN)) {
        return NULL;
    }
    struct watch watch = {
        .id = postgres_int(result, row, WATCH_COLUMN_id),
        .token = text_at(result, row, WATCH_COLUMN_token),
        .action = action,
        .route = text_at(result, row, WATCH_COLUMN_route),
        .region = text_at(result, row, WATCH_COLUMN_region),
        .object = text_at(result, row, WATCH_COLUMN_object),
        .is_one_shot = postgres_int(result, row, WATCH_COLUMN_one_shot) != 0,
        .is_outcome_unknown = outcome == OUTCOME_UNKNOWN,
        .started_at_ms = postgres_int(result, row, WATCH_COLUMN_started_at),
        .ends_at_ms = postgres_int(result, row, WATCH_COLUMN_ends_at),
        .traceparent = text_at(result, row, WATCH_COLUMN_traceparent),
        .state = {.seq = postgres_int(result, row, WATCH_COLUMN_seq),
                  .site = postgres_int(result, row, WATCH_COLUMN_site) == 0 ? GROUP_SITE_PRODUCTION
                                                                            : GROUP_SITE_BACKUP,
                  .view = {.recover_point_s =
                               postgres_int(result, row, WATCH_COLUMN_recover_point_s),
                           .rpo_s = postgres_int(result, row, WATCH_COLUMN_rpo_s),
                           .progress_percent =
                               (int)postgres_int(result, row, WATCH_COLUMN_progress)},
                  .changed_at_ms = postgres_int(result, row, WATCH_COLUMN_changed_at),
                  .flags = (unsigned)postgres_int(result, row, WATCH_COLUMN_flags)},
    };
    memcpy(watch.state.view.status, status.data, status.length);
    return watch_copy(&watch);
}

void postgres_watch_state_values(const struct watch_state *state, struct postgres_value *out)
{
    out[0] = postgres_number(state->seq);
    out[1] = postgres_number(state->site == GROUP_SITE_BACKUP);
    out[2] = postgres_bytes(slice_text(state->view.status));
    out[3] = postgres_number(state->view.recover_point_s);
    out[4] = postgres_number(state->view.rpo_s);
    out[5] = postgres_number(state->view.progress_percent);
    out[6] = postgres_number(state->changed_at_ms);
    out[7] = postgres_number(state->flags);
}

size_t postgres_watch_values(const struct watch *watch, struct postgres_value *out)
{
    out[0] = postgres_bytes(slice_text(watch->object));
    out[1] = postgres_number(watch->id);
    out[2] = postgres_bytes(slice_text(watch->token));
    out[3] = postgres_bytes(slice_text(watch->action->name));
    out[4] = postgres_bytes(slice_text(watch->route));
    out[5] = postgres_bytes(slice_text(watch->region));
    out[6] = postgres_bool(watch->is_one_shot);
    out[7] = postgres_number(watch->is_outcome_unknown ? OUTCOME_UNKNOWN : OUTCOME_SUCCEEDED);
    out[8] = postgres_number(watch->started_at_ms);
    out[9] = postgres_number(watch->ends_at_ms);
    out[10] = postgres_bytes(slice_text(watch->traceparent));
    postgres_watch_state_values(&watch->state, &out[11]);
    return 19;
}
