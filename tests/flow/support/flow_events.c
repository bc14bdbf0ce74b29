#include "flow_events.h"

#include <string.h>

struct bridge *events_begin(struct fixture *fixture, const char *settings)
{
    struct bridge *bridge = fixture_bridge(fixture, settings);
    client_subscribe(fixture->sender, EVENTS_TOPIC "#");
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":%d}", EVENTS_SYNC_MS);
    return bridge;
}

void events_end_copies(const struct fixture *fixture)
{
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}",
                    EVENTS_SYNC_MS - 500);
}

void events_set_status(struct fixture *fixture, const char *group, const char *status)
{
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\"}",
                    group, status);
}

const struct message *events_expect(struct fixture *fixture, const char *token, const char *group,
                                    const char *name, int seq, bool is_final)
{
    const char *topic = fixture_format(fixture, EVENTS_TOPIC "%s", group);
    const struct message *event =
        client_expect(fixture->sender, &(struct match){.topic = topic, .token = token});
    if (strcmp(json_text(event->json, "Event"), name) != 0) {
        flow_fail("not %s: %s", name, event->payload);
    }
    assert_int_equal((int)json_number(event->json, "Seq"), seq);
    assert_int_equal(json_is_true(event->json, "Final"), is_final);
    assert_string_equal(message_user(event, "event"), name);
    assert_string_equal(message_user(event, "final"), is_final ? "true" : "false");
    return event;
}
