/*
 * ledger_fixture - a real ledger on a real loop and a SQLite file, whose every callback becomes a
 * line:
 *
 *   claimed TOKEN STATE      a claim's end or hooks.resumed gave a command, held by the fixture
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
#ifndef SUPPORT_LEDGER_FIXTURE_H
#define SUPPORT_LEDGER_FIXTURE_H

#include "ledger/ledger.h"

#define FIXTURE_HELD_MAX 1024

struct fixture {
    struct loop *loop;
    struct ledger *ledger;
    struct counters counters;
    struct route route;
    struct ledger_options options; /* a test may change them and open again */
    char *folder;
    char *store;            /* "sqlite:FOLDER/ledger.db" */
    bool is_called_at_once; /* of the claims from now on */
    struct buf log;
    size_t line_count;
    size_t awaited_count;
    struct loop_timer *guard;
    struct command *held[FIXTURE_HELD_MAX];
    size_t held_count;
    int64_t last_message_id;
    struct buf last_body;    /* of the last reply posted or found */
    struct buf last_trouble; /* what hooks.health said */
};

/* cmocka's setup and teardown; *state is the fixture, its ledger started. The teardown fails where
 * a line was not expected. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Open and start; close, with what is in the queue committed. Held commands are freed. */
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture, int64_t timeout_ms);
void fixture_open_again(struct fixture *fixture);

/* Runs the loop until as many lines have come as `lines` has; these must be they. */
void fixture_expect(struct fixture *fixture, const char *lines);
/* Runs the loop until the thread has reported all that was asked so far. */
void fixture_settle(struct fixture *fixture);

/* A claim for a group of its own, answered to "replies/TOKEN". */
void fixture_claim(struct fixture *fixture, const char *token);
/* The same, but for what is given; NULL and ERROR_NONE leave the default. */
struct fixture_claim {
    const char *token;
    const char *group;
    const char *topic;
    const char *correlation_id;
    bool one_shot;
    bool wants_accepted;
    enum bridge_error unless_found;
};
void fixture_claim_as(struct fixture *fixture, const struct fixture_claim *claim);

/* The held command with that token; it must be there. */
struct command *fixture_command(struct fixture *fixture, const char *token);
void fixture_begin(struct fixture *fixture, const char *token);
void fixture_pause(struct fixture *fixture, const char *token, enum move move);
/* Finishes the held command. */
void fixture_finish(struct fixture *fixture, const char *token, const struct outcome *outcome);
void fixture_succeed(struct fixture *fixture, const char *token);
void fixture_fail(struct fixture *fixture, const char *token, enum retention retention);
void fixture_post(struct fixture *fixture, const char *bytes, bool is_dead_letter);
void fixture_read(struct fixture *fixture, int64_t from_id, size_t limit);

int64_t fixture_counter(struct fixture *fixture, enum counter counter);
/* Runs the loop until the counter has come to the value. */
void fixture_await(struct fixture *fixture, enum counter counter, int64_t value);

#endif
