/* Settings that are read again: what has changed, what a running bridge takes, and what it refuses.
 */
#include "settings/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "settings/table.h"

struct fixture {
    char path[64];
    struct settings *running;
    struct settings *fresh;
    struct settings_changes changes;
    struct settings_report report;
};

static void write_file(const struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->path, "/tmp/reload-XXXXXX");
    int fd = mkstemp(fixture->path);
    assert_true(fd >= 0);
    close(fd);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    settings_free(fixture->running);
    settings_free(fixture->fresh);
    settings_changes_fini(&fixture->changes);
    settings_report_fini(&fixture->report);
    unlink(fixture->path);
    free(fixture);
    return 0;
}

/* A bridge runs on `before`, and the file is `after` now. */
static enum status load(struct fixture *fixture, const char *before, const char *after)
{
    const struct settings_source source = {fixture->path, {0}};
    write_file(fixture, before);
    assert_int_equal(settings_load(fixture->path, &fixture->running, &fixture->report), STATUS_OK);
    if (fixture->running->is_instance_host_name) {
        settings_set_instance(fixture->running, "made-at-the-start");
    }
    write_file(fixture, after);
    return settings_load_again(&source, fixture->running, &fixture->fresh, &fixture->changes,
                               &fixture->report);
}

static void check_changes(const struct fixture *fixture, const char *live, const char *restart)
{
    const struct settings_changes *changes = &fixture->changes;
    assert_string_equal(changes->live.length > 0 ? changes->live.data : "", live);
    assert_string_equal(changes->restart.length > 0 ? changes->restart.data : "", restart);
}

static void test_the_same_file_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] =
        "broker: { client_id = \"x-{Instance}\"; }; log: { level = \"warn\"; };"
        "routes = ({ name = \"a\"; defaults: { OneShot = true; }; });";
    assert_int_equal(load(fixture, text, text), STATUS_OK);
    check_changes(fixture, "", "");
}

static void test_changes_are_named_by_when_the_bridge_takes_them(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(
        load(fixture, "routes = ({ name = \"a\"; regions = (\"x\"); });",
             "instance = \"b\"; broker: { uris = (\"mqtt://127.0.0.1:2\"); publish_per_s = 2.5; };"
             "api: { rate_burst = 41; proxy = \"http://u:p@127.0.0.1:1\"; };"
             "routes = ({ name = \"a\"; regions = (\"x\", \"y\"); qos = 0; });"),
        STATUS_OK);
    check_changes(fixture, "broker.publish_per_s, api.rate_burst, routes[0].qos, routes[0].regions",
                  "instance, broker.uris, api.proxy");
}

/* Their printed forms are masked and equal. */
static void test_a_masked_value_that_changes_is_a_change(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "api: { proxy = \"http://u:one@127.0.0.1:1\"; };",
                          "api: { proxy = \"http://u:two@127.0.0.1:1\"; };"),
                     STATUS_OK);
    check_changes(fixture, "", "api.proxy");
}

static void test_a_route_more_is_a_change_of_the_routes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "routes = ({ name = \"a\"; topics = (\"a\"); });",
                          "routes = ({ name = \"a\"; topics = (\"a\"); },"
                          "{ name = \"b\"; topics = (\"b\"); });"),
                     STATUS_OK);
    check_changes(fixture, "routes", "");
}

#define MAPPED                                                                                  \
    "input = \"json\"; map: { RegionId = \"{t:/r}\"; ReplicaGroupId = \"{/g}\"; ClientToken = " \
    "\"{/c}\"; };"

static const char mapped[] =
    "tables = ({ name = \"t\"; entries = ((\"a\", \"1\"), (\"b\", \"2\")); });"
    "routes = ({ when = ({ value = \"{/s}\"; is = (\"x\"); }); " MAPPED " });";

static void test_the_order_of_a_table_and_an_empty_list_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, mapped,
                          "tables = ({ entries = ((\"b\", \"2\"), (\"a\", \"1\")); name = "
                          "\"t\"; }); routes = ({ when = ({ value = \"{/s}\"; is = (\"x\"); "
                          "not = (); }); " MAPPED " });"),
                     STATUS_OK);
    check_changes(fixture, "", "");
}

static void test_tables_and_conditions_are_live(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, mapped,
                          "tables = ({ name = \"t\"; entries = ((\"a\", \"1\"), (\"b\", "
                          "\"3\")); }); routes = ({ when = ({ value = \"{/s}\"; is = (\"x\", "
                          "\"y\"); }); " MAPPED " });"),
                     STATUS_OK);
    check_changes(fixture, "tables, routes[0].when", "");
    settings_exchange_live(fixture->running, fixture->fresh);
    assert_string_equal(text_table_find(&fixture->running->tables.items[0], slice_text("b")), "3");
    assert_int_equal(fixture->running->routes[0].when.items[0].is.count, 2);
    assert_string_equal(text_table_find(&fixture->fresh->tables.items[0], slice_text("b")), "2");
}

static void test_live_values_are_exchanged_and_the_others_stay_in_their_place(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "",
                          "broker: { keepalive_s = 7; }; limits: { pending = 5; };"
                          "log: { level = \"debug\"; }; routes = ({ name = \"new\"; });"),
                     STATUS_OK);
    const char *store = fixture->running->ledger.store;
    settings_exchange_live(fixture->running, fixture->fresh);
    assert_int_equal(fixture->running->limits.pending, 5);
    assert_string_equal(fixture->running->log.level, "debug");
    assert_string_equal(fixture->running->routes[0].name, "new");
    assert_int_equal(fixture->running->broker.keepalive_s, 30);
    assert_ptr_equal(fixture->running->ledger.store, store);
    assert_string_equal(fixture->fresh->routes[0].name, "start");
    assert_int_equal(fixture->fresh->limits.pending, 100000);
}

static void test_a_file_with_an_error_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "", "limits: { pending = 5; deadline_s = 0; };"),
                     STATUS_INVALID);
    assert_null(fixture->fresh);
    assert_non_null(strstr(fixture->report.errors.data, ":1: limits.deadline_s: is 0"));
}

/* The file is good as a whole, but session_expiry_s stays as it is until the restart. */
static void test_live_values_that_contradict_the_others_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(
        load(fixture, "", "broker: { session_expiry_s = 600; }; dedup: { success_ttl_s = 600; };"),
        STATUS_INVALID);
    assert_null(fixture->fresh);
    assert_non_null(strstr(fixture->report.errors.data, "broker.session_expiry_s (86400)"));
    assert_non_null(strstr(fixture->report.errors.data, "allowed: a restart"));
}

/* Where a value may be exchanged, its bytes must be all of it. */
static void test_every_row_with_a_value_has_a_size(void **state)
{
    (void)state;
    struct settings_table tables[] = {settings_main_table(), settings_route_table()};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct settings_row *row = &tables[t].rows[i];
            bool has_value = row->type != SETTINGS_GROUP && row->type != SETTINGS_ROUTES;
            assert_int_equal(settings_row_size(row) > 0, has_value);
        }
    }
}

static void test_the_control_path_is_found_in_a_file_with_errors(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text;
        const char *path; /* NULL: none */
    } cases[] = {
        {"limits: { pending = 0; };", "ledger.db.sock"},
        {"ledger: { store = \"sqlite:/var/lib/x/y.db\"; }; nonsense = 1;", "/var/lib/x/y.db.sock"},
        {"control: { socket = \"/run/x\"; }; log: { level = 3; };", "/run/x"},
        {"control: { socket = \"none\"; };", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct settings_source source = {fixture->path, {0}};
        struct settings_paths paths = {0};
        write_file(fixture, cases[i].text);
        assert_int_equal(settings_find_paths(&source, &paths, &fixture->report), STATUS_OK);
        if (cases[i].path == NULL) {
            assert_null(paths.control);
        } else {
            assert_string_equal(paths.control, cases[i].path);
        }
        free(paths.control);
        free(paths.store);
        free(paths.password_file);
    }
    const struct settings_source source = {fixture->path, {0}};
    struct settings_paths paths = {0};
    write_file(fixture, "control: { socket = ");
    assert_int_equal(settings_find_paths(&source, &paths, &fixture->report), STATUS_INVALID);
    unlink(fixture->path);
    assert_int_equal(settings_find_paths(&source, &paths, &fixture->report), STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_the_same_file_changes_nothing),
        TEST(test_changes_are_named_by_when_the_bridge_takes_them),
        TEST(test_a_masked_value_that_changes_is_a_change),
        TEST(test_a_route_more_is_a_change_of_the_routes),
        TEST(test_the_order_of_a_table_and_an_empty_list_change_nothing),
        TEST(test_tables_and_conditions_are_live),
        TEST(test_live_values_are_exchanged_and_the_others_stay_in_their_place),
        TEST(test_a_file_with_an_error_is_refused),
        TEST(test_live_values_that_contradict_the_others_are_refused),
        cmocka_unit_test(test_every_row_with_a_value_has_a_size),
        TEST(test_the_control_path_is_found_in_a_file_with_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
