/* Sections, keys, comments and quotes, and the errors with their lines. */
#include "base/buf.h"
#include "base/section.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const keys[] = {"type", "id", "policy"};

static void assert_reads(const char *text, const char *type, const char *id)
{
    struct slice values[3];
    struct section_fault fault = {0};
    assert_int_equal(section_read(slice_text(text), "default", keys, 3, values, &fault), STATUS_OK);
    assert_true(slice_equals(values[0], slice_text(type)));
    assert_int_equal(slice_is_present(values[0]), type != NULL);
    assert_true(slice_equals(values[1], slice_text(id)));
    assert_int_equal(slice_is_present(values[1]), id != NULL);
    assert_false(slice_is_present(values[2]));
}

static void test_the_keys_of_one_section_are_read(void **state)
{
    (void)state;
    assert_reads("[default]\ntype=access_key\nid=a\n", "access_key", "a");
    assert_reads("[other]\nid=b\n[ default ]\n\ttype = access_key \nid\t=\ta\n[x]\nid=c",
                 "access_key", "a");
    assert_reads("[default]\r\ntype = t\r\n", "t", NULL);
    assert_reads("\xEF\xBB\xBF[default]\nid=\n", NULL, "");
    assert_reads("[default]\nother=1\nother=2\nID=3\n", NULL, NULL);
}

static void test_a_key_ends_at_the_first_equals_sign_or_colon(void **state)
{
    (void)state;
    assert_reads("[default]\ntype: t\nid:a=b\n", "t", "a=b");
    assert_reads("[default]\ntype = acs:ram::1:role/x\nid = : a\n", "acs:ram::1:role/x", ": a");
    assert_reads("[default]\nid:type = a\n", NULL, "type = a");
}

static void test_comments_are_ignored(void **state)
{
    (void)state;
    assert_reads("# a\n; b\n [default]  # c\n  # d\ntype = t ; e\nid = a#b;c\t# f\n", "t", "a#b;c");
    assert_reads("[default]\nid = # nothing\n", NULL, "");
}

static void test_quotes_preserve_white_space_and_comment_marks(void **state)
{
    (void)state;
    assert_reads("[default]\ntype=\" a # b \" # c\nid='x\"y'\n", " a # b ", "x\"y");
    assert_reads("[default]\nid=x\"y\"\n", NULL, "x\"y\"");
    assert_reads("[default]\nid=a=b==\n", NULL, "a=b==");
}

static void test_a_missing_section_is_reported(void **state)
{
    (void)state;
    static const char *const texts[] = {"",     "\n\n",       "# x", "[Default]\nid=a\n",
                                        "[]\n", "[default]\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct slice values[3];
        struct section_fault fault = {0};
        assert_int_equal(section_read(slice_text(texts[i]), "default", keys, 3, values, &fault),
                         STATUS_NOT_FOUND);
    }
}

static void test_an_error_names_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t line;
        const char *what;
    } rows[] = {
        {"[default\n", 1, "a section without its closing bracket"},
        {"[", 1, "a section without its closing bracket"},
        {"[default # ]\n", 1, "a section without its closing bracket"},
        {"[default] x\n", 1, "a section without its closing bracket"},
        {" [default]-old]\nid=a\n", 1, "a section without its closing bracket"},
        {"\nid=a\n", 2, "a key before the first section"},
        {"[]\nid=a\n", 2, "a key before the first section"},
        {"[default]\n\nnothing\n", 3, "neither a section nor key = value"},
        {"[default]\n=a\n", 2, "neither a section nor key = value"},
        {"[default]\nid=a\nid=b\n", 3, "a key that appears a second time"},
        {"[default]\nid=\nid=b\n", 3, "a key that appears a second time"},
        {"[default]\nid=a\n[x]\ny=z\n[default]\ntype=t\n", 6, "the section appears a second time"},
        {"[default]\nid=a\n[default]\nid=b\n", 4, "a key that appears a second time"},
        {"[default]\nid=\"a\n", 2, "a value without its closing quote"},
        {"[default]\nid='a'b\n", 2, "a value with text after its closing quote"},
        {"[default]\n[x]\nbad\n", 3, "neither a section nor key = value"},
        {"[default]\nid=a\x01\n", 2, "a control character"},
        {"[default]\nid=a\r\r\n", 2, "a control character"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice values[3] = {{"kept", 4}, {0}, {0}};
        struct section_fault fault = {0};
        assert_int_equal(section_read(slice_text(rows[i].text), "default", keys, 3, values, &fault),
                         STATUS_INVALID);
        assert_int_equal(fault.line, rows[i].line);
        assert_string_equal(fault.what, rows[i].what);
        assert_true(slice_equals_text(values[0], "kept"));
    }
    struct slice values[3];
    struct section_fault fault = {0};
    assert_int_equal(
        section_read(slice_of("[default]\nid=a\0b\n", 17), "default", keys, 3, values, &fault),
        STATUS_INVALID);
    assert_string_equal(fault.what, "a control character");
}

/* The longest line that libinih reads. It would truncate a longer one, or read the rest of it as
 * another key. */
static void test_a_line_that_is_too_long_is_refused_and_not_truncated(void **state)
{
    (void)state;
    struct slice values[3];
    struct section_fault fault = {0};
    struct buf text = {0};
    buf_append_text(&text, "[default]\nid=");
    while (text.length < strlen("[default]\n") + SECTION_LINE_BYTES_MAX) {
        buf_append_char(&text, 'k');
    }
    assert_int_equal(section_read(buf_slice(&text), "default", keys, 3, values, &fault), STATUS_OK);
    assert_int_equal(values[1].length, SECTION_LINE_BYTES_MAX - strlen("id="));
    buf_append_text(&text, "k\ntype=t\n");
    assert_int_equal(section_read(buf_slice(&text), "default", keys, 3, values, &fault),
                     STATUS_INVALID);
    assert_string_equal(fault.what, "a line that is too long");
    assert_int_equal(fault.line, 2);
    buf_fini(&text);
}

/* libinih truncates names to 49 bytes: two that start alike would be the same. */
static void test_a_section_with_a_long_name_is_never_mistaken_for_another(void **state)
{
    (void)state;
    static const char name[] = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeffff";
    for (size_t length = SECTION_NAME_BYTES_MAX - 1; length < sizeof name - 1; length++) {
        char wanted[sizeof name];
        struct slice values[3];
        struct section_fault fault = {0};
        struct buf text = {0};
        snprintf(wanted, sizeof wanted, "%.*s", (int)length, name);
        buf_printf(&text, "[%s-other]\nid=wrong\n", wanted);
        assert_int_not_equal(section_read(buf_slice(&text), wanted, keys, 3, values, &fault),
                             STATUS_OK);
        buf_clear(&text);
        buf_printf(&text, "[%s]\nid=right\n", wanted);
        assert_int_equal(section_read(buf_slice(&text), wanted, keys, 3, values, &fault),
                         length <= SECTION_NAME_BYTES_MAX ? STATUS_OK : STATUS_INVALID);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_keys_of_one_section_are_read),
        cmocka_unit_test(test_a_key_ends_at_the_first_equals_sign_or_colon),
        cmocka_unit_test(test_comments_are_ignored),
        cmocka_unit_test(test_quotes_preserve_white_space_and_comment_marks),
        cmocka_unit_test(test_a_missing_section_is_reported),
        cmocka_unit_test(test_an_error_names_its_line),
        cmocka_unit_test(test_a_line_that_is_too_long_is_refused_and_not_truncated),
        cmocka_unit_test(test_a_section_with_a_long_name_is_never_mistaken_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
