#include "base/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int take_all(struct bucket *bucket, int64_t now_ms)
{
    int count = 0;
    while (bucket_take(bucket, now_ms)) {
        count++;
        assert_in_range(count, 1, 100000);
    }
    return count;
}

static void test_a_new_bucket_gives_its_burst_and_then_nothing(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 20, 40, 5000);
    assert_int_equal(take_all(&bucket, 5000), 40);
    assert_int_equal(bucket_wait_ms(&bucket, 5000), 50);
    assert_false(bucket_take(&bucket, 5049));
    assert_true(bucket_take(&bucket, 5050));
    assert_false(bucket_take(&bucket, 5050));
}

static void test_an_idle_bucket_never_saves_more_than_its_burst(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 20, 5, 0);
    take_all(&bucket, 0);
    assert_int_equal(take_all(&bucket, INT64_C(1) << 40), 5);
    bucket_give_back(&bucket);
    bucket_give_back(&bucket);
    assert_int_equal(take_all(&bucket, INT64_C(1) << 40), 2);
    for (int i = 0; i < 20; i++) {
        bucket_give_back(&bucket);
    }
    assert_int_equal(take_all(&bucket, INT64_C(1) << 40), 5);
}

static void test_a_clock_that_stands_still_or_goes_back_gives_nothing(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 1000, 1, 10000);
    assert_int_equal(take_all(&bucket, 10000), 1);
    assert_int_equal(take_all(&bucket, 10000), 0);
    assert_int_equal(take_all(&bucket, 5000), 0);
    assert_true(bucket_wait_ms(&bucket, 5000) >= 1);
    assert_int_equal(take_all(&bucket, 10000), 0);
    assert_int_equal(take_all(&bucket, 10001), 1);
}

static void test_the_long_run_rate_is_the_configured_one(void **state)
{
    (void)state;
    static const double rates[] = {0.5, 1, 20, 333.3};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct bucket bucket;
        bucket_init(&bucket, rates[i], 3, 0);
        int64_t taken = 0;
        for (int64_t now_ms = 0; now_ms <= 100000; now_ms += 3) {
            taken += take_all(&bucket, now_ms);
        }
        assert_in_range(taken, (int64_t)(rates[i] * 100) - 1, (int64_t)(rates[i] * 100) + 4);
    }
}

static void test_no_span_of_time_gives_more_than_burst_and_rate_allow(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 50; round++) {
        double rate = 1 + next_random(&seed) % 50;
        double burst = 1 + next_random(&seed) % 20;
        struct bucket bucket;
        bucket_init(&bucket, rate, burst, 0);
        int64_t now_ms = 0;
        double taken = 0;
        for (int step = 0; step < 500; step++) {
            now_ms += next_random(&seed) % 300;
            if (next_random(&seed) % 50 == 0) {
                bucket_slow_down(&bucket, now_ms, next_random(&seed) % 500);
            }
            taken += take_all(&bucket, now_ms);
            assert_true(taken <= burst + rate * (double)now_ms / 1000 + 1e-6);
            assert_true(bucket.current_per_s >= rate / 64 && bucket.current_per_s <= rate);
        }
    }
}

static void test_a_token_is_there_after_the_wait_and_not_much_earlier(void **state)
{
    (void)state;
    uint32_t seed = 99;
    struct bucket bucket;
    bucket_init(&bucket, 7.3, 4, 0);
    int64_t now_ms = 0;
    for (int step = 0; step < 20000; step++) {
        uint32_t random = next_random(&seed);
        now_ms += random % 40;
        if (random % 97 == 0) {
            bucket_slow_down(&bucket, now_ms, random % 5 == 0 ? random % 3000 : 0);
        }
        int64_t wait_ms = bucket_wait_ms(&bucket, now_ms);
        if (wait_ms > 1) {
            struct bucket ahead = bucket;
            assert_false(bucket_take(&ahead, now_ms + wait_ms - 2));
        }
        now_ms += wait_ms;
        assert_true(bucket_take(&bucket, now_ms));
    }
}

static void test_another_rate_counts_from_now_on_and_keeps_what_throttling_took(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 10, 40, 0);
    take_all(&bucket, 0);
    bucket_change(&bucket, 100, 5, 1000);
    assert_int_equal(take_all(&bucket, 1000), 5); /* ten had come; the burst is smaller now */
    assert_int_equal(bucket_wait_ms(&bucket, 1000), 10);
    bucket_slow_down(&bucket, 1000, 0);
    bucket_change(&bucket, 10, 5, 1000);
    assert_int_equal(bucket_wait_ms(&bucket, 1000), 200);
}

static void test_throttling_halves_the_rate_at_most_once_a_second(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 64, 1, 0);
    bucket_slow_down(&bucket, 0, 0);
    assert_float_equal(bucket.current_per_s, 32, 1e-9);
    bucket_slow_down(&bucket, 500, 0);
    bucket_slow_down(&bucket, 999, 0);
    assert_float_equal(bucket.current_per_s, 32, 1e-9);
    bucket_slow_down(&bucket, 1000, 0);
    assert_float_equal(bucket.current_per_s, 16, 1e-9);
}

static void test_the_rate_never_falls_below_a_64th(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 64, 1, 0);
    for (int64_t now_ms = 0; now_ms <= 60000; now_ms += 250) {
        bucket_slow_down(&bucket, now_ms, 0);
    }
    assert_float_equal(bucket.current_per_s, 1, 1e-9);
}

static void test_every_second_without_throttling_adds_a_20th_of_the_rate(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 20, 1, 0);
    bucket_slow_down(&bucket, 0, 0);
    static const struct {
        int64_t now_ms;
        double rate;
    } rows[] = {{999, 10},  {1000, 11},  {1999, 11}, {2000, 12},
                {9999, 19}, {10000, 20}, {90000, 20}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bucket_wait_ms(&bucket, rows[i].now_ms);
        assert_float_equal(bucket.current_per_s, rows[i].rate, 1e-9);
    }
}

static void test_a_second_with_throttling_in_it_adds_nothing(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 20, 1, 0);
    bucket_slow_down(&bucket, 0, 0);
    bucket_slow_down(&bucket, 900, 0);
    bucket_wait_ms(&bucket, 1899);
    assert_float_equal(bucket.current_per_s, 10, 1e-9);
    bucket_wait_ms(&bucket, 1900);
    assert_float_equal(bucket.current_per_s, 11, 1e-9);
}

static void test_one_long_gap_gives_what_many_short_ones_give(void **state)
{
    (void)state;
    struct bucket once;
    bucket_init(&once, 20, 1000, 0);
    take_all(&once, 0);
    bucket_slow_down(&once, 0, 0);
    struct bucket often = once;
    for (int64_t now_ms = 0; now_ms <= 15000; now_ms += 7) {
        bucket_wait_ms(&often, now_ms);
    }
    bucket_wait_ms(&often, 15000);
    bucket_wait_ms(&once, 15000);
    assert_float_equal(once.tokens, often.tokens, 1e-6);
    /* 10 + 11 + ... + 19 in the first ten seconds, then 20 a second. */
    assert_float_equal(once.tokens, 145 + 100, 1e-6);
}

static void test_no_tokens_come_during_a_pause(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 64, 10, 0);
    assert_int_equal(take_all(&bucket, 0), 10);
    bucket_slow_down(&bucket, 0, 3000);
    assert_false(bucket_take(&bucket, 2999));
    assert_in_range(bucket_wait_ms(&bucket, 2999), 1, 40);
    assert_int_equal(take_all(&bucket, 3000), 0);
    assert_true(bucket_take(&bucket, 3032));
}

static void test_tokens_from_before_a_pause_are_there_after_it(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 64, 10, 0);
    bucket_slow_down(&bucket, 0, 500);
    assert_int_equal(bucket_wait_ms(&bucket, 0), 500);
    assert_int_equal(take_all(&bucket, 499), 0);
    assert_int_equal(take_all(&bucket, 500), 10);
}

static void test_a_shorter_pause_does_not_cut_a_longer_one(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 64, 10, 0);
    bucket_slow_down(&bucket, 0, 5000);
    bucket_slow_down(&bucket, 100, 10);
    assert_false(bucket_take(&bucket, 4999));
    assert_true(bucket_take(&bucket, 5000));
}

static void test_a_bucket_is_full_again_after_burst_throttling_and_pause(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 20, 2, 0);
    assert_true(bucket_is_full(&bucket, 0));
    assert_true(bucket_take(&bucket, 0));
    assert_false(bucket_is_full(&bucket, 49));
    assert_true(bucket_is_full(&bucket, 50));
    bucket_slow_down(&bucket, 50, 20000);
    assert_false(bucket_is_full(&bucket, 10049));
    assert_false(bucket_is_full(&bucket, 20049));
    assert_true(bucket_is_full(&bucket, 20050));
    bucket_slow_down(&bucket, 30000, 0);
    assert_false(bucket_is_full(&bucket, 39999));
    assert_true(bucket_is_full(&bucket, 40000));
}

static void test_absurd_pauses_and_rates_do_not_overflow(void **state)
{
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 1e-30, 1, INT64_MAX - 10);
    assert_true(bucket_take(&bucket, INT64_MAX - 10));
    assert_true(bucket_wait_ms(&bucket, INT64_MAX - 10) >= 1);
    bucket_slow_down(&bucket, INT64_MAX - 5, INT64_MAX);
    assert_false(bucket_take(&bucket, INT64_MAX - 1));
    assert_true(bucket_wait_ms(&bucket, INT64_MAX - 1) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_bucket_gives_its_burst_and_then_nothing),
        cmocka_unit_test(test_an_idle_bucket_never_saves_more_than_its_burst),
        cmocka_unit_test(test_a_clock_that_stands_still_or_goes_back_gives_nothing),
        cmocka_unit_test(test_the_long_run_rate_is_the_configured_one),
        cmocka_unit_test(test_no_span_of_time_gives_more_than_burst_and_rate_allow),
        cmocka_unit_test(test_a_token_is_there_after_the_wait_and_not_much_earlier),
        cmocka_unit_test(test_another_rate_counts_from_now_on_and_keeps_what_throttling_took),
        cmocka_unit_test(test_throttling_halves_the_rate_at_most_once_a_second),
        cmocka_unit_test(test_the_rate_never_falls_below_a_64th),
        cmocka_unit_test(test_every_second_without_throttling_adds_a_20th_of_the_rate),
        cmocka_unit_test(test_a_second_with_throttling_in_it_adds_nothing),
        cmocka_unit_test(test_one_long_gap_gives_what_many_short_ones_give),
        cmocka_unit_test(test_no_tokens_come_during_a_pause),
        cmocka_unit_test(test_tokens_from_before_a_pause_are_there_after_it),
        cmocka_unit_test(test_a_shorter_pause_does_not_cut_a_longer_one),
        cmocka_unit_test(test_a_bucket_is_full_again_after_burst_throttling_and_pause),
        cmocka_unit_test(test_absurd_pauses_and_rates_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
