#include "model/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct delivery full = {
    .topic = {"commands/start", 14},
    .payload = {"{}", 2},
    .payload_bytes = 70000,
    .qos = 1,
    .is_retained = true,
    .is_redelivered = true,
    .response_topic = {"replies/a", 9},
    .correlation_data = {"\0\1\2", 3},
    .traceparent = {"00-ab-cd-01", 11},
    .tracestate = {"", 0},
    .expiry_s = 4294967295,
    .content_type = {"application/json", 16},
    .properties = {"\0\0\0\1a\0\0\0\2xy\0\0\0\1a\0\0\0\0", 20},
};

static void assert_same(struct slice a, struct slice b)
{
    assert_true(slice_equals(a, b));
    assert_int_equal(slice_is_present(a), slice_is_present(b));
}

static void assert_survives(const struct delivery *delivery)
{
    struct buf bytes = {0};
    struct delivery back;
    delivery_encode(delivery, &bytes);
    assert_int_equal(delivery_decode(buf_slice(&bytes), &back), STATUS_OK);
    assert_same(back.topic, delivery->topic);
    assert_same(back.payload, delivery->payload);
    assert_int_equal(back.payload_bytes, delivery->payload_bytes);
    assert_int_equal(back.qos, delivery->qos);
    assert_int_equal(back.is_retained, delivery->is_retained);
    assert_int_equal(back.is_redelivered, delivery->is_redelivered);
    assert_int_equal(back.is_former, delivery->is_former);
    assert_same(back.response_topic, delivery->response_topic);
    assert_same(back.correlation_data, delivery->correlation_data);
    assert_same(back.traceparent, delivery->traceparent);
    assert_same(back.tracestate, delivery->tracestate);
    assert_int_equal(back.expiry_s, delivery->expiry_s);
    assert_same(back.content_type, delivery->content_type);
    assert_same(back.properties, delivery->properties);
    buf_fini(&bytes);
}

static void test_a_decoded_delivery_is_the_encoded_one(void **state)
{
    (void)state;
    assert_survives(&full);
    struct delivery bare = {.topic = {"t", 1}, .payload = {"", 0}, .expiry_s = -1};
    assert_survives(&bare);
    bare.is_redelivered = true;
    assert_survives(&bare);
    bare.is_retained = true;
    bare.is_redelivered = false;
    assert_survives(&bare);
    bare.is_former = true;
    assert_survives(&bare);
}

static void test_an_absent_payload_arrives_as_an_empty_one(void **state)
{
    (void)state;
    struct delivery delivery = {.topic = {"t", 1}, .expiry_s = -1};
    struct delivery back;
    struct buf bytes = {0};
    delivery_encode(&delivery, &bytes);
    assert_int_equal(delivery_decode(buf_slice(&bytes), &back), STATUS_OK);
    assert_true(slice_is_present(back.payload));
    assert_int_equal(back.payload.length, 0);
    buf_fini(&bytes);
}

static void assert_refused(const struct delivery *delivery)
{
    struct buf bytes = {0};
    struct delivery back;
    delivery_encode(delivery, &bytes);
    assert_int_equal(delivery_decode(buf_slice(&bytes), &back), STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_impossible_values_are_refused(void **state)
{
    (void)state;
    struct delivery delivery = full;
    delivery.qos = 3;
    assert_refused(&delivery);
    delivery = full;
    delivery.expiry_s = -2;
    assert_refused(&delivery);
    delivery.expiry_s = 4294967296;
    assert_refused(&delivery);
    delivery = full;
    delivery.payload_bytes = 1;
    assert_refused(&delivery);
    delivery.payload_bytes = UINT64_MAX;
    assert_refused(&delivery);
    delivery = full;
    delivery.topic = slice_text(NULL);
    assert_refused(&delivery);
    delivery = full;
    delivery.properties = slice_of("\0\0\0\1a", 5);
    assert_refused(&delivery);
    delivery.properties = slice_of("\0\0\0\1a\xff\xff\xff\xff", 9);
    assert_refused(&delivery);
}

static void test_a_property_is_found_by_its_name(void **state)
{
    (void)state;
    struct buf properties = {0};
    struct delivery delivery = {.expiry_s = -1};
    assert_false(slice_is_present(delivery_property(&delivery, "a")));
    delivery_put_property(&properties, slice_text("b"), slice_text("1"));
    delivery_put_property(&properties, slice_text("a"), slice_text(""));
    delivery_put_property(&properties, slice_text("b"), slice_text("2"));
    delivery.properties = buf_slice(&properties);
    assert_same(delivery_property(&delivery, "a"), slice_text(""));
    assert_same(delivery_property(&delivery, "b"), slice_text("1"));
    assert_false(slice_is_present(delivery_property(&delivery, "c")));
    buf_fini(&properties);
}

static void test_at_most_32_properties_are_decoded(void **state)
{
    (void)state;
    struct buf properties = {0};
    struct delivery delivery = full;
    for (int i = 0; i < DELIVERY_PROPERTIES_MAX; i++) {
        delivery_put_property(&properties, slice_text("a"), slice_text("1"));
    }
    delivery.properties = buf_slice(&properties);
    assert_survives(&delivery);
    delivery_put_property(&properties, slice_text("a"), slice_text("1"));
    delivery.properties = buf_slice(&properties);
    assert_refused(&delivery);
    buf_fini(&properties);
}

static void test_cut_or_longer_bytes_are_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct delivery back;
    delivery_encode(&full, &bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        assert_int_equal(delivery_decode(slice_of(bytes.data, length), &back), STATUS_INVALID);
    }
    buf_append_char(&bytes, 'x');
    assert_int_equal(delivery_decode(buf_slice(&bytes), &back), STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_unknown_flags_are_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct delivery back;
    delivery_encode(&full, &bytes);
    bytes.data[1] = 8;
    assert_int_equal(delivery_decode(buf_slice(&bytes), &back), STATUS_INVALID);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_decoded_delivery_is_the_encoded_one),
        cmocka_unit_test(test_an_absent_payload_arrives_as_an_empty_one),
        cmocka_unit_test(test_impossible_values_are_refused),
        cmocka_unit_test(test_a_property_is_found_by_its_name),
        cmocka_unit_test(test_at_most_32_properties_are_decoded),
        cmocka_unit_test(test_cut_or_longer_bytes_are_refused),
        cmocka_unit_test(test_unknown_flags_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
