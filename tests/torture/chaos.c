#include "chaos.h"

#include "flow_check.h"
#include "flow_process.h"
#include "plan.h"

#include <stdarg.h>
#include <string.h>

/* The time between two actions, in ms. */
static const struct {
    int low_ms;
    int high_ms;
} distances[CHAOS_COUNT] = {
    [CHAOS_BRIDGE] = {2500, 6000},     [CHAOS_BROKER] = {10000, 24000},
    [CHAOS_NETWORK] = {800, 4000},     [CHAOS_API] = {500, 2500},
    [CHAOS_RIGHTS] = {4000, 15000},    [CHAOS_LOG] = {4000, 15000},
    [CHAOS_PAUSE] = {9000, 35000},     [CHAOS_STORE] = {12000, 45000},
    [CHAOS_STORE_CUT] = {3000, 12000},
};

enum {
    SETTINGS_STREAM = 30,
    CHOICE_STREAM = 31,
    CHANGES_PERCENT = 40,
    TAKE_OVER_MS = 2000, /* after the lease */
    AWAY_MS = 8000,      /* so much longer a bridge stays away at most */
};

static int64_t distance_ms(struct chaos *chaos, enum chaos_kind kind)
{
    int drawn = random_between(&chaos->schedules[kind].random, distances[kind].low_ms,
                               distances[kind].high_ms);
    return (int64_t)drawn * chaos->pace_percent / 100;
}

void chaos_init(struct chaos *chaos, uint64_t seed, int pace_percent, unsigned parts,
                const char *log_path)
{
    *chaos = (struct chaos){.pace_percent = pace_percent, .parts = parts};
    random_init(&chaos->settings, seed, SETTINGS_STREAM);
    random_init(&chaos->choice, seed, CHOICE_STREAM);
    chaos->log = fopen(log_path, "we");
    if (chaos->log == NULL) {
        flow_fail("cannot write %s", log_path);
    }
    for (int i = 0; i < CHAOS_COUNT; i++) {
        random_init(&chaos->schedules[i].random, seed, (uint64_t)i + 10);
        chaos->schedules[i].due_ms = distance_ms(chaos, (enum chaos_kind)i);
    }
}

void chaos_fini(struct chaos *chaos)
{
    if (chaos->log != NULL) {
        fclose(chaos->log);
    }
    *chaos = (struct chaos){0};
}

static void note(struct chaos *chaos, int64_t at_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct chaos *chaos, int64_t at_ms, const char *format, ...)
{
    va_list arguments;
    fprintf(chaos->log, "%8.3f ", (double)at_ms / 1000);
    va_start(arguments, format);
    vfprintf(chaos->log, format, arguments);
    va_end(arguments);
    fputc('\n', chaos->log);
    fflush(chaos->log);
}

/* --- the bridge --- */

/* One of the settings may change at each start. */
static enum bridge_setting draw_change(struct chaos *chaos, enum bridge_harm harm,
                                       uint32_t *out_choice)
{
    bool is_changed = random_chance(&chaos->settings, CHANGES_PERCENT);
    enum bridge_setting setting =
        (enum bridge_setting)random_below(&chaos->settings, BRIDGE_SETTING_COUNT);
    *out_choice = random_below(&chaos->settings, 1000);
    bool is_child = harm == BRIDGE_KILL_RECEIVER || harm == BRIDGE_KILL_PUBLISHER;
    bool is_left_out = is_child || (chaos->parts & CHAOS_SETTINGS) == 0;
    return is_changed && !is_left_out ? setting : BRIDGE_SETTING_COUNT;
}

/* So long that the others take over, and half of the time its session too. */
static int draw_absence(struct chaos *chaos)
{
    const struct bridge_options *options = &chaos->bridges[0].options;
    int longer_s = random_chance(&chaos->choice, 50) ? options->session_adopt_s : 0;
    return (options->lease_s + longer_s) * 1000 + TAKE_OVER_MS +
           random_between(&chaos->choice, 500, AWAY_MS);
}

static void harm_bridge(struct chaos *chaos, int64_t at_ms)
{
    struct bridge_keeper *bridge = &chaos->bridges[chaos->next_bridge];
    static const int weights[BRIDGE_HARM_COUNT] = {25, 25, 20, 10, 10, 10};
    static const char *const names[] = {"kill",          "kill-taken",     "kill-answered",
                                        "kill-receiver", "kill-publisher", "stop"};
    struct random *random = &chaos->schedules[CHAOS_BRIDGE].random;
    enum bridge_harm harm = (enum bridge_harm)random_weighted(random, weights, BRIDGE_HARM_COUNT);
    struct bridge_restart restart = {0};
    restart.delay_ms = random_chance(random, 50) ? 0 : random_between(random, 1, 1500);
    uint32_t pick = random_below(random, 1000);
    restart.changed = draw_change(chaos, harm, &restart.choice);
    if (chaos->bridge_count > 1 && random_chance(&chaos->choice, 30)) {
        restart.delay_ms = draw_absence(chaos);
    }
    chaos->next_bridge = (int)random_below(&chaos->choice, (uint32_t)chaos->bridge_count);
    bridge_keeper_harm(bridge, harm, pick, &restart);
    note(chaos, at_ms, "bridge %d %s back-after=%d other-setting=%s", bridge->options.number,
         names[harm], restart.delay_ms,
         restart.changed == BRIDGE_SETTING_COUNT ? "none"
                                                 : bridge_keeper_setting_name(restart.changed));
}

static void harm_pause(struct chaos *chaos, int64_t at_ms)
{
    struct random *random = &chaos->schedules[CHAOS_PAUSE].random;
    struct bridge_keeper *bridge = &chaos->bridges[chaos->next_paused];
    int lease_ms = bridge->options.lease_s * 1000;
    int ms = random_chance(random, 35) ? random_between(random, 100, lease_ms)
                                       : lease_ms + random_between(random, 0, AWAY_MS);
    bool is_whole = random_chance(random, 50);
    chaos->next_paused = (int)random_below(random, (uint32_t)chaos->bridge_count);
    bridge_keeper_pause(bridge, ms, is_whole);
    note(chaos, at_ms, "bridge %d pause ms=%d with-mqtt=%d", bridge->options.number, ms, is_whole);
}

/* --- the broker --- */

static void harm_broker(struct chaos *chaos, int64_t at_ms)
{
    static const int weights[BROKER_HARM_COUNT] = {40, 25, 20, 15};
    static const char *const names[] = {"kill-saved", "kill-unsaved", "kill-emptied", "stop"};
    struct random *random = &chaos->schedules[CHAOS_BROKER].random;
    enum broker_harm harm = (enum broker_harm)random_weighted(random, weights, BROKER_HARM_COUNT);
    int down_ms = random_chance(random, 40) ? 0 : random_between(random, 1, 2500);
    bool waits = random_chance(random, 80);
    broker_keeper_harm(chaos->broker, harm, down_ms, waits);
    note(chaos, at_ms, "broker %s back-after=%d senders-wait=%d", names[harm], down_ms, waits);
}

static void harm_rights(struct chaos *chaos, int64_t at_ms)
{
    bool refuses = !chaos->broker->refuses;
    broker_keeper_refuse(chaos->broker, refuses);
    note(chaos, at_ms, "broker refuses-replies=%d", refuses);
}

static void harm_log(struct chaos *chaos, int64_t at_ms)
{
    struct random *random = &chaos->schedules[CHAOS_LOG].random;
    int ms = random_between(random, 2000, 9000) * chaos->pace_percent / 100;
    log_reader_stall(&chaos->bridges[0].log_reader, ms);
    note(chaos, at_ms, "log stall ms=%d", ms);
}

/* --- the network --- */

static const char *const route_names[] = {"bridge-broker", "bridge-api", "senders-broker"};

const char *chaos_network_name(enum proxy_verb verb)
{
    static const char *const names[PROXY_FAULT_COUNT] = {
        [PROXY_CUT] = "cut",
        [PROXY_CUT_ALL] = "cut-all",
        [PROXY_CUT_AFTER] = "cut-after",
        [PROXY_STALL] = "stall",
        [PROXY_HALF_CLOSE] = "half-close",
        [PROXY_DELAY] = "delay",
        [PROXY_THROTTLE] = "throttle",
        [PROXY_REFUSE] = "refuse",
    };
    return names[verb];
}

static int draw_amount(struct random *random, enum proxy_verb verb)
{
    switch (verb) {
    case PROXY_CUT_AFTER:
        return random_between(random, 1, 6000);
    case PROXY_DELAY:
        return random_between(random, 20, 700);
    case PROXY_THROTTLE:
        return random_between(random, 60, 1200);
    default:
        return 0;
    }
}

static void harm_network(struct chaos *chaos, int64_t at_ms)
{
    static const int verb_weights[PROXY_FAULT_COUNT] = {20, 15, 20, 15, 12, 8, 5, 5};
    static const int route_weights[ROUTE_COUNT] = {
        [ROUTE_BRIDGE] = 50, [ROUTE_API] = 30, [ROUTE_SENDERS] = 20};
    struct random *random = &chaos->schedules[CHAOS_NETWORK].random;
    struct proxy_order order = {0};
    order.verb = (enum proxy_verb)random_weighted(random, verb_weights, PROXY_FAULT_COUNT);
    order.route = (enum proxy_route)random_weighted(random, route_weights, ROUTE_COUNT);
    order.amount = draw_amount(random, order.verb);
    /* Mostly shorter, sometimes longer than every timeout. */
    order.ms = random_chance(random, 85) ? random_between(random, 100, 1800)
                                         : random_between(random, 1800, 9000);
    order.pick = random_below(random, 1000);
    int met = proxy_execute(chaos->proxy, &order);
    chaos->network_counts[order.verb]++;
    note(chaos, at_ms, "network %s %s amount=%d ms=%d pick=%u met=%d", route_names[order.route],
         chaos_network_name(order.verb), order.amount, order.ms, order.pick, met);
}

/* --- the shared ledger --- */

/* Each is drawn as often as it is in here, then all again: so a long run has all of them. */
static const uint8_t store_harms[] = {
    STORE_RESTART, STORE_RESTART, STORE_IMMEDIATE,    STORE_KILL, STORE_FAIL_OVER, STORE_FAIL_OVER,
    STORE_RETURN,  STORE_RETURN,  STORE_STANDBY_AWAY, STORE_FULL, STORE_LOSE,      STORE_LOSE,
};

static enum store_harm draw_store_harm(struct chaos *chaos)
{
    struct random *random = &chaos->schedules[CHAOS_STORE].random;
    if (chaos->store_left == 0) {
        chaos->store_left = sizeof store_harms;
        memcpy(chaos->store_harms, store_harms, sizeof store_harms);
    }
    uint32_t at = random_below(random, (uint32_t)chaos->store_left);
    enum store_harm harm = (enum store_harm)chaos->store_harms[at];
    chaos->store_harms[at] = chaos->store_harms[--chaos->store_left];
    return harm;
}

static void harm_store(struct chaos *chaos, int64_t at_ms)
{
    static const unsigned parts[STORE_HARM_COUNT] = {CHAOS_SERVERS,    CHAOS_SERVERS, CHAOS_SERVERS,
                                                     CHAOS_FAIL_OVERS, CHAOS_RETURNS, CHAOS_LOSSES,
                                                     CHAOS_SERVERS,    CHAOS_FULL};
    static const char *const names[] = {"restart", "immediate", "kill",         "fail-over",
                                        "return",  "lose",      "standby-away", "full"};
    struct random *random = &chaos->schedules[CHAOS_STORE].random;
    enum store_harm harm = draw_store_harm(chaos);
    int ms = random_between(random, 200, 6000);
    bool is_done = (chaos->parts & parts[harm]) != 0 && store_keeper_harm(chaos->store, harm, ms);
    note(chaos, at_ms, "store %s ms=%d%s", names[harm], ms, is_done ? "" : " left out");
}

static void harm_store_network(struct chaos *chaos, int64_t at_ms)
{
    static const int weights[PROXY_FAULT_COUNT] = {25, 15, 25, 10, 5, 10, 5, 5};
    struct random *random = &chaos->schedules[CHAOS_STORE_CUT].random;
    struct proxy_order order = {.route = chaos->store->first == 0 ? ROUTE_STORE_A : ROUTE_STORE_B};
    order.verb = (enum proxy_verb)random_weighted(random, weights, PROXY_FAULT_COUNT);
    order.amount = draw_amount(random, order.verb);
    order.ms = random_chance(random, 85) ? random_between(random, 100, 1800)
                                         : random_between(random, 1800, 9000);
    order.pick = random_below(random, 1000);
    int met = proxy_execute(chaos->proxy, &order);
    store_keeper_note_cut(chaos->store, order.ms);
    chaos->store_cut_count += order.verb <= PROXY_CUT_AFTER && met > 0;
    note(chaos, at_ms, "network bridges-store %s amount=%d ms=%d pick=%u met=%d",
         chaos_network_name(order.verb), order.amount, order.ms, order.pick, met);
}

/* --- the API --- */

/*
 * Faults that keep the API truthful. With half of the seeds it looks at the state of a group before
 * the token: then it refuses repeated starts that had their effect.
 */
static const struct {
    const char *text;
    int weight;
    bool is_late; /* the effect may come after the bridge has given up the call: only for groups
                     that never refuse */
    int count_low;
    int count_high;
} api_faults[] = {
    {"\"reset_before\"", 10, false, 1, 4},
    {"\"reset_after\"", 16, false, 1, 4},
    {"\"error_after\"", 10, false, 1, 3},
    {"\"error_after\",\"Code\":\"RequestTimeout\"", 4, false, 1, 3},
    {"\"error\",\"Code\":\"InternalError\"", 4, false, 1, 3},
    {"\"error\",\"Code\":\"ServiceUnavailable\",\"Http\":503,\"Message\":\"later\"", 6, false, 1,
     3},
    {"\"error\",\"Code\":\"Throttling.User\"", 5, false, 1, 5},
    {"\"error\",\"Code\":\"Throttling\",\"Http\":400,\"Message\":\"slow\",\"RetryAfterMs\":300", 3,
     false, 1, 5},
    {"\"error\",\"Code\":\"LastTokenProcessing\",\"Http\":403,\"Message\":\"wait\"", 3, false, 1,
     2},
    {"\"latency\",\"Ms\":400", 6, true, 1, 4},
    {"\"latency\",\"Ms\":2600", 6, true, 1, 2},
    {"\"cut_body\"", 8, false, 1, 3},
    {"\"html_502\"", 5, false, 1, 3},
    {"\"empty_200\"", 4, false, 1, 2},
    {"\"garbage_200\"", 4, false, 1, 2},
    {"\"slow_bytes\",\"Ms\":30", 4, false, 1, 2},
    {"\"hang\"", 8, false, 1, 3},
    {"\"xml\"", 3, false, 1, 5},
    {"\"reset_after\",\"DelayMs\":150", 4, true, 1, 3},
    {"\"answer_twice\"", 14, false, 1, 5},
};

enum { API_FAULTS = sizeof api_faults / sizeof api_faults[0], STRAY_FAULT = API_FAULTS - 1 };

static void match_group(int group, char *out, size_t size)
{
    char name[16];
    plan_group(group, name);
    snprintf(out, size, ",\"Match\":{\"Action\":\"*\",\"ReplicaGroupId\":\"%s\"}", name);
}

static void add_fault(struct chaos *chaos, int64_t at_ms)
{
    struct random *random = &chaos->schedules[CHAOS_API].random;
    int weights[API_FAULTS];
    char match[64] = ",\"Match\":{\"Action\":\"*\"}";
    for (int i = 0; i < API_FAULTS; i++) {
        weights[i] = api_faults[i].weight;
    }
    bool has_strays = (chaos->parts & CHAOS_STRAYS) != 0;
    int index = random_weighted(random, weights, has_strays ? API_FAULTS : STRAY_FAULT);
    int count = random_between(random, api_faults[index].count_low, api_faults[index].count_high);
    bool is_plain = api_faults[index].is_late;
    bool is_outage = !is_plain && random_chance(random, 6);
    int group = (int)random_below(random, is_plain ? PLAN_PLAIN_GROUPS : PLAN_GROUPS);
    if (is_plain || is_outage) {
        match_group(group, match, sizeof match);
    }
    if (is_outage) {
        count = random_between(random, 10, 25);
    }
    simulator_fault(&chaos->api->simulator, "%s,\"Count\":%d%s", api_faults[index].text, count,
                    match);
    chaos->api_count++;
    note(chaos, at_ms, "api %s count=%d%s", api_faults[index].text, count, match);
}

/* Changes the state of one of the groups that also get one-time starts. */
static void set_state(struct chaos *chaos, int64_t at_ms)
{
    static const char *const states[] = {"created", "normal",  "stopped",
                                         "stopped", "invalid", "none"};
    struct random *random = &chaos->schedules[CHAOS_API].random;
    char name[16];
    int group = random_between(random, PLAN_PLAIN_GROUPS, PLAN_GROUPS - 1);
    const char *state = states[random_below(random, 6)];
    plan_group(group, name);
    simulator_order(&chaos->api->simulator, "POST", "groups",
                    "{\"RegionId\":\"%s\",\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\"}",
                    plan_region(group), name, state);
    chaos->state_count++;
    note(chaos, at_ms, "api group %s %s", name, state);
}

static void set_limit(struct chaos *chaos, int64_t at_ms)
{
    struct random *random = &chaos->schedules[CHAOS_API].random;
    bool is_limited = random_chance(random, 50);
    int rate = is_limited ? random_between(random, 30, 120) : 0;
    simulator_order(&chaos->api->simulator, "POST", "limits",
                    "{\"RatePerS\":%d,\"Burst\":%d,\"RetryAfter\":%s}", rate, 20,
                    random_chance(random, 50) ? "true" : "false");
    chaos->api_count += is_limited;
    note(chaos, at_ms, "api limit %d", rate);
}

static void harm_api(struct chaos *chaos, int64_t at_ms)
{
    static const int weights[] = {70, 25, 5};
    struct random *random = &chaos->schedules[CHAOS_API].random;
    switch (random_weighted(random, weights, 3)) {
    case 0:
        add_fault(chaos, at_ms);
        break;
    case 1:
        set_state(chaos, at_ms);
        break;
    default:
        set_limit(chaos, at_ms);
        break;
    }
}

/* --- together --- */

static bool may_begin(const struct chaos *chaos, enum chaos_kind kind)
{
    switch (kind) {
    case CHAOS_BRIDGE:
        return (chaos->parts & CHAOS_KILLS) != 0 &&
               bridge_keeper_is_idle(&chaos->bridges[chaos->next_bridge]);
    case CHAOS_BROKER:
        return (chaos->parts & CHAOS_BROKERS) != 0 && broker_keeper_is_idle(chaos->broker);
    case CHAOS_RIGHTS:
        return (chaos->parts & CHAOS_REFUSALS) != 0 && broker_keeper_is_idle(chaos->broker);
    case CHAOS_LOG:
        return (chaos->parts & CHAOS_LOG_STALLS) != 0 &&
               !log_reader_is_stalled(&chaos->bridges[0].log_reader);
    case CHAOS_PAUSE:
        return chaos->store != NULL && (chaos->parts & CHAOS_PAUSES) != 0 &&
               bridge_keeper_is_idle(&chaos->bridges[chaos->next_paused]);
    case CHAOS_STORE:
        return chaos->store != NULL && store_keeper_is_idle(chaos->store);
    case CHAOS_STORE_CUT:
        return chaos->store != NULL && (chaos->parts & CHAOS_CUTS) != 0 &&
               !store_keeper_must_commit(chaos->store);
    default:
        return true;
    }
}

void chaos_step(struct chaos *chaos, int64_t at_ms)
{
    static void (*const harms[CHAOS_COUNT])(struct chaos *, int64_t) = {
        harm_bridge, harm_broker, harm_network, harm_api,          harm_rights,
        harm_log,    harm_pause,  harm_store,   harm_store_network};
    for (int i = 0; i < CHAOS_COUNT; i++) {
        struct chaos_schedule *schedule = &chaos->schedules[i];
        if (at_ms >= schedule->due_ms && may_begin(chaos, (enum chaos_kind)i)) {
            harms[i](chaos, at_ms);
            schedule->count++;
            schedule->due_ms = at_ms + distance_ms(chaos, (enum chaos_kind)i);
        }
    }
}

void chaos_calm(struct chaos *chaos)
{
    proxy_execute_all(chaos->proxy, PROXY_CALM);
    broker_keeper_refuse(chaos->broker, false);
    log_reader_resume(&chaos->bridges[0].log_reader);
    simulator_clear(&chaos->api->simulator);
    simulator_order(&chaos->api->simulator, "POST", "limits",
                    "{\"RatePerS\":0,\"Burst\":1,\"RetryAfter\":false}");
    for (int group = PLAN_PLAIN_GROUPS; group < PLAN_GROUPS; group++) {
        char name[16];
        plan_group(group, name);
        simulator_order(&chaos->api->simulator, "POST", "groups",
                        "{\"RegionId\":\"%s\",\"ReplicaGroupId\":\"%s\",\"Status\":\"stopped\"}",
                        plan_region(group), name);
    }
    fprintf(chaos->log, "calm\n");
}
