/* Which Host headers may see the pages with data. */
#include "admin/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool is_allowed(const char *host, const char *listen)
{
    return host_is_allowed(slice_text(host), slice_text(listen));
}

static void test_addresses_and_localhost_are_allowed(void **state)
{
    static const char *const hosts[] = {"127.0.0.1:9464", "127.0.0.1",     "[::1]:9464",
                                        "[::1]",          "10.1.2.3:80",   "localhost",
                                        "localhost:8080", "LocalHost:9464"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_true(is_allowed(hosts[i], "127.0.0.1:9464"));
    }
}

static void test_other_names_are_refused(void **state)
{
    static const char *const hosts[] = {"attacker.example:9464",
                                        "attacker.example",
                                        "localhost.attacker.example",
                                        "127.0.0.1.attacker.example",
                                        "127.0.0.1.nip.io",
                                        "xlocalhost",
                                        "2130706433",
                                        "127.1"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_false(is_allowed(hosts[i], "127.0.0.1:9464"));
    }
}

static void test_the_name_of_the_setting_is_allowed_with_any_port(void **state)
{
    (void)state;
    assert_true(is_allowed("bridge.example:9464", "bridge.example:9464"));
    assert_true(is_allowed("Bridge.Example", "bridge.example:9464"));
    assert_true(is_allowed("bridge.example:8080", "bridge.example:9464"));
    assert_false(is_allowed("bridge.example.attacker.example:9464", "bridge.example:9464"));
    assert_false(is_allowed("other.example:9464", "bridge.example:9464"));
}

static void test_a_malformed_host_is_refused(void **state)
{
    static const char *const hosts[] = {
        "",          ":9464",           "[::1",        "[]",          "[127.0.0.1]",   "[::1]x",
        "[::1]:80a", "localhost:80:80", "localhost:x", "a localhost", "[::1%eth0]:80", "::1"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_false(is_allowed(hosts[i], "127.0.0.1:9464"));
    }
    char long_name[600];
    memset(long_name, 'a', sizeof long_name);
    assert_false(host_is_allowed(slice_of(long_name, sizeof long_name), slice_text("a:1")));
    assert_false(host_is_allowed(slice_of("localhost\0x", 11), slice_text("a:1")));
}

static void test_a_request_without_a_host_is_not_from_a_browser(void **state)
{
    (void)state;
    assert_true(host_is_allowed((struct slice){0}, slice_text("127.0.0.1:9464")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_and_localhost_are_allowed),
        cmocka_unit_test(test_other_names_are_refused),
        cmocka_unit_test(test_the_name_of_the_setting_is_allowed_with_any_port),
        cmocka_unit_test(test_a_malformed_host_is_refused),
        cmocka_unit_test(test_a_request_without_a_host_is_not_from_a_browser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
