/*
 * command - a command on its way: the request as read from a delivery, the command that the bridge
 * owns, and where its reply goes.
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
/* A command is flat. Some nesting is parsed, so that the refusal can name the field that has the
 * wrong type. */
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

/* Where a reply goes, and what of the command it carries back. Owns its strings. */
struct reply_to {
    char *topic; /* the reply topic, expanded and allowed; NULL: only a dead letter is possible */
    char *correlation_data; /* NULL for none */
    size_t correlation_data_bytes;
    char *correlation_id; /* NULL for none */
    char *traceparent;
    char *tracestate;
    bool has_body_trace;   /* the trace came in the body and goes back there */
    int64_t element_place; /* as that of the request */
};

/* Why a request is refused. The message names the field, the limit and the length, never a value.
 */
struct refusal {
    enum bridge_error error;
    int64_t element_place; /* as that of the request */
    char message[256];
};

/* A delivery as read. Slices point into `document` and the delivery. */
struct request {
    struct json *document;
    struct slice region; /* present and valid, or absent; defaults of the route are filled in */
    struct slice group;
    struct slice token; /* valid, or absent */
    struct slice reply_to;
    struct slice correlation_id;
    struct slice traceparent;
    struct slice tracestate;
    bool has_body_trace;
    /* The action's parameters, without those at fault; empty where the payload is at fault. */
    struct action_values parameters;
    struct buf params;     /* canonical */
    int64_t not_after_ms;  /* wall clock, INT64_MAX for none */
    int64_t element_place; /* of the message's element it was made of, from 1; 0: of none */
};

/* Of a reply topic that a sender names: mosquitto closes the connection of a client that publishes
 * to a topic of more than 200 levels. */
#define REPLY_TOPIC_LEVELS_MAX 32

struct command_limits {
    size_t payload_bytes;
    size_t reply_topic_bytes;
    size_t correlation_bytes;
    int64_t deadline_s;
    size_t commands_per_message;
};

/* Whether the route allows this region and group; STATUS_INVALID with Bridge.NotAllowed. */
enum status request_authorise(const struct route *route, const struct request *request,
                              struct refusal *out_refusal);

/*
 * Where the reply goes: Response Topic, else ReplyTo, else the route's reply topic with `token`.
 * STATUS_INVALID with Bridge.ReplyTopicNotAllowed where the route or the limits do not allow the
 * topic that the sender named; *out_reply_to then has the route's own reply topic (or none where
 * `token` is absent). STATUS_INVALID with Bridge.InvalidParameter where the Correlation Data is too
 * long; *out_reply_to then has none. *out_reply_to is set in every case; free it with
 * reply_to_fini().
 */
enum status reply_to_resolve(const struct route *route, const char *instance,
                             const struct command_limits *limits, const struct delivery *delivery,
                             const struct request *request, struct slice token,
                             struct reply_to *out_reply_to, struct refusal *out_refusal);
void reply_to_fini(struct reply_to *reply_to);

/* A token for a command that has none, 64 hex digits: derived from the command where it has
 * Correlation Data, so that the same message gets the same token again, or a copy mark; else
 * random. */
void command_make_token(const struct route *route, const struct delivery *delivery,
                        const struct request *request, char out[DIGEST_SHA256_HEX_BYTES]);
/* Makes a command of a valid request. Times are wall clock. Free it with command_free(). */
struct command *command_new(const struct route *route, const struct request *request,
                            const struct delivery *delivery, struct slice token,
                            const struct command_limits *limits, int64_t now_ms);
/* Makes a command of a ledger's record; strings are copied. `params` is canonical. */
struct command *command_of_record(const struct route *route, const struct action *action,
                                  struct slice region, struct slice group, struct slice token,
                                  struct slice params);
void command_free(struct command *command);

#endif
