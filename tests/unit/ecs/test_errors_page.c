/* The users' page of errors must be what the tables give. */
#include "documents.h"
#include "ecs/outcome_map.h"
#include "support/read_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_page_of_errors_is_what_the_tables_say(void **state)
{
    (void)state;
    struct buf expected = {0};
    struct buf found = {0};
    read_file("config/errors.md", &found);
    errors_page(&expected);
    assert_int_equal(found.length, expected.length);
    assert_memory_equal(found.data, expected.data, expected.length);
    buf_fini(&found);
    buf_fini(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_of_errors_is_what_the_tables_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
