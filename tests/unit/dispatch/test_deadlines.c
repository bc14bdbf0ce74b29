/* Which command has the earliest deadline, however they come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatch/deadlines.h"

#include <string.h>

enum { COUNT = 300 };

static struct task tasks[COUNT];
static struct deadlines deadlines;

static int set_up(void **state)
{
    (void)state;
    memset(tasks, 0, sizeof tasks);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    deadlines_fini(&deadlines);
    return 0;
}

/* A pseudo-random number below `limit`. */
static uint32_t random_below(uint32_t limit)
{
    static uint32_t random = 1;
    random = random * 1664525u + 1013904223u;
    return (random >> 16) % limit;
}

static void assert_first_is_earliest(void)
{
    const struct task *earliest = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        if (tasks[i].deadline_place != 0 &&
            (earliest == NULL || tasks[i].deadline_ms < earliest->deadline_ms)) {
            earliest = &tasks[i];
        }
    }
    const struct task *first = deadlines_first(&deadlines);
    assert_int_equal(first == NULL, earliest == NULL);
    assert_true(first == NULL || first->deadline_ms == earliest->deadline_ms);
}

static void test_the_first_is_the_earliest_however_they_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct task *task = &tasks[random_below(COUNT)];
        if (task->deadline_place != 0) {
            deadlines_remove(&deadlines, task);
        } else {
            task->deadline_ms = random_below(100); /* many are equal */
            deadlines_add(&deadlines, task);
        }
        assert_first_is_earliest();
    }
}

static void test_they_are_taken_in_order(void **state)
{
    int64_t last_ms = -1;
    size_t count = 0;
    struct task *task;
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        tasks[i].deadline_ms = random_below(1000);
        deadlines_add(&deadlines, &tasks[i]);
    }
    while ((task = deadlines_first(&deadlines)) != NULL) {
        assert_true(task->deadline_ms >= last_ms);
        last_ms = task->deadline_ms;
        deadlines_remove(&deadlines, task);
        count++;
    }
    assert_int_equal(count, COUNT);
}

static void test_a_command_is_in_it_once(void **state)
{
    (void)state;
    deadlines_remove(&deadlines, &tasks[0]);
    assert_null(deadlines_first(&deadlines));
    deadlines_add(&deadlines, &tasks[0]);
    deadlines_add(&deadlines, &tasks[0]);
    deadlines_remove(&deadlines, &tasks[0]);
    assert_null(deadlines_first(&deadlines));
    deadlines_remove(&deadlines, &tasks[0]);
    assert_null(deadlines_first(&deadlines));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_the_first_is_the_earliest_however_they_come_and_go),
        TEST(test_they_are_taken_in_order),
        TEST(test_a_command_is_in_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
