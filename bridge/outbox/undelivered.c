#include "undelivered.h"

#include "base/clock.h"
#include "model/reply.h"
#include "model/topic.h"

#define BODY_DEPTH_MAX 16

/* {Route} in the topic of the dead letter: a message does not say which route it belongs to. */
#define NO_ROUTE "none"

void undelivered_init(struct undelivered *undelivered, struct slice bytes)
{
    struct json_fault fault;
    *undelivered = (struct undelivered){0};
    if (message_decode(bytes, &undelivered->message) == STATUS_OK) {
        undelivered->body = json_parse(undelivered->message.body, BODY_DEPTH_MAX, &fault);
        undelivered->token = json_text(json_member(undelivered->body, "ClientToken"));
    }
}

void undelivered_fini(struct undelivered *undelivered)
{
    json_free(undelivered->body);
}

void undelivered_put_letter(const struct undelivered *undelivered, const struct settings *settings,
                            const char *why, struct buf *out)
{
    const struct message *message = &undelivered->message;
    const struct topic_values values = {.instance = settings->instance, .route = NO_ROUTE};
    struct buf topic = {0};
    if (slice_is_present(message->topic) && !message->is_dead_letter && !message->is_event &&
        topic_expand(settings->topics.dead_letters, &values, &topic) == STATUS_OK) {
        reply_render_undelivered(message, why, topic.data, clock_wall_ms(),
                                 (uint8_t)settings->replies.qos, out);
    }
    buf_fini(&topic);
}
