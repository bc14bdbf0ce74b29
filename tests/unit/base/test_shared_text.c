#include "base/shared_text.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 20000, LENGTH = 64 };

static void *replace_often(void *arg)
{
    char text[LENGTH];
    for (int i = 0; i < ROUNDS; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        shared_text_set(arg, slice_of(text, sizeof text));
    }
    return NULL;
}

static void test_a_copy_is_always_of_one_text(void **state)
{
    struct shared_text shared;
    struct buf copy = {0};
    pthread_t writer;
    (void)state;
    shared_text_init(&shared);
    shared_text_append_to(&shared, &copy);
    assert_int_equal(copy.length, 0);
    replace_often(&shared);
    assert_int_equal(pthread_create(&writer, NULL, replace_often, &shared), 0);
    for (int i = 0; i < ROUNDS; i++) {
        buf_clear(&copy);
        shared_text_append_to(&shared, &copy);
        assert_int_equal(copy.length, LENGTH);
        assert_memory_equal(copy.data, copy.data + 1, LENGTH - 1);
    }
    pthread_join(writer, NULL);
    buf_fini(&copy);
    shared_text_fini(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_copy_is_always_of_one_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
