/*
 * flow_fixture - the environment of a flow test: a broker, the API simulator, bridges, and a
 * sender.
 *
 * A test program has one fixture. Its tests share the broker, the simulator and, with the same
 * settings, the bridge; names are unique, so the tests do not disturb each other. After a failed
 * test everything except the processes of broker and simulator is made again. Everything is on
 * 127.0.0.1 and in a directory that is removed with the fixture.
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
    struct bridge *bridges; /* the bridges of the running test */
    struct bridge *shared;  /* the one that fixture_bridge() returned, or NULL */
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
 * The main function of a test program. `broker_extra` is added to the broker's configuration. A
 * program argument is a pattern of test names. Returns the exit code.
 */
int flow_main(const char *name, const struct flow_test *tests, size_t count,
              const char *broker_extra, int argc, char **argv);

/*
 * A bridge that is online with these settings (see flow_settings.h) in addition to the defaults of
 * the tests, "" for none. It is the bridge of the previous test if that had the same settings, else
 * a new one with an empty ledger.
 */
struct bridge *fixture_bridge(struct fixture *fixture, const char *overrides);
/* A new bridge for this test, not started. Each has its own `instance`, and so its own session at
 * the broker. */
struct bridge *fixture_bridge_new(struct fixture *fixture, const char *overrides);
/* The same, and stops all others. */
struct bridge *fixture_bridge_alone(struct fixture *fixture, const char *overrides);
/* Replaces the settings of a bridge; it reads them when it starts or reloads. */
void fixture_set(struct bridge *bridge, const char *overrides);
/* Replaces the sender, for use after the broker was down. */
void fixture_renew_sender(struct fixture *fixture);

/* A text that lives as long as the running test. */
const char *fixture_format(struct fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A unique name: `prefix` and a number. */
const char *fixture_name(struct fixture *fixture, const char *prefix);
/* A command as JSON; `extra` holds more fields and begins with a comma, or is "". */
const char *fixture_command(struct fixture *fixture, const char *token, const char *group,
                            const char *extra);
/* Publishes a command with no MQTT 5 property. */
void fixture_send(struct fixture *fixture, const char *payload);
/* Sends a command whose call the API does not answer, and waits until it is being called.
 * simulator_clear() drops the call. */
void fixture_send_hanging(struct fixture *fixture, const char *token, const char *group);
/* Sends fixture_command() and returns the reply on the default reply topic. */
const struct message *fixture_request(struct fixture *fixture, const char *token, const char *group,
                                      const char *extra);
/* Waits for the reply on the default reply topic of a token. */
const struct message *fixture_expect_reply(struct fixture *fixture, const char *token);
/*
 * Sends a command and checks that nothing matches when its reply has arrived: messages that were
 * posted earlier are published before that reply.
 */
void fixture_expect_nothing(struct fixture *fixture, const struct match *match);
/*
 * Checks of a bridge that has left and ended that it got nothing published meanwhile, and works
 * when it is started again without it being a lost session. Stops it.
 */
void fixture_check_has_left(struct fixture *fixture, struct bridge *bridge);

/* Checks of a reply. */
void check_succeeded(const struct message *reply);
/* `status` is "failed" or "unknown". */
void check_error(const struct message *reply, const char *status, const char *code,
                 const char *category, bool is_retryable);
void check_text(const struct message *reply, const char *path, const char *value);

#endif
