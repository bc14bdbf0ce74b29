/*
 * bench_fill - a ledger that has seen many commands already.
 *
 * Writes finished commands (succeeded, replied to, not to expire within the hour) through the
 * store's own interface, so that it follows the schema by itself. The file is created where it is
 * missing. To be used while no bridge has the ledger.
 *
 * bench_fill --ledger FILE --records N
 */
#include "bench.h"

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "ledger/store.h"
#include "model/command.h"
#include "model/outcome.h"
#include "model/route.h"
#include "model/state.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { BATCH = 10000, GROUPS = 256 };

static const int64_t HOUR_MS = 3600000;
static const int64_t DAY_MS = 86400000;
static const int64_t DEADLINE_MS = 300000;

struct fill {
    const struct store_ops *ops;
    struct store *store;
    struct route route;
    uint64_t seed;
    int64_t now_ms;
};

static void require(const struct fill *fill, enum status status, const char *what)
{
    if (status != STATUS_OK) {
        bench_die(EX_IOERR, "%s: %s", what, fill->ops->error(fill->store));
    }
}

static int64_t wall_clock_ms(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Spread over the day that a success is kept, the last hour left out. */
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
    snprintf(group, sizeof(group), "pg-bench-%05" PRIu64, number % GROUPS);
    struct command *command =
        command_of_record(&fill->route, slice_text("StartDiskReplicaGroup"),
                          slice_text("cn-beijing"), slice_text(group), slice_text(token), false);
    command->received_at_ms = fill->now_ms - age_ms(number);
    command->deadline_at_ms = command->received_at_ms + DEADLINE_MS;
    return command;
}

static void add_record(struct fill *fill, uint64_t number)
{
    struct command *command = command_make(fill, number);
    int64_t id = 0;
    struct store_outcome outcome = {
        .status = OUTCOME_SUCCEEDED,
        .retention = RETENTION_SUCCESS,
        .request_id = slice_text("C123F94F-4E38-19AE-942A-A8D6F44F0000"),
        .completed_at_ms = command->received_at_ms + 20,
        .expires_at_ms = command->received_at_ms + 20 + DAY_MS,
    };

    require(fill, fill->ops->insert(fill->store, command, STATE_CALLING, &id), "insert");
    require(fill, fill->ops->finish(fill->store, id, 1, &outcome), "finish");
    command_free(command);
}

static void fill_store(struct fill *fill, uint64_t records)
{
    for (uint64_t number = 0; number < records;) {
        require(fill, fill->ops->begin(fill->store), "begin");
        for (int i = 0; i < BATCH && number < records; i++) {
            add_record(fill, number++);
        }
        require(fill, fill->ops->commit(fill->store), "commit");
    }
}

static void store_open(struct fill *fill, const char *path)
{
    struct buf why = {0};

    fill->ops = &store_sqlite_ops;
    if (fill->ops->open(path, false, &fill->store, &why) != STATUS_OK) {
        bench_die(EX_CANTCREAT, "%s: %.*s", path, (int)why.length, why.data);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"ledger", required_argument, NULL, 'l'},
        {"records", required_argument, NULL, 'r'},
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
        } else {
            bench_die(EX_USAGE, "options: --ledger FILE, --records N");
        }
    }
    if (path == NULL || records == 0) {
        bench_die(EX_USAGE, "--ledger and --records are needed");
    }
    fill.route.name = (char *)"start";
    store_open(&fill, path);
    fill_store(&fill, records);
    fill.ops->close(fill.store);
    return BENCH_EXIT_OK;
}
