#include "base/json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEPTH 8

struct refusal {
    const char *text;
    size_t offset;
    const char *what;
};

static struct json *parse(const char *text)
{
    struct json_fault fault = {"", 0};
    struct json *root = json_parse(slice_text(text), DEPTH, &fault);
    if (root == NULL) {
        fail_msg("%s: %s at %zu", text, fault.what, fault.offset);
    }
    return root;
}

static void assert_taken(struct slice text)
{
    struct json_fault fault = {"", 0};
    struct json *root = json_parse(text, DEPTH, &fault);
    if (root == NULL) {
        fail_msg("%.*s: %s at %zu", (int)text.length, text.data, fault.what, fault.offset);
    }
    json_free(root);
}

static void assert_refused(struct slice text)
{
    struct json_fault fault = {NULL, SIZE_MAX};
    struct json *root = json_parse(text, DEPTH, &fault);
    if (root != NULL) {
        fail_msg("%.*s was accepted", (int)text.length, text.length > 0 ? text.data : "");
    }
    assert_non_null(fault.what);
    assert_true(fault.offset <= text.length);
}

static void assert_number(const char *text, double expected)
{
    struct json *root = parse(text);
    assert_int_equal(json_kind(root), JSON_NUMBER);
    if (json_number(root) < expected || json_number(root) > expected) {
        fail_msg("%s was read as %g", text, json_number(root));
    }
    json_free(root);
}

static void assert_string(const char *text, const char *expected)
{
    struct json *root = parse(text);
    assert_int_equal(json_kind(root), JSON_TEXT);
    assert_string_equal(json_text(root).data, expected);
    assert_int_equal(json_text(root).length, strlen(expected));
    json_free(root);
}

static void test_every_kind_of_value_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_kind kind;
        const char *word;
    } values[] = {
        {"null", JSON_NULL, "null"},          {"false", JSON_FALSE, "boolean"},
        {"true", JSON_TRUE, "boolean"},       {"-1.5", JSON_NUMBER, "number"},
        {"\"x\"", JSON_TEXT, "string"},       {"[1]", JSON_ARRAY, "array"},
        {"{\"a\":1}", JSON_OBJECT, "object"},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct json *root = parse(values[i].text);
        assert_int_equal(json_kind(root), values[i].kind);
        assert_string_equal(json_kind_text(json_kind(root)), values[i].word);
        json_free(root);
    }
    json_free(NULL);
}

static void test_members_come_in_order_and_are_found_by_name(void **state)
{
    (void)state;
    struct json *root = parse("{\"a\":\"x\",\"A\":2,\"b\\u0063\":[1,true],\"\":null}");
    const struct json *member = json_first(root);
    assert_true(slice_equals_text(json_name(member), "a"));
    member = json_next(member);
    assert_true(slice_equals_text(json_name(member), "A"));
    assert_ptr_equal(member, json_member(root, "A"));
    member = json_next(member);
    assert_true(slice_equals_text(json_name(member), "bc"));
    assert_ptr_equal(member, json_member(root, "bc"));
    assert_int_equal(json_kind(json_first(member)), JSON_NUMBER);
    assert_int_equal(json_kind(json_next(json_first(member))), JSON_TRUE);
    assert_false(slice_is_present(json_name(json_first(member))));
    member = json_next(member);
    assert_ptr_equal(member, json_member(root, ""));
    assert_null(json_next(member));
    assert_null(json_member(root, "B"));
    json_free(root);
}

static void test_missing_members_read_as_absent(void **state)
{
    (void)state;
    struct json *root = parse("[1,\"x\"]");
    assert_null(json_member(NULL, "a"));
    assert_null(json_member(root, "a"));
    assert_false(slice_is_present(json_text(NULL)));
    assert_false(slice_is_present(json_text(root)));
    assert_true(json_number(NULL) == 0);
    assert_true(json_number(root) == 0);
    assert_null(json_next(root));
    assert_false(slice_is_present(json_name(root)));
    json_free(root);
    root = parse("{}");
    assert_null(json_first(root));
    json_free(root);
}

static void test_names_are_compared_byte_by_byte_and_the_first_of_repeated_ones_is_found(
    void **state)
{
    (void)state;
    struct json *root = parse("{\"a\":1,\"A\":2,\"\\u0061\":3,\"\xc3\xa9\":4,\"e\xcc\x81\":5}");
    assert_true(json_number(json_member(root, "a")) == 1);
    assert_true(json_number(json_member(root, "A")) == 2);
    assert_true(json_number(json_member(root, "\xc3\xa9")) == 4);
    assert_true(json_number(json_member(root, "e\xcc\x81")) == 5);
    json_free(root);
}

static void test_numbers_are_read_as_in_the_grammar(void **state)
{
    (void)state;
    assert_number("0", 0);
    assert_number("-0", 0);
    assert_number("-0.0e0", 0);
    assert_number("10", 10);
    assert_number("1.5", 1.5);
    assert_number("-12.75E-2", -0.1275);
    assert_number("1E+2", 100);
    assert_number("1e0000002", 100);
    assert_number("9007199254740993", 9007199254740992.0);
}

static void test_numbers_of_any_size_are_read(void **state)
{
    (void)state;
    assert_number("1e999", HUGE_VAL);
    assert_number("-1e999", -HUGE_VAL);
    assert_number("1e-999", 0);
    assert_number("1.7976931348623157e308", DBL_MAX);
}

static void test_numbers_of_any_length_are_read(void **state)
{
    (void)state;
    for (int zeros = 0; zeros < 400; zeros++) {
        char text[2048];
        snprintf(text, sizeof text, "[\"1%0*d\\\"\",-0.1%0*de1 ,{\"a\":2.5%0*d}]", zeros + 1, 0,
                 zeros + 1, 0, zeros + 1, 0);
        struct json *root = parse(text);
        const struct json *item = json_first(root);
        assert_int_equal(json_text(item).length, zeros + 3);
        item = json_next(item);
        assert_true(fabs(json_number(item) + 1) < 1e-15);
        item = json_next(item);
        assert_true(fabs(json_number(json_member(item, "a")) - 2.5) < 1e-15);
        assert_null(json_next(item));
        json_free(root);
    }
    char digits[512];
    snprintf(digits, sizeof digits, "-1%0400d", 0);
    assert_number(digits, -HUGE_VAL);
}

static void test_malformed_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "01",        "-01", "00",  "+1",       "-",     "--1",  ".5",  "1.",       "1.e1",
        "1e",        "1e+", "1e-", "1e1.5",    "1e+-1", "0x10", "1_0", "Infinity", "NaN",
        "-Infinity", "1,5", "1 2", "\xd9\xa1", "1a",    "0e",   "-.5", "1.5.5",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
}

static void test_escapes_are_decoded(void **state)
{
    (void)state;
    assert_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    assert_string("\"\\u0041\\u00e9\\u20aC\"", "A\xc3\xa9\xe2\x82\xac");
    assert_string("\"\\ud83d\\ude00\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80");
    assert_string("\"\\uffff\\u0001\"", "\xef\xbf\xbf\x01");
    assert_string("\"\x7f\xc2\x80\"", "\x7f\xc2\x80");
}

static void test_bad_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"\\\"",  "\"\\a\"",    "\"\\'\"",     "\"\\x41\"",      "\"\\U0041\"",
        "\"\\u\"", "\"\\u004\"", "\"\\u004g\"", "\"\\u 041\"",    "\"\\u+041\"",
        "\"\\u00", "\"\\",       "\"\\\n\"",    "\"\\\xc3\xa9\"",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
    assert_refused(slice_of("\"\\\0\"", 4));
}

static void test_lone_surrogates_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"\\ud800\"",        "\"\\udbff\"",       "\"\\udc00\"",        "\"\\udfff\"",
        "\"\\ud800x\"",       "\"\\ud800\\n\"",    "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"",
        "\"\\udc00\\ud800\"", "\"\\ud800\\udc0\"", "\"\\ud800\\u",       "\"\xed\xa0\x80\"",
        "{\"\\ud800\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
}

static void test_nul_is_refused_everywhere(void **state)
{
    (void)state;
    assert_refused(slice_text("\"\\u0000\""));
    assert_refused(slice_text("{\"a\\u0000\":1}"));
    assert_refused(slice_of("\"\0\"", 3));
    assert_refused(slice_of("{}\0", 3));
    assert_refused(slice_of("\0", 1));
    assert_refused(slice_of("[1,\0 2]", 7));
    assert_refused(slice_of("1\0", 2));
    assert_refused(slice_of("tru\0", 4));
}

static void test_control_characters_in_strings_are_refused(void **state)
{
    (void)state;
    for (char c = 0; c < 0x20; c++) {
        char text[] = "\"a?b\"";
        text[2] = c;
        assert_refused(slice_of(text, sizeof text - 1));
    }
}

static void test_bytes_that_are_not_utf8_are_refused(void **state)
{
    (void)state;
    assert_refused(slice_text("\"\xff\""));
    assert_refused(slice_text("\"\xc3\""));
    assert_refused(slice_text("\"\xc0\x80\""));
    assert_refused(slice_text("\"\xf4\x90\x80\x80\""));
    assert_refused(slice_text("{\"\xc3\":1}"));
    assert_refused(slice_text("\"\xe2\x82"));
}

static void test_only_white_space_is_allowed_around_the_value(void **state)
{
    (void)state;
    assert_taken(slice_text(" \t\r\n{ \t\r\n} \t\r\n"));
    assert_taken(slice_text("\n[ 1 , 2 ]\n"));
    assert_taken(slice_text("{ \"a\" : 1 , \"b\" : [ ] }"));
    static const char *const texts[] = {
        "{}{}",           "{} {}",          "{},",        "{}x",  "1 1",    "{}\v",
        "{}\f",           "\f{}",           "{}\xc2\xa0", "{}//", "/**/{}", "{}#",
        "\xef\xbb\xbf{}", "{}\xef\xbb\xbf", "[\f]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
}

static void test_other_grammars_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1,,2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\"::1}",
        "{\"a\":1]",
        "[1}",
        "{null:1}",
        "\"",
        "\"a",
        "'a'",
        "tru",
        "True",
        "TRUE",
        "truee",
        "nul",
        "nulll",
        "fals",
        "undefined",
        "[true false]",
        "{\"a\":1,,\"b\":2}",
        "[[]",
        "[]]",
        ":",
        ",",
        "\\u0031",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
    assert_refused(slice_text(NULL));
}

static void test_every_truncated_document_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1.5e3,\"\\ud83d\\ude00\\n\xc3\xa9\",true,false,null],\"b\":{}}";
    assert_taken(slice_text(text));
    for (size_t length = 0; length < sizeof text - 1; length++) {
        /* A heap copy of just these bytes: reading one too far is an error under a sanitizer. */
        char *cut = malloc(length == 0 ? 1 : length);
        assert_non_null(cut);
        memcpy(cut, text, length);
        assert_refused(slice_of(cut, length));
        free(cut);
    }
}

static void test_a_fault_has_its_offset(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"", 0, "a value is missing"},
        {"{\"a\":}", 5, "this is not a JSON value"},
        {"{\"a\":01}", 5, "a number with a leading zero"},
        {"{\"a\":1,}", 7, "a name in quotes is missing"},
        {"{\"a\" 1}", 5, "a colon is missing"},
        {"[1 2]", 3, "a comma or a closing bracket is missing"},
        {"{} x", 3, "text after the value"},
        {"[\"a\\q\"]", 3, "an escape that does not exist"},
        {"[\"a\\u0000\"]", 3, "U+0000 in a string"},
        {"[\"a\\ud800\"]", 3, "half a surrogate pair in a string"},
        {"[\"a\nb\"]", 3, "a control character in a string"},
        {"[\"a\xff\"]", 3, "bytes that are not UTF-8"},
        {"[\"abc", 1, "a string that does not end"},
        {"\xef\xbb\xbf{}", 0, "a byte order mark"},
        {"[[[[[[[[[]]]]]]]]]", 8, "nested too deeply"},
        {"[-]", 2, "a number without digits"},
        {"[1.]", 3, "a number without digits after its point"},
        {"[1e]", 3, "a number without digits in its exponent"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct json_fault fault = {NULL, SIZE_MAX};
        assert_null(json_parse(slice_text(refusals[i].text), DEPTH, &fault));
        assert_string_equal(fault.what, refusals[i].what);
        assert_int_equal(fault.offset, refusals[i].offset);
    }
}

static bool is_taken_at_depth(const char *text, unsigned max_depth)
{
    struct json_fault fault;
    struct json *root = json_parse(slice_text(text), max_depth, &fault);
    json_free(root);
    return root != NULL;
}

static void test_depth_counts_nested_lists(void **state)
{
    (void)state;
    assert_true(is_taken_at_depth("1", 0));
    assert_false(is_taken_at_depth("{}", 0));
    assert_true(is_taken_at_depth("{\"a\":1,\"b\":2}", 1));
    assert_false(is_taken_at_depth("{\"a\":[]}", 1));
    assert_true(is_taken_at_depth("{\"a\":[]}", 2));
    assert_true(is_taken_at_depth("[[],[],{\"a\":1},[]]", 2));
    assert_false(is_taken_at_depth("[[],[],{\"a\":{}},[]]", 2));
}

static void test_the_largest_depth_is_a_thousand(void **state)
{
    (void)state;
    char text[2003] = {0};
    memset(text, '[', 1000);
    memset(text + 1000, ']', 1000);
    assert_true(is_taken_at_depth(text, 5000));
    memset(text, '[', 1001);
    memset(text + 1001, ']', 1001);
    assert_false(is_taken_at_depth(text, 5000));
}

static void test_fields_are_written_with_commas_where_due(void **state)
{
    (void)state;
    struct buf out = {0};
    json_put_open(&out, '{');
    json_put_text(&out, "t", slice_text("x,"));
    json_put_text_if(&out, "absent", slice_text(NULL));
    json_put_text_if(&out, "empty", slice_text(""));
    json_put_int(&out, "i", INT64_MIN);
    json_put_time(&out, "time", 1767323045123);
    json_put_bool(&out, "b", true);
    json_put_raw(&out, "r", slice_text("[1]"));
    json_put_name(&out, "o");
    json_put_open(&out, '{');
    json_put_close(&out, '}');
    json_put_name(&out, "a");
    json_put_open(&out, '[');
    json_put_element(&out, slice_text("x["));
    json_put_element(&out, slice_text("y"));
    json_put_open(&out, '[');
    json_put_close(&out, ']');
    json_put_close(&out, ']');
    json_put_close(&out, '}');
    assert_string_equal(out.data, "{\"t\":\"x,\",\"empty\":\"\",\"i\":-9223372036854775808,"
                                  "\"time\":\"2026-01-02T03:04:05.123Z\","
                                  "\"b\":true,\"r\":[1],\"o\":{},\"a\":[\"x[\",\"y\",[]]}");
    assert_taken(buf_slice(&out));
    buf_fini(&out);
}

static void assert_quoted(struct slice value, const char *expected)
{
    struct buf out = {0};
    json_quote(&out, value);
    assert_string_equal(out.data, expected);
    buf_fini(&out);
}

static void test_strings_are_quoted(void **state)
{
    (void)state;
    assert_quoted(slice_text(""), "\"\"");
    assert_quoted(slice_text(NULL), "\"\"");
    assert_quoted(slice_text("a/b\xc3\xa9\xf0\x9f\x98\x80"), "\"a/b\xc3\xa9\xf0\x9f\x98\x80\"");
    assert_quoted(slice_text("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    assert_quoted(slice_of("\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\\u007f\"");
    assert_quoted(slice_text("a\xff"
                             "b\xc3"),
                  "\"a\xef\xbf\xbd"
                  "b\xef\xbf\xbd\"");
}

static void test_a_quoted_character_reads_as_itself(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x80; c++) {
        char text[] = {'a', (char)c, 'b', '\0'};
        struct buf out = {0};
        json_quote(&out, slice_text(text));
        assert_string(out.data, text);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_value_is_read),
        cmocka_unit_test(test_members_come_in_order_and_are_found_by_name),
        cmocka_unit_test(test_missing_members_read_as_absent),
        cmocka_unit_test(
            test_names_are_compared_byte_by_byte_and_the_first_of_repeated_ones_is_found),
        cmocka_unit_test(test_numbers_are_read_as_in_the_grammar),
        cmocka_unit_test(test_numbers_of_any_size_are_read),
        cmocka_unit_test(test_numbers_of_any_length_are_read),
        cmocka_unit_test(test_malformed_numbers_are_refused),
        cmocka_unit_test(test_escapes_are_decoded),
        cmocka_unit_test(test_bad_escapes_are_refused),
        cmocka_unit_test(test_lone_surrogates_are_refused),
        cmocka_unit_test(test_nul_is_refused_everywhere),
        cmocka_unit_test(test_control_characters_in_strings_are_refused),
        cmocka_unit_test(test_bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(test_only_white_space_is_allowed_around_the_value),
        cmocka_unit_test(test_other_grammars_are_refused),
        cmocka_unit_test(test_every_truncated_document_is_refused),
        cmocka_unit_test(test_a_fault_has_its_offset),
        cmocka_unit_test(test_depth_counts_nested_lists),
        cmocka_unit_test(test_the_largest_depth_is_a_thousand),
        cmocka_unit_test(test_fields_are_written_with_commas_where_due),
        cmocka_unit_test(test_strings_are_quoted),
        cmocka_unit_test(test_a_quoted_character_reads_as_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
