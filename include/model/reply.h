/*
 * reply - the messages a sender gets: replies and dead letters, in the form of the wire contract.
 *
 * Thread: any; pure. Results are encoded messages (message.h), ready for the outbox.
 */
#ifndef MODEL_REPLY_H
#define MODEL_REPLY_H

#include "base/buf.h"
#include "command.h"
#include "delivery.h"
#include "message.h"
#include "outcome.h"

#include <stdbool.h>
#include <stdint.h>

/* The contents of a reply; absent slices are left out. */
struct reply {
    const char *status; /* "succeeded", "failed", "unknown", "accepted" */
    struct slice action;
    struct slice region;
    struct slice group;
    struct slice params; /* canonical, see action.h; its members become the reply's own */
    struct slice token;
    struct slice request_id;
    bool is_replayed;
    bool is_coalesced; /* the success is that of an earlier command */
    uint32_t attempts;
    int64_t received_at_ms;
    int64_t completed_at_ms; /* 0: left out (an accepted command is not complete) */
    struct slice error;      /* the Error object as JSON */
    struct slice observed;   /* the Observed object as JSON */
    struct slice code;       /* its Code, for the user property; absent for none */
};

struct reply_settings {
    uint8_t qos;
    int64_t expiry_s;
};

/* Appends the encoded reply for one reply_to, whose topic is set. */
void reply_render(const struct reply *reply, const struct reply_to *reply_to, int64_t now_ms,
                  const struct reply_settings *settings, struct buf *out);
/* The refusal, at once, of a request that was never claimed. */
void reply_render_refusal(const struct refusal *refusal, const struct route *route,
                          const struct request *request, struct slice token,
                          const struct reply_to *reply_to, int64_t now_ms,
                          const struct reply_settings *settings, struct buf *out);
/* A command that cannot be answered, with at most 4 KiB of its payload. `route` may be NULL. */
void reply_render_dead_letter(const struct refusal *refusal, const struct route *route,
                              const struct delivery *delivery, const char *topic,
                              int64_t received_at_ms, uint8_t qos, struct buf *out);
/* A dead letter about a reply that could not be delivered: its Topic and Payload are the reply's,
 * its ReceivedAt is when the reply was made. `why` is one sentence. */
void reply_render_undelivered(const struct message *reply, const char *why, const char *topic,
                              int64_t now_ms, uint8_t qos, struct buf *out);

#endif
