#include "command_fixture.h"

#include "intake/command_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char *all[] = {"*"};

const struct command_limits command_fixture_limits = {.payload_bytes = 16384,
                                                      .reply_topic_bytes = 1024,
                                                      .correlation_bytes = 1024,
                                                      .deadline_s = 300,
                                                      .commands_per_message = 64};

struct route command_fixture_route(void)
{
    return (struct route){
        .name = "start",
        .action = "StartDiskReplicaGroup",
        .reply_topic = "replies/{ClientToken}",
        .response_topics = {all, 1},
        .regions = {all, 1},
        .groups = {all, 1},
    };
}

struct delivery command_fixture_delivery(const char *payload)
{
    return (struct delivery){
        .topic = slice_text("commands/start"),
        .payload = slice_text(payload),
        .payload_bytes = strlen(payload),
        .qos = 1,
        .expiry_s = -1,
    };
}

struct command_reading command_fixture_read(const struct route *route,
                                            const struct delivery *delivery)
{
    struct command_reading reading = {.refusal = {.error = ERROR_NONE}};
    reading.status =
        request_read(route, delivery, &command_fixture_limits, &reading.request, &reading.refusal);
    assert_int_equal(reading.status == STATUS_OK, reading.refusal.error == ERROR_NONE);
    return reading;
}
