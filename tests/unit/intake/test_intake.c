/*
 * Claims, their acknowledgement, and messages with several commands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/intake_fixture.h"

#include <string.h>

static void test_a_command_is_acknowledged_when_its_claim_is_durable(void **state)
{
    (void)state;
    fixture_deliver(COMMAND);
    assert_int_equal(fixture.claim_count, 1);
    assert_string_equal(fixture.claimed.command->token, "t-1");
    assert_string_equal(fixture.claimed.command->region, "cn-a");
    assert_string_equal(fixture.claimed.command->group, "pg-1");
    assert_ptr_equal(fixture.claimed.command->route, &fixture.route);
    assert_int_equal(fixture.claimed.unless_found, ERROR_NONE);
    assert_int_equal(fixture.ack_count, 0);
    fixture_answer_claim(STATUS_OK, CLAIM_NEW);
    fixture_assert_acked(true);
    assert_int_equal(fixture.post_count, 0);
}

static void test_whatever_the_ledger_finds_is_acknowledged_once_stored(void **state)
{
    (void)state;
    for (int result = CLAIM_NEW; result <= CLAIM_REFUSED; result++) {
        fixture.ack_count = 0;
        fixture_deliver(COMMAND);
        fixture_answer_claim(STATUS_OK, (enum claim_result)result);
        fixture_assert_acked(true);
    }
}

static void test_a_new_command_goes_to_dispatch_with_its_reservation(void **state)
{
    (void)state;
    for (int is_slot_free = 0; is_slot_free <= 1; is_slot_free++) {
        fixture.is_slot_free = is_slot_free;
        fixture_deliver(COMMAND);
        assert_int_equal(fixture.claimed.is_called_at_once, is_slot_free);
        fixture_answer_claim(STATUS_OK, is_slot_free ? CLAIM_AGAIN : CLAIM_NEW);
        assert_int_equal(fixture.was_called_at_once, is_slot_free);
    }
    assert_int_equal(fixture.reserve_count, 2);
    assert_int_equal(fixture.dispatched_count, 2);
    assert_int_equal(fixture.release_count, 0);
}

static void test_a_claim_that_comes_to_nothing_gives_its_reservation_back(void **state)
{
    static const enum claim_result NOT_OURS[] = {CLAIM_WAITS, CLAIM_REPLAYED, CLAIM_MISMATCH,
                                                 CLAIM_REFUSED};
    (void)state;
    fixture.is_slot_free = true;
    for (size_t i = 0; i < 4; i++) {
        fixture_deliver(COMMAND);
        fixture_answer_claim(STATUS_OK, NOT_OURS[i]);
        assert_int_equal(fixture.release_count, i + 1);
    }
    fixture_deliver(COMMAND);
    fixture_answer_claim(STATUS_STORE, CLAIM_NEW);
    assert_int_equal(fixture.release_count, 5);
    assert_int_equal(fixture.reserve_count, 5);
    assert_int_equal(fixture.dispatched_count, 0);
}

static void test_nothing_is_reserved_for_a_command_that_may_not_begin(void **state)
{
    (void)state;
    fixture.is_slot_free = true;
    fixture.delivery.expiry_s = 0;
    fixture_deliver(COMMAND);
    assert_false(fixture.claimed.is_called_at_once);
    fixture_answer_claim(STATUS_OK, CLAIM_REFUSED);
    fixture_deliver("{}");
    fixture_answer_post(STATUS_OK);
    assert_int_equal(fixture.reserve_count, 0);
    assert_int_equal(fixture.release_count, 0);
}

static void test_a_claim_that_cannot_be_stored_is_not_acknowledged(void **state)
{
    (void)state;
    fixture_deliver(COMMAND);
    fixture_answer_claim(STATUS_STORE, CLAIM_NEW);
    fixture_assert_acked(false);
}

static void test_a_refusal_that_cannot_be_stored_is_not_acknowledged(void **state)
{
    (void)state;
    fixture_deliver("{}");
    fixture_answer_post(STATUS_STORE);
    fixture_assert_acked(false);
}

static void test_nothing_is_acknowledged_while_the_outbox_is_full(void **state)
{
    (void)state;
    fixture.is_outbox_full = true;
    for (uint8_t qos = 0; qos <= 1; qos++) {
        fixture.ack_count = 0;
        counter_set(&fixture.counters, COUNTER_NOT_TAKEN, 0);
        fixture.delivery.qos = qos;
        fixture_deliver(COMMAND);
        fixture_assert_acked(false);
    }
    assert_int_equal(fixture.claim_count + fixture.post_count, 0);
    fixture.is_outbox_full = false;
    fixture.ack_count = 0;
    counter_set(&fixture.counters, COUNTER_NOT_TAKEN, 0);
    fixture_deliver(COMMAND);
    fixture_answer_claim(STATUS_OK, CLAIM_NEW);
    fixture_assert_acked(true);
}

static void test_a_payload_that_a_former_limit_has_cut_is_not_acknowledged(void **state)
{
    (void)state;
    fixture.delivery.payload = slice_of(COMMAND, 10);
    fixture.delivery.payload_bytes = strlen(COMMAND);
    fixture.delivery.qos = 1;
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
    fixture_assert_acked(false);
    assert_int_equal(fixture.claim_count + fixture.post_count, 0);
    /* With QoS 0 it does not come again. */
    fixture.delivery.qos = 0;
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
    assert_int_equal(fixture.post_count, 1);
    fixture_answer_post(STATUS_OK);
}

static void test_a_claim_is_traced_when_it_is_durable(void **state)
{
    (void)state;
    fixture_deliver(COMMAND);
    int64_t received_at_ms = fixture.claimed.command->received_at_ms;
    assert_int_equal(fixture.traced.length, 0);
    fixture_answer_claim(STATUS_OK, CLAIM_NEW);
    assert_string_equal(fixture.traced.data, "t-1");
    assert_int_equal(fixture.traced_at_ms, received_at_ms);
}

static void test_a_claim_that_is_not_stored_is_not_traced(void **state)
{
    (void)state;
    fixture_deliver(COMMAND);
    fixture_answer_claim(STATUS_STORE, CLAIM_NEW);
    fixture_assert_acked(false);
    assert_int_equal(fixture.traced.length, 0);
}

static void test_the_reply_to_goes_with_the_claim(void **state)
{
    (void)state;
    fixture.route.has_accepted_reply = true;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture.delivery.correlation_data = slice_of("a\0b", 3);
    fixture.delivery.traceparent = slice_text("00-trace");
    fixture_deliver(COMMAND);
    assert_string_equal(fixture.claimed.reply_to.topic, "answers/me");
    assert_int_equal(fixture.claimed.reply_to.correlation_data_bytes, 3);
    assert_memory_equal(fixture.claimed.reply_to.correlation_data, "a\0b", 3);
    assert_string_equal(fixture.claimed.reply_to.traceparent, "00-trace");
    assert_true(fixture.claimed.wants_accepted);
}

static void test_a_claim_without_reply_topic_gets_the_topic_of_its_route(void **state)
{
    (void)state;
    fixture_deliver(COMMAND);
    assert_string_equal(fixture.claimed.reply_to.topic, "replies/t-1");
    assert_false(fixture.claimed.wants_accepted);
}

static void test_a_made_token_is_the_same_for_the_same_correlation_data_only(void **state)
{
    (void)state;
    char first[65];
    fixture_deliver(COMMAND_WITHOUT_TOKEN);
    strcpy(first, fixture.claimed.command->token);
    assert_int_equal(strlen(first), 64);
    assert_memory_equal(fixture.claimed.reply_to.topic, "replies/", 8);
    assert_string_equal(fixture.claimed.reply_to.topic + 8, first);
    fixture_deliver(COMMAND_WITHOUT_TOKEN);
    assert_string_not_equal(fixture.claimed.command->token, first);
    fixture.delivery.correlation_data = slice_text("c-1");
    fixture_deliver(COMMAND_WITHOUT_TOKEN);
    strcpy(first, fixture.claimed.command->token);
    fixture_deliver(COMMAND_WITHOUT_TOKEN);
    assert_string_equal(fixture.claimed.command->token, first);
}

static void test_a_stopped_intake_does_not_acknowledge_what_the_broker_sends_again(void **state)
{
    (void)state;
    intake_stop(fixture.intake);
    fixture_deliver(COMMAND);
    assert_int_equal(fixture.claim_count, 0);
    fixture_assert_acked(false);
    fixture_deliver("no JSON");
    assert_int_equal(fixture.post_count, 0);
    assert_int_equal(fixture.ack_count, 2);
    assert_false(fixture.is_durable);
}

static void test_a_stopped_intake_answers_what_the_broker_will_not_send_again(void **state)
{
    (void)state;
    intake_stop(fixture.intake);
    fixture.delivery.qos = 0;
    fixture_deliver(COMMAND);
    assert_int_equal(fixture.claimed.unless_found, ERROR_SHUTTING_DOWN);
    assert_true(fixture.claimed.has_unless_message);
    fixture_answer_claim(STATUS_OK, CLAIM_REFUSED);
    fixture_assert_acked(true);
    fixture.claim_count = 0;
    fixture_deliver("no JSON");
    fixture_assert_dead_letter("Bridge.MalformedPayload", "dead/i-1/start");
}

static void test_a_claim_on_its_way_is_acknowledged_after_the_stop(void **state)
{
    (void)state;
    fixture_deliver(COMMAND);
    intake_stop(fixture.intake);
    fixture_answer_claim(STATUS_OK, CLAIM_NEW);
    fixture_assert_acked(true);
}

static void test_deliveries_side_by_side_get_their_own_acks(void **state)
{
    (void)state;
    const struct mqtt_ticket other = {.generation = 2};
    fixture_deliver(COMMAND);
    ledger_claimed_fn *done = fixture.claimed.done;
    void *arg = fixture.claimed.arg;
    fixture.delivery.payload = slice_text("no JSON");
    fixture.delivery.payload_bytes = fixture.delivery.payload.length;
    intake_deliver(fixture.intake, &fixture.delivery, other);
    fixture_answer_post(STATUS_OK);
    assert_int_equal(fixture.acked.generation, other.generation);
    assert_true(fixture.is_durable);
    done(arg, STATUS_STORE, CLAIM_NEW, NULL);
    assert_int_equal(fixture.acked.generation, TICKET.generation);
    assert_false(fixture.is_durable);
    assert_int_equal(fixture.ack_count, 2);
}

/* Delivers two commands and one element that is filtered; *out_first is the first claim. */
static void deliver_two(struct claimed *out_first)
{
    static struct route_condition condition;
    static char *wanted[] = {"y"};
    condition = (struct route_condition){.value = "{/w}", .is = {wanted, 1}};
    fixture.route.input = "json";
    fixture.route.when = (struct route_conditions){&condition, 1};
    fixture.route.each = "/c";
    fixture.route.map = (struct route_map){.region = "cn-a", .group = "{/g}", .token = "{/t}"};
    fixture.settings.limits.commands_per_message = 3;
    intake_settings_changed(fixture.intake);
    fixture.has_first = true;
    fixture_deliver("{\"c\":[{\"w\":\"y\",\"g\":\"pg-1\",\"t\":\"t-1\"},{\"w\":\"n\"},"
                    "{\"w\":\"y\",\"g\":\"pg-2\",\"t\":\"t-2\"}]}");
    fixture.has_first = false;
    *out_first = fixture.first;
    fixture.first = (struct claimed){0};
    assert_int_equal(fixture.claim_count, 2);
    assert_false(fixture.is_together);
    assert_int_equal(out_first->reply_to.element_place, 1);
    assert_int_equal(fixture.claimed.reply_to.element_place, 3);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_RECEIVED), 2); /* and the message */
    assert_int_equal(counter_get(&fixture.counters, COUNTER_FILTERED), 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_TAKING), 2);
}

static void answer_first(struct claimed *first, enum status status)
{
    first->done(first->arg, status, CLAIM_REPLAYED, NULL);
    command_free(first->command);
    reply_to_fini(&first->reply_to);
    buf_fini(&first->audit);
}

static void test_a_message_is_acknowledged_when_all_its_commands_are_durable(void **state)
{
    struct claimed first;
    (void)state;
    deliver_two(&first);
    fixture_answer_claim(STATUS_OK, CLAIM_NEW);
    assert_int_equal(fixture.ack_count, 0);
    answer_first(&first, STATUS_OK);
    fixture_assert_acked(true);
}

static void test_a_message_of_which_a_command_is_not_stored_is_not_acknowledged(void **state)
{
    struct claimed first;
    (void)state;
    deliver_two(&first);
    answer_first(&first, STATUS_STORE);
    assert_int_equal(fixture.ack_count, 0);
    fixture_answer_claim(STATUS_OK, CLAIM_NEW);
    fixture_assert_acked(false);
}

static void test_a_message_that_is_filtered_is_acknowledged_at_once(void **state)
{
    static struct route_condition condition;
    static char *wanted[] = {"y"};
    (void)state;
    condition = (struct route_condition){.value = "{/w}", .is = {wanted, 1}};
    fixture.route.input = "json";
    fixture.route.when = (struct route_conditions){&condition, 1};
    fixture.route.map = (struct route_map){.region = "cn-a", .group = "{/g}", .token = "{/t}"};
    intake_settings_changed(fixture.intake);
    fixture_deliver("{}");
    fixture_assert_acked(true);
    assert_int_equal(fixture.claim_count + fixture.post_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_FILTERED), 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_RECEIVED), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(test_a_command_is_acknowledged_when_its_claim_is_durable),
        TEST(test_whatever_the_ledger_finds_is_acknowledged_once_stored),
        TEST(test_a_new_command_goes_to_dispatch_with_its_reservation),
        TEST(test_a_claim_that_comes_to_nothing_gives_its_reservation_back),
        TEST(test_nothing_is_reserved_for_a_command_that_may_not_begin),
        TEST(test_a_claim_that_cannot_be_stored_is_not_acknowledged),
        TEST(test_a_refusal_that_cannot_be_stored_is_not_acknowledged),
        TEST(test_nothing_is_acknowledged_while_the_outbox_is_full),
        TEST(test_a_payload_that_a_former_limit_has_cut_is_not_acknowledged),
        TEST(test_a_claim_is_traced_when_it_is_durable),
        TEST(test_a_claim_that_is_not_stored_is_not_traced),
        TEST(test_the_reply_to_goes_with_the_claim),
        TEST(test_a_claim_without_reply_topic_gets_the_topic_of_its_route),
        TEST(test_a_made_token_is_the_same_for_the_same_correlation_data_only),
        TEST(test_a_stopped_intake_does_not_acknowledge_what_the_broker_sends_again),
        TEST(test_a_stopped_intake_answers_what_the_broker_will_not_send_again),
        TEST(test_a_claim_on_its_way_is_acknowledged_after_the_stop),
        TEST(test_deliveries_side_by_side_get_their_own_acks),
        TEST(test_a_message_is_acknowledged_when_all_its_commands_are_durable),
        TEST(test_a_message_of_which_a_command_is_not_stored_is_not_acknowledged),
        TEST(test_a_message_that_is_filtered_is_acknowledged_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
