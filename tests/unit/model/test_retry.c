#include "model/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_longest_delay_doubles_up_to_the_cap(void **state)
{
    (void)state;
    static const int64_t longest[] = {500, 1000, 2000, 4000, 8000, 16000, 20000, 20000};
    for (uint32_t i = 0; i < sizeof longest / sizeof longest[0]; i++) {
        assert_int_equal(retry_delay_ms(i + 1, RETRY_API_BASE_MS, RETRY_API_CAP_MS, UINT32_MAX),
                         longest[i]);
        assert_int_equal(retry_delay_ms(i + 1, RETRY_API_BASE_MS, RETRY_API_CAP_MS, 0), 0);
    }
}

static void test_the_jitter_covers_the_whole_range_evenly(void **state)
{
    (void)state;
    static const struct {
        uint32_t random;
        int64_t delay_ms;
    } rows[] = {{UINT32_MAX / 4, 125}, {UINT32_MAX / 2, 250}, {UINT32_MAX / 4 * 3, 375}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t delay_ms = retry_delay_ms(1, 500, 20000, rows[i].random);
        assert_in_range(delay_ms, rows[i].delay_ms - 1, rows[i].delay_ms + 1);
    }
}

static void test_many_failures_and_huge_bounds_stay_within_the_cap(void **state)
{
    (void)state;
    static const uint32_t failures[] = {1, 40, 61, 62, 63, 64, 65, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        assert_in_range(retry_delay_ms(failures[i], 500, 20000, UINT32_MAX), 500, 20000);
        int64_t huge = retry_delay_ms(failures[i], INT64_MAX, INT64_MAX, UINT32_MAX);
        assert_true(huge > INT64_MAX / 2);
        assert_true(retry_reconnect_ms(failures[i], 1, INT64_MAX, UINT32_MAX) >= 1);
    }
}

static void test_a_base_above_the_cap_is_cut_and_zero_stays_zero(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_ms(1, 5000, 100, UINT32_MAX), 100);
    assert_int_equal(retry_delay_ms(9, 500, 0, UINT32_MAX), 0);
    assert_int_equal(retry_delay_ms(9, 0, 20000, UINT32_MAX), 0);
}

static void test_reconnecting_waits_at_least_half_the_bound(void **state)
{
    (void)state;
    static const int64_t bounds[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (uint32_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        assert_int_equal(retry_reconnect_ms(i + 1, 1000, 60000, 0), bounds[i] / 2);
        assert_int_equal(retry_reconnect_ms(i + 1, 1000, 60000, UINT32_MAX), bounds[i]);
    }
    assert_int_equal(retry_reconnect_ms(1, 1, 1, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_delay_doubles_up_to_the_cap),
        cmocka_unit_test(test_the_jitter_covers_the_whole_range_evenly),
        cmocka_unit_test(test_many_failures_and_huge_bounds_stay_within_the_cap),
        cmocka_unit_test(test_a_base_above_the_cap_is_cut_and_zero_stays_zero),
        cmocka_unit_test(test_reconnecting_waits_at_least_half_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
