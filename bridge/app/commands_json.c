#include "commands_json.h"

#include "base/clock.h"
#include "base/json.h"

#define HTTP_OK          200
#define HTTP_NOT_FOUND   404
#define HTTP_UNAVAILABLE 503

static void put_waiting(void *arg, const struct command *command, enum dispatch_wait wait,
                        const struct outcome *last)
{
    struct buf *out = arg;
    json_put_open(out, '{');
    json_put_text(out, "ClientToken", slice_text(command->token));
    json_put_text(out, "Route", slice_text(command->route == NULL ? "" : command->route->name));
    json_put_text(out, "Action", slice_text(command->action->name));
    json_put_text(out, "RegionId", slice_text(command->region));
    json_put_text(out, "ReplicaGroupId", slice_text(command->group));
    json_put_text(out, "State", slice_text(state_text(command->state)));
    json_put_int(out, "Attempts", command->attempts);
    json_put_time(out, "ReceivedAt", command->received_at_ms);
    json_put_time(out, "Deadline", command->deadline_at_ms);
    if (wait == DISPATCH_WAIT_RETRY) {
        json_put_time_if(out, "NotBefore", command->not_before_ms);
    }
    json_put_text(out, "Wait", slice_text(dispatch_wait_name(wait)));
    json_put_text(out, "WaitMeaning", slice_text(dispatch_wait_meaning(wait)));
    if (last != NULL) {
        json_put_text_if(out, "LastCode", slice_text(last->code));
        json_put_text_if(out, "LastMessage", slice_text(last->message));
    }
    json_put_close(out, '}');
}

static void put_commands(struct commands_json *json, struct buf *out)
{
    json_put_time(out, "At", clock_wall_ms());
    json_put_int(out, "Pending", counter_get(json->counters, COUNTER_IN_WORK));
    json_put_name(out, "InWork");
    json_put_open(out, '[');
    dispatch_each(json->dispatch, COMMANDS_SHOWN_MAX, put_waiting, out);
    json_put_close(out, ']');
}

/* The ledger's answer for /api/commands. */
static void got_outcomes(void *arg, enum status status, const struct ledger_record *const *records,
                         size_t count)
{
    struct admin_ask *ask = arg;
    struct buf out = {0};
    json_put_open(&out, '{');
    put_commands(admin_ask_arg(ask), &out);
    if (status == STATUS_OK) {
        json_put_name(&out, "Outcomes");
        json_put_open(&out, '[');
        for (size_t i = 0; i < count; i++) {
            ledger_record_put(records[i], false, &out);
        }
        json_put_close(&out, ']');
    }
    json_put_close(&out, '}');
    buf_append_char(&out, '\n');
    admin_answer(ask, HTTP_OK, &out);
}

/* The ledger's answer for /api/commands/TOKEN. */
static void got_record(void *arg, enum status status, const struct ledger_record *const *records,
                       size_t count)
{
    struct admin_ask *ask = arg;
    struct buf out = {0};
    unsigned http_status = HTTP_OK;
    if (status != STATUS_OK || count == 0) {
        json_put_open(&out, '{');
        json_put_text(&out, "Message",
                      slice_text(status != STATUS_OK ? "the ledger cannot be read now"
                                                     : "the ledger has no record of this token"));
        json_put_close(&out, '}');
        http_status = status != STATUS_OK ? HTTP_UNAVAILABLE : HTTP_NOT_FOUND;
    } else {
        const struct commands_json *json = admin_ask_arg(ask);
        struct ledger_record record = *records[0];
        const struct watch *polled = watcher_find(json->watcher, record.group, record.token);
        record.watch = polled != NULL ? polled : record.watch; /* that of another bridge */
        ledger_record_put(&record, true, &out);
    }
    buf_append_char(&out, '\n');
    admin_answer(ask, http_status, &out);
}

static void on_commands(void *arg, struct admin_ask *ask)
{
    const struct commands_json *json = arg;
    ledger_query_outcomes(json->ledger, OUTCOMES_SHOWN_MAX, got_outcomes, ask);
}

static void on_command(void *arg, struct admin_ask *ask, struct slice token)
{
    const struct commands_json *json = arg;
    ledger_query_token(json->ledger, token, got_record, ask);
}

static void on_watches(void *arg, struct admin_ask *ask)
{
    const struct commands_json *json = arg;
    struct buf out = {0};
    watcher_put_list(json->watcher, WATCHES_SHOWN_MAX, &out);
    buf_append_char(&out, '\n');
    admin_answer(ask, HTTP_OK, &out);
}

struct admin_hooks commands_json_hooks(struct commands_json *json)
{
    return (struct admin_hooks){
        .arg = json, .commands = on_commands, .command = on_command, .watches = on_watches};
}
