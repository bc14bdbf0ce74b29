/*
 * Any bytes are a delivery: an encoded one if they parse, else a payload. The result is a command
 * that keeps all rules, or a refusal; every message that may answer it can be published.
 */
#include "base/json.h"
#include "base/utf8.h"
#include "intake/command_read.h"
#include "model/command.h"
#include "model/message.h"
#include "model/region.h"
#include "model/reply.h"
#include "model/topic.h"

#include <assert.h>

#define NOW_MS INT64_C(1767323045123)

static char *places[] = {"replies/#", "+/inbox"};
static char *regions[] = {"cn-*", "*-1"};
static char *groups[] = {"pg-*"};

static const struct command_limits limits = {.payload_bytes = 16384,
                                             .reply_topic_bytes = 1024,
                                             .correlation_bytes = 1024,
                                             .deadline_s = 300};
static const struct reply_settings settings = {.qos = 1, .expiry_s = 3600};

static const struct route routes[] = {
    {
        .name = "start",
        .action = "StartDiskReplicaGroup",
        .reply_topic = "replies/{ClientToken}",
        .response_topics = {places, 2},
        .regions = {regions, 2},
        .groups = {groups, 1},
    },
    {
        .name = "defaults",
        .action = "StartDiskReplicaGroup",
        .needs_client_token = true,
        .reply_topic = "{RegionId}/{ReplicaGroupId}/{ClientToken}",
        .response_topics = {places, 2},
        .default_region = "cn-beijing",
        .default_group = "pg-1",
        .parameter_defaults = {[PARAMETER_StartDiskReplicaGroup_OneShot] = {true, true}},
    },
};

static void check_text(struct slice text, size_t bytes_max)
{
    assert(text.length <= bytes_max);
    for (size_t i = 0; i < text.length; i++) {
        assert(text.data[i] >= 0x20 && text.data[i] <= 0x7e);
    }
    assert(!slice_is_present(text) || text.length > 0);
}

static void check_request(const struct request *request)
{
    check_text(request->region, REGION_BYTES_MAX);
    check_text(request->group, COMMAND_GROUP_BYTES_MAX);
    check_text(request->token, COMMAND_TOKEN_BYTES_MAX);
    assert(request->correlation_id.length <= COMMAND_CORRELATION_BYTES_MAX);
    assert(utf8_is_mqtt_text(request->traceparent) && utf8_is_mqtt_text(request->tracestate));
    assert(request->traceparent.length <= COMMAND_TRACE_BYTES_MAX);
    assert(request->tracestate.length <= COMMAND_TRACE_BYTES_MAX);
}

/* The message decodes, its body is JSON, and a broker would accept its strings. */
static void check_message(struct buf *bytes)
{
    struct message message;
    struct json_fault fault;
    assert(message_decode(buf_slice(bytes), &message) == STATUS_OK);
    assert(topic_is_name(message.topic));
    struct json *body = json_parse(message.body, 4, &fault);
    assert(body != NULL);
    for (size_t i = 0; i < message.property_count; i++) {
        assert(utf8_is_mqtt_text(message.properties[i].value));
    }
    json_free(body);
    buf_fini(bytes);
}

static void check_refusal(const struct route *route, const struct delivery *delivery,
                          const struct request *request, const struct reply_to *reply_to,
                          const struct refusal *refusal)
{
    assert(refusal->error > ERROR_NONE && refusal->error < ERROR_COUNT);
    assert(memchr(refusal->message, '\0', sizeof refusal->message) != NULL);
    assert(utf8_is_mqtt_text(slice_text(refusal->message)));
    struct buf bytes = {0};
    reply_render_dead_letter(refusal, route, delivery, "dead", NOW_MS, 1, &bytes);
    /* A NUL in the topic cannot be read back; everything else can. */
    if (delivery->topic.length == 0 ||
        memchr(delivery->topic.data, '\0', delivery->topic.length) == NULL) {
        check_message(&bytes);
    }
    buf_fini(&bytes);
    if (reply_to->topic != NULL) {
        reply_render_refusal(refusal, route, request, request->token, reply_to, NOW_MS, &settings,
                             &bytes);
        check_message(&bytes);
    }
}

static void check_command(const struct route *route, const struct delivery *delivery,
                          const struct request *request)
{
    char made[DIGEST_SHA256_HEX_BYTES];
    struct slice token = request->token;
    if (!slice_is_present(token)) {
        command_make_token(route, delivery, request, made);
        token = slice_text(made);
    }
    struct command *command = command_new(route, request, delivery, token, &limits, NOW_MS);
    assert(command->deadline_at_ms <= NOW_MS + 300000);
    assert(slice_equals_text(request->region, command->region));
    assert(slice_equals_text(request->group, command->group));
    assert(slice_equals_text(token, command->token));
    struct refusal refusal;
    if (request_authorise(route, request, &refusal) == STATUS_INVALID) {
        assert(refusal.error == ERROR_NOT_ALLOWED);
    }
    command_free(command);
}

static void check_on(const struct route *route, const struct delivery *delivery)
{
    struct request request;
    struct refusal refusal = {.error = ERROR_NONE};
    struct refusal place = {.error = ERROR_NONE};
    struct reply_to reply_to;
    enum status read = request_read(route, delivery, &limits, &request, &refusal);
    check_request(&request);
    enum status placed = reply_to_resolve(route, "edge", &limits, delivery, &request, request.token,
                                          &reply_to, &place);
    assert(reply_to.topic == NULL || topic_is_name(slice_text(reply_to.topic)));
    if (read != STATUS_OK) {
        check_refusal(route, delivery, &request, &reply_to, &refusal);
    } else {
        assert(!delivery->is_retained && delivery->payload_bytes <= limits.payload_bytes);
        check_command(route, delivery, &request);
    }
    if (placed != STATUS_OK) {
        check_refusal(route, delivery, &request, &reply_to, &place);
    }
    reply_to_fini(&reply_to);
    request_fini(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct delivery delivery;
    if (delivery_decode(bytes, &delivery) != STATUS_OK) {
        delivery = (struct delivery){.topic = slice_text("commands/start"),
                                     .payload = bytes,
                                     .payload_bytes = size,
                                     .expiry_s = -1};
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        check_on(&routes[i], &delivery);
    }
    return 0;
}
