/*
 * common - what the files of the outbox share: its state, and their functions for each other.
 *
 * Thread: the loop's.
 */
#ifndef OUTBOX_COMMON_H
#define OUTBOX_COMMON_H

#include "outbox/outbox.h"

#include <uthash.h>

/* Connections lost in a row while a message was in flight. */
struct losses {
    uint32_t count;
    uint32_t alone_count; /* of these, while nothing else was in flight */
};

struct entry {
    struct entry *prev;
    struct entry *next;
    int64_t id;
    int64_t stored_us;   /* monotonic: when it was stored; INT64_MIN: not known */
    struct retry *retry; /* NULL: it was never set back */
    struct losses losses;
    bool is_handed; /* to the publisher that is connected now */
    uint64_t order; /* of an event: its place in the order of its object, see order_of(); else 0 */
    size_t length;
    char bytes[];
};

/* A message that was set back, until it has left the outbox. */
struct retry {
    struct retry *prev;
    struct retry *next;
    struct retry *due_prev; /* in outbox->due */
    struct retry *due_next;
    struct retry *order_prev; /* in its struct retry_order */
    struct retry *order_next;
    struct outbox *outbox;
    struct loop_timer *timer; /* runs until it is due */
    int64_t id;
    struct losses losses;
    uint32_t count;     /* how often it was set back */
    int64_t expires_ms; /* the loop's time */
    struct entry *entry;
    struct retry_order *order; /* NULL: it is no event */
    bool has_place;            /* one of RETRYING_MAX */
    bool is_held;              /* it waits for the end of an earlier one of its order */
    bool is_being_replaced;
};

/* The events of one object that were set back, by their ids. There is none without an event. */
struct retry_order {
    UT_hash_handle hh; /* in outbox->orders, by its number */
    uint64_t number;   /* entry->order */
    struct retry *retries;
};

struct outbox {
    struct loop *loop;
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct ledger *ledger;
    struct workers *workers;
    struct traces *traces;     /* or NULL */
    const struct lease *lease; /* NULL: none is needed */
    struct entry *entries;
    size_t count; /* of the entries that were never set back */
    size_t handed_count;
    bool is_alone; /* the one that is handed over goes alone */
    struct retry *retries;
    struct retry *due;
    struct retry_order *orders;
    size_t retry_count;
    size_t retrying_count;
    bool closes_at_refusals; /* the broker does */
    int64_t paced_until_ms;  /* then the next one may be published again */
    int64_t unread_from;     /* 0: all of the outbox is in memory */
    bool is_reading;
    bool is_up;
    int64_t up_ms;            /* since when */
    int64_t refused_ms;       /* the last refusal on this connection; INT64_MIN: none */
    struct loop_timer *alone; /* runs until a message may go alone */
    struct loop_timer *paced; /* runs until paced_until_ms */
    struct loop_timer *full;  /* runs while the outbox is full */
    struct loop_timer *flushed;
    loop_fn *empty;
    void *empty_arg;
};

/* --- outbox.c: the queue --- */

/* Puts a copy of the message into memory: at the end, or at the head if it was set back (`retry`,
 * else NULL). `stored_us` is as in struct entry. */
struct entry *entry_add(struct outbox *outbox, int64_t id, struct slice message, int64_t stored_us,
                        struct retry *retry);
/* Frees the entry. */
void entry_remove(struct outbox *outbox, struct entry *entry);
/* When a message that is read from the ledger was stored. */
int64_t entry_stored_us(struct slice bytes);
/* Hands over what may go, and reads what there is room for. `arg` is the outbox. */
void outbox_pump(void *arg);

/* --- publish.c: handing over, and what comes back --- */

/* Hands messages to the publisher, which is connected. */
void outbox_hand_over(struct outbox *outbox);

/* --- set_back.c: messages that were set back --- */

/* Sets the message back: because the broker refused it with `code` and `why`, or (absent) because
 * connections were lost. Frees the entry. */
void retry_set_back(struct outbox *outbox, struct entry *entry, uint32_t code, struct slice why);
/* Sets an event back behind an earlier one of its object that was set back: it is read again when
 * the earlier ones have left the outbox. Frees the entry. */
void retry_hold(struct outbox *outbox, struct entry *entry);
/* Whether an event of the same object with a smaller id was set back. */
bool retry_is_before(const struct outbox *outbox, const struct entry *entry);
/* The message has left the outbox. */
void retry_end(struct retry *retry);
/* Frees it without reading the next one. */
void retry_free(struct retry *retry);
/* Reads messages that are due, while there are places. `arg` is the outbox. */
void retries_read_due(void *arg);

#endif
