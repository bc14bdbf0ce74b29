#include "check_sample.h"

#include "base/json.h"
#include "intake/command_map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define READ_BYTES 65536

/* Reads the whole file; false with errno. */
static bool read_payload(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t got;
    do {
        got = fread(buf_reserve(out, READ_BYTES), 1, READ_BYTES, file);
        out->length += got;
    } while (got > 0);
    bool is_read = ferror(file) == 0;
    fclose(file);
    return is_read;
}

static void put_item(const struct route *route, struct mapped_command *item, struct buf *out)
{
    const struct request *request = &item->request;
    if (item->refusal.error == ERROR_NONE) {
        (void)request_authorise(route, request, &item->refusal);
    }
    json_put_open(out, '{');
    if (item->element != NO_ELEMENT) {
        json_put_int(out, "Element", (int64_t)item->element);
    }
    json_put_text(out, "Action", slice_text(route->action));
    json_put_text_if(out, "RegionId", request->region);
    json_put_text_if(out, "ReplicaGroupId", request->group);
    action_params_put(out, buf_slice(&request->params));
    json_put_text_if(out, "ClientToken", request->token);
    json_put_text_if(out, "CorrelationId", request->correlation_id);
    if (request->not_after_ms != INT64_MAX) {
        json_put_time(out, "NotAfter", request->not_after_ms);
    }
    if (item->refusal.error != ERROR_NONE) {
        json_put_text(out, "Refused", slice_text(bridge_error_row(item->refusal.error)->code));
        json_put_text(out, "Message", slice_text(item->refusal.message));
    }
    json_put_close(out, '}');
    buf_append_char(out, '\n');
}

/* Returns EX_CONFIG if something is refused. */
static int print_message(const struct route *route, struct mapped_message *message)
{
    struct buf out = {0};
    int code = EX_OK;
    for (size_t i = 0; i < message->count; i++) {
        put_item(route, &message->commands[i], &out);
        code = message->commands[i].refusal.error != ERROR_NONE ? EX_CONFIG : code;
    }
    buf_printf(&out, "filtered: %zu\n", message->filtered_count);
    fwrite(out.data, 1, out.length, stdout);
    buf_fini(&out);
    return code;
}

/* False: a text is not NAME=VALUE. */
static bool put_properties(const struct cli_texts *texts, struct buf *out)
{
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i];
        const char *end = strchr(text, '=');
        if (end == NULL || end == text) {
            return false;
        }
        delivery_put_property(out, slice_of(text, (size_t)(end - text)), slice_text(end + 1));
    }
    return texts->count <= DELIVERY_PROPERTIES_MAX;
}

static int print_sample(const struct settings *settings, const struct route *route,
                        const struct delivery *delivery)
{
    const struct command_limits limits = {
        .payload_bytes = (size_t)settings->limits.payload_bytes,
        .reply_topic_bytes = (size_t)settings->limits.reply_topic_bytes,
        .correlation_bytes = (size_t)settings->limits.correlation_bytes,
        .deadline_s = settings->limits.deadline_s,
        .commands_per_message = (size_t)settings->limits.commands_per_message,
    };
    struct command_map *map = command_map_new(route, &settings->tables);
    struct mapped_message message;
    command_map_read(map, delivery, &limits, &message);
    int code = print_message(route, &message);
    mapped_message_fini(&message);
    command_map_free(map);
    return code;
}

int check_sample(const struct settings *settings, const struct sample *sample)
{
    const struct route *route =
        sample->route == NULL
            ? NULL
            : route_of_name(settings->routes, settings->route_count, sample->route);
    struct buf payload = {0};
    struct buf properties = {0};
    int code = EX_USAGE;
    if (route == NULL) {
        cli_wrong_call("check", "--sample needs --route with the name of a route");
    } else if (!put_properties(&sample->properties, &properties)) {
        cli_wrong_call("check", "--property is NAME=VALUE, at most 32 times");
    } else if (!read_payload(sample->path, &payload)) {
        fprintf(stderr, "%s: %s\n", sample->path, strerror(errno));
        code = EX_NOINPUT;
    } else {
        const char *topic = sample->topic != NULL ? sample->topic : route->topics.items[0];
        const struct delivery delivery = {
            .topic = slice_text(topic),
            .payload = slice_of(payload.data == NULL ? "" : payload.data, payload.length),
            .payload_bytes = payload.length,
            .qos = 1,
            .expiry_s = -1,
            .content_type = slice_text(sample->content_type),
            .properties = properties.length > 0 ? buf_slice(&properties) : (struct slice){0},
        };
        code = print_sample(settings, route, &delivery);
    }
    buf_fini(&payload);
    buf_fini(&properties);
    return code;
}
