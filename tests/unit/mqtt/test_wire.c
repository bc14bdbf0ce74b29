#include "mqtt/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The only frame in the buffer, whole. */
static struct slice body_of(const struct buf *bytes, enum wire_type type)
{
    struct wire_frame frame;
    size_t taken = 0;
    assert_int_equal(wire_next(buf_slice(bytes), &frame, &taken), STATUS_OK);
    assert_int_equal(frame.type, type);
    assert_int_equal(taken, bytes->length);
    return frame.body;
}

static void test_frames_are_read_one_after_the_other(void **state)
{
    (void)state;
    struct buf bytes = {0};
    wire_put(&bytes, WIRE_STOP, slice_text(NULL));
    wire_put(&bytes, WIRE_DELIVERY, slice_text("abc"));
    static const char expected[] = "\0\0\0\1\2\0\0\0\4\5abc";
    assert_int_equal(bytes.length, sizeof expected - 1);
    assert_memory_equal(bytes.data, expected, sizeof expected - 1);
    struct wire_frame frame;
    size_t taken = 0;
    assert_int_equal(wire_next(buf_slice(&bytes), &frame, &taken), STATUS_OK);
    assert_int_equal(frame.type, WIRE_STOP);
    assert_int_equal(frame.body.length, 0);
    assert_int_equal(taken, 5);
    buf_consume(&bytes, taken);
    assert_true(slice_equals_text(body_of(&bytes, WIRE_DELIVERY), "abc"));
    buf_fini(&bytes);
}

static void test_a_frame_that_is_not_whole_is_waited_for(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_frame frame;
    size_t taken = 77;
    wire_put_publish(&bytes, 7, slice_text("message"));
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
        struct wire_frame frame;
        size_t taken;
        assert_int_equal(wire_next(slice_of(rows[i].bytes, rows[i].length), &frame, &taken),
                         STATUS_INVALID);
    }
    struct wire_frame frame;
    size_t taken;
    assert_int_equal(wire_next(slice_of("\4\0\0\0", 4), &frame, &taken), STATUS_NOT_FOUND);
}

static struct connect_params full_hello(void)
{
    struct connect_params params = {
        .role = WIRE_RECEIVER,
        .process_name = "receiver-1",
        .log_level = 3,
        .is_json_log = true,
        .protocol = 5,
        .uris = {{"mqtt://a", 8}, {"mqtts://b", 9}},
        .uri_count = 2,
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
        .will = slice_text("will"),
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

static void test_a_full_hello_arrives_as_it_was(void **state)
{
    (void)state;
    struct connect_params params = full_hello();
    struct connect_params back;
    char name[32];
    struct buf bytes = {0};
    wire_put_connect_params(&bytes, &params);
    assert_int_equal(wire_get_connect_params(body_of(&bytes, WIRE_CONNECT_PARAMS), &back, name),
                     STATUS_OK);
    assert_int_equal(back.role, WIRE_RECEIVER);
    assert_ptr_equal(back.process_name, name);
    assert_string_equal(name, "receiver-1");
    assert_int_equal(back.log_level, 3);
    assert_true(back.is_json_log);
    assert_int_equal(back.protocol, 5);
    assert_int_equal(back.uri_count, 2);
    assert_same(back.uris[1], params.uris[1]);
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
    assert_same(back.will, params.will);
    assert_int_equal(back.will_delay_s, 10);
    buf_fini(&bytes);
}

static void test_a_hello_keeps_absent_things_absent(void **state)
{
    (void)state;
    struct connect_params params = {.role = WIRE_PUBLISHER,
                                    .process_name = "publisher",
                                    .protocol = 4,
                                    .client_id = slice_text("c")};
    struct connect_params back;
    char name[32];
    struct buf bytes = {0};
    wire_put_connect_params(&bytes, &params);
    assert_int_equal(wire_get_connect_params(body_of(&bytes, WIRE_CONNECT_PARAMS), &back, name),
                     STATUS_OK);
    assert_false(slice_is_present(back.username));
    assert_false(slice_is_present(back.password));
    assert_false(slice_is_present(back.tls_ca_file));
    assert_false(slice_is_present(back.will));
    assert_int_equal(back.filter_count, 0);
    buf_fini(&bytes);
}

static void assert_hello_refused(const struct connect_params *params)
{
    struct connect_params back;
    char name[32];
    struct buf bytes = {0};
    wire_put_connect_params(&bytes, params);
    assert_int_equal(wire_get_connect_params(body_of(&bytes, WIRE_CONNECT_PARAMS), &back, name),
                     STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_a_hello_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct connect_params params = full_hello();
    params.role = (enum wire_role)3;
    assert_hello_refused(&params);
    params = full_hello();
    params.process_name = "a name of thirty-two characters!";
    assert_hello_refused(&params);
    params = full_hello();
    params.process_name = NULL;
    assert_hello_refused(&params);
    params = full_hello();
    params.protocol = 3;
    assert_hello_refused(&params);
    params = full_hello();
    params.log_level = 4;
    assert_hello_refused(&params);
    params = full_hello();
    params.filters[7].qos = 3;
    assert_hello_refused(&params);
    params = full_hello();
    params.uris[1] = slice_text(NULL);
    assert_hello_refused(&params);
    params = full_hello();
    params.client_id = slice_text(NULL);
    assert_hello_refused(&params);
}

static void test_up_arrives_as_it_was(void **state)
{
    (void)state;
    struct wire_up up = {true, 1, 20, 268435455, 2, false};
    struct wire_up back;
    struct buf bytes = {0};
    wire_put_up(&bytes, &up);
    assert_int_equal(wire_get_up(body_of(&bytes, WIRE_UP), &back), STATUS_OK);
    assert_true(back.is_session_present);
    assert_int_equal(back.uri_index, 1);
    assert_int_equal(back.receive_maximum, 20);
    assert_int_equal(back.packet_bytes_max, 268435455);
    assert_int_equal(back.max_qos, 2);
    assert_false(back.has_retain);
    buf_clear(&bytes);
    up.max_qos = 3;
    wire_put_up(&bytes, &up);
    assert_int_equal(wire_get_up(body_of(&bytes, WIRE_UP), &back), STATUS_INVALID);
    buf_fini(&bytes);
}

static void test_last_words_arrive_as_they_were(void **state)
{
    (void)state;
    for (int reason = WIRE_DOWN_STOPPED; reason <= WIRE_DOWN_INTERNAL + 1; reason++) {
        struct wire_down down = {(enum wire_down_reason)reason, 0x87, slice_text("Not authorized")};
        struct wire_down back;
        struct buf bytes = {0};
        wire_put_down(&bytes, &down);
        enum status status = wire_get_down(body_of(&bytes, WIRE_DOWN), &back);
        assert_int_equal(status, reason <= WIRE_DOWN_INTERNAL ? STATUS_OK : STATUS_INVALID);
        if (status == STATUS_OK) {
            assert_int_equal(back.reason, reason);
            assert_int_equal(back.code, 0x87);
            assert_true(slice_equals_text(back.text, "Not authorized"));
        }
        buf_fini(&bytes);
    }
}

static void test_every_reason_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a <= WIRE_DOWN_INTERNAL; a++) {
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
    int64_t id = 0;
    struct slice message;
    wire_put_publish(&bytes, INT64_MAX, slice_text("m"));
    assert_int_equal(wire_get_publish(body_of(&bytes, WIRE_PUBLISH), &id, &message), STATUS_OK);
    assert_true(id == INT64_MAX);
    assert_true(slice_equals_text(message, "m"));
    buf_clear(&bytes);
    wire_put_published(&bytes, -5);
    assert_int_equal(wire_get_published(body_of(&bytes, WIRE_PUBLISHED), &id), STATUS_OK);
    assert_true(id == -5);
    buf_clear(&bytes);
    struct wire_unpublished unpublished = {9, true, 0x95, slice_text("too large")};
    struct wire_unpublished back;
    wire_put_unpublished(&bytes, &unpublished);
    assert_int_equal(wire_get_unpublished(body_of(&bytes, WIRE_UNPUBLISHED), &back), STATUS_OK);
    assert_int_equal(back.id, 9);
    assert_true(back.is_final);
    assert_int_equal(back.code, 0x95);
    assert_true(slice_equals_text(back.text, "too large"));
    buf_fini(&bytes);
}

static void test_a_ack_is_durable_or_not(void **state)
{
    (void)state;
    for (int value = 0; value <= 1; value++) {
        struct buf bytes = {0};
        bool is_durable = value == 0;
        wire_put_ack(&bytes, value == 1);
        assert_int_equal(wire_get_ack(body_of(&bytes, WIRE_ACK), &is_durable), STATUS_OK);
        assert_int_equal(is_durable, value == 1);
        buf_fini(&bytes);
    }
    bool is_durable;
    assert_int_equal(wire_get_ack(slice_of("\2", 1), &is_durable), STATUS_INVALID);
    assert_int_equal(wire_get_ack(slice_of("", 0), &is_durable), STATUS_INVALID);
}

/* Any body, in the form of any frame: whether it is taken. */
static bool is_taken(enum wire_type type, struct slice body)
{
    struct connect_params params;
    struct wire_up up;
    struct wire_down down;
    struct wire_unpublished unpublished;
    int64_t id;
    bool is_durable;
    char name[32];
    switch (type) {
    case WIRE_CONNECT_PARAMS:
        return wire_get_connect_params(body, &params, name) == STATUS_OK;
    case WIRE_UP:
        return wire_get_up(body, &up) == STATUS_OK;
    case WIRE_DOWN:
        return wire_get_down(body, &down) == STATUS_OK;
    case WIRE_UNPUBLISHED:
        return wire_get_unpublished(body, &unpublished) == STATUS_OK;
    case WIRE_PUBLISHED:
        return wire_get_published(body, &id) == STATUS_OK;
    case WIRE_ACK:
        return wire_get_ack(body, &is_durable) == STATUS_OK;
    default:
        return false;
    }
}

static void put_example(struct buf *out, enum wire_type type)
{
    struct connect_params params = full_hello();
    struct wire_up up = {.max_qos = 1};
    struct wire_down down = {.text = slice_text("why")};
    struct wire_unpublished unpublished = {.text = slice_text("why")};
    params.filter_count = 2;
    switch (type) {
    case WIRE_CONNECT_PARAMS:
        wire_put_connect_params(out, &params);
        break;
    case WIRE_UP:
        wire_put_up(out, &up);
        break;
    case WIRE_DOWN:
        wire_put_down(out, &down);
        break;
    case WIRE_UNPUBLISHED:
        wire_put_unpublished(out, &unpublished);
        break;
    case WIRE_PUBLISHED:
        wire_put_published(out, 3);
        break;
    default:
        wire_put_ack(out, true);
        break;
    }
}

static void test_bodies_that_are_cut_or_longer_are_refused(void **state)
{
    (void)state;
    static const enum wire_type types[] = {WIRE_CONNECT_PARAMS, WIRE_UP,        WIRE_DOWN,
                                           WIRE_UNPUBLISHED,    WIRE_PUBLISHED, WIRE_ACK};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct buf bytes = {0};
        put_example(&bytes, types[i]);
        struct slice body = body_of(&bytes, types[i]);
        assert_true(is_taken(types[i], body));
        for (size_t length = 0; length < body.length; length++) {
            assert_false(is_taken(types[i], slice_of(body.data, length)));
        }
        /* The NUL behind the buffer's bytes serves as one byte too many. */
        assert_false(is_taken(types[i], slice_of(body.data, body.length + 1)));
        buf_fini(&bytes);
    }
    int64_t id;
    struct slice message;
    assert_int_equal(wire_get_publish(slice_of("\0\0\0\0\0\0\0\1", 8), &id, &message),
                     STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_read_one_after_the_other),
        cmocka_unit_test(test_a_frame_that_is_not_whole_is_waited_for),
        cmocka_unit_test(test_impossible_lengths_and_types_are_refused_at_once),
        cmocka_unit_test(test_a_full_hello_arrives_as_it_was),
        cmocka_unit_test(test_a_hello_keeps_absent_things_absent),
        cmocka_unit_test(test_a_hello_that_cannot_be_is_refused),
        cmocka_unit_test(test_up_arrives_as_it_was),
        cmocka_unit_test(test_last_words_arrive_as_they_were),
        cmocka_unit_test(test_every_reason_has_a_word_of_its_own),
        cmocka_unit_test(test_publishing_frames_carry_their_ids),
        cmocka_unit_test(test_a_ack_is_durable_or_not),
        cmocka_unit_test(test_bodies_that_are_cut_or_longer_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
