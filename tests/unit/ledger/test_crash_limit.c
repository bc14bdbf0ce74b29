/*
 * Crashes of the bridge: which commands count one, and what happens to a command that was set
 * aside. A crash is simulated: the ledger is closed, and then the record that it was closed is
 * removed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/sqlite/sqlite.h"
#include "support/ledger_fixture.h"
#include "support/store_batch.h"

#include <string.h>

static void crash(struct fixture *fixture)
{
    struct store *store = NULL;
    struct buf why = {0};
    fixture_close(fixture, 1000);
    assert_int_equal(
        store_sqlite_ops.open(STORE_AT(fixture->store + strlen("sqlite:")), false, &store, &why),
        STATUS_OK);
    assert_int_equal(store_write_meta(&store_sqlite_ops, store, "ledger.is_closed", 0), STATUS_OK);
    store_sqlite_ops.close(store);
    fixture_open(fixture);
}

static void assert_crashes(struct fixture *fixture, const char *token, uint32_t crashes)
{
    assert_int_equal(fixture_command(fixture, token)->crashes, crashes);
}

static void test_each_crash_during_a_call_is_counted(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    crash(fixture);
    fixture_expect(fixture, "claimed t1 unsure\n");
    assert_crashes(fixture, "t1", 1);
    for (uint32_t crashes = 2; crashes <= 3; crashes++) {
        fixture_begin(fixture, "t1");
        fixture_expect(fixture, "begun t1\n");
        crash(fixture);
        fixture_expect(fixture, "claimed t1 unsure\n");
        assert_crashes(fixture, "t1", crashes);
    }
}

static void test_all_calls_in_flight_count_the_crash(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\nclaimed t2 calling\ndone t2 new\n");
    crash(fixture);
    fixture_expect(fixture, "claimed t1 unsure\nclaimed t2 unsure\n");
    assert_crashes(fixture, "t1", 1);
    assert_crashes(fixture, "t2", 1);
}

static void test_a_crash_counts_only_for_calls_in_flight(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "waits");
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "called");
    fixture_expect(fixture, "claimed waits ready\ndone waits new\n"
                            "claimed called calling\ndone called new\n");
    for (int i = 0; i < 3; i++) {
        crash(fixture); /* in later crashes no call is in flight: both commands wait */
        fixture_expect(fixture, "claimed waits ready\nclaimed called unsure\n");
        assert_crashes(fixture, "waits", 0);
        assert_crashes(fixture, "called", 1);
    }
}

static void test_an_orderly_stop_during_a_call_is_not_counted(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    for (int i = 0; i < 4; i++) {
        fixture_open_again(fixture);
        fixture_expect(fixture, "claimed t1 unsure\n");
        assert_crashes(fixture, "t1", 0);
        fixture_begin(fixture, "t1");
        fixture_expect(fixture, "begun t1\n");
    }
}

static void test_crashes_are_stored_with_a_pause(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    crash(fixture);
    fixture_expect(fixture, "claimed t1 unsure\n");
    fixture_begin(fixture, "t1");
    fixture_expect(fixture, "begun t1\n");
    fixture_command(fixture, "t1")->crashes = 0;
    fixture_pause(fixture, "t1", MOVE_NO_ANSWER);
    crash(fixture);
    fixture_expect(fixture, "claimed t1 unsure\n");
    assert_crashes(fixture, "t1", 0);
}

static void set_aside(struct fixture *fixture, const char *token)
{
    struct outcome outcome;
    outcome_of_error(&outcome, ERROR_SET_ASIDE, "why");
    fixture_finish(fixture, token, &outcome);
    outcome_fini(&outcome);
}

static void test_a_command_set_aside_is_replayed_and_later_starts_again_as_unsure(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.failure_ttl_s = 1;
    fixture->options.success_ttl_s = 100;
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_begin(fixture, "t1");
    fixture_expect(fixture, "begun t1\n");
    set_aside(fixture, "t1");
    fixture_expect(fixture, "posted unknown t1 Bridge.SetAside to replies/t1\n");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted unknown t1 Bridge.SetAside replayed to replies/t1\n"
                            "done t1 replayed\n");
    int64_t over_ms = clock_mono_ms() + 1001;
    while (clock_mono_ms() < over_ms) {
        fixture_settle(fixture);
    }
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 unsure\ndone t1 again\n");
    assert_crashes(fixture, "t1", 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_crash_during_a_call_is_counted),
        TEST(test_all_calls_in_flight_count_the_crash),
        TEST(test_a_crash_counts_only_for_calls_in_flight),
        TEST(test_an_orderly_stop_during_a_call_is_not_counted),
        TEST(test_crashes_are_stored_with_a_pause),
        TEST(test_a_command_set_aside_is_replayed_and_later_starts_again_as_unsure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
