/*
 * bench_fill - makes a ledger that holds many finished commands.
 *
 * Writes finished commands (succeeded, replied to, not expiring within the next hour) through the
 * store's interface, so it always uses the current schema. Creates the file if it is missing. Use
 * it only while no bridge has the ledger open. With --watched each command is of a group of its
 * own, which is watched since then.
 *
 * bench_fill --ledger FILE --records N [--watched]
 */
#include "bench.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/status.h"
#include "ledger/sqlite/sqlite.h"
#include "model/command.h"
#include "model/outcome.h"
#include "model/route.h"
#include "model/state.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { BATCH = 10000, GROUPS = 256 };

static const int64_t HOUR_MS = 3600000;
#define DAY_MS INT64_C(86400000)
static const int64_t DEADLINE_MS = 300000;

struct fill {
    const struct store_ops *ops;
    struct store *store;
    struct route route;
    uint64_t seed;
    int64_t now_ms;
    int64_t last_id;
    bool is_watched;
};

static int64_t wall_clock_ms(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Spread over the day for which a success is kept, except the last hour. */
static int64_t age_ms(uint64_t number)
{
    return (int64_t)(bench_mix(number) % (uint64_t)(DAY_MS - HOUR_MS));
}

static struct command *command_make(struct fill *fill, uint64_t number)
{
    char token[40];
    char group[32];
    uint64_t high = bench_mix(fill->seed + number);
    uint64_t low = bench_mix(high);

    snprintf(token, sizeof(token),
             "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
             (high >> 16) & 0xffffU, high & 0xfffU, low >> 48, low & 0xffffffffffffU);
    snprintf(group, sizeof(group), "pg-bench-%05" PRIu64,
             fill->is_watched ? number : number % GROUPS);
    struct command *command = command_of_record(
        &fill->route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-beijing"),
        slice_text(group), slice_text(token), slice_text("{\"OneShot\":false}"));
    command->received_at_ms = fill->now_ms - age_ms(number);
    command->deadline_at_ms = command->received_at_ms + DEADLINE_MS;
    return command;
}

static const struct request_type CLAIM = {.kind = REQUEST_CLAIM};
static const struct request_type FINISH = {.kind = REQUEST_FINISH};

/* Adds a claim without a reply, and its outcome, which owns the command. */
static void add_record(struct fill *fill, struct ledger_batch *batch, uint64_t number)
{
    struct command *command = command_make(fill, number);
    struct ledger_request *claim = mem_zalloc(1, sizeof *claim);
    struct ledger_request *finish = mem_zalloc(1, sizeof *finish);

    claim->type = &CLAIM;
    claim->claim.ask.command = command;
    claim->claim.ask.is_called_at_once = true;
    claim->claim.id = (int64_t)number + 1 + fill->last_id;
    command->id = claim->claim.id;
    command->attempts = 1;
    finish->type = &FINISH;
    finish->finish.command = command;
    finish->finish.outcome.status = OUTCOME_SUCCEEDED;
    finish->finish.outcome.retention = RETENTION_SUCCESS;
    finish->finish.outcome.request_id = (char *)"C123F94F-4E38-19AE-942A-A8D6F44F0000";
    finish->finish.completed_at_ms = command->received_at_ms + 20;
    finish->finish.kept_from_ms = command->received_at_ms + 20;
    if (fill->is_watched) {
        finish->finish.watch.started_at_ms = command->received_at_ms - HOUR_MS;
        finish->finish.watch.ends_at_ms = fill->now_ms + DAY_MS;
    }
    request_list_append(&batch->requests, claim);
    request_list_append(&batch->requests, finish);
}

static void drop_records(struct ledger_batch *batch)
{
    struct ledger_request *request;

    while ((request = request_list_take(&batch->requests)) != NULL) {
        if (request->type == &FINISH) {
            request->finish.outcome.request_id = NULL; /* static */
        } else {
            request->claim.ask.command = NULL;
        }
        ledger_request_free(request);
    }
}

static void fill_store(struct fill *fill, uint64_t records)
{
    static const struct ledger_limits limits = {
        .success_ttl_s = DAY_MS / 1000, .pending_max = INT64_MAX, .watches_max = INT64_MAX};
    struct ledger_batch batch = {.limits = &limits};

    for (uint64_t number = 0; number < records;) {
        for (int i = 0; i < BATCH && number < records; i++) {
            add_record(fill, &batch, number++);
        }
        if (fill->ops->carry_out(fill->store, &batch) != STATUS_OK) {
            bench_die(EX_IOERR, "%s", fill->ops->error(fill->store));
        }
        drop_records(&batch);
    }
}

static void store_open(struct fill *fill, const char *path)
{
    struct store_summary summary;
    struct buf why = {0};

    fill->ops = &store_sqlite_ops;
    if (fill->ops->open(&(struct store_place){.location = path}, false, &fill->store, &why) !=
        STATUS_OK) {
        bench_die(EX_CANTCREAT, "%s: %.*s", path, (int)why.length, why.data);
    }
    if (fill->ops->summarise(fill->store, &summary) != STATUS_OK) {
        bench_die(EX_IOERR, "%s", fill->ops->error(fill->store));
    }
    fill->last_id = summary.last_id;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"ledger", required_argument, NULL, 'l'},
        {"records", required_argument, NULL, 'r'},
        {"watched", no_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    struct fill fill = {.seed = bench_random(), .now_ms = wall_clock_ms()};
    const char *path = NULL;
    uint64_t records = 0;

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'l') {
            path = optarg;
        } else if (option == 'r') {
            records = bench_number("--records", optarg, 1, 100000000);
        } else if (option == 'w') {
            fill.is_watched = true;
        } else {
            bench_die(EX_USAGE, "options: --ledger FILE, --records N, --watched");
        }
    }
    if (path == NULL || records == 0) {
        bench_die(EX_USAGE, "--ledger and --records are needed");
    }
    fill.route.name = (char *)"start";
    log_setup(LOG_LEVEL_ERROR, LOG_LOGFMT, "bench_fill"); /* without a reply */
    store_open(&fill, path);
    fill_store(&fill, records);
    fill.ops->close(fill.store);
    return BENCH_EXIT_OK;
}
