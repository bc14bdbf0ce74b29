#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "intake_fixture.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct intake_fixture fixture;

static char group_of_test;

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

void fixture_deliver(const char *payload)
{
    fixture.delivery.payload = slice_text(payload);
    fixture.delivery.payload_bytes = strlen(payload);
    intake_deliver(fixture.intake, &fixture.delivery, TICKET);
}

void fixture_answer_claim(enum status status, enum claim_result result)
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

void fixture_answer_post(enum status status)
{
    assert_non_null(fixture.posted.done);
    fixture.posted.done(fixture.posted.arg, status);
    fixture.posted.done = NULL;
}

void fixture_assert_acked(bool is_durable)
{
    assert_int_equal(fixture.ack_count, 1);
    assert_int_equal(fixture.acked.generation, TICKET.generation);
    assert_int_equal(fixture.is_durable, is_durable);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_NOT_TAKEN), is_durable ? 0 : 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_TAKING), 0);
}

void fixture_assert_slice(struct slice slice, const char *text)
{
    char *copy = mem_dup(slice.data == NULL ? "" : slice.data, slice.length);
    assert_string_equal(copy, text);
    free(copy);
}

void fixture_assert_field(const char *name, const char *text)
{
    fixture_assert_slice(json_text(json_member(fixture.posted.body, name)), text);
}

/* A refusal with this code is in the outbox, and nothing was claimed. */
static void assert_refused(const char *code, const char *topic)
{
    assert_int_equal(fixture.post_count, 1);
    assert_int_equal(fixture.claim_count, 0);
    fixture_assert_slice(fixture.posted.message.topic, topic);
    fixture_assert_slice(json_text(json_member(json_member(fixture.posted.body, "Error"), "Code")),
                         code);
    assert_string_equal(bridge_error_row(fixture.posted.refusal)->code, code);
}

void fixture_assert_answered(const char *code, const char *topic)
{
    assert_refused(code, topic);
    assert_false(fixture.posted.is_dead_letter);
    fixture_assert_field("Status", "failed");
}

void fixture_assert_dead_letter(const char *code, const char *topic)
{
    assert_refused(code, topic);
    assert_true(fixture.posted.is_dead_letter);
    assert_null(json_member(fixture.posted.body, "Status"));
}

int fixture_set_up(void **state)
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

int fixture_tear_down(void **state)
{
    (void)state;
    intake_free(fixture.intake);
    forget_claim();
    forget_post();
    buf_fini(&fixture.traced);
    return 0;
}
