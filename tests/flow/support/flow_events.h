/*
 * flow_events - a bridge that watches, groups whose copies take as long as the test wants, and the
 * events about them.
 */
#ifndef FLOW_EVENTS_H
#define FLOW_EVENTS_H

#include "flow_fixture.h"

#include <stdbool.h>

#define EVENTS_TOPIC    "ecs-bridge/v1/events/"
#define EVENTS_SETTINGS "routes.watch = \"until_done\"; watch.poll_min_s = 1; watch.poll_max_s = 2;"
#define EVENTS_SYNC_MS  600000

/* A bridge with these settings, as fixture_bridge(); the sender gets the events, and copies take
 * EVENTS_SYNC_MS. The test ends with simulator_reset(). */
struct bridge *events_begin(struct fixture *fixture, const char *settings);
/* The copies under way end half a second from now. */
void events_end_copies(const struct fixture *fixture);
void events_set_status(struct fixture *fixture, const char *group, const char *status);
/* The next event of the command: it has this name and Seq. */
const struct message *events_expect(struct fixture *fixture, const char *token, const char *group,
                                    const char *name, int seq, bool is_final);

#endif
