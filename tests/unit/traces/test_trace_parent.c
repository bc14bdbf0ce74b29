#include "traces/trace_parent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static bool read_text(const char *text, struct trace_parent *out)
{
    return trace_parent_read(slice_text(text), out);
}

static void test_a_parent_has_its_ids(void **state)
{
    struct trace_parent parent;
    (void)state;
    assert_true(read_text("00-" TRACE "-" SPAN "-01", &parent));
    assert_string_equal(parent.trace_id, TRACE);
    assert_string_equal(parent.span_id, SPAN);
    assert_true(parent.is_sampled);
}

static void test_only_the_lowest_flag_says_sampled(void **state)
{
    static const struct {
        const char *text;
        bool is_sampled;
    } rows[] = {
        {"00-" TRACE "-" SPAN "-00", false}, {"00-" TRACE "-" SPAN "-02", false},
        {"00-" TRACE "-" SPAN "-03", true},  {"00-" TRACE "-" SPAN "-ff", true},
        {"00-" TRACE "-" SPAN "-0a", false}, {"00-" TRACE "-" SPAN "-0b", true},
        {"00-" TRACE "-" SPAN "-10", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trace_parent parent;
        assert_true(read_text(rows[i].text, &parent));
        assert_int_equal(parent.is_sampled, rows[i].is_sampled);
    }
}

static void test_what_a_later_version_adds_is_ignored(void **state)
{
    struct trace_parent parent;
    (void)state;
    assert_true(read_text("01-" TRACE "-" SPAN "-01", &parent));
    assert_true(read_text("cc-" TRACE "-" SPAN "-01-what-comes", &parent));
    assert_string_equal(parent.span_id, SPAN);
    assert_false(read_text("cc-" TRACE "-" SPAN "-01.what-comes", &parent));
}

static void test_other_texts_are_no_parent(void **state)
{
    static const char *const texts[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-0g",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-011",
        "ff-" TRACE "-" SPAN "-01",
        "0G-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        " 00-" TRACE "-" SPAN "-01",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct trace_parent parent = {.span_id = "untouched"};
        assert_false(read_text(texts[i], &parent));
        assert_string_equal(parent.span_id, "untouched");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_parent_has_its_ids),
        cmocka_unit_test(test_only_the_lowest_flag_says_sampled),
        cmocka_unit_test(test_what_a_later_version_adds_is_ignored),
        cmocka_unit_test(test_other_texts_are_no_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
