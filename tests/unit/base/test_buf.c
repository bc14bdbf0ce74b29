#include "base/buf.h"

#include "base/mem.h"
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_an_empty_buffer_is_a_present_empty_slice(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_true(slice_is_present(buf_slice(&buf)));
    assert_int_equal(buf_slice(&buf).length, 0);
    buf_fini(&buf);
    buf_fini(NULL);
}

static void test_appended_pieces_follow_each_other(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append(&buf, slice_of("ab\0c", 4));
    buf_append_text(&buf, "de");
    buf_append_char(&buf, 'f');
    buf_append_int(&buf, -12);
    buf_printf(&buf, "<%s>", "x");
    buf_append(&buf, slice_text(NULL));
    assert_int_equal(buf.length, 13);
    assert_memory_equal(buf.data, "ab\0cdef-12<x>", 14);
    buf_fini(&buf);
}

static void test_every_int64_is_written_in_full(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_int(&buf, INT64_MIN);
    buf_append_char(&buf, ' ');
    buf_append_int(&buf, INT64_MAX);
    assert_string_equal(buf.data, "-9223372036854775808 9223372036854775807");
    buf_fini(&buf);
}

static void test_growth_keeps_the_bytes_and_the_nul(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (size_t i = 0; i < 10000; i++) {
        buf_append_char(&buf, (char)('a' + i % 26));
        assert_true(buf.capacity > buf.length);
        assert_int_equal(buf.data[buf.length], '\0');
    }
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(buf.data[i], 'a' + (int)(i % 26));
    }
    buf_fini(&buf);
}

static void test_a_long_formatted_text_is_not_cut(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_text(&buf, "x");
    buf_printf(&buf, "%0500d", 7);
    assert_int_equal(buf.length, 501);
    assert_int_equal(buf.data[500], '7');
    assert_int_equal(buf.data[501], '\0');
    buf_fini(&buf);
}

static void test_the_caller_fills_reserved_room(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_text(&buf, "ab");
    char *end = buf_reserve(&buf, 100);
    assert_ptr_equal(end, buf.data + 2);
    assert_int_equal(buf.length, 2);
    assert_true(buf.capacity >= 103);
    memset(end, 'c', 100);
    buf.length += 100;
    char *text = buf_take(&buf);
    assert_int_equal(strlen(text), 102);
    free(text);
}

static void test_consume_drops_from_the_front(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_consume(&buf, 0);
    buf_append_text(&buf, "abcdef");
    buf_consume(&buf, 2);
    assert_string_equal(buf.data, "cdef");
    buf_consume(&buf, 4);
    assert_int_equal(buf.length, 0);
    assert_string_equal(buf.data, "");
    buf_fini(&buf);
}

static void test_clear_keeps_the_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_clear(&buf);
    buf_append_text(&buf, "abc");
    const char *data = buf.data;
    buf_clear(&buf);
    assert_int_equal(buf.length, 0);
    assert_ptr_equal(buf.data, data);
    assert_string_equal(buf.data, "");
    buf_fini(&buf);
}

static void test_take_gives_a_string_even_when_empty(void **state)
{
    (void)state;
    struct buf buf = {0};
    char *text = buf_take(&buf);
    assert_string_equal(text, "");
    assert_null(buf.data);
    assert_int_equal(buf.capacity, 0);
    free(text);
}

static void test_memory_of_no_bytes_is_not_null(void **state)
{
    (void)state;
    char *alloc = mem_alloc(0);
    char *zalloc = mem_zalloc(0, 8);
    char *moved = mem_realloc(mem_alloc(4), 0);
    char *copy = mem_dup(NULL, 0);
    assert_non_null(alloc);
    assert_non_null(zalloc);
    assert_non_null(moved);
    assert_string_equal(copy, "");
    assert_null(mem_strdup(NULL));
    free(alloc);
    free(zalloc);
    free(moved);
    free(copy);
}

static void test_copies_are_independent_and_end_with_nul(void **state)
{
    (void)state;
    const char *text = "abcdef";
    char *part = mem_dup(text, 3);
    char *whole = mem_strdup(text);
    assert_string_equal(part, "abc");
    assert_string_equal(whole, "abcdef");
    assert_ptr_not_equal(whole, text);
    free(part);
    free(whole);
}

static void test_zeroed_memory_is_zero(void **state)
{
    (void)state;
    static const char zeros[300];
    char *memory = mem_zalloc(3, 100);
    assert_memory_equal(memory, zeros, sizeof zeros);
    free(memory);
}

static void test_every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = STATUS_OK; a <= STATUS_CLOSED; a++) {
        assert_string_not_equal(status_text((enum status)a), "unknown");
        for (int b = STATUS_OK; b < a; b++) {
            assert_string_not_equal(status_text((enum status)a), status_text((enum status)b));
        }
    }
    assert_string_equal(status_text((enum status)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_buffer_is_a_present_empty_slice),
        cmocka_unit_test(test_appended_pieces_follow_each_other),
        cmocka_unit_test(test_every_int64_is_written_in_full),
        cmocka_unit_test(test_growth_keeps_the_bytes_and_the_nul),
        cmocka_unit_test(test_a_long_formatted_text_is_not_cut),
        cmocka_unit_test(test_the_caller_fills_reserved_room),
        cmocka_unit_test(test_consume_drops_from_the_front),
        cmocka_unit_test(test_clear_keeps_the_memory),
        cmocka_unit_test(test_take_gives_a_string_even_when_empty),
        cmocka_unit_test(test_memory_of_no_bytes_is_not_null),
        cmocka_unit_test(test_copies_are_independent_and_end_with_nul),
        cmocka_unit_test(test_zeroed_memory_is_zero),
        cmocka_unit_test(test_every_status_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
