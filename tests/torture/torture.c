/* The phases of a run. */
#include "torture.h"

#include "flow_check.h"
#include "flow_process.h"
#include "violation.h"

#include <assert.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TURN_MS = 5,
    SHORT_S = 60,       /* in runs up to this length everything happens faster */
    REST_MS = 90000,    /* time to become idle, after the deadline: a refused reply waits 60 s */
    STILL_MS = 5000,    /* without progress: nothing more is expected */
    LOOK_MS = 400,      /* between two polls for this */
    NEVER_MS = 3600000, /* longer than any run continues after it */
    ASK_ROUNDS = 3,
    COALESCE_S = 2,
    TOKEN_TTL_S = 60, /* longer than the deadline of a command */
    LEASE_S = 5,      /* of a shared ledger: the shortest */
    SESSION_ADOPT_S = 6,
    SEEN_MS = 1500, /* a bridge asks its server each second whether a standby is synchronous */
    SAMPLE = 40,    /* answered commands that are sent again */
    SPARE_COMMANDS = 20000 /* room for repeated commands */
};

/* All rules have their turn within a run. */
static const char watch_settings[] = "watch.poll_min_s = 1; watch.poll_max_s = 3; "
                                     "watch.rate_per_s = 50.0; watch.begin_s = 3; "
                                     "watch.stall_s = 5; watch.blind_s = 4;";

static void choose_settings(struct torture *torture)
{
    struct random random;
    random_init(&random, torture->options.seed, 2);
    bool is_full = random_chance(&random, 75);
    bool defers = random_chance(&random, 25);
    bool accepts = random_chance(&random, 25);
    torture->is_state_first = random_chance(&random, 50);
    bool forgets = torture->options.duration_s > SHORT_S && random_chance(&random, 50);
    torture->closes_at_refusals = random_chance(&random, 50);
    bool is_watched_on = random_chance(&random, 50);
    bool coalesces = random_chance(&random, 50);
    torture->coalesce_s = !torture->options.has_alerts ? -1 : coalesces ? COALESCE_S : 0;
    if (torture->options.has_manners) {
        torture->is_state_first = torture->options.is_state_first;
        forgets = torture->options.forgets;
    }
    torture->token_ttl_s = forgets ? TOKEN_TTL_S : 0;
    torture->deadline_s = torture->options.duration_s <= SHORT_S ? 8 : 20;
    if (torture->options.is_shared) {
        torture->deadline_s += 2 * LEASE_S; /* a command waits for the take-over */
        is_full = true;
    }
    bool is_watching = (torture->options.parts & CHAOS_WATCH) != 0;
    snprintf(torture->settings, sizeof torture->settings,
             "ledger.durability = \"%s\"; limits.deadline_s = %d; %s", is_full ? "full" : "process",
             torture->deadline_s, is_watching ? watch_settings : "");
    snprintf(torture->route_settings, sizeof torture->route_settings,
             "cooldown = \"%s\"; accepted_reply = %s; watch = \"%s\";", defers ? "defer" : "reply",
             accepts ? "true" : "false",
             !is_watching    ? "off"
             : is_watched_on ? "continuous"
                             : "until_done");
}

/* A stream of its own: the transport changes nothing else that the seed chooses. */
static void choose_transport(struct torture *torture)
{
    struct random random;
    if (torture->options.transport == TRANSPORT_COUNT) {
        random_init(&random, torture->options.seed, 3);
        torture->options.transport = (enum transport)random_below(&random, TRANSPORT_COUNT);
    }
}

static void make_directory(struct torture *torture)
{
    char path[128];
    const char *base = getenv("TMPDIR");
    snprintf(torture->directory, sizeof torture->directory, "%s/ecs-torture-XXXXXX",
             base == NULL ? "/tmp" : base);
    if (mkdtemp(torture->directory) == NULL) {
        flow_fail("cannot make a directory");
    }
    snprintf(path, sizeof path, "%s/violations", torture->directory);
    violation_open(path, (unsigned long long)torture->options.seed);
    snprintf(path, sizeof path, "%s/excused", torture->directory);
    torture->excused = fopen(path, "we");
    if (torture->excused == NULL) {
        flow_fail("cannot write %s", path);
    }
}

/* Forks the proxy and the relay before a library has threads or sockets in this process. */
static void start_broker_and_api(struct torture *torture)
{
    broker_keeper_init(&torture->broker, torture->directory, torture->closes_at_refusals);
    broker_keeper_connect(&torture->broker, &torture->proxy, &torture->witness, torture->tap);
    api_start(&torture->api, torture->directory, torture->is_state_first, torture->token_ttl_s);
    const int targets[ROUTE_COUNT] = {
        [ROUTE_BRIDGE] = torture->broker.broker.port,
        [ROUTE_API] = torture->api.simulator.port,
        [ROUTE_SENDERS] = torture->broker.broker.port,
        [ROUTE_STORE_A] = torture->store.bouncer_ports[0],
        [ROUTE_STORE_B] = torture->store.bouncer_ports[1],
    };
    proxy_start(&torture->proxy, targets, torture->tap);
    store_keeper_connect(&torture->store, &torture->proxy);
    relay_start(&torture->relay, torture->options.transport, torture->proxy.ports[ROUTE_BRIDGE],
                torture->directory);
}

static void wait_for_witness(struct torture *torture)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!torture->witness.is_ready) {
        struct pollfd entry = link_poll(&torture->witness.link);
        poll(&entry, 1, TURN_MS);
        witness_step(&torture->witness, entry.revents, flow_now_ms());
        if (flow_now_ms() > end_ms) {
            flow_fail("the witness cannot subscribe");
        }
    }
}

static void start_bridges(struct torture *torture)
{
    struct bridge_options options = {.directory = torture->directory,
                                     .broker_uri = torture->relay.uri,
                                     .broker_ca_file = torture->relay.ca_file,
                                     .api_port = torture->proxy.ports[ROUTE_API],
                                     .tap = torture->tap,
                                     .settings = torture->settings,
                                     .route_settings = torture->route_settings,
                                     .coalesce_s = torture->coalesce_s,
                                     .store =
                                         torture->options.is_shared ? torture->store.uri : NULL,
                                     .lease_s = LEASE_S,
                                     .session_adopt_s = SESSION_ADOPT_S,
                                     .is_old_server_back = &torture->store.is_old_back};
    for (int i = 0; i < torture->options.bridges; i++) {
        options.number = i;
        bridge_keeper_init(&torture->bridges[i], &options);
        witness_follow(&torture->witness, i, bridge_keeper_instance(&torture->bridges[i]));
    }
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    for (int i = 0; i < torture->options.bridges; i++) {
        while (strcmp(torture->witness.bridges[i].last_state, "online") != 0) {
            torture_step(torture);
            if (flow_now_ms() > end_ms) {
                flow_fail("the bridge did not get online, see %s", torture->bridges[i].bridge.log);
            }
        }
    }
    if (torture->options.is_shared) {
        store_keeper_watch(&torture->store, torture->bridges, torture->options.bridges);
    }
}

void torture_begin(struct torture *torture, const struct torture_options *options)
{
    char path[128];
    uint32_t capacity = (uint32_t)(options->duration_s * options->rate_per_s * 2) + SPARE_COMMANDS;
    *torture = (struct torture){.options = *options};
    make_directory(torture);
    choose_settings(torture);
    choose_transport(torture);
    snprintf(path, sizeof path, "%s/events", torture->directory);
    torture->tap = tap_new(capacity, path);
    torture->asked = calloc(capacity, sizeof *torture->asked);
    assert(torture->asked != NULL);
    plan_init(&torture->plan, options->seed, capacity, options->rate_per_s);
    torture->plan.has_alerts = options->has_alerts;
    record_init(&torture->record, capacity);
    if (options->is_shared) {
        store_keeper_init(&torture->store, torture->directory, options->has_bouncers);
    }
    start_broker_and_api(torture);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    mosquitto_lib_init();
    witness_init(&torture->witness, &torture->record, torture->broker.broker.port);
    wait_for_witness(torture);
    senders_init(&torture->senders, &torture->plan, &torture->record,
                 torture->proxy.ports[ROUTE_SENDERS]);
    start_bridges(torture);
    broker_keeper_save(&torture->broker);
    snprintf(path, sizeof path, "%s/actions", torture->directory);
    chaos_init(&torture->chaos, options->seed, options->duration_s <= SHORT_S ? 35 : 100,
               torture->options.parts, path);
    broker_keeper_refuse(&torture->broker, (options->parts & CHAOS_REFUSALS) != 0);
    torture->chaos.bridges = torture->bridges;
    torture->chaos.bridge_count = options->bridges;
    torture->chaos.store = options->is_shared ? &torture->store : NULL;
    torture->chaos.broker = &torture->broker;
    torture->chaos.proxy = &torture->proxy;
    torture->chaos.api = &torture->api;
    torture->check = (struct check){.plan = &torture->plan,
                                    .record = &torture->record,
                                    .tap = torture->tap,
                                    .api = &torture->api,
                                    .broker = &torture->broker,
                                    .bridges = torture->bridges,
                                    .bridge_count = options->bridges,
                                    .losses = &torture->store.losses,
                                    .excused = torture->excused};
}

void torture_end(struct torture *torture)
{
    for (int i = 0; i < torture->options.bridges; i++) {
        bridge_keeper_fini(&torture->bridges[i]);
    }
    senders_fini(&torture->senders);
    witness_fini(&torture->witness);
    chaos_fini(&torture->chaos);
    broker_keeper_fini(&torture->broker);
    api_stop(&torture->api);
    relay_stop(&torture->relay);
    proxy_stop(&torture->proxy);
    store_keeper_fini(&torture->store);
    plan_fini(&torture->plan);
    record_fini(&torture->record);
    free(torture->asked);
    for (int i = 0; i < torture->options.bridges; i++) {
        free(torture->watches[i]);
    }
    fclose(torture->excused);
    mosquitto_lib_cleanup();
}

/* --- reports of lost commits --- */

/* A bridge that ran before the fail-over has seen that nothing was synchronous any more. */
static void expect_reports(struct torture *torture)
{
    const struct store_keeper *store = &torture->store;
    torture->losses_seen = store->losses.count;
    torture->has_reported = false;
    for (int i = 0; i < torture->options.bridges; i++) {
        torture->must_report[i] = bridge_keeper_ran(
            &torture->bridges[i], store->detached_ms - 2 * SEEN_MS, store->killed_ms);
    }
}

static void end_reports(struct torture *torture)
{
    int missing = 0;
    for (int i = 0; i < torture->options.bridges; i++) {
        missing += torture->must_report[i];
    }
    torture->losses_not_reported += missing;
    if (missing > 0 && !torture->has_reported) {
        violate(VIOLATION_PROCESS, "no bridge has reported that a fail-over may have lost commits");
    }
}

static void follow_reports(struct torture *torture)
{
    bool is_first_server = torture->store.timeline == 1;
    if (torture->store.losses.count > torture->losses_seen) {
        end_reports(torture);
        expect_reports(torture);
    }
    for (int i = 0; i < torture->options.bridges; i++) {
        if (!torture->witness.bridges[i].has_ledger_loss) {
            continue;
        }
        if (is_first_server) {
            violate(VIOLATION_PROCESS, "bridge %d reports lost commits without a fail-over", i);
        }
        if (torture->must_report[i]) {
            torture->must_report[i] = false;
            torture->has_reported = true;
            torture->loss_reports++;
            bridge_keeper_acknowledge(&torture->bridges[i]);
        }
    }
}

void torture_step(struct torture *torture)
{
    struct pollfd entries[PLAN_SENDERS + 1];
    senders_poll(&torture->senders, entries);
    entries[PLAN_SENDERS] = link_poll(&torture->witness.link);
    poll(entries, PLAN_SENDERS + 1, TURN_MS);
    int64_t now_ms = flow_now_ms();
    witness_step(&torture->witness, entries[PLAN_SENDERS].revents, now_ms);
    senders_step(&torture->senders, entries, now_ms);
    for (int i = 0; i < torture->options.bridges; i++) {
        bridge_keeper_step(&torture->bridges[i], now_ms);
        witness_follow(&torture->witness, i, bridge_keeper_instance(&torture->bridges[i]));
    }
    store_keeper_step(&torture->store, now_ms);
    if (torture->options.is_shared) {
        follow_reports(torture);
    }
    broker_keeper_step(&torture->broker, now_ms);
    api_step(&torture->api, now_ms);
}

void torture_storm(struct torture *torture)
{
    int64_t next = plan_next(&torture->plan);
    int64_t length_ms = (int64_t)torture->options.duration_s * 1000;
    int64_t at_ms = 0;
    torture->start_ms = flow_now_ms();
    for (; at_ms < length_ms; at_ms = flow_now_ms() - torture->start_ms) {
        while (next >= 0 && torture->plan.items[next].due_ms <= at_ms) {
            senders_post(&torture->senders, (uint32_t)next);
            next = plan_next(&torture->plan);
        }
        chaos_step(&torture->chaos, at_ms);
        torture_step(torture);
    }
    if (next >= 0) {
        torture->plan.count = (uint32_t)next; /* drawn, but no longer due */
    }
    torture->storm_ms = at_ms;
}

/* --- waiting until everything is idle --- */

static bool is_idle(const struct torture *torture)
{
    bool is_idle = broker_keeper_is_idle(&torture->broker) && store_keeper_is_idle(&torture->store);
    for (int i = 0; i < torture->options.bridges; i++) {
        is_idle &= bridge_keeper_is_idle(&torture->bridges[i]);
    }
    return is_idle;
}

static void wait_idle(struct torture *torture)
{
    int64_t end_ms = flow_now_ms() + REST_MS;
    while (!is_idle(torture)) {
        torture_step(torture);
        if (flow_now_ms() > end_ms) {
            flow_fail("the broker or the bridge does not come back");
        }
    }
}

/* The number of commands that may still get their answer. */
static int count_open(const struct torture *torture)
{
    int count = 0;
    for (uint32_t i = 0; i < torture->plan.count; i++) {
        enum check_answer answer = check_answer_of(&torture->check, i);
        count += answer == CHECK_LOST || answer == CHECK_NOT_ACCEPTED;
    }
    return count;
}

static uint64_t progress_of(const struct torture *torture)
{
    return torture->record.reply_count + torture->tap->delivered_count +
           (uint64_t)torture->senders.acked_count;
}

/* Whether every bridge is connected and none has anything to do. */
static bool are_at_rest(struct torture *torture)
{
    bool are_resting = senders_pending(&torture->senders) == 0;
    for (int i = 0; i < torture->options.bridges; i++) {
        struct counters_read *counters = &torture->counters[i];
        are_resting &= counters_read(torture->bridges[i].admin_port, counters) &&
                       counters->is_ready && counters_are_at_rest(counters) &&
                       !torture->witness.bridges[i].is_draining;
    }
    return are_resting;
}

static struct counters_read sum_of_counters(const struct torture *torture)
{
    struct counters_read sum = {0};
    for (int i = 0; i < torture->options.bridges; i++) {
        counters_add(&sum, &torture->counters[i]);
    }
    return sum;
}

/* Runs until nothing more is expected. */
static void come_to_rest(struct torture *torture)
{
    int64_t end_ms = flow_now_ms() + torture->deadline_s * 1000 + REST_MS;
    int64_t look_ms = 0;
    int64_t still_ms = flow_now_ms();
    uint64_t progress = 0;
    for (;;) {
        torture_step(torture);
        int64_t now_ms = flow_now_ms();
        if (progress != progress_of(torture)) {
            progress = progress_of(torture);
            still_ms = now_ms;
        }
        if (now_ms < look_ms) {
            continue;
        }
        look_ms = now_ms + LOOK_MS;
        bool is_quiet = now_ms - still_ms >= LOOK_MS; /* a session may hold what was answered */
        if (is_quiet && are_at_rest(torture) &&
            (count_open(torture) == 0 || now_ms - still_ms > STILL_MS)) {
            return;
        }
        if (now_ms > end_ms) {
            struct counters_read sum = sum_of_counters(torture);
            violate(VIOLATION_PROCESS,
                    "not at rest: %lld in work, %lld waiting, %lld calls, %lld in the outbox; "
                    "%zu commands not acknowledged to their senders",
                    (long long)sum.in_work, (long long)sum.waiting, (long long)sum.in_flight,
                    (long long)sum.outbox, senders_pending(&torture->senders));
            return;
        }
    }
}

/* Until the others have drained the sessions of former instances. */
static void wait_for_sessions(struct torture *torture)
{
    int64_t end_ms = flow_now_ms() + REST_MS;
    int64_t look_ms = 0;
    int count = torture->options.is_shared ? 1 : 0;
    while (count > 0) {
        torture_step(torture);
        int64_t now_ms = flow_now_ms();
        if (now_ms >= look_ms) {
            count = store_keeper_absent(&torture->store, torture->directory);
            look_ms = now_ms + LOOK_MS * 3;
        }
        if (now_ms > end_ms && count > 0) {
            violate(VIOLATION_PROCESS, "nobody drains the sessions of %d instances", count);
            return;
        }
    }
}

void torture_calm(struct torture *torture)
{
    wait_idle(torture);
    chaos_calm(&torture->chaos);
    wait_for_sessions(torture);
    come_to_rest(torture);
}

/* --- sending commands again --- */

static void ask(struct torture *torture, uint32_t number, const char *token)
{
    int64_t question = plan_ask(&torture->plan, number, token[0] == '\0' ? NULL : token);
    torture->asked[number] = true;
    if (question < 0) {
        flow_fail("no room to ask again");
    }
    senders_post(&torture->senders, (uint32_t)question);
}

static int ask_open(struct torture *torture)
{
    int count = 0;
    uint32_t end = torture->plan.count;
    for (uint32_t number = 0; number < end; number++) {
        if (torture->asked[number]) {
            continue;
        }
        struct check_question question = check_question_of(&torture->check, number);
        if (question.is_open) {
            bool is_answered = check_answer_of(&torture->check, number) == CHECK_ANSWERED;
            torture->asked_open_count += is_answered;
            torture->asked_lost_count += !is_answered;
            ask(torture, number, question.token);
            count++;
        }
    }
    return count;
}

/* Sends answered commands again; each must get the same answer. */
static int ask_sample(struct torture *torture)
{
    int count = 0;
    uint32_t end = torture->plan.count;
    uint32_t step = end / SAMPLE + 1;
    for (uint32_t number = 0; number < end; number += step) {
        const struct plan_item *item = &torture->plan.items[number];
        if (!torture->asked[number] && item->token <= TOKEN_ODD &&
            torture->record.rows[number].replies != NULL) {
            ask(torture, number, "");
            count++;
        }
    }
    return count;
}

static void stop_all(struct torture *torture, int delay_ms)
{
    /* Only then each command comes to one of them. */
    const struct bridge_restart restart = {.delay_ms = delay_ms,
                                           .changed = BRIDGE_SETTING_COUNT,
                                           .is_common = torture->options.is_shared};
    for (int i = 0; i < torture->options.bridges; i++) {
        bridge_keeper_harm(&torture->bridges[i], BRIDGE_STOP, 0, &restart);
        torture->bridges[i].counts[BRIDGE_STOP]--;
    }
}

/* Stops the bridges; the last status message of each holds its final counts. */
static void stop_bridges(struct torture *torture)
{
    int64_t end_ms = flow_now_ms() + REST_MS;
    stop_all(torture, NEVER_MS);
    for (int i = 0; i < torture->options.bridges; i++) {
        const struct bridge *bridge = &torture->bridges[i].bridge;
        const struct witness_bridge *status = &torture->witness.bridges[i];
        while (bridge->pid > 0 || strcmp(status->last_state, "offline") != 0) {
            torture_step(torture);
            if (flow_now_ms() > end_ms) {
                violate(VIOLATION_PROCESS, "the bridge did not end with its status, see %s",
                        bridge->log);
                return;
            }
        }
        counters_check_last(&torture->counters[i], &status->last_counts,
                            (torture->options.parts & CHAOS_WATCH) != 0);
    }
}

/* Where a fail-over has lost the beginning of an attempt, the history has its end alone. */
static bool is_excused_fault(struct torture *torture, const char *fault)
{
    int64_t id = 0;
    char *rest = NULL;
    bool is_excused = false;
    if (strstr(fault, "the end of an attempt that did not begin") == NULL ||
        sscanf(fault, "command %" SCNd64, &id) != 1 || !torture->options.is_shared) {
        return false;
    }
    char *tokens = store_keeper_tokens(&torture->store, torture->directory, id);
    for (char *token = strtok_r(tokens, "\n", &rest); token != NULL && !is_excused;
         token = strtok_r(NULL, "\n", &rest)) {
        is_excused = check_excuse_token(&torture->check, token, WRITE_STATE | WRITE_CLAIM,
                                        &torture->check.store_lost_histories, fault);
    }
    free(tokens);
    return is_excused;
}

static void verify_ledger(struct torture *torture)
{
    char *faults = bridge_keeper_verify(&torture->bridges[0]);
    char *rest = NULL;
    for (char *fault = faults == NULL ? NULL : strtok_r(faults, "\n", &rest); fault != NULL;
         fault = strtok_r(NULL, "\n", &rest)) {
        if (!is_excused_fault(torture, fault)) {
            violate(VIOLATION_LEDGER, "ledger verify: %s", fault);
        }
    }
    free(faults);
}

void torture_ask(struct torture *torture)
{
    int64_t count = 0;
    stop_all(torture, 0);
    wait_idle(torture);
    come_to_rest(torture);
    count += ask_sample(torture);
    for (int round = 0; round < ASK_ROUNDS; round++) {
        count += ask_open(torture);
        come_to_rest(torture);
    }
    end_reports(torture);
    struct counters_read sum = sum_of_counters(torture);
    counters_check(&sum, count);
    for (int i = 0; i < torture->options.bridges; i++) {
        bool is_watching = (torture->options.parts & CHAOS_WATCH) != 0;
        torture->watches[i] =
            is_watching ? counters_read_watches(torture->bridges[i].admin_port) : NULL;
        assert(!is_watching || torture->watches[i] != NULL);
    }
    stop_bridges(torture);
    verify_ledger(torture);
    if (torture->options.is_shared) {
        store_keeper_check(&torture->store, torture->bridges, torture->options.bridges,
                           &torture->findings);
    }
    api_finish(&torture->api);
}
