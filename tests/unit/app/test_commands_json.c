/* What /api/commands and /api/commands/TOKEN answer. Dispatch, the ledger and the endpoint of the
 * test are here: the ledger answers when the test says so. */
#include "app/commands_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/action.h"

#define RECEIVED_AT_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static struct {
    struct counters counters;
    struct commands_json json;
    struct admin_hooks hooks;
    struct command command;
    enum dispatch_wait wait;
    const struct outcome *last;
    size_t asked_limit; /* of dispatch_each() */
    size_t asked_outcomes;
    char asked_token[80];
    ledger_records_fn *done;
    void *done_arg;
    unsigned http_status;
    struct buf body;
} fixture;

/* ---- in the place of the other parts ---- */

void dispatch_each(struct dispatch *dispatch, size_t limit, dispatch_each_fn *each, void *arg)
{
    (void)dispatch;
    fixture.asked_limit = limit;
    if (fixture.command.token != NULL) {
        each(arg, &fixture.command, fixture.wait, fixture.last);
    }
}

void ledger_query_outcomes(struct ledger *ledger, size_t limit, ledger_records_fn *done, void *arg)
{
    (void)ledger;
    fixture.asked_outcomes = limit;
    fixture.done = done;
    fixture.done_arg = arg;
}

void ledger_query_token(struct ledger *ledger, struct slice token, ledger_records_fn *done,
                        void *arg)
{
    (void)ledger;
    snprintf(fixture.asked_token, sizeof fixture.asked_token, "%.*s", (int)token.length,
             token.data);
    fixture.done = done;
    fixture.done_arg = arg;
}

void *admin_ask_arg(const struct admin_ask *ask)
{
    (void)ask;
    return &fixture.json;
}

void watcher_put_list(const struct watcher *watcher, size_t max, struct buf *out)
{
    (void)watcher;
    buf_printf(out, "{\"max\":%zu}", max);
}

const struct watch *watcher_find(const struct watcher *watcher, struct slice group,
                                 struct slice token)
{
    static const struct watch watch = {.started_at_ms = RECEIVED_AT_MS,
                                       .ends_at_ms = RECEIVED_AT_MS + 1000,
                                       .state = {.seq = 2,
                                                 .view.status = "syncing",
                                                 .changed_at_ms = RECEIVED_AT_MS,
                                                 .last_event = WATCH_STATUS,
                                                 .last_event_at_ms = RECEIVED_AT_MS}};
    (void)watcher;
    return slice_equals_text(group, "pg-watched") && slice_equals_text(token, "t-0") ? &watch
                                                                                     : NULL;
}

void admin_answer(struct admin_ask *ask, unsigned http_status, struct buf *json_take)
{
    (void)ask;
    buf_fini(&fixture.body);
    fixture.http_status = http_status;
    fixture.body = *json_take;
    *json_take = (struct buf){0};
}

/* ---- tests ---- */

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.json.counters = &fixture.counters;
    fixture.hooks = commands_json_hooks(&fixture.json);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_fini(&fixture.body);
    return 0;
}

static void put_command(enum dispatch_wait wait, const struct outcome *last)
{
    fixture.command = (struct command){.state = STATE_READY,
                                       .action = action_find(slice_text("StartDiskReplicaGroup")),
                                       .region = "cn-a",
                                       .group = "pg\"1",
                                       .token = "t-1",
                                       .received_at_ms = RECEIVED_AT_MS,
                                       .deadline_at_ms = RECEIVED_AT_MS + 300000,
                                       .not_before_ms = RECEIVED_AT_MS + 1000,
                                       .attempts = 2};
    fixture.wait = wait;
    fixture.last = last;
}

static void assert_has(const char *part)
{
    assert_non_null(fixture.body.data);
    if (strstr(fixture.body.data, part) == NULL) {
        fail_msg("%s is not in %s", part, fixture.body.data);
    }
}

static void test_commands_in_work_and_outcomes_are_listed(void **state)
{
    (void)state;
    struct outcome last = {.code = "Throttling", .message = "Slow down."};
    const struct ledger_record record = {.token = slice_text("t-0"),
                                         .route = slice_text("start"),
                                         .action = slice_text("StartDiskReplicaGroup"),
                                         .region = slice_text("cn-a"),
                                         .group = slice_text("pg-0"),
                                         .params = slice_text("{\"OneShot\":false}"),
                                         .state = STATE_DONE,
                                         .status = OUTCOME_SUCCEEDED,
                                         .completed_at_ms = RECEIVED_AT_MS};
    const struct ledger_record *records[] = {&record};
    put_command(DISPATCH_WAIT_RETRY, &last);
    counter_set(&fixture.counters, COUNTER_IN_WORK, 7);
    fixture.hooks.commands(fixture.hooks.arg, NULL);
    assert_int_equal(fixture.asked_outcomes, OUTCOMES_SHOWN_MAX);
    assert_null(fixture.body.data);
    fixture.done(fixture.done_arg, STATUS_OK, records, 1);
    assert_int_equal(fixture.http_status, 200);
    assert_int_equal(fixture.asked_limit, COMMANDS_SHOWN_MAX);
    assert_has("\"Pending\":7,\"InWork\":[{\"ClientToken\":\"t-1\",\"Route\":\"\","
               "\"Action\":\"StartDiskReplicaGroup\",\"RegionId\":\"cn-a\","
               "\"ReplicaGroupId\":\"pg\\\"1\",\"State\":\"ready\",\"Attempts\":2,"
               "\"ReceivedAt\":\"2026-01-02T03:04:05.123Z\",");
    assert_has("\"NotBefore\":\"2026-01-02T03:04:06.123Z\",\"Wait\":\"retry\",\"WaitMeaning\":\"");
    assert_has("\"LastCode\":\"Throttling\",\"LastMessage\":\"Slow down.\"}]");
    assert_has("\"Outcomes\":[{\"ClientToken\":\"t-0\",");
    assert_null(strstr(fixture.body.data, "History"));
}

static void test_only_a_command_that_is_tried_again_has_a_time(void **state)
{
    (void)state;
    put_command(DISPATCH_WAIT_CALLING, NULL);
    fixture.hooks.commands(fixture.hooks.arg, NULL);
    fixture.done(fixture.done_arg, STATUS_OK, NULL, 0);
    assert_has("\"Wait\":\"calling\"");
    assert_null(strstr(fixture.body.data, "NotBefore"));
    assert_null(strstr(fixture.body.data, "LastCode"));
    assert_has("\"Outcomes\":[]");
}

static void test_commands_in_work_are_listed_also_while_the_ledger_cannot_be_read(void **state)
{
    (void)state;
    put_command(DISPATCH_WAIT_RATE, NULL);
    fixture.hooks.commands(fixture.hooks.arg, NULL);
    fixture.done(fixture.done_arg, STATUS_STORE, NULL, 0);
    assert_int_equal(fixture.http_status, 200);
    assert_has("\"Wait\":\"rate\"");
    assert_null(strstr(fixture.body.data, "Outcomes"));
}

static void test_a_token_is_answered_with_its_record_and_history(void **state)
{
    (void)state;
    const struct ledger_event event = {
        .kind = LEDGER_EVENT_ARRIVED, .at_ms = RECEIVED_AT_MS, .result = "claimed"};
    const struct ledger_record record = {.token = slice_text("t-0"),
                                         .action = slice_text("StartDiskReplicaGroup"),
                                         .params = slice_text("{\"OneShot\":false}"),
                                         .state = STATE_READY,
                                         .events = &event,
                                         .event_count = 1};
    const struct ledger_record *records[] = {&record};
    fixture.hooks.command(fixture.hooks.arg, NULL, slice_text("t-0"));
    assert_string_equal(fixture.asked_token, "t-0");
    fixture.done(fixture.done_arg, STATUS_OK, records, 1);
    assert_int_equal(fixture.http_status, 200);
    assert_has("{\"ClientToken\":\"t-0\",");
    assert_has("\"History\":[{\"At\":\"2026-01-02T03:04:05.123Z\",\"Event\":\"arrived\","
               "\"Result\":\"claimed\"}]}\n");
}

static void test_a_token_is_answered_with_its_watch(void **state)
{
    (void)state;
    struct ledger_record record = {.token = slice_text("t-0"),
                                   .action = slice_text("StartDiskReplicaGroup"),
                                   .group = slice_text("pg-watched"),
                                   .params = slice_text("{\"OneShot\":false}"),
                                   .state = STATE_DONE};
    const struct ledger_record *records[] = {&record};
    fixture.hooks.command(fixture.hooks.arg, NULL, slice_text("t-0"));
    fixture.done(fixture.done_arg, STATUS_OK, records, 1);
    assert_has("\"Watch\":{\"Seq\":2,\"GroupStatus\":\"syncing\","
               "\"ChangedAt\":\"2026-01-02T03:04:05.123Z\",\"LastEvent\":\"status\","
               "\"LastEventAt\":\"2026-01-02T03:04:05.123Z\","
               "\"StartedAt\":\"2026-01-02T03:04:05.123Z\","
               "\"EndsAt\":\"2026-01-02T03:04:06.123Z\"},\"History\":[");
    record.group = slice_text("pg-other");
    fixture.hooks.command(fixture.hooks.arg, NULL, slice_text("t-0"));
    fixture.done(fixture.done_arg, STATUS_OK, records, 1);
    assert_null(strstr(fixture.body.data, "Watch"));
}

static void test_no_record_is_404_and_a_failing_ledger_503(void **state)
{
    (void)state;
    fixture.hooks.command(fixture.hooks.arg, NULL, slice_text("never"));
    fixture.done(fixture.done_arg, STATUS_OK, NULL, 0);
    assert_int_equal(fixture.http_status, 404);
    assert_string_equal(fixture.body.data,
                        "{\"Message\":\"the ledger has no record of this token\"}\n");
    fixture.hooks.command(fixture.hooks.arg, NULL, slice_text("never"));
    fixture.done(fixture.done_arg, STATUS_STORE, NULL, 0);
    assert_int_equal(fixture.http_status, 503);
}

static void test_watched_groups_are_listed(void **state)
{
    (void)state;
    fixture.hooks.watches(fixture.hooks.arg, NULL);
    assert_int_equal(fixture.http_status, 200);
    assert_string_equal(fixture.body.data, "{\"max\":100}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_commands_in_work_and_outcomes_are_listed),
        TEST(test_watched_groups_are_listed),
        TEST(test_only_a_command_that_is_tried_again_has_a_time),
        TEST(test_commands_in_work_are_listed_also_while_the_ledger_cannot_be_read),
        TEST(test_a_token_is_answered_with_its_record_and_history),
        TEST(test_a_token_is_answered_with_its_watch),
        TEST(test_no_record_is_404_and_a_failing_ledger_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
