/*
 * bridge_keeper - kills a bridge, pauses it, stops it, and starts it again, at times with other
 * settings. With a shared ledger there are several of them.
 */
#ifndef TORTURE_BRIDGE_KEEPER_H
#define TORTURE_BRIDGE_KEEPER_H

#include "flow_bridge.h"
#include "flow_fixture.h"
#include "log_reader.h"
#include "tap.h"

#include <stdbool.h>
#include <stdint.h>

enum bridge_harm {
    BRIDGE_KILL,          /* SIGKILL to the bridge; its children exit by themselves */
    BRIDGE_KILL_TAKEN,    /* the same as soon as it has acknowledged a command */
    BRIDGE_KILL_ANSWERED, /* the same as soon as it has sent an answer */
    BRIDGE_KILL_RECEIVER, /* SIGKILL to one of its processes */
    BRIDGE_KILL_PUBLISHER,
    BRIDGE_STOP, /* SIGTERM */
    BRIDGE_HARM_COUNT
};

/* Settings that may change between two runs: the sessions of the former settings are then drained.
 */
enum bridge_setting { BRIDGE_TOPICS, BRIDGE_SHARE, BRIDGE_INSTANCE, BRIDGE_SETTING_COUNT };

/* How the bridge is started again. */
struct bridge_restart {
    int delay_ms;                /* from its end to the next start */
    enum bridge_setting changed; /* BRIDGE_SETTING_COUNT: none */
    uint32_t choice;             /* chooses the new value */
    bool is_common;              /* `topics` and `share` are then those of all bridges */
};

struct bridge_options {
    const char *directory;
    int number;        /* from 0, below TAP_BRIDGES_MAX */
    const char *store; /* the shared ledger's URI; NULL: a SQLite ledger of its own */
    int lease_s;       /* of the shared ledger */
    int session_adopt_s;
    /* Whether an old server takes writes. A start with another `instance` waits: nothing that it
     * has says that the server is old. */
    const bool *is_old_server_back;
    const char *broker_uri;
    const char *broker_ca_file; /* "": none */
    int api_port;
    struct tap *tap;
    const char *settings;       /* in addition to the harness's settings, see flow_settings.h */
    const char *route_settings; /* of all routes: "key = value;" */
    int coalesce_s;             /* of the route of alerts; below 0: there is none */
};

/* A time without the bridge, on both clocks. */
struct bridge_absence {
    int64_t from_ms;
    int64_t to_ms; /* INT64_MAX: not over */
    int64_t from_wall_ms;
    int64_t to_wall_ms;
    bool is_pause; /* SIGSTOP; otherwise its process was gone */
    char instance[24];
};

enum { BRIDGE_ABSENCES_MAX = 8192 };

struct bridge_keeper {
    struct bridge_options options;
    struct fixture fixture; /* only the fields that struct bridge needs */
    struct bridge bridge;
    char instance[24];
    int admin_port;
    int admin_guard;
    int64_t start_ms;      /* time of the next start; 0: it runs */
    int64_t stop_by_ms;    /* deadline of the stop; 0: it is not stopping */
    int64_t trap_until_ms; /* how long the tap waits for the packet; 0: no trap */
    int64_t resume_ms;     /* the end of a pause; 0: not paused */
    pid_t paused[BRIDGE_CHILDREN_MAX * 2 + 1];
    int paused_count;
    struct tap_trap_state *trap;
    bool is_deaf; /* it got SIGTERM before it handled signals, which kills it */
    struct bridge_restart restart;
    struct log_reader log_reader;
    int chosen[BRIDGE_SETTING_COUNT]; /* numbers of the values */
    int counts[BRIDGE_HARM_COUNT];
    int pause_count;
    int long_pause_count; /* of these: longer than the lease */
    int expelled_count;   /* ends with EX_TEMPFAIL: the others took over */
    struct bridge_absence absences[BRIDGE_ABSENCES_MAX];
    int absence_count;
    int64_t *kills_ms; /* when the bridge itself was killed */
    size_t kill_count;
    int change_counts[BRIDGE_SETTING_COUNT];
};

/* The texts of the options must last as long as the keeper. */
void bridge_keeper_init(struct bridge_keeper *keeper, const struct bridge_options *options);
void bridge_keeper_fini(struct bridge_keeper *keeper);
/* Whether the last fault is over and the bridge runs. */
bool bridge_keeper_is_idle(const struct bridge_keeper *keeper);
/* Call it only while the keeper is idle. `pick` chooses the child, or the number of packets until
 * the kill. */
void bridge_keeper_harm(struct bridge_keeper *keeper, enum bridge_harm harm, uint32_t pick,
                        const struct bridge_restart *restart);
/* SIGSTOP for `ms`, also to its MQTT processes if `is_whole`. Call it only while the keeper is
 * idle. */
void bridge_keeper_pause(struct bridge_keeper *keeper, int ms, bool is_whole);
/* Whether a pause covers this time, or ended less than `after_ms` before it. */
bool bridge_keeper_was_paused(const struct bridge_keeper *keeper, int64_t at_ms, int after_ms);
/* Whether it ran all this time, and was not paused. */
bool bridge_keeper_ran(const struct bridge_keeper *keeper, int64_t from_ms, int64_t to_ms);
/* Confirms to a bridge that runs that its report of lost commits was seen. */
void bridge_keeper_acknowledge(const struct bridge_keeper *keeper);
/* How often the bridge itself was killed in this time. */
size_t bridge_keeper_kills(const struct bridge_keeper *keeper, int64_t from_ms, int64_t to_ms);
/* The value of `instance` in its current settings. */
const char *bridge_keeper_instance(const struct bridge_keeper *keeper);
/* The timeline of the shared ledger's server that it knows, also for its next start; 0: none. */
unsigned bridge_keeper_timeline(const struct bridge_keeper *keeper);
const char *bridge_keeper_setting_name(enum bridge_setting setting);
/* Checks the ledger of the stopped bridge: what is wrong with it, a line for each fault, to be
 * freed; NULL: nothing. */
char *bridge_keeper_verify(const struct bridge_keeper *keeper);
void bridge_keeper_step(struct bridge_keeper *keeper, int64_t now_ms);

#endif
