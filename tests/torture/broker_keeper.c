#include "broker_keeper.h"

#include "flow_check.h"
#include "flow_process.h"
#include "plan.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* After QUIET_MS the broker has read everything that the proxy forwarded before the hold. */
enum { QUIET_MS = 80, SAVE_MS = 8000, AUTOSAVE_S = 10, BACK_MS = 6000, QUEUE_MAX = 10000000 };

/* The kernel sets the time of a file with the precision of its tick. */
enum { TICK_MS = 10 };

enum phase {
    PHASE_UP,
    PHASE_SETTLING, /* the bridge has ended subscriptions: the next step is a save */
    PHASE_KEEPING,  /* this save */
    PHASE_HELD,     /* the proxy holds everything; the next step is the save */
    PHASE_SAVING,   /* SIGUSR1 was sent: it saves */
    PHASE_DOWN,     /* ended; waits for the time of the next start */
    PHASE_WITNESS,  /* started; the witness must reconnect first */
    PHASE_BRIDGE,   /* the bridge must subscribe before senders may connect */
};

static void write_rights(const struct broker_keeper *keeper)
{
    char text[512];
    snprintf(text, sizeof text,
             "topic readwrite #\n"
             "user bridge\n"
             "topic readwrite #\n"
             "%s",
             keeper->refuses ? "topic deny " PLAN_REFUSED "#\n" : "");
    file_write(keeper->acl, text);
}

void broker_keeper_init(struct broker_keeper *keeper, const char *directory,
                        bool closes_at_refusals)
{
    char own[128];
    char path[192];
    char text[1024];
    *keeper = (struct broker_keeper){.phase = PHASE_UP, .refuses = true, .refusal_count = 1};
    snprintf(own, sizeof own, "%s/broker", directory);
    mkdir(own, 0700);
    broker_init(&keeper->broker, own, NULL);
    /* max_queued_messages: senders go on while the bridge is down. By default mosquitto drops what
     * it has acknowledged beyond 1,000 messages that wait for a client, without a trace in its
     * database or on the wire, so the checker could not tell such a command from one that the
     * bridge lost. A limit that is never reached differs from none: see `closes_at_refusals`. */
    snprintf(keeper->database, sizeof keeper->database, "%s/mosquitto.db", own);
    snprintf(path, sizeof path, "%s/broker.conf", own);
    snprintf(keeper->acl, sizeof keeper->acl, "%s/acl", own);
    write_rights(keeper);
    snprintf(text, sizeof text,
             "listener %d 127.0.0.1\n"
             "user root\n" /* as root it would change its user and could not write here */
             "allow_anonymous true\n"
             "set_tcp_nodelay true\n"
             "max_queued_messages %d\n"
             "acl_file %s\n"
             "log_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
             "persistence true\n"
             "persistence_location %s/\n"
             "autosave_interval %d\n",
             keeper->broker.port, closes_at_refusals ? 0 : QUEUE_MAX, keeper->acl, own, AUTOSAVE_S);
    file_write(path, text);
    broker_start(&keeper->broker);
}

void broker_keeper_connect(struct broker_keeper *keeper, struct proxy *proxy,
                           struct witness *witness, const struct tap *tap)
{
    keeper->proxy = proxy;
    keeper->witness = witness;
    keeper->tap = tap;
}

void broker_keeper_fini(struct broker_keeper *keeper)
{
    for (int i = 0; i < keeper->loss_count; i++) {
        broker_saved_fini(&keeper->losses[i].saved);
    }
    broker_fini(&keeper->broker);
}

/* Whether the broker has ended a subscription and not saved that yet. */
static bool has_ended_subscription(const struct broker_keeper *keeper)
{
    return keeper->tap->unsubscribed_count != keeper->unsubscribed_count;
}

bool broker_keeper_is_idle(const struct broker_keeper *keeper)
{
    return keeper->phase == PHASE_UP && !has_ended_subscription(keeper);
}

void broker_keeper_refuse(struct broker_keeper *keeper, bool refuses)
{
    if (keeper->refuses != refuses) {
        keeper->refuses = refuses;
        keeper->refusal_count += refuses;
        write_rights(keeper);
        kill(keeper->broker.pid, SIGHUP);
    }
}

/* Changes with each save of the broker, which writes a new file and renames it. */
static unsigned long long saved_mark(const struct broker_keeper *keeper)
{
    struct stat info;
    if (stat(keeper->database, &info) != 0) {
        return 0;
    }
    return (unsigned long long)info.st_ino * 1000003u ^ (unsigned long long)info.st_mtim.tv_nsec ^
           (unsigned long long)info.st_mtim.tv_sec << 30;
}

void broker_keeper_save(struct broker_keeper *keeper)
{
    unsigned long long before = saved_mark(keeper);
    int64_t end_ms = flow_now_ms() + SAVE_MS;
    kill(keeper->broker.pid, SIGUSR1);
    while (saved_mark(keeper) == before) {
        if (flow_now_ms() > end_ms) {
            flow_fail("the broker does not save");
        }
        flow_pause();
    }
}

static void order(struct broker_keeper *keeper, enum proxy_verb verb, enum proxy_route route)
{
    proxy_execute(keeper->proxy, &(struct proxy_order){.verb = verb, .route = route});
}

static void hold(struct broker_keeper *keeper)
{
    order(keeper, PROXY_HOLD, ROUTE_BRIDGE);
    order(keeper, PROXY_HOLD, ROUTE_SENDERS);
}

/* Reads the content of the database before the file changes. */
static void note_loss(struct broker_keeper *keeper)
{
    if (keeper->loss_count == BROKER_LOSSES_MAX) {
        flow_fail("too many kills of the broker");
    }
    struct broker_loss *loss = &keeper->losses[keeper->loss_count++];
    *loss = (struct broker_loss){.killed_ms = flow_now_ms(),
                                 .back_ms = INT64_MAX,
                                 .is_emptied = keeper->harm == BROKER_KILL_EMPTIED};
    broker_saved_read(&loss->saved, keeper->database);
    if (!loss->saved.is_there) {
        loss->saved.saved_ms = keeper->up_ms;
    }
    keeper->must_wait |= loss->is_emptied;
}

/* The broker has ended: closes all connections and accepts none until it is back. */
static void go_down(struct broker_keeper *keeper)
{
    struct broker_saved saved;
    broker_saved_read(&saved, keeper->database);
    keeper->must_wait |= !saved.has_bridge;
    broker_saved_fini(&saved);
    hold(keeper);
    order(keeper, PROXY_DROP, ROUTE_BRIDGE);
    order(keeper, PROXY_DROP, ROUTE_SENDERS);
    if (keeper->harm == BROKER_KILL_EMPTIED) {
        unlink(keeper->database);
    }
    keeper->counts[keeper->harm]++;
    keeper->unsubscribed_count = keeper->tap->unsubscribed_count;
    keeper->phase = PHASE_DOWN;
    keeper->due_ms = flow_now_ms() + keeper->down_ms;
}

void broker_keeper_harm(struct broker_keeper *keeper, enum broker_harm harm, int down_ms,
                        bool waits_for_bridge)
{
    keeper->harm = harm;
    keeper->down_ms = down_ms;
    keeper->waits_for_bridge = waits_for_bridge;
    keeper->must_wait = false;
    switch (harm) {
    case BROKER_KILL_SAVED:
        hold(keeper);
        keeper->phase = PHASE_HELD;
        keeper->due_ms = flow_now_ms() + QUIET_MS;
        break;
    case BROKER_STOP:
        broker_stop(&keeper->broker);
        go_down(keeper);
        break;
    default:
        broker_kill(&keeper->broker);
        note_loss(keeper);
        go_down(keeper);
        break;
    }
}

static void begin_saving(struct broker_keeper *keeper, enum phase phase, int64_t now_ms)
{
    keeper->saved_mark = saved_mark(keeper);
    keeper->unsubscribed_count = keeper->tap->unsubscribed_count;
    kill(keeper->broker.pid, SIGUSR1);
    keeper->phase = (int)phase;
    keeper->give_up_ms = now_ms + SAVE_MS;
}

static void await_saving(struct broker_keeper *keeper, int64_t now_ms)
{
    bool is_saved = saved_mark(keeper) != keeper->saved_mark;
    if (is_saved && keeper->phase == PHASE_KEEPING) {
        keeper->phase = PHASE_UP;
    } else if (is_saved) {
        broker_kill(&keeper->broker);
        go_down(keeper);
    } else if (now_ms > keeper->give_up_ms) {
        flow_fail("the broker does not save");
    }
}

static void come_back(struct broker_keeper *keeper)
{
    keeper->up_ms = flow_now_ms();
    broker_start(&keeper->broker);
    keeper->subscribed_count = keeper->tap->subscribed_count;
    keeper->witness->is_ready = false;
    link_hurry(&keeper->witness->link);
    keeper->phase = PHASE_WITNESS;
}

static void let_in(struct broker_keeper *keeper, int64_t now_ms)
{
    for (int i = keeper->loss_count; i-- > 0 && keeper->losses[i].back_ms == INT64_MAX;) {
        keeper->losses[i].back_ms = now_ms;
    }
    order(keeper, PROXY_RELEASE, ROUTE_BRIDGE);
    if (keeper->waits_for_bridge || keeper->must_wait) {
        keeper->phase = PHASE_BRIDGE;
        keeper->give_up_ms = now_ms + BACK_MS;
    } else {
        order(keeper, PROXY_RELEASE, ROUTE_SENDERS);
        keeper->phase = PHASE_UP;
    }
}

static bool has_subscribed(const struct broker_keeper *keeper)
{
    return keeper->tap->subscribed_count != keeper->subscribed_count;
}

void broker_keeper_step(struct broker_keeper *keeper, int64_t now_ms)
{
    switch ((enum phase)keeper->phase) {
    case PHASE_UP:
        if (process_wait(keeper->broker.pid, 0) >= 0) {
            flow_fail("the broker ended by itself");
        }
        if (has_ended_subscription(keeper)) {
            keeper->phase = PHASE_SETTLING;
            keeper->due_ms = now_ms + QUIET_MS;
        }
        break;
    case PHASE_SETTLING:
        if (now_ms >= keeper->due_ms) {
            begin_saving(keeper, PHASE_KEEPING, now_ms);
        }
        break;
    case PHASE_HELD:
        if (now_ms >= keeper->due_ms) {
            begin_saving(keeper, PHASE_SAVING, now_ms);
        }
        break;
    case PHASE_KEEPING:
    case PHASE_SAVING:
        await_saving(keeper, now_ms);
        break;
    case PHASE_DOWN:
        if (now_ms >= keeper->due_ms) {
            come_back(keeper);
        }
        break;
    case PHASE_WITNESS:
        if (keeper->witness->is_ready) {
            let_in(keeper, now_ms);
        }
        break;
    case PHASE_BRIDGE:
        if (has_subscribed(keeper) || (!keeper->must_wait && now_ms > keeper->give_up_ms)) {
            order(keeper, PROXY_RELEASE, ROUTE_SENDERS);
            keeper->phase = PHASE_UP;
        }
        break;
    }
}

/* The time of the last save is exact: mosquitto does nothing else during a save, and a client
 * receives an acknowledgement after it was sent. If the client received it late, the content of the
 * file decides. */
static const struct broker_loss *find_loss(const struct broker_keeper *keeper, uint32_t number,
                                           int64_t acked_ms, bool is_command)
{
    for (int i = 0; i < keeper->loss_count; i++) {
        const struct broker_loss *loss = &keeper->losses[i];
        const struct broker_saved *saved = &loss->saved;
        bool was_saved = number_list_has(is_command ? &saved->commands : &saved->replies, number);
        bool came_later = acked_ms >= saved->saved_ms - TICK_MS;
        if (acked_ms <= loss->back_ms &&
            (loss->is_emptied ? was_saved || came_later : !was_saved && came_later)) {
            return loss;
        }
    }
    return NULL;
}

const struct broker_loss *broker_keeper_loss_of_command(const struct broker_keeper *keeper,
                                                        uint32_t number, int64_t acked_ms)
{
    return find_loss(keeper, number, acked_ms, true);
}

const struct broker_loss *broker_keeper_loss_of_reply(const struct broker_keeper *keeper,
                                                      uint32_t number, int64_t acked_ms)
{
    return find_loss(keeper, number, acked_ms, false);
}
