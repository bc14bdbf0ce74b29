#include "rules.h"

#include "audit_rows.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Drops an earlier plan of the request. */
static void plan_anew(const struct ledger_batch *batch, struct ledger_request *request)
{
    request->first_message = batch->message_count;
    request->message_count = 0;
    request->audit_event = NULL;
    request->command_id = 0;
    request->history = (struct batch_text){0};
}

/* What was appended to the batch's bytes from `offset` on is for the history. */
static void set_history(const struct ledger_batch *batch, struct ledger_request *request,
                        size_t offset)
{
    request->history = (struct batch_text){offset, batch->bytes.length - offset};
}

/* ---- replies ---- */

static void render(struct ledger_batch *batch, struct ledger_request *request,
                   const struct reply *reply, const struct reply_to *reply_to)
{
    if (reply_to->topic == NULL) {
        LOG_WARN("reply_without_topic", LOG_SLICE("token", reply->token));
        return;
    }
    size_t offset = batch->bytes.length;
    reply_render(reply, reply_to, batch->now_ms, &batch->limits->replies, &batch->bytes);
    ledger_batch_add_message(batch, request, ledger_batch_message_id(batch), offset);
}

static struct reply reply_of_command(const struct command *command)
{
    return (struct reply){
        .action = slice_text(command->action->name),
        .region = slice_text(command->region),
        .group = slice_text(command->group),
        .params = slice_text(command->params),
        .token = slice_text(command->token),
        .attempts = command->attempts,
        .received_at_ms = command->received_at_ms,
    };
}

static struct reply reply_of_row(const struct store_row *row)
{
    return (struct reply){
        .status = outcome_status_text((enum outcome_status)row->status),
        .action = row->action,
        .region = row->region,
        .group = row->group,
        .params = row->params,
        .token = row->token,
        .request_id = row->request_id,
        .is_replayed = true,
        .is_coalesced = row->status == OUTCOME_SUCCEEDED && row->attempts == 0,
        .attempts = row->attempts,
        .received_at_ms = row->received_at_ms,
        .completed_at_ms = row->completed_at_ms,
        .error = row->error,
        .observed = row->observed,
        .code = row->code,
    };
}

/* ---- claims ---- */

static bool may_begin(const struct ledger_batch *batch, const struct claim_request *claim)
{
    return claim->ask.unless_found == ERROR_NONE && batch->unfinished < batch->limits->pending_max;
}

static enum claim_plan refuse(struct ledger_batch *batch, struct ledger_request *request,
                              enum claim_result result, enum bridge_error error,
                              const char *message)
{
    struct claim_request *claim = &request->claim;
    struct outcome outcome;
    claim->refusal = error;
    outcome_of_error(&outcome, error, message);
    buf_clear(&batch->scratch);
    outcome_put_error(&outcome, &batch->scratch);
    struct reply reply = reply_of_command(claim->ask.command);
    reply.status = outcome_status_text(outcome.status);
    reply.completed_at_ms = batch->now_ms;
    reply.error = buf_slice(&batch->scratch);
    reply.code = slice_text(outcome.code);
    claim->result = result;
    audit_row_of_claim(batch, request, NULL, outcome.code);
    render(batch, request, &reply, &claim->ask.reply_to);
    outcome_fini(&outcome);
    return PLAN_REPLY;
}

/* Refuses a command that has no outcome yet and may not be started. */
static enum claim_plan refuse_new(struct ledger_batch *batch, struct ledger_request *request)
{
    const struct ledger_claim *ask = &request->claim.ask;
    if (ask->unless_found != ERROR_NONE) {
        return refuse(batch, request, CLAIM_REFUSED, ask->unless_found, ask->unless_message);
    }
    char message[128];
    snprintf(message, sizeof message,
             "The bridge has %" PRId64 " unfinished commands, as many as limits.pending allows.",
             batch->unfinished);
    return refuse(batch, request, CLAIM_REFUSED, ERROR_OVERLOADED, message);
}

/* Plans a new row in this state or, if the command is called at once, in the state of its call. */
static enum claim_plan begin(struct ledger_batch *batch, struct ledger_request *request,
                             enum state state, enum claim_result result, enum claim_plan plan)
{
    struct claim_request *claim = &request->claim;
    claim->state = claim->ask.is_called_at_once ? state_after(state, MOVE_START) : state;
    claim->result = result;
    claim->is_counted = true;
    batch->unfinished++;
    claim->is_new_row = plan == PLAN_INSERT;
    batch->has_replaced |= plan == PLAN_REPLACE;
    batch->records.count += claim->is_new_row ? 1 : 0;
    batch->records.last_id = claim->id;
    audit_row_of_claim(batch, request, NULL, NULL);
    if (claim->ask.wants_accepted) {
        struct reply reply = reply_of_command(claim->ask.command);
        reply.status = "accepted";
        render(batch, request, &reply, &claim->ask.reply_to);
    }
    return plan;
}

static enum claim_plan replay(struct ledger_batch *batch, struct ledger_request *request,
                              const struct store_row *row)
{
    const struct reply reply = reply_of_row(row);
    request->claim.result = CLAIM_REPLAYED;
    audit_row_of_claim(batch, request, row, NULL);
    render(batch, request, &reply, &request->claim.ask.reply_to);
    return PLAN_REPLY;
}

/* The record expired, or has no definite outcome: a new row replaces it, so that ids keep the order
 * of arrival. If the command may not be started and its outcome was unknown, the reply is unknown
 * again: a refusal would claim that there was no effect. */
static enum claim_plan begin_again(struct ledger_batch *batch, struct ledger_request *request,
                                   const struct store_row *row, enum claim_result result)
{
    bool is_unsure = retention_is_unsure((enum retention)row->retention);
    if (!may_begin(batch, &request->claim)) {
        return result == CLAIM_AGAIN && is_unsure ? replay(batch, request, row)
                                                  : refuse_new(batch, request);
    }
    enum state state = result == CLAIM_AGAIN
                           ? state_after(STATE_DONE, is_unsure ? MOVE_AGAIN_UNSURE : MOVE_AGAIN)
                           : state_after(state_after(STATE_DONE, MOVE_FORGET), MOVE_CLAIM);
    return begin(batch, request, state, result, PLAN_REPLACE);
}

static enum claim_plan join(struct ledger_batch *batch, struct ledger_request *request,
                            int64_t reply_to_count)
{
    if (reply_to_count > batch->limits->waiters_max) {
        char message[160];
        snprintf(message, sizeof message,
                 "%" PRId64 " commands with this ClientToken wait for its outcome already, as many "
                 "as limits.waiters_per_token allows.",
                 reply_to_count - 1);
        return refuse(batch, request, CLAIM_REFUSED, ERROR_OVERLOADED, message);
    }
    request->claim.result = CLAIM_WAITS;
    audit_row_of_claim(batch, request, NULL, NULL);
    return PLAN_JOIN;
}

static enum claim_plan plan_for_row(struct ledger_batch *batch, struct ledger_request *request,
                                    const struct token_found *found)
{
    const struct command *command = request->claim.ask.command;
    const struct store_row *row = found->row;
    /* An outcome SET_ASIDE is replayed for the time of a failure, but its record is kept for the
     * time of a success. */
    int64_t longer_s = batch->limits->success_ttl_s - batch->limits->failure_ttl_s;
    const struct claim_found record = {
        .state = row->state,
        .has_same_fingerprint = slice_equals(
            row->fingerprint, slice_of(command->fingerprint, sizeof command->fingerprint)),
        .retention = (enum retention)row->retention,
        .expires_at_ms = row->expires_at_ms,
        .replay_until_ms = row->expires_at_ms - (longer_s > 0 ? longer_s * 1000 : 0),
    };
    enum claim_result result = claim_decide(&record, batch->kept_ms);
    switch (result) {
    case CLAIM_WAITS:
        return join(batch, request, found->reply_to_count);
    case CLAIM_REPLAYED:
        return replay(batch, request, row);
    case CLAIM_MISMATCH:
        return refuse(batch, request, CLAIM_MISMATCH, ERROR_PARAMETER_MISMATCH,
                      "This ClientToken was used for a command with other parameters.");
    case CLAIM_NEW:
    case CLAIM_AGAIN:
    case CLAIM_REFUSED:
        break;
    }
    return begin_again(batch, request, row, result);
}

static void put_arrival(const struct ledger_batch *batch, const struct ledger_request *request,
                        struct buf *out)
{
    const struct claim_request *claim = &request->claim;
    bool has_reply = request->message_count > 0;
    history_put_arrival(out, claim->ask.command->received_at_ms, claim->result,
                        claim->is_counted && claim->ask.is_called_at_once,
                        has_reply ? batch->messages[request->first_message].id : 0);
}

/* A token that goes upstream again keeps its history. */
static void put_again(struct ledger_batch *batch, const struct ledger_request *request,
                      const struct store_row *row)
{
    struct buf earlier = {0};
    buf_clear(&batch->scratch);
    put_arrival(batch, request, &batch->scratch);
    history_carry_over(row->history, row->code, row->request_id, &earlier);
    history_append(buf_slice(&earlier), buf_slice(&batch->scratch), &batch->bytes);
    buf_fini(&earlier);
}

/* `row` is the one that was found, or NULL. */
static void plan_history(struct ledger_batch *batch, struct ledger_request *request,
                         enum claim_plan plan, const struct store_row *row)
{
    size_t offset = batch->bytes.length;
    bool is_inserted = plan == PLAN_INSERT || plan == PLAN_REPLACE;
    if (!is_inserted && row == NULL) {
        return; /* there is no record of this token */
    }
    request->command_id = is_inserted ? request->claim.id : row->id;
    if (plan == PLAN_REPLACE && request->claim.result == CLAIM_AGAIN) {
        put_again(batch, request, row);
    } else {
        put_arrival(batch, request, &batch->bytes);
    }
    set_history(batch, request, offset);
}

enum claim_plan rules_claim(struct ledger_batch *batch, struct ledger_request *request,
                            const struct token_found *found)
{
    struct claim_request *claim = &request->claim;
    const struct store_row *row = found == NULL ? NULL : found->row;
    enum claim_plan plan = PLAN_LOOK;
    plan_anew(batch, request);
    batch->unfinished -= claim->is_counted ? 1 : 0;
    batch->records.count -= claim->is_new_row ? 1 : 0;
    claim->is_counted = false;
    claim->is_new_row = false;
    if (row != NULL) {
        plan = plan_for_row(batch, request, found);
    } else if (may_begin(batch, claim)) {
        plan = begin(batch, request, state_after(STATE_NONE, MOVE_CLAIM), CLAIM_NEW, PLAN_INSERT);
    } else if (found != NULL) {
        plan = refuse_new(batch, request);
    }
    plan_history(batch, request, plan, row);
    return plan;
}

/* ---- the others ---- */

void rules_post(struct ledger_batch *batch, struct ledger_request *request)
{
    plan_anew(batch, request);
    audit_row_of_post(batch, request);
    size_t offset = batch->bytes.length;
    buf_append(&batch->bytes, buf_slice(&request->post.message));
    ledger_batch_add_message(batch, request, ledger_batch_message_id(batch), offset);
}

void rules_replace(struct ledger_batch *batch, struct ledger_request *request)
{
    plan_anew(batch, request);
    if (request->post.message.length > 0) {
        size_t offset = batch->bytes.length;
        buf_append(&batch->bytes, buf_slice(&request->post.message));
        ledger_batch_add_message(batch, request, ledger_batch_message_id(batch), offset);
    }
}

/* The columns of the row for the outcome. */
static void plan_outcome(const struct ledger_batch *batch, struct ledger_request *request)
{
    struct finish_request *finish = &request->finish;
    int64_t ttl_ms = outcome_ttl_ms(&finish->outcome, batch->limits->success_ttl_s,
                                    batch->limits->failure_ttl_s);
    buf_clear(&finish->error);
    outcome_put_error(&finish->outcome, &finish->error);
    finish->expires_at_ms =
        ttl_ms > INT64_MAX - finish->kept_from_ms ? INT64_MAX : finish->kept_from_ms + ttl_ms;
    finish->reply_to_count = 0;
}

static void put_outcome_event(struct ledger_batch *batch, struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    bool has_reply = request->message_count > 0;
    size_t offset = batch->bytes.length;
    buf_append(&batch->bytes, buf_slice(&request->events));
    history_put_outcome(
        &batch->bytes, finish->completed_at_ms, finish->outcome.status, finish->is_answer,
        has_reply ? batch->messages[request->first_message].id : 0, request->message_count);
    if (has_reply) {
        history_put_room(&batch->bytes, batch->messages[request->first_message].id,
                         request->message_count);
    }
    set_history(batch, request, offset);
}

void rules_finish(struct ledger_batch *batch, struct ledger_request *request)
{
    plan_anew(batch, request);
    plan_outcome(batch, request);
    request->command_id = request->finish.command->id;
}

void rules_answer(struct ledger_batch *batch, struct ledger_request *request,
                  const struct reply_to *reply_to)
{
    struct finish_request *finish = &request->finish;
    struct reply reply = reply_of_command(finish->command);
    reply.status = outcome_status_text(finish->outcome.status);
    reply.request_id = slice_text(finish->outcome.request_id);
    reply.is_replayed =
        finish->reply_to_count > 0; /* the first one sent the command, the others are duplicates */
    reply.is_coalesced = finish->outcome.status == OUTCOME_SUCCEEDED && reply.attempts == 0;
    reply.completed_at_ms = finish->completed_at_ms;
    reply.error = finish_error(finish);
    reply.observed = slice_text(finish->outcome.observed);
    reply.code = slice_text(finish->outcome.code);
    if (finish->reply_to_count == 0) {
        buf_clear(&finish->traceparent);
        buf_append_text(&finish->traceparent,
                        reply_to->traceparent == NULL ? "" : reply_to->traceparent);
    }
    finish->reply_to_count++;
    render(batch, request, &reply, reply_to);
}

void rules_finish_end(struct ledger_batch *batch, struct ledger_request *request)
{
    batch->unfinished--;
    audit_row_of_outcome(batch, request);
    put_outcome_event(batch, request);
    request->finish.reply_count = request->message_count;
}

/* ---- watches ---- */

/* The end of the watch that is replaced. The new watch begins now on the API's clock, or began
 * shortly before. */
static void put_superseded(struct ledger_batch *batch, struct ledger_request *request,
                           const struct watch *found)
{
    struct watch_step step;
    size_t offset = batch->bytes.length;
    watch_supersede(found, request->finish.watch.started_at_ms, &step);
    watch_event_encode(found, &step, &step.events[0], &batch->limits->events, batch->now_ms,
                       &batch->bytes);
    if (batch->bytes.length > offset) {
        ledger_batch_add_message(batch, request, ledger_batch_message_id(batch), offset);
    }
}

static struct watch *new_watch(const struct finish_request *finish)
{
    const struct command *command = finish->command;
    const struct watch watch = {
        .id = command->id,
        .action = command->action,
        .route = command->route == NULL ? "" : command->route->name,
        .region = command->region,
        .object = command->group,
        .token = command->token,
        .traceparent = finish->traceparent.length > 0 ? finish->traceparent.data : NULL,
        .is_one_shot = action_params_have(slice_text(command->params), "OneShot"),
        .is_outcome_unknown = finish->outcome.status == OUTCOME_UNKNOWN,
        .started_at_ms = finish->watch.started_at_ms,
        .ends_at_ms = finish->watch.ends_at_ms,
        .state.view.progress_percent = -1,
    };
    return watch_copy(&watch);
}

void rules_begin_watch(struct ledger_batch *batch, struct ledger_request *request,
                       const struct watch *found)
{
    struct finish_request *finish = &request->finish;
    watch_free(finish->begun);
    finish->begun = NULL;
    finish->superseded_id = found == NULL ? 0 : found->id;
    finish->is_watch_refused = found == NULL && batch->watches >= batch->limits->watches_max;
    if (finish->is_watch_refused) {
        return;
    }
    finish->begun = new_watch(finish);
    if (found == NULL) {
        batch->watches++;
    } else if (strcmp(found->token, finish->command->token) == 0) {
        /* The same command once more: its receivers know the watch already. */
        finish->begun->state = found->state;
        finish->begun->started_at_ms = found->started_at_ms;
    } else {
        put_superseded(batch, request, found);
    }
}

void rules_watch(struct ledger_batch *batch, struct ledger_request *request)
{
    struct watch_request *watch = &request->watch;
    plan_anew(batch, request);
    for (size_t i = 0; i < watch->message_count; i++) {
        size_t offset = batch->bytes.length;
        buf_append(&batch->bytes, buf_slice(&watch->messages[i]));
        ledger_batch_add_message(batch, request, ledger_batch_message_id(batch), offset);
    }
    batch->watches -= watch->is_over ? 1 : 0;
}

void rules_end_batch(struct ledger_batch *batch)
{
    const struct batch_records now = {batch->records.count - (int64_t)batch->expired_count,
                                      batch->records.last_id};
    bool has_deleted = batch->has_replaced || batch->expired_count > 0;
    bool is_stored =
        now.count == batch->records_stored.count && now.last_id == batch->records_stored.last_id;
    if (has_deleted || (batch->may_shrink && !is_stored)) {
        ledger_batch_add_meta(batch, RECORDS_META, now.count);
        ledger_batch_add_meta(batch, RECORDS_LAST_ID_META, now.last_id);
        batch->records_stored = now;
    }
}

bool rules_keeps_reply_tos(const struct outcome *outcome)
{
    return retention_is_unsure(outcome->retention);
}

/* ---- orders of an operator ---- */

static enum ledger_order order_of(const struct ledger_batch *batch, const struct store_row *row)
{
    if (row == NULL || (row->state == STATE_DONE && row->expires_at_ms <= batch->kept_ms)) {
        return LEDGER_ORDER_NO_RECORD;
    }
    if (row->state != STATE_DONE) {
        return LEDGER_ORDER_IN_WORK;
    }
    return retention_is_unsure((enum retention)row->retention) ? LEDGER_ORDER_DONE
                                                               : LEDGER_ORDER_DEFINITE;
}

/* The result of the order and, if it is carried out, the command of the record. */
static enum ledger_order take_order(struct ledger_batch *batch, struct ledger_request *request,
                                    const struct store_row *row)
{
    struct finish_request *finish = &request->finish;
    plan_anew(batch, request);
    batch->unfinished -= finish->order.is_counted ? 1 : 0;
    finish->order.is_counted = false;
    finish->order.result = order_of(batch, row);
    command_free(finish->command);
    finish->command = NULL;
    finish->reply_to_count = 0;
    if (finish->order.result == LEDGER_ORDER_DONE) {
        finish->command = ledger_batch_command(batch, row);
        request->command_id = row->id;
    }
    return finish->order.result;
}

/* The whole history with the order. It takes over code and request id of the former outcome, which
 * the row loses. */
static void put_ordered(struct ledger_batch *batch, struct ledger_request *request,
                        const struct store_row *row)
{
    bool is_resolve = request->type->kind == REQUEST_RESOLVE;
    struct buf earlier = {0};
    size_t offset = batch->bytes.length;
    buf_clear(&batch->scratch);
    history_put_ordered(&batch->scratch, batch->now_ms, is_resolve);
    history_carry_over(row->history, row->code, row->request_id, &earlier);
    history_append(buf_slice(&earlier), buf_slice(&batch->scratch), &batch->bytes);
    set_history(batch, request, offset);
    buf_fini(&earlier);
}

enum ledger_order rules_retry(struct ledger_batch *batch, struct ledger_request *request,
                              const struct store_row *row)
{
    struct finish_request *finish = &request->finish;
    if (take_order(batch, request, row) != LEDGER_ORDER_DONE) {
        return finish->order.result;
    }
    struct command *command = finish->command;
    command->state = state_after(command->state, MOVE_AGAIN_UNSURE);
    command->deadline_at_ms = finish->order.deadline_at_ms;
    command->not_before_ms = 0;
    command->crashes = 0;
    finish->order.is_counted = true;
    batch->unfinished++;
    audit_row_of_order(batch, request);
    put_ordered(batch, request, row);
    return LEDGER_ORDER_DONE;
}

enum ledger_order rules_resolve(struct ledger_batch *batch, struct ledger_request *request,
                                const struct store_row *row)
{
    if (take_order(batch, request, row) == LEDGER_ORDER_DONE) {
        plan_outcome(batch, request);
        put_ordered(batch, request, row);
    }
    return request->finish.order.result;
}

void rules_resolve_end(struct ledger_batch *batch, struct ledger_request *request)
{
    audit_row_of_order(batch, request);
    put_outcome_event(batch, request);
}

/* ---- the audit ---- */

void rules_add_audit(struct ledger_batch *batch, struct ledger_request *request)
{
    const struct add_audit_request *add = &request->add_audit;
    plan_anew(batch, request);
    if (add->adopted.seq > batch->last_audit_seq) {
        batch->last_audit_seq = add->adopted.seq;
        batch->exported_seq = add->adopted.seq;
        audit_tip_save(&add->adopted, batch);
    }
    request->audit_event = add->event;
    request->audit.offset = batch->bytes.length;
    request->audit.length = add->members.length;
    buf_append(&batch->bytes, buf_slice(&add->members));
}

void rules_exported(struct ledger_batch *batch, struct ledger_request *request)
{
    batch->exported_seq = request->exported.tip.seq;
    audit_tip_save(&request->exported.tip, batch);
}

int64_t rules_audit_record(struct ledger_batch *batch, struct ledger_request *request,
                           struct buf *out)
{
    if (request->audit_event == NULL) {
        return 0;
    }
    if (request->audit_seq == 0) {
        request->audit_seq = ++batch->last_audit_seq;
    }
    audit_record_begin(request->audit_seq, batch->now_ms, request->audit_event, out);
    audit_put_members(out, ledger_batch_text(batch, request->audit));
    return request->audit_seq;
}
