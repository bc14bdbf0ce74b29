#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_integers_are_big_endian(void **state)
{
    (void)state;
    struct buf out = {0};
    pack_u8(&out, 0xab);
    pack_u32(&out, 0x01020304);
    pack_i64(&out, -2);
    static const uint8_t expected[] = {0xab, 1,    2,    3,    4,    0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};
    assert_int_equal(out.length, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    buf_fini(&out);
}

static void test_what_was_packed_is_unpacked(void **state)
{
    (void)state;
    struct buf out = {0};
    pack_u8(&out, 255);
    pack_u32(&out, UINT32_MAX);
    pack_i64(&out, INT64_MIN);
    pack_i64(&out, INT64_MAX);
    pack_bytes(&out, slice_of("a\0b", 3));
    pack_text(&out, "");
    pack_text(&out, NULL);
    struct unpack in = {.rest = buf_slice(&out)};
    assert_int_equal(unpack_u8(&in), 255);
    assert_int_equal(unpack_u32(&in), UINT32_MAX);
    assert_true(unpack_i64(&in) == INT64_MIN);
    assert_true(unpack_i64(&in) == INT64_MAX);
    assert_true(slice_equals(unpack_bytes(&in), slice_of("a\0b", 3)));
    struct slice empty = unpack_bytes(&in);
    assert_true(slice_is_present(empty));
    assert_int_equal(empty.length, 0);
    assert_false(unpack_is_done(&in));
    assert_false(slice_is_present(unpack_bytes(&in)));
    assert_true(unpack_is_done(&in));
    buf_fini(&out);
}

static void test_reading_past_the_end_is_bad_and_stays_bad(void **state)
{
    (void)state;
    struct unpack in = {.rest = slice_of("\1\2\3", 3)};
    assert_int_equal(unpack_u32(&in), 0);
    assert_true(in.is_bad);
    assert_int_equal(unpack_u8(&in), 0);
    assert_false(slice_is_present(unpack_bytes(&in)));
    assert_false(unpack_is_done(&in));
}

static void test_a_length_beyond_the_end_is_bad(void **state)
{
    (void)state;
    struct unpack in = {.rest = slice_of("\0\0\0\4abc", 7)};
    assert_false(slice_is_present(unpack_bytes(&in)));
    assert_true(in.is_bad);
    struct unpack huge = {.rest = slice_of("\xff\xff\xff\xfe"
                                           "abc",
                                           7)};
    assert_false(slice_is_present(unpack_bytes(&huge)));
    assert_true(huge.is_bad);
}

static void test_an_empty_input_is_done_and_contains_nothing(void **state)
{
    (void)state;
    struct unpack in = {0};
    assert_true(unpack_is_done(&in));
    assert_int_equal(unpack_u8(&in), 0);
    assert_false(unpack_is_done(&in));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_big_endian),
        cmocka_unit_test(test_what_was_packed_is_unpacked),
        cmocka_unit_test(test_reading_past_the_end_is_bad_and_stays_bad),
        cmocka_unit_test(test_a_length_beyond_the_end_is_bad),
        cmocka_unit_test(test_an_empty_input_is_done_and_contains_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
