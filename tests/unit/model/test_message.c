#include "model/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct message full_message(void)
{
    struct message message = {
        .topic = slice_text("replies/t"),
        .body = slice_of("{\0}", 3),
        .qos = 1,
        .is_retained = true,
        .is_json = true,
        .correlation_data = slice_of("\0\xff", 2),
        .expiry_s = 3600,
    };
    message_add_property(&message, "status", slice_text("failed"));
    message_add_property(&message, "code", slice_text(""));
    return message;
}

static void test_an_encoded_message_is_the_same_after_decoding(void **state)
{
    (void)state;
    struct message message = full_message();
    struct message back;
    struct buf bytes = {0};
    message_encode(&message, &bytes);
    assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_OK);
    assert_true(slice_equals(back.topic, message.topic));
    assert_true(slice_equals(back.body, message.body));
    assert_int_equal(back.qos, 1);
    assert_true(back.is_retained);
    assert_true(back.is_json);
    assert_true(slice_equals(back.correlation_data, message.correlation_data));
    assert_int_equal(back.expiry_s, 3600);
    assert_int_equal(back.property_count, 2);
    assert_true(slice_equals_text(back.properties[0].name, "status"));
    assert_true(slice_equals_text(back.properties[0].value, "failed"));
    assert_true(slice_equals_text(back.properties[1].name, "code"));
    assert_int_equal(back.properties[1].value.length, 0);
    buf_fini(&bytes);
}

static void test_what_is_absent_stays_absent(void **state)
{
    (void)state;
    struct message message = {.topic = slice_text("t"), .expiry_s = -1};
    struct message back;
    struct buf bytes = {0};
    message_encode(&message, &bytes);
    assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_OK);
    assert_false(slice_is_present(back.correlation_data));
    assert_false(back.is_retained);
    assert_false(back.is_json);
    assert_int_equal(back.expiry_s, -1);
    assert_int_equal(back.body.length, 0);
    assert_int_equal(back.property_count, 0);
    buf_fini(&bytes);
}

static void test_absent_values_add_no_property_and_eight_fit(void **state)
{
    (void)state;
    struct message message = {.topic = slice_text("t"), .expiry_s = -1};
    message_add_property(&message, "a", slice_text(NULL));
    assert_int_equal(message.property_count, 0);
    for (int i = 0; i < MESSAGE_PROPERTIES_MAX; i++) {
        message_add_property(&message, "a", slice_text("b"));
    }
    struct message back;
    struct buf bytes = {0};
    message_encode(&message, &bytes);
    assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_OK);
    assert_int_equal(back.property_count, MESSAGE_PROPERTIES_MAX);
    buf_fini(&bytes);
}

static void test_the_time_and_the_kind_are_kept(void **state)
{
    (void)state;
    struct message message = full_message();
    struct message back;
    struct buf bytes = {0};
    message.made_at_ms = INT64_C(1767323045123);
    for (int kind = 0; kind <= 2; kind++) {
        bool is_dead_letter = kind == 1;
        message.is_dead_letter = is_dead_letter;
        message.is_event = kind == 2;
        buf_clear(&bytes);
        message_encode(&message, &bytes);
        assert_int_equal(bytes.data[0], 2);
        assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_OK);
        assert_true(back.made_at_ms == message.made_at_ms);
        assert_int_equal(back.is_dead_letter, is_dead_letter);
        assert_int_equal(back.is_event, kind == 2);
        assert_int_equal(back.expiry_s, 3600);
        assert_true(slice_equals(back.topic, message.topic));
    }
    bytes.data[2] = 16;
    assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_INVALID);
    bytes.data[2] = 4;
    bytes.data[3] = -128; /* a negative time */
    assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_cut_or_longer_bytes_are_refused(void **state)
{
    (void)state;
    struct message message = full_message();
    struct message back;
    struct buf bytes = {0};
    message_encode(&message, &bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        assert_int_equal(message_decode(slice_of(bytes.data, length), &back), STATUS_INVALID);
    }
    buf_append_char(&bytes, 'x');
    assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_INVALID);
    buf_fini(&bytes);
}

/* Without a time, byte 0 is the version, 1 the QoS, 2 the flags, 3..10 the expiry. */
static void test_another_version_or_impossible_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        char value;
    } rows[] = {{0, 0}, {0, 2}, {1, 3}, {2, 4}, {2, -128}, {3, 1}, {3, -128}, {6, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct message message = full_message();
        struct message back;
        struct buf bytes = {0};
        message_encode(&message, &bytes);
        bytes.data[rows[i].at] = rows[i].value;
        assert_int_equal(message_decode(buf_slice(&bytes), &back), STATUS_INVALID);
        buf_fini(&bytes);
    }
}

/* Rows in ledgers hold this form: a change of it needs a new version number. */
static void test_the_encoding_is_the_one_that_ledgers_hold(void **state)
{
    (void)state;
    struct message message = {.topic = slice_text("t"),
                              .body = slice_text("{}"),
                              .qos = 1,
                              .is_json = true,
                              .correlation_data = slice_text("c"),
                              .expiry_s = 3600};
    message_add_property(&message, "n", slice_text("v"));
    static const char expected[] = "\1\1\2\0\0\0\0\0\0\x0e\x10\0\0\0\1t\0\0\0\2{}\0\0\0\1c"
                                   "\1\0\0\0\1n\0\0\0\1v";
    struct buf bytes = {0};
    message_encode(&message, &bytes);
    assert_int_equal(bytes.length, sizeof expected - 1);
    assert_memory_equal(bytes.data, expected, sizeof expected - 1);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_encoded_message_is_the_same_after_decoding),
        cmocka_unit_test(test_what_is_absent_stays_absent),
        cmocka_unit_test(test_absent_values_add_no_property_and_eight_fit),
        cmocka_unit_test(test_the_time_and_the_kind_are_kept),
        cmocka_unit_test(test_cut_or_longer_bytes_are_refused),
        cmocka_unit_test(test_another_version_or_impossible_values_are_refused),
        cmocka_unit_test(test_the_encoding_is_the_one_that_ledgers_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
