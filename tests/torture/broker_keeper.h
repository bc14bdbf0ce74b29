/*
 * broker_keeper - kills the broker, stops it, and starts it again, with its saved state or with
 * none.
 *
 * mosquitto acknowledges a PUBLISH before it has saved it, so a killed one loses what it has
 * acknowledged since the last save. BROKER_KILL_SAVED avoids that: the proxy holds everything, the
 * broker saves, and it is killed before it can send anything more. After the other two kills the
 * checker must distinguish the broker's losses from the bridge's: `losses` holds the content of the
 * database when the broker died.
 *
 * The bridge forgets a subscription when the broker has ended it. If a killed broker came back with
 * such a subscription, it would queue commands that nobody reads. So it saves after each of them.
 */
#ifndef TORTURE_BROKER_KEEPER_H
#define TORTURE_BROKER_KEEPER_H

#include "broker_saved.h"
#include "flow_broker.h"
#include "proxy.h"
#include "witness.h"

#include <stdbool.h>
#include <stdint.h>

enum broker_harm {
    BROKER_KILL_SAVED,   /* SIGKILL after it has saved everything it had acknowledged */
    BROKER_KILL_UNSAVED, /* SIGKILL; it comes back with the state of the last save */
    BROKER_KILL_EMPTIED, /* the same, and its database is removed, sessions included */
    BROKER_STOP,         /* SIGTERM: it saves and exits */
    BROKER_HARM_COUNT
};

enum { BROKER_LOSSES_MAX = 4096 };

/* A broker that has lost messages it had acknowledged. Every acknowledgement to a sender or the
 * bridge before `back_ms` is from this broker or an earlier one. */
struct broker_loss {
    int64_t killed_ms;
    int64_t
        back_ms; /* when clients other than the witness could connect again; INT64_MAX: not yet */
    bool is_emptied; /* the database was removed; `saved` is its last content */
    struct broker_saved saved;
};

struct broker_keeper {
    struct broker broker;
    struct proxy *proxy;
    struct witness *witness;
    const struct tap *tap;
    char database[192];
    char acl[192];
    int phase; /* enum phase of the .c file */
    int64_t due_ms;
    int64_t give_up_ms;
    enum broker_harm harm;
    int down_ms;           /* how long it stays down */
    bool waits_for_bridge; /* senders may connect after the bridge has subscribed */
    bool must_wait;        /* without a time limit */
    unsigned long long saved_mark;
    uint32_t subscribed_count;   /* the tap's count before the broker came back */
    uint32_t unsubscribed_count; /* the tap's count at the last save */
    bool refuses;                /* replies on PLAN_REFUSED */
    int refusal_count;           /* times that it began to refuse */
    struct broker_loss losses[BROKER_LOSSES_MAX];
    int loss_count;
    int64_t up_ms; /* time of the last start: it acknowledged nothing before that */
    int counts[BROKER_HARM_COUNT];
};

/* Writes the configuration and starts the broker. `closes_at_refusals`: it closes the connection at
 * each reply that it refuses, as mosquitto does without a limit to its queues. */
void broker_keeper_init(struct broker_keeper *keeper, const char *directory,
                        bool closes_at_refusals);
/*
 * Sets the clients that must reconnect before others may connect. If the broker comes back without
 * the bridge's subscription, as always where it is one with a share, senders always wait for the
 * bridge, because the broker acknowledges and drops messages without a subscriber.
 */
void broker_keeper_connect(struct broker_keeper *keeper, struct proxy *proxy,
                           struct witness *witness, const struct tap *tap);
void broker_keeper_fini(struct broker_keeper *keeper);
bool broker_keeper_is_idle(const struct broker_keeper *keeper);
/* Call it only while the keeper is idle. */
void broker_keeper_harm(struct broker_keeper *keeper, enum broker_harm harm, int down_ms,
                        bool waits_for_bridge);
/* Whether it refuses the bridge's replies on PLAN_REFUSED. Call it only while the keeper is idle.
 */
void broker_keeper_refuse(struct broker_keeper *keeper, bool refuses);
void broker_keeper_step(struct broker_keeper *keeper, int64_t now_ms);
/* The first loss in which the broker can have lost this message, or NULL: a command acknowledged to
 * its sender, or a reply acknowledged to the bridge, at `acked_ms`. The broker has lost it only if
 * it did not restore it and the receiver had not acknowledged it. */
const struct broker_loss *broker_keeper_loss_of_command(const struct broker_keeper *keeper,
                                                        uint32_t number, int64_t acked_ms);
const struct broker_loss *broker_keeper_loss_of_reply(const struct broker_keeper *keeper,
                                                      uint32_t number, int64_t acked_ms);
/* Makes the broker save its state, and waits for that. */
void broker_keeper_save(struct broker_keeper *keeper);

#endif
