#include "bridge_keeper.h"

#include "base/buf.h"
#include "flow_settings.h"
#include "plan.h"
#include "violation.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* The bridge promises 10 s; the rest is tolerance for a busy machine. */
enum { STOP_MS = 10000 + 1500 };

/* If the packet of the trap does not come within this time, the bridge is killed at once. */
enum { TRAP_MS = 2500, TRAP_PACKETS = 12 };

static const char default_settings[] =
    "broker.username = \"bridge\"; broker.reconnect_min_s = 1; broker.reconnect_max_s = 2; "
    "api.connect_timeout_ms = 500; api.read_timeout_ms = 1000;"
    "api.rate_per_s = 300.0; api.rate_burst = 200; api.rpo_s = 1;";

enum {
    VALUES_MAX = 4,
    LEDGER_BYTES = 400,
};

#define TORTURE_INSTANCE "torture"

/* Of the route that starts groups; every value of `topics` takes in all starts. With a shared
 * ledger a route always has a share, and an instance has the number of its bridge in it. */
static const struct {
    const char *name;
    const char *values[VALUES_MAX];
    int count;
} changing[BRIDGE_SETTING_COUNT] = {
    [BRIDGE_TOPICS] = {"topics",
                       {PLAN_COMMANDS "/#", PLAN_COMMANDS "/+", "ecs-bridge/v1/commands/#",
                        "ecs-bridge/v1/commands/+/+"},
                       4},
    [BRIDGE_SHARE] = {"share", {"", "blue", "green"}, 3},
    [BRIDGE_INSTANCE] = {"instance",
                         {TORTURE_INSTANCE, TORTURE_INSTANCE "-2", TORTURE_INSTANCE "-3"},
                         3},
};

const char *bridge_keeper_setting_name(enum bridge_setting setting)
{
    return changing[setting].name;
}

static const char *value_of(const struct bridge_keeper *keeper, enum bridge_setting setting)
{
    return changing[setting].values[keeper->chosen[setting]];
}

const char *bridge_keeper_instance(const struct bridge_keeper *keeper)
{
    return keeper->instance;
}

static const char *share_of(const struct bridge_keeper *keeper)
{
    const char *share = value_of(keeper, BRIDGE_SHARE);
    return keeper->options.store != NULL && share[0] == '\0' ? "torture" : share;
}

static void name_instance(struct bridge_keeper *keeper)
{
    const char *value = value_of(keeper, BRIDGE_INSTANCE);
    snprintf(keeper->instance, sizeof keeper->instance, "%s", value);
    if (keeper->options.store != NULL) {
        snprintf(keeper->instance, sizeof keeper->instance, TAP_INSTANCE "%d%s",
                 keeper->options.number, value + strlen(TORTURE_INSTANCE));
    }
}

/* The share of the other routes, and the ledger. */
static void write_shared(const struct bridge_keeper *keeper, char *out_share, char *out_ledger,
                         size_t size)
{
    const struct bridge_options *options = &keeper->options;
    out_share[0] = '\0';
    int length = snprintf(out_ledger, size, "broker.keepalive_s = 5;");
    if (options->store != NULL) {
        snprintf(out_share, size, "share = \"torture\";");
        snprintf(out_ledger + length, size - (size_t)length,
                 " ledger.store = \"%s\"; ledger.lease_s = %d; ledger.session_adopt_s = %d;",
                 options->store, options->lease_s, options->session_adopt_s);
    }
}

/* With the blank of a list in front; "" for none. */
static void write_alerts(const struct bridge_keeper *keeper, const char *share, char *out,
                         size_t size)
{
    const struct bridge_options *options = &keeper->options;
    out[0] = '\0';
    if (options->coalesce_s >= 0) {
        snprintf(out, size,
                 ", { name = \"alerts\"; topics = (\"" PLAN_ALERTS
                 "/#\"); groups = (\"pg-*\"); input = \"json\"; each = \"/alerts\";"
                 " when = ( { value = \"{/status}\"; is = (\"firing\"); } );"
                 " map: { RegionId = \"{/labels/region}\"; ReplicaGroupId = \"{/labels/group}\";"
                 " OneShot = \"{/labels/once}\"; ClientToken = \"{/fingerprint}\"; };"
                 " coalesce_s = %d; %s %s }",
                 options->coalesce_s, options->route_settings, share);
    }
}

static void write_config(const struct bridge_keeper *keeper)
{
    char defaults[4096];
    char alerts[1024];
    char share[LEDGER_BYTES];
    char ledger[LEDGER_BYTES];
    const struct bridge_options *options = &keeper->options;
    write_shared(keeper, share, ledger, LEDGER_BYTES);
    write_alerts(keeper, share, alerts, sizeof alerts);
    snprintf(defaults, sizeof defaults,
             "%sbroker.uris = (\"%s\"); broker.tls.ca_file = \"%s\";"
             "api.endpoint = \"http://127.0.0.1:%d\";"
             "admin.listen = \"127.0.0.1:%d\"; %s"
             "routes = ( { topics = (\"%s\"); share = \"%s\"; groups = (\"pg-*\"); %s },"
             " { name = \"stop\"; action = \"StopDiskReplicaGroup\"; topics = (\"" PLAN_STOPS
             "/#\"); groups = (\"pg-*\"); %s %s }%s ); instance = \"%s\";",
             default_settings, options->broker_uri, options->broker_ca_file, options->api_port,
             keeper->admin_port, ledger, value_of(keeper, BRIDGE_TOPICS), share_of(keeper),
             options->route_settings, share, options->route_settings, alerts,
             bridge_keeper_instance(keeper));
    char *text = settings_write(defaults, options->settings);
    file_write(keeper->bridge.config, text);
    free(text);
}

void bridge_keeper_init(struct bridge_keeper *keeper, const struct bridge_options *options)
{
    struct bridge *bridge = &keeper->bridge;
    *keeper = (struct bridge_keeper){.options = *options, .restart.changed = BRIDGE_SETTING_COUNT};
    bridge->fixture = &keeper->fixture;
    keeper->trap = &options->tap->traps[options->number];
    name_instance(keeper);
    keeper->admin_port = port_reserve(&keeper->admin_guard);
    snprintf(bridge->directory, sizeof bridge->directory, "%s/bridge", options->directory);
    if (options->number > 0) {
        snprintf(bridge->directory, sizeof bridge->directory, "%s/bridge-%d", options->directory,
                 options->number);
    }
    snprintf(bridge->config, sizeof bridge->config, "%s/bridge.conf", bridge->directory);
    snprintf(bridge->log, sizeof bridge->log, "%s/bridge.log", bridge->directory);
    mkdir(bridge->directory, 0700);
    bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=" FLOW_ACCESS_KEY;
    bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" FLOW_ACCESS_SECRET;
    log_reader_init(&keeper->log_reader, bridge->directory, bridge->log);
    bridge->output = keeper->log_reader.path;
    write_config(keeper);
    bridge_start(bridge);
}

void bridge_keeper_fini(struct bridge_keeper *keeper)
{
    if (keeper->bridge.pid > 0) {
        bridge_kill(&keeper->bridge);
    }
    log_reader_fini(&keeper->log_reader);
    free(keeper->kills_ms);
    close(keeper->admin_guard);
}

bool bridge_keeper_is_idle(const struct bridge_keeper *keeper)
{
    return keeper->start_ms == 0 && keeper->stop_by_ms == 0 && keeper->trap_until_ms == 0 &&
           keeper->resume_ms == 0 && keeper->bridge.pid > 0;
}

unsigned bridge_keeper_timeline(const struct bridge_keeper *keeper)
{
    struct buf path = {0};
    unsigned timeline = 0;
    buf_printf(&path, "%s/%s.timeline", keeper->bridge.directory, bridge_keeper_instance(keeper));
    FILE *file = fopen(path.data, "re");
    buf_fini(&path);
    if (file != NULL) {
        if (fscanf(file, "%*u %u", &timeline) != 1) {
            timeline = 0;
        }
        fclose(file);
    }
    return timeline;
}

/* --- absences --- */

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void begin_absence(struct bridge_keeper *keeper, bool is_pause)
{
    if (keeper->absence_count == BRIDGE_ABSENCES_MAX) {
        flow_fail("too many faults of a bridge");
    }
    struct bridge_absence *absence = &keeper->absences[keeper->absence_count++];
    *absence = (struct bridge_absence){
        .from_ms = flow_now_ms(),
        .from_wall_ms = wall_ms(),
        .to_ms = INT64_MAX,
        .to_wall_ms = INT64_MAX,
        .is_pause = is_pause,
    };
    memcpy(absence->instance, keeper->instance, sizeof absence->instance);
}

static void end_absence(struct bridge_keeper *keeper)
{
    if (keeper->absence_count == 0) {
        return;
    }
    struct bridge_absence *last = &keeper->absences[keeper->absence_count - 1];
    if (last->to_ms == INT64_MAX) {
        last->to_ms = flow_now_ms();
        last->to_wall_ms = wall_ms();
    }
}

bool bridge_keeper_was_paused(const struct bridge_keeper *keeper, int64_t at_ms, int after_ms)
{
    for (int i = 0; i < keeper->absence_count; i++) {
        const struct bridge_absence *absence = &keeper->absences[i];
        bool is_over = absence->to_ms != INT64_MAX && at_ms > absence->to_ms + after_ms;
        if (absence->is_pause && at_ms >= absence->from_ms && !is_over) {
            return true;
        }
    }
    return false;
}

/* --- kills --- */

static void note_kill(struct bridge_keeper *keeper)
{
    size_t size = (keeper->kill_count + 1) * sizeof *keeper->kills_ms;
    begin_absence(keeper, false);
    keeper->kills_ms = realloc(keeper->kills_ms, size);
    assert(keeper->kills_ms != NULL);
    keeper->kills_ms[keeper->kill_count++] = flow_now_ms();
}

size_t bridge_keeper_kills(const struct bridge_keeper *keeper, int64_t from_ms, int64_t to_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < keeper->kill_count; i++) {
        count += keeper->kills_ms[i] >= from_ms && keeper->kills_ms[i] <= to_ms;
    }
    return count;
}

/* A bridge that was just started may have no children yet; then nothing is killed. */
static bool kill_child(const struct bridge *bridge, const char *role, uint32_t pick)
{
    pid_t pids[BRIDGE_CHILDREN_MAX];
    int count = bridge_children(bridge, role, pids);
    if (count > 0) {
        kill(pids[pick % (uint32_t)count], SIGKILL);
    }
    return count > 0;
}

/* Whether the process does not handle the signal yet, because it was just started: the signal would
 * kill it. */
static bool is_deaf(pid_t pid, int signal_number)
{
    char path[64];
    char line[128];
    unsigned long long heard = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigCgt:", 7) == 0) {
            heard |= strtoull(line + 7, NULL, 16);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return (heard >> (signal_number - 1) & 1) == 0;
}

static void set_trap(struct bridge_keeper *keeper, enum tap_trap trap, uint32_t pick)
{
    keeper->trap->pid = keeper->bridge.pid;
    keeper->trap->count = 1 + (int)(pick % TRAP_PACKETS);
    atomic_store(&keeper->trap->packet, trap);
    keeper->trap_until_ms = flow_now_ms() + TRAP_MS;
}

/* Tap and keeper both may clear the trap; the one that does so kills the bridge. */
static void end_trap(struct bridge_keeper *keeper)
{
    if (atomic_exchange(&keeper->trap->packet, TAP_TRAP_NONE) != TAP_TRAP_NONE) {
        kill(keeper->bridge.pid, SIGKILL);
    }
}

void bridge_keeper_harm(struct bridge_keeper *keeper, enum bridge_harm harm, uint32_t pick,
                        const struct bridge_restart *restart)
{
    struct bridge *bridge = &keeper->bridge;
    bool is_done = true;
    keeper->restart = *restart;
    switch (harm) {
    case BRIDGE_KILL:
        bridge_kill(bridge);
        note_kill(keeper);
        keeper->start_ms = flow_now_ms() + restart->delay_ms;
        break;
    case BRIDGE_KILL_TAKEN:
    case BRIDGE_KILL_ANSWERED:
        set_trap(keeper, harm == BRIDGE_KILL_TAKEN ? TAP_TRAP_TAKEN : TAP_TRAP_ANSWERED, pick);
        break;
    case BRIDGE_KILL_RECEIVER:
        is_done = kill_child(bridge, "receiver", pick);
        break;
    case BRIDGE_KILL_PUBLISHER:
        is_done = kill_child(bridge, "publisher", pick);
        break;
    default:
        keeper->is_deaf = is_deaf(bridge->pid, SIGTERM);
        kill(bridge->pid, SIGTERM);
        keeper->stop_by_ms = flow_now_ms() + STOP_MS;
        break;
    }
    keeper->counts[harm] += is_done;
}

static void see_end(struct bridge_keeper *keeper, int code, int64_t now_ms)
{
    bool is_stopping = keeper->stop_by_ms != 0;
    bool is_trapped = keeper->trap_until_ms != 0 && code == 128 + SIGKILL;
    bool is_stopped = is_stopping && (code == 0 || (keeper->is_deaf && code == 128 + SIGTERM));
    bool is_expelled = keeper->options.store != NULL && code == EX_TEMPFAIL;
    keeper->expelled_count += is_expelled;
    if (!is_trapped && !is_stopped && !is_expelled) {
        violate(VIOLATION_PROCESS, "the bridge ended %swith code %d, see %s",
                is_stopping ? "on SIGTERM " : "by itself ", code, keeper->bridge.log);
    }
    if (code > 128 || is_expelled) {
        note_kill(keeper);
    }
    if (keeper->resume_ms != 0) {
        keeper->resume_ms = 0;
        end_absence(keeper);
    }
    keeper->bridge.pid = 0;
    keeper->stop_by_ms = 0;
    keeper->trap_until_ms = 0;
    atomic_store(&keeper->trap->packet, TAP_TRAP_NONE);
    keeper->start_ms = now_ms + keeper->restart.delay_ms;
}

static void start(struct bridge_keeper *keeper)
{
    enum bridge_setting changed = keeper->restart.changed;
    if (changed != BRIDGE_SETTING_COUNT) {
        uint32_t others = (uint32_t)changing[changed].count - 1;
        keeper->chosen[changed] =
            (keeper->chosen[changed] + 1 + (int)(keeper->restart.choice % others)) %
            changing[changed].count;
        keeper->change_counts[changed]++;
        keeper->restart.changed = BRIDGE_SETTING_COUNT;
    }
    if (keeper->restart.is_common) {
        keeper->chosen[BRIDGE_TOPICS] = keeper->chosen[BRIDGE_SHARE] = 0;
    }
    name_instance(keeper);
    write_config(keeper);
    keeper->start_ms = 0;
    end_absence(keeper);
    bridge_start(&keeper->bridge);
}

bool bridge_keeper_ran(const struct bridge_keeper *keeper, int64_t from_ms, int64_t to_ms)
{
    for (int i = 0; i < keeper->absence_count; i++) {
        const struct bridge_absence *absence = &keeper->absences[i];
        if (absence->from_ms <= to_ms && absence->to_ms >= from_ms) {
            return false;
        }
    }
    return true;
}

void bridge_keeper_acknowledge(const struct bridge_keeper *keeper)
{
    if (keeper->bridge.pid > 0 && !is_deaf(keeper->bridge.pid, SIGUSR2)) {
        kill(keeper->bridge.pid, SIGUSR2);
    }
}

/* --- pauses --- */

static void send_all(const struct bridge_keeper *keeper, int signal_number)
{
    for (int i = 0; i < keeper->paused_count; i++) {
        kill(keeper->paused[i], signal_number);
    }
}

void bridge_keeper_pause(struct bridge_keeper *keeper, int ms, bool is_whole)
{
    const struct bridge *bridge = &keeper->bridge;
    keeper->paused[0] = bridge->pid;
    keeper->paused_count = 1;
    if (is_whole) {
        keeper->paused_count += bridge_children(bridge, "receiver", keeper->paused + 1);
        keeper->paused_count +=
            bridge_children(bridge, "publisher", keeper->paused + keeper->paused_count);
    }
    begin_absence(keeper, true);
    send_all(keeper, SIGSTOP);
    keeper->resume_ms = flow_now_ms() + ms;
    keeper->pause_count++;
    keeper->long_pause_count += ms > keeper->options.lease_s * 1000;
}

static void resume(struct bridge_keeper *keeper)
{
    send_all(keeper, SIGCONT);
    keeper->resume_ms = 0;
    end_absence(keeper);
}

static bool must_wait(const struct bridge_keeper *keeper)
{
    return keeper->restart.changed == BRIDGE_INSTANCE && *keeper->options.is_old_server_back;
}

void bridge_keeper_step(struct bridge_keeper *keeper, int64_t now_ms)
{
    struct bridge *bridge = &keeper->bridge;
    log_reader_step(&keeper->log_reader, now_ms);
    if (bridge->pid > 0) {
        int code = process_wait(bridge->pid, 0);
        if (code >= 0) {
            see_end(keeper, code, now_ms);
        } else if (keeper->trap_until_ms != 0 && now_ms > keeper->trap_until_ms) {
            end_trap(keeper);
        } else if (keeper->stop_by_ms != 0 && now_ms > keeper->stop_by_ms) {
            violate(VIOLATION_PROCESS, "the bridge still runs %d ms after SIGTERM", STOP_MS);
            bridge_kill(bridge);
            keeper->stop_by_ms = 0;
            keeper->start_ms = now_ms;
        } else if (keeper->resume_ms != 0 && now_ms >= keeper->resume_ms) {
            resume(keeper);
        }
    } else if (now_ms >= keeper->start_ms && !must_wait(keeper)) {
        start(keeper);
    }
}

char *bridge_keeper_verify(const struct bridge_keeper *keeper)
{
    const struct bridge *bridge = &keeper->bridge;
    const char *const argv[] = {BRIDGE_BINARY,  "ledger", "--config",
                                bridge->config, "verify", NULL};
    char *text = NULL;
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    if (result.code != 0 && asprintf(&text, "%s%s", result.output, result.errors) < 0) {
        flow_fail("no memory");
    }
    tool_result_fini(&result);
    return text;
}
