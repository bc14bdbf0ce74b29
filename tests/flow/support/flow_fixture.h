/*
 * flow_fixture - what a flow test stands on: a broker, the far side, bridges, and a sender.
 *
 * A program of tests has one fixture. The tests share its broker, its simulator and, where they
 * want the same settings, its bridge; names are unique, so they do not meet. After a failed test
 * everything but the broker's and the simulator's processes is made anew. All is on 127.0.0.1 and
 * in a directory that goes with the fixture.
 */
#ifndef FLOW_FIXTURE_H
#define FLOW_FIXTURE_H

#include "flow_bridge.h"
#include "flow_broker.h"
#include "flow_check.h"
#include "flow_client.h"
#include "flow_message.h"
#include "flow_process.h"
#include "flow_simulator.h"

#include <stdbool.h>
#include <stddef.h>

#define FLOW_COMMANDS     "ecs-bridge/v1/commands/start"
#define FLOW_REPLIES      "ecs-bridge/v1/replies/"
#define FLOW_DEAD_LETTERS "ecs-bridge/v1/dead-letters"

struct fixture {
    char directory[96];
    struct broker broker;
    struct simulator simulator;
    struct client *sender;  /* MQTT 5; subscribed to replies, dead letters and status */
    struct bridge *bridges; /* all of the running test */
    struct bridge *shared;  /* the one fixture_bridge() gave, or NULL */
    char **texts;           /* of the running test */
    size_t text_count;
    int bridge_number;
    bool is_dirty; /* a test failed since */
};

typedef void flow_test_fn(struct fixture *fixture);

struct flow_test {
    const char *name;
    flow_test_fn *run;
};

#define FLOW_TEST(function) \
    {                       \
#function, function \
    }

/*
 * The main of a program of tests; `broker_extra` goes to the broker's configuration. An argument is
 * a pattern of test names. Returns the exit code.
 */
int flow_main(const char *name, const struct flow_test *tests, size_t count,
              const char *broker_extra, int argc, char **argv);

/*
 * A bridge that is online with these settings (see flow_settings.h) on top of the tests' own, ""
 * for none: the one of the test before where it had the same, else a new one with an empty ledger.
 */
struct bridge *fixture_bridge(struct fixture *fixture, const char *overrides);
/* A bridge of the test's own, not started. Each has an `instance`, so a session at the broker, of
 * its own. */
struct bridge *fixture_bridge_new(struct fixture *fixture, const char *overrides);
/* The same, and no other runs. */
struct bridge *fixture_bridge_alone(struct fixture *fixture, const char *overrides);
/* A new sender in place of the old, for after the broker was away. */
void fixture_renew_sender(struct fixture *fixture);

/* A text that lives as long as the running test. */
const char *fixture_format(struct fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A name nobody else has: `prefix` and a number. */
const char *fixture_name(struct fixture *fixture, const char *prefix);
/* A command as JSON; `extra` is more fields, beginning with a comma, or "". */
const char *fixture_command(struct fixture *fixture, const char *token, const char *group,
                            const char *extra);
/* Publishes a command with no MQTT 5 property. */
void fixture_send(struct fixture *fixture, const char *payload);
/* Sends fixture_command() and waits for the reply on the default reply topic. */
const struct message *fixture_ask(struct fixture *fixture, const char *token, const char *group,
                                  const char *extra);
/* Waits for the reply on the default reply topic of a token. */
const struct message *fixture_expect_reply(struct fixture *fixture, const char *token);
/*
 * Nothing that matches has come when a command sent now has been answered. What a command posts
 * before that one arrives goes out before its answer.
 */
void fixture_expect_nothing(struct fixture *fixture, const struct match *match);

/* Checks of a reply. */
void check_succeeded(const struct message *reply);
/* `status` is failed or unknown. */
void check_error(const struct message *reply, const char *status, const char *code,
                 const char *category, bool is_retryable);
void check_text(const struct message *reply, const char *path, const char *value);

#endif
