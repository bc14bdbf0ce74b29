/* Which item has the smallest key, however they come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"

#include <string.h>

enum { COUNT = 300 };

static struct heap_item items[COUNT];
static struct heap heap;

static int set_up(void **state)
{
    (void)state;
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < COUNT; i++) {
        items[i].owner = &items[i];
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    heap_fini(&heap);
    return 0;
}

/* A pseudo-random number below `limit`. */
static uint32_t random_below(uint32_t limit)
{
    static uint32_t random = 1;
    random = random * 1664525u + 1013904223u;
    return (random >> 16) % limit;
}

static void assert_first_is_smallest(void)
{
    const struct heap_item *smallest = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        if (items[i].heap != NULL && (smallest == NULL || items[i].key < smallest->key)) {
            smallest = &items[i];
        }
    }
    const struct heap_item *first = heap_first(&heap);
    assert_int_equal(first == NULL, smallest == NULL);
    assert_true(first == NULL || first->key == smallest->key);
}

static void test_the_first_is_the_smallest_however_they_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct heap_item *item = &items[random_below(COUNT)];
        if (item->heap != NULL) {
            heap_remove(item);
        } else {
            item->key = random_below(100); /* many are equal */
            heap_add(&heap, item);
        }
        assert_first_is_smallest();
    }
}

static void test_they_are_taken_in_order(void **state)
{
    int64_t last_key = -1;
    size_t count = 0;
    struct heap_item *item;
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        items[i].key = random_below(1000);
        heap_add(&heap, &items[i]);
    }
    while ((item = heap_first(&heap)) != NULL) {
        assert_true(item->key >= last_key);
        last_key = item->key;
        heap_remove(item);
        count++;
    }
    assert_int_equal(count, COUNT);
}

static void test_an_item_is_in_it_once(void **state)
{
    (void)state;
    heap_remove(&items[0]);
    assert_null(heap_first(&heap));
    heap_add(&heap, &items[0]);
    heap_add(&heap, &items[0]);
    heap_remove(&items[0]);
    assert_null(heap_first(&heap));
    heap_remove(&items[0]);
    assert_null(heap_first(&heap));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_the_first_is_the_smallest_however_they_come_and_go),
        TEST(test_they_are_taken_in_order),
        TEST(test_an_item_is_in_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
