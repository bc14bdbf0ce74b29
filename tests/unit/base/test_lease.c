/* Until when a holder of a lease may act. */
#include "base/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LEASE_MS 10000

static void test_without_a_shared_ledger_it_is_always_valid(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease);
    assert_true(lease.is_valid);
    assert_int_equal(lease_check(&lease, INT64_MAX - 1), LEASE_SAME);
    assert_true(lease.is_valid);
    assert_int_equal(lease_valid_until_ms(&lease), 0);
    assert_int_equal(lease_valid_until_ms(NULL), 0);
}

static void test_it_is_valid_for_the_lease_less_the_margin_after_a_renewal_was_sent(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease);
    lease_begin(&lease);
    assert_false(lease.is_valid);
    assert_int_equal(lease_check(&lease, 1000), LEASE_SAME);
    lease_renewed(&lease, 1000, LEASE_MS);
    assert_int_equal(lease_valid_until_ms(&lease), 9000);
    assert_int_equal(lease_check(&lease, 8999), LEASE_REGAINED);
    assert_true(lease.is_valid);
    assert_int_equal(lease_check(&lease, 8999), LEASE_SAME);
    assert_int_equal(lease_check(&lease, 9000), LEASE_LAPSED);
    assert_false(lease.is_valid);
    assert_int_equal(lease_check(&lease, 9500), LEASE_SAME);
}

/* A database that was away for a minute expels nobody. */
static void test_a_lapsed_lease_that_nobody_took_over_can_be_renewed(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease);
    lease_begin(&lease);
    lease_renewed(&lease, 0, LEASE_MS);
    assert_int_equal(lease_check(&lease, 1), LEASE_REGAINED);
    assert_int_equal(lease_check(&lease, 60000), LEASE_LAPSED);
    lease_renewed(&lease, 60000, LEASE_MS);
    assert_int_equal(lease_check(&lease, 60001), LEASE_REGAINED);
    assert_true(lease.is_valid);
}

static void test_a_lost_lease_never_becomes_valid_again(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease);
    lease_begin(&lease);
    lease_renewed(&lease, 0, LEASE_MS);
    assert_int_equal(lease_check(&lease, 1), LEASE_REGAINED);
    lease_lose(&lease);
    assert_int_equal(lease_check(&lease, 2), LEASE_LOST);
    assert_false(lease.is_valid);
    lease_renewed(&lease, 2, LEASE_MS);
    assert_int_equal(lease_check(&lease, 3), LEASE_LOST);
    assert_false(lease.is_valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_shared_ledger_it_is_always_valid),
        cmocka_unit_test(test_it_is_valid_for_the_lease_less_the_margin_after_a_renewal_was_sent),
        cmocka_unit_test(test_a_lapsed_lease_that_nobody_took_over_can_be_renewed),
        cmocka_unit_test(test_a_lost_lease_never_becomes_valid_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
