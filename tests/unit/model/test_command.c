#include "intake/command_read.h"
#include "model/command.h"

#include "support/command_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static char *beijing[] = {"cn-beijing"};
static char *examples[] = {"pg-ex*", "pg-other"};

#define NEEDED "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-example\""

static void test_a_region_or_group_that_the_route_does_not_list_is_not_authorised(void **state)
{
    (void)state;
    static const struct {
        const char *region;
        const char *group;
        enum status status;
    } rows[] = {
        {"cn-beijing", "pg-example", STATUS_OK},
        {"cn-beijing", "pg-other", STATUS_OK},
        {"cn-beijing", "pg-secret", STATUS_INVALID},
        {"cn-hangzhou", "pg-example", STATUS_INVALID},
    };
    struct route route = command_fixture_route();
    route.regions = (struct text_list){beijing, 1};
    route.groups = (struct text_list){examples, 2};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request request = {.region = slice_text(rows[i].region),
                                  .group = slice_text(rows[i].group)};
        struct refusal refusal = {.error = ERROR_NONE};
        assert_int_equal(request_authorise(&route, &request, &refusal), rows[i].status);
        assert_int_equal(refusal.error,
                         rows[i].status == STATUS_OK ? ERROR_NONE : ERROR_NOT_ALLOWED);
        assert_null(strstr(refusal.message, "pg-secret"));
    }
}

static void token_of(const struct route *route, struct slice correlation_data, const char *payload,
                     char out[DIGEST_SHA256_HEX_BYTES])
{
    struct delivery delivery = command_fixture_delivery(payload);
    delivery.correlation_data = correlation_data;
    struct command_reading reading = command_fixture_read(route, &delivery);
    command_make_token(route, &delivery, &reading.request, out);
    assert_int_equal(strlen(out), 64);
    assert_int_equal(strspn(out, "0123456789abcdef"), 64);
    request_fini(&reading.request);
}

static void test_a_token_is_derived_from_everything_that_makes_the_command(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    struct route other = command_fixture_route();
    other.name = "other";
    char tokens[9][DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text("c"), "{" NEEDED "}", tokens[0]);
    token_of(&other, slice_text("c"), "{" NEEDED "}", tokens[1]);
    token_of(&route, slice_text("d"), "{" NEEDED "}", tokens[2]);
    token_of(&route, slice_text(""), "{" NEEDED "}", tokens[3]);
    token_of(&route, slice_text("c"), "{" NEEDED ",\"OneShot\":true}", tokens[4]);
    token_of(&route, slice_text("c"), "{\"RegionId\":\"a\",\"ReplicaGroupId\":\"bc\"}", tokens[5]);
    token_of(&route, slice_text("c"), "{\"RegionId\":\"ab\",\"ReplicaGroupId\":\"c\"}", tokens[6]);
    other = command_fixture_route();
    other.action = "DescribeDiskReplicaGroups";
    token_of(&other, slice_text("c"), "{" NEEDED ",\"MaxResults\":\"1\"}", tokens[7]);
    other = command_fixture_route();
    other.action = "StopDiskReplicaGroup";
    token_of(&other, slice_text("c"), "{" NEEDED "}", tokens[8]);
    for (int a = 0; a < 9; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(tokens[a], tokens[b]);
        }
    }
    char again[DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text("c"), "{" NEEDED ",\"CorrelationId\":\"x\",\"OneShot\":false}",
             again);
    assert_string_equal(again, tokens[0]);
    token_of(&route, slice_text(""), "{" NEEDED "}", again);
    assert_string_equal(again, tokens[3]);
}

static void test_without_correlation_data_tokens_are_random(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    char a[DIGEST_SHA256_HEX_BYTES];
    char b[DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text(NULL), "{" NEEDED ",\"CorrelationId\":\"x\"}", a);
    token_of(&route, slice_text(NULL), "{" NEEDED ",\"CorrelationId\":\"x\"}", b);
    assert_string_not_equal(a, b);
}

static void test_both_copies_of_a_message_get_one_token(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    struct delivery delivery = command_fixture_delivery("{" NEEDED "}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    char tokens[4][DIGEST_SHA256_HEX_BYTES];
    delivery.copy_mark = slice_text("mark");
    command_make_token(&route, &delivery, &reading.request, tokens[0]);
    command_make_token(&route, &delivery, &reading.request, tokens[1]);
    assert_string_equal(tokens[0], tokens[1]);
    delivery.copy_mark = slice_text("other");
    command_make_token(&route, &delivery, &reading.request, tokens[2]);
    assert_string_not_equal(tokens[0], tokens[2]);
    delivery.correlation_data = slice_text("c");
    command_make_token(&route, &delivery, &reading.request, tokens[2]);
    delivery.copy_mark = (struct slice){0};
    command_make_token(&route, &delivery, &reading.request, tokens[3]);
    assert_string_equal(tokens[2], tokens[3]);
    request_fini(&reading.request);
}

static void test_the_deadline_is_the_first_of_three(void **state)
{
    (void)state;
    static const struct {
        int64_t not_after_ms;
        int64_t expiry_s;
        int64_t deadline_s;
        int64_t deadline_at_ms;
    } rows[] = {
        {INT64_MAX, -1, 300, NOW_MS + 300000},
        {INT64_MAX, 60, 300, NOW_MS + 60000},
        {INT64_MAX, 0, 300, NOW_MS},
        {NOW_MS + 5, 60, 300, NOW_MS + 5},
        {NOW_MS - 5, 60, 300, NOW_MS - 5},
        {-1000, -1, 300, -1000},
        {INT64_MAX, UINT32_MAX, 300, NOW_MS + 300000},
        {INT64_MAX, -1, INT64_MAX, INT64_MAX},
        {INT64_MAX, 4294967295, INT64_MAX / 1000, NOW_MS + INT64_C(4294967295000)},
    };
    struct route route = command_fixture_route();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delivery delivery = {.expiry_s = rows[i].expiry_s};
        struct command_limits own = {.deadline_s = rows[i].deadline_s};
        struct request request = {.region = slice_text("r"),
                                  .group = slice_text("g"),
                                  .params = {.data = (char *)"{\"OneShot\":false}", .length = 17},
                                  .not_after_ms = rows[i].not_after_ms};
        struct command *command =
            command_new(&route, &request, &delivery, slice_text("t"), &own, NOW_MS);
        assert_true(command->deadline_at_ms == rows[i].deadline_at_ms);
        assert_true(command->received_at_ms == NOW_MS);
        command_free(command);
    }
}

static void test_a_command_owns_what_it_was_made_of(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    struct delivery delivery =
        command_fixture_delivery("{" NEEDED ",\"ClientToken\":\"tok\",\"OneShot\":true}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    struct command *command = command_new(&route, &reading.request, &delivery,
                                          reading.request.token, &command_fixture_limits, NOW_MS);
    request_fini(&reading.request);
    assert_string_equal(command->action->name, "StartDiskReplicaGroup");
    assert_string_equal(command->region, "cn-beijing");
    assert_string_equal(command->group, "pg-example");
    assert_string_equal(command->token, "tok");
    assert_string_equal(command->params, "{\"OneShot\":true}");
    assert_ptr_equal(command->route, &route);
    assert_int_equal(command->state, STATE_NONE);
    assert_int_equal(command->id, 0);
    assert_int_equal(command->attempts, 0);
    assert_int_equal(command->not_before_ms, 0);

    struct command *record = command_of_record(
        NULL, command->action, slice_text(command->region), slice_text(command->group),
        slice_text(command->token), slice_text(command->params));
    assert_memory_equal(record->fingerprint, command->fingerprint, DIGEST_SHA256_BYTES);
    assert_string_equal(record->token, "tok");
    assert_null(record->route);
    command_free(record);
    command_free(command);
    command_free(NULL);
}

static void fingerprint_of(enum action_id action, const char *region, const char *group,
                           const char *token, const char *params, char out[DIGEST_SHA256_HEX_BYTES])
{
    struct command *command =
        command_of_record(NULL, &action_rows[action], slice_text(region), slice_text(group),
                          slice_text(token), slice_text(params));
    digest_hex(command->fingerprint, sizeof command->fingerprint, out);
    command_free(command);
}

#define START    ACTION_StartDiskReplicaGroup
#define DESCRIBE ACTION_DescribeDiskReplicaGroups
#define ONCE     "{\"OneShot\":true}"
#define ALWAYS   "{\"OneShot\":false}"

static void test_the_fingerprint_is_over_the_parameters_only(void **state)
{
    (void)state;
    static const struct {
        enum action_id action;
        const char *region;
        const char *group;
        const char *params;
    } rows[] = {
        {START, "r", "g", ALWAYS},
        {START, "s", "g", ALWAYS},
        {START, "r", "h", ALWAYS},
        {START, "r", "g", ONCE},
        {START, "", "g", ALWAYS},
        {START, "rg", "", ALWAYS},
        {DESCRIBE, "r", "g", "{}"},
        {DESCRIBE, "r", "g", "{\"MaxResults\":\"1\"}"},
        {DESCRIBE, "r", "g", "{\"MaxResults\":\"2\"}"},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    char prints[ROWS][DIGEST_SHA256_HEX_BYTES];
    for (size_t i = 0; i < ROWS; i++) {
        fingerprint_of(rows[i].action, rows[i].region, rows[i].group, "token-1", rows[i].params,
                       prints[i]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(prints[i], prints[k]);
        }
    }
    char other[DIGEST_SHA256_HEX_BYTES];
    fingerprint_of(START, "r", "g", "token-2", ALWAYS, other);
    assert_string_equal(other, prints[0]);
}

static void check_fingerprint(enum action_id action, const char *params, const char *expected)
{
    char hex[DIGEST_SHA256_HEX_BYTES];
    fingerprint_of(action, "cn-beijing", "pg-example", "t", params, hex);
    assert_string_equal(hex, expected);
}

/* Ledgers hold fingerprints. If they were made in another way, every duplicate would be refused as
 * a mismatch. */
static void test_the_fingerprint_is_the_one_that_ledgers_hold(void **state)
{
    (void)state;
    check_fingerprint(START, ALWAYS,
                      "0658f828cec14c4c08eca92310b8494173a90c45c33d0d0a4d93786edfb35498");
    check_fingerprint(START, ONCE,
                      "173fce4f82eeaf3d2ca0ef4e32fc170926101247db9a105c03fc8898fb11243c");
    check_fingerprint(ACTION_StopDiskReplicaGroup, "{}",
                      "2c09b5085988ec95ede4c026580ffd49f9f9f9c57f8cc164fbe7d9d1e7bea5c5");
    check_fingerprint(DESCRIBE, "{\"MaxResults\":\"1\"}",
                      "1ffd358ad665e854f28b4c02f6b7a9030c8de9141503100fbc93d660f5dd5e19");
}

/* Ledgers hold derived tokens, too: a message that is delivered again must get the same token. */
static void test_a_derived_token_is_the_one_that_ledgers_hold(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    char token[DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text("corr-1"), "{" NEEDED "}", token);
    assert_string_equal(token, "bfeb088ba29baebba5e169c11e71b392fb2f740eac2b0db5bfb9a7530949ee68");
    token_of(&route, slice_text("corr-1"), "{" NEEDED ",\"OneShot\":true}", token);
    assert_string_equal(token, "bb8020295a867cb881b65fe597e286c4a8104c493ae6b01cecd0dfdf513c6c28");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_region_or_group_that_the_route_does_not_list_is_not_authorised),
        cmocka_unit_test(test_a_token_is_derived_from_everything_that_makes_the_command),
        cmocka_unit_test(test_without_correlation_data_tokens_are_random),
        cmocka_unit_test(test_both_copies_of_a_message_get_one_token),
        cmocka_unit_test(test_the_deadline_is_the_first_of_three),
        cmocka_unit_test(test_a_command_owns_what_it_was_made_of),
        cmocka_unit_test(test_the_fingerprint_is_over_the_parameters_only),
        cmocka_unit_test(test_the_fingerprint_is_the_one_that_ledgers_hold),
        cmocka_unit_test(test_a_derived_token_is_the_one_that_ledgers_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
