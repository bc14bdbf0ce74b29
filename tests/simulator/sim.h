/*
 * sim - everything the simulator knows, and one HTTP exchange with it.
 *
 * Thread: there is one. The main loop waits on one epoll descriptor for sockets and signals.
 */
#ifndef SIMULATOR_SIM_H
#define SIMULATOR_SIM_H

#include "base.h"
#include "errors.h"
#include "faults.h"
#include "groups.h"
#include "journal.h"
#include "listing.h"
#include "nonces.h"
#include "options.h"
#include "params.h"
#include "tokens.h"

#include <microhttpd.h>

/* The actions that are served, in the order of their table. */
enum action_kind {
    ACTION_START,
    ACTION_STOP,
    ACTION_DESCRIBE_GROUPS,
    ACTION_DESCRIBE_PAIRS,
    ACTION_DESCRIBE_PROGRESS,
    ACTION_COUNT,
};

/* Counters since the start or the last reset. */
struct totals {
    uint64_t requests;            /* API requests of any action */
    uint64_t calls[ACTION_COUNT]; /* requests with a good signature, on arrival */
    uint64_t answered;            /* starts and stops whose answer was sent completely */
    uint64_t effects;             /* starts and stops that had an effect */
    uint64_t replays;             /* starts and stops answered from their token */
    uint64_t signature_v3;        /* requests with a good signature, by kind */
    uint64_t signature_v1;
    uint64_t signature_errors; /* requests refused before their parameters were looked at */
    uint64_t nonce_reuse;
    uint64_t throttled;
    uint64_t overlaps; /* starts and stops of a group that came while one was in progress */
    uint64_t connections;
};

/* A token bucket; rate_per_s 0 is no limit. */
struct limits {
    double rate_per_s;
    double burst;
    double level;
    int64_t refilled_ms;
    bool has_retry_after;
};

struct call;

struct sim {
    struct options options;
    struct access_key keys[ACCESS_KEY_LIMIT]; /* those in force; unused ones have no id */
    struct groups groups;
    struct listing listing;
    struct tokens tokens;
    struct nonces nonces;
    struct faults faults;
    struct journal *journal;
    struct totals totals;
    struct limits limits[ACTION_COUNT + 1]; /* of each action; the last one over all */
    int64_t started_ms;                     /* monotonic */
    int64_t advanced_ms;                    /* added to simulated time by control requests */
    int64_t clock_offset_ms;                /* added to the machine's wall clock */
    uint64_t reset_count; /* calls keep it, so that those from before a reset are known */
    struct call *waiters; /* control requests that wait for a count */
    struct server *server;
};

/* Simulated time since the start, which states and cooldowns run on. */
int64_t sim_now_ms(const struct sim *sim);

/* The server's wall clock. */
int64_t sim_wall_ms(const struct sim *sim);

/*
 * Set keys, groups and settings as the options say and forget everything else. Parked calls
 * of before are to be resumed by the caller; they end without an effect or an answer.
 */
void sim_reset(struct sim *sim);

void sim_init(struct sim *sim, const struct options *options);
void sim_fini(struct sim *sim);

enum call_step {
    CALL_READING,  /* next: CALL_ARRIVED when the body is there */
    CALL_ARRIVED,  /* next: CALL_DELAYED, CALL_READY or CALL_WAITING */
    CALL_DELAYED,  /* parked by a fault; next: CALL_READY */
    CALL_READY,    /* next: CALL_ANSWERED or CALL_HANGING */
    CALL_WAITING,  /* parked by a control request; next: CALL_ANSWERED */
    CALL_HANGING,  /* parked until the client closes; next: CALL_DROPPED */
    CALL_DROPPED,  /* the connection goes without an answer */
    CALL_ANSWERED, /* the answer is MHD's */
};

enum signing { SIGNING_NONE, SIGNING_V1, SIGNING_V3 };

/* One HTTP exchange, from its request line to the end of its answer. */
struct call {
    struct sim *sim;
    struct MHD_Connection *connection;
    int socket;
    enum call_step step;
    uint64_t reset_count; /* the simulator's when this call arrived */
    char *target;         /* as on the request line: path and query */
    char method[8];
    struct text body;
    bool is_body_too_large;

    /* of an API request */
    struct params params; /* the query's, then the form's */
    size_t query_count;   /* how many of them came with the query */
    bool is_malformed;    /* the query or form could not be decoded */
    enum signing signing;
    const char *action;      /* borrowed from the request; "" if not given */
    const char *version;     /* the same */
    int64_t clock_offset_ms; /* of a wrong clock, besides the simulator's own */
    bool wants_json;
    bool is_change;         /* a start or a stop, with a good signature */
    enum action_kind kind;  /* ACTION_COUNT: none of those served */
    struct problem problem; /* the error to answer; code "" if none */
    int64_t retry_after_ms;
    bool has_fault;
    struct fault fault;
    uint8_t request_id[REQUEST_ID_BYTES];
    cJSON *fields;       /* what a success answers besides the RequestId, or NULL */
    uint64_t row;        /* in the journal */
    struct group *group; /* whose `active` list this is in, or NULL */
    struct call *group_prev;
    struct call *group_next;

    /* the answer */
    unsigned http;
    struct text answer;
    const char *content_type;
    int64_t next_byte_ms;

    /* parking */
    bool is_parked;
    bool is_watched; /* the socket is watched for the peer's close */
    bool is_peer_gone;
    int64_t due_ms; /* monotonic; PARK_FOREVER */
    struct call *park_prev;
    struct call *park_next;

    /* of /_sim/wait */
    uint64_t wait_changes;
    uint64_t wait_describes;
    uint64_t wait_effects;
    uint64_t wait_answered;
    struct call *wait_prev;
    struct call *wait_next;
};

/* A request header, or NULL. */
const char *call_header(const struct call *call, const char *name);

#endif
