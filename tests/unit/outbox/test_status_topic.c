/* The status topic with a fake publisher that keeps the last message, on timers that the test
 * moves. */
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

#define STARTING_MS 5000
#define RETRY_MS    5000

static struct {
    struct settings settings;
    struct counters counters;
    struct health *health;
    struct status_topic *status_topic;
    size_t published_count;
    struct message message; /* the last, points into `bytes` */
    struct buf bytes;
    struct json *body;
    int flushed_count;
} fixture;

/* ---- the fake publisher ---- */

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

void workers_publish(struct workers *port, int64_t id, int64_t valid_until_ms, struct slice message)
{
    assert_int_equal(valid_until_ms, 0);
    (void)port;
    assert_int_equal(id, STATUS_TOPIC_MESSAGE_ID);
    read_message(message);
    fixture.published_count++;
}

/* ---- verbs ---- */

static void set(enum health_reason reason, bool is_on)
{
    health_set(fixture.health, reason, is_on);
}

static void come_online(void)
{
    set(HEALTH_NO_PUBLISHER, false);
    set(HEALTH_NOT_SUBSCRIBED, false);
    status_topic_published(fixture.status_topic);
    assert_int_equal(fixture.published_count, 1);
}

static void flushed(void *arg)
{
    assert_ptr_equal(arg, &fixture);
    fixture.flushed_count++;
}

static void stop(void)
{
    health_stop(fixture.health, "stopped");
    status_topic_flush(fixture.status_topic, flushed, &fixture);
}

static void assert_field(const char *name, const char *text)
{
    struct slice value = json_text(json_member(fixture.body, name));
    char *copy = mem_dup(value.data == NULL ? "" : value.data, value.length);
    assert_string_equal(copy, text);
    free(copy);
}

static void assert_published(size_t count, const char *state)
{
    assert_int_equal(fixture.published_count, count);
    assert_field("State", state);
}

/* The reasons published last, with a blank between them. */
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
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.settings.instance = "i-1";
    fixture.settings.topics.status = "status/{Instance}";
    fixture.health = health_new(NULL);
    fixture.status_topic =
        status_topic_new(NULL, &fixture.settings, fixture.health, &fixture.counters);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    status_topic_free(fixture.status_topic);
    health_free(fixture.health);
    assert_int_equal(fake_timers_count(), 0);
    json_free(fixture.body);
    buf_fini(&fixture.bytes);
    return 0;
}

/* ---- tests ---- */

static void test_it_is_online_when_all_receivers_are_subscribed(void **state)
{
    (void)state;
    set(HEALTH_NO_PUBLISHER, false);
    assert_int_equal(fixture.published_count, 0);
    set(HEALTH_NOT_SUBSCRIBED, false);
    assert_published(1, "online");
    assert_null(json_member(fixture.body, "Reasons"));
    assert_field("Instance", "i-1");
    assert_non_null(json_member(fixture.body, "At"));
}

static void test_nothing_is_published_without_a_publisher(void **state)
{
    (void)state;
    set(HEALTH_NOT_SUBSCRIBED, false);
    set(HEALTH_API_UNREACHABLE, true);
    assert_int_equal(fixture.published_count, 0);
    set(HEALTH_NO_PUBLISHER, false);
    assert_published(1, "degraded");
    assert_reasons("api_unreachable");
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
    set(HEALTH_NO_PUBLISHER, false);
    fake_timers_advance(STARTING_MS - 1);
    assert_int_equal(fixture.published_count, 0);
    fake_timers_advance(1);
    assert_published(1, "degraded");
    assert_reasons("not_subscribed");
    status_topic_published(fixture.status_topic);
    set(HEALTH_NOT_SUBSCRIBED, false);
    assert_published(2, "online");
}

static void test_the_end_of_the_starting_time_is_not_published_when_online(void **state)
{
    (void)state;
    come_online();
    fake_timers_advance(STARTING_MS);
    assert_int_equal(fixture.published_count, 1);
}

static void test_every_reason_is_published_and_ends(void **state)
{
    (void)state;
    size_t count = 1;
    come_online();
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        if (i != HEALTH_NO_PUBLISHER) {
            set((enum health_reason)i, true);
            assert_published(++count, "degraded");
            assert_reasons(health_reason_info((enum health_reason)i)->name);
            status_topic_published(fixture.status_topic);
            set((enum health_reason)i, false);
            assert_published(++count, "online");
            status_topic_published(fixture.status_topic);
        }
    }
}

static void test_reasons_add_up(void **state)
{
    (void)state;
    come_online();
    set(HEALTH_API_UNREACHABLE, true);
    status_topic_published(fixture.status_topic);
    set(HEALTH_NOT_SUBSCRIBED, true);
    assert_published(3, "degraded");
    assert_reasons("not_subscribed api_unreachable");
    status_topic_published(fixture.status_topic);
    set(HEALTH_NOT_SUBSCRIBED, false);
    assert_published(4, "degraded");
    assert_reasons("api_unreachable");
}

static void test_a_reason_that_is_on_is_not_published_again(void **state)
{
    (void)state;
    come_online();
    set(HEALTH_API_UNREACHABLE, false);
    set(HEALTH_NOT_SUBSCRIBED, false);
    assert_int_equal(fixture.published_count, 1);
}

static void test_changes_during_a_publish_end_in_one_message_with_the_last_state(void **state)
{
    (void)state;
    come_online();
    set(HEALTH_API_UNREACHABLE, true);
    set(HEALTH_STORE_UNAVAILABLE, true);
    set(HEALTH_API_UNREACHABLE, false);
    assert_published(2, "degraded");
    assert_reasons("api_unreachable");
    status_topic_published(fixture.status_topic);
    assert_published(3, "degraded");
    assert_reasons("store_unavailable");
    status_topic_published(fixture.status_topic);
    assert_int_equal(fixture.published_count, 3);
}

static void test_a_new_publisher_begins_with_the_present_state(void **state)
{
    (void)state;
    come_online();
    set(HEALTH_API_UNREACHABLE, true);
    set(HEALTH_NO_PUBLISHER, true);
    set(HEALTH_API_UNREACHABLE, false);
    assert_int_equal(fixture.published_count, 2);
    set(HEALTH_NO_PUBLISHER, false);
    assert_published(3, "online");
}

static void test_a_state_the_broker_did_not_take_for_now_is_published_again(void **state)
{
    (void)state;
    set(HEALTH_NOT_SUBSCRIBED, false);
    set(HEALTH_NO_PUBLISHER, false);
    status_topic_unpublished(fixture.status_topic, slice_text("quota exceeded"));
    fake_timers_advance(RETRY_MS - 1);
    assert_int_equal(fixture.published_count, 1);
    fake_timers_advance(1);
    assert_published(2, "online");
    status_topic_published(fixture.status_topic);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.published_count, 2);
}

static void test_a_newer_state_replaces_one_that_waits_for_its_retry(void **state)
{
    (void)state;
    set(HEALTH_NOT_SUBSCRIBED, false);
    set(HEALTH_NO_PUBLISHER, false);
    status_topic_unpublished(fixture.status_topic, slice_text("quota exceeded"));
    set(HEALTH_API_UNREACHABLE, true);
    set(HEALTH_STORE_UNAVAILABLE, true);
    assert_published(2, "degraded");
    status_topic_unpublished(fixture.status_topic, slice_text("quota exceeded"));
    assert_published(3, "degraded");
    fake_timers_advance(RETRY_MS);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.published_count, 3);
}

static void test_a_state_the_broker_refuses_is_published_again_and_again_ever_less_often(
    void **state)
{
    (void)state;
    set(HEALTH_NOT_SUBSCRIBED, false);
    set(HEALTH_NO_PUBLISHER, false);
    static const int64_t delays_ms[] = {5000, 10000, 20000, 40000, 60000, 60000};
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        status_topic_unpublished(fixture.status_topic, slice_text("not authorised"));
        fake_timers_advance(delays_ms[i] - 1);
        assert_int_equal(fixture.published_count, i + 1);
        fake_timers_advance(1);
        assert_int_equal(fixture.published_count, i + 2);
    }
    status_topic_published(fixture.status_topic);
    set(HEALTH_API_UNREACHABLE, true);
    assert_published(8, "degraded");
    status_topic_unpublished(fixture.status_topic, slice_text("not authorised"));
    fake_timers_advance(RETRY_MS);
    assert_published(9, "degraded");
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
    assert_count("Filtered", 100 + COUNTER_FILTERED);
    assert_count("Outbox", 100 + COUNTER_OUTBOX_DEPTH);
}

static void test_changed_counts_are_published_together_after_a_while(void **state)
{
    (void)state;
    come_online();
    for (int i = 0; i < 1000; i++) {
        receive();
    }
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS - 1);
    assert_int_equal(fixture.published_count, 1);
    fake_timers_advance(1);
    assert_published(2, "online");
    assert_count("Received", 1000);
}

static void test_a_quiet_bridge_publishes_nothing_and_keeps_no_timer(void **state)
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

/* Also those that change without status_topic_counts_changed(), such as NotTaken. */
static void test_counts_are_checked_until_they_stay_the_same(void **state)
{
    (void)state;
    come_online();
    receive();
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS);
    status_topic_published(fixture.status_topic);
    counter_add(&fixture.counters, COUNTER_NOT_TAKEN, 1);
    fake_timers_advance(STATUS_TOPIC_COUNTS_MS);
    assert_published(3, "online");
    assert_count("NotTaken", 1);
}

static void test_counts_published_with_a_change_of_state_are_not_published_again(void **state)
{
    (void)state;
    come_online();
    receive();
    set(HEALTH_API_UNREACHABLE, true);
    assert_published(2, "degraded");
    assert_count("Received", 1);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(10 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 2);
}

static void test_the_last_counts_are_published_with_the_stop(void **state)
{
    (void)state;
    come_online();
    receive();
    stop();
    assert_published(2, "offline");
    assert_count("Received", 1);
    fake_timers_advance(10 * STATUS_TOPIC_COUNTS_MS);
    assert_int_equal(fixture.published_count, 2);
}

/* ---- the end ---- */

static void test_a_flush_ends_when_the_broker_has_the_offline_state(void **state)
{
    (void)state;
    come_online();
    stop();
    assert_published(2, "offline");
    assert_field("Reason", "stopped");
    fake_timers_advance(1000);
    assert_int_equal(fixture.flushed_count, 0);
    status_topic_published(fixture.status_topic);
    assert_int_equal(fixture.flushed_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 1);
}

static void test_a_stop_during_a_publish_is_published_after_it(void **state)
{
    (void)state;
    come_online();
    set(HEALTH_API_UNREACHABLE, true);
    stop();
    assert_published(2, "degraded");
    status_topic_published(fixture.status_topic);
    assert_published(3, "offline");
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 0);
    status_topic_published(fixture.status_topic);
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 1);
}

static void test_a_stop_during_the_starting_time_is_published(void **state)
{
    (void)state;
    set(HEALTH_NO_PUBLISHER, false);
    stop();
    assert_published(1, "offline");
}

static void test_a_flush_without_a_publisher_ends_at_once(void **state)
{
    (void)state;
    stop();
    assert_int_equal(fixture.flushed_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 1);
    assert_int_equal(fixture.published_count, 0);
}

static void test_a_flush_ends_when_the_publisher_is_lost(void **state)
{
    (void)state;
    come_online();
    stop();
    set(HEALTH_NO_PUBLISHER, true);
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 1);
}

static void test_a_flush_ends_when_the_broker_does_not_take_the_state(void **state)
{
    (void)state;
    come_online();
    stop();
    status_topic_unpublished(fixture.status_topic, slice_text("quota exceeded"));
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 1);
    fake_timers_advance(RETRY_MS);
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

static void test_without_a_topic_nothing_is_published_and_there_is_no_will(void **state)
{
    (void)state;
    struct buf will = {0};
    fixture.settings.topics.status = "";
    set(HEALTH_NO_PUBLISHER, false);
    set(HEALTH_NOT_SUBSCRIBED, false);
    assert_int_equal(fixture.published_count, 0);
    assert_int_equal(status_topic_will(&fixture.settings, &will), STATUS_OK);
    assert_int_equal(will.length, 0);
    stop();
    fake_timers_advance(0);
    assert_int_equal(fixture.flushed_count, 1);
    assert_int_equal(fixture.published_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_without_a_topic_nothing_is_published_and_there_is_no_will),
        TEST(test_it_is_online_when_all_receivers_are_subscribed),
        TEST(test_nothing_is_published_without_a_publisher),
        TEST(test_the_state_is_a_retained_message_that_does_not_expire),
        TEST(test_receivers_may_take_a_moment_at_start),
        TEST(test_the_end_of_the_starting_time_is_not_published_when_online),
        TEST(test_every_reason_is_published_and_ends),
        TEST(test_reasons_add_up),
        TEST(test_a_reason_that_is_on_is_not_published_again),
        TEST(test_changes_during_a_publish_end_in_one_message_with_the_last_state),
        TEST(test_a_new_publisher_begins_with_the_present_state),
        TEST(test_a_state_the_broker_did_not_take_for_now_is_published_again),
        TEST(test_a_newer_state_replaces_one_that_waits_for_its_retry),
        TEST(test_a_state_the_broker_refuses_is_published_again_and_again_ever_less_often),
        TEST(test_the_state_comes_with_the_counts),
        TEST(test_changed_counts_are_published_together_after_a_while),
        TEST(test_a_quiet_bridge_publishes_nothing_and_keeps_no_timer),
        TEST(test_counts_are_checked_until_they_stay_the_same),
        TEST(test_counts_published_with_a_change_of_state_are_not_published_again),
        TEST(test_the_last_counts_are_published_with_the_stop),
        TEST(test_a_flush_ends_when_the_broker_has_the_offline_state),
        TEST(test_a_stop_during_a_publish_is_published_after_it),
        TEST(test_a_stop_during_the_starting_time_is_published),
        TEST(test_a_flush_without_a_publisher_ends_at_once),
        TEST(test_a_flush_ends_when_the_publisher_is_lost),
        TEST(test_a_flush_ends_when_the_broker_does_not_take_the_state),
        TEST(test_the_last_will_says_offline_and_claims_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
