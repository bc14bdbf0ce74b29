/*
 * What is refused, and where the refusal goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/intake_fixture.h"

static void test_a_refusal_goes_to_the_response_topic(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture.delivery.correlation_data = slice_text("c-1");
    fixture_deliver("no JSON");
    fixture_assert_answered("Bridge.MalformedPayload", "answers/me");
    fixture_assert_slice(fixture.posted.message.correlation_data, "c-1");
    assert_int_equal(fixture.posted.message.qos, 1);
    assert_int_equal(fixture.posted.message.expiry_s, 3600);
    assert_int_equal(fixture.ack_count, 0);
    fixture_answer_post(STATUS_OK);
    fixture_assert_acked(true);
}

static void test_a_refusal_goes_to_a_readable_reply_to(void **state)
{
    (void)state;
    fixture_deliver(
        "{\"RegionId\":\"cn-a\",\"Typo\":1,\"ReplyTo\":\"answers/b\",\"CorrelationId\":\"x\"}");
    fixture_assert_answered("Bridge.UnknownParameter", "answers/b");
    fixture_assert_field("CorrelationId", "x");
    fixture_assert_field("RegionId", "cn-a");
}

static void test_a_refusal_without_reply_topic_goes_to_the_topic_of_its_route(void **state)
{
    (void)state;
    fixture_deliver("{\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\"}");
    fixture_assert_answered("Bridge.MissingParameter", "replies/t-1");
    fixture_assert_field("ClientToken", "t-1");
}

static void test_a_refusal_without_reply_topic_is_a_dead_letter(void **state)
{
    (void)state;
    fixture_deliver("no JSON");
    fixture_assert_dead_letter("Bridge.MalformedPayload", "dead/i-1/start");
    fixture_assert_field("Route", "start");
    fixture_assert_field("Topic", "commands/start");
    fixture_assert_field("Payload", "bm8gSlNPTg==");
    fixture_answer_post(STATUS_OK);
    fixture_assert_acked(true);
}

static void test_a_message_no_route_lists_is_a_dead_letter(void **state)
{
    (void)state;
    fixture.delivery.topic = slice_text("elsewhere");
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture_deliver(COMMAND);
    fixture_assert_dead_letter("Bridge.NotAllowed", "dead/i-1/none");
    assert_null(json_member(fixture.posted.body, "Route"));
}

static void test_a_reply_topic_that_is_not_allowed_is_refused_at_the_topic_of_the_route(
    void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("commands/start");
    fixture_deliver(COMMAND);
    fixture_assert_answered("Bridge.ReplyTopicNotAllowed", "replies/t-1");
}

static void test_correlation_data_over_the_limit_is_refused_at_the_response_topic(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture.delivery.correlation_data = slice_text("123456789");
    fixture_deliver(COMMAND);
    fixture_assert_answered("Bridge.InvalidParameter", "answers/me");
    assert_false(slice_is_present(fixture.posted.message.correlation_data));
}

static void test_a_reply_to_over_the_limit_is_refused_at_the_topic_of_the_route(void **state)
{
    (void)state;
    fixture_deliver(
        "{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\","
        "\"ReplyTo\":\"answers/0123456789012345678901234567890123456789012345678901234567\"}");
    fixture_assert_answered("Bridge.ReplyTopicNotAllowed", "replies/t-1");
}

static void test_a_reply_to_with_a_wildcard_is_not_allowed(void **state)
{
    (void)state;
    fixture_deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\","
                    "\"ReplyTo\":\"answers/+\"}");
    fixture_assert_answered("Bridge.ReplyTopicNotAllowed", "replies/t-1");
}

static void test_a_group_that_is_not_allowed_is_refused_before_its_reply_topic(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("commands/start");
    fixture_deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"other\",\"ClientToken\":\"t-1\"}");
    fixture_assert_answered("Bridge.NotAllowed", "replies/t-1");
}

static void test_an_unreadable_command_with_a_forbidden_reply_topic_is_a_dead_letter(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("commands/start");
    fixture_deliver("no JSON");
    fixture_assert_dead_letter("Bridge.MalformedPayload", "dead/i-1/start");
}

static void test_a_refused_command_is_given_no_token(void **state)
{
    (void)state;
    static const char FORBIDDEN[] = "{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"other\"}";
    fixture_deliver(FORBIDDEN);
    fixture_assert_dead_letter("Bridge.NotAllowed", "dead/i-1/start");
    fixture.post_count = 0;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture_deliver(FORBIDDEN);
    fixture_assert_answered("Bridge.NotAllowed", "answers/me");
    assert_null(json_member(fixture.posted.body, "ClientToken"));
    fixture.post_count = 0;
    fixture.delivery.response_topic = slice_text("commands/start");
    fixture_deliver(COMMAND_WITHOUT_TOKEN);
    fixture_assert_dead_letter("Bridge.ReplyTopicNotAllowed", "dead/i-1/start");
}

static void test_a_retained_message_is_refused(void **state)
{
    (void)state;
    fixture.delivery.is_retained = true;
    fixture_deliver(COMMAND);
    fixture_assert_answered("Bridge.Retained", "replies/t-1");
}

static void test_a_payload_over_the_limit_is_refused_by_its_whole_size(void **state)
{
    (void)state;
    fixture.delivery.payload = slice_text(COMMAND);
    fixture.delivery.payload_bytes = 1025;
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
    fixture_assert_dead_letter("Bridge.PayloadTooLarge", "dead/i-1/start");
}

static void test_an_expired_command_is_refused_unless_its_token_is_known(void **state)
{
    (void)state;
    fixture_deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\","
                    "\"NotAfter\":\"2020-01-01T00:00:00Z\"}");
    assert_int_equal(fixture.claim_count, 1);
    assert_int_equal(fixture.claimed.unless_found, ERROR_EXPIRED);
    assert_true(fixture.claimed.has_unless_message);
    fixture.delivery.expiry_s = 0;
    fixture_deliver(COMMAND);
    assert_int_equal(fixture.claimed.unless_found, ERROR_EXPIRED);
    fixture.delivery.expiry_s = 60;
    fixture_deliver(COMMAND);
    assert_int_equal(fixture.claimed.unless_found, ERROR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(test_a_refusal_goes_to_the_response_topic),
        TEST(test_a_refusal_goes_to_a_readable_reply_to),
        TEST(test_a_refusal_without_reply_topic_goes_to_the_topic_of_its_route),
        TEST(test_a_refusal_without_reply_topic_is_a_dead_letter),
        TEST(test_a_message_no_route_lists_is_a_dead_letter),
        TEST(test_a_reply_topic_that_is_not_allowed_is_refused_at_the_topic_of_the_route),
        TEST(test_correlation_data_over_the_limit_is_refused_at_the_response_topic),
        TEST(test_a_reply_to_over_the_limit_is_refused_at_the_topic_of_the_route),
        TEST(test_a_reply_to_with_a_wildcard_is_not_allowed),
        TEST(test_a_group_that_is_not_allowed_is_refused_before_its_reply_topic),
        TEST(test_an_unreadable_command_with_a_forbidden_reply_topic_is_a_dead_letter),
        TEST(test_a_refused_command_is_given_no_token),
        TEST(test_a_retained_message_is_refused),
        TEST(test_a_payload_over_the_limit_is_refused_by_its_whole_size),
        TEST(test_an_expired_command_is_refused_unless_its_token_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
