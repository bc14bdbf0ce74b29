/*
 * Builds all parts, starts them and ends them. What the parts report is in hooks.c; what is more
 * than wiring has a file of its own: shutdown, reload, sessions, systemd.
 */
#include "app/bridge.h"

#include "base/log.h"
#include "base/mem.h"
#include "hooks.h"
#include "ledger_loss.h"
#include "settings/store_uri.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define EXIT_STORE   73
#define EXIT_STOPPED (-1) /* by a signal while it waited for its ledger */

/* How long the ledger may take to commit when it is closed. */
#define CLOSE_LEDGER_MS 500
#define HEARTBEAT_MS    5000
#define LEAVE_CHECK_MS  200
#define LEDGER_RETRY_MS 500
/* More than an attempt to open a ledger takes: systemd waits for so long after each report. */
#define START_TIMEOUT "EXTEND_TIMEOUT_USEC=600000000"

/* ---- Signals ---- */

/* The first one stops in good order; each further one skips the rest of the present step. */
static void on_stop(struct bridge *bridge, const char *signal_name)
{
    if (shutdown_has_begun(bridge->shutdown)) {
        shutdown_skip_step(bridge->shutdown);
        return;
    }
    LOG_INFO("stopping", LOG_TEXT("signal", signal_name));
    systemd_notify(bridge->systemd, "STOPPING=1\nSTATUS=stopping");
    watcher_stop(bridge->watcher);
    adoption_stop(bridge->adoption);
    shutdown_begin(bridge->shutdown,
                   &(struct shutdown_parts){bridge->health, bridge->ledger, bridge->exporter,
                                            bridge->workers, bridge->intake, bridge->dispatch,
                                            bridge->outbox, bridge->status_topic, bridge->traces});
}

static void on_reload(struct bridge *bridge, const char *signal_name)
{
    (void)signal_name;
    if (!shutdown_has_begun(bridge->shutdown)) {
        exporter_reopen(bridge->exporter);
        (void)settings_reload_begin(bridge->reload, NULL, NULL);
    }
}

static void on_report(struct bridge *bridge, const char *signal_name)
{
    (void)signal_name;
    counters_log(&bridge->counters);
}

static void on_acknowledge(struct bridge *bridge, const char *signal_name)
{
    (void)signal_name;
    (void)sessions_acknowledge_loss(bridge->sessions);
    (void)ledger_loss_acknowledge(bridge->ledger, bridge->health);
}

static const struct {
    int number;
    const char *name;
    void (*handle)(struct bridge *bridge, const char *signal_name);
} SIGNALS[BRIDGE_SIGNAL_COUNT] = {
    {SIGTERM, "SIGTERM", on_stop},        {SIGINT, "SIGINT", on_stop},
    {SIGHUP, "SIGHUP", on_reload},        {SIGUSR1, "SIGUSR1", on_report},
    {SIGUSR2, "SIGUSR2", on_acknowledge},
};

static void signalled(void *arg, int number)
{
    for (size_t i = 0; i < BRIDGE_SIGNAL_COUNT; i++) {
        if (SIGNALS[i].number == number) {
            SIGNALS[i].handle(arg, SIGNALS[i].name);
        }
    }
}

/* SIG_BLOCK: signals that come while the bridge is built wait for SIG_UNBLOCK. */
static void mask_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < BRIDGE_SIGNAL_COUNT; i++) {
        sigaddset(&set, SIGNALS[i].number);
    }
    pthread_sigmask(how, &set, NULL);
}

/* Commands go first, what has no room is not read, and nothing is without a lease. */
static bool may_read_states(void *arg)
{
    const struct bridge *bridge = arg;
    return bridge->lease.is_valid && dispatch_has_free_slot(bridge->dispatch) &&
           !outbox_is_full(bridge->outbox);
}

/* ---- Building, starting, ending ---- */

static int complain(int code, struct buf *why)
{
    LOG_ERROR("cannot_start", LOG_SLICE("why", buf_slice(why)));
    return code;
}

/* A shared ledger may be away for now. False: a signal came to stop. */
static bool wait_for_ledger(const struct bridge *bridge)
{
    static const struct timespec WAIT = {.tv_nsec = LEDGER_RETRY_MS * 1000000L};
    sigset_t stops;
    systemd_notify(bridge->systemd, START_TIMEOUT);
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    return sigtimedwait(&stops, NULL, &WAIT) < 0;
}

static int open_ledger(struct bridge *bridge, struct buf *why)
{
    const struct settings *settings = bridge->settings;
    struct ledger_options options = {
        .store = settings->ledger.store,
        .instance = settings->instance,
        .password_file = settings->ledger.password_file,
        .lease = &bridge->lease,
        .lease_ms = settings->ledger.lease_s * 1000,
        .warns_of_loss = settings_warns_of_loss(settings),
        .is_full = strcmp(settings->ledger.durability, "full") == 0,
        .counters = &bridge->counters,
    };
    settings_reload_ledger_limits(settings, &options);
    const struct ledger_hooks hooks = hooks_of_ledger(bridge);
    struct buf reported = {0};
    enum status status;
    systemd_notify(bridge->systemd, START_TIMEOUT); /* already the first attempt may be long */
    while ((status = ledger_open(bridge->loop, &options, &hooks, &bridge->ledger, why)) ==
           STATUS_UNAVAILABLE) {
        if (!slice_equals(buf_slice(why), buf_slice(&reported))) {
            hooks.health(hooks.arg, true, why->data);
            systemd_notify(bridge->systemd, "STATUS=waiting for the ledger");
            buf_clear(&reported);
            buf_append(&reported, buf_slice(why));
        }
        buf_clear(why);
        if (!wait_for_ledger(bridge)) {
            buf_fini(&reported);
            return EXIT_STOPPED;
        }
    }
    buf_fini(&reported);
    if (status == STATUS_OK && bridge->is_store_failing) {
        hooks.health(hooks.arg, false, NULL);
    }
    return status == STATUS_OK ? EX_OK : complain(EXIT_STORE, why);
}

/* Another bridge may be connected to the broker with the client id of this one. */
static int wait_for_sessions(struct bridge *bridge)
{
    bool is_reported = false;
    enum adoption_wait wait;
    while ((wait = adoption_must_wait(bridge->ledger, &bridge->lease)) == ADOPTION_WAIT) {
        if (!is_reported) {
            LOG_WARN("session_held", LOG_TEXT("instance", bridge->settings->instance));
            systemd_notify(bridge->systemd, "STATUS=waiting for its session at the broker");
        }
        is_reported = true;
        if (!wait_for_ledger(bridge)) {
            return EXIT_STOPPED;
        }
    }
    if (wait == ADOPTION_START_AGAIN) {
        LOG_ERROR("lease_lost", LOG_INT("exit_code", LEASE_GUARD_EXIT));
        return LEASE_GUARD_EXIT;
    }
    return EX_OK;
}

static int open_exporter(struct bridge *bridge, struct buf *why)
{
    const struct settings *settings = bridge->settings;
    const struct exporter_options options = {
        .file = settings->audit.file,
        .instance = settings->instance,
        .is_chained = settings->audit.chain,
        .is_full = strcmp(settings->ledger.durability, "full") == 0,
        .rows_max = settings->limits.outbox_messages,
        .health = bridge->health,
    };
    if (settings->audit.file[0] == '\0') {
        return EX_OK;
    }
    enum status status =
        exporter_new(bridge->loop, bridge->ledger, &options, &bridge->exporter, why);
    return status == STATUS_OK ? EX_OK : complain(EXIT_STORE, why);
}

/* The endpoint is not needed for the main job: where it cannot listen, the bridge runs without it.
 * Its threads serve it already before the loop runs; what the loop answers waits until then. */
static void open_admin(struct bridge *bridge)
{
    struct buf why = {0};
    bridge->admin_options = (struct admin_options){.listen = bridge->settings->admin.listen,
                                                   .instance = bridge->settings->instance,
                                                   .health = bridge->health,
                                                   .counters = &bridge->counters,
                                                   .sessions = &bridge->shown_sessions,
                                                   .loop = bridge->loop,
                                                   .hooks = commands_json_hooks(&bridge->commands)};
    if (bridge->admin_options.listen[0] == '\0') {
        return;
    }
    if (admin_new(&bridge->admin_options, &bridge->admin, &why) == STATUS_OK) {
        LOG_INFO("admin_listening", LOG_TEXT("listen", bridge->admin_options.listen),
                 LOG_INT("port", admin_port(bridge->admin)));
    } else {
        LOG_ERROR("admin_unavailable", LOG_SLICE("why", buf_slice(&why)));
    }
    buf_fini(&why);
}

/* As --leave, but while it runs. */
static bool on_leave(void *arg)
{
    struct bridge *bridge = arg;
    if (!sessions_leave(bridge->sessions)) {
        return false;
    }
    bridge->is_leaving = true;
    systemd_notify(bridge->systemd, "STATUS=leaving: taking and answering what the broker holds");
    return true;
}

/* As the endpoint: where the socket cannot be made, the bridge runs without it. */
static void open_control(struct bridge *bridge)
{
    struct buf why = {0};
    char *path = settings_control_path(bridge->settings);
    const struct orders_parts parts = {.admin = &bridge->admin_options,
                                       .sessions = bridge->sessions,
                                       .reload = bridge->reload,
                                       .exporter = bridge->exporter,
                                       .settings = bridge->settings,
                                       .ledger = bridge->ledger,
                                       .health = bridge->health,
                                       .dispatch = bridge->dispatch,
                                       .shutdown = bridge->shutdown,
                                       .leave = on_leave,
                                       .arg = bridge};
    if (path != NULL &&
        orders_new(bridge->loop, path, &parts, &bridge->orders, &why) != STATUS_OK) {
        LOG_ERROR("control_unavailable", LOG_SLICE("why", buf_slice(&why)));
    }
    free(path);
    buf_fini(&why);
}

static void make_workers(struct bridge *bridge)
{
    const struct workers_hooks hooks = hooks_of_workers(bridge);
    bridge->workers =
        workers_new(bridge->loop, bridge->settings, &bridge->tls.broker, bridge->program.path,
                    buf_slice(&bridge->will), &bridge->counters, &hooks);
}

static void make_reload(struct bridge *bridge)
{
    const struct settings_reload_parts parts = {.source = bridge->source,
                                                .settings = bridge->settings,
                                                .counters = &bridge->counters,
                                                .tls = &bridge->tls,
                                                .health = bridge->health,
                                                .systemd = bridge->systemd,
                                                .ledger = bridge->ledger,
                                                .exporter = bridge->exporter,
                                                .ecs = bridge->ecs,
                                                .watcher = bridge->watcher,
                                                .workers = bridge->workers,
                                                .intake = bridge->intake,
                                                .dispatch = bridge->dispatch,
                                                .sessions = bridge->sessions};
    bridge->reload = settings_reload_new(&parts);
}

/* A bridge whose settings do not name it gets the name that its ledger keeps. */
static void open_sessions(struct bridge *bridge)
{
    bridge->sessions =
        sessions_new(bridge->loop, bridge->settings, bridge->is_leaving, bridge->ledger,
                     bridge->health, &bridge->counters, &bridge->shown_sessions);
    if (bridge->settings->is_instance_host_name && !settings_is_shared(bridge->settings)) {
        settings_set_instance(bridge->settings, sessions_instance(bridge->sessions));
    }
}

/* Builds all parts. Returns EX_OK or the exit code. */
static int build(struct bridge *bridge)
{
    struct buf why = {0};
    bridge->loop = loop_new();
    bridge->shutdown = shutdown_new(bridge->loop);
    bridge->systemd = systemd_new(bridge->loop);
    bridge->health = health_new(bridge->loop);
    bridge->status_topic =
        status_topic_new(bridge->loop, bridge->settings, bridge->health, &bridge->counters);
    bridge->dispatch =
        dispatch_new(bridge->loop, bridge->settings, bridge->health, &bridge->counters);
    bridge->watcher =
        watcher_new(bridge->loop, bridge->settings, bridge->health, &bridge->counters);
    bridge->outbox = outbox_new(bridge->loop, bridge->settings, bridge->health, &bridge->counters);
    int code = EX_OK;
    if (mqtt_program_open(&bridge->program, &why) != STATUS_OK) {
        code = complain(EX_UNAVAILABLE, &why);
    }
    if (code == EX_OK && tls_reload_load(&bridge->tls, bridge->settings) != STATUS_OK) {
        code = EX_CONFIG;
    }
    if (code == EX_OK) {
        tls_reload_publish(&bridge->tls, &bridge->counters);
        if (settings_is_shared(bridge->settings)) {
            open_admin(bridge); /* its database may be away for long, and probes are answered */
        }
        code = open_ledger(bridge, &why);
    }
    if (code == EX_OK && settings_is_shared(bridge->settings)) {
        code = wait_for_sessions(bridge);
    }
    if (code == EX_OK) {
        ledger_loss_recall(bridge->ledger, bridge->health);
        open_sessions(bridge);
        code = open_exporter(bridge, &why);
    }
    if (code == EX_OK && ecs_new(bridge->loop, bridge->settings, &bridge->tls.api, bridge->health,
                                 &bridge->counters, &bridge->ecs, &why) != STATUS_OK) {
        code = complain(EX_CONFIG, &why);
    }
    if (code == EX_OK && status_topic_will(bridge->settings, &bridge->will) != STATUS_OK) {
        buf_append_text(&why, "topics.status: the filled-in topic is too long");
        code = complain(EX_CONFIG, &why);
    }
    if (code == EX_OK) {
        make_workers(bridge);
        bridge->intake = intake_new(bridge->settings, &bridge->counters, bridge->ledger,
                                    bridge->dispatch, bridge->outbox, bridge->workers);
        bridge->traces = traces_new(bridge->loop, bridge->settings->trace.endpoint,
                                    bridge->settings->instance, &bridge->counters);
        bridge->commands = (struct commands_json){bridge->dispatch, bridge->ledger,
                                                  &bridge->counters, bridge->watcher};
        if (!settings_is_shared(bridge->settings)) {
            open_admin(bridge); /* its instance is in the ledger */
        }
        make_reload(bridge);
        open_control(bridge);
    }
    buf_fini(&why);
    return code;
}

/* After a load much of the heap is kept for the next one, or free in between what is in use: the
 * kernel gets it back. */
static void trim_heap(struct bridge *bridge)
{
    int64_t received_count = counter_get(&bridge->counters, COUNTER_RECEIVED);
    if (received_count != bridge->trimmed_at_count &&
        counter_get(&bridge->counters, COUNTER_IN_WORK) == 0) {
        bridge->trimmed_at_count = received_count;
        ecs_trim(bridge->ecs);
        malloc_trim(0);
    }
}

/* Reports that the loop still runs, and tries again to write the log lines that wait. */
static void heartbeat_due(void *arg)
{
    struct bridge *bridge = arg;
    health_beat(bridge->health);
    trim_heap(bridge);
    (void)log_flush();
    if (getpid() == 1) {
        loop_reap_orphans(bridge->loop);
    }
    loop_timer_start(bridge->heartbeat, HEARTBEAT_MS);
}

/* The bridge leaves: nothing is at the broker any more, but what was taken is to be answered. */
static void leave_if_idle(void *arg)
{
    static const enum counter rest[] = {COUNTER_IN_WORK, COUNTER_WAITING, COUNTER_OUTBOX_DEPTH};
    struct bridge *bridge = arg;
    bool is_idle = !health_is_on(bridge->health, HEALTH_NO_PUBLISHER);
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        is_idle &= counter_get(&bridge->counters, rest[i]) == 0;
    }
    if (!is_idle) {
        loop_timer_start(bridge->leave, LEAVE_CHECK_MS);
    } else if (!shutdown_has_begun(bridge->shutdown)) {
        bridge->has_left = true;
        status_topic_clear(bridge->status_topic);
        on_stop(bridge, "none");
    }
}

static void on_left(void *arg)
{
    loop_timer_start(((struct bridge *)arg)->leave, 0);
}

static void start(struct bridge *bridge)
{
    for (size_t i = 0; i < BRIDGE_SIGNAL_COUNT; i++) {
        bridge->signals[i] = loop_signal_new(bridge->loop, SIGNALS[i].number, signalled, bridge);
    }
    mask_signals(SIG_UNBLOCK);
    bridge->heartbeat = loop_timer_new(bridge->loop, heartbeat_due, bridge);
    heartbeat_due(bridge);
    status_topic_connect(bridge->status_topic, bridge->workers);
    dispatch_connect(bridge->dispatch, bridge->ledger, bridge->ecs, bridge->watcher);
    watcher_connect(bridge->watcher, bridge->ledger, bridge->ecs, may_read_states, bridge);
    dispatch_hold(bridge->dispatch, true);
    ledger_start(bridge->ledger);
    dispatch_hold(bridge->dispatch, false);
    ecs_set_lease(bridge->ecs, &bridge->lease);
    outbox_set_lease(bridge->outbox, &bridge->lease);
    if (settings_is_shared(bridge->settings)) {
        bridge->lease_guard = lease_guard_new(
            bridge->loop,
            &(struct lease_guard_parts){&bridge->lease, bridge->dispatch, bridge->outbox,
                                        bridge->workers, hooks_lease_changed, bridge});
    }
    traces_connect(bridge->traces, bridge->ledger);
    intake_trace(bridge->intake, bridge->traces);
    outbox_trace(bridge->outbox, bridge->traces);
    outbox_connect(bridge->outbox, bridge->ledger, bridge->workers);
    ecs_start(bridge->ecs);
    bridge->leave = loop_timer_new(bridge->loop, leave_if_idle, bridge);
    sessions_start(bridge->sessions, bridge->workers, on_left, bridge);
    bridge->adoption =
        adoption_new(bridge->loop, &(struct adoption_parts){bridge->settings, &bridge->lease,
                                                            bridge->ledger, bridge->sessions});
    /* Already now: a broker that is away is no reason for systemd to restart the bridge. */
    systemd_notify(bridge->systemd, "READY=1\nSTATUS=connecting to the broker");
}

static void take_apart(struct bridge *bridge)
{
    for (size_t i = 0; i < BRIDGE_SIGNAL_COUNT; i++) {
        loop_signal_free(bridge->signals[i]);
    }
    loop_timer_free(bridge->heartbeat);
    loop_timer_free(bridge->leave);
    lease_guard_free(bridge->lease_guard);
    workers_free(bridge->workers);
    mqtt_program_close(&bridge->program);
    ecs_free(bridge->ecs);
    exporter_free(bridge->exporter);
    ledger_close(bridge->ledger, CLOSE_LEDGER_MS);
    adoption_free(bridge->adoption);
    admin_free(bridge->admin);
    orders_free(bridge->orders);
    intake_free(bridge->intake);
    outbox_free(bridge->outbox);
    traces_free(bridge->traces);
    dispatch_free(bridge->dispatch);
    watcher_free(bridge->watcher);
    settings_reload_free(bridge->reload);
    status_topic_free(bridge->status_topic);
    sessions_free(bridge->sessions);
    shared_text_fini(&bridge->shown_sessions);
    health_free(bridge->health);
    shutdown_free(bridge->shutdown);
    systemd_free(bridge->systemd);
    loop_free(bridge->loop);
    buf_fini(&bridge->will);
    tls_reload_fini(&bridge->tls);
}

int bridge_run(struct settings *settings, const struct settings_source *source, bool is_leaving)
{
    struct bridge *bridge = mem_zalloc(1, sizeof *bridge);
    bridge->settings = settings;
    bridge->source = source;
    bridge->is_leaving = is_leaving;
    shared_text_init(&bridge->shown_sessions);
    lease_init(&bridge->lease);
    mask_signals(SIG_BLOCK);
    int code = build(bridge);
    if (code == EX_OK) {
        struct buf store = {0};
        store_uri_mask(settings->ledger.store, &store);
        LOG_INFO("starting", LOG_TEXT("version", BRIDGE_VERSION),
                 LOG_TEXT("instance", settings->instance), LOG_SLICE("store", buf_slice(&store)),
                 LOG_TEXT("durability", settings->ledger.durability));
        buf_fini(&store);
        start(bridge);
        loop_run(bridge->loop);
        counters_log(&bridge->counters);
        LOG_INFO("stopped", LOG_TEXT("instance", settings->instance));
        code = bridge->is_leaving && !bridge->has_left ? EX_UNAVAILABLE : EX_OK;
    }
    take_apart(bridge);
    free(bridge);
    return code == EXIT_STOPPED ? EX_OK : code;
}
