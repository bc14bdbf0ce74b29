/*
 * Presence between a port and an admin endpoint that write down what they are told, with timers the
 * test moves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/message.h"
#include "outbox/status_topic.h"
#include "support/fakes/fake_timers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STARTING_MS   5000
#define TELL_AGAIN_MS 5000
#define SET_ASIDE_MS  60000
#define LOST_AT_MS    INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static struct {
    struct settings settings;
    struct counters counters;
    struct status_topic *status_topic;
    size_t published_count;
    struct message message; /* the last, points into `bytes` */
    struct buf bytes;
    struct json *body;
    bool is_ready;
    int told_count;
} fixture;

/* ---- the port and the endpoint of this test ---- */

static void read_message(struct slice message)
{
    struct json_fault fault;
    json_free(fixture.body);
    buf_clear(&fixture.bytes);
    buf_append(&fixture.bytes, message);
    assert_int_equal(message_decode(buf_slice(&fixture.bytes), &fixture.message), STATUS_OK);
    fixture.body = json_parse(fixture.message.body, 4, &fault);
    assert_non_null(fixture.body);
}

void workers_publish(struct workers *port, int64_t id, struct slice message)
{
    (void)port;
    assert_int_equal(id, STATUS_TOPIC_MESSAGE_ID);
    read_message(message);
    fixture.published_count++;
}

void admin_set_ready(struct admin *admin, bool is_ready)
{
    (void)admin;
    fixture.is_ready = is_ready;
}

/* ---- verbs ---- */

static void come_online(void)
{
    status_topic_publisher_changed(fixture.status_topic, true);
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    status_topic_published(fixture.status_topic);
    assert_int_equal(fixture.published_count, 1);
}

static void told(void *arg)
{
    assert_ptr_equal(arg, &fixture);
    fixture.told_count++;
}

static void assert_field(const char *name, const char *text)
{
    struct slice value = json_text(json_member(fixture.body, name));
    char *copy = mem_dup(value.data == NULL ? "" : value.data, value.length);
    assert_string_equal(copy, text);
    free(copy);
}

static void assert_told(size_t count, const char *state)
{
    assert_int_equal(fixture.published_count, count);
    assert_field("State", state);
}

/* The reasons told last, with a blank between them. */
static void assert_reasons(const char *text)
{
    struct buf reasons = {0};
    const struct json *list = json_member(fixture.body, "Reasons");
    assert_non_null(list);
    for (const struct json *reason = json_first(list); reason != NULL; reason = json_next(reason)) {
        buf_append_text(&reasons, reasons.length > 0 ? " " : "");
        buf_append(&reasons, json_text(reason));
    }
    assert_string_equal(reasons.data == NULL ? "" : reasons.data, text);
    buf_fini(&reasons);
}

static int set_up(void **state)
{
    /* Only handed through. */
    static char admin;
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.settings.instance = "i-1";
    fixture.settings.topics.status = "status/{Instance}";
    fixture.status_topic = status_topic_new(NULL, &fixture.settings, &fixture.counters);
    status_topic_connect(fixture.status_topic, NULL, (struct admin *)(void *)&admin);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    status_topic_free(fixture.status_topic);
    assert_int_equal(fake_timers_count(), 0);
    json_free(fixture.body);
    buf_fini(&fixture.bytes);
    return 0;
}

/* ---- tests ---- */

static void test_it_is_online_when_all_receivers_and_the_publisher_stand(void **state)
{
    (void)state;
    status_topic_receivers_changed(fixture.status_topic, 1, 2);
    status_topic_publisher_changed(fixture.status_topic, true);
    assert_int_equal(fixture.published_count, 0);
    assert_false(fixture.is_ready);
    status_topic_receivers_changed(fixture.status_topic, 2, 2);
    assert_told(1, "online");
    assert_true(fixture.is_ready);
    assert_null(json_member(fixture.body, "Reasons"));
    assert_field("Instance", "i-1");
    assert_non_null(json_member(fixture.body, "At"));
}

static void test_it_is_not_ready_without_a_publisher(void **state)
{
    (void)state;
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    assert_false(fixture.is_ready);
    assert_int_equal(fixture.published_count, 0);
    status_topic_publisher_changed(fixture.status_topic, true);
    assert_told(1, "online");
    assert_true(fixture.is_ready);
}

static void test_the_state_is_a_retained_message_that_does_not_expire(void **state)
{
    (void)state;
    come_online();
    assert_true(fixture.message.is_retained);
    assert_true(fixture.message.is_json);
    assert_int_equal(fixture.message.qos, 1);
    assert_int_equal(fixture.message.expiry_s, -1);
    assert_true(slice_equals_text(fixture.message.topic, "status/i-1"));
}

static void test_receivers_may_take_a_moment_at_start(void **state)
{
    (void)state;
    status_topic_publisher_changed(fixture.status_topic, true);
    fake_timers_advance(STARTING_MS - 1);
    assert_int_equal(fixture.published_count, 0);
    fake_timers_advance(1);
    assert_told(1, "degraded");
    assert_reasons("not_subscribed");
    status_topic_published(fixture.status_topic);
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    assert_told(2, "online");
}

static void test_the_end_of_the_start_is_not_told_to_one_that_is_online(void **state)
{
    (void)state;
    come_online();
    fake_timers_advance(STARTING_MS);
    assert_int_equal(fixture.published_count, 1);
}

static void test_every_reason_is_told_and_ends(void **state)
{
    (void)state;
    static const char *const WORDS[HEALTH_REASON_COUNT] = {
        "not_subscribed",  "session_lost",      "credentials_refused", "store_unavailable",
        "api_unreachable", "command_set_aside", "reload_failed"};
    come_online();
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        status_topic_set(fixture.status_topic, (enum health_reason)i, true);
        assert_told((size_t)(2 * i + 2), "degraded");
        assert_reasons(WORDS[i]);
        status_topic_published(fixture.status_topic);
        status_topic_set(fixture.status_topic, (enum health_reason)i, false);
        assert_told((size_t)(2 * i + 3), "online");
        status_topic_published(fixture.status_topic);
    }
}

static void test_reasons_add_up(void **state)
{
    (void)state;
    come_online();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    status_topic_published(fixture.status_topic);
    status_topic_receivers_changed(fixture.status_topic, 0, 1);
    assert_told(3, "degraded");
    assert_reasons("not_subscribed api_unreachable");
    status_topic_published(fixture.status_topic);
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    assert_told(4, "degraded");
    assert_reasons("api_unreachable");
}

static void test_a_reason_that_stands_already_is_not_told_again(void **state)
{
    (void)state;
    come_online();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, false);
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    assert_int_equal(fixture.published_count, 1);
}

static void test_only_what_keeps_commands_away_makes_it_not_ready(void **state)
{
    (void)state;
    come_online();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    status_topic_set(fixture.status_topic, HEALTH_CREDENTIALS_REFUSED, true);
    assert_true(fixture.is_ready);
    status_topic_set(fixture.status_topic, HEALTH_STORE_UNAVAILABLE, true);
    assert_false(fixture.is_ready);
    status_topic_set(fixture.status_topic, HEALTH_STORE_UNAVAILABLE, false);
    assert_true(fixture.is_ready);
    status_topic_receivers_changed(fixture.status_topic, 0, 1);
    assert_false(fixture.is_ready);
}

static void test_changes_while_telling_are_told_as_the_last_state(void **state)
{
    (void)state;
    come_online();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    status_topic_set(fixture.status_topic, HEALTH_STORE_UNAVAILABLE, true);
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, false);
    assert_told(2, "degraded");
    assert_reasons("api_unreachable");
    status_topic_published(fixture.status_topic);
    assert_told(3, "degraded");
    assert_reasons("store_unavailable");
    status_topic_published(fixture.status_topic);
    assert_int_equal(fixture.published_count, 3);
}

static void test_a_new_publisher_begins_with_the_present_state(void **state)
{
    (void)state;
    come_online();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    status_topic_publisher_changed(fixture.status_topic, false);
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, false);
    assert_int_equal(fixture.published_count, 2);
    assert_false(fixture.is_ready);
    status_topic_publisher_changed(fixture.status_topic, true);
    assert_told(3, "online");
    assert_true(fixture.is_ready);
}

static void test_a_state_the_broker_did_not_take_for_now_is_told_again(void **state)
{
    (void)state;
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    status_topic_publisher_changed(fixture.status_topic, true);
    status_topic_unpublished(fixture.status_topic, false, slice_text("quota exceeded"));
    fake_timers_advance(TELL_AGAIN_MS - 1);
    assert_int_equal(fixture.published_count, 1);
    fake_timers_advance(1);
    assert_told(2, "online");
    status_topic_published(fixture.status_topic);
    fake_timers_advance(TELL_AGAIN_MS);
    assert_int_equal(fixture.published_count, 2);
}

static void test_a_newer_state_takes_the_place_of_one_to_tell_again(void **state)
{
    (void)state;
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    status_topic_publisher_changed(fixture.status_topic, true);
    status_topic_unpublished(fixture.status_topic, false, slice_text("quota exceeded"));
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    status_topic_set(fixture.status_topic, HEALTH_STORE_UNAVAILABLE, true);
    assert_told(2, "degraded");
    status_topic_unpublished(fixture.status_topic, false, slice_text("quota exceeded"));
    assert_told(3, "degraded");
    fake_timers_advance(TELL_AGAIN_MS);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(TELL_AGAIN_MS);
    assert_int_equal(fixture.published_count, 3);
}

static void test_a_state_the_broker_never_takes_is_not_told_again(void **state)
{
    (void)state;
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    status_topic_publisher_changed(fixture.status_topic, true);
    status_topic_unpublished(fixture.status_topic, true, slice_text("not authorised"));
    fake_timers_advance(TELL_AGAIN_MS);
    assert_int_equal(fixture.published_count, 1);
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    assert_told(2, "degraded");
}

static void test_a_lost_session_is_shown_until_somebody_has_seen_it(void **state)
{
    (void)state;
    come_online();
    status_topic_session_lost(fixture.status_topic, "client-1", LOST_AT_MS);
    assert_told(2, "degraded");
    assert_reasons("session_lost");
    assert_field("SessionLostAt", "2026-01-02T03:04:05.123Z");
    status_topic_published(fixture.status_topic);
    fake_timers_advance(INT64_C(7) * 86400000);
    assert_int_equal(fixture.published_count, 2);
    status_topic_session_seen(fixture.status_topic);
    assert_told(3, "online");
    assert_null(json_member(fixture.body, "SessionLostAt"));
}

static void test_of_several_lost_sessions_the_first_time_is_told(void **state)
{
    (void)state;
    come_online();
    status_topic_session_lost(fixture.status_topic, "client-1", LOST_AT_MS);
    status_topic_published(fixture.status_topic);
    status_topic_session_lost(fixture.status_topic, "client-2", LOST_AT_MS + 60000);
    assert_int_equal(fixture.published_count, 2);
    assert_true(status_topic_session_lost_at_ms(fixture.status_topic) == LOST_AT_MS);
}

static void test_a_session_that_was_lost_before_the_restart_is_shown_again(void **state)
{
    (void)state;
    status_topic_recall_session_lost(fixture.status_topic, LOST_AT_MS);
    status_topic_publisher_changed(fixture.status_topic, true);
    status_topic_receivers_changed(fixture.status_topic, 1, 1);
    assert_told(1, "degraded");
    assert_reasons("session_lost");
    assert_field("SessionLostAt", "2026-01-02T03:04:05.123Z");
    status_topic_published(fixture.status_topic);
    status_topic_session_seen(fixture.status_topic);
    assert_told(2, "online");
}

/* ---- counts ---- */

static void assert_count(const char *name, int64_t expected)
{
    const struct json *count = json_member(json_member(fixture.body, "Counts"), name);
    assert_non_null(count);
    assert_int_equal((int64_t)json_number(count), expected);
}

/* As a command that arrives does. */
static void receive(void)
{
    counter_add(&fixture.counters, COUNTER_RECEIVED, 1);
    status_topic_counts_changed(fixture.status_topic);
}

static void test_the_state_comes_with_the_counts(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        counter_set(&fixture.counters, (enum counter)i, 100 + i);
    }
    come_online();
    assert_count("Received", 100 + COUNTER_RECEIVED);
    assert_count("Resumed", 100 + COUNTER_RESUMED);
    assert_count("Succeeded", 100 + COUNTER_SUCCEEDED);
    assert_count("Failed", 100 + COUNTER_FAILED);
    assert_count("Unknown", 100 + COUNTER_UNKNOWN);
    assert_count("Refused", 100 + COUNTER_REFUSED);
    assert_count("Replayed", 100 + COUNTER_REPLAYED);
    assert_count("Waiting", 100 + COUNTER_WAITING);
    assert_count("InWork", 100 + COUNTER_IN_WORK);
    assert_count("NotTaken", 100 + COUNTER_NOT_TAKEN);
    assert_count("BeingTaken", 100 + COUNTER_TAKING);
    assert_count("Outbox", 100 + COUNTER_OUTBOX_DEPTH);
}

static void test_changed_counts_are_told_together_after_a_while(void **state)
{
    (void)state;
    come_online();
    for (int i = 0; i < 1000; i++) {
        receive();
    }
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS - 1);
    assert_int_equal(fixture.published_count, 1);
    fake_timers_advance(1);
    assert_told(2, "online");
    assert_count("Received", 1000);
}

static void test_a_quiet_bridge_tells_nothing_and_keeps_no_timer(void **state)
{
    (void)state;
    come_online();
    fake_timers_advance(100 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 1);
    receive();
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(100 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 2);
    status_topic_counts_changed(fixture.status_topic);
    fake_timers_advance(100 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 2);
}

/* What nobody announces, such as a command that was not taken in the end, is told too. */
static void test_counts_are_looked_at_until_they_rest(void **state)
{
    (void)state;
    come_online();
    receive();
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS);
    status_topic_published(fixture.status_topic);
    counter_add(&fixture.counters, COUNTER_NOT_TAKEN, 1);
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS);
    assert_told(3, "online");
    assert_count("NotTaken", 1);
}

static void test_counts_a_change_of_state_has_told_are_not_told_again(void **state)
{
    (void)state;
    come_online();
    receive();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    assert_told(2, "degraded");
    assert_count("Received", 1);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(10 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 2);
}

static void test_the_last_counts_are_told_with_the_stop(void **state)
{
    (void)state;
    come_online();
    receive();
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    assert_told(2, "offline");
    assert_count("Received", 1);
    fake_timers_advance(10 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 2);
}

static void test_a_command_set_aside_is_shown_for_a_while(void **state)
{
    (void)state;
    come_online();
    status_topic_set_aside(fixture.status_topic);
    assert_told(2, "degraded");
    assert_reasons("command_set_aside");
    status_topic_published(fixture.status_topic);
    fake_timers_advance(SET_ASIDE_MS - 1);
    assert_int_equal(fixture.published_count, 2);
    fake_timers_advance(1);
    assert_told(3, "online");
}

/* ---- the end ---- */

static void test_a_stop_is_told_and_reported_when_the_broker_has_it(void **state)
{
    (void)state;
    come_online();
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    assert_told(2, "offline");
    assert_field("Reason", "stopped");
    assert_false(fixture.is_ready);
    fake_timers_advance(1000);
    assert_int_equal(fixture.told_count, 0);
    status_topic_published(fixture.status_topic);
    assert_int_equal(fixture.told_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.told_count, 1);
}

static void test_a_stop_while_telling_is_told_after_that(void **state)
{
    (void)state;
    come_online();
    status_topic_set(fixture.status_topic, HEALTH_API_UNREACHABLE, true);
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    assert_told(2, "degraded");
    status_topic_published(fixture.status_topic);
    assert_told(3, "offline");
    fake_timers_advance(0);
    assert_int_equal(fixture.told_count, 0);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(0);
    assert_int_equal(fixture.told_count, 1);
}

static void test_a_stop_before_the_start_was_over_is_told_too(void **state)
{
    (void)state;
    status_topic_publisher_changed(fixture.status_topic, true);
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    assert_told(1, "offline");
}

static void test_a_stop_without_publisher_waits_for_nobody(void **state)
{
    (void)state;
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    assert_int_equal(fixture.told_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.told_count, 1);
    assert_int_equal(fixture.published_count, 0);
}

static void test_a_publisher_that_goes_ends_the_wait_of_a_stop(void **state)
{
    (void)state;
    come_online();
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    status_topic_publisher_changed(fixture.status_topic, false);
    fake_timers_advance(0);
    assert_int_equal(fixture.told_count, 1);
}

static void test_a_stop_the_broker_did_not_take_waits_no_longer(void **state)
{
    (void)state;
    come_online();
    status_topic_stop(fixture.status_topic, "stopped", told, &fixture);
    status_topic_unpublished(fixture.status_topic, false, slice_text("quota exceeded"));
    fake_timers_advance(0);
    assert_int_equal(fixture.told_count, 1);
    fake_timers_advance(TELL_AGAIN_MS);
    assert_int_equal(fixture.published_count, 2);
}

static void test_the_last_will_says_offline_and_claims_no_time(void **state)
{
    (void)state;
    struct buf will = {0};
    assert_int_equal(status_topic_will(&fixture.settings, &will), STATUS_OK);
    read_message(buf_slice(&will));
    buf_fini(&will);
    assert_field("State", "offline");
    assert_field("Reason", "connection_lost");
    assert_null(json_member(fixture.body, "At"));
    assert_null(json_member(fixture.body, "Counts"));
    assert_true(fixture.message.is_retained);
    assert_true(slice_equals_text(fixture.message.topic, "status/i-1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_it_is_online_when_all_receivers_and_the_publisher_stand),
        TEST(test_it_is_not_ready_without_a_publisher),
        TEST(test_the_state_is_a_retained_message_that_does_not_expire),
        TEST(test_receivers_may_take_a_moment_at_start),
        TEST(test_the_end_of_the_start_is_not_told_to_one_that_is_online),
        TEST(test_every_reason_is_told_and_ends),
        TEST(test_reasons_add_up),
        TEST(test_a_reason_that_stands_already_is_not_told_again),
        TEST(test_only_what_keeps_commands_away_makes_it_not_ready),
        TEST(test_changes_while_telling_are_told_as_the_last_state),
        TEST(test_a_new_publisher_begins_with_the_present_state),
        TEST(test_a_state_the_broker_did_not_take_for_now_is_told_again),
        TEST(test_a_newer_state_takes_the_place_of_one_to_tell_again),
        TEST(test_a_state_the_broker_never_takes_is_not_told_again),
        TEST(test_a_lost_session_is_shown_until_somebody_has_seen_it),
        TEST(test_of_several_lost_sessions_the_first_time_is_told),
        TEST(test_a_session_that_was_lost_before_the_restart_is_shown_again),
        TEST(test_the_state_comes_with_the_counts),
        TEST(test_changed_counts_are_told_together_after_a_while),
        TEST(test_a_quiet_bridge_tells_nothing_and_keeps_no_timer),
        TEST(test_counts_are_looked_at_until_they_rest),
        TEST(test_counts_a_change_of_state_has_told_are_not_told_again),
        TEST(test_the_last_counts_are_told_with_the_stop),
        TEST(test_a_command_set_aside_is_shown_for_a_while),
        TEST(test_a_stop_is_told_and_reported_when_the_broker_has_it),
        TEST(test_a_stop_while_telling_is_told_after_that),
        TEST(test_a_stop_before_the_start_was_over_is_told_too),
        TEST(test_a_stop_without_publisher_waits_for_nobody),
        TEST(test_a_publisher_that_goes_ends_the_wait_of_a_stop),
        TEST(test_a_stop_the_broker_did_not_take_waits_no_longer),
        TEST(test_the_last_will_says_offline_and_claims_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
