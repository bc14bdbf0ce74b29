/*
 * bench_lives - how many whole lives of commands a store carries out in a second.
 *
 * Gives batches to the store as the ledger's thread does: one that claims N commands and removes
 * the replies of the batch before, and one that finishes them with a reply each. There is no
 * broker, no API and no thread. With --client K the groups are those of no other K.
 *
 * bench_lives --store STORE --batch N --seconds S [--client K] [--process]
 *
 * Prints {"lives":n,"lives_per_s":n,"p50_us":n,"p99_us":n,"cpu_us":n}: the times are those of a
 * batch, claimed and finished; the CPU time is that of this process for a command.
 */
#include "bench.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/store.h"
#include "model/route.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { BATCH_MAX = 256, SAMPLES_MAX = 1000000 };

static const int64_t SECOND_MS = 1000;
static const int64_t DAY_MS = 86400000;

struct lives {
    const struct store_ops *ops;
    struct store *store;
    struct route route;
    struct ledger_limits limits;
    struct ledger_batch *batch;
    size_t batch_count; /* commands in a batch */
    size_t client;
    uint64_t seed;
    uint64_t made;
    int64_t last_id;
    int64_t replies[BATCH_MAX]; /* of the batch before; 0: none */
    struct command *commands[BATCH_MAX];
};

static const struct request_type CLAIM = {.kind = REQUEST_CLAIM};
static const struct request_type FINISH = {.kind = REQUEST_FINISH};
static const struct request_type DELIVERED = {.kind = REQUEST_DELIVERED};

static int64_t now_ms(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_MS + now.tv_nsec / 1000000;
}

static struct ledger_request *add(struct lives *lives, const struct request_type *type)
{
    struct ledger_request *request = mem_zalloc(1, sizeof *request);

    request->type = type;
    request_list_append(&lives->batch->requests, request);
    return request;
}

static void carry_out(struct lives *lives)
{
    if (lives->ops->carry_out(lives->store, lives->batch) != STATUS_OK) {
        bench_die(EX_IOERR, "%s", lives->ops->error(lives->store));
    }
}

static void begin_batch(struct lives *lives)
{
    struct ledger_request *request;

    while ((request = request_list_take(&lives->batch->requests)) != NULL) {
        ledger_request_free(request);
    }
    ledger_batch_reset(lives->batch);
    lives->batch->now_ms = now_ms();
    lives->batch->kept_ms = lives->batch->now_ms;
}

static struct command *command_make(struct lives *lives, size_t place)
{
    char token[40];
    char group[32];
    uint64_t high = bench_mix(lives->seed + lives->made++);

    snprintf(token, sizeof(token), "%016" PRIx64 "-%016" PRIx64, high, bench_mix(high));
    snprintf(group, sizeof(group), "pg-%zu-%zu", lives->client, place);
    struct command *command = command_of_record(
        &lives->route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-beijing"),
        slice_text(group), slice_text(token), slice_text("{\"OneShot\":false}"));
    command->received_at_ms = lives->batch->now_ms;
    command->deadline_at_ms = lives->batch->now_ms + 300 * SECOND_MS;
    return command;
}

/* The claim owns a command of its own; the outcome gets another one. */
static void claim(struct lives *lives)
{
    begin_batch(lives);
    for (size_t i = 0; i < lives->batch_count; i++) {
        struct ledger_request *request = add(lives, &CLAIM);
        struct ledger_claim *ask = &request->claim.ask;
        ask->command = command_make(lives, i);
        ask->is_called_at_once = true;
        ask->reply_to.topic = mem_strdup("ecs-bridge/v1/replies/a");
        ask->reply_to.correlation_data = mem_dup("0123456789", 10);
        ask->reply_to.correlation_data_bytes = 10;
        request->claim.id = ++lives->last_id;
    }
    for (size_t i = 0; i < lives->batch_count && lives->replies[i] != 0; i++) {
        add(lives, &DELIVERED)->delivered.message.id = lives->replies[i];
    }
    carry_out(lives);
    size_t i = 0;
    for (struct ledger_request *request = lives->batch->requests.head; request != NULL;
         request = request->next) {
        if (request->type != &CLAIM) {
            continue;
        }
        if (request->claim.state != STATE_CALLING) {
            bench_die(BENCH_EXIT_FAILED, "a claim got state %d", (int)request->claim.state);
        }
        struct command *command = request->claim.ask.command;
        request->claim.ask.command = NULL;
        command->id = request->claim.id;
        command->attempts = 1;
        lives->commands[i++] = command;
    }
}

static void finish(struct lives *lives)
{
    begin_batch(lives);
    for (size_t i = 0; i < lives->batch_count; i++) {
        struct finish_request *finish = &add(lives, &FINISH)->finish;
        finish->command = lives->commands[i];
        finish->outcome.status = OUTCOME_SUCCEEDED;
        finish->outcome.retention = RETENTION_SUCCESS;
        finish->outcome.request_id = mem_strdup("C123F94F-4E38-19AE-942A-A8D6F44F0000");
        finish->is_answer = true;
        finish->completed_at_ms = lives->batch->now_ms;
        finish->kept_from_ms = lives->batch->now_ms;
    }
    carry_out(lives);
    if (lives->batch->message_count != lives->batch_count) {
        bench_die(BENCH_EXIT_MISSING, "%zu of %zu replies", lives->batch->message_count,
                  lives->batch_count);
    }
    for (size_t i = 0; i < lives->batch_count; i++) {
        lives->replies[i] = lives->batch->messages[i].id;
    }
}

static void measure(struct lives *lives, uint64_t seconds)
{
    struct bench_samples samples;
    uint64_t begun_ns = bench_now_ns();
    uint64_t cpu_ns = bench_cpu_ns();
    uint64_t end_ns = begun_ns + seconds * 1000000000;
    uint64_t before_ns = begun_ns;

    bench_samples_init(&samples, SAMPLES_MAX);
    while (before_ns < end_ns && samples.count < SAMPLES_MAX) {
        claim(lives);
        finish(lives);
        uint64_t after_ns = bench_now_ns();
        bench_samples_add(&samples, after_ns - before_ns);
        before_ns = after_ns;
    }
    double count = (double)samples.count * (double)lives->batch_count;
    cpu_ns = bench_cpu_ns() - cpu_ns;
    bench_samples_sort(&samples);
    printf(
        "{\"lives\":%.0f,\"lives_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us\":%.1f}\n",
        count, count * 1e9 / (double)(before_ns - begun_ns),
        bench_samples_percentile_us(&samples, 50), bench_samples_percentile_us(&samples, 99),
        (double)cpu_ns / 1000 / count);
    bench_samples_fini(&samples);
}

static void open_store(struct lives *lives, const char *name, bool is_full)
{
    struct store_summary summary;
    struct store_place place = {0};
    char instance[32];
    struct buf why = {0};

    snprintf(instance, sizeof(instance), "bench-lives-%zu", lives->client);
    place.instance = instance;
    if (store_choose(name, &lives->ops, &place.location, &why) != STATUS_OK ||
        lives->ops->open(&place, is_full, &lives->store, &why) != STATUS_OK) {
        bench_die(EX_CANTCREAT, "%.*s", (int)why.length, why.data);
    }
    lives->batch = mem_zalloc(1, sizeof *lives->batch);
    lives->batch->limits = &lives->limits;
    lives->batch->now_ms = now_ms();
    if (lives->ops->start(lives->store, lives->batch) != STATUS_OK ||
        lives->ops->summarise(lives->store, &summary) != STATUS_OK) {
        bench_die(EX_IOERR, "%s", lives->ops->error(lives->store));
    }
    lives->last_id = summary.last_id + (int64_t)lives->client * 1000000000;
    lives->batch->next_message_id = summary.last_message_id + 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"store", required_argument, NULL, 's'},   {"batch", required_argument, NULL, 'b'},
        {"seconds", required_argument, NULL, 't'}, {"client", required_argument, NULL, 'c'},
        {"process", no_argument, NULL, 'p'},       {NULL, 0, NULL, 0},
    };
    struct lives lives = {.seed = bench_random(), .batch_count = 1};
    const char *name = NULL;
    uint64_t seconds = 1;
    bool is_full = true;

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            name = optarg;
            break;
        case 'b':
            lives.batch_count = bench_number("--batch", optarg, 1, BATCH_MAX);
            break;
        case 't':
            seconds = bench_number("--seconds", optarg, 1, 3600);
            break;
        case 'c':
            lives.client = bench_number("--client", optarg, 0, 1000);
            break;
        case 'p':
            is_full = false;
            break;
        default:
            bench_die(EX_USAGE,
                      "options: --store STORE, --batch N, --seconds S, --client K, --process");
        }
    }
    if (name == NULL) {
        bench_die(EX_USAGE, "--store is needed");
    }
    lives.route.name = (char *)"start";
    lives.limits = (struct ledger_limits){
        .success_ttl_s = DAY_MS / SECOND_MS,
        .pending_max = INT64_MAX,
        .waiters_max = 64,
        .replies = {.qos = 1, .expiry_s = 3600},
        .routes = &lives.route,
        .route_count = 1,
    };
    log_setup(LOG_LEVEL_ERROR, LOG_LOGFMT, "bench_lives");
    open_store(&lives, name, is_full);
    measure(&lives, seconds);
    begin_batch(&lives);
    lives.ops->close(lives.store);
    ledger_batch_free(lives.batch);
    return BENCH_EXIT_OK;
}
