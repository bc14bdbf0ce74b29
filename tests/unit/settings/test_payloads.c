/* Settings of payloads: lists of groups, tables, and what their checks find. */
#include "base/buf.h"
#include "settings/settings.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ONE_SHOT PARAMETER_StartDiskReplicaGroup_OneShot
#define EXAMPLES "tests/vectors/payloads/payloads.conf"

static void assert_read(const struct settings *settings)
{
    const struct route *route = &settings->routes[0];
    assert_int_equal(settings->tables.count, 1);
    assert_string_equal(settings->tables.items[0].name, "group_of_disk");
    assert_string_equal(text_table_find(&settings->tables.items[0], slice_text("d-2zef8thfnbx")),
                        "pg-a");
    assert_string_equal(text_table_find(&settings->tables.items[0], slice_text("d-2zef8thfnby")),
                        "pg-b");
    assert_null(text_table_find(&settings->tables.items[0], slice_text("d-2zef8thfnb")));
    assert_null(text_table_find(&settings->tables.items[0], slice_text("d-2zef8thfnbz")));
    assert_string_equal(route->input, "json");
    assert_int_equal(route->payload_bytes, 262144);
    assert_string_equal(route->each, "/alerts");
    assert_int_equal(route->coalesce_s, 450);
    assert_int_equal(route->when.count, 2);
    assert_string_equal(route->when.items[1].value, "{/labels/action}");
    assert_int_equal(route->when.items[1].is.count, 1);
    assert_string_equal(route->when.items[1].is.items[0], "sync-disks");
    assert_int_equal(route->when.items[1].isnt.count, 0);
    assert_string_equal(route->map.region, "{/labels/region}");
    assert_string_equal(route->map.parameters[ONE_SHOT], "true");
    assert_null(route->map.not_after);
    assert_string_equal(settings->routes[4].input, "cloudevents");
    assert_string_equal(settings->routes[4].when.items[0].value, "{@tenant}");
}

static void test_the_examples_are_read_and_printed(void **state)
{
    (void)state;
    struct buf printed = {0};
    struct buf again = {0};
    struct settings *settings = settings_of_file(EXAMPLES);
    assert_read(settings);
    settings_print(settings, &printed);
    settings_free(settings);
    settings = settings_of_text(printed.data);
    assert_read(settings);
    settings_print(settings, &again);
    assert_string_equal(printed.data, again.data);
    settings_free(settings);
    buf_fini(&printed);
    buf_fini(&again);
}

static void test_without_these_keys_messages_are_commands(void **state)
{
    (void)state;
    struct settings *settings = settings_of_text("");
    const struct route *route = &settings->routes[0];
    assert_string_equal(route->input, "command");
    assert_string_equal(route->each, "");
    assert_int_equal(route->payload_bytes, 0);
    assert_int_equal(route->coalesce_s, 0);
    assert_int_equal(route->when.count, 0);
    assert_null(route->map.token);
    assert_int_equal(settings->tables.count, 0);
    assert_int_equal(settings->limits.commands_per_message, 64);
    settings_free(settings);
}

static void test_faults_of_keys_have_their_lines(void **state)
{
    (void)state;
    assert_errors("routes = ({ input = \"xml\"; });",
                  "test:1: routes[0].input: is not one of the choices; allowed: \"command\", "
                  "\"json\" or \"cloudevents\"\n");
    assert_errors(
        "routes = ({ input = \"json\";\n"
        " payload_bytes = 1048577;\n"
        " each = \"alerts\";\n"
        " when = ({ value = \"{/a\"; is = \"b\"; not = (\"x\");\n"
        "           is_not = (); }, 3, { is = (\"x\"); });\n"
        " map: { ReplicaGroupId = \"b\"; ClientToken = \"{/c}\"; RegionId = \"{}\";\n"
        "  Region = \"a\"; };\n"
        " coalesce_s = -1; });",
        "test:2: routes[0].payload_bytes: is 1048577; allowed: a whole number, 0 to "
        "1048576\n"
        "test:3: routes[0].each: does not begin with '/'; allowed: empty, or a JSON "
        "Pointer like /alerts (at most 1024 bytes)\n"
        "test:4: routes[0].when[0].value: has a '{' without a '}'; a brace itself is "
        "written {{ or }}; allowed: a template like \"am:{/fingerprint}\" (at most 1024 "
        "bytes)\n"
        "test:4: routes[0].when[0].is: is a text; allowed: a list (\"...\", ...) of 0 to "
        "1000 texts, each a shell pattern of at most 1024 bytes\n"
        "test:5: routes[0].when[0].is_not: is not a known key; allowed: value, is, not\n"
        "test:5: routes[0].when[1]: is a whole number; allowed: a group { ... }\n"
        "test:5: routes[0].when[2].value: is missing; allowed: a template like "
        "\"am:{/fingerprint}\" (at most 1024 bytes)\n"
        "test:6: routes[0].map.RegionId: has an empty source: there is nothing between "
        "two of '{', '|' and '}'; allowed: empty, or a template like "
        "\"am:{/fingerprint}\" (at most 1024 bytes)\n"
        "test:7: routes[0].map.Region: is not a known key; allowed: RegionId, "
        "ReplicaGroupId, ClientToken, NotAfter, CorrelationId, OneShot\n"
        "test:8: routes[0].coalesce_s: is -1; allowed: a whole number, 0 to 4294967295\n");
}

static void test_faults_of_tables_have_their_lines(void **state)
{
    (void)state;
    assert_errors("tables = ({ name = \"a b\"; entries = ((\"k\", \"v\"), (\"k\"),\n"
                  " \"x\", (\"\", \"y\"), (\"k\", 5)); },\n"
                  " { entries = (); });",
                  "test:1: tables[0].name: has a character that is not allowed; allowed: letters, "
                  "digits, '-' and '_' (at most 64 bytes)\n"
                  "test:1: tables[0].entries[1]: is a list; allowed: a pair (\"key\", \"value\")\n"
                  "test:2: tables[0].entries[2]: is a text; allowed: a pair (\"key\", \"value\")\n"
                  "test:2: tables[0].entries[3]: is empty; allowed: a pair (\"key\", \"value\")\n"
                  "test:2: tables[0].entries[4]: is a list; allowed: a pair (\"key\", \"value\")\n"
                  "test:3: tables[1].entries: has 0 items; allowed: a list ((\"key\", \"value\"), "
                  "...) of 1 to 100000 pairs\n"
                  "test:3: tables[1].name: is missing; allowed: letters, digits, '-' and '_' (at "
                  "most 64 bytes)\n");
    assert_errors("tables = \"x\";", "test:1: tables: is a text; allowed: a list ({ name = ...; "
                                     "entries = ...; }, ...) of 0 to 100 groups\n");
    assert_errors("tables = ({ name = \"t\"; entries = ((\"k\", \"v\"), (\"l\", \"v\"), (\"k\", "
                  "\"w\")); },\n{ name = \"t\"; entries = ((\"k\", \"v\")); });",
                  "test:1: tables[0].entries: has the key \"k\" more than once; allowed: each key "
                  "once\n"
                  "test:1: tables[1].name: is the name of another table, too; allowed: a name of "
                  "its own\n");
}

#define FIELDS "RegionId = \"a\"; ReplicaGroupId = \"b\"; "

static void test_keys_that_contradict_each_other(void **state)
{
    (void)state;
    assert_errors("routes = ({ regions = (\"a\"); each = \"/a\";\n"
                  "when = ({ value = \"x\"; is = (\"x\"); });\n"
                  "map: { ClientToken = \"t\"; }; });",
                  "test:3: routes[0].map.ClientToken: is set, but input is \"command\", whose "
                  "messages are not mapped; allowed: input \"json\" or \"cloudevents\", or no map\n"
                  "test:1: routes[0].each: is set without map; allowed: input \"json\" or "
                  "\"cloudevents\" with map\n"
                  "test:2: routes[0].when: is set, but input is \"command\"; allowed: input "
                  "\"json\" or \"cloudevents\"\n");
    assert_errors("routes = ({\n input = \"json\"; });",
                  "test:1: routes[0].map.RegionId: is not set, so that no command would have a "
                  "region; allowed: a template, or defaults.RegionId\n"
                  "test:1: routes[0].map.ReplicaGroupId: is not set, so that no command would have "
                  "a group; allowed: a template, or defaults.ReplicaGroupId\n"
                  "test:1: routes[0].map.ClientToken: is not set; allowed: a template that gives a "
                  "repetition of the same message the same ClientToken\n");
    assert_errors("routes = ({ input = \"cloudevents\"; each = \"/a\"; map: { " FIELDS "}; });",
                  "test:1: routes[0].map.ClientToken: is not set, so that all elements of an event "
                  "would have the same ClientToken; allowed: a template, or no `each`\n");
    assert_errors("routes = ({ input = \"cloudevents\"; map: { " FIELDS "\n"
                  "CorrelationId = \"{none:/a}\"; };\n"
                  "when = ({ value = \"{none:/b}\"; is = (\"x\"); }, { value = \"y\"; }); });",
                  "test:2: routes[0].map.CorrelationId: uses the table none, which does not exist; "
                  "allowed: the name of one of `tables`\n"
                  "test:3: routes[0].when[0]: uses the table none, which does not exist; allowed: "
                  "the name of one of `tables`\n"
                  "test:3: routes[0].when[1]: compares with nothing; allowed: patterns in `is`, in "
                  "`not`, or in both\n");
    assert_errors("routes = ({ coalesce_s = 86401; });",
                  "test:1: routes[0].coalesce_s: is longer than outcomes are kept; allowed: at "
                  "most dedup.success_ttl_s (86400)\n");
}

static void test_more_user_properties_than_a_receiver_forwards(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_text(&text,
                    "routes = ({ regions = (\"a\"); input = \"json\"; map: { RegionId = \"a\";"
                    " ReplicaGroupId = \"b\"; ClientToken = \"");
    for (int i = 0; i < 33; i++) {
        buf_printf(&text, "{@p%d}", i);
    }
    buf_append_text(&text, "\"; }; });");
    assert_errors(text.data,
                  "test:1: routes: use 33 names of user properties (@NAME), with the attributes of "
                  "CloudEvents; allowed: at most 32 in all routes\n");
    buf_fini(&text);
}

static void test_what_works_but_is_dangerous(void **state)
{
    (void)state;
    assert_warnings("broker: { protocol = 4; };\n"
                    "routes = ({ regions = (\"a\"); input = \"json\"; each = \"/a\";\n"
                    "map: { " FIELDS "ClientToken = \"${@x}{^/a}\"; }; });",
                    "test:3: routes[0].map.ClientToken: uses the user property x, but "
                    "broker.protocol is 4, and MQTT 3.1.1 has no user properties: it is always "
                    "absent\n"
                    "test:3: routes[0].map.ClientToken: has no pointer into the element, so that "
                    "all elements of a message have the same ClientToken: at most one of them is "
                    "called\n");
}

static void test_tables_can_be_given_on_the_command_line(void **state)
{
    (void)state;
    static const char *const items[] = {"tables=({ name = \"t\"; entries = ((\"a\", \"b\")); })"};
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(
        settings_load_with(EXAMPLES, &(struct settings_options){items, 1}, &settings, &report),
        STATUS_INVALID);
    assert_non_null(strstr(report.errors.data, "uses the table group_of_disk, which does not "));
    assert_null(strstr(report.errors.data, "is missing"));
    settings_report_fini(&report);
    assert_int_equal(
        settings_load_with(NULL, &(struct settings_options){items, 1}, &settings, &report),
        STATUS_OK);
    assert_int_equal(settings->tables.count, 1);
    assert_string_equal(text_table_find(&settings->tables.items[0], slice_text("a")), "b");
    settings_free(settings);
    settings_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_are_read_and_printed),
        cmocka_unit_test(test_without_these_keys_messages_are_commands),
        cmocka_unit_test(test_faults_of_keys_have_their_lines),
        cmocka_unit_test(test_faults_of_tables_have_their_lines),
        cmocka_unit_test(test_keys_that_contradict_each_other),
        cmocka_unit_test(test_more_user_properties_than_a_receiver_forwards),
        cmocka_unit_test(test_what_works_but_is_dangerous),
        cmocka_unit_test(test_tables_can_be_given_on_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
