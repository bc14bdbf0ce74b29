#include "model/region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz0123456789"

static void test_a_region_is_one_label_of_a_host_name(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool is_valid;
    } rows[] = {
        {{"cn-beijing", 10}, true},
        {{"a", 1}, true},
        {{"-", 1}, true},
        {{TEXT_63, 63}, true},
        {{TEXT_63 "x", 64}, false},
        {{"", 0}, false},
        {{NULL, 0}, false},
        /* The same host as cn-beijing, but another name to everybody who compares names. */
        {{"CN-BEIJING", 10}, false},
        {{"cn-Beijing", 10}, false},
        {{"cn.beijing", 10}, false},
        {{"cn/beijing", 10}, false},
        {{"cn_beijing", 10}, false},
        {{"cn beijing", 10}, false},
        {{"cn-beijing\n", 11}, false},
        {{"cn\0beijing", 10}, false},
        {{"cn-\xc3\xa4", 5}, false},
        {{"a@b", 3}, false},
        {{"a:b", 3}, false},
        {{"{a}", 3}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(region_is_valid(rows[i].text), rows[i].is_valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_region_is_one_label_of_a_host_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
