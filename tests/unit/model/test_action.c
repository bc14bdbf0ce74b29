#include "model/action.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct action *const start = &action_rows[ACTION_StartDiskReplicaGroup];
static const struct action *const stop = &action_rows[ACTION_StopDiskReplicaGroup];
static const struct action *const describe = &action_rows[ACTION_DescribeDiskReplicaGroups];

static void test_a_row_says_what_the_api_expects(void **state)
{
    (void)state;
    assert_string_equal(start->name, "StartDiskReplicaGroup");
    assert_string_equal(start->ram_action, "ebs:StartDiskReplicaGroup");
    assert_int_equal(start->object, OBJECT_GROUP);
    assert_string_equal(start->upstream, "ReplicaGroupId");
    assert_int_equal(start->effect, EFFECT_START);
    assert_int_equal(start->token, TOKEN_SENT);
    assert_int_equal(start->role, ROLE_PRODUCTION);
    assert_int_equal(start->goal, GOAL_SYNCHRONISED);
    assert_string_equal(stop->ram_action, "ebs:StopDiskReplicaGroup");
    assert_int_equal(stop->object, OBJECT_GROUP);
    assert_string_equal(stop->upstream, "ReplicaGroupId");
    assert_int_equal(stop->effect, EFFECT_STOP);
    assert_int_equal(stop->token, TOKEN_SENT);
    assert_int_equal(stop->role, ROLE_PRODUCTION);
    assert_int_equal(stop->goal, GOAL_STOPPED);
    assert_int_equal(describe->object, OBJECT_NONE);
    assert_int_equal(describe->effect, EFFECT_READ);
    assert_int_equal(describe->token, TOKEN_NONE);
}

static void test_an_action_is_found_by_its_exact_name(void **state)
{
    (void)state;
    assert_ptr_equal(action_find(slice_text("StartDiskReplicaGroup")), start);
    assert_ptr_equal(action_find(slice_text("DescribeDiskReplicaGroups")), describe);
    assert_null(action_find(slice_text("startdiskreplicagroup")));
    assert_null(action_find(slice_text("StartDiskReplicaGroups")));
    assert_null(action_find(slice_text("")));
    assert_null(action_find((struct slice){0}));
}

static void test_an_action_has_its_own_parameters(void **state)
{
    (void)state;
    assert_string_equal(action_parameter(start, 0)->name, "OneShot");
    assert_null(action_parameter(start, 1));
    assert_null(action_parameter(stop, 0));
    assert_string_equal(action_parameter(describe, 0)->name, "MaxResults");
    assert_string_equal(action_parameter(describe, 3)->name, "Site");
    assert_null(action_parameter(describe, 4));
}

static void test_no_action_has_more_parameters_than_there_is_room_for(void **state)
{
    (void)state;
    static const enum action_id ids[] = {
#define ACTION(name, object, upstream, effect, token, role, goal, print) ACTION_##name,
#include "tables/actions.def"
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(action_rows[ids[i]].id, ids[i]);
        assert_null(action_parameter(&action_rows[ids[i]], ACTION_PARAMETERS_MAX));
    }
}

#define TEXT_64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TEXT_128 TEXT_64 TEXT_64

static void test_a_parameter_takes_values_of_its_type(void **state)
{
    (void)state;
    const struct parameter *one_shot = action_parameter(start, 0);
    const struct parameter *max_results = action_parameter(describe, 0);
    assert_true(parameter_takes(one_shot, slice_text("true")));
    assert_true(parameter_takes(one_shot, slice_text("false")));
    assert_false(parameter_takes(one_shot, slice_text("True")));
    assert_false(parameter_takes(one_shot, slice_text("")));
    assert_true(parameter_takes(max_results, slice_text("a \"~")));
    assert_true(parameter_takes(max_results, slice_text(TEXT_128)));
    assert_false(parameter_takes(max_results, slice_text(TEXT_128 "x")));
    char text[PARAMETER_LONG_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    const struct parameter *ids = action_parameter(describe, 1);
    assert_true(parameter_takes(ids, slice_of(text, PARAMETER_LONG_BYTES_MAX)));
    assert_false(parameter_takes(ids, slice_of(text, PARAMETER_LONG_BYTES_MAX + 1)));
    assert_false(parameter_takes(max_results, slice_text("")));
    assert_false(parameter_takes(max_results, slice_text("a\x1f")));
    assert_false(parameter_takes(max_results, slice_text("a\x7f")));
    assert_false(parameter_takes(max_results, slice_text("\xc3\xa4")));
}

static void test_values_become_one_object_and_are_read_back(void **state)
{
    (void)state;
    static const struct {
        const struct action *action;
        const char *value;
        const char *params;
    } rows[] = {
        {&action_rows[ACTION_StartDiskReplicaGroup], "true", "{\"OneShot\":true}"},
        {&action_rows[ACTION_StartDiskReplicaGroup], "false", "{\"OneShot\":false}"},
        {&action_rows[ACTION_StartDiskReplicaGroup], NULL, "{}"},
        {&action_rows[ACTION_DescribeDiskReplicaGroups], "a\"b\\c",
         "{\"MaxResults\":\"a\\\"b\\\\c\"}"},
        {&action_rows[ACTION_DescribeDiskReplicaGroups], "true", "{\"MaxResults\":\"true\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct action_values given = {{slice_text(rows[i].value)}};
        struct action_values values;
        struct json *document = NULL;
        struct buf params = {0};
        buf_append_text(&params, "before");
        action_params_write(rows[i].action, &given, &params);
        assert_string_equal(params.data + strlen("before"), rows[i].params);
        assert_int_equal(
            action_params_read(rows[i].action, slice_text(rows[i].params), &document, &values),
            STATUS_OK);
        assert_int_equal(slice_is_present(values.texts[0]), rows[i].value != NULL);
        assert_true(slice_equals(values.texts[0], given.texts[0]));
        json_free(document);
        buf_fini(&params);
    }
}

static void test_only_the_canonical_form_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "true",
        "{\"OneShot\":true",
        "{ \"OneShot\":true}",
        "{\"OneShot\":true} ",
        "{\"OneShot\":\"true\"}",
        "{\"OneShot\":1}",
        "{\"OneShot\":null}",
        "{\"OneShot\":{}}",
        "{\"OneShot\":true,\"OneShot\":true}",
        "{\"OneShot\":true,\"Other\":true}",
        "{\"Other\":true}",
        "{\"\\u004fneShot\":true}",
        "{\"MaxResults\":\"1\"}",
    };
    struct action_values values;
    struct json *document;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(action_params_read(start, slice_text(texts[i]), &document, &values),
                         STATUS_INVALID);
    }
    assert_int_equal(action_params_read(start, (struct slice){0}, &document, &values),
                     STATUS_INVALID);
    assert_int_equal(
        action_params_read(describe, slice_text("{\"MaxResults\":\"\"}"), &document, &values),
        STATUS_INVALID);
}

static void test_a_boolean_is_asked_for_by_name(void **state)
{
    (void)state;
    assert_true(action_params_have(slice_text("{\"OneShot\":true}"), "OneShot"));
    assert_false(action_params_have(slice_text("{\"OneShot\":false}"), "OneShot"));
    assert_false(action_params_have(slice_text("{\"OneShot\":true}"), "Other"));
    assert_false(action_params_have(slice_text("{}"), "OneShot"));
    assert_false(action_params_have((struct slice){0}, "OneShot"));
}

static void test_members_are_added_to_an_object_that_is_being_written(void **state)
{
    (void)state;
    struct buf out = {0};
    json_put_open(&out, '{');
    action_params_put(&out, slice_text("{\"OneShot\":true}"));
    action_params_put(&out, slice_text("{}"));
    action_params_put(&out, (struct slice){0});
    json_put_int(&out, "A", 1);
    action_params_put(&out, slice_text("{\"MaxResults\":\"1\"}"));
    json_put_close(&out, '}');
    assert_string_equal(out.data, "{\"OneShot\":true,\"A\":1,\"MaxResults\":\"1\"}");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_says_what_the_api_expects),
        cmocka_unit_test(test_an_action_is_found_by_its_exact_name),
        cmocka_unit_test(test_an_action_has_its_own_parameters),
        cmocka_unit_test(test_no_action_has_more_parameters_than_there_is_room_for),
        cmocka_unit_test(test_a_parameter_takes_values_of_its_type),
        cmocka_unit_test(test_values_become_one_object_and_are_read_back),
        cmocka_unit_test(test_only_the_canonical_form_is_read),
        cmocka_unit_test(test_a_boolean_is_asked_for_by_name),
        cmocka_unit_test(test_members_are_added_to_an_object_that_is_being_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
