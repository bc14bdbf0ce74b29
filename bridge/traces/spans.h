/*
 * spans - the trace of one reply, as spans in the JSON form of OTLP
 * (opentelemetry-proto/opentelemetry/proto/trace/v1/trace.proto).
 *
 *   receive   from the arrival of the command until the broker acknowledged this reply; its parent
 *             is the sender's span, the others are its children
 *   claim     until what the command became was durable
 *   call      an attempt of the API call, one span for each; only in the trace of the reply to the
 *             sender of the command, not in those of duplicates
 *   publish   from the reply being stored until the broker acknowledged it; another one for the
 *             early reply "accepted"
 *
 * Ids are digests of what they belong to, so a reply that is published again after a crash gives
 * the same spans again. A trace without a parent gets an id of its own.
 *
 * Thread: any; pure.
 */
#ifndef TRACES_SPANS_H
#define TRACES_SPANS_H

#include "base/buf.h"
#include "base/slice.h"
#include "ledger/record.h"
#include "stored_times.h"

#include <stddef.h>
#include <stdint.h>

/* A reply that the broker has acknowledged. */
struct spans_reply {
    const char *instance;
    int64_t id;                         /* in the outbox */
    struct slice message;               /* encoded, see model/message.h */
    int64_t acknowledged_at_ms;         /* wall clock */
    const struct ledger_record *record; /* of its token, with its history; NULL: there is none */
    const struct stored_times *stored;
};

/* The token of a reply, at most COMMAND_TOKEN_BYTES_MAX bytes; empty: it has none. */
void spans_token(struct slice message, struct buf *out);
/*
 * Appends the spans as elements of an array and returns how many. 0: the message has no trace. It
 * is a dead letter, no reply, the early reply "accepted" (which is in the trace of the last one),
 * or its sender does not sample its trace.
 */
size_t spans_put(const struct spans_reply *reply, struct buf *out);
/* Appends the request to a collector with these spans. */
void spans_put_request(const char *instance, struct slice spans, struct buf *out);

#endif
