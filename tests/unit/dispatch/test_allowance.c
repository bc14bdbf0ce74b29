/* A rate that bridges share: chunks of tokens, asked for in time, and throttling that others tell.
 */
#include "dispatch/allowance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RATE  20
#define BURST 40
#define CHUNK 5

static struct {
    struct allowance allowance;
    struct allowance_ask last;
    unsigned ask_count;
} fixture;

static void on_ask(void *arg, const struct allowance_ask *ask)
{
    (void)arg;
    fixture.last = *ask;
    fixture.ask_count++;
}

static const struct allowance_source source = {.ask = on_ask};

static int set_up(void **state)
{
    (void)state;
    fixture.ask_count = 0;
    allowance_init(&fixture.allowance, &source, "cn-a", RATE, BURST, 0);
    return 0;
}

static bool take(int64_t now_ms)
{
    return allowance_take(&fixture.allowance, now_ms);
}

static void grant(int64_t count, int64_t now_ms)
{
    const struct allowance_grant answer = {.count = count};
    allowance_granted(&fixture.allowance, &answer, now_ms);
}

static void test_without_a_source_it_is_the_bucket(void **state)
{
    (void)state;
    allowance_init(&fixture.allowance, NULL, "cn-a", RATE, 2, 0);
    assert_true(take(0));
    assert_true(take(0));
    assert_false(take(0));
    assert_int_equal(allowance_wait_ms(&fixture.allowance, 0), 50);
    allowance_give_back(&fixture.allowance);
    assert_int_equal(allowance_wait_ms(&fixture.allowance, 0), 0);
    assert_int_equal(fixture.ask_count, 0);
}

static void test_the_first_call_asks_for_a_chunk_and_asks_once(void **state)
{
    (void)state;
    assert_false(take(0));
    assert_false(take(10));
    assert_true(allowance_wait_ms(&fixture.allowance, 10) > 0);
    assert_int_equal(fixture.ask_count, 1);
    assert_string_equal(fixture.last.name, "cn-a");
    assert_int_equal(fixture.last.wanted_count, CHUNK);
    assert_true(fixture.last.rate_per_s > 19.9 && fixture.last.rate_per_s < 20.1);
    assert_false(fixture.last.is_slowed);
    grant(CHUNK, 20);
    assert_int_equal(allowance_wait_ms(&fixture.allowance, 20), 0);
}

static void test_the_next_chunk_is_asked_for_before_the_last_one_is_used_up(void **state)
{
    (void)state;
    take(0);
    grant(CHUNK, 0);
    assert_true(take(1));
    assert_true(take(1));
    assert_int_equal(fixture.ask_count, 1);
    assert_true(take(1));
    assert_int_equal(fixture.ask_count, 2);
    grant(CHUNK, 2);
    for (int i = 0; i < 2 + CHUNK; i++) {
        assert_true(take(3));
    }
    assert_false(take(3));
}

static void test_tokens_that_are_not_used_within_a_second_are_given_up(void **state)
{
    (void)state;
    take(0);
    grant(CHUNK, 0);
    assert_int_equal(allowance_wait_ms(&fixture.allowance, 999), 0);
    assert_false(take(1000));
    assert_int_equal(fixture.ask_count, 2);
}

static void test_where_there_is_no_token_it_is_asked_again_when_there_is_one(void **state)
{
    (void)state;
    take(0);
    const struct allowance_grant none = {.count = 0, .wait_ms = 300};
    allowance_granted(&fixture.allowance, &none, 10);
    assert_false(take(309));
    assert_int_equal(allowance_wait_ms(&fixture.allowance, 11), 299);
    assert_int_equal(fixture.ask_count, 1);
    assert_false(take(310));
    assert_int_equal(fixture.ask_count, 2);
}

static void test_a_source_that_fails_is_asked_again_after_a_second(void **state)
{
    (void)state;
    take(0);
    allowance_granted(&fixture.allowance, NULL, 0);
    assert_false(take(999));
    assert_int_equal(fixture.ask_count, 1);
    assert_false(take(1000));
    assert_int_equal(fixture.ask_count, 2);
}

static void test_a_throttled_bridge_pauses_at_once_and_reports_it(void **state)
{
    (void)state;
    take(0);
    grant(CHUNK, 0);
    allowance_slow_down(&fixture.allowance, 10, 2000);
    assert_int_equal(fixture.ask_count, 2);
    assert_true(fixture.last.is_slowed);
    assert_int_equal(fixture.last.wanted_count, 0);
    assert_int_equal(fixture.last.pause_ms, 2000);
    assert_true(fixture.last.rate_per_s > 9.9 && fixture.last.rate_per_s < 10.1);
    assert_false(take(2009));
    assert_int_equal(allowance_wait_ms(&fixture.allowance, 10), 2000);
    assert_int_equal(fixture.ask_count, 2); /* during the pause nothing is asked for */
    assert_false(take(2010));
    assert_int_equal(fixture.ask_count, 3);
}

static void test_what_throttled_another_bridge_counts_here_too(void **state)
{
    (void)state;
    take(0);
    const struct allowance_grant answer = {
        .count = 2, .pause_ms = 500, .slowed_per_s = 5, .slowed_ago_ms = 2500};
    allowance_granted(&fixture.allowance, &answer, 10000);
    /* 5 a second, and 2 steps of a 20th of 20 since then; the next one is half a second away. */
    assert_true(bucket_rate_per_s(&fixture.allowance.bucket, 10400) < 7.1);
    assert_true(bucket_rate_per_s(&fixture.allowance.bucket, 10400) > 6.9);
    assert_false(take(10499));
    assert_true(take(10500));
    assert_true(bucket_rate_per_s(&fixture.allowance.bucket, 10500) > 7.9);
    assert_int_equal(fixture.last.wanted_count, 2); /* a quarter of a second */
}

static void test_older_throttling_than_the_own_one_changes_nothing(void **state)
{
    (void)state;
    allowance_slow_down(&fixture.allowance, 1000, 0);
    const struct allowance_grant answer = {.count = 1, .slowed_per_s = 1, .slowed_ago_ms = 500};
    allowance_granted(&fixture.allowance, &answer, 1400);
    assert_true(bucket_rate_per_s(&fixture.allowance.bucket, 1400) > 9.9);
}

static void test_a_token_that_is_given_back_can_be_used(void **state)
{
    (void)state;
    take(0);
    grant(1, 0);
    assert_true(take(1));
    assert_false(take(1));
    allowance_give_back(&fixture.allowance);
    assert_true(take(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
        TEST(test_without_a_source_it_is_the_bucket),
        TEST(test_the_first_call_asks_for_a_chunk_and_asks_once),
        TEST(test_the_next_chunk_is_asked_for_before_the_last_one_is_used_up),
        TEST(test_tokens_that_are_not_used_within_a_second_are_given_up),
        TEST(test_where_there_is_no_token_it_is_asked_again_when_there_is_one),
        TEST(test_a_source_that_fails_is_asked_again_after_a_second),
        TEST(test_a_throttled_bridge_pauses_at_once_and_reports_it),
        TEST(test_what_throttled_another_bridge_counts_here_too),
        TEST(test_older_throttling_than_the_own_one_changes_nothing),
        TEST(test_a_token_that_is_given_back_can_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
