/*
 * Settings that the command line replaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/settings_fixture.h"

#include <string.h>

#define VECTORS "tests/vectors/settings/"

#define WITH_OPTION(option) (&(struct settings_options){(const char *const[]){option}, 1})

static struct settings *settings_with(const struct settings_options *options)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_load_with(VECTORS "full.conf", options, &settings, &report),
                     STATUS_OK);
    settings_report_fini(&report);
    return settings;
}

static void test_an_option_replaces_what_the_file_says(void **state)
{
    (void)state;
    static const char *const options[] = {
        "broker.username=a word, and more",
        "broker.uris=(\"mqtt://[::1]\", \"wss://127.0.0.1\")",
        "broker.tls.verify=false",
        "broker.session_expiry_s=4294967294",
        "api.rate_per_s=0.5",
        "api.version=2020-01-02",
        "admin.listen=127.0.0.1:1",
        "ledger.store=sqlite:/x=y.db",
        "topics.status=\"s/{Instance}\"",
        "log.level=warn",
        "log.level=error",
        "instance=b",
    };
    struct settings *settings =
        settings_with(&(struct settings_options){options, sizeof options / sizeof options[0]});
    assert_string_equal(settings->broker.username, "a word, and more");
    assert_int_equal(settings->broker.uris.count, 2);
    assert_string_equal(settings->broker.uris.items[1], "wss://127.0.0.1");
    assert_false(settings->broker.tls.verify);
    assert_int_equal(settings->broker.session_expiry_s, 4294967294);
    assert_true(settings->api.rate_per_s == 0.5);
    assert_string_equal(settings->api.version, "2020-01-02");
    assert_string_equal(settings->admin.listen, "127.0.0.1:1");
    assert_string_equal(settings->ledger.store, "sqlite:/x=y.db");
    assert_string_equal(settings->topics.status, "s/{Instance}");
    assert_string_equal(settings->log.level, "error");
    assert_string_equal(settings->broker.client_id, "id-b-b");
    assert_int_equal(settings->route_count, 2);
    settings_free(settings);
    settings = settings_with(WITH_OPTION("api.proxy="));
    assert_string_equal(settings->api.proxy, "");
    settings_free(settings);
}

static void test_an_option_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        const char *says;
    } faults[] = {
        {"log.level", "log.level: has no value; allowed: PATH=VALUE\n"},
        {"log.levle=info", "log.levle: is not a known key; allowed: level, format\n"},
        {"log.level=loud", "log.level: is not one of the choices; allowed: "},
        {"broker.keepalive_s=x",
         "broker.keepalive_s: is a text; allowed: a whole number, 1 to 65535\n"},
        {"broker.keepalive_s=0", "broker.keepalive_s: is 0; allowed: a whole number, 1 to 65535\n"},
        {"broker.keepalive_s=1; protocol = 4",
         "broker.keepalive_s: is a text; allowed: a whole number, 1 to 65535\n"},
        {"broker.username=5", "broker.username: is a whole number; allowed: any text"},
        {"broker.username=\"a",
         "broker.username: has a value that is none; allowed: a number, true, false, \"a text\", a "
         "text without quotes, or (\"a\", \"b\")\n"},
        {"broker.uris=mqtt://a", "broker.uris: is a text; allowed: a list "},
        {"broker.uris=(\"tcp://a\")",
         "broker.uris[0]: has a scheme other than mqtt, mqtts, ws and wss; allowed: "},
        {"broker={ protocol = 4; }",
         "broker: is not one setting; allowed: the path of a setting outside of routes, such as "
         "log.level\n"},
        {"routes=()", "routes: is not one setting; allowed: "},
        {"routes[0].name=x", "routes[0].name: is not one setting; allowed: "},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct settings *settings = NULL;
        struct settings_report report = {0};
        struct buf expected = {0};
        buf_printf(&expected, "--set: %s", faults[i].says);
        assert_int_equal(settings_load_with(VECTORS "full.conf", WITH_OPTION(faults[i].option),
                                            &settings, &report),
                         STATUS_INVALID);
        assert_int_equal(report.error_count, 1);
        if (strncmp(report.errors.data, expected.data, expected.length) != 0) {
            fail_msg("%s: %s", faults[i].option, report.errors.data);
        }
        buf_fini(&expected);
        settings_report_fini(&report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_option_replaces_what_the_file_says),
        cmocka_unit_test(test_an_option_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
