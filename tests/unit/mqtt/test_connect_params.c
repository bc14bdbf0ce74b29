/* The connect params that are made from settings, and the addresses that Paho gets from them. */
#include "mqtt/connect_params.h"
#include "mqtt/paho/connection_options.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const struct tls_files no_tls;
static const struct connect_attempt first;

/* Settings with these lines in `broker` and these routes. */
static struct settings *settings_of(const char *broker_lines, const char *topics)
{
    struct buf text = {0};
    buf_printf(&text,
               "instance = \"test\"; limits: { payload_bytes = 1024; };"
               "broker: { client_id = \"b\"; %s };"
               "routes = ({ name = \"r\"; action = \"StartDiskReplicaGroup\";"
               "topics = (%s); });",
               broker_lines, topics);
    struct settings *settings = settings_of_text(text.data);
    buf_fini(&text);
    return settings;
}

static void check_text(struct slice slice, const char *text)
{
    if (!slice_equals_text(slice, text)) {
        fail_msg("\"%.*s\" instead of \"%s\"", (int)slice.length, slice.data, text);
    }
}

static void check_address(const struct wire_address *address, const char *pahos, const char *ours)
{
    struct buf text = {0};
    char *uri = address_for_paho(address);
    assert_string_equal(uri, pahos);
    address_append(&text, address);
    assert_string_equal(text.data, ours);
    buf_fini(&text);
    free(uri);
}

static void test_broker_addresses_are_split_and_get_their_default_port(void **state)
{
    (void)state;
    static const struct {
        const char *pahos;
        const char *ours;
        bool is_tls;
    } expected[] = {
        {"tcp://a.example:1883", "mqtt://a.example:1883", false},
        {"ssl://a.example:8883", "mqtts://a.example:8883", true},
        {"ssl://[2001:db8::1]:444", "mqtts://[2001:db8::1]:444", true},
        {"ws://127.0.0.1:80/mqtt", "ws://127.0.0.1:80/mqtt", false},
        {"wss://a.example:443/x?y", "wss://a.example:443/x?y", true},
    };
    struct settings *settings =
        settings_of("uris = (\"mqtt://a.example\", \"mqtts://a.example\","
                    "\"mqtts://[2001:db8::1]:444\", \"ws://127.0.0.1/mqtt\","
                    "\"wss://a.example/x?y\");",
                    "\"t\"");
    for (size_t i = 0; i < 5; i++) {
        struct connect_params params;
        const char *why = NULL;
        const struct connect_attempt attempt = {.uri = i, .keepalive_s = i == 0 ? 0 : 7};
        assert_int_equal(connect_params_init(&params, settings, &no_tls, WIRE_RECEIVER, &attempt,
                                             (struct slice){0}, &why),
                         STATUS_OK);
        check_address(&params.address, expected[i].pahos, expected[i].ours);
        assert_int_equal(address_is_tls(&params.address), expected[i].is_tls);
        assert_int_equal(params.keepalive_s, i == 0 ? 30 : 7);
        assert_int_equal(params.ack_timeout_ms, i == 0 ? 10000 : 3500);
        connect_params_fini(&params);
    }
    settings_free(settings);
}

static void test_the_receiver_subscribes_to_the_topics_of_the_routes(void **state)
{
    (void)state;
    struct settings *settings = settings_of("uris = (\"mqtt://h\");", "\"a/+\", \"b\"");
    struct connect_params params;
    const char *why = NULL;
    assert_int_equal(connect_params_init(&params, settings, &no_tls, WIRE_RECEIVER, &first,
                                         slice_text("will"), &why),
                     STATUS_OK);
    assert_string_equal(params.name, "receiver");
    check_text(params.client_id, "b-in");
    assert_int_equal(params.filter_count, 2);
    check_text(params.filters[0].filter, "a/+");
    check_text(params.filters[1].filter, "b");
    assert_int_equal(params.packet_bytes_max, 1024 + (1 << 20));
    assert_false(slice_is_present(params.will));
    connect_params_fini(&params);
    settings_free(settings);
}

static void test_a_share_is_the_group_of_all_topics_of_its_route(void **state)
{
    (void)state;
    struct settings *settings =
        settings_of("uris = (\"mqtt://h\");", "\"a/+\", \"b\"); share = \"g\"; regions = (\"*\"");
    struct connect_params params;
    const char *why = NULL;
    assert_int_equal(connect_params_init(&params, settings, &no_tls, WIRE_RECEIVER, &first,
                                         (struct slice){0}, &why),
                     STATUS_OK);
    assert_int_equal(params.filter_count, 2);
    check_text(params.filters[0].filter, "$share/g/a/+");
    check_text(params.filters[1].filter, "$share/g/b");
    connect_params_fini(&params);
    settings_free(settings);
}

static void test_the_publisher_has_a_will_and_a_session_as_long_as_its_delay(void **state)
{
    (void)state;
    struct settings *settings = settings_of("uris = (\"mqtt://h\");", "\"a\"");
    struct connect_params params;
    const char *why = NULL;
    assert_int_equal(connect_params_init(&params, settings, &no_tls, WIRE_PUBLISHER, &first,
                                         slice_text("will"), &why),
                     STATUS_OK);
    assert_string_equal(params.name, "publisher");
    check_text(params.client_id, "b-out");
    assert_int_equal(params.filter_count, 0);
    check_text(params.will, "will");
    assert_int_equal(params.will_delay_s, MQTT_WILL_DELAY_S);
    assert_int_equal(params.session_expiry_s, MQTT_WILL_DELAY_S);
    connect_params_fini(&params);
    settings_free(settings);
}

static void test_the_password_is_read_again_for_each_process(void **state)
{
    (void)state;
    char path[] = "/tmp/test_connect_params.XXXXXX";
    char lines[128];
    int fd = mkstemp(path);
    assert_true(dprintf(fd, "first\n") > 0);
    snprintf(lines, sizeof lines,
             "uris = (\"mqtt://h\"); username = \"u\"; password_file = \"%s\";", path);
    struct settings *settings = settings_of(lines, "\"a\"");
    struct connect_params params;
    const char *why = NULL;
    assert_int_equal(connect_params_init(&params, settings, &no_tls, WIRE_PUBLISHER, &first,
                                         (struct slice){0}, &why),
                     STATUS_OK);
    check_text(params.username, "u");
    check_text(params.password, "first");
    connect_params_fini(&params);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "second", 6, 0), 6);
    assert_int_equal(connect_params_init(&params, settings, &no_tls, WIRE_PUBLISHER, &first,
                                         (struct slice){0}, &why),
                     STATUS_OK);
    check_text(params.password, "second");
    connect_params_fini(&params);
    unlink(path);
    assert_int_not_equal(connect_params_init(&params, settings, &no_tls, WIRE_PUBLISHER, &first,
                                             (struct slice){0}, &why),
                         STATUS_OK);
    assert_string_equal(why, "the broker password cannot be read");
    assert_string_equal(params.name, "publisher");
    connect_params_fini(&params);
    close(fd);
    settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broker_addresses_are_split_and_get_their_default_port),
        cmocka_unit_test(test_the_receiver_subscribes_to_the_topics_of_the_routes),
        cmocka_unit_test(test_a_share_is_the_group_of_all_topics_of_its_route),
        cmocka_unit_test(test_the_publisher_has_a_will_and_a_session_as_long_as_its_delay),
        cmocka_unit_test(test_the_password_is_read_again_for_each_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
