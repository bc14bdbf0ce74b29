#include "mqtt/paho/connection_connack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every kind of property stands before the two texts. */
static const char whole[] = "\x20\x2f\x00\x9c\x2c"
                            "\x11\x00\x00\x00\x3c"
                            "\x21\x00\x0a"
                            "\x24\x01"
                            "\x12\x00\x02id"
                            "\x16\x00\x02\x00\xff"
                            "\x26\x00\x01k\x00\x01v"
                            "\x1f\x00\x03why"
                            "\x1c\x00\x06host:1"
                            "\x25\x00";

static void test_both_texts_are_found_behind_other_properties(void **state)
{
    (void)state;
    struct connack connack = connack_read(slice_of(whole, sizeof whole - 1));
    assert_true(slice_equals_text(connack.reason_string, "why"));
    assert_true(slice_equals_text(connack.server_reference, "host:1"));
}

static void test_a_packet_that_is_cut_anywhere_has_no_text_beyond_the_cut(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        struct connack connack = connack_read(slice_of(whole, length));
        const char *why = memmem(whole, sizeof whole, "why", 3);
        bool has_why = why + 3 - whole <= (ptrdiff_t)length;
        assert_int_equal(slice_is_present(connack.reason_string), has_why);
    }
}

static void test_what_is_not_a_connack_has_no_texts(void **state)
{
    (void)state;
    static const char *const others[] = {"", "HTTP/1.1 200 OK", "\x20", "\x20\xff\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct connack connack = connack_read(slice_text(others[i]));
        assert_false(slice_is_present(connack.reason_string));
        assert_false(slice_is_present(connack.server_reference));
    }
    /* An unknown property has an unknown length. */
    struct connack connack = connack_read(slice_of("\x20\x0a\x00\x97\x07\x7e\x1f\x00\x03why", 12));
    assert_false(slice_is_present(connack.reason_string));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_texts_are_found_behind_other_properties),
        cmocka_unit_test(test_a_packet_that_is_cut_anywhere_has_no_text_beyond_the_cut),
        cmocka_unit_test(test_what_is_not_a_connack_has_no_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
