/*
 * worker_attempt - what worker.c decides between two processes: the address of the next attempt,
 * what it asks the broker for, and how long to wait before it.
 *
 * All functions work on the fields of struct worker that are about attempts, and start nothing.
 *
 * Thread: the loop's.
 */
#ifndef MQTT_WORKER_ATTEMPT_H
#define MQTT_WORKER_ATTEMPT_H

#include "worker.h"

/* Logs once each limit of the broker that is below what the settings ask for. */
void worker_attempt_report_limits(struct worker *worker, const struct wire_up *up);
/* The next attempt is at the first address again, with the keepalive of the settings. */
void worker_attempt_reset(struct worker *worker);
/* After an attempt that did not come up: whether another one is left in this round, to be started
 * at once. If not, `end` is the one that says most. */
bool worker_attempt_next(struct worker *worker);
/* After the last attempt of a round, or a connection (was_up): counts it as a failure in a row, or
 * as the first. May add to the text of `end`. */
void worker_attempt_count_failure(struct worker *worker, bool was_up);
/* How long to wait before the next round: backoff with jitter. */
int64_t worker_attempt_delay_ms(const struct worker *worker);

#endif
