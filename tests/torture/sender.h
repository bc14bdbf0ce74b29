/*
 * sender - sends the commands: six MQTT clients that keep unacknowledged messages and send them
 * again.
 */
#ifndef TORTURE_SENDER_H
#define TORTURE_SENDER_H

#include "link.h"
#include "plan.h"
#include "record.h"

struct sender {
    struct link *self; /* first, see link_init() */
    struct link link;
    struct senders *all;
    uint32_t *queue; /* numbers of queued commands */
    size_t queue_count;
    size_t queue_capacity;
    int64_t numbers[65536]; /* numbers of the commands in flight, by message id */
    int in_flight;
};

struct senders {
    const struct plan *plan;
    struct record *record;
    struct sender *rows;
    int64_t acked_count;
};

void senders_init(struct senders *senders, const struct plan *plan, struct record *record,
                  int port);
void senders_fini(struct senders *senders);
/* Queues the command; its sender delivers it. */
void senders_post(struct senders *senders, uint32_t number);
/* Adds PLAN_SENDERS entries. */
void senders_poll(const struct senders *senders, struct pollfd *out_entries);
void senders_step(struct senders *senders, const struct pollfd *entries, int64_t now_ms);
/* The number of commands that the broker has not acknowledged. */
size_t senders_pending(const struct senders *senders);
int64_t senders_lost_connections(const struct senders *senders);

#endif
