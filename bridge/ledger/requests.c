/*
 * The requests that other rooms make: each is filled in and queued for the committer.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "common.h"
#include "history.h"

#include <assert.h>
#include <stdio.h>

static struct ledger_request *request_new(enum request_kind kind, void *arg)
{
    struct ledger_request *request = mem_zalloc(1, sizeof *request);
    request->type = &LEDGER_REQUEST_TYPES[kind];
    request->arg = arg;
    return request;
}

static void wake_if(struct ledger *ledger, bool must_wake)
{
    if (must_wake && !loop_timer_is_running(ledger->wake_timer)) {
        loop_timer_start(ledger->wake_timer, 0);
    }
}

static void enqueue(struct ledger *ledger, struct ledger_request *request)
{
    if (ledger->is_together) {
        request_list_append(&ledger->together, request);
    } else {
        wake_if(ledger, committer_enqueue(&ledger->committer, request, request->type->delay_us));
    }
}

void ledger_begin_together(struct ledger *ledger)
{
    assert(!ledger->is_together);
    ledger->is_together = true;
}

void ledger_end_together(struct ledger *ledger)
{
    ledger->is_together = false;
    if (ledger->together.head != NULL) {
        wake_if(ledger, committer_enqueue_together(&ledger->committer, &ledger->together));
    }
}

void ledger_claim(struct ledger *ledger, struct ledger_claim *claim_take, ledger_claimed_fn *done,
                  void *arg)
{
    struct ledger_request *request = request_new(REQUEST_CLAIM, arg);
    struct claim_request *claim = &request->claim;
    /* Ids are microseconds of the ledger's clock and always grow, so that they give the order of
     * arrival also among bridges that share a ledger. */
    const struct ledger_clock_reading now = ledger_clock_read();
    int64_t now_us = ledger_clock_kept_ms(&ledger->committer.clock, &now) * 1000;
    ledger->last_id = now_us > ledger->last_id ? now_us : ledger->last_id + 1;
    claim->ask = *claim_take;
    *claim_take = (struct ledger_claim){0};
    claim->done = done;
    claim->id = ledger->last_id;
    enqueue(ledger, request);
}

void ledger_post(struct ledger *ledger, struct slice message, bool is_dead_letter,
                 enum bridge_error refusal, struct buf *audit_take, ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_POST, arg);
    buf_append(&request->post.message, message);
    if (audit_take != NULL) {
        request->post.audit = *audit_take;
        *audit_take = (struct buf){0};
    }
    request->post.is_dead_letter = is_dead_letter;
    request->post.refusal = refusal;
    request->post.done = done;
    enqueue(ledger, request);
}

static struct ledger_request *move_new(enum request_kind kind, struct command *command,
                                       enum move move, void *arg)
{
    struct ledger_request *request = request_new(kind, arg);
    request->move.command = command;
    request->move.id = command->id;
    snprintf(request->move.token, sizeof request->move.token, "%s", command->token);
    request->move.state = state_after(command->state, move);
    request->move.attempts = command->attempts;
    request->move.not_before_ms = command->not_before_ms;
    request->move.crashes = command->crashes;
    return request;
}

void ledger_begin(struct ledger *ledger, struct command *command, ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = move_new(REQUEST_BEGIN, command, MOVE_START, arg);
    request->move.done = done;
    history_put_start(&request->events, clock_wall_ms(), command->attempts);
    enqueue(ledger, request);
}

void ledger_pause(struct ledger *ledger, struct command *command, enum move move,
                  const struct outcome *answer)
{
    assert(move == MOVE_NOTHING_DONE || move == MOVE_NO_ANSWER);
    struct ledger_request *request = move_new(REQUEST_PAUSE, command, move, NULL);
    command->state = request->move.state;
    history_put_end(&request->events, clock_wall_ms(), answer);
    enqueue(ledger, request);
}

void ledger_finish(struct ledger *ledger, struct command *command_take,
                   const struct outcome *outcome, const struct outcome *answer)
{
    ledger_finish_watched(ledger, command_take, outcome, answer, (struct watch_start){0});
}

void ledger_watch(struct ledger *ledger, const struct watch *watch, const struct watch_step *step,
                  struct buf *messages_take, size_t count, ledger_watched_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_WATCH, arg);
    struct watch_request *asked = &request->watch;
    *asked = (struct watch_request){.id = watch->id,
                                    .expected_seq = watch->state.seq,
                                    .state = step->state,
                                    .is_over = watch_step_is_final(step),
                                    .message_count = count,
                                    .done = done};
    asked->messages = mem_zalloc(count + 1, sizeof asked->messages[0]);
    for (size_t i = 0; i < count; i++) {
        asked->messages[i] = messages_take[i];
        messages_take[i] = (struct buf){0};
    }
    enqueue(ledger, request);
}

void ledger_finish_watched(struct ledger *ledger, struct command *command_take,
                           const struct outcome *outcome, const struct outcome *answer,
                           struct watch_start watch)
{
    bool is_called = command_take->state == STATE_CALLING || command_take->state == STATE_RECALLING;
    assert(state_may(command_take->state, MOVE_FINISH));
    struct ledger_request *request = request_new(REQUEST_FINISH, NULL);
    request->finish.command = command_take;
    outcome_copy(&request->finish.outcome, outcome);
    request->finish.watch = watch;
    struct ledger_clock_reading now = ledger_clock_read();
    request->finish.is_answer = answer == outcome;
    if (is_called && answer != outcome) {
        history_put_end(&request->events, now.wall_ms, answer);
    }
    request->finish.completed_at_ms = now.wall_ms;
    request->finish.kept_from_ms = ledger_clock_kept_ms(&ledger->committer.clock, &now);
    enqueue(ledger, request);
}

void ledger_retry(struct ledger *ledger, struct slice token, int64_t deadline_at_ms,
                  ledger_ordered_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_RETRY, arg);
    buf_append(&request->finish.order.token, token);
    request->finish.order.deadline_at_ms = deadline_at_ms;
    request->finish.order.done = done;
    enqueue(ledger, request);
}

void ledger_resolve(struct ledger *ledger, struct slice token, const struct outcome *outcome,
                    struct slice note, ledger_ordered_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_RESOLVE, arg);
    struct ledger_clock_reading now = ledger_clock_read();
    buf_append(&request->finish.order.token, token);
    buf_append(&request->finish.order.note, note);
    request->finish.order.done = done;
    outcome_copy(&request->finish.outcome, outcome);
    request->finish.completed_at_ms = now.wall_ms;
    request->finish.kept_from_ms = ledger_clock_kept_ms(&ledger->committer.clock, &now);
    enqueue(ledger, request);
}

void ledger_delivered(struct ledger *ledger, int64_t id, size_t length)
{
    struct ledger_request *request = request_new(REQUEST_DELIVERED, NULL);
    request->delivered.message = (struct outbox_row){.id = id, .length = length};
    history_put_acknowledged(&request->events, clock_wall_ms(), id);
    enqueue(ledger, request);
}

void ledger_replace(struct ledger *ledger, int64_t id, size_t length, struct slice dead_letter,
                    ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_REPLACE, arg);
    buf_append(&request->post.message, dead_letter);
    request->post.replaced = (struct outbox_row){.id = id, .length = length};
    request->post.is_dead_letter = slice_is_present(dead_letter);
    history_put_undelivered(&request->events, clock_wall_ms(), id);
    request->post.done = done;
    enqueue(ledger, request);
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_READ, arg);
    request->read = (struct read_request){from_id, limit, each, done};
    enqueue(ledger, request);
}

static void query(struct ledger *ledger, struct query_request query, ledger_records_fn *done,
                  void *arg)
{
    struct ledger_request *request = request_new(REQUEST_QUERY, arg);
    request->query = query;
    request->query.done = done;
    request->query.limit = query.limit < LEDGER_QUERY_MAX ? query.limit : (size_t)LEDGER_QUERY_MAX;
    enqueue(ledger, request);
}

void ledger_query_token(struct ledger *ledger, struct slice token, ledger_records_fn *done,
                        void *arg)
{
    struct query_request asked = {0};
    buf_append(&asked.token, token);
    query(ledger, asked, done, arg);
}

void ledger_query_unfinished(struct ledger *ledger, size_t limit, ledger_records_fn *done,
                             void *arg)
{
    query(ledger, (struct query_request){.list = STORE_LIST_UNFINISHED, .limit = limit}, done, arg);
}

void ledger_query_outcomes(struct ledger *ledger, size_t limit, ledger_records_fn *done, void *arg)
{
    query(ledger, (struct query_request){.list = STORE_LIST_OUTCOMES, .limit = limit}, done, arg);
}

void ledger_find_success(struct ledger *ledger, const struct command *command, int64_t since_ms,
                         ledger_records_fn *done, void *arg)
{
    struct query_request asked = {.since_ms = since_ms};
    buf_append(&asked.fingerprint,
               slice_of((const char *)command->fingerprint, sizeof command->fingerprint));
    buf_append_text(&asked.group, command->group);
    query(ledger, asked, done, arg);
}

void ledger_ask_allowance(struct ledger *ledger, const struct allowance_ask *ask,
                          ledger_granted_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_ALLOWANCE, arg);
    struct allowance_request *allowance = &request->allowance;
    allowance->name = mem_strdup(ask->name);
    allowance->ask = *ask;
    allowance->ask.name = allowance->name;
    allowance->done = done;
    /* Not together with the claims of a message, in whose middle it may be asked for. */
    wake_if(ledger, committer_enqueue(&ledger->committer, request, request->type->delay_us));
}

static void remember(struct ledger *ledger, const char *instance, const char *key,
                     struct remember_request asked)
{
    struct ledger_request *request = request_new(REQUEST_REMEMBER, NULL);
    asked.instance = instance == NULL ? NULL : mem_strdup(instance);
    asked.key = mem_strdup(key);
    request->remember = asked;
    enqueue(ledger, request);
}

void ledger_remember_of(struct ledger *ledger, const char *instance, const char *key, int64_t value)
{
    remember(ledger, instance, key, (struct remember_request){.value = value});
}

void ledger_forget_of(struct ledger *ledger, const char *instance, const char *key)
{
    remember(ledger, instance, key, (struct remember_request){.is_forgotten = true});
}

void ledger_remember(struct ledger *ledger, const char *key, int64_t value)
{
    ledger_remember_of(ledger, NULL, key, value);
}

void ledger_forget(struct ledger *ledger, const char *key)
{
    ledger_forget_of(ledger, NULL, key);
}

void ledger_list_absent(struct ledger *ledger, const char *lease_of, ledger_absent_fn *each,
                        ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_ABSENT, arg);
    request->absent.lease_of = lease_of == NULL ? NULL : mem_strdup(lease_of);
    request->absent.each = each;
    request->absent.done = done;
    enqueue(ledger, request);
}

void ledger_add_audit(struct ledger *ledger, const char *event, struct slice members,
                      const struct audit_tip *adopted)
{
    struct ledger_request *request = request_new(REQUEST_ADD_AUDIT, NULL);
    request->add_audit.event = event;
    buf_append(&request->add_audit.members, members);
    if (adopted != NULL) {
        request->add_audit.adopted = *adopted;
    }
    enqueue(ledger, request);
}

void ledger_read_audit(struct ledger *ledger, int64_t from_seq, size_t limit,
                       ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_READ_AUDIT, arg);
    request->read = (struct read_request){from_seq, limit, each, done};
    enqueue(ledger, request);
}

void ledger_audit_exported(struct ledger *ledger, const struct audit_tip *tip)
{
    struct ledger_request *request = request_new(REQUEST_EXPORTED, NULL);
    request->exported.tip = *tip;
    enqueue(ledger, request);
}
