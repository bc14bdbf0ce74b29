#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Encodes a code point in `length` bytes, even where that is not its shortest form. */
static void encode(uint32_t point, size_t length, char *out)
{
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(uint8_t)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (char)(uint8_t)(leads[length] | point);
}

static size_t proper_length(uint32_t point)
{
    if (point < 0x80) {
        return 1;
    }
    if (point < 0x800) {
        return 2;
    }
    return point < 0x10000 ? 3 : 4;
}

static void test_every_code_point_but_surrogates_is_valid_in_its_shortest_form(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x110000; point++) {
        char bytes[4];
        size_t length = proper_length(point);
        encode(point, length, bytes);
        bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
        if (utf8_is_valid(slice_of(bytes, length)) == is_surrogate) {
            fail_msg("U+%04X", point);
        }
        assert_int_equal(utf8_character_length(slice_of(bytes, length)), is_surrogate ? 0 : length);
    }
}

static void test_longer_forms_are_refused(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x10000; point++) {
        for (size_t length = proper_length(point) + 1; length <= 4; length++) {
            char bytes[4];
            encode(point, length, bytes);
            if (utf8_is_valid(slice_of(bytes, length))) {
                fail_msg("U+%04X in %zu bytes", point, length);
            }
        }
    }
}

static void test_code_points_above_unicode_are_refused(void **state)
{
    (void)state;
    for (uint32_t point = 0x110000; point < 0x200000; point += 0x3f) {
        char bytes[4];
        encode(point, 4, bytes);
        assert_false(utf8_is_valid(slice_of(bytes, 4)));
    }
}

static void test_cut_characters_and_stray_bytes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\x80",         "\xbf",      "\xc3",      "\xe2\x82",
        "\xf0\x9f\x98", "\xfe",      "\xff",      "\xf8\x88\x80\x80\x80",
        "a\xc3(",       "\xe2(\xac", "\xe2\x82(", "\xf0\x9f\x98(",
        "\xc3\xa9\xa9",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (utf8_is_valid(slice_text(texts[i]))) {
            fail_msg("text %zu", i);
        }
    }
}

static void test_a_text_of_all_lengths_is_valid(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(slice_text("")));
    assert_true(utf8_is_valid(slice_text(NULL)));
    assert_true(utf8_is_valid(slice_of("a\0b", 3)));
    assert_true(utf8_is_valid(slice_text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z")));
    assert_int_equal(utf8_character_length(slice_text("")), 0);
}

static void test_a_prefix_does_not_cut_a_character(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t limit = 0; limit < sizeof expected / sizeof expected[0]; limit++) {
        struct slice prefix = utf8_prefix(slice_text(text), limit);
        assert_int_equal(prefix.length, expected[limit]);
        assert_ptr_equal(prefix.data, text);
        assert_true(utf8_is_valid(prefix));
    }
}

static void test_mqtt_text_has_no_controls(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x100; point++) {
        char bytes[4];
        size_t length = proper_length(point);
        encode(point, length, bytes);
        bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
        if (utf8_is_mqtt_text(slice_of(bytes, length)) == is_control) {
            fail_msg("U+%04X", point);
        }
    }
}

static void test_mqtt_text_has_no_noncharacters(void **state)
{
    (void)state;
    assert_false(utf8_is_mqtt_text(slice_text("a\xef\xbf\xbe")));
    assert_false(utf8_is_mqtt_text(slice_text("a\xef\xbf\xbf")));
    assert_false(utf8_is_mqtt_text(slice_text("a\xef\xb7\x90")));
    assert_false(utf8_is_mqtt_text(slice_text("a\xf4\x8f\xbf\xbf")));
    assert_true(utf8_is_mqtt_text(slice_text("a\xef\xbf\xbd")));
}

static void test_mqtt_text_is_valid_utf8(void **state)
{
    (void)state;
    assert_true(utf8_is_mqtt_text(slice_text("")));
    assert_true(utf8_is_mqtt_text(slice_text("plant/\xc3\xa9/\xf0\x9f\x98\x80")));
    assert_false(utf8_is_mqtt_text(slice_text("plant/\xed\xa0\x80")));
    assert_false(utf8_is_mqtt_text(slice_text("plant/\xc3")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_but_surrogates_is_valid_in_its_shortest_form),
        cmocka_unit_test(test_longer_forms_are_refused),
        cmocka_unit_test(test_code_points_above_unicode_are_refused),
        cmocka_unit_test(test_cut_characters_and_stray_bytes_are_refused),
        cmocka_unit_test(test_a_text_of_all_lengths_is_valid),
        cmocka_unit_test(test_a_prefix_does_not_cut_a_character),
        cmocka_unit_test(test_mqtt_text_has_no_controls),
        cmocka_unit_test(test_mqtt_text_has_no_noncharacters),
        cmocka_unit_test(test_mqtt_text_is_valid_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
