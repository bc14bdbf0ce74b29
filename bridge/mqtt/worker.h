/*
 * worker - one MQTT process as the bridge sees it: starts it, exchanges frames with it, and starts
 * the next one when it has ended.
 *
 * A process makes one attempt at one address. If that fails, the next process is started at once,
 * with the next address of the broker's name, the next of `broker.uris`, or with the shorter
 * keepalive that the broker asked for. Names are resolved here, when their turn comes.
 * Backoff and jitter come after all addresses have failed, and after a connection that stood. Each
 * such round begins with the first address.
 *
 * A worker reports to its owner (workers.c) through hooks. A hook may call any function of this
 * header but worker_fini(). The owner reads the fields of struct worker and never writes them.
 *
 * Thread: the loop's.
 */
#ifndef MQTT_WORKER_H
#define MQTT_WORKER_H

#include "base/counters.h"
#include "base/lookup.h"
#include "connect_params.h"
#include "link.h"
#include "model/delivery.h"
#include "settings/settings.h"
#include "tls/files.h"

#define WORKER_TEXT_BYTES 384

struct worker;

struct worker_hooks {
    void *arg;
    /* Receivers only: the broker has accepted the connection. With worker->is_waiting it subscribes
     * after worker_go_on(); else it has to be made again with a shorter keepalive. */
    void (*connected)(void *arg, struct worker *worker, bool is_session_present);
    /* The process is connected; a receiver has subscribed. */
    void (*up)(void *arg, struct worker *worker);
    /* The process is no longer connected, or the one that was to replace it did not connect to any
     * address. Not called when a receiver ends only to be replaced. */
    void (*down)(void *arg, struct worker *worker);
    /* The process has ended without being asked to, and no other address is left; or it could not
     * be started. It is tried again. */
    void (*failed)(void *arg, struct worker *worker, const char *reason, const char *text);
    /* Receivers only; worker_ack() is owed for the current generation. */
    void (*delivered)(void *arg, struct worker *worker, const struct delivery *delivery);
    /* Publishers only. */
    void (*published)(void *arg, int64_t id, bool has_subscriber);
    void (*unpublished)(void *arg, int64_t id, uint32_t code, struct slice why);
    void (*expired)(void *arg, int64_t id);
    /* The process has ended and will not be started again. */
    void (*ended)(void *arg, struct worker *worker);
};

/* What all workers share; must outlive them. */
struct worker_setup {
    struct loop *loop;
    const struct settings *settings;
    const struct tls_files *tls;
    const char *program; /* path of the executable */
    char **environment;  /* the processes' whole environment, NULL at its end */
    struct slice will;   /* of the publisher: an encoded message, absent for none */
    struct counters *counters;
    uint32_t *generations; /* the last generation of all workers */
    struct worker_hooks hooks;
};

/* Why a process ended. */
struct worker_end {
    bool is_known; /* the process has reported it */
    enum wire_down_reason reason;
    uint32_t code;
    char text[WORKER_TEXT_BYTES];
};

struct worker {
    const struct worker_setup *setup;
    enum wire_role role;
    const struct mqtt_session *session; /* of a receiver; NULL: that of the settings */
    uint32_t generation;                /* of the running process; no two processes have the same */
    char name[WIRE_NAME_BYTES];
    char *client_id;              /* of the running process */
    struct loop_process *process; /* NULL while none runs */
    struct frame_link control;
    struct frame_link delivery;     /* receivers only */
    uint32_t delivered_count;       /* of the running process, with the one being reported */
    uint32_t acked_count;           /* of these */
    struct connect_attempt attempt; /* the running one, or the next */
    bool has_no_retain;             /* the broker refuses retained messages; for this run */
    bool has_no_qos_1;              /* the broker refuses a will of QoS 1; for this run */
    unsigned limits_reported;       /* 1 << enum broker_limit: logged once */
    struct lookup *lookup;          /* runs, before the attempt; or NULL */
    struct lookup_result addresses; /* of the host name of the attempt; none for an IP address */
    size_t address;                 /* of the attempt */
    struct loop_timer *restart;
    struct loop_timer *flush;
    uint32_t failures;  /* in a row */
    uint32_t lost_soon; /* connections in a row that the broker ended soon after they stood */
    int64_t retry_ms;   /* the last delay before a round of attempts */
    int64_t up_ms;      /* when it connected */
    bool is_up;
    bool was_up;      /* it has been connected before */
    bool is_waiting;  /* connected, and not ordered to subscribe */
    bool has_worked;  /* a message was acknowledged */
    bool has_started; /* a process was started before */
    bool is_wanted;   /* to be started again when it ends */
    bool is_outdated; /* runs with params that have been replaced since */
    bool is_renewing; /* is being replaced, and the new process is not yet up */
    bool is_ending;   /* was ordered to end, to be started again at once */
    struct worker_end end;
    struct worker_end first_end; /* of an attempt of this round that reached a broker; for people */
};

/* `session` is borrowed; it may change before a process is started. */
void worker_init(struct worker *worker, const struct worker_setup *setup, enum wire_role role,
                 const struct mqtt_session *session);
/* Kills the process, if one runs, and does not wait for it. */
void worker_fini(struct worker *worker);

/* Starts the process, and starts it again whenever it ends, until worker_stop(). */
void worker_start(struct worker *worker);
/* Makes the process end cleanly; hooks.ended follows where one runs. */
void worker_stop(struct worker *worker);
/* Ends the process by SIGKILL, if one runs. */
void worker_kill(struct worker *worker);
/* A receiver that is waiting subscribes. */
void worker_go_on(struct worker *worker);
/* The params have changed: the process, if it does not end anyway, is to be renewed. */
void worker_set_outdated(struct worker *worker);
/* Replaces the process by one with the current params. */
void worker_renew(struct worker *worker);

/* Answers the delivery of that generation and number; ignored where its process has ended. What is
 * answered in one turn of the loop goes in one write. */
void worker_ack(struct worker *worker, uint32_t generation, uint32_t number, bool is_durable);
/* Whether worker_publish() may be called and its buffer has room. */
bool worker_may_publish(const struct worker *worker);
/* Hands an encoded message over. What is handed over in one turn of the loop goes in one write. */
void worker_publish(struct worker *worker, int64_t id, int64_t valid_until_ms,
                    struct slice message);

#endif
