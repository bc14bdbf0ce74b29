/* The reader of PUBACK beside Paho's. */
#include "mqtt/paho/connection_puback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t count;
    uint8_t code;
} streams[] = {
    {BYTES("\x40\x02\x00\x01"), 0},
    {BYTES("\x40\x03\x00\x01\x10"), 0x10},
    {BYTES("\x40\x04\x00\x01\x10\x00"), 0x10},
    {BYTES("\x40\x03\x00\x01\x10\x40\x02\x00\x02"), 0},
    {BYTES("\x40\x02\x10\x10\xd0\x00\x40\x83\x00\x00\x03\x10"), 0x10},
    /* PINGRESP and another packet do not change it. */
    {BYTES("\x40\x03\x00\x01\x10\xd0\x00\x30\x05\x00\x01t\x00\x11"), 0x10},
    /* The length has five bytes: nothing more is read. */
    {BYTES("\x40\x80\x80\x80\x80\x01\x40\x03\x00\x01\x10"), 0},
};

static void test_the_code_is_found_however_the_bytes_arrive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        for (size_t piece = 1; piece <= streams[i].count; piece++) {
            puback_begin();
            for (size_t at = 0; at < streams[i].count; at += piece) {
                size_t left = streams[i].count - at;
                puback_note(slice_of(streams[i].bytes + at, left < piece ? left : piece));
            }
            assert_int_equal(puback_code(), streams[i].code);
        }
    }
}

static void test_the_code_of_a_former_connection_is_forgotten(void **state)
{
    (void)state;
    puback_begin();
    puback_note(slice_of("\x40\x03\x00\x01\x10", 5));
    puback_begin();
    assert_int_equal(puback_code(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_code_is_found_however_the_bytes_arrive),
        cmocka_unit_test(test_the_code_of_a_former_connection_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
