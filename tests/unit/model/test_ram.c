/* Names of roles and sessions, at their limits. */
#include "model/ram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LONGEST "abcdefghijklmnopqrstuvwxyz.ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789"

static void test_names_have_letters_digits_and_few_marks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_role;
        bool is_session;
    } rows[] = {
        {"bridge-role_1.x", true, true},
        {LONGEST, true, true},
        {LONGEST "x", false, false},
        {"a", true, false},
        {"ab", true, true},
        {"", false, false},
        {"me@host", false, true},
        {"a b", false, false},
        {"a/b", false, false},
        {"a:b", false, false},
        {"a\xC3\xA4", false, false},
        {"ab\n", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(ram_role_name_is_valid(slice_text(rows[i].name)), rows[i].is_role);
        assert_int_equal(ram_session_name_is_valid(slice_text(rows[i].name)), rows[i].is_session);
    }
    assert_false(ram_role_name_is_valid(slice_of("a\0b", 3)));
    assert_false(ram_session_name_is_valid(slice_of("a\0b", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_have_letters_digits_and_few_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
