/* The URI of a shared ledger: what it says, how it is shown, and what it asks of other settings. */
#include "settings/store_uri.h"

#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PRE    "postgresql://"
#define SHARED " routes = ({ share = \"ecs\"; groups = (\"pg-*\"); });"

static void test_a_uri_tells_password_host_and_sslmode(void **state)
{
    static const struct {
        const char *uri;
        const char *sslmode;
        bool has_password;
        bool is_off_host;
    } rows[] = {
        {PRE, "", false, false},
        {PRE "/bridge", "", false, false},
        {PRE "db/bridge", "", false, true},
        {PRE "u@localhost/bridge", "", false, false},
        {PRE "u@127.0.0.1:5432/bridge", "", false, false},
        {PRE "u@[::1]:5432/bridge", "", false, false},
        {PRE "[2001:db8::1]/bridge", "", false, true},
        {PRE "localhost,db2:5433/bridge", "", false, true},
        {PRE "localhost,127.0.0.2/bridge", "", false, false},
        {PRE "%2Frun%2Fpostgresql/bridge", "", false, false},
        {PRE "127.evil.example/bridge", "", false, true},
        {PRE "u:p@db/bridge", "", true, true},
        {PRE "u:@db/bridge", "", false, true},
        {PRE ":p@/bridge", "", true, false},
        {PRE "u:p?x@localhost/bridge", "", true, false},
        {PRE "db/b?sslmode=disable", "disable", false, true},
        {PRE "db?sslmode=verify-full&user=u", "verify-full", false, true},
        {PRE "db/b?ssl%6dode=re%71uire", "require", false, true},
        {PRE "db/b?ssl=true", "require", false, true},
        {PRE "localhost/b?host=db", "", false, true},
        {PRE "db/b?host=%2Frun", "", false, false},
        {PRE "localhost/b?hostaddr=192.0.2.1", "", false, true},
        {PRE "db/b?hostaddr=127.0.0.1", "", false, false},
        {PRE "u:p@db/b?password=", "", false, true},
        {PRE "db/b?pass%77ord=p", "", true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_uri uri;
        const char *why = "";
        if (!store_uri_read(rows[i].uri, &uri, &why)) {
            fail_msg("%s: %s", rows[i].uri, why);
        }
        if (!slice_equals_text(buf_slice(&uri.sslmode), rows[i].sslmode) ||
            uri.has_password != rows[i].has_password || uri.is_off_host != rows[i].is_off_host) {
            fail_msg("%s: password %d, off host %d", rows[i].uri, uri.has_password,
                     uri.is_off_host);
        }
        store_uri_fini(&uri);
    }
}

static void test_what_libpq_could_not_read_is_refused(void **state)
{
    static const char *const uris[] = {
        "sqlite:x",       PRE "[::1/b", PRE "[]/b",     PRE "[::1]x/b", PRE "db/b?x",
        PRE "db/b?x=1&y", PRE "d%zz/b", PRE "d/b?x=%0", PRE "d%00/b",   PRE "d/b?a=b=c",
    };
    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct store_uri uri;
        const char *why = NULL;
        if (store_uri_read(uris[i], &uri, &why)) {
            fail_msg("%s is read", uris[i]);
        }
        assert_non_null(why);
    }
}

static void test_passwords_are_masked(void **state)
{
    static const struct {
        const char *uri;
        const char *shown;
    } rows[] = {
        {"sqlite:/a:b@c?password=d", "sqlite:/a:b@c?password=d"},
        {PRE "db:5432/bridge", PRE "db:5432/bridge"},
        {PRE "u@db/bridge?sslmode=verify-full", PRE "u@db/bridge?sslmode=verify-full"},
        {PRE "u:secret@db/bridge", PRE "u:***@db/bridge"},
        {PRE "u:sec@ret@db/bridge", PRE "u:***@db/bridge"},
        {PRE "u:sec/ret?a=b&c@db/bridge?a=b", PRE "u:***@db/bridge?a=b"},
        {PRE "db/b?a=b&password=secret&c=d", PRE "db/b?a=b&password=***&c=d"},
        {PRE "db/b?pass%77ord=secret", PRE "db/b?pass%77ord=***"},
        {PRE "db/b?sslpassword=secret", PRE "db/b?sslpassword=***"},
        {PRE "db/b?pass%zzword=secret", PRE "db/b?pass%zzword=***"},
        {"postgres://u:secret@db/b", "postgres://u:***@db/b"},
        {"postgresql:u:secret@db", "postgresql:u:***@db"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf shown = {0};
        store_uri_mask(rows[i].uri, &shown);
        assert_string_equal(shown.data, rows[i].shown);
        buf_fini(&shown);
    }
}

static void test_printed_settings_show_no_password_of_the_ledger(void **state)
{
    (void)state;
    struct buf text = {0};
    struct settings *settings =
        settings_of_text("ledger: { store = \"" PRE "u:hunter2@localhost/b\"; };" SHARED);
    settings_print(settings, &text);
    assert_null(strstr(text.data, "hunter2"));
    assert_non_null(strstr(text.data, "store = \"" PRE "u:***@localhost/b\";"));
    buf_fini(&text);
    settings_free(settings);
}

static void test_settings_of_a_shared_ledger_are_refused_with_another(void **state)
{
    (void)state;
    assert_errors("ledger: { lease_s = 20;\n failover = \"loss-accepted\"; };" LIMITED_ROUTES,
                  "test:1: ledger.lease_s: is for a shared ledger only, and ledger.store is not a "
                  "postgresql:// URI; allowed: the default, or no such key\n"
                  "test:2: ledger.failover: is for a shared ledger only, and ledger.store is not a "
                  "postgresql:// URI; allowed: the default, or no such key\n");
    assert_warnings("ledger: { lease_s = 10; failover = \"strict\"; "
                    "password_file = \"\"; };" LIMITED_ROUTES,
                    "");
    struct settings *settings =
        settings_of_text("ledger: { store = \"" PRE
                         "localhost/b\"; lease_s = 20; failover = \"loss-accepted\"; };" SHARED);
    assert_true(settings_is_shared(settings));
    assert_int_equal(settings->ledger.lease_s, 20);
    settings_free(settings);
}

static void test_bridges_that_share_a_ledger_need_names_of_their_own_and_a_share(void **state)
{
    (void)state;
    assert_errors(
        "ledger: { store = \"" PRE "localhost/b\"; };\nbroker: { client_id = \"x\"; };\ntopics: { "
        "status = \"s\"; };\nroutes = ({ groups = (\"pg-*\"); });",
        "test:2: broker.client_id: has no {Instance}, and the ledger is shared: bridges with the "
        "same client id end each other's connections; allowed: a text with {Instance}\n"
        "test:3: topics.status: has no {Instance}, and the ledger is shared: the state of one "
        "bridge replaces that of another; allowed: a topic with {Instance}, or empty for none\n"
        "test:4: routes[0].share: is empty, and the ledger is shared: each bridge would get every "
        "command, and the sender a reply from each; allowed: the same name at all bridges\n");
    assert_warnings(
        "ledger: { store = \"" PRE "localhost/b\"; }; topics: { status = \"\"; };" SHARED, "");
}

#define UNVERIFIED                                                                              \
    "test:1: ledger.store: has an sslmode that does not verify the server, which is not on "    \
    "loopback: anybody on the network could steal the password, and read and change commands; " \
    "allowed: sslmode=verify-full, which is the default\n"

static void test_a_database_on_another_host_needs_verified_tls(void **state)
{
    (void)state;
    assert_errors("ledger: { store = \"" PRE "db/b?sslmode=disable\"; };" SHARED, UNVERIFIED);
    assert_errors("ledger: { store = \"" PRE "db/b?sslmode=require\"; };" SHARED, UNVERIFIED);
    assert_warnings("ledger: { store = \"" PRE "db/b\"; };" SHARED, "");
    assert_warnings("ledger: { store = \"" PRE "localhost/b?sslmode=disable\"; };" SHARED, "");
    assert_warnings("ledger: { store = \"" PRE "u:${PW}@localhost/b\"; };" SHARED,
                    "test:1: ledger.store: contains a password, which everybody sees who may read "
                    "this file or the command line; use ledger.password_file\n");
}

static void test_the_name_of_a_shared_bridge_is_the_host_name(void **state)
{
    char host[256] = "";
    (void)state;
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    struct settings *settings = settings_of_text("ledger: { store = \"" PRE "/b\"; };" SHARED);
    assert_string_equal(settings->instance, host);
    settings_free(settings);
}

static void test_the_control_socket_of_a_shared_ledger_is_in_the_runtime_directory(void **state)
{
    static const struct {
        const char *runtime;
        const char *state;
        const char *path;
    } rows[] = {
        {"/run/a:/run/b", "/var/lib/a", "/run/a/ecs-mqtt-bridge.sock"},
        {"", "/var/lib/a", "/var/lib/a/ecs-mqtt-bridge.sock"},
        {"", "", "./ecs-mqtt-bridge.sock"},
    };
    (void)state;
    struct settings *settings = settings_of_text("ledger: { store = \"" PRE "/b\"; };" SHARED);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(setenv("RUNTIME_DIRECTORY", rows[i].runtime, 1), 0);
        assert_int_equal(setenv("STATE_DIRECTORY", rows[i].state, 1), 0);
        char *path = settings_control_path(settings);
        assert_string_equal(path, rows[i].path);
        free(path);
    }
    assert_int_equal(unsetenv("RUNTIME_DIRECTORY"), 0);
    assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
    settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_uri_tells_password_host_and_sslmode),
        cmocka_unit_test(test_what_libpq_could_not_read_is_refused),
        cmocka_unit_test(test_passwords_are_masked),
        cmocka_unit_test(test_printed_settings_show_no_password_of_the_ledger),
        cmocka_unit_test(test_settings_of_a_shared_ledger_are_refused_with_another),
        cmocka_unit_test(test_bridges_that_share_a_ledger_need_names_of_their_own_and_a_share),
        cmocka_unit_test(test_a_database_on_another_host_needs_verified_tls),
        cmocka_unit_test(test_the_name_of_a_shared_bridge_is_the_host_name),
        cmocka_unit_test(test_the_control_socket_of_a_shared_ledger_is_in_the_runtime_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
