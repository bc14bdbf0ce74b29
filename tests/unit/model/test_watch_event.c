/*
 * The payload of an event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "support/watch_rules_fixture.h"

static void check_payload(struct fixture *fixture, size_t index, const char *expected)
{
    struct buf out = {0};
    struct json_fault fault;
    watch_event_write(&fixture->watch, &fixture->step, &fixture->step.events[index], RPO_S, &out);
    assert_string_equal(out.data, expected);
    struct json *document = json_parse(buf_slice(&out), 2, &fault);
    assert_non_null(document);
    json_free(document);
    buf_fini(&out);
}

#define HEAD(event, seq, final)                                                                  \
    "{\"Event\":\"" event "\",\"Seq\":" seq ",\"Final\":" final                                  \
    ",\"Action\":\"StartDiskReplicaGroup\",\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-" \
    "a\","                                                                                       \
    "\"OneShot\":false,\"ClientToken\":\"nightly-1\",\"Outcome\":\"succeeded\","
#define TIMES(observed, duration)                                           \
    "\"StartedAt\":\"2023-11-14T22:13:20.999Z\",\"ObservedAt\":\"" observed \
    "\",\"DurationMs\":" duration ","

static void test_an_event_says_what_is_known(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 4, "initial_syncing", NO_POINT, "watching");
    rules_see_progress(fixture, 5, 10, "progress");
    check_payload(
        fixture, 0,
        HEAD("progress", "2", "false") "\"GroupStatus\":\"initial_syncing\",\"RpoS\":900,"
                                       "\"ProgressPercent\":10," TIMES(
                                           "2023-11-14T22:13:25.000Z",
                                           "4001") "\"Message\":\"The copy has progressed.\"}");
    rules_see(fixture, 1000, "normal", 5, "status synchronised!");
    check_payload(
        fixture, 0,
        HEAD("status", "3",
             "false") "\"GroupStatus\":\"normal\","
                      "\"PreviousStatus\":\"initial_syncing\","
                      "\"LastRecoverPoint\":\"2023-11-14T22:13:25.000Z\",\"RpoS\":900,\"LagS\":995,"
                      "\"RpoExceeded\":true," TIMES(
                          "2023-11-14T22:30:00.000Z",
                          "999001") "\"Message\":\"The state of the group has changed.\"}");
    check_payload(
        fixture, 1,
        HEAD("synchronised", "4",
             "true") "\"GroupStatus\":\"normal\","
                     "\"LastRecoverPoint\":\"2023-11-14T22:13:25.000Z\",\"RpoS\":900,\"LagS\":995,"
                     "\"RpoExceeded\":true," TIMES(
                         "2023-11-14T22:30:00.000Z",
                         "999001") "\"Basis\":\"recover_point\","
                                   "\"Message\":\"The data of the group was copied after the "
                                   "start.\"}");
}

static void test_an_event_before_anything_was_seen_has_no_state(void **state)
{
    struct fixture *fixture = *state;
    rules_wait_until(fixture, 300, "blind");
    check_payload(
        fixture, 0,
        HEAD("blind", "1", "false") TIMES(
            "2023-11-14T22:18:20.000Z",
            "299001") "\"Blind\":true,\"Message\":\"The state of the group cannot be read.\"}");
}

static void test_a_failure_has_an_error(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "invalid", NO_POINT, "watching failed!");
    check_payload(
        fixture, 1,
        HEAD("failed", "2", "true") "\"GroupStatus\":\"invalid\",\"RpoS\":900," TIMES(
            "2023-11-14T22:13:25.000Z",
            "4001") "\"Error\":{\"Code\":\"Bridge.GroupFailed\","
                    "\"Message\":\"The group is in the state invalid.\",\"Source\":\"observation\","
                    "\"Category\":\"conflict\",\"Retryable\":false},"
                    "\"Message\":\"The group is in a state that somebody must repair.\"}");
}

static void test_the_end_of_blindness_is_in_the_payload(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_outcome_unknown = true;
    rules_wait_until(fixture, 300, "blind");
    rules_see(fixture, 301, "created", NO_POINT, "watching");
    struct buf out = {0};
    watch_event_write(&fixture->watch, &fixture->step, &fixture->step.events[0], RPO_S, &out);
    assert_non_null(strstr(out.data, "\"Blind\":false,"));
    assert_non_null(strstr(out.data, "\"Outcome\":\"unknown\","));
    buf_fini(&out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rules_set_up, rules_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_event_says_what_is_known),
        TEST(test_an_event_before_anything_was_seen_has_no_state),
        TEST(test_a_failure_has_an_error),
        TEST(test_the_end_of_blindness_is_in_the_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
