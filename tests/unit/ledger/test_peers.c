/* Which of the bridges that share a ledger are dead. */
#include "ledger/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define OWN      1
#define LEASE_MS 10000

/* A renewal whose answer came at `now_ms`, with a row of its own and up to two others (id 0: none).
 */
static bool renew(struct peers *peers, int64_t now_ms, struct peer_row a, struct peer_row b)
{
    const struct peer_row own = {.id = OWN, .n = now_ms, .lease_ms = LEASE_MS};
    peers_begin(peers, now_ms);
    peers_add(peers, &own, now_ms);
    if (a.id != 0) {
        peers_add(peers, &a, now_ms);
    }
    if (b.id != 0) {
        peers_add(peers, &b, now_ms);
    }
    return peers_end(peers);
}

static struct peer_row row(int64_t id, int64_t n)
{
    return (struct peer_row){.id = id, .n = n, .lease_ms = LEASE_MS, .held = 3};
}

/* Renewals once a second from `from_ms` to `to_ms`, in which the row does not change. */
static void renew_each_second(struct peers *peers, int64_t from_ms, int64_t to_ms,
                              struct peer_row other)
{
    for (int64_t now_ms = from_ms; now_ms <= to_ms; now_ms += 1000) {
        renew(peers, now_ms, other, row(0, 0));
    }
}

static void test_a_number_that_does_not_change_for_a_lease_is_of_a_dead_bridge(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 5000, 14000, row(2, 7));
    assert_null(peers_find_dead(&peers, 14999));
    renew_each_second(&peers, 15000, 15000, row(2, 7));
    const struct peer_row *dead = peers_find_dead(&peers, 15000);
    assert_non_null(dead);
    assert_int_equal(dead->id, 2);
    assert_int_equal(dead->n, 7);
    peers_fini(&peers);
}

static void test_any_other_number_is_a_sign_of_life(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 0, 9000, row(2, 7));
    renew_each_second(&peers, 10000, 19000, row(2, 6));
    assert_null(peers_find_dead(&peers, 19999));
    assert_non_null(peers_find_dead(&peers, 20000));
    peers_fini(&peers);
}

static void test_the_length_of_the_lease_is_that_of_its_holder(void **state)
{
    (void)state;
    struct peers peers;
    struct peer_row patient = row(2, 7);
    patient.lease_ms = 3 * LEASE_MS;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 0, 29000, patient);
    assert_null(peers_find_dead(&peers, 29999));
    assert_non_null(peers_find_dead(&peers, 30000));
    peers_fini(&peers);
}

/* The database was away: the others could not renew either, and come back one by one. */
static void test_after_a_failed_renewal_the_time_of_everybody_begins_anew(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 0, 9000, row(2, 7));
    peers_renewal_failed(&peers);
    assert_null(peers_find_dead(&peers, 10000));
    renew_each_second(&peers, 11000, 20000, row(2, 7));
    assert_null(peers_find_dead(&peers, 20999));
    assert_non_null(peers_find_dead(&peers, 21000));
    peers_fini(&peers);
}

static void test_a_bridge_that_was_paused_itself_begins_anew_as_well(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 0, 3000, row(2, 7));
    renew_each_second(&peers, 60000, 69000, row(2, 7));
    assert_null(peers_find_dead(&peers, 69999));
    assert_non_null(peers_find_dead(&peers, 70000));
    peers_fini(&peers);
}

static void test_a_slow_renewal_within_the_own_lease_changes_nothing(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 0, 3000, row(2, 7));
    renew_each_second(&peers, 10000, 10000, row(2, 7));
    assert_non_null(peers_find_dead(&peers, 10000));
    peers_fini(&peers);
}

static void test_bridges_that_come_and_go_are_noticed(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    assert_false(renew(&peers, 0, row(0, 0), row(0, 0)));
    assert_true(renew(&peers, 1000, row(2, 1), row(3, 1)));
    assert_int_equal(peers_held(&peers), 6);
    assert_false(renew(&peers, 2000, row(3, 2), row(2, 2)));
    assert_true(renew(&peers, 3000, row(3, 3), row(0, 0)));
    assert_int_equal(peers_held(&peers), 3);
    assert_true(renew(&peers, 4000, row(4, 1), row(0, 0)));
    assert_int_equal(peers.count, 1);
    peers_fini(&peers);
}

static void test_the_own_row_is_never_dead(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    renew_each_second(&peers, 0, 30000, row(0, 0));
    assert_null(peers_find_dead(&peers, 60000));
    peers_fini(&peers);
}

/* Expelled, or its number had changed after all: it is asked for once. */
static void test_a_dead_bridge_is_reported_until_it_is_forgotten(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, OWN, LEASE_MS);
    for (int64_t now_ms = 0; now_ms <= LEASE_MS; now_ms += 1000) {
        renew(&peers, now_ms, row(2, 7), row(3, 7));
    }
    const struct peer_row *dead = peers_find_dead(&peers, LEASE_MS);
    assert_int_equal(dead->id, 2);
    peers_forget(&peers, 2);
    dead = peers_find_dead(&peers, LEASE_MS);
    assert_int_equal(dead->id, 3);
    peers_forget(&peers, 3);
    assert_null(peers_find_dead(&peers, LEASE_MS));
    renew(&peers, 11000, row(3, 8), row(0, 0));
    assert_null(peers_find_dead(&peers, 20999));
    peers_fini(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_number_that_does_not_change_for_a_lease_is_of_a_dead_bridge),
        cmocka_unit_test(test_any_other_number_is_a_sign_of_life),
        cmocka_unit_test(test_the_length_of_the_lease_is_that_of_its_holder),
        cmocka_unit_test(test_after_a_failed_renewal_the_time_of_everybody_begins_anew),
        cmocka_unit_test(test_a_bridge_that_was_paused_itself_begins_anew_as_well),
        cmocka_unit_test(test_a_slow_renewal_within_the_own_lease_changes_nothing),
        cmocka_unit_test(test_bridges_that_come_and_go_are_noticed),
        cmocka_unit_test(test_the_own_row_is_never_dead),
        cmocka_unit_test(test_a_dead_bridge_is_reported_until_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
