/*
 * traces - a trace of each command for a collector of OpenTelemetry, sent as OTLP/HTTP in JSON.
 *
 * When the broker has acknowledged a reply, the record of its token is read from the ledger, and
 * its history becomes spans (bridge/traces/spans.h). So nothing on the way of a command waits for
 * traces, or is changed by them. Spans are sent in batches, one request at a time; a batch that the
 * collector cannot take now is sent again, a few times. At most 2,048 replies wait, of 4 MiB; those
 * that come then are dropped and counted (COUNTER_TRACES_DROPPED).
 *
 * Thread: the loop's. Fails with: nothing; problems are logged. Every function takes NULL as
 * `traces`, where there is nothing to do.
 */
#ifndef TRACES_TRACES_H
#define TRACES_TRACES_H

#include "base/counters.h"
#include "base/loop.h"
#include "base/slice.h"
#include "ledger/ledger.h"

#include <stdint.h>

struct traces;

/* `endpoint` is the URL of the collector; one without a path gets /v1/traces. Texts are copied.
 * NULL where it is "": no traces. */
struct traces *traces_new(struct loop *loop, const char *endpoint, const char *instance,
                          struct counters *counters);
/* Before anything else. The ledger must outlive its use: see traces_free(). */
void traces_connect(struct traces *traces, struct ledger *ledger);
/* After ledger_close(), which drops the queries. What was not sent is dropped and counted. */
void traces_free(struct traces *traces);

/* What this message became is durable: the end of the span `claim`. `received_at_ms` is the wall
 * clock's when it arrived. */
void traces_stored(struct traces *traces, struct slice token, int64_t received_at_ms);
/* The broker has acknowledged the message with this id in the outbox; the bytes are copied. */
void traces_published(struct traces *traces, int64_t id, struct slice message);
/* Sends what there is. Calls `done` once, maybe at once: when everything is sent, or when the
 * collector does not take it. */
void traces_flush(struct traces *traces, loop_fn *done, void *arg);

#endif
