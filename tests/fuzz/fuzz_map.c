/*
 * The input is a Content Type, a line end, the value of a user property, a line end and a payload.
 * Routes of all kinds read it. Each command keeps the rules of strict commands, elements are in
 * their order, and the number of commands is limited.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "intake/command_map.h"
#include "model/region.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define ONE_SHOT PARAMETER_StartDiskReplicaGroup_OneShot

static struct text_pair pairs[] = {{"d-1", "pg-a"}, {"d-2", "pg-b"}};
static struct text_table table = {"group_of_disk", {pairs, 2}};
static const struct text_tables tables = {&table, 1};

static char *firing[] = {"firing"};
static char *groups[] = {"pg-*"};
static char *test[] = {"test*"};
static struct route_condition of_alerts[] = {
    {"{/status}", {firing, 1}, {0}},
    {"{^/group|@tenant|=none}", {0}, {test, 1}},
};
static struct route_condition of_events[] = {{"{group_of_disk:/resourceId}", {groups, 1}, {0}}};

static const struct route routes[] = {
    {
        .name = "alerts",
        .action = "StartDiskReplicaGroup",
        .input = "json",
        .each = "/alerts",
        .when = {of_alerts, 2},
        .map = {.region = "{/labels/region|^/region|=cn-beijing}",
                .group = "{/labels/group}",
                .token = "am:{/fingerprint}:{/startsAt}",
                .not_after = "{/endsAt}",
                .correlation_id = "{#2}",
                .parameters = {[ONE_SHOT] = "{/once|=true}"}},
    },
    {
        .name = "events",
        .action = "StartDiskReplicaGroup",
        .input = "cloudevents",
        .each = "",
        .when = {of_events, 1},
        .map = {.region = "{@region|/region}", .group = "{group_of_disk:/resourceId}"},
        .default_region = "cn-beijing",
    },
    {
        .name = "plain",
        .action = "StartDiskReplicaGroup",
        .input = "json",
        .each = "",
        .map = {.region = "{/region}", .group = "{/group}", .token = "{/id}"},
        .default_group = "pg-default",
    },
};

static const struct command_limits limits = {.payload_bytes = 16384, .commands_per_message = 8};

static void check_text(struct slice text, size_t bytes_max)
{
    assert(text.length > 0 && text.length <= bytes_max && utf8_is_printable_ascii(text));
}

static void check_message(const struct route *route, const struct mapped_message *message)
{
    bool has_elements = route->each[0] != '\0';
    size_t next = 0;
    assert(message->count + message->filtered_count <=
           (has_elements ? limits.commands_per_message : 1));
    for (size_t i = 0; i < message->count; i++) {
        const struct mapped_command *command = &message->commands[i];
        if (command->element != NO_ELEMENT) {
            assert(has_elements && command->element >= next);
            next = command->element + 1;
        }
        if (command->refusal.error != ERROR_NONE) {
            assert(command->refusal.message[0] != '\0');
            continue;
        }
        assert(has_elements == (command->element != NO_ELEMENT));
        check_text(command->request.region, REGION_BYTES_MAX);
        check_text(command->request.group, COMMAND_GROUP_BYTES_MAX);
        check_text(command->request.token, COMMAND_TOKEN_BYTES_MAX);
        assert(command->request.correlation_id.length <= COMMAND_CORRELATION_BYTES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const required[] = {"specversion", "id", "source", "type"};
    struct slice rest = slice_of(data, size);
    struct slice type;
    struct slice property;
    struct buf properties = {0};
    if (!slice_take_line(&rest, &type) || !slice_take_line(&rest, &property)) {
        return 0;
    }
    delivery_put_property(&properties, slice_text("tenant"), property);
    for (size_t i = 0; property.length > 0 && i < sizeof required / sizeof required[0]; i++) {
        delivery_put_property(&properties, slice_text(required[i]), property);
    }
    struct delivery delivery = {
        .topic = slice_text("alerts/disk"),
        .payload = rest,
        .payload_bytes = rest.length,
        .expiry_s = -1,
        .content_type = type.length == 0 ? (struct slice){0} : type,
        .properties = buf_slice(&properties),
    };
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        struct mapped_message message;
        struct command_map *map = command_map_new(&routes[i], &tables);
        command_map_read(map, &delivery, &limits, &message);
        check_message(&routes[i], &message);
        mapped_message_fini(&message);
        command_map_free(map);
    }
    buf_fini(&properties);
    return 0;
}
