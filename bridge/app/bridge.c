/*
 * The parts meet here and nowhere else: each hook of one is a line that calls another.
 *
 * An orderly stop goes through steps, each begun when the one before is done or its time is up:
 *   intake and new calls end → calls on the wire come home → the ledger has committed them →
 * replies are acknowledged → "offline" is told → the MQTT processes end.
 */
#include "app/bridge.h"

#include "admin/server.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "dispatch/dispatch.h"
#include "ecs/call.h"
#include "intake/intake.h"
#include "intake/takings.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"
#include "outbox/outbox.h"
#include "outbox/status_topic.h"
#include "reload.h"
#include "systemd.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define EXIT_STORE 73

/* The time each step of a stop may take; together below the 10 s that supervisors give. */
#define STOP_CALLS_MS   5000
#define STOP_COMMIT_MS  1000
#define STOP_REPLIES_MS 1500
#define STOP_TOLD_MS    500
#define STOP_MQTT_MS    1000
#define STOP_LEDGER_MS  500

/* How long a command that was set aside keeps the bridge degraded, so that somebody sees it. */
#define SET_ASIDE_SHOWN_MS 60000

/* The first two stop, the third has the accounting told, the fourth says that a lost session was
 * seen, the fifth has files read again. */
static const int SIGNALS[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
#define SIGNAL_COUNT (sizeof SIGNALS / sizeof SIGNALS[0])

/* When a session was lost that nobody has seen yet (wall clock); 0: none. */
#define META_SESSION_LOST "session.lost_at_ms"

struct bridge {
    const struct settings *settings;
    struct counters counters;
    struct health *health;
    struct tls_reload tls; /* in use */
    struct buf will;
    struct loop *loop;
    struct ledger *ledger;
    struct ecs *ecs;
    struct workers *workers;
    struct intake *intake;
    struct dispatch *dispatch;
    struct outbox *outbox;
    struct status_topic *status_topic;
    struct admin *admin;
    struct systemd *systemd;
    struct takings *takings;
    struct blame_gate gate;
    bool *has_session; /* by receiver: the broker kept one once, and should still */
    struct loop_signal *signals[SIGNAL_COUNT];
    struct loop_timer *step_timer;
    const struct stop_step *step; /* NULL until a stop was asked for */
    const char *stop_reason;
};

/* One step of a stop: begins something that calls step_done(), and may take so long. */
struct stop_step {
    const char *name;
    void (*begin)(struct bridge *bridge);
    int64_t timeout_ms;
};

static void begin_step(struct bridge *bridge, const struct stop_step *step)
{
    bridge->step = step;
    loop_timer_start(bridge->step_timer, step->timeout_ms);
    step->begin(bridge);
}

/* A late word of a step whose time was up finds its own step gone and changes nothing. */
static void step_done(struct bridge *bridge, void (*begin)(struct bridge *bridge))
{
    if (bridge->step != NULL && bridge->step->begin == begin) {
        begin_step(bridge, bridge->step + 1);
    }
}

static void stop_calls(struct bridge *bridge);
static void stop_commit(struct bridge *bridge);
static void stop_replies(struct bridge *bridge);
static void stop_tell(struct bridge *bridge);
static void stop_mqtt(struct bridge *bridge);

static void calls_done(void *arg)
{
    step_done(arg, stop_calls);
}

static void stop_calls(struct bridge *bridge)
{
    intake_stop(bridge->intake);
    workers_stop_intake(bridge->workers);
    dispatch_stop(bridge->dispatch, calls_done, bridge);
}

static void ignore_message(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void commit_done(void *arg, size_t count)
{
    (void)count;
    step_done(arg, stop_commit);
}

/* Requests are carried out in order: a read is answered after all outcomes were committed and
 * posted. */
static void stop_commit(struct bridge *bridge)
{
    ledger_read_outbox(bridge->ledger, INT64_MAX, 1, ignore_message, commit_done, bridge);
}

static void replies_done(void *arg)
{
    step_done(arg, stop_replies);
}

static void stop_replies(struct bridge *bridge)
{
    outbox_flush(bridge->outbox, replies_done, bridge);
}

static void told_done(void *arg)
{
    step_done(arg, stop_tell);
}

static void stop_tell(struct bridge *bridge)
{
    health_stop(bridge->health, bridge->stop_reason);
    status_topic_flush(bridge->status_topic, told_done, bridge);
}

static void mqtt_stopped(void *arg)
{
    step_done(arg, stop_mqtt);
}

static void stop_mqtt(struct bridge *bridge)
{
    workers_stop(bridge->workers, STOP_MQTT_MS);
}

static void stop_loop(struct bridge *bridge)
{
    loop_stop(bridge->loop);
}

static const struct stop_step STOP_STEPS[] = {
    {"calls", stop_calls, STOP_CALLS_MS},       {"commit", stop_commit, STOP_COMMIT_MS},
    {"replies", stop_replies, STOP_REPLIES_MS}, {"tell", stop_tell, STOP_TOLD_MS},
    {"mqtt", stop_mqtt, STOP_MQTT_MS + 500},    {"loop", stop_loop, 0},
};

static void step_timed_out(void *arg)
{
    struct bridge *bridge = arg;
    if (bridge->step->begin != stop_loop) {
        LOG_WARN("stop_step_timed_out", LOG_TEXT("step", bridge->step->name));
        step_done(bridge, bridge->step->begin);
    }
}

static void see_session_loss(struct bridge *bridge)
{
    bool was_shown = health_is_on(bridge->health, HEALTH_SESSION_LOST);
    LOG_INFO("session_loss_seen", LOG_TEXT("was_shown", was_shown ? "yes" : "no"));
    if (was_shown) {
        health_set(bridge->health, HEALTH_SESSION_LOST, false);
        ledger_remember(bridge->ledger, META_SESSION_LOST, 0);
    }
}

/* Certificates, keys and passwords are read again: all that is new is used, or nothing of it. */
static void reload(struct bridge *bridge)
{
    ledger_reopen_audit(bridge->ledger);
    bool is_usable = tls_reload_reload(&bridge->tls, bridge->settings) == STATUS_OK;
    if (is_usable) {
        ecs_renew(bridge->ecs);
        workers_renew(bridge->workers);
    }
    health_set(bridge->health, HEALTH_RELOAD_FAILED, !is_usable);
}

/* The first signal stops in good order; a second one skips what is left of the present step. */
static void signalled(void *arg, int signal_number)
{
    struct bridge *bridge = arg;
    if (signal_number == SIGUSR1) {
        counters_log(&bridge->counters);
        return;
    }
    if (signal_number == SIGUSR2) {
        see_session_loss(bridge);
        return;
    }
    if (signal_number == SIGHUP) {
        if (bridge->step == NULL) {
            reload(bridge);
        }
        return;
    }
    if (bridge->step != NULL) {
        step_timed_out(bridge);
        return;
    }
    LOG_INFO("stopping", LOG_TEXT("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"));
    bridge->stop_reason = "stopped";
    systemd_notify(bridge->systemd, "STOPPING=1\nSTATUS=stopping");
    begin_step(bridge, STOP_STEPS);
}

/* The ledger's hooks. */

static void on_set_aside(void *arg)
{
    health_set_for(((struct bridge *)arg)->health, HEALTH_COMMAND_SET_ASIDE, SET_ASIDE_SHOWN_MS);
}

static void on_resumed(void *arg, struct command *command)
{
    struct bridge *bridge = arg;
    if (blame_of(&command->charges) == BLAME_SET_ASIDE) {
        on_set_aside(bridge);
    }
    dispatch_resume(bridge->dispatch, command);
}

static void on_posted(void *arg, int64_t id, struct slice message)
{
    struct bridge *bridge = arg;
    outbox_posted(bridge->outbox, id, message);
    status_topic_counts_changed(bridge->status_topic);
}

static void on_store_health(void *arg, bool is_failing, const char *text)
{
    struct bridge *bridge = arg;
    if (is_failing) {
        LOG_ERROR("store_unavailable", LOG_TEXT("why", text),
                  LOG_TEXT("meaning", "no command is acknowledged until it works again"));
    } else {
        LOG_INFO("store_available", LOG_TEXT("store", bridge->settings->ledger.store));
    }
    health_set(bridge->health, HEALTH_STORE_UNAVAILABLE, is_failing);
}

/* The workers's hooks. */

static void on_delivered(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket)
{
    struct bridge *bridge = arg;
    intake_deliver(bridge->intake, delivery, ticket);
    status_topic_counts_changed(bridge->status_topic);
}

static void on_published(void *arg, int64_t id)
{
    struct bridge *bridge = arg;
    if (id == STATUS_TOPIC_MESSAGE_ID) {
        status_topic_published(bridge->status_topic);
    } else {
        outbox_published(bridge->outbox, id);
        status_topic_counts_changed(bridge->status_topic);
    }
}

static void on_unpublished(void *arg, int64_t id, bool is_final, struct slice why)
{
    struct bridge *bridge = arg;
    if (id == STATUS_TOPIC_MESSAGE_ID) {
        status_topic_unpublished(bridge->status_topic, is_final, why);
    } else {
        outbox_unpublished(bridge->outbox, id, is_final, why);
    }
}

static void notify_systemd(const struct bridge *bridge)
{
    struct buf line = {0};
    buf_printf(&line, "STATUS=%zu of %lld receivers subscribed, publisher %s",
               workers_receivers_up(bridge->workers), (long long)bridge->settings->broker.receivers,
               workers_may_publish(bridge->workers) ? "connected" : "not connected");
    systemd_notify(bridge->systemd, line.data);
    buf_fini(&line);
}

static void on_publisher_changed(void *arg, bool is_up)
{
    struct bridge *bridge = arg;
    notify_systemd(bridge);
    health_set(bridge->health, HEALTH_NO_PUBLISHER, !is_up);
    outbox_publisher_changed(bridge->outbox, is_up,
                             !is_up && workers_has_publisher_crashed(bridge->workers));
}

/* Receivers that end because the bridge stops are no news. */
static void on_receivers_changed(void *arg, size_t up_count, size_t wanted_count)
{
    struct bridge *bridge = arg;
    if (bridge->step == NULL) {
        notify_systemd(bridge);
        health_set(bridge->health, HEALTH_NOT_SUBSCRIBED, up_count < wanted_count);
    }
}

/* Names the fact that a receiver has had a session; with another client id it is another one. */
static char *session_key(const struct bridge *bridge, uint32_t receiver)
{
    struct buf key = {0};
    buf_printf(&key, "session:%u:%s", receiver, bridge->settings->broker.client_id);
    return buf_take(&key);
}

static void recall_sessions(struct bridge *bridge)
{
    uint32_t count = (uint32_t)bridge->settings->broker.receivers;
    bridge->has_session = mem_zalloc(count, sizeof *bridge->has_session);
    for (uint32_t i = 0; i < count; i++) {
        char *key = session_key(bridge, i);
        bridge->has_session[i] = ledger_recall(bridge->ledger, key, 0) != 0;
        free(key);
    }
}

static void recall_session_loss(struct bridge *bridge)
{
    int64_t at_ms = ledger_recall(bridge->ledger, META_SESSION_LOST, 0);
    if (at_ms != 0) {
        health_set_since(bridge->health, HEALTH_SESSION_LOST, at_ms);
    }
}

static void on_session_opened(void *arg, uint32_t receiver, const char *client_id,
                              bool is_session_present)
{
    struct bridge *bridge = arg;
    if (!is_session_present && bridge->has_session[receiver]) {
        counter_add(&bridge->counters, COUNTER_SESSIONS_LOST, 1);
        LOG_ERROR("session_lost", LOG_TEXT("client_id", client_id),
                  LOG_TEXT("meaning", "the broker had forgotten this session: commands published "
                                      "while the bridge was away may be lost"),
                  LOG_TEXT("until", "SIGUSR2 says that somebody has seen it"));
        /* Of several losses the first one's time stays: from then on commands may be lost. */
        health_set(bridge->health, HEALTH_SESSION_LOST, true);
        ledger_remember(bridge->ledger, META_SESSION_LOST,
                        health_since_ms(bridge->health, HEALTH_SESSION_LOST));
    }
    if (!bridge->has_session[receiver]) {
        char *key = session_key(bridge, receiver);
        bridge->has_session[receiver] = true;
        ledger_remember(bridge->ledger, key, 1);
        free(key);
    }
}

static void on_stopped(void *arg)
{
    mqtt_stopped(arg);
}

static int complain(int code, struct buf *why)
{
    LOG_ERROR("cannot_start", LOG_SLICE("why", buf_slice(why)));
    return code;
}

static int open_ledger(struct bridge *bridge, struct buf *why)
{
    const struct settings *settings = bridge->settings;
    const struct ledger_options options = {
        .store = settings->ledger.store,
        .is_full = strcmp(settings->ledger.durability, "full") == 0,
        .success_ttl_s = settings->dedup.success_ttl_s,
        .failure_ttl_s = settings->dedup.failure_ttl_s,
        .pending_max = settings->limits.pending,
        .waiters_max = settings->limits.waiters_per_token,
        .replies = {.qos = (uint8_t)settings->replies.qos, .expiry_s = settings->replies.expiry_s},
        .routes = settings->routes,
        .route_count = settings->route_count,
        .counters = &bridge->counters,
        .audit_file = settings->audit.file,
        .is_audit_chained = settings->audit.chain,
        .instance = settings->instance,
    };
    const struct ledger_hooks hooks = {
        .arg = bridge, .resumed = on_resumed, .posted = on_posted, .health = on_store_health};
    enum status status = ledger_open(bridge->loop, &options, &hooks, &bridge->ledger, why);
    return status == STATUS_OK ? EX_OK : complain(EXIT_STORE, why);
}

/* The endpoint helps operators but the main job does not need it: without it the bridge runs, and
 * says so. */
static void open_admin(struct bridge *bridge)
{
    struct buf why = {0};
    const struct admin_options options = {bridge->settings->admin.listen,
                                          bridge->settings->instance, bridge->health,
                                          &bridge->counters};
    if (options.listen[0] == '\0') {
        return;
    }
    if (admin_new(&options, &bridge->admin, &why) == STATUS_OK) {
        LOG_INFO("admin_listening", LOG_TEXT("listen", options.listen),
                 LOG_INT("port", admin_port(bridge->admin)));
    } else {
        LOG_ERROR("admin_unavailable", LOG_SLICE("why", buf_slice(&why)));
    }
    buf_fini(&why);
}

static void make_workers(struct bridge *bridge, const char *program)
{
    const struct workers_hooks hooks = {.arg = bridge,
                                        .delivered = on_delivered,
                                        .published = on_published,
                                        .unpublished = on_unpublished,
                                        .publisher_changed = on_publisher_changed,
                                        .receivers_changed = on_receivers_changed,
                                        .session_opened = on_session_opened,
                                        .stopped = on_stopped};
    bridge->workers = workers_new(bridge->loop, bridge->settings, &bridge->tls.broker, program,
                                  buf_slice(&bridge->will), &bridge->counters, &hooks);
}

/* Beside the ledger's file, in the working directory where it has none. */
static void watch_intake(struct bridge *bridge)
{
    static const char FILE_STORE[] = "sqlite:";
    const char *store = bridge->settings->ledger.store;
    bool is_file = strncmp(store, FILE_STORE, sizeof FILE_STORE - 1) == 0;
    struct buf path = {0};
    buf_printf(&path, "%s.takings", is_file ? store + sizeof FILE_STORE - 1 : "ecs-mqtt-bridge");
    bridge->takings = takings_open(path.data);
    dispatch_share(bridge->dispatch, &bridge->gate);
    intake_watch(bridge->intake, takings_marks(bridge->takings), &bridge->gate, on_set_aside,
                 bridge);
    buf_fini(&path);
}

/* Builds all parts. An exit code other than EX_OK says that it cannot run. */
static int build(struct bridge *bridge, const char *program)
{
    struct buf why = {0};
    bridge->loop = loop_new();
    bridge->step_timer = loop_timer_new(bridge->loop, step_timed_out, bridge);
    bridge->systemd = systemd_new(bridge->loop);
    bridge->health = health_new(bridge->loop);
    bridge->status_topic =
        status_topic_new(bridge->loop, bridge->settings, bridge->health, &bridge->counters);
    bridge->dispatch = dispatch_new(bridge->loop, bridge->settings, &bridge->counters);
    bridge->outbox = outbox_new(bridge->loop, &bridge->counters);
    int code = tls_reload_load(&bridge->tls, bridge->settings) == STATUS_OK ? EX_OK : EX_CONFIG;
    if (code == EX_OK) {
        code = open_ledger(bridge, &why);
    }
    if (code == EX_OK && ecs_new(bridge->loop, bridge->settings, &bridge->tls.api, bridge->health,
                                 &bridge->ecs, &why) != STATUS_OK) {
        code = complain(EX_CONFIG, &why);
    }
    if (code == EX_OK && status_topic_will(bridge->settings, &bridge->will) != STATUS_OK) {
        buf_append_text(&why, "topics.status: the filled-in topic is too long");
        code = complain(EX_CONFIG, &why);
    }
    if (code == EX_OK) {
        make_workers(bridge, program);
        bridge->intake = intake_new(bridge->settings, &bridge->counters, bridge->ledger,
                                    bridge->dispatch, bridge->workers);
        watch_intake(bridge);
        open_admin(bridge);
    }
    buf_fini(&why);
    return code;
}

/* A signal that comes while the bridge is being built waits until the loop can hear it. */
static void hold_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        sigaddset(&set, SIGNALS[i]);
    }
    pthread_sigmask(how, &set, NULL);
}

static void hear_signals(struct bridge *bridge)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        bridge->signals[i] = loop_signal_new(bridge->loop, SIGNALS[i], signalled, bridge);
    }
    hold_signals(SIG_UNBLOCK);
}

static void start(struct bridge *bridge)
{
    hear_signals(bridge);
    status_topic_connect(bridge->status_topic, bridge->workers);
    dispatch_connect(bridge->dispatch, bridge->ledger, bridge->ecs);
    recall_sessions(bridge);
    recall_session_loss(bridge);
    dispatch_hold(bridge->dispatch, true);
    ledger_start(bridge->ledger);
    dispatch_hold(bridge->dispatch, false);
    outbox_connect(bridge->outbox, bridge->ledger, bridge->workers);
    workers_start(bridge->workers);
    /* Not only when subscribed: a broker that is away is no reason to start the bridge again. */
    systemd_notify(bridge->systemd, "READY=1\nSTATUS=connecting to the broker");
}

static void take_apart(struct bridge *bridge)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        loop_signal_free(bridge->signals[i]);
    }
    workers_free(bridge->workers);
    ecs_free(bridge->ecs);
    ledger_close(bridge->ledger, STOP_LEDGER_MS);
    admin_free(bridge->admin);
    intake_free(bridge->intake);
    takings_close(bridge->takings);
    outbox_free(bridge->outbox);
    dispatch_free(bridge->dispatch);
    status_topic_free(bridge->status_topic);
    health_free(bridge->health);
    loop_timer_free(bridge->step_timer);
    systemd_free(bridge->systemd);
    loop_free(bridge->loop);
    buf_fini(&bridge->will);
    tls_reload_fini(&bridge->tls);
    free(bridge->has_session);
}

int bridge_run(const struct settings *settings, const char *program)
{
    close_range(STDERR_FILENO + 1, ~0U,
                0); /* a stranger's socket could be taken for the broker's */
    struct bridge *bridge = mem_zalloc(1, sizeof *bridge);
    bridge->settings = settings;
    hold_signals(SIG_BLOCK);
    int code = build(bridge, program);
    if (code == EX_OK) {
        LOG_INFO("starting", LOG_TEXT("version", BRIDGE_VERSION),
                 LOG_TEXT("instance", settings->instance),
                 LOG_TEXT("store", settings->ledger.store),
                 LOG_TEXT("durability", settings->ledger.durability));
        start(bridge);
        loop_run(bridge->loop);
        counters_log(&bridge->counters);
        LOG_INFO("stopped", LOG_TEXT("instance", settings->instance));
    }
    take_apart(bridge);
    free(bridge);
    return code;
}
