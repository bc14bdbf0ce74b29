#include "model/reply.h"

#include "base/json.h"
#include "base/utf8.h"
#include "model/message.h"
#include "model/topic.h"

#include <assert.h>
#include <stdio.h>

#define DEAD_LETTER_PAYLOAD_BYTES 4096

/* Left out where the value is no MQTT string: a broker would close the connection. */
static void add_property(struct message *message, const char *name, struct slice value)
{
    if (value.length <= TOPIC_BYTES_MAX && utf8_is_mqtt_text(value)) {
        message_add_property(message, name, value);
    }
}

/* Elements count from 0, as in a JSON Pointer. */
static void put_element_if(struct buf *out, int64_t element_place)
{
    if (element_place > 0) {
        json_put_int(out, "Element", element_place - 1);
    }
}

static void put_body(struct buf *out, const struct reply *reply, const struct reply_to *reply_to)
{
    json_put_open(out, '{');
    json_put_text(out, "Status", slice_text(reply->status));
    json_put_text_if(out, "Action", reply->action);
    json_put_text_if(out, "RegionId", reply->region);
    json_put_text_if(out, "ReplicaGroupId", reply->group);
    action_params_put(out, reply->params);
    json_put_text_if(out, "ClientToken", reply->token);
    json_put_text_if(out, "RequestId", reply->request_id);
    json_put_bool(out, "Replayed", reply->is_replayed);
    json_put_int(out, "Attempts", reply->attempts);
    if (reply->is_coalesced) {
        json_put_bool(out, "Coalesced", true);
    }
    json_put_time(out, "ReceivedAt", reply->received_at_ms);
    json_put_time_if(out, "CompletedAt", reply->completed_at_ms);
    put_element_if(out, reply_to->element_place);
    json_put_text_if(out, "CorrelationId", slice_text(reply_to->correlation_id));
    if (reply_to->has_body_trace) {
        json_put_text_if(out, "traceparent", slice_text(reply_to->traceparent));
        json_put_text_if(out, "tracestate", slice_text(reply_to->tracestate));
    }
    if (slice_is_present(reply->error)) {
        json_put_raw(out, "Error", reply->error);
    }
    if (slice_is_present(reply->observed)) {
        json_put_raw(out, "Observed", reply->observed);
    }
    json_put_close(out, '}');
}

void reply_render(const struct reply *reply, const struct reply_to *reply_to, int64_t now_ms,
                  const struct reply_settings *settings, struct buf *out)
{
    assert(reply_to->topic != NULL);
    struct buf body = {0};
    put_body(&body, reply, reply_to);
    struct message message = {
        .topic = slice_text(reply_to->topic),
        .body = buf_slice(&body),
        .qos = settings->qos,
        .is_json = true,
        .expiry_s = settings->expiry_s,
        .made_at_ms = now_ms,
    };
    if (reply_to->correlation_data != NULL) {
        message.correlation_data =
            slice_of(reply_to->correlation_data, reply_to->correlation_data_bytes);
    }
    add_property(&message, "status", slice_text(reply->status));
    add_property(&message, "code", reply->code);
    add_property(&message, "replayed", slice_text(reply->is_replayed ? "true" : "false"));
    add_property(&message, "traceparent", slice_text(reply_to->traceparent));
    add_property(&message, "tracestate", slice_text(reply_to->tracestate));
    message_encode(&message, out);
    buf_fini(&body);
}

static void put_refusal(struct buf *out, const struct refusal *refusal)
{
    struct outcome outcome;
    outcome_of_error(&outcome, refusal->error, refusal->message);
    outcome_put_error(&outcome, out);
    outcome_fini(&outcome);
}

void reply_render_refusal(const struct refusal *refusal, const struct route *route,
                          const struct request *request, struct slice token,
                          const struct reply_to *reply_to, int64_t now_ms,
                          const struct reply_settings *settings, struct buf *out)
{
    struct buf error = {0};
    put_refusal(&error, refusal);
    struct reply reply = {
        .status = outcome_status_text(OUTCOME_FAILED),
        .action = slice_text(route->action),
        .region = request->region,
        .group = request->group,
        .params = buf_slice(&request->params),
        .token = token,
        .received_at_ms = now_ms,
        .completed_at_ms = now_ms,
        .error = buf_slice(&error),
        .code = slice_text(bridge_error_row(refusal->error)->code),
    };
    reply_render(&reply, reply_to, now_ms, settings, out);
    buf_fini(&error);
}

static void render_dead_letter(const struct refusal *refusal, const struct route *route,
                               const struct delivery *delivery, const char *topic,
                               int64_t received_at_ms, int64_t now_ms, uint8_t qos, struct buf *out)
{
    size_t shown_bytes = delivery->payload.length < DEAD_LETTER_PAYLOAD_BYTES
                             ? delivery->payload.length
                             : DEAD_LETTER_PAYLOAD_BYTES;
    struct buf payload = {0};
    struct buf body = {0};
    digest_base64(slice_of(delivery->payload.data, shown_bytes), &payload);
    json_put_open(&body, '{');
    json_put_name(&body, "Error");
    put_refusal(&body, refusal);
    json_put_text_if(&body, "Route", slice_text(route == NULL ? NULL : route->name));
    put_element_if(&body, refusal->element_place);
    json_put_text(&body, "Topic", delivery->topic);
    json_put_text(&body, "Payload", buf_slice(&payload));
    json_put_int(&body, "PayloadBytes", (int64_t)delivery->payload_bytes);
    json_put_time(&body, "ReceivedAt", received_at_ms);
    json_put_close(&body, '}');
    struct message message = {
        .topic = slice_text(topic),
        .body = buf_slice(&body),
        .qos = qos,
        .is_json = true,
        .expiry_s = -1,
        .made_at_ms = now_ms,
        .is_dead_letter = true,
    };
    /* What became of the command stands in the reply that was not delivered. */
    if (refusal->error != ERROR_REPLY_UNDELIVERED) {
        add_property(&message, "status",
                     slice_text(outcome_status_text(bridge_error_status(refusal->error))));
    }
    add_property(&message, "code", slice_text(bridge_error_row(refusal->error)->code));
    message_encode(&message, out);
    buf_fini(&payload);
    buf_fini(&body);
}

void reply_render_dead_letter(const struct refusal *refusal, const struct route *route,
                              const struct delivery *delivery, const char *topic,
                              int64_t received_at_ms, uint8_t qos, struct buf *out)
{
    render_dead_letter(refusal, route, delivery, topic, received_at_ms, received_at_ms, qos, out);
}

void reply_render_undelivered(const struct message *reply, const char *why, const char *topic,
                              int64_t now_ms, uint8_t qos, struct buf *out)
{
    struct refusal refusal = {.error = ERROR_REPLY_UNDELIVERED};
    snprintf(refusal.message, sizeof refusal.message, "%s", why);
    const struct delivery delivery = {
        .topic = reply->topic, .payload = reply->body, .payload_bytes = reply->body.length};
    int64_t made_at_ms = reply->made_at_ms > 0 ? reply->made_at_ms : now_ms;
    render_dead_letter(&refusal, NULL, &delivery, topic, made_at_ms, now_ms, qos, out);
}
