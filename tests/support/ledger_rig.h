/*
 * ledger_rig - a real ledger on a real loop and a SQLite file, whose every callback becomes a line:
 *
 *   claimed TOKEN STATE      hooks.claimed; the command is held by the rig
 *   released TOKEN           hooks.release
 *   posted STATUS TOKEN[ CODE][ replayed] to TOPIC[ #CORRELATION_ID]
 *   posted BYTES             hooks.posted of what is no reply
 *   failing / working        hooks.health
 *   done TOKEN RESULT        a claim's end; "store" where it was not kept
 *   begun TOKEN              ledger_begin()'s end
 *   kept / not kept          ledger_post()'s end
 *   read N                   ledger_read_outbox()'s end; its messages come before it as "found ..."
 *
 * A test says what it wants and which lines follow.
 */
#ifndef SUPPORT_LEDGER_RIG_H
#define SUPPORT_LEDGER_RIG_H

#include "ledger/ledger.h"

#define RIG_HELD_MAX 1024

struct rig {
    struct loop *loop;
    struct ledger *ledger;
    struct counters counters;
    struct route route;
    struct ledger_options options; /* a test may change them and open again */
    char *folder;
    char *store; /* "sqlite:FOLDER/ledger.db" */
    bool may_reserve;
    size_t asked_count; /* hooks.reserve */
    struct buf log;
    size_t line_count;
    size_t awaited_count;
    struct loop_timer *guard;
    struct command *held[RIG_HELD_MAX];
    size_t held_count;
    int64_t last_message_id;
    struct buf last_body;    /* of the last reply posted or found */
    struct buf last_trouble; /* what hooks.health said */
};

/* cmocka's setup and teardown; *state is the rig, its ledger started. The teardown fails where a
 * line was not expected. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Open and start; close, with what is in the queue committed. Held commands are freed. */
void rig_open(struct rig *rig);
void rig_close(struct rig *rig, int64_t timeout_ms);
void rig_open_again(struct rig *rig);

/* Runs the loop until as many lines have come as `lines` has; these must be they. */
void rig_expect(struct rig *rig, const char *lines);
/* Runs the loop until the thread has reported all that was asked so far. */
void rig_settle(struct rig *rig);

/* A claim for a group of its own, answered to "replies/TOKEN". */
void rig_claim(struct rig *rig, const char *token);
/* The same, but for what is given; NULL and ERROR_NONE leave the default. */
struct rig_claim {
    const char *token;
    const char *group;
    const char *topic;
    const char *correlation_id;
    bool one_shot;
    bool wants_accepted;
    enum bridge_error unless_found;
};
void rig_claim_as(struct rig *rig, const struct rig_claim *claim);

/* The held command with that token; it must be there. */
struct command *rig_command(struct rig *rig, const char *token);
void rig_begin(struct rig *rig, const char *token);
void rig_pause(struct rig *rig, const char *token, enum move move);
/* Finishes the held command. */
void rig_finish(struct rig *rig, const char *token, const struct outcome *outcome);
void rig_succeed(struct rig *rig, const char *token);
void rig_fail(struct rig *rig, const char *token, enum keep keep);
void rig_post(struct rig *rig, const char *bytes, bool is_dead_letter);
void rig_read(struct rig *rig, int64_t from_id, size_t limit);

int64_t rig_counter(struct rig *rig, enum counter counter);
/* Runs the loop until the counter has come to the value. */
void rig_await(struct rig *rig, enum counter counter, int64_t value);

#endif
