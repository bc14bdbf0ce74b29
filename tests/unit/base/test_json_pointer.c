/* JSON Pointers: the examples of RFC 6901, section 5, and what names nothing. */
#include "base/json_pointer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct json *parse(const char *text)
{
    struct json_fault fault;
    struct json *document = json_parse(slice_text(text), 64, &fault);
    assert_non_null(document);
    return document;
}

static void test_the_examples_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *pointer;
        int number; /* -1: another value */
    } rows[] = {
        {"", -1},    {"/foo", -1}, {"/foo/0", -1}, {"/", 0},     {"/a~1b", 1}, {"/c%d", 2},
        {"/e^f", 3}, {"/g|h", 4},  {"/i\\j", 5},   {"/k\"l", 6}, {"/ ", 7},    {"/m~0n", 8},
    };
    struct json *document = parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                                  "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");
    const struct json *value = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice pointer = slice_text(rows[i].pointer);
        const char *why = NULL;
        assert_true(json_pointer_is_valid(pointer, &why));
        assert_int_equal(json_pointer_find(pointer, document, &value), JSON_POINTER_FOUND);
        assert_int_equal(json_kind(value) == JSON_NUMBER ? (int)json_number(value) : -1,
                         rows[i].number);
    }
    assert_int_equal(json_pointer_find(slice_text("/foo/0"), document, &value), JSON_POINTER_FOUND);
    assert_true(slice_equals_text(json_text(value), "bar"));
    assert_int_equal(json_pointer_find(slice_text(""), document, &value), JSON_POINTER_FOUND);
    assert_ptr_equal(value, document);
    json_free(document);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    static const char *const pointers[] = {"/b",
                                           "/a/2",
                                           "/a/-",
                                           "/a/00",
                                           "/a/01",
                                           "/a/",
                                           "/a/x",
                                           "/a/1/0",
                                           "/a/0/x/y",
                                           "/A",
                                           "/a/+1",
                                           "/a/ 1",
                                           "/a/18446744073709551616",
                                           "/a/999999999999999999999999999999",
                                           "/n/x"};
    struct json *document = parse("{\"a\":[{},2],\"n\":null}");
    const struct json *value = NULL;
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        assert_int_equal(json_pointer_find(slice_text(pointers[i]), document, &value),
                         JSON_POINTER_NOTHING);
        assert_null(value);
    }
    assert_int_equal(json_pointer_find(slice_text(""), NULL, &value), JSON_POINTER_NOTHING);
    json_free(document);
}

static void test_a_repeated_member_on_the_way_is_reported(void **state)
{
    (void)state;
    struct json *document = parse("{\"a\":{\"b\":1,\"b\":2},\"c\":3}");
    const struct json *value = NULL;
    assert_int_equal(json_pointer_find(slice_text("/a/b"), document, &value),
                     JSON_POINTER_REPEATED);
    assert_int_equal(json_pointer_find(slice_text("/a/b/c"), document, &value),
                     JSON_POINTER_REPEATED);
    assert_null(value);
    assert_int_equal(json_pointer_find(slice_text("/c"), document, &value), JSON_POINTER_FOUND);
    json_free(document);
}

static void test_what_is_no_pointer(void **state)
{
    (void)state;
    static const char *const pointers[] = {"a", " /a", "/~", "/a~2", "/~~0", "/a~"};
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        const char *why = NULL;
        assert_false(json_pointer_is_valid(slice_text(pointers[i]), &why));
        assert_non_null(why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_of_the_rfc),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_a_repeated_member_on_the_way_is_reported),
        cmocka_unit_test(test_what_is_no_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
