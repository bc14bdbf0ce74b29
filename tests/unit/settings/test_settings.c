/* Settings: every key, its default, and printing them as a file. */
#include "base/buf.h"
#include "settings/settings.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define ONE_SHOT PARAMETER_StartDiskReplicaGroup_OneShot

#define VECTORS "tests/vectors/settings/"

static void assert_list(const struct text_list *list, size_t count, const char *const items[])
{
    assert_int_equal(list->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(list->items[i], items[i]);
    }
}

static void assert_item(const struct text_list *list, const char *item)
{
    assert_list(list, 1, &item);
}

static void assert_default_broker(const struct settings *settings)
{
    assert_item(&settings->broker.uris, "mqtt://127.0.0.1:1883");
    assert_int_equal(settings->broker.protocol, 5);
    assert_string_equal(settings->broker.username, "");
    assert_string_equal(settings->broker.password_file, "");
    assert_int_equal(settings->broker.session_expiry_s, 86400);
    assert_int_equal(settings->broker.keepalive_s, 30);
    assert_int_equal(settings->broker.receive_maximum, 65535);
    assert_int_equal(settings->broker.reconnect_min_s, 1);
    assert_int_equal(settings->broker.reconnect_max_s, 60);
    assert_true(settings->broker.will);
    assert_true(settings->broker.retain);
    assert_true(settings->broker.publish_per_s < 0.01);
    assert_string_equal(settings->broker.tls.ca_file, "");
    assert_string_equal(settings->broker.tls.ca_path, "");
    assert_string_equal(settings->broker.tls.cert_file, "");
    assert_string_equal(settings->broker.tls.key_file, "");
    assert_string_equal(settings->broker.tls.key_password_file, "");
    assert_int_equal(settings->broker.tls.alpn.count, 0);
    assert_true(settings->broker.tls.verify);
}

static void assert_default_api(const struct settings *settings)
{
    assert_string_equal(settings->api.preset, "ebs");
    assert_string_equal(settings->api.endpoint, "");
    assert_string_equal(settings->api.version, "");
    assert_string_equal(settings->api.network, "public");
    assert_string_equal(settings->api.signature, "v3");
    assert_int_equal(settings->api.connect_timeout_ms, 5000);
    assert_int_equal(settings->api.read_timeout_ms, 10000);
    assert_int_equal(settings->api.max_in_flight, 64);
    assert_int_equal(settings->api.max_in_flight_per_region, 16);
    assert_int_equal(settings->api.max_connection_age_s, 60);
    assert_true(settings->api.rate_per_s > 19.9 && settings->api.rate_per_s < 20.1);
    assert_int_equal(settings->api.rate_burst, 40);
    assert_string_equal(settings->api.ca_file, "");
    assert_string_equal(settings->api.ca_path, "");
    assert_string_equal(settings->api.cert_file, "");
    assert_string_equal(settings->api.key_file, "");
    assert_string_equal(settings->api.key_password_file, "");
    assert_string_equal(settings->api.proxy, "");
    assert_false(settings->api.allow_http);
    assert_int_equal(settings->api.rpo_s, 900);
}

static void assert_default_others(const struct settings *settings)
{
    assert_string_equal(settings->credentials.provider, "default");
    assert_string_equal(settings->ledger.store, "sqlite:ledger.db");
    assert_string_equal(settings->ledger.durability, "full");
    assert_int_equal(settings->dedup.success_ttl_s, 86400);
    assert_int_equal(settings->dedup.failure_ttl_s, 300);
    assert_int_equal(settings->limits.payload_bytes, 16384);
    assert_int_equal(settings->limits.pending, 100000);
    assert_int_equal(settings->limits.deadline_s, 300);
    assert_int_equal(settings->limits.waiters_per_token, 64);
    assert_int_equal(settings->limits.reply_topic_bytes, 1024);
    assert_int_equal(settings->limits.correlation_bytes, 1024);
    assert_int_equal(settings->limits.outbox_messages, 200000);
    assert_int_equal(settings->limits.outbox_bytes, 268435456);
    assert_int_equal(settings->replies.qos, 1);
    assert_int_equal(settings->replies.expiry_s, 3600);
    assert_string_equal(settings->topics.dead_letters, "ecs-bridge/v1/dead-letters");
    assert_string_equal(settings->topics.status, "ecs-bridge/v1/status/{Instance}");
    assert_string_equal(settings->topics.events, "ecs-bridge/v1/events/{ReplicaGroupId}");
    assert_string_equal(settings->admin.listen, "127.0.0.1:9464");
    assert_int_equal(settings->watch.poll_min_s, 5);
    assert_int_equal(settings->watch.poll_max_s, 60);
    assert_true(settings->watch.rate_per_s > 1.9 && settings->watch.rate_per_s < 2.1);
    assert_int_equal(settings->watch.batch, 100);
    assert_int_equal(settings->watch.give_up_s, 604800);
    assert_int_equal(settings->watch.begin_s, 600);
    assert_int_equal(settings->watch.stall_s, 3600);
    assert_true(settings->watch.lag_factor > 1.9 && settings->watch.lag_factor < 2.1);
    assert_int_equal(settings->watch.blind_s, 300);
    assert_int_equal(settings->watch.progress_s, 0);
    assert_false(settings->watch.retain);
    assert_int_equal(settings->watch.event_expiry_s, 86400);
    assert_int_equal(settings->watch.max, 10000);
    assert_string_equal(settings->log.level, "info");
    assert_string_equal(settings->log.format, "auto");
}

static void assert_default_route(const struct route *route)
{
    assert_string_equal(route->name, "start");
    assert_string_equal(route->action, "StartDiskReplicaGroup");
    assert_item(&route->topics, "ecs-bridge/v1/commands/start");
    assert_string_equal(route->share, "");
    assert_int_equal(route->qos, 1);
    assert_false(route->needs_client_token);
    assert_string_equal(route->reply_topic, "ecs-bridge/v1/replies/{ClientToken}");
    assert_item(&route->response_topics, "ecs-bridge/v1/replies/#");
    assert_item(&route->regions, "*");
    assert_item(&route->groups, "*");
    assert_null(route->default_region);
    assert_null(route->default_group);
    assert_false(route->parameter_defaults[ONE_SHOT].is_set);
    assert_false(route->has_accepted_reply);
    assert_false(route->may_defer_cooldown);
    assert_string_equal(route->watch, "off");
    assert_false(route->explain);
}

static void assert_defaults(const struct settings *settings)
{
    assert_default_broker(settings);
    assert_default_api(settings);
    assert_default_others(settings);
    assert_int_equal(settings->route_count, 1);
    assert_default_route(&settings->routes[0]);
}

static void test_without_a_file_every_key_has_its_default(void **state)
{
    (void)state;
    struct settings *settings = settings_of_file(NULL);
    assert_defaults(settings);
    settings_free(settings);
}

static void test_an_empty_text_gives_the_defaults_and_warns_of_the_open_route(void **state)
{
    (void)state;
    assert_warnings("", "test" OPEN_ROUTE_WARNING);
    struct settings *settings = settings_of_text("// nothing");
    assert_defaults(settings);
    settings_free(settings);
}

static void test_the_example_is_the_defaults(void **state)
{
    (void)state;
    struct buf example = {0};
    settings_example(&example);
    struct buf expected = {0};
    const char *groups = strstr(example.data, "groups = (\"*\");");
    int line = 1;
    for (const char *at = example.data; at < groups; at++) {
        line += *at == '\n';
    }
    buf_printf(&expected, "test:%d" OPEN_ROUTE_WARNING, line);
    assert_warnings(example.data, expected.data);
    buf_fini(&expected);
    struct settings *settings = settings_of_text(example.data);
    assert_defaults(settings);
    settings_free(settings);
    buf_fini(&example);
}

static void test_the_instance_is_the_host_name_unless_it_is_named(void **state)
{
    (void)state;
    char host[256] = "";
    struct buf client_id = {0};
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    buf_printf(&client_id, "ecs-mqtt-bridge-%s", host);
    struct settings *settings = settings_of_text("instance = \"\";");
    assert_string_equal(settings->instance, host);
    assert_string_equal(settings->broker.client_id, client_id.data);
    settings_free(settings);
    buf_fini(&client_id);

    settings = settings_of_text(
        "instance = \"north\"; broker: { client_id = \"{Instance}/{Instance}!\"; };");
    assert_string_equal(settings->instance, "north");
    assert_string_equal(settings->broker.client_id, "north/north!");
    settings_free(settings);
}

static void assert_full_broker(const struct settings *settings)
{
    static const char *const uris[] = {"mqtts://127.0.0.1:8884", "wss://localhost/mqtt",
                                       "mqtt://[::1]:1884"};
    static const char *const alpn[] = {"mqtt", "x-amzn-mqtt-ca"};
    assert_list(&settings->broker.uris, 3, uris);
    assert_int_equal(settings->broker.protocol, 4);
    assert_string_equal(settings->broker.client_id, "id-plant \"7\" \\ north-plant \"7\" \\ north");
    assert_string_equal(settings->broker.username, "user");
    assert_string_equal(settings->broker.password_file, VECTORS "full.conf");
    assert_int_equal(settings->broker.session_expiry_s, 4294967295);
    assert_int_equal(settings->broker.keepalive_s, 30);
    assert_int_equal(settings->broker.receive_maximum, 4096);
    assert_int_equal(settings->broker.reconnect_min_s, 2);
    assert_int_equal(settings->broker.reconnect_max_s, 3);
    assert_false(settings->broker.will);
    assert_false(settings->broker.retain);
    assert_true(settings->broker.publish_per_s > 2.4 && settings->broker.publish_per_s < 2.6);
    assert_string_equal(settings->broker.tls.ca_file, VECTORS "full.conf");
    assert_string_equal(settings->broker.tls.ca_path, "tests/vectors/settings");
    assert_string_equal(settings->broker.tls.cert_file, VECTORS "full.conf");
    assert_string_equal(settings->broker.tls.key_file, VECTORS "full.conf");
    assert_string_equal(settings->broker.tls.key_password_file, VECTORS "full.conf");
    assert_list(&settings->broker.tls.alpn, 2, alpn);
    assert_false(settings->broker.tls.verify);
}

static void assert_full_api(const struct settings *settings)
{
    assert_string_equal(settings->api.preset, "ecs");
    assert_string_equal(settings->api.endpoint, "https://ecs.{RegionId}.example:8443");
    assert_string_equal(settings->api.version, "2014-05-26");
    assert_string_equal(settings->api.network, "vpc");
    assert_string_equal(settings->api.signature, "v1");
    assert_int_equal(settings->api.connect_timeout_ms, 1);
    assert_int_equal(settings->api.read_timeout_ms, 2);
    assert_int_equal(settings->api.max_in_flight, 3);
    assert_int_equal(settings->api.max_in_flight_per_region, 2);
    assert_int_equal(settings->api.max_connection_age_s, 5);
    assert_true(settings->api.rate_per_s > 6.9 && settings->api.rate_per_s < 7.1);
    assert_int_equal(settings->api.rate_burst, 4);
    assert_string_equal(settings->api.ca_file, VECTORS "full.conf");
    assert_string_equal(settings->api.ca_path, "tests/vectors/settings");
    assert_string_equal(settings->api.cert_file, VECTORS "full.conf");
    assert_string_equal(settings->api.key_file, VECTORS "full.conf");
    assert_string_equal(settings->api.key_password_file, VECTORS "full.conf");
    assert_string_equal(settings->api.proxy, "socks5h://proxy.example:1080");
    assert_true(settings->api.allow_http);
    assert_int_equal(settings->api.rpo_s, 60);
}

static void assert_full_others(const struct settings *settings)
{
    assert_string_equal(settings->instance, "plant \"7\" \\ north");
    assert_string_equal(settings->credentials.provider, "env");
    assert_string_equal(settings->ledger.store, "sqlite:/var/lib/x.db");
    assert_string_equal(settings->ledger.durability, "process");
    assert_int_equal(settings->dedup.success_ttl_s, 4294967295);
    assert_int_equal(settings->dedup.failure_ttl_s, 11);
    assert_int_equal(settings->limits.payload_bytes, 12);
    assert_int_equal(settings->limits.pending, 13);
    assert_int_equal(settings->limits.deadline_s, 14);
    assert_int_equal(settings->limits.waiters_per_token, 15);
    assert_int_equal(settings->limits.reply_topic_bytes, 22);
    assert_int_equal(settings->limits.correlation_bytes, 23);
    assert_int_equal(settings->limits.outbox_messages, 24);
    assert_int_equal(settings->limits.outbox_bytes, 25);
    assert_int_equal(settings->replies.qos, 2);
    assert_int_equal(settings->replies.expiry_s, 3000000000);
    assert_string_equal(settings->topics.dead_letters, "d/{Route}");
    assert_string_equal(settings->topics.status, "s/{Instance}");
    assert_string_equal(settings->topics.events, "e/{ClientToken}");
    assert_string_equal(settings->admin.listen, "");
    assert_int_equal(settings_log_level(settings), LOG_LEVEL_DEBUG);
    assert_string_equal(settings->log.format, "json");
}

static void assert_full_watch(const struct settings *settings)
{
    assert_int_equal(settings->watch.poll_min_s, 2);
    assert_int_equal(settings->watch.poll_max_s, 31);
    assert_true(settings->watch.rate_per_s > 2.9 && settings->watch.rate_per_s < 3.1);
    assert_int_equal(settings->watch.batch, 4);
    assert_int_equal(settings->watch.give_up_s, 32);
    assert_int_equal(settings->watch.begin_s, 33);
    assert_int_equal(settings->watch.stall_s, 34);
    assert_true(settings->watch.lag_factor > 1.4 && settings->watch.lag_factor < 1.6);
    assert_int_equal(settings->watch.blind_s, 35);
    assert_int_equal(settings->watch.progress_s, 36);
    assert_true(settings->watch.retain);
    assert_int_equal(settings->watch.event_expiry_s, 37);
    assert_int_equal(settings->watch.max, 38);
}

static void assert_full_route(const struct route *route)
{
    static const char *const topics[] = {"a/+/b", "c/d"};
    static const char *const regions[] = {"cn-*", "eu-central-1"};
    assert_string_equal(route->name, "first");
    assert_list(&route->topics, 2, topics);
    assert_string_equal(route->share, "group");
    assert_int_equal(route->qos, 2);
    assert_true(route->needs_client_token);
    assert_string_equal(route->reply_topic, "r/{Route}/{RegionId}/{ReplicaGroupId}/{ClientToken}");
    assert_int_equal(route->response_topics.count, 0);
    assert_list(&route->regions, 2, regions);
    assert_item(&route->groups, "pg-[ab]*");
    assert_string_equal(route->default_region, "cn-beijing");
    assert_string_equal(route->default_group, "pg-a");
    assert_true(route->parameter_defaults[ONE_SHOT].is_set);
    assert_true(route->parameter_defaults[ONE_SHOT].value);
    assert_true(route->has_accepted_reply);
    assert_true(route->may_defer_cooldown);
    assert_string_equal(route->watch, "continuous");
    assert_true(route->explain);
}

static void test_every_key_is_read(void **state)
{
    (void)state;
    struct settings *settings = settings_of_file(VECTORS "full.conf");
    assert_full_broker(settings);
    assert_full_api(settings);
    assert_full_others(settings);
    assert_full_watch(settings);
    assert_int_equal(settings->route_count, 2);
    assert_full_route(&settings->routes[0]);
    assert_string_equal(settings->routes[1].name, "second");
    assert_true(settings->routes[1].parameter_defaults[ONE_SHOT].is_set);
    assert_false(settings->routes[1].parameter_defaults[ONE_SHOT].value);
    assert_null(settings->routes[1].default_region);
    settings_free(settings);
}

static void assert_prints_the_same_again(struct settings *settings)
{
    struct buf first = {0};
    struct buf second = {0};
    settings_print(settings, &first);
    struct settings *again = settings_of_text(first.data);
    settings_print(again, &second);
    assert_string_equal(first.data, second.data);
    buf_fini(&first);
    buf_fini(&second);
    settings_free(again);
    settings_free(settings);
}

static void test_printed_settings_read_as_the_same(void **state)
{
    (void)state;
    struct buf printed = {0};
    struct settings *settings = settings_of_file(VECTORS "full.conf");
    settings_print(settings, &printed);
    settings_free(settings);
    settings = settings_of_text(printed.data);
    assert_full_broker(settings);
    assert_full_api(settings);
    assert_full_others(settings);
    assert_full_route(&settings->routes[0]);
    settings_free(settings);
    buf_fini(&printed);

    assert_prints_the_same_again(settings_of_file(NULL));
    assert_prints_the_same_again(settings_of_file(VECTORS "dangers.conf"));
    assert_prints_the_same_again(settings_of_text("api: { rate_per_s = 0.1234567890123; };"));
}

static void test_a_proxy_password_is_not_printed(void **state)
{
    (void)state;
    struct buf printed = {0};
    struct settings *settings =
        settings_of_text("api: { proxy = \"http://me:p%40ss@proxy:3128\"; };");
    assert_string_equal(settings->api.proxy, "http://me:p%40ss@proxy:3128");
    settings_print(settings, &printed);
    assert_non_null(strstr(printed.data, "proxy = \"http://***@proxy:3128\";"));
    assert_null(strstr(printed.data, "p%40ss"));
    buf_fini(&printed);
    assert_prints_the_same_again(settings);
}

static void test_the_path_of_a_collector_is_not_printed(void **state)
{
    (void)state;
    struct buf printed = {0};
    struct settings *settings =
        settings_of_text("trace: { endpoint = \"https://c.example/s3cret/traces\"; };");
    assert_string_equal(settings->trace.endpoint, "https://c.example/s3cret/traces");
    settings_print(settings, &printed);
    assert_non_null(strstr(printed.data, "endpoint = \"https://c.example/***\";"));
    assert_null(strstr(printed.data, "s3cret"));
    buf_fini(&printed);
    settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_file_every_key_has_its_default),
        cmocka_unit_test(test_an_empty_text_gives_the_defaults_and_warns_of_the_open_route),
        cmocka_unit_test(test_the_example_is_the_defaults),
        cmocka_unit_test(test_the_instance_is_the_host_name_unless_it_is_named),
        cmocka_unit_test(test_every_key_is_read),
        cmocka_unit_test(test_printed_settings_read_as_the_same),
        cmocka_unit_test(test_a_proxy_password_is_not_printed),
        cmocka_unit_test(test_the_path_of_a_collector_is_not_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
