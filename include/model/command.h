/*
 * command - what a sender wants started, read strictly from a delivery, and where its answer goes.
 *
 * Reading goes on after the first fault, so that a refusal can still reach the place the sender
 * named.
 *
 * Thread: any; pure but for random tokens.
 */
#ifndef MODEL_COMMAND_H
#define MODEL_COMMAND_H

#include "action.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/slice.h"
#include "base/status.h"
#include "delivery.h"
#include "outcome.h"
#include "route.h"
#include "state.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_TOKEN_BYTES_MAX       64
#define COMMAND_GROUP_BYTES_MAX       128
#define COMMAND_CORRELATION_BYTES_MAX 256
#define COMMAND_TRACE_BYTES_MAX       512
/* A command is flat; what nests a little is refused as a field of the wrong type, by name. */
#define COMMAND_JSON_DEPTH_MAX 16

/* A command the bridge owns, from claim to outcome. One heap object: free with command_free(). */
struct command {
    int64_t id;                /* the ledger's; 0 before the claim */
    enum state state;          /* the ledger's */
    const struct route *route; /* NULL where the settings no longer have it */
    const struct action *action;
    const char *region;
    const char *group;
    const char *token;
    const char *params; /* canonical, see action.h */
    /* SHA-256 over Action, RegionId, ReplicaGroupId, each with its length, and the parameters as
     * the action's row says. */
    uint8_t fingerprint[DIGEST_SHA256_BYTES];
    int64_t received_at_ms; /* wall clock */
    int64_t deadline_at_ms; /* wall clock: the first of NotAfter, Message Expiry and
                               limits.deadline_s */
    uint32_t attempts;      /* begun since the command was claimed */
    int64_t not_before_ms;  /* wall clock: the next attempt waits until then; 0 for none */
    uint32_t crashes;       /* of the bridge during a call, in a row: crash_limit.h */
};

/* What a sender asked besides: where and with what its reply goes. Owns its strings. */
struct reply_to {
    char *topic; /* the reply topic, expanded and allowed; NULL: only a dead letter is possible */
    char *correlation_data; /* NULL for none */
    size_t correlation_data_bytes;
    char *correlation_id; /* NULL for none */
    char *traceparent;
    char *tracestate;
    bool has_body_trace; /* the trace came in the body and goes back there */
};

/* A refusal on the way: which error, and a message that names the field, the limit and the length,
 * never a value. */
struct refusal {
    enum bridge_error error;
    char message[256];
};

/* A delivery as read. Slices point into `document` and the delivery. */
struct request {
    struct json *document;
    struct slice region; /* present and valid, or absent; defaults of the route are filled in */
    struct slice group;
    struct slice token; /* usable, or absent */
    struct slice reply_to;
    struct slice correlation_id;
    struct slice traceparent;
    struct slice tracestate;
    bool has_body_trace;
    struct buf params; /* canonical, without those at fault; empty where the payload is at fault */
    int64_t not_after_ms; /* wall clock, INT64_MAX for none */
};

struct command_limits {
    size_t payload_bytes;
    int64_t deadline_s;
};

/* Whether the route lets this region and group be started; STATUS_INVALID with Bridge.NotAllowed.
 */
enum status request_authorise(const struct route *route, const struct request *request,
                              struct refusal *out_refusal);

/*
 * Where the answer goes: Response Topic, else ReplyTo, else the route's reply topic with `token`.
 * STATUS_INVALID with Bridge.ReplyTopicNotAllowed where the sender's place is not allowed;
 * *out_reply_to then holds the route's own place (or none where `token` is absent). Never leaves
 * *out_reply_to unset.
 */
enum status reply_to_resolve(const struct route *route, const char *instance,
                             const struct delivery *delivery, const struct request *request,
                             struct slice token, struct reply_to *out_reply_to,
                             struct refusal *out_refusal);
void reply_to_fini(struct reply_to *reply_to);

/* The token the bridge gives a command without one: derived where there is Correlation Data, else
 * random. 64 hex digits. */
void command_make_token(const struct route *route, const struct delivery *delivery,
                        const struct request *request, char out[DIGEST_SHA256_HEX_BYTES]);
/* A valid request as a command with this token. Times are wall clock. */
struct command *command_new(const struct route *route, const struct request *request,
                            const struct delivery *delivery, struct slice token,
                            const struct command_limits *limits, int64_t now_ms);
/* A command as the ledger knows it; strings are copied. `params` is canonical. */
struct command *command_of_record(const struct route *route, const struct action *action,
                                  struct slice region, struct slice group, struct slice token,
                                  struct slice params);
void command_free(struct command *command);

#endif
