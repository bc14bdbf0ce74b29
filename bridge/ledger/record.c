#include "record.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/action.h"

#include <assert.h>

/* ---- making a record ---- */

static size_t count_events(struct slice history)
{
    struct history_reader reader = {.rest = history};
    struct ledger_event event;
    size_t count = 0;
    while (history_read(&reader, &event)) {
        count++;
    }
    return count;
}

/* Copies the bytes to *place and moves it behind them. */
static struct slice copy(char **place, struct slice bytes)
{
    if (bytes.length == 0) {
        return bytes.data == NULL ? bytes : slice_text("");
    }
    struct slice copied = slice_of(memcpy(*place, bytes.data, bytes.length), bytes.length);
    *place += bytes.length;
    return copied;
}

static size_t text_bytes(const struct store_row *row)
{
    return row->token.length + row->route.length + row->action.length + row->region.length +
           row->group.length + row->params.length + row->request_id.length + row->code.length +
           row->error.length + row->observed.length + row->instance.length;
}

static void copy_texts(struct ledger_record *record, const struct store_row *row, char **place)
{
    record->token = copy(place, row->token);
    record->route = copy(place, row->route);
    record->action = copy(place, row->action);
    record->region = copy(place, row->region);
    record->group = copy(place, row->group);
    record->params = copy(place, row->params);
    record->request_id = copy(place, row->request_id);
    record->code = copy(place, row->code);
    record->error = copy(place, row->error);
    record->observed = copy(place, row->observed);
    record->instance = copy(place, row->instance);
}

struct ledger_record *record_new(const struct store_row *row, int64_t steps_ms)
{
    /* The code and the request id of the outcome are in the row. */
    struct buf history = {0};
    history_carry_over(row->history, row->code, row->request_id, &history);
    size_t event_count = count_events(buf_slice(&history));
    size_t events_bytes = event_count * sizeof(struct ledger_event);
    struct ledger_record *record =
        mem_zalloc(1, sizeof *record + events_bytes + text_bytes(row) + history.length);
    struct ledger_event *events = (struct ledger_event *)(record + 1);
    char *place = (char *)events + events_bytes;
    *record = (struct ledger_record){
        .state = row->state,
        .attempts = row->attempts,
        .crashes = row->crashes,
        .received_at_ms = row->received_at_ms,
        .deadline_at_ms = row->deadline_at_ms,
        .not_before_ms = row->not_before_ms,
        .status = (enum outcome_status)row->status,
        .completed_at_ms = row->completed_at_ms,
        .expires_at_ms = steps_ms > 0 && row->expires_at_ms > INT64_MAX - steps_ms
                             ? INT64_MAX
                             : row->expires_at_ms + steps_ms,
        .events = events,
    };
    copy_texts(record, row, &place);
    struct history_reader reader = {.rest = copy(&place, buf_slice(&history))};
    while (history_read(&reader, &events[record->event_count])) {
        record->event_count++;
        assert(record->event_count <= event_count);
    }
    buf_fini(&history);
    return record;
}

/* ---- as JSON ---- */

static void put_outcome(struct buf *out, const struct ledger_record *record)
{
    json_put_text(out, "Status", slice_text(outcome_status_text(record->status)));
    json_put_text_if(out, "RequestId", record->request_id);
    if (slice_is_present(record->error)) {
        json_put_raw(out, "Error", record->error);
    }
    if (slice_is_present(record->observed)) {
        json_put_raw(out, "Observed", record->observed);
    }
    json_put_time_if(out, "CompletedAt", record->completed_at_ms);
    json_put_time_if(out, "ExpiresAt", record->expires_at_ms);
}

static void put_event(struct buf *out, const struct ledger_event *event)
{
    static const struct {
        const char *name;
        const char *reply;
        const char *count;
    } KINDS[LEDGER_EVENT_KIND_COUNT] = {
        [LEDGER_EVENT_ARRIVED] = {"arrived", "Reply", NULL},
        [LEDGER_EVENT_ATTEMPT_STARTED] = {"attempt_started", NULL, NULL},
        [LEDGER_EVENT_ATTEMPT_ENDED] = {"attempt_ended", NULL, NULL},
        [LEDGER_EVENT_OUTCOME] = {"outcome", "Reply", "Replies"},
        [LEDGER_EVENT_REPLY_ACKNOWLEDGED] = {"reply_acknowledged", "Reply", NULL},
        [LEDGER_EVENT_REPLY_UNDELIVERED] = {"reply_undelivered", "Reply", NULL},
        [LEDGER_EVENT_INTERRUPTED] = {"interrupted", NULL, NULL},
        [LEDGER_EVENT_LEFT_OUT] = {"left_out", NULL, "Count"},
        [LEDGER_EVENT_ORDERED] = {"ordered", NULL, NULL},
    };
    json_put_open(out, '{');
    json_put_time(out, "At", event->at_ms);
    json_put_text(out, "Event", slice_text(KINDS[event->kind].name));
    json_put_text_if(out, "Result", slice_text(event->result));
    json_put_int_if(out, "Attempt", event->attempt);
    json_put_text_if(out, "RequestId", event->request_id);
    json_put_text_if(out, "Code", event->code);
    if (KINDS[event->kind].reply != NULL) {
        json_put_int_if(out, KINDS[event->kind].reply, event->reply_id);
    }
    if (KINDS[event->kind].count != NULL) {
        json_put_int(out, KINDS[event->kind].count, event->count);
    }
    json_put_close(out, '}');
}

static void put_watch(struct buf *out, const struct watch *watch)
{
    const struct watch_state *state = &watch->state;
    json_put_name(out, "Watch");
    json_put_open(out, '{');
    json_put_int(out, "Seq", state->seq);
    json_put_text_if(out, "GroupStatus",
                     slice_text(state->view.status[0] == '\0' ? NULL : state->view.status));
    json_put_time_if(out, "LastRecoverPoint", state->view.recover_point_s * 1000);
    json_put_time_if(out, "ChangedAt", state->changed_at_ms);
    if (state->last_event != WATCH_NOTHING) {
        json_put_text(out, "LastEvent", slice_text(watch_event_name(state->last_event)));
        json_put_time(out, "LastEventAt", state->last_event_at_ms);
    }
    json_put_time(out, "StartedAt", watch->started_at_ms);
    json_put_time(out, "EndsAt", watch->ends_at_ms);
    json_put_close(out, '}');
}

void ledger_record_put(const struct ledger_record *record, bool has_history, struct buf *out)
{
    json_put_open(out, '{');
    json_put_text(out, "ClientToken", record->token);
    json_put_text(out, "State", slice_text(state_text(record->state)));
    json_put_text_if(out, "Instance", record->instance);
    json_put_text(out, "Route", record->route);
    json_put_text(out, "Action", record->action);
    json_put_text(out, "RegionId", record->region);
    json_put_text(out, "ReplicaGroupId", record->group);
    action_params_put(out, record->params);
    json_put_int(out, "Attempts", record->attempts);
    json_put_int_if(out, "Crashes", record->crashes);
    json_put_time_if(out, "ReceivedAt", record->received_at_ms);
    json_put_time_if(out, "Deadline", record->deadline_at_ms);
    json_put_time_if(out, "NotBefore", record->not_before_ms);
    if (record->state == STATE_DONE) {
        put_outcome(out, record);
    }
    if (record->watch != NULL) {
        put_watch(out, record->watch);
    }
    if (has_history) {
        json_put_name(out, "History");
        json_put_open(out, '[');
        for (size_t i = 0; i < record->event_count; i++) {
            put_event(out, &record->events[i]);
        }
        json_put_close(out, ']');
    }
    json_put_close(out, '}');
}
