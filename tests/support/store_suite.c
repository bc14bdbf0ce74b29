#include "store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ledger/history.h"
#include "ledger/rules.h"
#include "store_batch.h"

#include "model/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTED_MAX 16

/* One test: an open store, and the next batch. */
struct fixture {
    const struct store_suite *suite;
    const struct store_ops *ops;
    char *location;
    struct store *store;
    struct store_batch batch;
};

static const struct store_suite *running;

static void close_store(struct fixture *f)
{
    if (f->store != NULL) {
        store_batch_fini(&f->batch);
    }
    f->ops->close(f->store);
    f->store = NULL;
}

static void open_again(struct fixture *f)
{
    struct buf why = {0};
    close_store(f);
    assert_int_equal(f->ops->open(STORE_AT(f->location), false, &f->store, &why), STATUS_OK);
    assert_int_equal(why.length, 0);
    store_batch_init(&f->batch, f->ops, f->store);
    buf_fini(&why);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof *f);
    f->suite = running;
    f->ops = running->ops;
    f->location = running->location_new();
    open_again(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    f->suite->location_free(f->location);
    free(f);
    return 0;
}

static void run(struct fixture *f)
{
    assert_int_equal(store_batch_run(&f->batch), STATUS_OK);
}

/* Runs the batch and begins the next one. */
static void commit(struct fixture *f)
{
    run(f);
    store_batch_begin(&f->batch);
}

/* Adds a claim whose row gets the state; returns its id. */
static int64_t claim(struct fixture *f, const char *token, enum state state)
{
    struct ledger_request *request = store_batch_claim(&f->batch, token);
    int64_t id = request->claim.id;
    request->claim.ask.is_called_at_once = state == STATE_CALLING;
    if (state != STATE_CALLING && state != STATE_READY) {
        store_batch_move(&f->batch, token, id, state);
    }
    return id;
}

static void finish(struct fixture *f, const char *token, int64_t id, int64_t expires_at_ms)
{
    store_batch_finish(&f->batch, token, id, expires_at_ms);
}

static struct store_row find(struct fixture *f, const char *token)
{
    struct store_row row;
    assert_int_equal(f->ops->find(f->store, slice_text(token), &row), STATUS_OK);
    return row;
}

static bool has(struct fixture *f, const char *token)
{
    struct store_row row;
    enum status status = f->ops->find(f->store, slice_text(token), &row);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    return status == STATUS_OK;
}

struct listed {
    int64_t ids[LISTED_MAX];
    enum state states[LISTED_MAX];
    size_t count;
};

static void list_row(void *arg, const struct store_row *row)
{
    struct listed *listed = arg;
    assert_true(listed->count < LISTED_MAX);
    listed->ids[listed->count] = row->id;
    listed->states[listed->count++] = row->state;
}

static struct listed unfinished(struct fixture *f)
{
    struct listed listed = {.count = 0};
    assert_int_equal(f->ops->each(f->store, STORE_LIST_UNFINISHED, 0, SIZE_MAX, list_row, &listed),
                     STATUS_OK);
    return listed;
}

static struct store_summary summary(struct fixture *f)
{
    struct store_summary summary;
    assert_int_equal(f->ops->summarise(f->store, &summary), STATUS_OK);
    return summary;
}

/* ---- commands ---- */

static void test_a_new_store_is_empty(void **state)
{
    struct fixture *f = *state;
    struct store_summary empty = summary(f);
    assert_false(has(f, "t"));
    assert_int_equal(unfinished(f).count, 0);
    assert_int_equal(empty.waiting, 0);
    assert_int_equal(empty.messages, 0);
    assert_int_equal(empty.last_id, 0);
    assert_int_equal(empty.last_message_id, 0);
}

static void test_a_command_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    struct ledger_request *request = store_batch_claim(&f->batch, "t-1");
    request->claim.id = INT64_C(1767322800123456);
    run(f);
    assert_int_equal(request->claim.result, CLAIM_NEW);
    struct command command = *request->claim.ask.command;
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_true(row.id == INT64_C(1767322800123456));
    assert_true(summary(f).last_id == row.id);
    row = find(f, "t-1");
    assert_int_equal(row.state, STATE_READY);
    assert_true(slice_equals_text(row.token, "t-1"));
    assert_true(slice_equals_text(row.action, "StartDiskReplicaGroup"));
    assert_true(slice_equals_text(row.region, "cn-beijing"));
    assert_true(slice_equals_text(row.group, "pg-t-1"));
    assert_true(slice_equals_text(row.route, "start"));
    assert_true(slice_equals_text(row.params, "{\"OneShot\":true}"));
    assert_int_equal(row.fingerprint.length, sizeof command.fingerprint);
    assert_memory_equal(row.fingerprint.data, command.fingerprint, sizeof command.fingerprint);
    assert_int_equal(row.received_at_ms, command.received_at_ms);
    assert_int_equal(row.deadline_at_ms, command.deadline_at_ms);
    assert_int_equal(row.attempts, 0);
    assert_int_equal(row.not_before_ms, command.not_before_ms);
    assert_false(slice_is_present(row.request_id));
    assert_false(slice_is_present(row.code));
    assert_false(slice_is_present(row.error));
    assert_false(slice_is_present(row.observed));
}

static void test_a_claim_that_is_called_at_once_is_stored_with_its_attempt(void **state)
{
    struct fixture *f = *state;
    claim(f, "t-1", STATE_CALLING);
    commit(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_CALLING);
    assert_int_equal(row.attempts, 1);
}

static void test_a_token_has_one_row(void **state)
{
    struct fixture *f = *state;
    int64_t first = claim(f, "t-1", STATE_CALLING);
    struct ledger_request *same_batch = store_batch_claim(&f->batch, "t-1");
    run(f);
    assert_int_equal(same_batch->claim.result, CLAIM_WAITS);
    store_batch_begin(&f->batch);
    struct ledger_request *next_batch = store_batch_claim(&f->batch, "t-1");
    run(f);
    assert_int_equal(next_batch->claim.result, CLAIM_WAITS);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.id, first);
    assert_int_equal(row.state, STATE_CALLING);
    assert_int_equal(unfinished(f).count, 1);
    assert_int_equal(summary(f).waiting, 2);
}

static void test_tokens_that_differ_in_case_are_different(void **state)
{
    struct fixture *f = *state;
    int64_t lower = claim(f, "token", STATE_READY);
    int64_t upper = claim(f, "TOKEN", STATE_READY);
    commit(f);
    assert_int_equal(find(f, "token").id, lower);
    assert_int_equal(find(f, "TOKEN").id, upper);
    assert_false(has(f, "Token"));
}

static enum status refuse_commit(struct ledger_batch *batch)
{
    (void)batch;
    return STATUS_STORE;
}

static void test_a_batch_that_fails_stores_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t value = 0;
    claim(f, "t-1", STATE_READY);
    store_batch_post(&f->batch, slice_text("m"));
    ledger_batch_add_meta(&f->batch.batch, "x", 1);
    f->batch.batch.before_commit = refuse_commit;
    assert_int_equal(store_batch_run(&f->batch), STATUS_STORE);
    assert_false(has(f, "t-1"));
    assert_int_equal(summary(f).messages, 0);
    assert_int_equal(f->ops->get_meta(f->store, "x", &value), STATUS_NOT_FOUND);
}

static void test_a_batch_that_failed_can_be_carried_out_again(void **state)
{
    struct fixture *f = *state;
    int64_t id = claim(f, "t-1", STATE_READY);
    store_batch_post(&f->batch, slice_text("m"));
    f->batch.batch.before_commit = refuse_commit;
    assert_int_equal(store_batch_run(&f->batch), STATUS_STORE);
    ledger_batch_reset(&f->batch.batch);
    f->batch.batch.before_commit = NULL;
    run(f);
    assert_int_equal(find(f, "t-1").id, id);
    assert_int_equal(summary(f).messages, 1);
    assert_int_equal(f->batch.batch.message_count, 1);
}

static void test_a_state_is_stored_with_attempts_and_time(void **state)
{
    struct fixture *f = *state;
    int64_t id = claim(f, "t-1", STATE_CALLING);
    struct ledger_request *move = store_batch_move(&f->batch, "t-1", id, STATE_UNSURE);
    move->move.attempts = 3;
    move->move.not_before_ms = 99;
    move->move.crashes = 2;
    commit(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_UNSURE);
    assert_int_equal(row.attempts, 3);
    assert_int_equal(row.not_before_ms, 99);
    assert_int_equal(row.crashes, 2);
}

static void test_the_end_of_an_attempt_and_the_outcome_are_stored_by_one_batch(void **state)
{
    struct fixture *f = *state;
    struct buf end = {0};
    int64_t id = claim(f, "t-1", STATE_CALLING);
    history_put_end(&end, 7, NULL);
    struct ledger_request *move = store_batch_move(&f->batch, "t-1", id, STATE_READY);
    buf_append(&move->events, buf_slice(&end));
    store_batch_finish(&f->batch, "t-1", id, 0);
    run(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_DONE);
    assert_non_null(memmem(row.history.data, row.history.length, end.data, end.length));
    buf_fini(&end);
}

static void test_an_outcome_is_stored_whole(void **state)
{
    struct fixture *f = *state;
    const struct outcome denied = {.status = OUTCOME_FAILED,
                                   .retention = RETENTION_COOLDOWN,
                                   .request_id = (char *)"473469C7",
                                   .code = (char *)"OperationDenied.ManualSyncLimit",
                                   .message = (char *)"Not now.",
                                   .retry_after_ms = 60000};
    struct buf error = {0};
    int64_t id = claim(f, "t-1", STATE_CALLING);
    struct ledger_request *request = store_batch_finish(&f->batch, "t-1", id, 0);
    request->finish.command->attempts = 4;
    request->finish.completed_at_ms = 11;
    request->finish.kept_from_ms = 22;
    outcome_fini(&request->finish.outcome);
    outcome_copy(&request->finish.outcome, &denied);
    outcome_put_error(&denied, &error);
    run(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_DONE);
    assert_int_equal(row.attempts, 4);
    assert_int_equal(row.status, OUTCOME_FAILED);
    assert_int_equal(row.retention, RETENTION_COOLDOWN);
    assert_true(slice_equals_text(row.request_id, denied.request_id));
    assert_true(slice_equals_text(row.code, denied.code));
    assert_true(slice_equals(row.error, buf_slice(&error)));
    assert_int_equal(row.completed_at_ms, 11);
    assert_int_equal(row.expires_at_ms, 22 + 60000);
    buf_fini(&error);
}

static void test_what_was_observed_of_an_unknown_outcome_is_stored(void **state)
{
    static const char observed[] = "{\"Conclusion\":\"undecided\"}";
    struct fixture *f = *state;
    int64_t id = claim(f, "t-1", STATE_CALLING);
    struct ledger_request *request = store_batch_finish(&f->batch, "t-1", id, 1000);
    request->finish.outcome.status = OUTCOME_UNKNOWN;
    request->finish.outcome.retention = RETENTION_UNSURE;
    request->finish.outcome.observed = mem_strdup(observed);
    commit(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_true(slice_equals_text(row.observed, observed));
    assert_int_equal(row.status, OUTCOME_UNKNOWN);
}

static void test_a_success_has_no_error(void **state)
{
    struct fixture *f = *state;
    finish(f, "t-1", claim(f, "t-1", STATE_CALLING), 1000);
    commit(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.status, OUTCOME_SUCCEEDED);
    assert_int_equal(row.expires_at_ms, 1000);
    assert_false(slice_is_present(row.code));
    assert_false(slice_is_present(row.error));
}

static void test_unfinished_commands_are_listed_in_order_of_arrival(void **state)
{
    struct fixture *f = *state;
    int64_t first = claim(f, "z", STATE_READY);
    int64_t done = claim(f, "m", STATE_CALLING);
    int64_t last = claim(f, "a", STATE_UNSURE);
    finish(f, "m", done, 1000);
    commit(f);
    struct listed listed = unfinished(f);
    assert_true(first < done && done < last);
    assert_int_equal(listed.count, 2);
    assert_int_equal(listed.ids[0], first);
    assert_int_equal(listed.ids[1], last);
    assert_int_equal(listed.states[0], STATE_READY);
    assert_int_equal(listed.states[1], STATE_UNSURE);
}

/* A claim for a token whose record expired: the new row replaces it and is the last one. */
static void test_a_token_that_starts_again_comes_after_earlier_ones(void **state)
{
    struct fixture *f = *state;
    int64_t old = claim(f, "t-1", STATE_CALLING);
    int64_t newer = claim(f, "t-2", STATE_READY);
    finish(f, "t-1", old, 1);
    commit(f);
    struct ledger_request *again = store_batch_claim(&f->batch, "t-1");
    run(f);
    assert_int_equal(again->claim.result, CLAIM_NEW);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_READY);
    assert_int_equal(row.id, again->claim.id);
    assert_true(row.id > newer);
    assert_false(slice_is_present(row.request_id));
    assert_int_equal(unfinished(f).count, 2);
}

static void test_only_finished_commands_expire_and_the_oldest_first(void **state)
{
    struct fixture *f = *state;
    claim(f, "unfinished", STATE_READY);
    finish(f, "later", claim(f, "later", STATE_READY), 300);
    finish(f, "first", claim(f, "first", STATE_READY), 100);
    finish(f, "second", claim(f, "second", STATE_READY), 200);
    finish(f, "not yet", claim(f, "not yet", STATE_READY), 301);
    commit(f);
    static const size_t COUNTS[] = {2, 1, 0};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        f->batch.batch.kept_ms = 300;
        f->batch.batch.expire_max = 2;
        run(f);
        assert_int_equal(f->batch.batch.expired_count, COUNTS[i]);
        assert_false(has(f, "first"));
        assert_false(has(f, "second"));
        assert_int_equal(has(f, "later"), i == 0);
        store_batch_begin(&f->batch);
    }
    assert_true(has(f, "not yet"));
    assert_true(has(f, "unfinished"));
}

/* ---- the first batch of a run ---- */

/* Starts a run in a process that ends without closing the store. */
static void crash(struct fixture *f)
{
    close_store(f);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct buf why = {0};
        struct ledger_batch batch = {.limits = &(struct ledger_limits){.pending_max = 1}};
        bool is_ok = f->ops->open(STORE_AT(f->location), false, &f->store, &why) == STATUS_OK &&
                     f->ops->start(f->store, &batch) == STATUS_OK;
        _exit(is_ok ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    open_again(f);
}

/* Starts a run, which must add these commands ("TOKEN STATE;") in this order. */
static void start(struct fixture *f, const char *tokens)
{
    struct ledger_batch *batch = &f->batch.batch;
    struct buf found = {0};
    batch->limits = &f->batch.limits;
    assert_int_equal(f->ops->start(f->store, batch), STATUS_OK);
    for (size_t i = 0; i < batch->command_count; i++) {
        buf_printf(&found, "%s %s;", batch->commands[i]->token,
                   state_text(batch->commands[i]->state));
    }
    assert_string_equal(found.data == NULL ? "" : found.data, tokens);
    buf_fini(&found);
    store_batch_begin(&f->batch);
}

static void test_calls_become_unsure_at_the_next_start_and_are_resumed(void **state)
{
    struct fixture *f = *state;
    claim(f, "ready", STATE_READY);
    claim(f, "calling", STATE_CALLING);
    claim(f, "unsure", STATE_UNSURE);
    claim(f, "recalling", STATE_RECALLING);
    finish(f, "done", claim(f, "done", STATE_CALLING), 1000);
    commit(f);
    start(f, "ready ready;calling unsure;unsure unsure;recalling unsure;");
    assert_int_equal(find(f, "calling").state, STATE_UNSURE);
    assert_int_equal(find(f, "calling").crashes, 0);
    assert_int_equal(find(f, "done").state, STATE_DONE);
}

static void test_a_command_with_duplicates_is_resumed_once(void **state)
{
    struct fixture *f = *state;
    claim(f, "t-1", STATE_READY);
    store_batch_claim(&f->batch, "t-1");
    commit(f);
    start(f, "t-1 ready;");
}

static void test_a_command_is_resumed_with_all_its_values(void **state)
{
    struct fixture *f = *state;
    struct ledger_batch *batch = &f->batch.batch;
    int64_t id = claim(f, "t-1", STATE_CALLING);
    commit(f);
    batch->limits = &f->batch.limits;
    assert_int_equal(f->ops->start(f->store, batch), STATUS_OK);
    assert_int_equal(batch->command_count, 1);
    const struct command *command = batch->commands[0];
    struct store_row row = find(f, "t-1");
    assert_int_equal(command->id, id);
    assert_ptr_equal(command->route, f->batch.limits.routes);
    assert_string_equal(command->group, "pg-t-1");
    assert_string_equal(command->params, "{\"OneShot\":true}");
    assert_int_equal(command->attempts, 1);
    assert_int_equal(command->received_at_ms, row.received_at_ms);
    assert_int_equal(command->deadline_at_ms, row.deadline_at_ms);
    assert_int_equal(command->not_before_ms, row.not_before_ms);
}

static void test_calls_of_a_run_that_crashed_count_one_crash_more(void **state)
{
    struct fixture *f = *state;
    crash(f);
    claim(f, "ready", STATE_READY);
    claim(f, "unsure", STATE_UNSURE);
    int64_t id = claim(f, "calling", STATE_CALLING);
    claim(f, "other", STATE_RECALLING);
    commit(f);
    crash(f);
    assert_int_equal(find(f, "calling").crashes, 1);
    struct ledger_request *move = store_batch_move(&f->batch, "calling", id, STATE_RECALLING);
    move->move.crashes = 1;
    commit(f);
    crash(f);
    crash(f);
    assert_int_equal(find(f, "ready").crashes, 0);
    assert_int_equal(find(f, "unsure").crashes, 0);
    assert_int_equal(find(f, "other").crashes, 1);
    assert_int_equal(find(f, "calling").crashes, 2);
}

static void test_calls_of_a_run_that_was_closed_count_no_crash(void **state)
{
    struct fixture *f = *state;
    crash(f);
    start(f, "");
    claim(f, "t-1", STATE_CALLING);
    commit(f);
    open_again(f);
    start(f, "t-1 unsure;");
    assert_int_equal(find(f, "t-1").crashes, 0);
}

/* ---- reply_to ---- */

static void ask(struct fixture *f, const struct reply_to *reply_to)
{
    struct reply_to *copy = &store_batch_claim(&f->batch, "t-1")->claim.ask.reply_to;
    free(copy->topic);
    *copy = *reply_to;
    copy->topic = mem_strdup(reply_to->topic);
    copy->correlation_data =
        reply_to->correlation_data == NULL
            ? NULL
            : mem_dup(reply_to->correlation_data, reply_to->correlation_data_bytes);
    copy->correlation_id = mem_strdup(reply_to->correlation_id);
    copy->traceparent = mem_strdup(reply_to->traceparent);
    copy->tracestate = mem_strdup(reply_to->tracestate);
}

static const struct reply_to ASKED[] = {
    {.topic = (char *)"replies/a"},
    {.topic = (char *)"a/b",
     .correlation_data = (char *)"\0\xff",
     .correlation_data_bytes = 2,
     .correlation_id = (char *)"c\xc3\xa9",
     .traceparent = (char *)"00-1",
     .tracestate = (char *)"x=y",
     .has_body_trace = true},
    {.topic = (char *)"c", .correlation_data = (char *)""},
    {.topic = NULL},
};

/* The replies that the rules render for these reply_tos, without a store. */
static void render_expected(struct fixture *f, int64_t id, struct buf *out)
{
    struct store_batch other = {.limits = f->batch.limits};
    struct ledger_request *request = store_batch_finish(&other, "t-1", id, 1000);
    other.batch.limits = &other.limits;
    other.batch.now_ms = f->batch.batch.now_ms;
    rules_finish(&other.batch, request);
    for (size_t i = 0; i < sizeof ASKED / sizeof ASKED[0]; i++) {
        rules_answer(&other.batch, request, &ASKED[i]);
    }
    buf_append(out, buf_slice(&other.batch.bytes));
    store_batch_fini(&other);
}

static void test_all_senders_are_answered_in_order_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct buf expected = {0};
    int64_t id = f->batch.last_id + 1;
    for (size_t i = 0; i < sizeof ASKED / sizeof ASKED[0]; i++) {
        ask(f, &ASKED[i]);
    }
    claim(f, "t-2", STATE_READY);
    commit(f);
    open_again(f);
    struct ledger_request *request = store_batch_finish(&f->batch, "t-1", id, 1000);
    run(f);
    render_expected(f, id, &expected);
    assert_int_equal(request->finish.reply_to_count, 4);
    assert_int_equal(request->message_count, 3);
    assert_int_equal(f->batch.batch.bytes.length, expected.length + request->history.length);
    assert_memory_equal(f->batch.batch.bytes.data, expected.data, expected.length);
    assert_int_equal(summary(f).messages, 3);
    assert_int_equal(summary(f).waiting, 0);
    store_batch_begin(&f->batch);
    request = store_batch_finish(&f->batch, "t-1", id, 1000);
    run(f);
    assert_int_equal(request->finish.reply_to_count, 0);
    assert_int_equal(unfinished(f).count, 1);
    buf_fini(&expected);
}

static void test_senders_are_counted_per_command_and_duplicates_in_total(void **state)
{
    struct fixture *f = *state;
    f->batch.limits.waiters_max = 2;
    claim(f, "t-1", STATE_READY);
    claim(f, "t-2", STATE_READY);
    store_batch_claim(&f->batch, "t-1");
    struct ledger_request *last = store_batch_claim(&f->batch, "t-1");
    struct ledger_request *too_many = store_batch_claim(&f->batch, "t-1");
    struct ledger_request *other = store_batch_claim(&f->batch, "t-2");
    run(f);
    assert_int_equal(last->claim.result, CLAIM_WAITS);
    assert_int_equal(too_many->claim.result, CLAIM_REFUSED);
    assert_int_equal(too_many->message_count, 1);
    assert_int_equal(other->claim.result, CLAIM_WAITS);
    assert_int_equal(summary(f).waiting, 3);
}

/* ---- the outbox ---- */

static int64_t post(struct fixture *f, const char *text)
{
    store_batch_post(&f->batch, slice_text(text));
    run(f);
    assert_int_equal(f->batch.batch.message_count, 1);
    int64_t id = f->batch.batch.messages[0].id;
    store_batch_begin(&f->batch);
    return id;
}

/* Runs the batch: what `read` finds, each followed by a semicolon. */
static void assert_read(struct fixture *f, const struct ledger_request *read, size_t count,
                        const char *text)
{
    struct buf found = {0};
    run(f);
    for (size_t i = 0; i < read->message_count; i++) {
        const struct batch_message *message = &f->batch.batch.messages[read->first_message + i];
        buf_append(&found, ledger_batch_text(&f->batch.batch, message->text));
        buf_append_char(&found, ';');
    }
    assert_int_equal(read->message_count, count);
    assert_string_equal(found.data == NULL ? "" : found.data, text);
    buf_fini(&found);
    store_batch_begin(&f->batch);
}

static void assert_outbox(struct fixture *f, int64_t from_id, size_t limit, size_t count,
                          const char *text)
{
    assert_read(f, store_batch_read(&f->batch, from_id, limit), count, text);
}

static void test_messages_are_read_in_order_from_an_id_on(void **state)
{
    struct fixture *f = *state;
    int64_t a = post(f, "a");
    int64_t b = post(f, "b");
    int64_t c = post(f, "c");
    open_again(f);
    assert_true(a < b && b < c);
    assert_outbox(f, 0, 10, 3, "a;b;c;");
    assert_outbox(f, b, 10, 2, "b;c;");
    assert_outbox(f, 0, 2, 2, "a;b;");
    assert_outbox(f, c + 1, 10, 0, "");
}

static void test_a_read_sees_what_was_posted_before_it_in_the_same_batch(void **state)
{
    struct fixture *f = *state;
    store_batch_post(&f->batch, slice_text("before"));
    struct ledger_request *read = store_batch_read(&f->batch, 0, 10);
    store_batch_post(&f->batch, slice_text("behind"));
    run(f);
    assert_int_equal(read->message_count, 1);
    const struct batch_message *message = &f->batch.batch.messages[read->first_message];
    assert_true(slice_equals_text(ledger_batch_text(&f->batch.batch, message->text), "before"));
}

static void test_a_message_may_have_any_bytes(void **state)
{
    struct fixture *f = *state;
    store_batch_post(&f->batch, slice_of("\0\xff\0x", 4));
    commit(f);
    struct ledger_request *read = store_batch_read(&f->batch, 0, 1);
    run(f);
    assert_int_equal(read->message_count, 1);
    assert_int_equal(f->batch.batch.bytes.length, 4);
    assert_memory_equal(f->batch.batch.bytes.data, "\0\xff\0x", 4);
}

static void test_a_message_is_removed_once(void **state)
{
    struct fixture *f = *state;
    int64_t a = post(f, "a");
    post(f, "b");
    struct ledger_request *first = store_batch_delivered(&f->batch, a);
    struct ledger_request *again = store_batch_delivered(&f->batch, a);
    run(f);
    assert_true(first->delivered.message.was_there);
    assert_false(again->delivered.message.was_there);
    assert_int_equal(summary(f).messages, 1);
    store_batch_begin(&f->batch);
    assert_outbox(f, 0, 10, 1, "b;");
}

static void test_a_message_is_replaced_by_its_dead_letter_or_by_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t a = post(f, "a");
    int64_t b = post(f, "bb");
    post(f, "ccc");
    assert_int_equal(summary(f).message_bytes, 6);
    struct ledger_request *first = store_batch_replace(&f->batch, a, slice_text("letter"));
    struct ledger_request *second = store_batch_replace(&f->batch, b, (struct slice){0});
    run(f);
    assert_true(first->post.replaced.was_there);
    assert_int_equal(first->message_count, 1);
    assert_true(second->post.replaced.was_there);
    assert_int_equal(second->message_count, 0);
    assert_int_equal(summary(f).message_bytes, 9);
    store_batch_begin(&f->batch);
    assert_outbox(f, 0, 10, 2, "ccc;letter;");
}

static void test_the_last_message_id_is_known_after_a_restart(void **state)
{
    struct fixture *f = *state;
    int64_t a = post(f, "a");
    open_again(f);
    assert_int_equal(summary(f).last_message_id, a);
    assert_true(post(f, "b") > a);
    assert_outbox(f, 0, 10, 2, "a;b;");
}

/* ---- the audit ---- */

#define RECORD(seq, number) \
    "{\"Seq\":" #seq        \
    ",\"Time\":\"2026-01-02T03:00:00.000Z\",\"Event\":\"claimed\",\"Number\":" #number ";"

static void test_audit_records_are_numbered_without_a_gap_and_read_in_order(void **state)
{
    struct fixture *f = *state;
    store_batch_add_audit(&f->batch, 11);
    store_batch_add_audit(&f->batch, 12);
    commit(f);
    store_batch_add_audit(&f->batch, 99);
    f->batch.batch.before_commit = refuse_commit;
    assert_int_equal(store_batch_run(&f->batch), STATUS_STORE);
    f->batch.batch.before_commit = NULL;
    store_batch_begin(&f->batch);
    store_batch_add_audit(&f->batch, 13);
    commit(f);
    open_again(f);
    assert_int_equal(summary(f).last_audit_seq, 3);
    assert_read(f, store_batch_read_audit(&f->batch, 1, 10), 3,
                RECORD(1, 11) RECORD(2, 12) RECORD(3, 13));
    assert_read(f, store_batch_read_audit(&f->batch, 2, 1), 1, RECORD(2, 12));
}

static void test_exported_records_are_removed_and_their_tip_is_stored(void **state)
{
    struct fixture *f = *state;
    int64_t value = 0;
    for (int64_t i = 1; i <= 3; i++) {
        store_batch_add_audit(&f->batch, 10 + i);
    }
    store_batch_exported(&f->batch, 1);
    store_batch_exported(&f->batch, 2);
    commit(f);
    assert_read(f, store_batch_read_audit(&f->batch, 1, 10), 1, RECORD(3, 13));
    assert_int_equal(f->ops->get_meta(f->store, "audit.seq", &value), STATUS_OK);
    assert_int_equal(value, 2);
    assert_int_equal(f->ops->get_meta(f->store, "audit.offset", &value), STATUS_OK);
    assert_int_equal(value, 20);
    store_batch_exported(&f->batch, 3);
    commit(f);
    assert_int_equal(summary(f).last_audit_seq, 0);
}

/* ---- the rest ---- */

static void test_a_meta_value_is_the_last_one_written(void **state)
{
    struct fixture *f = *state;
    int64_t value = 0;
    assert_int_equal(f->ops->get_meta(f->store, "session:x", &value), STATUS_NOT_FOUND);
    store_batch_remember(&f->batch, "session:x", 1);
    store_batch_remember(&f->batch, "session:x", INT64_MIN);
    ledger_batch_add_meta(&f->batch.batch, "other", 2);
    commit(f);
    open_again(f);
    assert_int_equal(f->ops->get_meta(f->store, "session:x", &value), STATUS_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(f->ops->get_meta(f->store, "other", &value), STATUS_OK);
    assert_int_equal(value, 2);
}

/* ---- watches ---- */

static void keep_watch(void *arg, const struct watch *watch)
{
    struct watch **kept = arg;
    watch_free(*kept);
    *kept = watch_copy(watch);
}

/* The only watch of the store, or NULL; the caller frees it. */
static struct watch *only_watch(struct fixture *f)
{
    struct watch *watch = NULL;
    assert_int_equal(f->ops->each_watch(f->store, keep_watch, &watch), STATUS_OK);
    return watch;
}

/* A command that ends with a watch of its group. */
static struct ledger_request *begin_watch(struct fixture *f, const char *token)
{
    f->batch.group = "pg-example";
    int64_t id = claim(f, token, STATE_CALLING);
    struct ledger_request *request = store_batch_finish(&f->batch, token, id, 1000);
    request->finish.watch = (struct watch_start){.started_at_ms = 5000, .ends_at_ms = 9000};
    return request;
}

static void test_a_watch_begins_with_the_outcome_and_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    struct ledger_request *request = begin_watch(f, "t-1");
    request->finish.outcome.status = OUTCOME_UNKNOWN;
    request->finish.outcome.retention = RETENTION_UNSURE;
    commit(f);
    open_again(f);
    struct watch *watch = only_watch(f);
    assert_non_null(watch);
    struct watch *found = NULL;
    assert_int_equal(f->ops->find_watch(f->store, slice_text("pg-example"), &found), STATUS_OK);
    assert_int_equal(found->id, watch->id);
    watch_free(found);
    assert_int_equal(f->ops->find_watch(f->store, slice_text("pg-other"), &found),
                     STATUS_NOT_FOUND);
    assert_string_equal(watch->token, "t-1");
    assert_string_equal(watch->object, "pg-example");
    assert_string_equal(watch->region, "cn-beijing");
    assert_string_equal(watch->route, "start");
    assert_true(watch->is_one_shot);
    assert_true(watch->is_outcome_unknown);
    assert_int_equal(watch->started_at_ms, 5000);
    assert_int_equal(watch->ends_at_ms, 9000);
    assert_int_equal(watch->state.seq, 0);
    assert_int_equal(watch->state.view.progress_percent, -1);
    watch_free(watch);
}

static void test_a_step_of_a_watch_is_stored_with_its_messages_once(void **state)
{
    struct fixture *f = *state;
    struct watch_step step = {.state = {.seq = 1,
                                        .site = GROUP_SITE_BACKUP,
                                        .view = {"normal", 7, 900, 50},
                                        .changed_at_ms = 6000,
                                        .flags = WATCH_HAS_MOVED},
                              .event_count = 1};
    begin_watch(f, "t-1");
    commit(f);
    struct watch *watch = only_watch(f);
    struct ledger_request *request = store_batch_watch(&f->batch, watch, &step, "event");
    run(f);
    assert_true(request->watch.is_there);
    assert_int_equal(request->message_count, 1);
    store_batch_begin(&f->batch);
    request = store_batch_watch(&f->batch, watch, &step, "event");
    run(f);
    assert_false(request->watch.is_there); /* the Seq is another one */
    assert_int_equal(request->message_count, 0);
    store_batch_begin(&f->batch);
    watch_free(watch);
    watch = only_watch(f);
    assert_int_equal(watch->state.seq, 1);
    assert_int_equal(watch->state.site, GROUP_SITE_BACKUP);
    assert_string_equal(watch->state.view.status, "normal");
    assert_int_equal(watch->state.view.recover_point_s, 7);
    assert_int_equal(watch->state.view.rpo_s, 900);
    assert_int_equal(watch->state.view.progress_percent, 50);
    assert_int_equal(watch->state.changed_at_ms, 6000);
    assert_int_equal(watch->state.flags, WATCH_HAS_MOVED);
    step.events[0].is_final = true;
    store_batch_watch(&f->batch, watch, &step, "last");
    commit(f);
    assert_null(only_watch(f));
    watch_free(watch);
}

static void test_a_later_command_ends_the_watch_of_its_group(void **state)
{
    struct fixture *f = *state;
    begin_watch(f, "t-1");
    commit(f);
    struct ledger_request *request = begin_watch(f, "t-2");
    run(f);
    assert_int_not_equal(request->finish.superseded_id, 0);
    size_t last = request->first_message + request->message_count - 1;
    struct message message;
    assert_int_equal(
        message_decode(ledger_batch_text(&f->batch.batch, f->batch.batch.messages[last].text),
                       &message),
        STATUS_OK);
    assert_true(message.is_event);
    assert_true(slice_equals_text(message.topic, "events/pg-example"));
    assert_true(slice_equals_text(message.properties[0].value, "superseded"));
    store_batch_begin(&f->batch);
    struct watch *watch = only_watch(f);
    assert_string_equal(watch->token, "t-2");
    watch_free(watch);
}

/* The receivers know its Seq. */
static void test_a_watch_of_the_same_token_goes_on(void **state)
{
    struct fixture *f = *state;
    struct watch_step step = {.state = {.seq = 4, .view.progress_percent = -1}};
    begin_watch(f, "t-1");
    commit(f);
    struct watch *watch = only_watch(f);
    store_batch_watch(&f->batch, watch, &step, "event");
    commit(f);
    watch_free(watch);
    struct ledger_request *request = begin_watch(f, "t-1");
    request->finish.watch = (struct watch_start){.started_at_ms = 7000, .ends_at_ms = 9500};
    run(f);
    assert_int_equal(request->message_count, 1); /* the reply, and no event */
    store_batch_begin(&f->batch);
    watch = only_watch(f);
    assert_int_equal(watch->state.seq, 4);
    assert_int_equal(watch->started_at_ms, 5000);
    assert_int_equal(watch->ends_at_ms, 9500);
    watch_free(watch);
}

static void test_no_more_is_watched_than_the_limit_allows(void **state)
{
    struct fixture *f = *state;
    f->batch.limits.watches_max = 0;
    struct ledger_request *request = begin_watch(f, "t-1");
    run(f);
    assert_true(request->finish.is_watch_refused);
    store_batch_begin(&f->batch);
    assert_null(only_watch(f));
}

static void test_a_second_owner_is_refused_with_a_reason(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct buf why = {0};
    assert_int_equal(f->ops->open(STORE_AT(f->location), false, &second, &why), STATUS_BUSY);
    assert_null(second);
    assert_non_null(strstr(why.data, "in use"));
    buf_fini(&why);
    claim(f, "t-1", STATE_READY);
    commit(f);
    open_again(f);
    assert_true(has(f, "t-1"));
}

static void test_closing_nothing_is_allowed(void **state)
{
    struct fixture *f = *state;
    f->ops->close(NULL);
}

#define SUITE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int store_suite_run(const struct store_suite *suite)
{
    const struct CMUnitTest store_tests[] = {
        SUITE_TEST(test_a_new_store_is_empty),
        SUITE_TEST(test_a_command_comes_back_as_it_was_stored),
        SUITE_TEST(test_a_claim_that_is_called_at_once_is_stored_with_its_attempt),
        SUITE_TEST(test_a_token_has_one_row),
        SUITE_TEST(test_tokens_that_differ_in_case_are_different),
        SUITE_TEST(test_a_batch_that_fails_stores_nothing),
        SUITE_TEST(test_a_batch_that_failed_can_be_carried_out_again),
        SUITE_TEST(test_a_state_is_stored_with_attempts_and_time),
        SUITE_TEST(test_the_end_of_an_attempt_and_the_outcome_are_stored_by_one_batch),
        SUITE_TEST(test_an_outcome_is_stored_whole),
        SUITE_TEST(test_what_was_observed_of_an_unknown_outcome_is_stored),
        SUITE_TEST(test_a_success_has_no_error),
        SUITE_TEST(test_unfinished_commands_are_listed_in_order_of_arrival),
        SUITE_TEST(test_a_token_that_starts_again_comes_after_earlier_ones),
        SUITE_TEST(test_only_finished_commands_expire_and_the_oldest_first),
        SUITE_TEST(test_calls_become_unsure_at_the_next_start_and_are_resumed),
        SUITE_TEST(test_a_command_with_duplicates_is_resumed_once),
        SUITE_TEST(test_a_command_is_resumed_with_all_its_values),
        SUITE_TEST(test_calls_of_a_run_that_crashed_count_one_crash_more),
        SUITE_TEST(test_calls_of_a_run_that_was_closed_count_no_crash),
        SUITE_TEST(test_all_senders_are_answered_in_order_and_deleted),
        SUITE_TEST(test_senders_are_counted_per_command_and_duplicates_in_total),
        SUITE_TEST(test_messages_are_read_in_order_from_an_id_on),
        SUITE_TEST(test_a_read_sees_what_was_posted_before_it_in_the_same_batch),
        SUITE_TEST(test_a_message_may_have_any_bytes),
        SUITE_TEST(test_a_message_is_removed_once),
        SUITE_TEST(test_a_message_is_replaced_by_its_dead_letter_or_by_nothing),
        SUITE_TEST(test_the_last_message_id_is_known_after_a_restart),
        SUITE_TEST(test_audit_records_are_numbered_without_a_gap_and_read_in_order),
        SUITE_TEST(test_exported_records_are_removed_and_their_tip_is_stored),
        SUITE_TEST(test_a_meta_value_is_the_last_one_written),
        SUITE_TEST(test_a_watch_begins_with_the_outcome_and_comes_back_as_it_was_stored),
        SUITE_TEST(test_a_step_of_a_watch_is_stored_with_its_messages_once),
        SUITE_TEST(test_a_later_command_ends_the_watch_of_its_group),
        SUITE_TEST(test_a_watch_of_the_same_token_goes_on),
        SUITE_TEST(test_no_more_is_watched_than_the_limit_allows),
        SUITE_TEST(test_a_second_owner_is_refused_with_a_reason),
        SUITE_TEST(test_closing_nothing_is_allowed),
    };
    running = suite;
    return cmocka_run_group_tests_name("store", store_tests, NULL, NULL);
}
