/*
 * A renewal and the list of bridges are one transaction and one round trip. An expulsion is two:
 * the calls of the run are reset only where its row was deleted, which was possible only if its
 * number had not changed.
 */
#include "lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hosts.h"
#include "ledger/history.h"
#include "ledger/peers.h"
#include "rows.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RENEW_MS     1000
#define RECONNECT_MS 500
#define ADOPT_MS     30000  /* without any change of the bridges */
#define LINE_MAX     100000 /* so many commands in line are counted */

struct postgres_lease {
    struct postgres_lease_options options;
    int timeout_ms; /* for an answer: after that the lease has ended anyway */
    pthread_t thread;

    /* owned by the thread */
    struct postgres_connection *connection; /* NULL: none */
    struct postgres_server server;
    struct peers peers;
    int64_t adopt_at_ms;
    bool is_out_of_reach; /* it was logged */

    int64_t changes; /* of the watches that this run follows, as it knows them */
    atomic_bool has_change;
    atomic_bool has_overdue;
    atomic_bool has_watch_change;
    _Atomic int64_t held;
    _Atomic int64_t elsewhere;
    _Atomic int64_t clock_offset_ms;
    pthread_mutex_t mutex;
    pthread_cond_t ending;
    bool is_ending; /* under the mutex */
};

/* ---- a renewal ---- */

struct renewal {
    struct postgres_lease *lease;
    int64_t now_ms;
    int64_t server_ms; /* its clock */
    int64_t in_line;
    int64_t first_due_ms; /* the first deadline of those in line; 0: there are none */
    int64_t changes;
    bool is_registered;
    bool has_standby;
    bool has_change;
};

static void take_bridges(struct renewal *renewal, const PGresult *result)
{
    struct peers *peers = &renewal->lease->peers;
    renewal->now_ms = clock_boot_ms();
    peers_begin(peers, renewal->now_ms);
    for (int i = 0; i < PQntuples(result); i++) {
        const struct peer_row row = {.id = postgres_int(result, i, 0),
                                     .n = postgres_int(result, i, 1),
                                     .lease_ms = postgres_int(result, i, 2),
                                     .held = postgres_int(result, i, 3)};
        peers_add(peers, &row, renewal->now_ms);
    }
    renewal->has_change = peers_end(peers);
}

/* The results come in the order of the statements in renew(). */
static void take_renewal(void *arg, size_t index, const PGresult *result)
{
    struct renewal *renewal = arg;
    switch (index) {
    case 0:
        renewal->is_registered = strcmp(PQcmdTuples((PGresult *)result), "1") == 0;
        break;
    case 1:
        renewal->server_ms = postgres_int(result, 0, 0);
        break;
    case 2:
        renewal->in_line = postgres_int(result, 0, 0);
        renewal->first_due_ms = postgres_int(result, 0, 1);
        break;
    case 3:
        renewal->changes = postgres_int(result, 0, 0);
        break;
    case 4:
        renewal->has_standby = PQgetlength(result, 0, 0) > 0;
        break;
    default:
        take_bridges(renewal, result);
    }
}

static void announce_change(struct postgres_lease *lease)
{
    lease->adopt_at_ms = clock_boot_ms() + ADOPT_MS;
    atomic_store(&lease->has_change, true);
    lease->options.wake(lease->options.arg);
}

static void lose(struct postgres_lease *lease)
{
    lease_lose(lease->options.lease);
    lease->options.wake(lease->options.arg);
}

static void out_of_reach(struct postgres_lease *lease, const char *why)
{
    peers_renewal_failed(&lease->peers);
    if (!lease->is_out_of_reach) {
        LOG_WARN("lease_not_renewed", LOG_TEXT("why", why)); /* a text of the connection */
    }
    postgres_close(lease->connection);
    lease->connection = NULL;
    lease->is_out_of_reach = true;
}

/* A commit that a standby does not have is lost if that one becomes the server. */
static void warn_of_loss(struct postgres_lease *lease)
{
    if (lease->options.warns_of_loss && !lease->server.has_standby) {
        LOG_WARN("ledger_not_synchronous", LOG_TEXT("setting", "ledger.failover"));
    }
    lease->options.warns_of_loss = false; /* once */
}

static enum status connect_it(struct postgres_lease *lease)
{
    const struct postgres_lease_options *options = &lease->options;
    struct buf why = {0};
    enum status status = STATUS_OK;
    if (timeline_is_old(options->timeline, &lease->server)) {
        postgres_close(lease->connection); /* the store has found a later primary */
        lease->connection = NULL;
    }
    if (lease->connection == NULL) {
        status = postgres_open_primary(options->uri, options->password_file, options->is_full, true,
                                       lease->timeout_ms, options->timeline, &lease->connection,
                                       &lease->server, &why);
    }
    if (status == STATUS_OK) {
        warn_of_loss(lease);
    } else {
        out_of_reach(lease, why.data);
    }
    buf_fini(&why);
    return status;
}

static void count_renewal(const struct postgres_lease *lease, int64_t round_trip_us)
{
    struct counters *counters = lease->options.counters;
    if (counters != NULL) {
        counter_set(counters, COUNTER_BRIDGES, (int64_t)lease->peers.count + 1);
        histogram_observe(counters, HISTOGRAM_LEDGER_ROUND_TRIP, round_trip_us);
    }
}

/* STATUS_NOT_FOUND: the run is not registered any more. */
static enum status renew(struct postgres_lease *lease)
{
    struct renewal renewal = {.lease = lease};
    const struct postgres_value values[] = {postgres_number(lease->options.run),
                                            postgres_number(atomic_load(&lease->held))};
    const struct postgres_value line[] = {postgres_number(LINE_MAX)};
    int64_t sent_ms = clock_boot_ms();
    int64_t sent_us = clock_mono_us();
    postgres_send(lease->connection, PG_HEARTBEAT, values, 2);
    postgres_send(lease->connection, PG_GET_CLOCK, NULL, 0);
    postgres_send(lease->connection, PG_COUNT_LINE, line, 1);
    postgres_send(lease->connection, PG_SUM_CHANGES, values, 1);
    postgres_send_text(lease->connection, "SHOW synchronous_standby_names");
    postgres_send(lease->connection, PG_LIST_BRIDGES, NULL, 0);
    enum status status =
        postgres_exchange(lease->connection, lease->timeout_ms, take_renewal, &renewal);
    if (status != STATUS_OK) {
        out_of_reach(lease, postgres_error(lease->connection));
        return status;
    }
    if (!renewal.is_registered) {
        return STATUS_NOT_FOUND;
    }
    count_renewal(lease, clock_mono_us() - sent_us);
    lease_renewed(lease->options.lease, sent_ms, lease->options.lease_ms);
    timeline_set_standby(lease->options.timeline, renewal.has_standby);
    lease->is_out_of_reach = false;
    atomic_store(&lease->elsewhere, renewal.in_line + peers_held(&lease->peers));
    /* It was read in the middle of the round trip. */
    atomic_store(&lease->clock_offset_ms, renewal.server_ms - (sent_ms + clock_boot_ms()) / 2);
    if (renewal.changes != lease->changes) {
        lease->changes = renewal.changes;
        atomic_store(&lease->has_watch_change, true);
        lease->options.wake(lease->options.arg);
    }
    if (renewal.has_change || renewal.now_ms >= lease->adopt_at_ms) {
        announce_change(lease);
    }
    if (renewal.first_due_ms != 0 && renewal.first_due_ms <= renewal.server_ms) {
        atomic_store(&lease->has_overdue, true);
        lease->options.wake(lease->options.arg);
    }
    return STATUS_OK;
}

/* ---- an expulsion ---- */

static void take_deleted(void *arg, size_t index, const PGresult *result)
{
    bool *is_deleted = arg;
    if (index == 1) {
        *is_deleted = strcmp(PQcmdTuples((PGresult *)result), "1") == 0;
    }
}

static enum status expel(struct postgres_lease *lease, const struct peer_row *dead)
{
    struct buf event = {0};
    bool is_deleted = false;
    history_put_interrupted(&event, clock_wall_ms(), true);
    const struct postgres_value row[] = {postgres_number(dead->id), postgres_number(dead->n)};
    const struct postgres_value calls[] = {postgres_number(dead->id), postgres_number(1),
                                           postgres_bytes(buf_slice(&event))};
    postgres_send_text(lease->connection, "BEGIN");
    postgres_send(lease->connection, PG_EXPEL, row, 2);
    enum status status =
        postgres_exchange(lease->connection, lease->timeout_ms, take_deleted, &is_deleted);
    if (status == STATUS_OK && is_deleted) {
        postgres_send(lease->connection, PG_RESET_CALLS, calls, 3);
        postgres_send(lease->connection, PG_REMOVE_STEP, calls, 1);
    }
    if (status == STATUS_OK) {
        postgres_send_text(lease->connection, is_deleted ? "COMMIT" : "ROLLBACK");
        status = postgres_exchange(lease->connection, lease->timeout_ms, NULL, NULL);
    }
    if (status == STATUS_OK && is_deleted) {
        LOG_WARN("bridge_expelled", LOG_INT("run", dead->id), LOG_INT("held", dead->held));
        if (lease->options.counters != NULL) {
            counter_add(lease->options.counters, COUNTER_EXPELLED, 1);
        }
        announce_change(lease);
    }
    buf_fini(&event);
    return status;
}

static void expel_dead(struct postgres_lease *lease)
{
    const struct peer_row *found;
    while ((found = peers_find_dead(&lease->peers, clock_boot_ms())) != NULL) {
        const struct peer_row dead = *found;
        enum status status = expel(lease, &dead);
        if (status == STATUS_UNAVAILABLE) {
            out_of_reach(lease, postgres_error(lease->connection));
            return;
        }
        if (status != STATUS_OK) {
            /* Another bridge expels it, or a transaction of its own still stands. */
            return;
        }
        peers_forget(&lease->peers, dead.id);
        atomic_fetch_sub(&lease->elsewhere, dead.held);
    }
}

/* ---- the thread ---- */

/* Waits until that time; false: the thread ends. */
static bool wait_until(struct postgres_lease *lease, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&lease->mutex);
    while (!lease->is_ending && clock_mono_ms() < until_ms) {
        pthread_cond_timedwait(&lease->ending, &lease->mutex, &until);
    }
    bool goes_on = !lease->is_ending;
    pthread_mutex_unlock(&lease->mutex);
    return goes_on;
}

static void *run(void *arg)
{
    struct postgres_lease *lease = arg;
    int64_t next_ms = clock_mono_ms();
    while (wait_until(lease, next_ms)) {
        next_ms = clock_mono_ms() + RENEW_MS;
        enum status status = connect_it(lease);
        if (status == STATUS_OK) {
            status = renew(lease);
        }
        if (status == STATUS_NOT_FOUND) {
            lose(lease);
            next_ms = INT64_MAX; /* nothing more is to be done until postgres_lease_free() */
            continue;
        }
        if (status == STATUS_OK) {
            expel_dead(lease);
        } else {
            next_ms = clock_mono_ms() + RECONNECT_MS;
        }
    }
    postgres_close(lease->connection);
    return NULL;
}

struct postgres_lease *postgres_lease_new(const struct postgres_lease_options *options)
{
    struct postgres_lease *lease = mem_zalloc(1, sizeof *lease);
    pthread_condattr_t attributes;
    sigset_t all;
    sigset_t before;
    lease->options = *options;
    lease->timeout_ms = (int)(options->lease_ms - LEASE_MARGIN_MS);
    peers_init(&lease->peers, options->run, options->lease_ms);
    atomic_init(&lease->has_change, true);
    atomic_init(&lease->has_overdue, false);
    atomic_init(&lease->clock_offset_ms, options->clock_offset_ms);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lease->ending, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&lease->mutex, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the loop handles them */
    int result = pthread_create(&lease->thread, NULL, run, lease);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        abort();
    }
    pthread_setname_np(lease->thread, "lease"); /* as top -H and perf show it */
    return lease;
}

void postgres_lease_free(struct postgres_lease *lease)
{
    if (lease == NULL) {
        return;
    }
    pthread_mutex_lock(&lease->mutex);
    lease->is_ending = true;
    pthread_mutex_unlock(&lease->mutex);
    pthread_cond_signal(&lease->ending);
    pthread_join(lease->thread, NULL);
    peers_fini(&lease->peers);
    pthread_cond_destroy(&lease->ending);
    pthread_mutex_destroy(&lease->mutex);
    free(lease);
}

bool postgres_lease_take_change(struct postgres_lease *lease)
{
    return atomic_exchange(&lease->has_change, false);
}

bool postgres_lease_take_overdue(struct postgres_lease *lease)
{
    return atomic_exchange(&lease->has_overdue, false);
}

void postgres_lease_call_again(struct postgres_lease *lease)
{
    atomic_store(&lease->has_overdue, true);
    lease->options.wake(lease->options.arg);
}

bool postgres_lease_take_watch_change(struct postgres_lease *lease)
{
    return atomic_exchange(&lease->has_watch_change, false);
}

int64_t postgres_lease_elsewhere(const struct postgres_lease *lease)
{
    return atomic_load(&lease->elsewhere);
}

int64_t postgres_lease_clock_offset_ms(const struct postgres_lease *lease)
{
    return atomic_load(&lease->clock_offset_ms);
}

void postgres_lease_set_held(struct postgres_lease *lease, int64_t held)
{
    atomic_store(&lease->held, held);
}
