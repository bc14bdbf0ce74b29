#include "model/command.h"

#include "base/mem.h"
#include "model/topic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char *dup_if(struct slice bytes)
{
    return slice_is_present(bytes) ? mem_dup(bytes.data, bytes.length) : NULL;
}

/* The route's own reply topic, or NULL where the template needs a value that is absent. */
static char *own_topic(const struct route *route, const char *instance,
                       const struct request *request, struct slice token)
{
    if (!slice_is_present(token)) {
        return NULL;
    }
    struct topic_values values = {
        .instance = instance,
        .route = route->name,
        .region = request->region,
        .group = request->group,
        .token = token,
    };
    struct buf topic = {0};
    if (topic_expand(route->reply_topic, &values, &topic) == STATUS_OK) {
        return buf_take(&topic);
    }
    buf_fini(&topic);
    return NULL;
}

static void refuse(struct refusal *out_refusal, enum bridge_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct refusal *out_refusal, enum bridge_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    out_refusal->error = error;
    vsnprintf(out_refusal->message, sizeof out_refusal->message, format, arguments);
    va_end(arguments);
}

/* Whether replies may go to the topic that the sender named in `field`. */
static bool is_topic_allowed(const struct route *route, const struct command_limits *limits,
                             const char *field, struct slice topic, struct refusal *out_refusal)
{
    if (topic.length > limits->reply_topic_bytes) {
        refuse(out_refusal, ERROR_REPLY_TOPIC_NOT_ALLOWED,
               "The %s has %zu bytes; limits.reply_topic_bytes is %zu.", field, topic.length,
               limits->reply_topic_bytes);
        return false;
    }
    if (topic_levels(topic) > REPLY_TOPIC_LEVELS_MAX) {
        refuse(out_refusal, ERROR_REPLY_TOPIC_NOT_ALLOWED,
               "The %s has %zu levels; a reply topic may have at most %d.", field,
               topic_levels(topic), REPLY_TOPIC_LEVELS_MAX);
        return false;
    }
    if (!route_allows_reply_topic(route, topic)) {
        refuse(out_refusal, ERROR_REPLY_TOPIC_NOT_ALLOWED,
               "The %s of %zu bytes is not allowed by the route's response_topics.", field,
               topic.length);
        return false;
    }
    return true;
}

enum status reply_to_resolve(const struct route *route, const char *instance,
                             const struct command_limits *limits, const struct delivery *delivery,
                             const struct request *request, struct slice token,
                             struct reply_to *out_reply_to, struct refusal *out_refusal)
{
    bool has_response_topic = slice_is_present(delivery->response_topic);
    struct slice wanted = has_response_topic ? delivery->response_topic : request->reply_to;
    bool is_wanted = slice_is_present(wanted);
    bool is_allowed =
        is_wanted &&
        is_topic_allowed(route, limits, has_response_topic ? "Response Topic" : "ReplyTo", wanted,
                         out_refusal);
    bool is_too_long = delivery->correlation_data.length > limits->correlation_bytes;
    struct slice correlation_data = is_too_long ? (struct slice){0} : delivery->correlation_data;
    *out_reply_to = (struct reply_to){
        .topic = is_allowed ? dup_if(wanted) : own_topic(route, instance, request, token),
        .correlation_data = dup_if(correlation_data),
        .correlation_data_bytes = correlation_data.length,
        .correlation_id = dup_if(request->correlation_id),
        .traceparent = dup_if(request->traceparent),
        .tracestate = dup_if(request->tracestate),
        .has_body_trace = request->has_body_trace,
        .element_place = request->element_place,
    };
    if (is_wanted && !is_allowed) {
        return STATUS_INVALID;
    }
    if (is_too_long) {
        refuse(out_refusal, ERROR_INVALID_PARAMETER,
               "The Correlation Data has %zu bytes; limits.correlation_bytes is %zu.",
               delivery->correlation_data.length, limits->correlation_bytes);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

void reply_to_fini(struct reply_to *reply_to)
{
    if (reply_to == NULL) {
        return;
    }
    free(reply_to->topic);
    free(reply_to->correlation_data);
    free(reply_to->correlation_id);
    free(reply_to->traceparent);
    free(reply_to->tracestate);
    *reply_to = (struct reply_to){0};
}
