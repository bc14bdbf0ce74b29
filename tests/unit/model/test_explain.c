#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/explain.h"

#include <string.h>

#define SENT_MS  INT64_C(1767323045500) /* between two seconds */
#define SENT_S   INT64_C(1767323045)
#define BEFORE_S (SENT_S - 100)
#define SINCE_S  (SENT_S + 1)

static struct group_observation seen_as(const char *status, int64_t recover_point_s)
{
    struct group_observation seen = {.at_ms = SENT_MS + 4000,
                                     .view.recover_point_s = recover_point_s};
    strcpy(seen.view.status, status);
    return seen;
}

/* Every row of the table of conclusions, and what is next to it. */
static void test_what_is_seen_after_an_unknown_outcome_leads_to_one_conclusion(void **state)
{
    static const struct {
        enum group_change change;
        const char *status;
        int64_t recover_point_s;
        const char *conclusion;
    } rows[] = {
        {CHANGE_START, "initial_syncing", 0, "replicating"},
        {CHANGE_START, "syncing", BEFORE_S, "replicating"},
        {CHANGE_START, "normal", SINCE_S, "replicating"},
        {CHANGE_ONE_SHOT, "manual_syncing", 0, "synchronised_since"},
        {CHANGE_ONE_SHOT, "manual_syncing", BEFORE_S, "synchronised_since"},
        {CHANGE_ONE_SHOT, "stopped", SINCE_S, "synchronised_since"},
        {CHANGE_ONE_SHOT, "stopped", BEFORE_S, "not_seen"},
        {CHANGE_ONE_SHOT, "stopped", SENT_S, "not_seen"}, /* half a second too early */
        {CHANGE_ONE_SHOT, "stopped", 0, "not_seen"},
        {CHANGE_ONE_SHOT, "created", 0, "not_seen"},
        {CHANGE_ONE_SHOT, "created", BEFORE_S, "not_seen"},
        {CHANGE_START, "stopped", BEFORE_S, "not_seen"},
        {CHANGE_START, "created", 0, "not_seen"},
        /* anything else */
        {CHANGE_START, "stopped", SINCE_S, "undecided"},
        {CHANGE_START, "created", SINCE_S, "undecided"},
        {CHANGE_START, "manual_syncing", 0, "undecided"},
        {CHANGE_START, "failovered", BEFORE_S, "undecided"},
        {CHANGE_ONE_SHOT, "normal", SINCE_S, "undecided"},
        {CHANGE_ONE_SHOT, "initial_syncing", 0, "undecided"},
        {CHANGE_ONE_SHOT, "created", SINCE_S, "undecided"},
        {CHANGE_ONE_SHOT, "invalid", BEFORE_S, "undecided"},
        {CHANGE_START, "a new word", 0, "undecided"},
        {CHANGE_STOP, "stopped", BEFORE_S, "undecided"},
        {CHANGE_STOP, "normal", SINCE_S, "undecided"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct group_observation seen = seen_as(rows[i].status, rows[i].recover_point_s);
        enum conclusion conclusion = explain_conclude(rows[i].change, SENT_MS, &seen.view);
        if (strcmp(conclusion_text(conclusion), rows[i].conclusion) != 0) {
            fail_msg("row %zu: %s", i, conclusion_text(conclusion));
        }
    }
    for (int change = 0; change < GROUP_CHANGE_COUNT; change++) {
        assert_int_equal(explain_conclude((enum group_change)change, SENT_MS, NULL),
                         CONCLUSION_UNDECIDED);
    }
}

static struct command *make(enum action_id action, const char *params)
{
    return command_of_record(NULL, &action_rows[action], slice_text("cn-a"), slice_text("pg"),
                             slice_text("t"), slice_text(params));
}

/* The hint of a refusal of the command, whose group was found in this state. */
static void check_hint(enum action_id action, const char *params, const char *status,
                       const char *hint)
{
    struct command *command = make(action, params);
    const struct group_observation seen = seen_as(status, 0);
    struct outcome outcome = {.status = OUTCOME_FAILED,
                              .hint = "Look at it.",
                              .code = mem_strdup("OperationDenied.InvalidStatus")};
    struct buf text = {0};
    assert_true(explain_is_state_refusal(&outcome));
    explain_refusal(command, &seen, &outcome);
    outcome_put_hint(&outcome, &text);
    assert_string_equal(text.data, hint);
    assert_string_equal(outcome.group_status, status);
    assert_int_equal(outcome.observed_at_ms, seen.at_ms);
    outcome_fini(&outcome);
    buf_fini(&text);
    command_free(command);
}

static void test_a_refused_start_gets_a_hint_for_the_state_that_was_found(void **state)
{
    static const char starting[] = "The group was found in the state initial_syncing. Replication "
                                   "is already starting; nothing needs to be done.";
    static const char copying[] =
        "The group was found in the state manual_syncing. A one-time synchronization is running; "
        "send it again when the group is stopped.";
    static const char failovered[] =
        "The group was found in the state failovered. Reprotect the group first.";
    static const char invalid[] = "The group was found in the state invalid. A pair is faulty; see "
                                  "StatusMessage of its pairs.";
    static const char stopping[] =
        "The group was found in the state stopping; a start with OneShot false is possible in the "
        "states created, syncing, normal and stopped.";
    static const char normal[] =
        "The group was found in the state normal; a start with OneShot true is possible in the "
        "states created, manual_syncing and stopped.";
    static const char later[] =
        "The group was found in the state a new word; a start with OneShot true is possible in the "
        "states created, manual_syncing and stopped.";
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *params = i == 0 ? "{\"OneShot\":false}" : "{\"OneShot\":true}";
        check_hint(ACTION_StartDiskReplicaGroup, params, "initial_syncing", starting);
        check_hint(ACTION_StartDiskReplicaGroup, params, "failovered", failovered);
        check_hint(ACTION_StartDiskReplicaGroup, params, "invalid", invalid);
    }
    check_hint(ACTION_StartDiskReplicaGroup, "{\"OneShot\":false}", "manual_syncing", copying);
    check_hint(ACTION_StartDiskReplicaGroup, "{\"OneShot\":false}", "stopping", stopping);
    check_hint(ACTION_StartDiskReplicaGroup, "{\"OneShot\":true}", "normal", normal);
    check_hint(ACTION_StartDiskReplicaGroup, "{\"OneShot\":true}", "a new word", later);
}

/* The hint that a refusal has without the state lists the same states. */
static void test_the_usual_hints_list_the_states_of_the_table(void **state)
{
    static const struct {
        const char *code;
        const char *parameter;
        enum action_id action;
        const char *hint;
    } rows[] = {
#define OUTCOME_HINT(code, action, parameter, hint) {code, parameter, ACTION_##action, hint},
#include "tables/outcomes.def"
    };
    unsigned seen = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].code, "OperationDenied.InvalidStatus") != 0) {
            continue;
        }
        enum group_change change = rows[i].action == ACTION_StopDiskReplicaGroup ? CHANGE_STOP
                                   : rows[i].parameter != NULL                   ? CHANGE_ONE_SHOT
                                                                                 : CHANGE_START;
        struct buf states = {0};
        buf_append_text(&states, "allowed in the states ");
        group_put_states(change, &states);
        buf_append_text(&states, "; look");
        assert_non_null(strstr(rows[i].hint, states.data));
        buf_fini(&states);
        seen |= 1U << change;
    }
    assert_int_equal(seen, 7);
}

static void test_a_refused_stop_gets_a_hint_of_its_own(void **state)
{
    (void)state;
    check_hint(ACTION_StopDiskReplicaGroup, "{}", "initial_syncing",
               "The group was found in the state initial_syncing; a stop is possible in the states "
               "manual_syncing, syncing, normal, stopping, stop_failed and stopped.");
    check_hint(ACTION_StopDiskReplicaGroup, "{}", "invalid",
               "The group was found in the state invalid. A pair is faulty; see StatusMessage of "
               "its pairs.");
}

static void test_the_error_names_the_state_and_when_it_was_read(void **state)
{
    struct command *command = make(ACTION_StartDiskReplicaGroup, "{\"OneShot\":false}");
    const struct group_observation seen = seen_as("failovered", 0);
    struct outcome outcome = {.status = OUTCOME_FAILED,
                              .category = CATEGORY_CONFLICT,
                              .retry_after_ms = -1,
                              .code = mem_strdup("OperationDenied.InvalidStatus")};
    struct outcome copy;
    struct buf error = {0};
    (void)state;
    explain_refusal(command, &seen, &outcome);
    outcome_copy(&copy, &outcome);
    outcome_put_error(&copy, &error);
    assert_string_equal(
        error.data, "{\"Code\":\"OperationDenied.InvalidStatus\",\"Source\":\"ecs\","
                    "\"Category\":\"conflict\",\"Retryable\":false,"
                    "\"GroupStatus\":\"failovered\",\"ObservedAt\":\"2026-01-02T03:04:09.500Z\","
                    "\"Hint\":\"The group was found in the state failovered. Reprotect the "
                    "group first.\"}");
    outcome_fini(&outcome);
    outcome_fini(&copy);
    buf_fini(&error);
    command_free(command);
}

static void test_only_a_refusal_by_the_api_is_explained_by_the_state(void **state)
{
    struct outcome outcome = {.status = OUTCOME_FAILED,
                              .code = mem_strdup("OperationDenied.InvalidStatus")};
    (void)state;
    assert_true(explain_is_state_refusal(&outcome));
    outcome.status = OUTCOME_UNKNOWN;
    assert_false(explain_is_state_refusal(&outcome));
    outcome.status = OUTCOME_FAILED;
    outcome.is_from_bridge = true;
    assert_false(explain_is_state_refusal(&outcome));
    outcome_fini(&outcome);
    outcome = (struct outcome){.status = OUTCOME_FAILED, .code = mem_strdup("OperationDenied")};
    assert_false(explain_is_state_refusal(&outcome));
    outcome_fini(&outcome);
}

static void test_an_unknown_outcome_shows_what_was_seen(void **state)
{
    struct command *command = make(ACTION_StartDiskReplicaGroup, "{\"OneShot\":true}");
    const struct group_observation seen = seen_as("stopped", SINCE_S);
    struct outcome outcome = {.status = OUTCOME_UNKNOWN};
    (void)state;
    explain_unknown(command, SENT_MS, NULL, &outcome);
    assert_string_equal(outcome.observed, "{\"Conclusion\":\"undecided\"}");
    explain_unknown(command, SENT_MS, &seen, &outcome);
    assert_string_equal(outcome.observed, "{\"GroupStatus\":\"stopped\","
                                          "\"LastRecoverPoint\":\"2026-01-02T03:04:06.000Z\","
                                          "\"ObservedAt\":\"2026-01-02T03:04:09.500Z\","
                                          "\"Conclusion\":\"synchronised_since\"}");
    outcome_fini(&outcome);
    command_free(command);
}

static void test_a_cooldown_ends_half_an_rpo_after_the_last_start(void **state)
{
    (void)state;
    assert_int_equal(explain_cooldown_ms(100, 0, SENT_MS), 50000);
    assert_int_equal(explain_cooldown_ms(100, SENT_MS - 20000, SENT_MS), 30000);
    assert_int_equal(explain_cooldown_ms(100, SENT_MS - 49999, SENT_MS), 1);
    /* Then it was somebody else's start that is too recent. */
    assert_int_equal(explain_cooldown_ms(100, SENT_MS - 50000, SENT_MS), 50000);
    /* The clock was set back. */
    assert_int_equal(explain_cooldown_ms(100, SENT_MS + 1000, SENT_MS), 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_seen_after_an_unknown_outcome_leads_to_one_conclusion),
        cmocka_unit_test(test_a_refused_start_gets_a_hint_for_the_state_that_was_found),
        cmocka_unit_test(test_the_usual_hints_list_the_states_of_the_table),
        cmocka_unit_test(test_a_refused_stop_gets_a_hint_of_its_own),
        cmocka_unit_test(test_the_error_names_the_state_and_when_it_was_read),
        cmocka_unit_test(test_only_a_refusal_by_the_api_is_explained_by_the_state),
        cmocka_unit_test(test_an_unknown_outcome_shows_what_was_seen),
        cmocka_unit_test(test_a_cooldown_ends_half_an_rpo_after_the_last_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
