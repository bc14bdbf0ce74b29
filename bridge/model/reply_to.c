#include "model/command.h"

#include "base/mem.h"
#include "model/topic.h"

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

enum status reply_to_resolve(const struct route *route, const char *instance,
                             const struct delivery *delivery, const struct request *request,
                             struct slice token, struct reply_to *out_reply_to,
                             struct refusal *out_refusal)
{
    bool has_response_topic = slice_is_present(delivery->response_topic);
    struct slice wanted = has_response_topic ? delivery->response_topic : request->reply_to;
    bool is_wanted = slice_is_present(wanted);
    bool is_allowed = is_wanted && route_allows_reply_topic(route, wanted);
    *out_reply_to = (struct reply_to){
        .topic = is_allowed ? dup_if(wanted) : own_topic(route, instance, request, token),
        .correlation_data = dup_if(delivery->correlation_data),
        .correlation_data_bytes = delivery->correlation_data.length,
        .correlation_id = dup_if(request->correlation_id),
        .traceparent = dup_if(request->traceparent),
        .tracestate = dup_if(request->tracestate),
        .has_body_trace = request->has_body_trace,
    };
    if (is_allowed || !is_wanted) {
        return STATUS_OK;
    }
    out_refusal->error = ERROR_REPLY_TOPIC_NOT_ALLOWED;
    snprintf(out_refusal->message, sizeof out_refusal->message,
             "The %s of %zu bytes is not allowed by the route's response_topics.",
             has_response_topic ? "Response Topic" : "ReplyTo", wanted.length);
    return STATUS_INVALID;
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
