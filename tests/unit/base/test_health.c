/* Reasons and the state they make, on timers that the test moves. */
#include "base/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/fakes/fake_timers.h"

static struct {
    struct health *health;
    int change_count;
} fixture;

static void count_change(void *arg)
{
    assert_ptr_equal(arg, &fixture);
    fixture.change_count++;
}

static int64_t now_ms = 1000;

int64_t __wrap_clock_mono_ms(void);

int64_t __wrap_clock_mono_ms(void)
{
    return now_ms;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.health = health_new(NULL);
    health_watch(fixture.health, count_change, &fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    health_free(fixture.health);
    assert_int_equal(fake_timers_count(), 0);
    return 0;
}

static void connect(void)
{
    health_set(fixture.health, HEALTH_NOT_SUBSCRIBED, false);
    health_set(fixture.health, HEALTH_NO_PUBLISHER, false);
    fixture.change_count = 0;
}

static void assert_reasons(const char *json)
{
    struct buf reasons = {0};
    health_put_reasons(fixture.health, &reasons);
    assert_string_equal(reasons.data, json);
    buf_fini(&reasons);
}

static void test_at_the_start_nothing_is_connected(void **state)
{
    (void)state;
    assert_int_equal(health_state(fixture.health), HEALTH_DEGRADED);
    assert_false(health_is_ready(fixture.health));
    assert_reasons("[\"not_subscribed\",\"no_publisher\"]");
    connect();
    assert_int_equal(health_state(fixture.health), HEALTH_ONLINE);
    assert_true(health_is_ready(fixture.health));
    assert_reasons("[]");
}

static void test_a_reason_has_a_time_from_its_begin_to_its_end(void **state)
{
    (void)state;
    int64_t before_ms = clock_wall_ms();
    connect();
    health_set(fixture.health, HEALTH_API_UNREACHABLE, true);
    int64_t since_ms = health_since_ms(fixture.health, HEALTH_API_UNREACHABLE);
    assert_in_range(since_ms, before_ms, clock_wall_ms());
    health_set(fixture.health, HEALTH_API_UNREACHABLE, false);
    assert_int_equal(health_since_ms(fixture.health, HEALTH_API_UNREACHABLE), 0);
}

static void test_a_reason_that_is_on_keeps_its_first_time(void **state)
{
    (void)state;
    health_set_since(fixture.health, HEALTH_SESSION_LOST, 1000);
    health_set_since(fixture.health, HEALTH_SESSION_LOST, 2000);
    health_set(fixture.health, HEALTH_SESSION_LOST, true);
    assert_int_equal(health_since_ms(fixture.health, HEALTH_SESSION_LOST), 1000);
}

static void test_the_watcher_hears_of_changes_only(void **state)
{
    (void)state;
    connect();
    health_set(fixture.health, HEALTH_API_UNREACHABLE, false);
    assert_int_equal(fixture.change_count, 0);
    health_set(fixture.health, HEALTH_API_UNREACHABLE, true);
    health_set(fixture.health, HEALTH_API_UNREACHABLE, true);
    assert_int_equal(fixture.change_count, 1);
    health_set(fixture.health, HEALTH_API_UNREACHABLE, false);
    assert_int_equal(fixture.change_count, 2);
}

static void test_every_reason_degrades_and_those_of_the_table_block_ready(void **state)
{
    (void)state;
    connect();
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        const struct health_reason_info *info = health_reason_info((enum health_reason)i);
        health_set(fixture.health, (enum health_reason)i, true);
        assert_int_equal(health_state(fixture.health), HEALTH_DEGRADED);
        assert_int_equal(health_is_ready(fixture.health), !info->blocks_ready);
        health_set(fixture.health, (enum health_reason)i, false);
        assert_int_equal(health_state(fixture.health), HEALTH_ONLINE);
    }
}

static void test_only_what_keeps_commands_away_blocks_ready(void **state)
{
    (void)state;
    assert_true(health_reason_info(HEALTH_NOT_SUBSCRIBED)->blocks_ready);
    assert_true(health_reason_info(HEALTH_NO_PUBLISHER)->blocks_ready);
    assert_true(health_reason_info(HEALTH_STORE_UNAVAILABLE)->blocks_ready);
    assert_true(health_reason_info(HEALTH_NO_CREDENTIALS)->blocks_ready);
    assert_false(health_reason_info(HEALTH_API_UNREACHABLE)->blocks_ready);
    assert_false(health_reason_info(HEALTH_CREDENTIALS_REFUSED)->blocks_ready);
}

static void test_the_names_are_the_contracts(void **state)
{
    (void)state;
    static const struct {
        enum health_reason reason;
        const char *name;
    } NAMES[] = {
        {HEALTH_NOT_SUBSCRIBED, "not_subscribed"},
        {HEALTH_NO_PUBLISHER, "no_publisher"},
        {HEALTH_SESSION_LOST, "session_lost"},
        {HEALTH_BROKERS_DIFFER, "brokers_differ"},
        {HEALTH_NO_CREDENTIALS, "no_credentials"},
        {HEALTH_CREDENTIALS_REFUSED, "credentials_refused"},
        {HEALTH_STORE_UNAVAILABLE, "store_unavailable"},
        {HEALTH_LEDGER_MAY_HAVE_LOST, "ledger_may_have_lost"},
        {HEALTH_API_UNREACHABLE, "api_unreachable"},
        {HEALTH_API_SILENT, "api_silent"},
        {HEALTH_REPLY_REFUSED, "reply_refused"},
        {HEALTH_OUTBOX_FULL, "outbox_full"},
        {HEALTH_COMMAND_SET_ASIDE, "command_set_aside"},
        {HEALTH_RELOAD_FAILED, "reload_failed"},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        assert_string_equal(health_reason_info(NAMES[i].reason)->name, NAMES[i].name);
    }
}

static void test_every_reason_has_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        const char *meaning = health_reason_info((enum health_reason)i)->meaning;
        size_t length = strlen(meaning);
        assert_true(length > 0 && meaning[length - 1] == '.');
    }
}

static void test_a_reason_for_a_time_ends_by_itself(void **state)
{
    (void)state;
    connect();
    health_set_for(fixture.health, HEALTH_COMMAND_SET_ASIDE, 60000);
    fake_timers_advance(59999);
    assert_true(health_is_on(fixture.health, HEALTH_COMMAND_SET_ASIDE));
    fake_timers_advance(1);
    assert_false(health_is_on(fixture.health, HEALTH_COMMAND_SET_ASIDE));
    assert_int_equal(fixture.change_count, 2);
}

static void test_a_second_time_is_counted_from_its_own_begin(void **state)
{
    (void)state;
    health_set_for(fixture.health, HEALTH_COMMAND_SET_ASIDE, 60000);
    fake_timers_advance(40000);
    health_set_for(fixture.health, HEALTH_COMMAND_SET_ASIDE, 60000);
    fake_timers_advance(40000);
    assert_true(health_is_on(fixture.health, HEALTH_COMMAND_SET_ASIDE));
    fake_timers_advance(20000);
    assert_false(health_is_on(fixture.health, HEALTH_COMMAND_SET_ASIDE));
}

static void test_a_stop_is_offline_whatever_else_is_on(void **state)
{
    (void)state;
    connect();
    assert_null(health_stop_reason(fixture.health));
    health_stop(fixture.health, "stopped");
    assert_int_equal(health_state(fixture.health), HEALTH_OFFLINE);
    assert_false(health_is_ready(fixture.health));
    assert_string_equal(health_stop_reason(fixture.health), "stopped");
    assert_int_equal(fixture.change_count, 1);
    health_set(fixture.health, HEALTH_NO_PUBLISHER, true);
    assert_int_equal(health_state(fixture.health), HEALTH_OFFLINE);
    assert_int_equal(fixture.change_count, 2);
}

static void test_a_loop_that_does_not_turn_is_neither_live_nor_ready(void **state)
{
    (void)state;
    connect();
    health_beat(fixture.health);
    now_ms += HEALTH_LIVE_MS;
    assert_true(health_is_live(fixture.health));
    assert_true(health_is_ready(fixture.health));
    now_ms++;
    assert_false(health_is_live(fixture.health));
    assert_false(health_is_ready(fixture.health));
    health_beat(fixture.health);
    assert_true(health_is_live(fixture.health));
    assert_true(health_is_ready(fixture.health));
}

static void test_a_start_that_waits_for_a_database_is_alive_before_the_loop_runs(void **state)
{
    (void)state;
    connect();
    health_set(fixture.health, HEALTH_STORE_UNAVAILABLE, true);
    now_ms += 100 * HEALTH_LIVE_MS;
    assert_true(health_is_live(fixture.health));
    assert_false(health_is_ready(fixture.health));
    health_set(fixture.health, HEALTH_STORE_UNAVAILABLE, false);
    health_beat(fixture.health);
    assert_true(health_is_ready(fixture.health));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_at_the_start_nothing_is_connected),
        TEST(test_a_reason_has_a_time_from_its_begin_to_its_end),
        TEST(test_a_reason_that_is_on_keeps_its_first_time),
        TEST(test_the_watcher_hears_of_changes_only),
        TEST(test_every_reason_degrades_and_those_of_the_table_block_ready),
        TEST(test_only_what_keeps_commands_away_blocks_ready),
        TEST(test_the_names_are_the_contracts),
        TEST(test_every_reason_has_a_sentence),
        TEST(test_a_reason_for_a_time_ends_by_itself),
        TEST(test_a_second_time_is_counted_from_its_own_begin),
        TEST(test_a_loop_that_does_not_turn_is_neither_live_nor_ready),
        TEST(test_a_start_that_waits_for_a_database_is_alive_before_the_loop_runs),
        TEST(test_a_stop_is_offline_whatever_else_is_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
