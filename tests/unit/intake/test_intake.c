/*
 * Intake with a ledger, a dispatch and workers that only record what they are asked: the test gives
 * the ledger's answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "intake/intake.h"
#include "model/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND               "{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\"}"
#define COMMAND_WITHOUT_TOKEN "{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\"}"

/* The last claim, and how to answer it. */
struct claimed {
    struct command *command;
    struct reply_to reply_to;
    enum bridge_error unless_found;
    bool has_unless_message;
    bool wants_accepted;
    bool is_called_at_once;
    struct buf audit;
    ledger_claimed_fn *done;
    void *arg;
};

struct posted {
    struct buf bytes;
    struct message message; /* points into `bytes` */
    struct json *body;
    bool is_dead_letter;
    enum bridge_error refusal;
    struct buf audit;
    ledger_done_fn *done;
    void *arg;
};

static struct {
    struct settings settings;
    struct counters counters;
    struct route route;
    struct intake *intake;
    struct delivery delivery;
    struct claimed claimed;
    size_t claim_count;
    bool is_together;
    struct claimed first; /* the claim before the last one, if a test wants it */
    bool has_first;
    struct posted posted;
    size_t post_count;
    bool is_slot_free;
    size_t reserve_count;
    size_t release_count;
    size_t dispatched_count; /* of dispatch_claimed() */
    bool was_called_at_once; /* as said in its reservation */
    bool is_outbox_full;
    size_t ack_count;
    struct mqtt_ticket acked;
    bool is_durable;
    struct buf traced; /* the token whose claim was reported for traces */
    int64_t traced_at_ms;
} fixture;

/* ---- the ledger, the dispatch and the workers of this test ---- */

static void forget_claim(void)
{
    command_free(fixture.claimed.command);
    reply_to_fini(&fixture.claimed.reply_to);
    buf_fini(&fixture.claimed.audit);
    fixture.claimed = (struct claimed){0};
}

static void forget_post(void)
{
    json_free(fixture.posted.body);
    buf_fini(&fixture.posted.bytes);
    buf_fini(&fixture.posted.audit);
    fixture.posted = (struct posted){0};
}

void traces_stored(struct traces *traces, struct slice token, int64_t received_at_ms)
{
    (void)traces;
    buf_clear(&fixture.traced);
    buf_append(&fixture.traced, token);
    fixture.traced_at_ms = received_at_ms;
}

void ledger_claim(struct ledger *ledger, struct ledger_claim *claim_take, ledger_claimed_fn *done,
                  void *arg)
{
    (void)ledger;
    if (fixture.has_first && fixture.claim_count == 1) {
        fixture.first = fixture.claimed;
        fixture.claimed = (struct claimed){0};
    }
    forget_claim();
    fixture.claimed = (struct claimed){.command = claim_take->command,
                                       .reply_to = claim_take->reply_to,
                                       .unless_found = claim_take->unless_found,
                                       .has_unless_message = claim_take->unless_message[0] != '\0',
                                       .wants_accepted = claim_take->wants_accepted,
                                       .is_called_at_once = claim_take->is_called_at_once,
                                       .audit = claim_take->audit,
                                       .done = done,
                                       .arg = arg};
    fixture.claim_count++;
}

void ledger_post(struct ledger *ledger, struct slice message, bool is_dead_letter,
                 enum bridge_error refusal, struct buf *audit_take, ledger_done_fn *done, void *arg)
{
    struct json_fault fault;
    (void)ledger;
    forget_post();
    fixture.posted.audit = *audit_take;
    *audit_take = (struct buf){0};
    buf_append(&fixture.posted.bytes, message);
    assert_int_equal(message_decode(buf_slice(&fixture.posted.bytes), &fixture.posted.message),
                     STATUS_OK);
    fixture.posted.body = json_parse(fixture.posted.message.body, 8, &fault);
    assert_non_null(fixture.posted.body);
    fixture.posted.is_dead_letter = is_dead_letter;
    fixture.posted.refusal = refusal;
    fixture.posted.done = done;
    fixture.posted.arg = arg;
    fixture.post_count++;
}

void ledger_begin_together(struct ledger *ledger)
{
    (void)ledger;
    fixture.is_together = true;
}

void ledger_end_together(struct ledger *ledger)
{
    (void)ledger;
    assert_true(fixture.is_together);
    fixture.is_together = false;
}

static char group_of_test;

struct dispatch_reservation dispatch_reserve(struct dispatch *dispatch,
                                             const struct command *command)
{
    (void)dispatch;
    (void)command;
    fixture.reserve_count++;
    return (struct dispatch_reservation){(struct group *)&group_of_test, fixture.is_slot_free};
}

void dispatch_release(struct dispatch *dispatch, struct dispatch_reservation reservation)
{
    (void)dispatch;
    assert_ptr_equal(reservation.group, &group_of_test);
    fixture.release_count++;
}

void dispatch_claimed(struct dispatch *dispatch, struct dispatch_reservation reservation,
                      struct command *command_take)
{
    (void)dispatch;
    assert_ptr_equal(reservation.group, &group_of_test);
    fixture.dispatched_count++;
    fixture.was_called_at_once = reservation.is_called_at_once;
    command_free(command_take);
}

bool outbox_is_full(struct outbox *outbox)
{
    (void)outbox;
    return fixture.is_outbox_full;
}

void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable)
{
    (void)workers;
    fixture.ack_count++;
    fixture.acked = ticket;
    fixture.is_durable = is_durable;
}

/* ---- steps of a test ---- */

static const struct mqtt_ticket TICKET = {.generation = 7};

/* Delivers the payload; the rest of the delivery is fixture.delivery. */
static void deliver(const char *payload)
{
    fixture.delivery.payload = slice_text(payload);
    fixture.delivery.payload_bytes = strlen(payload);
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
}

static void answer_claim(enum status status, enum claim_result result)
{
    ledger_claimed_fn *done = fixture.claimed.done;
    assert_non_null(done);
    fixture.claimed.done = NULL; /* the answer may bring the next claim */
    struct command *command = NULL;
    if (status == STATUS_OK && (result == CLAIM_NEW || result == CLAIM_AGAIN)) {
        command = fixture.claimed.command;
        fixture.claimed.command = NULL;
    }
    done(fixture.claimed.arg, status, result, command);
}

static void answer_post(enum status status)
{
    assert_non_null(fixture.posted.done);
    fixture.posted.done(fixture.posted.arg, status);
    fixture.posted.done = NULL;
}

static void assert_acked(bool is_durable)
{
    assert_int_equal(fixture.ack_count, 1);
    assert_int_equal(fixture.acked.generation, TICKET.generation);
    assert_int_equal(fixture.is_durable, is_durable);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_NOT_TAKEN), is_durable ? 0 : 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_TAKING), 0);
}

static void assert_slice(struct slice slice, const char *text)
{
    char *copy = mem_dup(slice.data == NULL ? "" : slice.data, slice.length);
    assert_string_equal(copy, text);
    free(copy);
}

static void assert_field(const char *name, const char *text)
{
    assert_slice(json_text(json_member(fixture.posted.body, name)), text);
}

/* A refusal with this code is in the outbox, and nothing was claimed. */
static void assert_refused(const char *code, const char *topic)
{
    assert_int_equal(fixture.post_count, 1);
    assert_int_equal(fixture.claim_count, 0);
    assert_slice(fixture.posted.message.topic, topic);
    assert_slice(json_text(json_member(json_member(fixture.posted.body, "Error"), "Code")), code);
    assert_string_equal(bridge_error_row(fixture.posted.refusal)->code, code);
}

/* ... as a reply. */
static void assert_answered(const char *code, const char *topic)
{
    assert_refused(code, topic);
    assert_false(fixture.posted.is_dead_letter);
    assert_field("Status", "failed");
}

/* ... as a dead letter. */
static void assert_dead_letter(const char *code, const char *topic)
{
    assert_refused(code, topic);
    assert_true(fixture.posted.is_dead_letter);
    assert_null(json_member(fixture.posted.body, "Status"));
}

static int set_up(void **state)
{
    static char *topics[] = {"commands/start", "commands/+/start"};
    static char *answers[] = {"answers/#"};
    static char *regions[] = {"cn-*"};
    static char *groups[] = {"pg-*"};
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.route = (struct route){.name = "start",
                                   .action = "StartDiskReplicaGroup",
                                   .topics = {topics, 2},
                                   .qos = 1,
                                   .reply_topic = "replies/{ClientToken}",
                                   .response_topics = {answers, 1},
                                   .regions = {regions, 1},
                                   .groups = {groups, 1}};
    fixture.settings.instance = "i-1";
    fixture.settings.audit.file = "";
    fixture.settings.topics.dead_letters = "dead/{Instance}/{Route}";
    fixture.settings.limits.payload_bytes = 1024;
    fixture.settings.limits.reply_topic_bytes = 64;
    fixture.settings.limits.correlation_bytes = 8;
    fixture.settings.limits.deadline_s = 300;
    fixture.settings.replies.qos = 1;
    fixture.settings.replies.expiry_s = 3600;
    fixture.settings.routes = &fixture.route;
    fixture.settings.route_count = 1;
    fixture.delivery =
        (struct delivery){.topic = slice_text("commands/start"), .qos = 1, .expiry_s = -1};
    fixture.intake = intake_new(&fixture.settings, &fixture.counters, NULL, NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    intake_free(fixture.intake);
    forget_claim();
    forget_post();
    buf_fini(&fixture.traced);
    return 0;
}

/* ---- tests ---- */

static void test_a_command_is_acknowledged_when_its_claim_is_durable(void **state)
{
    (void)state;
    deliver(COMMAND);
    assert_int_equal(fixture.claim_count, 1);
    assert_string_equal(fixture.claimed.command->token, "t-1");
    assert_string_equal(fixture.claimed.command->region, "cn-a");
    assert_string_equal(fixture.claimed.command->group, "pg-1");
    assert_ptr_equal(fixture.claimed.command->route, &fixture.route);
    assert_int_equal(fixture.claimed.unless_found, ERROR_NONE);
    assert_int_equal(fixture.ack_count, 0);
    answer_claim(STATUS_OK, CLAIM_NEW);
    assert_acked(true);
    assert_int_equal(fixture.post_count, 0);
}

static void test_whatever_the_ledger_finds_is_acknowledged_once_stored(void **state)
{
    (void)state;
    for (int result = CLAIM_NEW; result <= CLAIM_REFUSED; result++) {
        fixture.ack_count = 0;
        deliver(COMMAND);
        answer_claim(STATUS_OK, (enum claim_result)result);
        assert_acked(true);
    }
}

static void test_a_new_command_goes_to_dispatch_with_its_reservation(void **state)
{
    (void)state;
    for (int is_slot_free = 0; is_slot_free <= 1; is_slot_free++) {
        fixture.is_slot_free = is_slot_free;
        deliver(COMMAND);
        assert_int_equal(fixture.claimed.is_called_at_once, is_slot_free);
        answer_claim(STATUS_OK, is_slot_free ? CLAIM_AGAIN : CLAIM_NEW);
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
        deliver(COMMAND);
        answer_claim(STATUS_OK, NOT_OURS[i]);
        assert_int_equal(fixture.release_count, i + 1);
    }
    deliver(COMMAND);
    answer_claim(STATUS_STORE, CLAIM_NEW);
    assert_int_equal(fixture.release_count, 5);
    assert_int_equal(fixture.reserve_count, 5);
    assert_int_equal(fixture.dispatched_count, 0);
}

static void test_nothing_is_reserved_for_a_command_that_may_not_begin(void **state)
{
    (void)state;
    fixture.is_slot_free = true;
    fixture.delivery.expiry_s = 0;
    deliver(COMMAND);
    assert_false(fixture.claimed.is_called_at_once);
    answer_claim(STATUS_OK, CLAIM_REFUSED);
    deliver("{}");
    answer_post(STATUS_OK);
    assert_int_equal(fixture.reserve_count, 0);
    assert_int_equal(fixture.release_count, 0);
}

static void test_a_claim_that_cannot_be_stored_is_not_acknowledged(void **state)
{
    (void)state;
    deliver(COMMAND);
    answer_claim(STATUS_STORE, CLAIM_NEW);
    assert_acked(false);
}

static void test_a_refusal_that_cannot_be_stored_is_not_acknowledged(void **state)
{
    (void)state;
    deliver("{}");
    answer_post(STATUS_STORE);
    assert_acked(false);
}

static void test_nothing_is_acknowledged_while_the_outbox_is_full(void **state)
{
    (void)state;
    fixture.is_outbox_full = true;
    for (uint8_t qos = 0; qos <= 1; qos++) {
        fixture.ack_count = 0;
        counter_set(&fixture.counters, COUNTER_NOT_TAKEN, 0);
        fixture.delivery.qos = qos;
        deliver(COMMAND);
        assert_acked(false);
    }
    assert_int_equal(fixture.claim_count + fixture.post_count, 0);
    fixture.is_outbox_full = false;
    fixture.ack_count = 0;
    counter_set(&fixture.counters, COUNTER_NOT_TAKEN, 0);
    deliver(COMMAND);
    answer_claim(STATUS_OK, CLAIM_NEW);
    assert_acked(true);
}

static void test_a_payload_that_a_former_limit_has_cut_is_not_acknowledged(void **state)
{
    (void)state;
    fixture.delivery.payload = slice_of(COMMAND, 10);
    fixture.delivery.payload_bytes = strlen(COMMAND);
    fixture.delivery.qos = 1;
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
    assert_acked(false);
    assert_int_equal(fixture.claim_count + fixture.post_count, 0);
    /* With QoS 0 it does not come again. */
    fixture.delivery.qos = 0;
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
    assert_int_equal(fixture.post_count, 1);
    answer_post(STATUS_OK);
}

static void test_a_claim_is_traced_when_it_is_durable(void **state)
{
    (void)state;
    deliver(COMMAND);
    int64_t received_at_ms = fixture.claimed.command->received_at_ms;
    assert_int_equal(fixture.traced.length, 0);
    answer_claim(STATUS_OK, CLAIM_NEW);
    assert_string_equal(fixture.traced.data, "t-1");
    assert_int_equal(fixture.traced_at_ms, received_at_ms);
}

static void test_a_claim_that_is_not_stored_is_not_traced(void **state)
{
    (void)state;
    deliver(COMMAND);
    answer_claim(STATUS_STORE, CLAIM_NEW);
    assert_acked(false);
    assert_int_equal(fixture.traced.length, 0);
}

static void test_the_reply_to_goes_with_the_claim(void **state)
{
    (void)state;
    fixture.route.has_accepted_reply = true;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture.delivery.correlation_data = slice_of("a\0b", 3);
    fixture.delivery.traceparent = slice_text("00-trace");
    deliver(COMMAND);
    assert_string_equal(fixture.claimed.reply_to.topic, "answers/me");
    assert_int_equal(fixture.claimed.reply_to.correlation_data_bytes, 3);
    assert_memory_equal(fixture.claimed.reply_to.correlation_data, "a\0b", 3);
    assert_string_equal(fixture.claimed.reply_to.traceparent, "00-trace");
    assert_true(fixture.claimed.wants_accepted);
}

static void test_a_claim_without_reply_topic_gets_the_topic_of_its_route(void **state)
{
    (void)state;
    deliver(COMMAND);
    assert_string_equal(fixture.claimed.reply_to.topic, "replies/t-1");
    assert_false(fixture.claimed.wants_accepted);
}

static void test_a_made_token_is_the_same_for_the_same_correlation_data_only(void **state)
{
    (void)state;
    char first[65];
    deliver(COMMAND_WITHOUT_TOKEN);
    strcpy(first, fixture.claimed.command->token);
    assert_int_equal(strlen(first), 64);
    assert_memory_equal(fixture.claimed.reply_to.topic, "replies/", 8);
    assert_string_equal(fixture.claimed.reply_to.topic + 8, first);
    deliver(COMMAND_WITHOUT_TOKEN);
    assert_string_not_equal(fixture.claimed.command->token, first);
    fixture.delivery.correlation_data = slice_text("c-1");
    deliver(COMMAND_WITHOUT_TOKEN);
    strcpy(first, fixture.claimed.command->token);
    deliver(COMMAND_WITHOUT_TOKEN);
    assert_string_equal(fixture.claimed.command->token, first);
}

static void test_a_refusal_goes_to_the_response_topic(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture.delivery.correlation_data = slice_text("c-1");
    deliver("no JSON");
    assert_answered("Bridge.MalformedPayload", "answers/me");
    assert_slice(fixture.posted.message.correlation_data, "c-1");
    assert_int_equal(fixture.posted.message.qos, 1);
    assert_int_equal(fixture.posted.message.expiry_s, 3600);
    assert_int_equal(fixture.ack_count, 0);
    answer_post(STATUS_OK);
    assert_acked(true);
}

static void test_a_refusal_goes_to_a_readable_reply_to(void **state)
{
    (void)state;
    deliver("{\"RegionId\":\"cn-a\",\"Typo\":1,\"ReplyTo\":\"answers/b\",\"CorrelationId\":\"x\"}");
    assert_answered("Bridge.UnknownParameter", "answers/b");
    assert_field("CorrelationId", "x");
    assert_field("RegionId", "cn-a");
}

static void test_a_refusal_without_reply_topic_goes_to_the_topic_of_its_route(void **state)
{
    (void)state;
    deliver("{\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\"}");
    assert_answered("Bridge.MissingParameter", "replies/t-1");
    assert_field("ClientToken", "t-1");
}

static void test_a_refusal_without_reply_topic_is_a_dead_letter(void **state)
{
    (void)state;
    deliver("no JSON");
    assert_dead_letter("Bridge.MalformedPayload", "dead/i-1/start");
    assert_field("Route", "start");
    assert_field("Topic", "commands/start");
    assert_field("Payload", "bm8gSlNPTg==");
    answer_post(STATUS_OK);
    assert_acked(true);
}

static void test_a_message_no_route_lists_is_a_dead_letter(void **state)
{
    (void)state;
    fixture.delivery.topic = slice_text("elsewhere");
    fixture.delivery.response_topic = slice_text("answers/me");
    deliver(COMMAND);
    assert_dead_letter("Bridge.NotAllowed", "dead/i-1/none");
    assert_null(json_member(fixture.posted.body, "Route"));
}

static void test_a_reply_topic_that_is_not_allowed_is_refused_at_the_topic_of_the_route(
    void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("commands/start");
    deliver(COMMAND);
    assert_answered("Bridge.ReplyTopicNotAllowed", "replies/t-1");
}

static void test_correlation_data_over_the_limit_is_refused_at_the_response_topic(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("answers/me");
    fixture.delivery.correlation_data = slice_text("123456789");
    deliver(COMMAND);
    assert_answered("Bridge.InvalidParameter", "answers/me");
    assert_false(slice_is_present(fixture.posted.message.correlation_data));
}

static void test_a_reply_to_over_the_limit_is_refused_at_the_topic_of_the_route(void **state)
{
    (void)state;
    deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\","
            "\"ReplyTo\":\"answers/0123456789012345678901234567890123456789012345678901234567\"}");
    assert_answered("Bridge.ReplyTopicNotAllowed", "replies/t-1");
}

static void test_a_reply_to_with_a_wildcard_is_not_allowed(void **state)
{
    (void)state;
    deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\","
            "\"ReplyTo\":\"answers/+\"}");
    assert_answered("Bridge.ReplyTopicNotAllowed", "replies/t-1");
}

static void test_a_group_that_is_not_allowed_is_refused_before_its_reply_topic(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("commands/start");
    deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"other\",\"ClientToken\":\"t-1\"}");
    assert_answered("Bridge.NotAllowed", "replies/t-1");
}

static void test_an_unreadable_command_with_a_forbidden_reply_topic_is_a_dead_letter(void **state)
{
    (void)state;
    fixture.delivery.response_topic = slice_text("commands/start");
    deliver("no JSON");
    assert_dead_letter("Bridge.MalformedPayload", "dead/i-1/start");
}

static void test_a_refused_command_is_given_no_token(void **state)
{
    (void)state;
    static const char FORBIDDEN[] = "{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"other\"}";
    deliver(FORBIDDEN);
    assert_dead_letter("Bridge.NotAllowed", "dead/i-1/start");
    fixture.post_count = 0;
    fixture.delivery.response_topic = slice_text("answers/me");
    deliver(FORBIDDEN);
    assert_answered("Bridge.NotAllowed", "answers/me");
    assert_null(json_member(fixture.posted.body, "ClientToken"));
    fixture.post_count = 0;
    fixture.delivery.response_topic = slice_text("commands/start");
    deliver(COMMAND_WITHOUT_TOKEN);
    assert_dead_letter("Bridge.ReplyTopicNotAllowed", "dead/i-1/start");
}

static void test_a_retained_message_is_refused(void **state)
{
    (void)state;
    fixture.delivery.is_retained = true;
    deliver(COMMAND);
    assert_answered("Bridge.Retained", "replies/t-1");
}

static void test_a_payload_over_the_limit_is_refused_by_its_whole_size(void **state)
{
    (void)state;
    fixture.delivery.payload = slice_text(COMMAND);
    fixture.delivery.payload_bytes = 1025;
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
    assert_dead_letter("Bridge.PayloadTooLarge", "dead/i-1/start");
}

static void test_an_expired_command_is_refused_unless_its_token_is_known(void **state)
{
    (void)state;
    deliver("{\"RegionId\":\"cn-a\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\","
            "\"NotAfter\":\"2020-01-01T00:00:00Z\"}");
    assert_int_equal(fixture.claim_count, 1);
    assert_int_equal(fixture.claimed.unless_found, ERROR_EXPIRED);
    assert_true(fixture.claimed.has_unless_message);
    fixture.delivery.expiry_s = 0;
    deliver(COMMAND);
    assert_int_equal(fixture.claimed.unless_found, ERROR_EXPIRED);
    fixture.delivery.expiry_s = 60;
    deliver(COMMAND);
    assert_int_equal(fixture.claimed.unless_found, ERROR_NONE);
}

static void test_a_stopped_intake_does_not_acknowledge_what_the_broker_sends_again(void **state)
{
    (void)state;
    intake_stop(fixture.intake);
    deliver(COMMAND);
    assert_int_equal(fixture.claim_count, 0);
    assert_acked(false);
    deliver("no JSON");
    assert_int_equal(fixture.post_count, 0);
    assert_int_equal(fixture.ack_count, 2);
    assert_false(fixture.is_durable);
}

static void test_a_stopped_intake_answers_what_the_broker_will_not_send_again(void **state)
{
    (void)state;
    intake_stop(fixture.intake);
    fixture.delivery.qos = 0;
    deliver(COMMAND);
    assert_int_equal(fixture.claimed.unless_found, ERROR_SHUTTING_DOWN);
    assert_true(fixture.claimed.has_unless_message);
    answer_claim(STATUS_OK, CLAIM_REFUSED);
    assert_acked(true);
    fixture.claim_count = 0;
    deliver("no JSON");
    assert_dead_letter("Bridge.MalformedPayload", "dead/i-1/start");
}

static void test_a_claim_on_its_way_is_acknowledged_after_the_stop(void **state)
{
    (void)state;
    deliver(COMMAND);
    intake_stop(fixture.intake);
    answer_claim(STATUS_OK, CLAIM_NEW);
    assert_acked(true);
}

static void test_deliveries_side_by_side_get_their_own_acks(void **state)
{
    (void)state;
    const struct mqtt_ticket other = {.generation = 2};
    deliver(COMMAND);
    ledger_claimed_fn *done = fixture.claimed.done;
    void *arg = fixture.claimed.arg;
    fixture.delivery.payload = slice_text("no JSON");
    fixture.delivery.payload_bytes = fixture.delivery.payload.length;
    intake_deliver(fixture.intake, &fixture.delivery, other);
    answer_post(STATUS_OK);
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
    deliver("{\"c\":[{\"w\":\"y\",\"g\":\"pg-1\",\"t\":\"t-1\"},{\"w\":\"n\"},"
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
    answer_claim(STATUS_OK, CLAIM_NEW);
    assert_int_equal(fixture.ack_count, 0);
    answer_first(&first, STATUS_OK);
    assert_acked(true);
}

static void test_a_message_of_which_a_command_is_not_stored_is_not_acknowledged(void **state)
{
    struct claimed first;
    (void)state;
    deliver_two(&first);
    answer_first(&first, STATUS_STORE);
    assert_int_equal(fixture.ack_count, 0);
    answer_claim(STATUS_OK, CLAIM_NEW);
    assert_acked(false);
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
    deliver("{}");
    assert_acked(true);
    assert_int_equal(fixture.claim_count + fixture.post_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_FILTERED), 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_RECEIVED), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
