/*
 * store_keeper - the shared ledger's PostgreSQL: a server and its synchronous standby, which are
 * restarted, killed and take each other's place.
 *
 * The bridges reach them through the proxy. Triggers in the database watch every write: at its
 * commit the run that writes must still have its row in `bridge`, or the write is a stale one. They
 * also note when a run was removed and when its commands got another owner.
 *
 * The servers run by tests/support/postgres and outlive a driver that is killed; a process that
 * waits for the driver's end removes them then.
 *
 * Thread: the driver's only thread; what takes time runs in a child. A step that fails ends the run
 * (flow_fail()).
 */
#ifndef TORTURE_STORE_KEEPER_H
#define TORTURE_STORE_KEEPER_H

#include "bridge_keeper.h"
#include "proxy.h"
#include "store_loss.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum store_harm {
    STORE_RESTART,   /* in order */
    STORE_IMMEDIATE, /* without order, it recovers from its log */
    STORE_KILL,      /* SIGKILL, down for a time */
    STORE_FAIL_OVER, /* SIGKILL; the standby takes over, the killed one becomes its standby */
    STORE_RETURN,    /* the same, but at first the killed one comes back as it was, and for half of
                        the time no bridge can connect to the other one */
    STORE_LOSE,      /* a fail-over to an asynchronous standby, which lacks the last commits */
    STORE_STANDBY_AWAY, /* no commit is answered until it is back */
    STORE_FULL,         /* its file system is full for a time */
    STORE_HARM_COUNT
};

enum { STORE_SERVERS = 2 };

struct store_keeper {
    char directories[STORE_SERVERS][128];
    struct proxy *proxy;
    const struct bridge_keeper *bridges;
    int bridge_count;
    int ports[STORE_SERVERS];
    int guards[STORE_SERVERS];
    bool has_bouncers; /* a pgbouncer before each server, in session mode */
    char bouncers[STORE_SERVERS][136];
    int bouncer_ports[STORE_SERVERS]; /* without them the servers' */
    int bouncer_guards[STORE_SERVERS];
    char log[128];
    char uri[160];     /* through the proxy */
    int first;         /* the number of the server that takes writes */
    unsigned timeline; /* of that server */
    bool is_small;     /* the servers have small file systems of their own */
    pid_t guard;
    pid_t job;        /* 0: none */
    int step;         /* of the harm */
    int64_t due_ms;   /* when the next step begins */
    int64_t began_ms; /* of the harm, 0: none */
    enum store_harm harm;
    int down_ms;
    int counts[STORE_HARM_COUNT];
    bool is_old_back;    /* the one that was replaced takes writes, beside the first one */
    int64_t detached_ms; /* of STORE_LOSE: since then the standby got nothing */
    int64_t killed_ms;
    struct store_losses losses;
    int returned_asked; /* connections to servers that came back */
    /* The times at which bridges may not have reached the store, for the take-over time. */
    struct store_trouble {
        int64_t from_ms;
        int64_t to_ms;
    } troubles[4096];
    int trouble_count;
};

/* What the triggers found, at the end of the run. */
struct store_findings {
    int64_t removed_count; /* runs whose row was removed, by themselves or by others */
    int64_t adopted_count; /* commands that got another owner */
    int64_t stale_count;
    int take_over_count;     /* absences of a bridge after which others took over */
    int64_t take_over_ms;    /* the longest of them: from the end of the bridge to its removal */
    int64_t adopted_last_ms; /* the same to the last command that got another owner */
};

/* Starts both servers; `directory` is the run's. `has_bouncers`: with a pgbouncer before each. */
void store_keeper_init(struct store_keeper *keeper, const char *directory, bool has_bouncers);
/* The proxy, once it runs; it must last as long as the keeper. */
void store_keeper_connect(struct store_keeper *keeper, struct proxy *proxy);
void store_keeper_fini(struct store_keeper *keeper);
/* Sets the triggers, once the bridges have made the tables. The bridges must last as long as the
 * keeper. */
void store_keeper_watch(struct store_keeper *keeper, const struct bridge_keeper *bridges,
                        int bridge_count);
bool store_keeper_is_idle(const struct store_keeper *keeper);
/* Whether a fail-over with losses is under way: the bridges must commit what it is to lose. */
bool store_keeper_must_commit(const struct store_keeper *keeper);
/* Call it only while the keeper is idle. `down_ms` is how long what is away stays away. Returns
 * false for a harm that is not possible on this machine. */
bool store_keeper_harm(struct store_keeper *keeper, enum store_harm harm, int down_ms);
/* How many instances without a run have sessions at the broker. */
int store_keeper_absent(const struct store_keeper *keeper, const char *directory);
/* The tokens of the commands with this id, a line each, to be freed. */
char *store_keeper_tokens(const struct store_keeper *keeper, const char *directory, int64_t id);
/* A fault of the network to the store, for the take-over time. */
void store_keeper_note_cut(struct store_keeper *keeper, int ms);
void store_keeper_step(struct store_keeper *keeper, int64_t now_ms);
/* Reads what the triggers found. Reports stale writes, and a bridge that was away much longer than
 * the lease and was not replaced, with violate(). */
void store_keeper_check(struct store_keeper *keeper, const struct bridge_keeper *bridges,
                        int bridge_count, struct store_findings *out);

#endif
