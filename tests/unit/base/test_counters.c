#include "base/counters.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define THREADS       4
#define ADDS_A_THREAD 20000

static void test_every_metric_has_a_prometheus_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *info = counter_info((enum counter)i);
        assert_non_null(info->name);
        assert_true(info->name[0] >= 'a' && info->name[0] <= 'z');
        assert_int_equal(strspn(info->name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                         strlen(info->name));
        size_t length = strlen(info->help);
        assert_true(length > 0 && info->help[length - 1] == '.');
    }
}

static void test_counters_end_in_total_and_gauges_do_not(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *info = counter_info((enum counter)i);
        size_t length = strlen(info->name);
        bool is_total = length > 6 && strcmp(info->name + length - 6, "_total") == 0;
        if (is_total != (info->kind == COUNTER_KIND_COUNTER)) {
            fail_msg("%s", info->name);
        }
    }
}

static void test_no_name_stands_twice(void **state)
{
    (void)state;
    for (int a = 0; a < COUNTER_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(counter_info((enum counter)a)->name,
                                    counter_info((enum counter)b)->name);
        }
    }
}

static void test_the_table_is_in_the_order_of_the_enum(void **state)
{
    (void)state;
    assert_string_equal(counter_info(COUNTER_RECEIVED)->name, "commands_received_total");
    assert_string_equal(counter_info(COUNTER_IN_WORK)->name, "commands_in_work");
    assert_int_equal(counter_info(COUNTER_IN_WORK)->kind, COUNTER_KIND_GAUGE);
}

static void test_a_row_of_the_accounting_has_both_names(void **state)
{
    (void)state;
    int count = 0;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *info = counter_info((enum counter)i);
        assert_int_equal(info->count_name == NULL, info->log_name == NULL);
        count += info->count_name != NULL;
    }
    assert_int_equal(count, 12);
}

static void test_values_are_added_set_and_read_apart(void **state)
{
    (void)state;
    struct counters counters = {0};
    counter_add(&counters, COUNTER_RECEIVED, 2);
    counter_add(&counters, COUNTER_RECEIVED, 3);
    counter_set(&counters, COUNTER_IN_WORK, 7);
    counter_add(&counters, COUNTER_IN_WORK, -1);
    assert_int_equal(counter_get(&counters, COUNTER_RECEIVED), 5);
    assert_int_equal(counter_get(&counters, COUNTER_IN_WORK), 6);
    assert_int_equal(counter_get(&counters, COUNTER_SUCCEEDED), 0);
}

static void *add_many(void *arg)
{
    struct counters *counters = arg;
    for (int i = 0; i < ADDS_A_THREAD; i++) {
        counter_add(counters, COUNTER_ATTEMPTS, 1);
    }
    return NULL;
}

static void test_threads_lose_no_count(void **state)
{
    (void)state;
    struct counters counters = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &counters), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(counter_get(&counters, COUNTER_ATTEMPTS), THREADS * ADDS_A_THREAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_metric_has_a_prometheus_name_and_a_sentence),
        cmocka_unit_test(test_counters_end_in_total_and_gauges_do_not),
        cmocka_unit_test(test_no_name_stands_twice),
        cmocka_unit_test(test_the_table_is_in_the_order_of_the_enum),
        cmocka_unit_test(test_a_row_of_the_accounting_has_both_names),
        cmocka_unit_test(test_values_are_added_set_and_read_apart),
        cmocka_unit_test(test_threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
