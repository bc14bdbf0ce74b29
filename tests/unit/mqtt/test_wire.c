#include "mqtt/wire.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The only frame in the buffer. */
static struct wire_frame only_frame(const struct buf *bytes, enum wire_type type)
{
    struct wire_frame frame;
    size_t taken = 0;
    assert_int_equal(wire_next(buf_slice(bytes), &frame, &taken), STATUS_OK);
    assert_int_equal(frame.type, type);
    assert_int_equal(taken, bytes->length);
    return frame;
}

static enum status read_any(struct slice bytes)
{
    struct wire_frame frame;
    size_t taken;
    return wire_next(bytes, &frame, &taken);
}

static void test_frames_are_read_one_after_the_other(void **state)
{
    (void)state;
    struct buf bytes = {0};
    wire_put(&bytes, &(struct wire_frame){.type = WIRE_STOP});
    wire_put(&bytes, &(struct wire_frame){WIRE_DELIVERY, .delivery = slice_text("abc")});
    static const char expected[] = "\0\0\0\1\2\0\0\0\4\5abc";
    assert_int_equal(bytes.length, sizeof expected - 1);
    assert_memory_equal(bytes.data, expected, sizeof expected - 1);
    struct wire_frame frame;
    size_t taken = 0;
    assert_int_equal(wire_next(buf_slice(&bytes), &frame, &taken), STATUS_OK);
    assert_int_equal(frame.type, WIRE_STOP);
    assert_int_equal(taken, 5);
    buf_consume(&bytes, taken);
    assert_true(slice_equals_text(only_frame(&bytes, WIRE_DELIVERY).delivery, "abc"));
    buf_fini(&bytes);
}

static void test_an_incomplete_frame_is_not_found_yet(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_frame frame;
    size_t taken = 77;
    wire_put(&bytes, &(struct wire_frame){WIRE_PUBLISH, .publish = {7, 0, slice_text("message")}});
    for (size_t length = 0; length < bytes.length; length++) {
        assert_int_equal(wire_next(slice_of(bytes.data, length), &frame, &taken), STATUS_NOT_FOUND);
    }
    assert_int_equal(taken, 77);
    buf_fini(&bytes);
}

static void test_impossible_lengths_and_types_are_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        {"\0\0\0\0", 4},   {"\xff\xff\xff\xff", 4}, {"\4\0\0\1", 4},
        {"\0\0\0\1\0", 5}, {"\0\0\0\1\x0a", 5},     {"\0\0\1\0\xff", 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(read_any(slice_of(rows[i].bytes, rows[i].length)), STATUS_INVALID);
    }
    assert_int_equal(read_any(slice_of("\4\0\0\0", 4)), STATUS_NOT_FOUND);
}

static struct connect_params full_params(void)
{
    struct connect_params params = {
        .role = WIRE_RECEIVER,
        .name = "receiver-1",
        .log_level = 3,
        .log_style = LOG_JSON | LOG_WITH_PRIORITY,
        .protocol = 5,
        .address = {slice_text("wss"), slice_text("b"), slice_text("::1"), 65535,
                    slice_text("/mqtt")},
        .client_id = slice_text("edge-in"),
        .username = slice_text("user"),
        .password = slice_of("p\0w", 3),
        .keepalive_s = 30,
        .session_expiry_s = 86400,
        .receive_maximum = 20,
        .payload_bytes_max = 16384,
        .packet_bytes_max = 1 << 20,
        .ack_timeout_ms = 10000,
        .connect_timeout_s = 5,
        .tls_ca_file = slice_text("/ca"),
        .tls_ca_path = slice_text("/cas"),
        .tls_cert_file = slice_text("/cert"),
        .tls_key_file = slice_text("/key"),
        .tls_key_password = slice_text("secret"),
        .tls_alpn = slice_of("\4mqtt", 5),
        .has_tls_verify = true,
        .filter_count = ROUTE_FILTERS_MAX,
        .will_qos_max = 1,
        .has_retain = true,
        .will = slice_text("will"),
        .publish_interval_us = 100000,
        .will_delay_s = 10,
    };
    for (size_t i = 0; i < params.filter_count; i++) {
        params.filters[i] = (struct wire_filter){slice_text("$share/g/a/#"), (uint8_t)(i % 3)};
    }
    return params;
}

static void assert_same(struct slice a, struct slice b)
{
    assert_true(slice_equals(a, b));
    assert_int_equal(slice_is_present(a), slice_is_present(b));
}

static void test_connect_params_arrive_as_they_were(void **state)
{
    (void)state;
    struct connect_params params = full_params();
    struct connect_params back;
    struct buf bytes = {0};
    wire_put_connect_params(&bytes, &params);
    assert_int_equal(wire_get_connect_params(only_frame(&bytes, WIRE_CONNECT_PARAMS).params, &back),
                     STATUS_OK);
    assert_int_equal(back.role, WIRE_RECEIVER);
    assert_string_equal(back.name, "receiver-1");
    assert_int_equal(back.log_level, 3);
    assert_int_equal(back.log_style, LOG_JSON | LOG_WITH_PRIORITY);
    assert_int_equal(back.protocol, 5);
    assert_same(back.address.scheme, params.address.scheme);
    assert_same(back.address.host, params.address.host);
    assert_same(back.address.ip, params.address.ip);
    assert_int_equal(back.address.port, params.address.port);
    assert_same(back.address.path, params.address.path);
    assert_same(back.client_id, params.client_id);
    assert_same(back.username, params.username);
    assert_same(back.password, params.password);
    assert_int_equal(back.keepalive_s, 30);
    assert_int_equal(back.session_expiry_s, 86400);
    assert_int_equal(back.receive_maximum, 20);
    assert_int_equal(back.payload_bytes_max, 16384);
    assert_int_equal(back.packet_bytes_max, 1 << 20);
    assert_int_equal(back.ack_timeout_ms, 10000);
    assert_int_equal(back.connect_timeout_s, 5);
    assert_same(back.tls_ca_file, params.tls_ca_file);
    assert_same(back.tls_ca_path, params.tls_ca_path);
    assert_same(back.tls_cert_file, params.tls_cert_file);
    assert_same(back.tls_key_file, params.tls_key_file);
    assert_same(back.tls_key_password, params.tls_key_password);
    assert_same(back.tls_alpn, params.tls_alpn);
    assert_true(back.has_tls_verify);
    assert_int_equal(back.filter_count, ROUTE_FILTERS_MAX);
    assert_same(back.filters[255].filter, params.filters[255].filter);
    assert_int_equal(back.filters[254].qos, 2);
    assert_int_equal(back.will_qos_max, 1);
    assert_true(back.has_retain);
    assert_same(back.will, params.will);
    assert_int_equal(back.publish_interval_us, 100000);
    assert_int_equal(back.will_delay_s, 10);
    buf_fini(&bytes);
}

static void test_absent_connect_params_stay_absent(void **state)
{
    (void)state;
    struct connect_params params = {
        .role = WIRE_PUBLISHER,
        .name = "publisher",
        .protocol = 4,
        .address = {slice_text("mqtt"), slice_text("a"), slice_text(NULL), 1883, slice_text(NULL)},
        .client_id = slice_text("c"),
    };
    struct connect_params back;
    struct buf bytes = {0};
    wire_put_connect_params(&bytes, &params);
    assert_int_equal(wire_get_connect_params(only_frame(&bytes, WIRE_CONNECT_PARAMS).params, &back),
                     STATUS_OK);
    assert_false(slice_is_present(back.username));
    assert_false(slice_is_present(back.password));
    assert_false(slice_is_present(back.tls_ca_file));
    assert_false(slice_is_present(back.will));
    assert_false(slice_is_present(back.address.ip));
    assert_false(slice_is_present(back.address.path));
    assert_int_equal(back.filter_count, 0);
    buf_fini(&bytes);
}

static void assert_params_refused(const struct connect_params *params)
{
    struct connect_params back;
    struct buf bytes = {0};
    wire_put_connect_params(&bytes, params);
    assert_int_equal(wire_get_connect_params(only_frame(&bytes, WIRE_CONNECT_PARAMS).params, &back),
                     STATUS_INVALID);
    buf_fini(&bytes);
}

#define ASSERT_REFUSED_WITH(assignment)               \
    do {                                              \
        struct connect_params params = full_params(); \
        params.assignment;                            \
        assert_params_refused(&params);               \
    } while (0)

static void test_connect_params_outside_their_limits_are_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED_WITH(role = (enum wire_role)0);
    ASSERT_REFUSED_WITH(role = (enum wire_role)3);
    ASSERT_REFUSED_WITH(protocol = 3);
    ASSERT_REFUSED_WITH(protocol = 6);
    ASSERT_REFUSED_WITH(log_level = 4);
    ASSERT_REFUSED_WITH(will_qos_max = 2);
    ASSERT_REFUSED_WITH(filters[7].qos = 3);
    ASSERT_REFUSED_WITH(filters[7].filter = slice_text(NULL));
    ASSERT_REFUSED_WITH(address.scheme = slice_text(NULL));
    ASSERT_REFUSED_WITH(address.host = slice_text(NULL));
    ASSERT_REFUSED_WITH(address.port = 0);
    ASSERT_REFUSED_WITH(address.port = 65536);
    ASSERT_REFUSED_WITH(client_id = slice_text(NULL));
}

/* The name is the first field with a length of its own. */
static void test_names_and_lists_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct connect_params params = full_params();
    struct connect_params back;
    struct buf bytes = {0};
    static const size_t name_at = 5 + 1;
    wire_put_connect_params(&bytes, &params);
    struct slice body = only_frame(&bytes, WIRE_CONNECT_PARAMS).params;
    assert_int_equal(bytes.data[name_at + 3], 10);
    bytes.data[name_at + 3] = WIRE_NAME_BYTES;
    assert_int_equal(wire_get_connect_params(body, &back), STATUS_INVALID);
    bytes.data[name_at + 3] = 10;
    bytes.data[name_at + 4] = '\0';
    assert_int_equal(wire_get_connect_params(body, &back), STATUS_INVALID);
    bytes.data[name_at + 4] = 'r';
    assert_int_equal(wire_get_connect_params(body, &back), STATUS_OK);
    /* The list of filters: its count stands before the first one. */
    struct slice first = params.filters[0].filter;
    char *filters_at = memmem(bytes.data, bytes.length, first.data, first.length);
    assert_non_null(filters_at);
    uint8_t *count = (uint8_t *)filters_at - 8;
    assert_int_equal(count[2], ROUTE_FILTERS_MAX >> 8);
    count[3]++;
    assert_int_equal(wire_get_connect_params(body, &back), STATUS_INVALID);
    memset(count, 0xff, 4);
    assert_int_equal(wire_get_connect_params(body, &back), STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_up_arrives_as_it_was(void **state)
{
    (void)state;
    struct wire_frame frame = {WIRE_UP, .up = {true, 20, 268435455, 3600, 2, false}};
    struct buf bytes = {0};
    wire_put(&bytes, &frame);
    struct wire_up back = only_frame(&bytes, WIRE_UP).up;
    assert_true(back.is_session_present);
    assert_int_equal(back.receive_maximum, 20);
    assert_int_equal(back.packet_bytes_max, 268435455);
    assert_int_equal(back.session_expiry_s, 3600);
    assert_int_equal(back.max_qos, 2);
    assert_false(back.has_retain);
    buf_clear(&bytes);
    frame.up.max_qos = 3;
    wire_put(&bytes, &frame);
    assert_int_equal(read_any(buf_slice(&bytes)), STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_the_reason_for_an_end_arrives_as_it_was(void **state)
{
    (void)state;
    for (int reason = WIRE_DOWN_STOPPED; reason <= WIRE_DOWN_KEEPALIVE + 1; reason++) {
        struct buf bytes = {0};
        wire_put(&bytes,
                 &(struct wire_frame){WIRE_DOWN, .down = {(enum wire_down_reason)reason, 0x87,
                                                          slice_text("Not authorized"), true}});
        if (reason > WIRE_DOWN_KEEPALIVE) {
            assert_int_equal(read_any(buf_slice(&bytes)), STATUS_INVALID);
        } else {
            struct wire_down back = only_frame(&bytes, WIRE_DOWN).down;
            assert_int_equal(back.reason, reason);
            assert_int_equal(back.code, 0x87);
            assert_true(slice_equals_text(back.text, "Not authorized"));
            assert_true(back.is_session_present);
        }
        buf_fini(&bytes);
    }
}

static void test_every_reason_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a <= WIRE_DOWN_KEEPALIVE; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(wire_down_reason_text((enum wire_down_reason)a),
                                    wire_down_reason_text((enum wire_down_reason)b));
        }
    }
}

static void test_publishing_frames_carry_their_ids(void **state)
{
    (void)state;
    struct buf bytes = {0};
    wire_put(&bytes,
             &(struct wire_frame){WIRE_PUBLISH, .publish = {INT64_MAX, 12, slice_text("m")}});
    struct wire_publish publish = only_frame(&bytes, WIRE_PUBLISH).publish;
    assert_true(publish.id == INT64_MAX);
    assert_int_equal(publish.valid_until_ms, 12);
    assert_true(slice_equals_text(publish.message, "m"));
    buf_clear(&bytes);
    wire_put(&bytes, &(struct wire_frame){WIRE_PUBLISHED, .published = {-5, true}});
    struct wire_published published = only_frame(&bytes, WIRE_PUBLISHED).published;
    assert_true(published.id == -5);
    assert_true(published.has_subscriber);
    buf_clear(&bytes);
    wire_put(&bytes, &(struct wire_frame){WIRE_UNPUBLISHED,
                                          .unpublished = {9, 0x95, slice_text("too large")}});
    struct wire_unpublished back = only_frame(&bytes, WIRE_UNPUBLISHED).unpublished;
    assert_int_equal(back.id, 9);
    assert_int_equal(back.code, 0x95);
    assert_true(slice_equals_text(back.text, "too large"));
    buf_clear(&bytes);
    wire_put(&bytes, &(struct wire_frame){WIRE_EXPIRED, .expired = {-6}});
    assert_true(only_frame(&bytes, WIRE_EXPIRED).expired.id == -6);
    buf_fini(&bytes);
}

static void test_an_ack_is_durable_or_not(void **state)
{
    (void)state;
    for (int value = 0; value <= 1; value++) {
        struct buf bytes = {0};
        wire_put(&bytes, &(struct wire_frame){WIRE_ACK, .ack = {7 + (uint32_t)value, value == 1}});
        struct wire_ack back = only_frame(&bytes, WIRE_ACK).ack;
        assert_int_equal(back.number, 7 + value);
        assert_int_equal(back.is_durable, value);
        buf_fini(&bytes);
    }
    assert_int_equal(read_any(slice_of("\0\0\0\2\6\2", 6)), STATUS_INVALID);
}

/* A frame with the first `length` bytes of the body, or with bytes behind it. */
static enum status read_resized(enum wire_type type, struct slice body, size_t length)
{
    uint8_t head[5] = {0, 0, 0, 0, (uint8_t)type};
    struct buf bytes = {0};
    head[2] = (uint8_t)((length + 1) >> 8);
    head[3] = (uint8_t)(length + 1);
    buf_append(&bytes, slice_of(head, sizeof head));
    buf_append(&bytes, slice_of(body.data, length < body.length ? length : body.length));
    while (bytes.length < sizeof head + length) {
        buf_append_char(&bytes, '\0');
    }
    struct wire_frame frame;
    struct connect_params params;
    size_t taken;
    enum status status = wire_next(buf_slice(&bytes), &frame, &taken);
    if (status == STATUS_OK && type == WIRE_CONNECT_PARAMS) {
        status = wire_get_connect_params(frame.params, &params);
    }
    buf_fini(&bytes);
    return status;
}

static void test_bodies_that_are_too_short_or_too_long_are_refused(void **state)
{
    (void)state;
    static const struct wire_frame examples[] = {
        {WIRE_CONNECT_PARAMS, .params = {0}},
        {.type = WIRE_STOP},
        {WIRE_UP, .up = {.max_qos = 1}},
        {WIRE_DOWN, .down = {.text = {"why", 3}}},
        {WIRE_ACK, .ack = {9, true}},
        {WIRE_PUBLISHED, .published = {3, true}},
        {WIRE_UNPUBLISHED, .unpublished = {.text = {"why", 3}}},
        {WIRE_EXPIRED, .expired = {4}},
    };
    struct connect_params params = full_params();
    params.filter_count = 2;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        enum wire_type type = examples[i].type;
        struct buf bytes = {0};
        if (type == WIRE_CONNECT_PARAMS) {
            wire_put_connect_params(&bytes, &params);
        } else {
            wire_put(&bytes, &examples[i]);
        }
        struct slice body = slice_of(bytes.data + 5, bytes.length - 5);
        for (size_t length = 0; length < body.length; length++) {
            assert_int_equal(read_resized(type, body, length), STATUS_INVALID);
        }
        assert_int_equal(read_resized(type, body, body.length), STATUS_OK);
        assert_int_equal(read_resized(type, body, body.length + 1), STATUS_INVALID);
        buf_fini(&bytes);
    }
    /* An id without a message. */
    assert_int_equal(read_any(slice_of("\0\0\0\x09\7\0\0\0\0\0\0\0\1", 13)), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_read_one_after_the_other),
        cmocka_unit_test(test_an_incomplete_frame_is_not_found_yet),
        cmocka_unit_test(test_impossible_lengths_and_types_are_refused_at_once),
        cmocka_unit_test(test_connect_params_arrive_as_they_were),
        cmocka_unit_test(test_absent_connect_params_stay_absent),
        cmocka_unit_test(test_connect_params_outside_their_limits_are_refused),
        cmocka_unit_test(test_names_and_lists_that_are_too_long_are_refused),
        cmocka_unit_test(test_up_arrives_as_it_was),
        cmocka_unit_test(test_the_reason_for_an_end_arrives_as_it_was),
        cmocka_unit_test(test_every_reason_has_a_word_of_its_own),
        cmocka_unit_test(test_publishing_frames_carry_their_ids),
        cmocka_unit_test(test_an_ack_is_durable_or_not),
        cmocka_unit_test(test_bodies_that_are_too_short_or_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
