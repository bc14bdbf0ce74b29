/*
 * The ledger on a store that does not know whether a batch was committed: the SQLite store, with
 * results as those of a lost connection (store_choose() is wrapped).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/sqlite/sqlite.h"
#include "ledger/store.h"
#include "support/ledger_fixture.h"

/* So many calls return STATUS_UNAVAILABLE, then one STATUS_STORE if `fails_then`. */
static _Atomic int unknown_count;
static _Atomic bool fails_then;
static const struct ledger_batch *held_back;

static enum status carry_out(struct store *store, struct ledger_batch *batch)
{
    if (unknown_count > 0) {
        unknown_count--;
        assert_true(held_back == NULL || held_back == batch);
        held_back = batch;
        return STATUS_UNAVAILABLE;
    }
    assert_true(held_back == NULL || held_back == batch);
    held_back = NULL;
    if (fails_then) {
        fails_then = false;
        return STATUS_STORE;
    }
    return store_sqlite_ops.carry_out(store, batch);
}

static const char *error(struct store *store)
{
    (void)store;
    return "the connection was lost";
}

/* The linker option --wrap needs these names: see tests/unit/CMakeLists.txt.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
enum status __real_store_choose(const char *setting, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why);
enum status __wrap_store_choose(const char *setting, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why);

enum status __wrap_store_choose(const char *setting, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why)
{
    static struct store_ops ops;
    enum status status = __real_store_choose(setting, out_ops, out_location, out_why);
    ops = store_sqlite_ops;
    ops.carry_out = carry_out;
    ops.error = error;
    *out_ops = &ops;
    return status;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int setup(void **state)
{
    unknown_count = 0;
    fails_then = false;
    held_back = NULL;
    return fixture_setup(state);
}

static void test_nothing_is_answered_until_it_is_known(void **state)
{
    struct fixture *fixture = *state;
    unknown_count = 2;
    fixture_claim(fixture, "t1");
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "failing\n");
    fixture_claim(fixture, "t2");
    fixture_await(fixture, COUNTER_LEDGER_FAILURES, 2);
    fixture_expect(fixture, "");
    fixture_expect(fixture, "working\nclaimed t1 ready\ndone t1 new\nposted m\nkept\n"
                            "claimed t2 ready\ndone t2 new\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 2);
}

static void test_a_claim_that_proves_to_have_failed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    unknown_count = 1;
    fails_then = true;
    fixture_claim(fixture, "t2");
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "failing\ndone t2 store\nworking\nposted succeeded t1 to replies/t1\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 0);
}

static void test_closing_ends_in_time_without_knowing(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    unknown_count = 1000000;
    fixture_post(fixture, "m", false);
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "failing\n");
    int64_t begin_ms = clock_mono_ms();
    fixture_close(fixture, 100);
    assert_in_range(clock_mono_ms() - begin_ms, 50, 5000);
    unknown_count = 0;
    held_back = NULL;
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t1 ready\n");
}

#define UNKNOWN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNKNOWN_TEST(test_nothing_is_answered_until_it_is_known),
        UNKNOWN_TEST(test_a_claim_that_proves_to_have_failed_is_refused),
        UNKNOWN_TEST(test_closing_ends_in_time_without_knowing),
    };
    return cmocka_run_group_tests_name("unknown_commit", tests, NULL, NULL);
}
