/*
 * intake_fixture - intake with a ledger, a dispatch and workers that only record what they are
 * asked: the test gives the ledger's answers.
 */
#ifndef SUPPORT_FAKES_INTAKE_FIXTURE_H
#define SUPPORT_FAKES_INTAKE_FIXTURE_H

#include "base/json.h"
#include "intake/intake.h"
#include "model/message.h"

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

static const struct mqtt_ticket TICKET = {.generation = 7};

/* One for the whole program. */
extern struct intake_fixture {
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

/* Delivers the payload; the rest of the delivery is fixture.delivery. */
void fixture_deliver(const char *payload);
void fixture_answer_claim(enum status status, enum claim_result result);
void fixture_answer_post(enum status status);
void fixture_assert_acked(bool is_durable);
void fixture_assert_slice(struct slice slice, const char *text);
void fixture_assert_field(const char *name, const char *text);
/* ... as a reply. */
void fixture_assert_answered(const char *code, const char *topic);
/* ... as a dead letter. */
void fixture_assert_dead_letter(const char *code, const char *topic);
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

#endif
