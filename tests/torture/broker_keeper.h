/*
 * broker_keeper - kills the broker, stops it, and starts it again, with what it had saved or with
 * nothing.
 *
 * mosquitto answers a PUBLISH before it has saved it, so one that is killed loses what it has
 * acknowledged since it saved last. BROKER_KILL_SAVED takes that out: the proxy lets nothing pass,
 * the broker saves, and it is killed before anybody hears another word of it. After the other two
 * kills the checker must know the broker's losses from the bridge's: `losses` holds what the
 * database held when the broker died, so that it is known of each command and reply.
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
    BROKER_KILL_SAVED,   /* SIGKILL after it saved all it had acknowledged */
    BROKER_KILL_UNSAVED, /* SIGKILL; it comes back with what it saved some time ago */
    BROKER_KILL_EMPTIED, /* the same, and what it had saved is gone: sessions, too */
    BROKER_STOP,         /* SIGTERM: it saves and ends */
    BROKER_HARM_COUNT
};

enum { BROKER_LOSSES_MAX = 4096 };

/* A broker that has forgotten what it had acknowledged. Whatever was acknowledged to a sender or to
 * the bridge before `back_ms` was so by this broker or one before it. */
struct broker_loss {
    int64_t killed_ms;
    int64_t back_ms; /* when anybody but the witness got in again; INT64_MAX: not yet */
    bool is_emptied; /* the database is gone, and `saved` is what it held */
    struct broker_saved saved;
};

struct broker_keeper {
    struct broker broker;
    struct proxy *proxy;
    struct witness *witness;
    const struct tap *tap;
    char database[192];
    int phase; /* enum phase of the .c file */
    int64_t due_ms;
    int64_t give_up_ms;
    enum broker_harm harm;
    int down_ms;           /* how long it stays away */
    bool is_shared;        /* the bridge subscribes in a group, see broker_keeper_connect() */
    bool waits_for_bridge; /* senders get in when the bridge has subscribed */
    bool must_wait;        /* and that however long it takes */
    unsigned long long saved_mark;
    uint32_t subscribed_count; /* the tap's, before the broker came back */
    struct broker_loss losses[BROKER_LOSSES_MAX];
    int loss_count;
    int64_t up_ms; /* when it was started last: nothing was acknowledged by it before that */
    int counts[BROKER_HARM_COUNT];
};

/* Makes the configuration and starts it; the routes are the caller's. */
void broker_keeper_init(struct broker_keeper *keeper, const char *directory);
/*
 * Who must be there again before anybody else gets in. Where the broker comes back without the
 * bridge's subscription senders always wait for it, since it acknowledges and drops what is
 * published to nobody. mosquitto 2.0 restores no shared subscription (`is_shared`) from its
 * database, so there they wait each time.
 */
void broker_keeper_connect(struct broker_keeper *keeper, struct proxy *proxy,
                           struct witness *witness, const struct tap *tap, bool is_shared);
void broker_keeper_fini(struct broker_keeper *keeper);
bool broker_keeper_is_idle(const struct broker_keeper *keeper);
/* Only while it is idle. */
void broker_keeper_harm(struct broker_keeper *keeper, enum broker_harm harm, int down_ms,
                        bool waits_for_bridge);
void broker_keeper_turn(struct broker_keeper *keeper, int64_t now_ms);
/* What the first loss that can have been this one's was, or NULL: of a command acknowledged to its
 * sender, of a reply acknowledged to the bridge, at `acked_ms`. Either is a loss of the broker only
 * where it did not come back with it, and nobody had acknowledged it to the broker. */
const struct broker_loss *broker_keeper_loss_of_command(const struct broker_keeper *keeper,
                                                        uint32_t number, int64_t acked_ms);
const struct broker_loss *broker_keeper_loss_of_reply(const struct broker_keeper *keeper,
                                                      uint32_t number, int64_t acked_ms);
/* Lets the broker save what it has, and waits for that. */
void broker_keeper_save(struct broker_keeper *keeper);

#endif
