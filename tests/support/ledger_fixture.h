/*
 * ledger_fixture - a real ledger on a real loop and a SQLite file, or on the store that the
 * environment names (LEDGER_STORE, a server that tests/support/postgres runs). Each of its
 * callbacks adds a line:
 *
 *   claimed TOKEN STATE      the end of a claim, or hooks.resumed: a command for the fixture
 *   posted STATUS TOKEN[ CODE][ replayed] to TOPIC[ #CORRELATION_ID]
 *   posted BYTES             hooks.posted of another message than a reply
 *   failing / working        hooks.health
 *   done TOKEN RESULT        the end of a claim; "store": it was not stored
 *   begun TOKEN              the end of ledger_begin()
 *   kept / not kept          the end of ledger_post()
 *   read N                   the end of ledger_read_outbox(), after its messages as "found ..."
 *
 * A test makes requests and expects lines.
 */
#ifndef SUPPORT_LEDGER_FIXTURE_H
#define SUPPORT_LEDGER_FIXTURE_H

#include "ledger/ledger.h"
#include "ledger/store.h"
#include "ledger/view.h"

#define FIXTURE_HELD_MAX 1024

/* For the functions of view.h. */
#define SOURCE(name) (&(const struct ledger_source){.store = (name)})

struct fixture {
    struct loop *loop;
    struct ledger *ledger;
    struct counters counters;
    struct route route;
    struct ledger_options options; /* a test may change them and open again */
    char *folder;
    char *store;            /* "sqlite:FOLDER/ledger.db", or LEDGER_STORE */
    bool is_called_at_once; /* for the next claims */
    struct buf log;
    size_t line_count;
    size_t awaited_count;
    struct loop_timer *guard;
    struct command *held[FIXTURE_HELD_MAX];
    size_t held_count;
    int64_t last_message_id;
    int64_t audited_seq;     /* the last one reported */
    struct buf last_body;    /* of the last reply posted or found */
    struct buf last_trouble; /* the last reason of hooks.health */
};

/* cmocka's setup and teardown; *state is the fixture with a started ledger. The teardown fails if
 * there is a line that no test expected. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Whether the store is one that bridges share. */
bool fixture_is_shared(const struct fixture *fixture);
/* Opens the store of a fixture whose ledger is closed; the caller closes it. */
struct store *fixture_open_store(const struct fixture *fixture, const struct store_ops **out_ops);

/* Open and start the ledger; close it, which commits the queue and frees the fixture's commands. */
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture, int64_t timeout_ms);
void fixture_open_again(struct fixture *fixture);

/* Runs the loop until there are as many lines as in `lines`, and compares them. */
void fixture_expect(struct fixture *fixture, const char *lines);
/* Runs the loop until all requests so far are reported. */
void fixture_settle(struct fixture *fixture);

/* A claim for the group TOKEN, with the reply topic "replies/TOKEN". */
void fixture_claim(struct fixture *fixture, const char *token);
/* The same, except for the members that are set. */
struct fixture_claim {
    const char *token;
    const char *group;
    const char *topic;
    const char *correlation_id;
    bool one_shot;
    const struct action *action; /* one without parameters; NULL: StartDiskReplicaGroup */
    bool wants_accepted;
    enum bridge_error unless_found;
};
void fixture_claim_as(struct fixture *fixture, const struct fixture_claim *claim);

/* The fixture's command with that token; it must exist. */
struct command *fixture_command(struct fixture *fixture, const char *token);
void fixture_begin(struct fixture *fixture, const char *token);
void fixture_pause(struct fixture *fixture, const char *token, enum move move);
/* Finishes the command with that token. */
void fixture_finish(struct fixture *fixture, const char *token, const struct outcome *outcome);
void fixture_succeed(struct fixture *fixture, const char *token);
void fixture_fail(struct fixture *fixture, const char *token, enum retention retention);
void fixture_post(struct fixture *fixture, const char *bytes, bool is_dead_letter);
void fixture_read(struct fixture *fixture, int64_t from_id, size_t limit);

int64_t fixture_counter(struct fixture *fixture, enum counter counter);
/* Runs the loop until the counter has at least this value. */
void fixture_await(struct fixture *fixture, enum counter counter, int64_t value);

#endif
