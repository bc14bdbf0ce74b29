#include "store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX 16

/* One test: an open store in a place of its own. */
struct fixture {
    const struct store_suite *suite;
    const struct store_ops *ops;
    char *location;
    struct store *store;
};

static const struct store_suite *running;

static void open_again(struct fixture *f)
{
    struct buf why = {0};
    f->ops->close(f->store);
    f->store = NULL;
    assert_int_equal(f->ops->open(f->location, false, &f->store, &why), STATUS_OK);
    assert_int_equal(why.length, 0);
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
    f->ops->close(f->store);
    f->suite->location_free(f->location);
    free(f);
    return 0;
}

static void begin(struct fixture *f)
{
    assert_int_equal(f->ops->begin(f->store), STATUS_OK);
}

static void commit(struct fixture *f)
{
    assert_int_equal(f->ops->commit(f->store), STATUS_OK);
}

static struct command *make_command(const char *token)
{
    static struct route route = {.name = (char *)"start"};
    struct command *command =
        command_of_record(&route, slice_text("StartDiskReplicaGroup"), slice_text("cn-beijing"),
                          slice_text("pg-example"), slice_text(token), true);
    command->received_at_ms = 1767322800123;
    command->deadline_at_ms = 1767323100123;
    command->attempts = 7;
    command->not_before_ms = 1767322900000;
    return command;
}

/* Inserts a command with its reply_to; the id. */
static int64_t insert(struct fixture *f, const char *token, enum state state)
{
    const struct reply_to reply_to = {.topic = (char *)"replies/a"};
    struct command *command = make_command(token);
    int64_t id = 0;
    assert_int_equal(f->ops->insert(f->store, command, state, &id), STATUS_OK);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 0, &reply_to), STATUS_OK);
    command_free(command);
    return id;
}

static void ignore_reply_to(void *arg, const struct reply_to *reply_to)
{
    (void)arg;
    (void)reply_to;
}

static void finish(struct fixture *f, int64_t id, int64_t expires_at_ms)
{
    const struct store_outcome outcome = {.status = OUTCOME_SUCCEEDED,
                                          .retention = RETENTION_SUCCESS,
                                          .request_id = slice_text("C123F94F"),
                                          .completed_at_ms = 1767322800456,
                                          .expires_at_ms = expires_at_ms};
    assert_int_equal(f->ops->take_reply_tos(f->store, id, ignore_reply_to, NULL), STATUS_OK);
    assert_int_equal(f->ops->finish(f->store, id, 2, &outcome), STATUS_OK);
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
    assert_int_equal(f->ops->each_unfinished(f->store, list_row, &listed), STATUS_OK);
    return listed;
}

/* ---- commands ---- */

static void test_a_new_store_is_empty(void **state)
{
    struct fixture *f = *state;
    int64_t waiting = -1;
    int64_t messages = -1;
    assert_false(has(f, "t"));
    assert_int_equal(unfinished(f).count, 0);
    assert_int_equal(f->ops->count(f->store, &waiting, &messages), STATUS_OK);
    assert_int_equal(waiting, 0);
    assert_int_equal(messages, 0);
}

static void test_a_command_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t id = insert(f, "t-1", STATE_READY);
    commit(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    struct command *command = make_command("t-1");
    assert_int_equal(row.id, id);
    assert_int_equal(row.state, STATE_READY);
    assert_true(slice_equals_text(row.token, "t-1"));
    assert_true(slice_equals_text(row.action, "StartDiskReplicaGroup"));
    assert_true(slice_equals_text(row.region, "cn-beijing"));
    assert_true(slice_equals_text(row.group, "pg-example"));
    assert_true(slice_equals_text(row.route, "start"));
    assert_true(row.one_shot);
    assert_int_equal(row.fingerprint.length, sizeof command->fingerprint);
    assert_memory_equal(row.fingerprint.data, command->fingerprint, sizeof command->fingerprint);
    assert_int_equal(row.received_at_ms, command->received_at_ms);
    assert_int_equal(row.deadline_at_ms, command->deadline_at_ms);
    assert_int_equal(row.attempts, command->attempts);
    assert_int_equal(row.not_before_ms, command->not_before_ms);
    assert_false(slice_is_present(row.request_id));
    assert_false(slice_is_present(row.code));
    assert_false(slice_is_present(row.error));
    command_free(command);
}

static void test_a_token_has_one_row(void **state)
{
    struct fixture *f = *state;
    struct command *again = make_command("t-1");
    int64_t id = 0;
    begin(f);
    int64_t first = insert(f, "t-1", STATE_CALLING);
    assert_int_equal(f->ops->insert(f->store, again, STATE_READY, &id), STATUS_BUSY);
    commit(f);
    assert_int_equal(f->ops->insert(f->store, again, STATE_READY, &id), STATUS_BUSY);
    assert_int_equal(id, 0);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.id, first);
    assert_int_equal(row.state, STATE_CALLING);
    command_free(again);
}

static void test_tokens_that_differ_in_case_are_two(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t lower = insert(f, "token", STATE_READY);
    int64_t upper = insert(f, "TOKEN", STATE_READY);
    commit(f);
    assert_int_equal(find(f, "token").id, lower);
    assert_int_equal(find(f, "TOKEN").id, upper);
    assert_false(has(f, "Token"));
}

static void test_what_was_rolled_back_is_gone(void **state)
{
    struct fixture *f = *state;
    int64_t message_id = 0;
    begin(f);
    insert(f, "t-1", STATE_READY);
    assert_int_equal(f->ops->post(f->store, slice_text("m"), &message_id), STATUS_OK);
    f->ops->rollback(f->store);
    int64_t waiting = -1;
    int64_t messages = -1;
    assert_int_equal(f->ops->count(f->store, &waiting, &messages), STATUS_OK);
    assert_false(has(f, "t-1"));
    assert_int_equal(messages, 0);
    begin(f);
    insert(f, "t-1", STATE_READY);
    commit(f);
    assert_true(has(f, "t-1"));
}

static void test_a_rollback_outside_a_transaction_does_nothing(void **state)
{
    struct fixture *f = *state;
    f->ops->rollback(f->store);
    begin(f);
    insert(f, "t-1", STATE_READY);
    commit(f);
    f->ops->rollback(f->store);
    assert_true(has(f, "t-1"));
}

static void test_a_state_is_stored_with_attempts_and_time(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t id = insert(f, "t-1", STATE_CALLING);
    assert_int_equal(f->ops->set_state(f->store, id, STATE_UNSURE, 3, 99,
                                       &(struct blame_charges){.ends = 2, .alone = 1}),
                     STATUS_OK);
    commit(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_UNSURE);
    assert_int_equal(row.attempts, 3);
    assert_int_equal(row.not_before_ms, 99);
    assert_int_equal(row.charges.ends, 2);
    assert_int_equal(row.charges.alone, 1);
}

static void test_an_outcome_is_stored_whole(void **state)
{
    struct fixture *f = *state;
    const struct store_outcome outcome = {.status = OUTCOME_FAILED,
                                          .retention = RETENTION_COOLDOWN,
                                          .request_id = slice_text("473469C7"),
                                          .code = slice_text("OperationDenied.ManualSyncLimit"),
                                          .error = slice_text("{\"Code\":\"x\"}"),
                                          .completed_at_ms = 11,
                                          .expires_at_ms = 22};
    begin(f);
    int64_t id = insert(f, "t-1", STATE_CALLING);
    assert_int_equal(f->ops->take_reply_tos(f->store, id, ignore_reply_to, NULL), STATUS_OK);
    assert_int_equal(f->ops->finish(f->store, id, 4, &outcome), STATUS_OK);
    commit(f);
    open_again(f);
    struct store_row row = find(f, "t-1");
    assert_int_equal(row.state, STATE_DONE);
    assert_int_equal(row.attempts, 4);
    assert_int_equal(row.status, OUTCOME_FAILED);
    assert_int_equal(row.retention, RETENTION_COOLDOWN);
    assert_true(slice_equals(row.request_id, outcome.request_id));
    assert_true(slice_equals(row.code, outcome.code));
    assert_true(slice_equals(row.error, outcome.error));
    assert_int_equal(row.completed_at_ms, 11);
    assert_int_equal(row.expires_at_ms, 22);
}

static void test_unfinished_commands_are_listed_in_order_of_arrival(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t first = insert(f, "z", STATE_READY);
    int64_t done = insert(f, "m", STATE_CALLING);
    int64_t last = insert(f, "a", STATE_UNSURE);
    finish(f, done, 1000);
    commit(f);
    struct listed listed = unfinished(f);
    assert_true(first < done && done < last);
    assert_int_equal(listed.count, 2);
    assert_int_equal(listed.ids[0], first);
    assert_int_equal(listed.ids[1], last);
    assert_int_equal(listed.states[0], STATE_READY);
    assert_int_equal(listed.states[1], STATE_UNSURE);
}

static void test_a_command_that_waits_with_others_is_listed_once(void **state)
{
    struct fixture *f = *state;
    const struct reply_to reply_to = {.topic = (char *)"replies/b"};
    begin(f);
    int64_t id = insert(f, "t-1", STATE_READY);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 1, &reply_to), STATUS_OK);
    commit(f);
    assert_int_equal(unfinished(f).count, 1);
}

static void test_calls_become_unsure_when_reset(void **state)
{
    struct fixture *f = *state;
    begin(f);
    insert(f, "ready", STATE_READY);
    insert(f, "calling", STATE_CALLING);
    insert(f, "unsure", STATE_UNSURE);
    insert(f, "recalling", STATE_RECALLING);
    finish(f, insert(f, "done", STATE_CALLING), 1000);
    assert_int_equal(f->ops->reset_calls(f->store, false), STATUS_OK);
    commit(f);
    assert_int_equal(find(f, "ready").state, STATE_READY);
    assert_int_equal(find(f, "calling").state, STATE_UNSURE);
    assert_int_equal(find(f, "unsure").state, STATE_UNSURE);
    assert_int_equal(find(f, "recalling").state, STATE_UNSURE);
    assert_int_equal(find(f, "done").state, STATE_DONE);
}

static void test_calls_are_charged_with_an_end_when_reset(void **state)
{
    struct fixture *f = *state;
    begin(f);
    insert(f, "ready", STATE_READY);
    insert(f, "unsure", STATE_UNSURE);
    int64_t id = insert(f, "calling", STATE_CALLING);
    insert(f, "other", STATE_RECALLING);
    assert_int_equal(f->ops->reset_calls(f->store, true), STATUS_OK);
    assert_int_equal(find(f, "calling").charges.ends, 1);
    assert_int_equal(find(f, "calling").charges.alone, 0);
    const struct blame_charges charges = {.ends = 1};
    assert_int_equal(f->ops->set_state(f->store, id, STATE_RECALLING, 2, 0, &charges), STATUS_OK);
    assert_int_equal(f->ops->reset_calls(f->store, true), STATUS_OK);
    assert_int_equal(f->ops->reset_calls(f->store, true), STATUS_OK);
    commit(f);
    assert_int_equal(find(f, "ready").charges.ends, 0);
    assert_int_equal(find(f, "unsure").charges.ends, 0);
    assert_int_equal(find(f, "other").charges.ends, 1);
    assert_int_equal(find(f, "calling").charges.ends, 2);
    assert_int_equal(find(f, "calling").charges.alone, 1);
}

static void test_a_forgotten_token_is_free_again(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t old = insert(f, "t-1", STATE_CALLING);
    int64_t newer = insert(f, "t-2", STATE_READY);
    finish(f, old, 1000);
    assert_int_equal(f->ops->forget(f->store, old), STATUS_OK);
    assert_false(has(f, "t-1"));
    assert_true(insert(f, "t-1", STATE_READY) > newer);
    commit(f);
    assert_int_equal(find(f, "t-1").state, STATE_READY);
}

static void test_only_finished_commands_expire_and_the_longest_over_first(void **state)
{
    struct fixture *f = *state;
    size_t count = 99;
    begin(f);
    insert(f, "unfinished", STATE_READY);
    finish(f, insert(f, "later", STATE_READY), 300);
    finish(f, insert(f, "first", STATE_READY), 100);
    finish(f, insert(f, "second", STATE_READY), 200);
    finish(f, insert(f, "not yet", STATE_READY), 301);
    assert_int_equal(f->ops->expire(f->store, 300, 2, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_false(has(f, "first"));
    assert_false(has(f, "second"));
    assert_true(has(f, "later"));
    assert_int_equal(f->ops->expire(f->store, 300, 2, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_false(has(f, "later"));
    assert_true(has(f, "not yet"));
    assert_true(has(f, "unfinished"));
    assert_int_equal(f->ops->expire(f->store, 300, 2, &count), STATUS_OK);
    assert_int_equal(count, 0);
    commit(f);
}

/* ---- askers ---- */

struct taken {
    struct buf text;
};

static void put_text(struct buf *out, const char *text)
{
    buf_printf(out, "%s,", text == NULL ? "-" : text);
}

static void take(void *arg, const struct reply_to *reply_to)
{
    struct taken *taken = arg;
    put_text(&taken->text, reply_to->topic);
    put_text(&taken->text, reply_to->correlation_id);
    put_text(&taken->text, reply_to->traceparent);
    put_text(&taken->text, reply_to->tracestate);
    buf_printf(&taken->text, "%d,", reply_to->has_body_trace);
    if (reply_to->correlation_data == NULL) {
        buf_append_text(&taken->text, "-");
    }
    for (size_t i = 0; i < reply_to->correlation_data_bytes; i++) {
        buf_printf(&taken->text, "%02x", (unsigned char)reply_to->correlation_data[i]);
    }
    buf_append_text(&taken->text, ";");
}

static void test_askers_come_back_in_order_and_are_gone(void **state)
{
    struct fixture *f = *state;
    const struct reply_to full = {.topic = (char *)"a/b",
                                  .correlation_data = (char *)"\0\xff",
                                  .correlation_data_bytes = 2,
                                  .correlation_id = (char *)"c\xc3\xa9",
                                  .traceparent = (char *)"00-1",
                                  .tracestate = (char *)"x=y",
                                  .has_body_trace = true};
    const struct reply_to empty_data = {.topic = (char *)"c", .correlation_data = (char *)""};
    const struct reply_to bare = {.topic = NULL};
    struct taken taken = {.text = {0}};
    begin(f);
    int64_t id = insert(f, "t-1", STATE_READY);
    int64_t other = insert(f, "t-2", STATE_READY);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 1, &full), STATUS_OK);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 2, &empty_data), STATUS_OK);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 3, &bare), STATUS_OK);
    commit(f);
    open_again(f);
    begin(f);
    assert_int_equal(f->ops->take_reply_tos(f->store, id, take, &taken), STATUS_OK);
    assert_string_equal(taken.text.data, "replies/a,-,-,-,0,-;"
                                         "a/b,c\xc3\xa9,00-1,x=y,1,00ff;"
                                         "c,-,-,-,0,;"
                                         "-,-,-,-,0,-;");
    buf_clear(&taken.text);
    assert_int_equal(f->ops->take_reply_tos(f->store, id, take, &taken), STATUS_OK);
    assert_int_equal(taken.text.length, 0);
    assert_int_equal(f->ops->take_reply_tos(f->store, other, take, &taken), STATUS_OK);
    assert_string_equal(taken.text.data, "replies/a,-,-,-,0,-;");
    commit(f);
    buf_fini(&taken.text);
}

static void test_askers_are_counted_per_command_and_those_who_wait_in_all(void **state)
{
    struct fixture *f = *state;
    const struct reply_to reply_to = {.topic = (char *)"replies/b"};
    int64_t count = -1;
    int64_t messages = -1;
    begin(f);
    int64_t id = insert(f, "t-1", STATE_READY);
    insert(f, "t-2", STATE_READY);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 1, &reply_to), STATUS_OK);
    assert_int_equal(f->ops->add_reply_to(f->store, id, 2, &reply_to), STATUS_OK);
    assert_int_equal(f->ops->count_reply_tos(f->store, id, &count), STATUS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(f->ops->count_reply_tos(f->store, id + 100, &count), STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(f->ops->count(f->store, &count, &messages), STATUS_OK);
    assert_int_equal(count, 2);
    commit(f);
}

/* ---- the outbox ---- */

struct read {
    struct buf text;
};

static void read_message(void *arg, int64_t id, struct slice message)
{
    struct read *read = arg;
    (void)id;
    buf_append(&read->text, message);
    buf_append_char(&read->text, ';');
}

static int64_t post(struct fixture *f, const char *text)
{
    int64_t id = 0;
    assert_int_equal(f->ops->post(f->store, slice_text(text), &id), STATUS_OK);
    return id;
}

static void assert_outbox(struct fixture *f, int64_t from_id, size_t limit, size_t count,
                          const char *text)
{
    struct read read = {.text = {0}};
    size_t read_count = 99;
    assert_int_equal(
        f->ops->read_outbox(f->store, from_id, limit, read_message, &read, &read_count), STATUS_OK);
    assert_int_equal(read_count, count);
    assert_string_equal(read.text.data == NULL ? "" : read.text.data, text);
    buf_fini(&read.text);
}

static void test_messages_are_read_in_order_from_an_id_on(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t a = post(f, "a");
    int64_t b = post(f, "b");
    int64_t c = post(f, "c");
    commit(f);
    open_again(f);
    assert_true(a < b && b < c);
    assert_outbox(f, 0, 10, 3, "a;b;c;");
    assert_outbox(f, b, 10, 2, "b;c;");
    assert_outbox(f, 0, 2, 2, "a;b;");
    assert_outbox(f, c + 1, 10, 0, "");
}

static void test_a_message_is_any_bytes(void **state)
{
    struct fixture *f = *state;
    const char bytes[] = "\0\xff\0x";
    int64_t id = 0;
    struct read read = {.text = {0}};
    size_t count = 0;
    begin(f);
    assert_int_equal(f->ops->post(f->store, slice_of(bytes, 4), &id), STATUS_OK);
    commit(f);
    assert_int_equal(f->ops->read_outbox(f->store, id, 1, read_message, &read, &count), STATUS_OK);
    assert_int_equal(read.text.length, 5);
    assert_memory_equal(read.text.data, "\0\xff\0x;", 5);
    buf_fini(&read.text);
}

static void test_a_message_is_removed_once(void **state)
{
    struct fixture *f = *state;
    int64_t waiting = -1;
    int64_t messages = -1;
    begin(f);
    int64_t a = post(f, "a");
    post(f, "b");
    assert_int_equal(f->ops->unpost(f->store, a), STATUS_OK);
    assert_int_equal(f->ops->unpost(f->store, a), STATUS_NOT_FOUND);
    assert_int_equal(f->ops->count(f->store, &waiting, &messages), STATUS_OK);
    assert_int_equal(messages, 1);
    commit(f);
    assert_outbox(f, 0, 10, 1, "b;");
}

static void test_the_id_of_a_removed_message_is_not_given_again(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t a = post(f, "a");
    assert_int_equal(f->ops->unpost(f->store, a), STATUS_OK);
    commit(f);
    begin(f);
    assert_true(post(f, "b") > a);
    commit(f);
}

static void test_ids_go_on_behind_what_an_earlier_run_left(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int64_t a = post(f, "a");
    commit(f);
    open_again(f);
    begin(f);
    assert_true(post(f, "b") > a);
    commit(f);
    assert_outbox(f, 0, 10, 2, "a;b;");
}

/* ---- the rest ---- */

static void test_a_fact_is_its_last_value(void **state)
{
    struct fixture *f = *state;
    int64_t value = 0;
    assert_int_equal(f->ops->get_meta(f->store, "session:x", &value), STATUS_NOT_FOUND);
    begin(f);
    assert_int_equal(f->ops->set_meta(f->store, "session:x", 1), STATUS_OK);
    assert_int_equal(f->ops->set_meta(f->store, "session:x", INT64_MIN), STATUS_OK);
    assert_int_equal(f->ops->set_meta(f->store, "other", 2), STATUS_OK);
    commit(f);
    open_again(f);
    assert_int_equal(f->ops->get_meta(f->store, "session:x", &value), STATUS_OK);
    assert_true(value == INT64_MIN);
}

static void test_a_second_owner_is_refused_and_told_why(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct buf why = {0};
    assert_int_equal(f->ops->open(f->location, false, &second, &why), STATUS_BUSY);
    assert_null(second);
    assert_non_null(strstr(why.data, "in use"));
    buf_fini(&why);
    begin(f);
    insert(f, "t-1", STATE_READY);
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
        SUITE_TEST(test_a_token_has_one_row),
        SUITE_TEST(test_tokens_that_differ_in_case_are_two),
        SUITE_TEST(test_what_was_rolled_back_is_gone),
        SUITE_TEST(test_a_rollback_outside_a_transaction_does_nothing),
        SUITE_TEST(test_a_state_is_stored_with_attempts_and_time),
        SUITE_TEST(test_an_outcome_is_stored_whole),
        SUITE_TEST(test_unfinished_commands_are_listed_in_order_of_arrival),
        SUITE_TEST(test_a_command_that_waits_with_others_is_listed_once),
        SUITE_TEST(test_calls_become_unsure_when_reset),
        SUITE_TEST(test_calls_are_charged_with_an_end_when_reset),
        SUITE_TEST(test_a_forgotten_token_is_free_again),
        SUITE_TEST(test_only_finished_commands_expire_and_the_longest_over_first),
        SUITE_TEST(test_askers_come_back_in_order_and_are_gone),
        SUITE_TEST(test_askers_are_counted_per_command_and_those_who_wait_in_all),
        SUITE_TEST(test_messages_are_read_in_order_from_an_id_on),
        SUITE_TEST(test_a_message_is_any_bytes),
        SUITE_TEST(test_a_message_is_removed_once),
        SUITE_TEST(test_the_id_of_a_removed_message_is_not_given_again),
        SUITE_TEST(test_ids_go_on_behind_what_an_earlier_run_left),
        SUITE_TEST(test_a_fact_is_its_last_value),
        SUITE_TEST(test_a_second_owner_is_refused_and_told_why),
        SUITE_TEST(test_closing_nothing_is_allowed),
    };
    running = suite;
    return cmocka_run_group_tests_name("store", store_tests, NULL, NULL);
}
