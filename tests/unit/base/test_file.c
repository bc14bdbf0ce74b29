#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static void test_the_directory_of_a_file_is_synced(void **state)
{
    (void)state;
    assert_int_equal(file_sync_directory_of("/tmp/no such file"), 0);
    assert_int_equal(file_sync_directory_of("no such file"), 0);
}

static void test_a_directory_that_cannot_be_synced_sets_errno(void **state)
{
    (void)state;
    assert_int_equal(file_sync_directory_of("/no such directory/file"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_sync_directory_of("/proc/self/file"), -1);
    assert_int_equal(errno, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_directory_of_a_file_is_synced),
        cmocka_unit_test(test_a_directory_that_cannot_be_synced_sets_errno),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
