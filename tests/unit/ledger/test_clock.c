/*
 * The ledger's clock: its rules with given readings, and a ledger whose wall clock is set by the
 * test (clock_wall_ms() is wrapped).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/clock.h"
#include "ledger/view.h"
#include "support/ledger_fixture.h"

#include <string.h>
#include <time.h>

#define HOUR_MS  INT64_C(3600000)
#define DAY_MS   (24 * HOUR_MS)
#define START_MS INT64_C(1767322800000)

/* ---- the rules ---- */

/* A machine with two clocks. */
struct machine {
    struct ledger_clock_reading now;
    int64_t boot;
    struct ledger_clock_meta stored;
    struct ledger_clock clock;
};

static void start(struct machine *machine)
{
    ledger_clock_init(&machine->clock, &machine->stored, machine->boot, &machine->now);
}

static struct machine machine_new(void)
{
    struct machine machine = {.now = {START_MS, 5000}, .boot = 7};
    start(&machine);
    return machine;
}

static void pass(struct machine *machine, int64_t duration_ms)
{
    machine->now.wall_ms += duration_ms;
    machine->now.since_boot_ms += duration_ms;
}

static void step(struct machine *machine, int64_t by_ms)
{
    machine->now.wall_ms += by_ms;
}

static bool commit(struct machine *machine)
{
    bool has_news = ledger_clock_has_news(&machine->clock, &machine->now, &machine->stored);
    if (has_news) {
        ledger_clock_stored(&machine->clock, &machine->stored);
    }
    return has_news;
}

static void reboot(struct machine *machine, int64_t off_ms)
{
    machine->now.wall_ms += off_ms;
    machine->now.since_boot_ms = 9000;
    machine->boot++;
    start(machine);
}

static int64_t kept(const struct machine *machine)
{
    return ledger_clock_kept_ms(&machine->clock, &machine->now);
}

static void test_a_new_ledger_begins_with_the_wall_clock(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    assert_int_equal(kept(&machine), START_MS);
    pass(&machine, HOUR_MS);
    assert_int_equal(kept(&machine), START_MS + HOUR_MS);
}

static void test_steps_of_the_wall_clock_are_ignored(void **state)
{
    static const int64_t STEPS[] = {2 * DAY_MS, -HOUR_MS, -2 * DAY_MS, 4000, -4000};
    (void)state;
    struct machine machine = machine_new();
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        step(&machine, STEPS[i]);
        pass(&machine, 1000);
        assert_int_equal(kept(&machine), START_MS + 1000 * ((int64_t)i + 1));
        commit(&machine);
    }
}

static void test_the_values_are_stored_once_for_a_step_and_not_for_small_differences(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    assert_true(commit(&machine));
    pass(&machine, HOUR_MS / 2);
    assert_false(commit(&machine));
    step(&machine, 900);
    assert_false(commit(&machine));
    step(&machine, 200);
    assert_true(commit(&machine));
    assert_int_equal(machine.stored.steps_ms, 1100);
    assert_false(commit(&machine));
    step(&machine, -1100);
    assert_true(commit(&machine));
    assert_int_equal(machine.stored.steps_ms, 0);
}

static void test_values_that_could_not_be_stored_are_stored_later(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    struct ledger_clock_meta meta;
    commit(&machine);
    step(&machine, DAY_MS);
    assert_true(ledger_clock_has_news(&machine.clock, &machine.now, &meta));
    assert_true(ledger_clock_has_news(&machine.clock, &machine.now, &meta));
    assert_int_equal(kept(&machine), START_MS);
}

static void test_a_step_while_the_bridge_does_not_run_is_ignored(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    commit(&machine);
    step(&machine, 2 * DAY_MS);
    pass(&machine, HOUR_MS);
    start(&machine);
    assert_int_equal(kept(&machine), START_MS + HOUR_MS);
    assert_true(commit(&machine));
    assert_int_equal(machine.stored.steps_ms, 2 * DAY_MS);
}

static void test_after_a_reboot_it_continues_by_the_wall_clock_without_earlier_steps(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    step(&machine, 2 * DAY_MS);
    commit(&machine);
    reboot(&machine, HOUR_MS);
    assert_int_equal(kept(&machine), START_MS + HOUR_MS);
    assert_true(commit(&machine));
    pass(&machine, HOUR_MS);
    assert_int_equal(kept(&machine), START_MS + 2 * HOUR_MS);
}

static void test_a_machine_that_starts_in_1970_keeps_records_for_the_right_time(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    commit(&machine);
    for (int64_t day = 1; day <= 3; day++) {
        pass(&machine, HOUR_MS);
        commit(&machine);
        int64_t right_ms = machine.now.wall_ms + DAY_MS;
        reboot(&machine, -machine.now.wall_ms);
        assert_int_equal(kept(&machine), START_MS + day * HOUR_MS);
        commit(&machine);
        step(&machine, right_ms);
        assert_int_equal(kept(&machine), START_MS + day * HOUR_MS);
        commit(&machine);
    }
}

static void test_a_boot_without_the_right_time_does_not_set_the_next_one_ahead(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    commit(&machine);
    reboot(&machine, -machine.now.wall_ms);
    commit(&machine);
    reboot(&machine, START_MS + DAY_MS - machine.now.wall_ms);
    assert_int_equal(kept(&machine), START_MS + DAY_MS);
}

static void test_without_a_boot_id_every_start_is_treated_as_a_reboot(void **state)
{
    (void)state;
    struct machine machine = machine_new();
    machine.boot = 0;
    start(&machine);
    step(&machine, DAY_MS);
    commit(&machine);
    start(&machine);
    assert_int_equal(kept(&machine), START_MS);
    step(&machine, HOUR_MS);
    start(&machine);
    assert_int_equal(kept(&machine), START_MS + HOUR_MS);
}

static void test_this_system_has_a_boot_id(void **state)
{
    (void)state;
    assert_true(ledger_clock_boot() > 0);
    assert_true(ledger_clock_boot() == ledger_clock_boot());
}

/* ---- a ledger whose wall clock is set by the test ---- */

static _Atomic int64_t offset_ms;

/* The linker option --wrap needs this name: see tests/unit/CMakeLists.txt. */
int64_t __wrap_clock_wall_ms(void); /* NOLINT(bugprone-reserved-identifier) */

int64_t __wrap_clock_wall_ms(void) /* NOLINT(bugprone-reserved-identifier) */
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + offset_ms;
}

static int setup(void **state)
{
    offset_ms = 0;
    return fixture_setup(state);
}

static void claim_and_succeed(struct fixture *fixture)
{
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
}

static void expect_replayed(struct fixture *fixture)
{
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_EXPIRED), 0);
}

static void test_a_token_is_known_after_every_step_of_the_wall_clock(void **state)
{
    static const int64_t OFFSETS[] = {2 * DAY_MS, -HOUR_MS, -400 * DAY_MS, 0};
    struct fixture *fixture = *state;
    claim_and_succeed(fixture);
    for (size_t i = 0; i < sizeof OFFSETS / sizeof OFFSETS[0]; i++) {
        offset_ms = OFFSETS[i];
        expect_replayed(fixture);
    }
}

static void test_a_token_is_known_if_the_clock_was_set_before_or_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    claim_and_succeed(fixture);
    offset_ms = 2 * DAY_MS;
    fixture_open_again(fixture);
    expect_replayed(fixture);
    offset_ms = 0;
    fixture_open_again(fixture);
    expect_replayed(fixture);
}

static void test_a_token_claimed_with_a_wrong_clock_is_known_after_the_clock_is_corrected(
    void **state)
{
    struct fixture *fixture = *state;
    offset_ms = -30 * DAY_MS;
    fixture_open_again(fixture);
    claim_and_succeed(fixture);
    offset_ms = 0;
    expect_replayed(fixture);
    fixture_open_again(fixture);
    expect_replayed(fixture);
}

static void test_a_token_expires_on_time_after_the_clock_was_set_back(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.success_ttl_s = 1;
    fixture_open_again(fixture);
    claim_and_succeed(fixture);
    offset_ms = -DAY_MS;
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "posted m\nkept\n");
    struct timespec ttl = {.tv_sec = 1, .tv_nsec = 50000000};
    nanosleep(&ttl, NULL);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

static void succeed_while_the_clock_is_wrong(struct fixture *fixture, int64_t wrong_ms)
{
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    offset_ms = wrong_ms;
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
    offset_ms = 0;
}

static void test_a_token_with_an_outcome_while_the_clock_was_behind_is_not_forgotten_early(
    void **state)
{
    struct fixture *fixture = *state;
    succeed_while_the_clock_is_wrong(fixture, -400 * DAY_MS);
    expect_replayed(fixture);
    fixture_open_again(fixture);
    expect_replayed(fixture);
}

static void test_a_token_with_an_outcome_while_the_clock_was_ahead_is_not_kept_for_ever(
    void **state)
{
    struct fixture *fixture = *state;
    fixture->options.success_ttl_s = 1;
    fixture_open_again(fixture);
    succeed_while_the_clock_is_wrong(fixture, 400 * DAY_MS);
    struct timespec ttl = {.tv_sec = 1, .tv_nsec = 50000000};
    nanosleep(&ttl, NULL);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

static void test_the_time_of_expiry_is_shown_as_wall_clock_time(void **state)
{
    struct fixture *fixture = *state;
    struct buf out = {0};
    struct buf why = {0};
    char about[CLOCK_TEXT_BYTES];
    claim_and_succeed(fixture);
    offset_ms = 10 * DAY_MS;
    expect_replayed(fixture);
    assert_int_equal(ledger_show(SOURCE(fixture->store), slice_text("t1"), &out, &why), STATUS_OK);
    clock_format_ms(__wrap_clock_wall_ms() + fixture->options.success_ttl_s * 1000, about);
    const char *shown = strstr(out.data, "\"ExpiresAt\":\"");
    assert_non_null(shown);
    assert_memory_equal(shown + strlen("\"ExpiresAt\":\""), about, strlen("2026-01-02T"));
    buf_fini(&out);
    buf_fini(&why);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_ledger_begins_with_the_wall_clock),
        cmocka_unit_test(test_steps_of_the_wall_clock_are_ignored),
        cmocka_unit_test(test_the_values_are_stored_once_for_a_step_and_not_for_small_differences),
        cmocka_unit_test(test_values_that_could_not_be_stored_are_stored_later),
        cmocka_unit_test(test_a_step_while_the_bridge_does_not_run_is_ignored),
        cmocka_unit_test(test_after_a_reboot_it_continues_by_the_wall_clock_without_earlier_steps),
        cmocka_unit_test(test_a_machine_that_starts_in_1970_keeps_records_for_the_right_time),
        cmocka_unit_test(test_a_boot_without_the_right_time_does_not_set_the_next_one_ahead),
        cmocka_unit_test(test_without_a_boot_id_every_start_is_treated_as_a_reboot),
        cmocka_unit_test(test_this_system_has_a_boot_id),
        FIXTURE_TEST(test_a_token_is_known_after_every_step_of_the_wall_clock),
        FIXTURE_TEST(test_a_token_is_known_if_the_clock_was_set_before_or_after_a_restart),
        FIXTURE_TEST(test_a_token_claimed_with_a_wrong_clock_is_known_after_the_clock_is_corrected),
        FIXTURE_TEST(test_a_token_expires_on_time_after_the_clock_was_set_back),
        FIXTURE_TEST(
            test_a_token_with_an_outcome_while_the_clock_was_behind_is_not_forgotten_early),
        FIXTURE_TEST(test_a_token_with_an_outcome_while_the_clock_was_ahead_is_not_kept_for_ever),
        FIXTURE_TEST(test_the_time_of_expiry_is_shown_as_wall_clock_time),
    };
    return cmocka_run_group_tests_name("ledger_clock", tests, NULL, NULL);
}
