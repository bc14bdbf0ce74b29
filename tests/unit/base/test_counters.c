#include "base/counters.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define THREADS       4
#define ADDS_A_THREAD 20000

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length > strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static void test_every_metric_has_a_prometheus_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *info = metric_info((enum metric)i);
        assert_non_null(info->name);
        assert_true(strncmp(info->name, "ecs_mqtt_bridge_", 16) == 0 ||
                    strncmp(info->name, "process_", 8) == 0);
        assert_int_equal(strspn(info->name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                         strlen(info->name));
        assert_true(ends_in(info->help, "."));
        assert_null(strpbrk(info->help, "\\\n|")); /* of the page, and of a table in Markdown */
    }
}

static void test_counters_end_in_total_and_gauges_do_not(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_info((enum metric)i)->name;
        bool is_counter = strcmp(metric_type((enum metric)i), "counter") == 0;
        if (ends_in(name, "_total") != is_counter) {
            fail_msg("%s", name);
        }
    }
}

static void test_times_are_seconds(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *info = metric_info((enum metric)i);
        const char *end = info->kind == METRIC_KIND_TIME        ? "_timestamp_seconds"
                          : info->kind == METRIC_KIND_AGE       ? "_age_seconds"
                          : info->kind == METRIC_KIND_HISTOGRAM ? "_seconds"
                                                                : "";
        if (end[0] != '\0' && !ends_in(info->name, end)) {
            fail_msg("%s", info->name);
        }
    }
}

static void test_no_name_stands_twice(void **state)
{
    (void)state;
    for (int a = 0; a < METRIC_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(metric_info((enum metric)a)->name,
                                    metric_info((enum metric)b)->name);
        }
    }
}

static void test_no_series_stands_twice_and_each_belongs_to_a_metric_of_counters(void **state)
{
    (void)state;
    for (int a = 0; a < COUNTER_COUNT; a++) {
        const struct counter_info *info = counter_info((enum counter)a);
        const struct metric_info *metric = metric_info(info->metric);
        assert_true(metric->kind <= METRIC_KIND_AGE);
        assert_int_equal(metric->label[0] == '\0', info->value[0] == '\0');
        for (int b = 0; b < a; b++) {
            const struct counter_info *other = counter_info((enum counter)b);
            assert_true(info->metric != other->metric || strcmp(info->value, other->value) != 0);
        }
    }
}

/* Tokens, groups, topics and client ids come from outside, without a limit. */
static void test_labels_are_of_a_small_set(void **state)
{
    (void)state;
    static const char *const allowed[] = {"",     "version", "state",  "reason",  "outcome",
                                          "code", "result",  "region", "process", "setting"};
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *label = metric_info((enum metric)i)->label;
        bool is_allowed = false;
        for (size_t a = 0; a < sizeof allowed / sizeof allowed[0]; a++) {
            is_allowed |= strcmp(label, allowed[a]) == 0;
        }
        if (!is_allowed) {
            fail_msg("%s", label);
        }
    }
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
    assert_int_equal(count, 14);
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

static void test_a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        size_t bucket;
        int64_t sum_us;
    } rows[] = {
        {-5, 0, 0},
        {0, 0, 0},
        {500, 0, 500},
        {501, 1, 501},
        {300000000, HISTOGRAM_BOUNDS - 1, 300000000},
        {300000001, HISTOGRAM_BOUNDS, 300000001},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct counters counters = {0};
        histogram_observe(&counters, HISTOGRAM_CALL, rows[i].us);
        assert_int_equal(counters.histograms[HISTOGRAM_CALL].buckets[rows[i].bucket], 1);
        assert_int_equal(counters.histograms[HISTOGRAM_CALL].sum_us, rows[i].sum_us);
        assert_int_equal(counters.histograms[HISTOGRAM_COMMIT].sum_us, 0);
    }
}

static void test_the_bounds_of_the_buckets_grow(void **state)
{
    (void)state;
    for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++) {
        assert_true(histogram_bounds_us[i] > histogram_bounds_us[i - 1]);
    }
}

static void test_after_64_regions_the_others_share_a_place(void **state)
{
    (void)state;
    struct counters counters = {0};
    char name[16];
    for (size_t i = 0; i < COUNTER_REGIONS_MAX + 3; i++) {
        snprintf(name, sizeof name, "region-%zu", i);
        size_t place = counters_region(&counters, name);
        assert_int_equal(place, i < COUNTER_REGIONS_MAX ? i : COUNTER_REGION_OTHER);
        regional_add(&counters, place, REGIONAL_CALLS, 1);
    }
    assert_int_equal(counters_region(&counters, "region-5"), 5);
    assert_int_equal(counters.regions[5].values[REGIONAL_CALLS], 1);
    assert_int_equal(counters.regions[5].values[REGIONAL_THROTTLED], 0);
    assert_int_equal(counters.regions[COUNTER_REGION_OTHER].values[REGIONAL_CALLS], 3);
}

static void *add_many(void *arg)
{
    struct counters *counters = arg;
    for (int i = 0; i < ADDS_A_THREAD; i++) {
        counter_add(counters, COUNTER_RETRIES, 1);
        histogram_observe(counters, HISTOGRAM_CALL, 700);
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
    assert_int_equal(counter_get(&counters, COUNTER_RETRIES), THREADS * ADDS_A_THREAD);
    assert_int_equal(counters.histograms[HISTOGRAM_CALL].buckets[1], THREADS * ADDS_A_THREAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_metric_has_a_prometheus_name_and_a_sentence),
        cmocka_unit_test(test_counters_end_in_total_and_gauges_do_not),
        cmocka_unit_test(test_times_are_seconds),
        cmocka_unit_test(test_no_name_stands_twice),
        cmocka_unit_test(test_no_series_stands_twice_and_each_belongs_to_a_metric_of_counters),
        cmocka_unit_test(test_labels_are_of_a_small_set),
        cmocka_unit_test(test_a_row_of_the_accounting_has_both_names),
        cmocka_unit_test(test_values_are_added_set_and_read_apart),
        cmocka_unit_test(test_a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed),
        cmocka_unit_test(test_the_bounds_of_the_buckets_grow),
        cmocka_unit_test(test_after_64_regions_the_others_share_a_place),
        cmocka_unit_test(test_threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
