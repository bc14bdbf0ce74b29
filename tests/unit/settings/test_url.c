/* URLs of brokers, endpoints, proxies and services: what is accepted, what is refused, and what is
 * on loopback. */
#include "settings/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_a_url_is_split(void **state)
{
    (void)state;
    struct url url;
    const char *why = NULL;
    assert_true(url_split("wss://u:p%40q@[::1]:443/mqtt?x#y", &url, &why));
    assert_true(slice_equals_text(url.scheme, "wss"));
    assert_true(slice_equals_text(url.userinfo, "u:p%40q"));
    assert_true(slice_equals_text(url.host, "::1"));
    assert_int_equal(url.port, 443);
    assert_true(slice_equals_text(url.path, "/mqtt?x#y"));
}

static void test_missing_parts_are_absent(void **state)
{
    (void)state;
    struct url url;
    const char *why = NULL;
    assert_true(url_split("mqtt://broker", &url, &why));
    assert_true(slice_equals_text(url.host, "broker"));
    assert_false(slice_is_present(url.userinfo));
    assert_false(slice_is_present(url.path));
    assert_int_equal(url.port, -1);
}

static void test_malformed_urls_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "h",
        "://h",
        "http://",
        "http://:1",
        "http://h:",
        "http://h:x",
        "http://h:-1",
        "http://h:65536",
        "http://h:000001",
        "http://[::1",
        "http://[1.2.3.4]",
        "http://[]",
        "http://::1",
        "http://a..b",
        "http://.a",
        "http://a.",
        "http://a b",
        "http://a\n",
        "http://a%41",
        "http://[::1]x",
        "http://{Region}",
        "http://{RegionId",
        "http://u@",
        "http://\xc3\xa9",
        "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "http://{RegionId}",
        "http://u@v@h",
        "http:/h",
        "http:///h",
        "HTTP://h",
        "http://127.1",
        "http://0x7f000001",
        "http://0127.0.0.1",
        "http://2130706433",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[fe80::1%25eth0]",
        "http://h\\@other",
        "http://h;x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct url url;
        const char *why = NULL;
        if (url_split(texts[i], &url, &why)) {
            fail_msg("accepted: %s", texts[i]);
        }
        assert_non_null(why);
    }
}

static void test_only_loopback_hosts_are_loopback(void **state)
{
    (void)state;
    static const char *const loopback[] = {"localhost", "LocalHost",   "127.0.0.1",
                                           "::1",       "127.255.0.9", "[::1]"};
    static const char *const others[] = {"",
                                         "localhos",
                                         "localhost.example",
                                         "127.0.0.1.example",
                                         "127.1",
                                         "128.0.0.1",
                                         "::2",
                                         "[127.0.0.1]",
                                         "0.0.0.0",
                                         "::",
                                         "[::1",
                                         "::ffff:8.8.8.8",
                                         "7f000001",
                                         "0127.0.0.1",
                                         "[localhost]"};
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        assert_true(url_is_loopback_host(slice_text(loopback[i])));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (url_is_loopback_host(slice_text(others[i]))) {
            fail_msg("accepted as loopback: %s", others[i]);
        }
    }
}

/* A text and whether it is accepted. */
struct sample {
    const char *text;
    bool is_valid;
};

static void check_sample(const struct sample *sample, bool is_valid, const char *why)
{
    if (is_valid != sample->is_valid) {
        fail_msg("%s: %s", sample->text, is_valid ? "accepted" : why);
    }
    assert_true(is_valid == (why == NULL));
}

static void test_an_endpoint_is_https_or_http_to_loopback(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"https://ebs.{RegionId}.aliyuncs.com", true},
        {"https://ebs.cn-beijing.aliyuncs.com:8443", true},
        {"https://[2001:db8::1]", true},
        {"http://127.0.0.1:8080", true},
        {"http://localhost", true},
        {"http://[::1]:1", true},
        {"http://ebs.example", false},
        {"http://{RegionId}", false},
        {"http://127.0.0.1.example", false},
        {"http://localhost@example", false},
        {"https://user@ebs.example", false},
        {"https://ebs.example/", false},
        {"https://ebs.example/path", false},
        {"https://ebs.example?x", false},
        {"https://ebs.example:0", false},
        {"HTTPS://ebs.example", false},
        {"ftp://ebs.example", false},
        {"ebs.example", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *why = NULL;
        bool is_valid = url_is_valid(samples[i].text, URL_ENDPOINT, &why);
        check_sample(&samples[i], is_valid, why);
    }
}

static void test_http_to_any_host_has_to_be_allowed(void **state)
{
    (void)state;
    const char *why = NULL;
    assert_false(url_is_valid("http://ebs.example", URL_ENDPOINT, &why));
    assert_string_equal(why, "is plain http to a host that is not on loopback");
    assert_true(url_is_valid("http://ebs.example", URL_ENDPOINT_ANY, &why));
}

static void test_an_sts_endpoint_has_no_placeholder(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"https://sts.aliyuncs.com", true},        {"http://127.0.0.1:8080", true},
        {"https://sts.{RegionId}.example", false}, {"http://sts.example", false},
        {"https://sts.example/path", false},       {"https://u@sts.example", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *why = NULL;
        bool is_valid = url_is_valid(samples[i].text, URL_STS, &why);
        check_sample(&samples[i], is_valid, why);
    }
}

static void test_a_region_does_not_make_a_host_loopback(void **state)
{
    (void)state;
    static const char *const texts[] = {"http://{RegionId}", "http://127.0.0.{RegionId}",
                                        "http://0{RegionId}7f000001", "http://local{RegionId}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *why = NULL;
        if (url_is_valid(texts[i], URL_ENDPOINT, &why)) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

static void test_a_broker_has_a_broker_scheme_and_no_user(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"mqtt://broker", true},         {"mqtts://broker.example:8883", true},
        {"ws://broker:80/mqtt", true},   {"wss://10.0.0.1/", true},
        {"mqtt://[fe80::1]:1883", true}, {"mqtt://broker_1", true},
        {"tcp://broker", false},         {"mqtt://broker/mqtt", false},
        {"mqtts://broker/", false},      {"mqtt://u:p@broker", false},
        {"mqtt://broker:0", false},      {"mqtt://{RegionId}", false},
        {"broker:1883", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *why = NULL;
        bool is_valid = url_is_valid(samples[i].text, URL_BROKER, &why);
        check_sample(&samples[i], is_valid, why);
    }
}

static void test_default_broker_ports(void **state)
{
    (void)state;
    assert_int_equal(url_broker_port(slice_text("mqtt")), 1883);
    assert_int_equal(url_broker_port(slice_text("mqtts")), 8883);
    assert_int_equal(url_broker_port(slice_text("ws")), 80);
    assert_int_equal(url_broker_port(slice_text("wss")), 443);
    assert_int_equal(url_broker_port(slice_text("http")), -1);
}

static void test_a_proxy_may_name_a_user(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"http://proxy:3128", true},
        {"https://u:p@proxy", true},
        {"socks5h://u:p@[::1]:1080", true},
        {"socks4://proxy", true},
        {"proxy:3128", false},
        {"ftp://proxy", false},
        {"http://proxy/", false},
        {"http://{RegionId}", false},
        {"http://u:p@", false},
        {"http://proxy:0", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *why = NULL;
        bool is_valid = url_is_valid(samples[i].text, URL_PROXY, &why);
        check_sample(&samples[i], is_valid, why);
    }
}

static void test_a_metadata_service_is_the_clouds_or_on_loopback(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"http://100.100.100.200", true},   {"http://127.0.0.1:8080", true},
        {"http://[::1]:8080", true},        {"https://100.100.100.200", false},
        {"http://100.100.100.201", false},  {"http://169.254.169.254", false},
        {"http://100.100.100.200/", false}, {"http://u@100.100.100.200", false},
        {"http://127.0.0.1:0", false},      {"100.100.100.200", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *why = NULL;
        bool is_valid = url_is_valid(samples[i].text, URL_METADATA, &why);
        check_sample(&samples[i], is_valid, why);
    }
}

static void test_a_credentials_url_has_no_user(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"http://127.0.0.1:8080/a/b?c=d", true},
        {"https://credentials.example", true},
        {"http://u:p@127.0.0.1/", false},
        {"ftp://127.0.0.1/", false},
        {"http://{RegionId}.example/", false},
        {"http://127.0.0.1:0/", false},
        {"http:///x", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *why = NULL;
        bool is_valid = url_is_valid(samples[i].text, URL_CREDENTIALS, &why);
        check_sample(&samples[i], is_valid, why);
    }
}

static void test_an_address_to_listen_on_needs_its_port(void **state)
{
    (void)state;
    struct slice host;
    int port;
    const char *why = NULL;
    assert_true(url_split_listen("[::]:0", &host, &port, &why));
    assert_true(slice_equals_text(host, "::"));
    assert_int_equal(port, 0);
    assert_true(url_split_listen("0.0.0.0:9464", &host, &port, &why));
    assert_int_equal(port, 9464);
    assert_false(url_split_listen("localhost", &host, &port, &why));
    assert_false(url_split_listen(":9464", &host, &port, &why));
    assert_false(url_split_listen("::1:9464", &host, &port, &why));
    assert_false(url_split_listen("localhost:9464/", &host, &port, &why));
    assert_false(url_split_listen("user@localhost:9464", &host, &port, &why));
    assert_false(url_split_listen("{RegionId}:9464", &host, &port, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_url_is_split),
        cmocka_unit_test(test_missing_parts_are_absent),
        cmocka_unit_test(test_malformed_urls_are_refused_with_a_reason),
        cmocka_unit_test(test_only_loopback_hosts_are_loopback),
        cmocka_unit_test(test_an_endpoint_is_https_or_http_to_loopback),
        cmocka_unit_test(test_http_to_any_host_has_to_be_allowed),
        cmocka_unit_test(test_an_sts_endpoint_has_no_placeholder),
        cmocka_unit_test(test_a_region_does_not_make_a_host_loopback),
        cmocka_unit_test(test_a_broker_has_a_broker_scheme_and_no_user),
        cmocka_unit_test(test_default_broker_ports),
        cmocka_unit_test(test_a_proxy_may_name_a_user),
        cmocka_unit_test(test_a_metadata_service_is_the_clouds_or_on_loopback),
        cmocka_unit_test(test_a_credentials_url_has_no_user),
        cmocka_unit_test(test_an_address_to_listen_on_needs_its_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
