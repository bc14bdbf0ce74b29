/*
 * A transaction of a run begins with the guard, which fails if the run was expelled, and writes its
 * number into the table `step`. So a run that lost its connection in a commit asks for the number
 * and knows whether the transaction stands, whatever was in it.
 */
#include "store_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLSTATE_EXPELLED "22012"
/* Of a statement that reads all records, for `ecs-mqtt-bridge ledger`. */
#define READ_TIMEOUT_MS 600000

enum status postgres_fail(struct store *store, const char *text)
{
    snprintf(store->error, sizeof store->error, "%s: %s", store->name, text);
    return STATUS_STORE;
}

void postgres_expelled(struct store *store)
{
    store->is_expelled = true;
    if (store->validity != NULL) {
        lease_lose(store->validity);
    }
    postgres_fail(store, "another bridge has taken over from this one, which must start again");
}

int64_t postgres_clock_ms(const struct store *store, int64_t boot_ms)
{
    return boot_ms + (store->lease == NULL ? store->clock_offset_ms
                                           : postgres_lease_clock_offset_ms(store->lease));
}

static void add_sent(struct store *store, took_fn *took, struct item *item)
{
    if (store->sent_count == store->sent_capacity) {
        store->sent_capacity = store->sent_capacity == 0 ? 64 : store->sent_capacity * 2;
        store->sent = mem_realloc(store->sent, store->sent_capacity * sizeof *store->sent);
    }
    store->sent[store->sent_count++] = (struct sent){took, item};
}

void postgres_put(struct store *store, enum store_postgres_statement statement,
                  const struct postgres_value *values, size_t count, took_fn *took,
                  struct item *item)
{
    postgres_send(store->connection, statement, values, count);
    add_sent(store, took, item);
}

void postgres_put_text(struct store *store, const char *text)
{
    postgres_send_text(store->connection, text);
    add_sent(store, NULL, NULL);
}

static void take_result(void *arg, size_t index, const PGresult *result)
{
    struct store *store = arg;
    assert(index < store->sent_count);
    const struct sent *sent = &store->sent[index];
    if (sent->took != NULL) {
        sent->took(store, sent->item, result);
    }
}

enum status postgres_flush(struct store *store)
{
    enum status status =
        postgres_exchange(store->connection, store->is_reader ? READ_TIMEOUT_MS : store->timeout_ms,
                          take_result, store);
    store->sent_count = 0;
    if (status != STATUS_OK) {
        postgres_fail(store, postgres_error(store->connection));
    }
    if (status == STATUS_STORE &&
        strcmp(postgres_sqlstate(store->connection), SQLSTATE_EXPELLED) == 0) {
        postgres_expelled(store);
    }
    return status;
}

void postgres_begin(struct store *store)
{
    const struct postgres_value guard[] = {postgres_number(store->run),
                                           postgres_number(store->session)};
    const struct postgres_value step[] = {postgres_number(store->run),
                                          postgres_number(++store->step)};
    postgres_put_text(store, "BEGIN");
    postgres_put(store, PG_GUARD, guard, 2, NULL, NULL);
    postgres_put(store, PG_SET_STEP, step, 2, NULL, NULL);
}

enum status postgres_commit(struct store *store)
{
    postgres_put_text(store, "COMMIT");
    enum status status = postgres_flush(store);
    store->work.is_unknown = status == STATUS_UNAVAILABLE;
    store->committed_step = status == STATUS_OK ? store->step : store->committed_step;
    return status;
}

void postgres_rollback(struct store *store)
{
    postgres_put_text(store, "ROLLBACK");
    postgres_flush(store);
}

bool postgres_may_retry(const struct store *store)
{
    static const char *const STATES[] = {"55P03", "57014", "23505", "25P02"};
    const char *state = postgres_sqlstate(store->connection);
    bool may_retry = strncmp(state, "40", 2) == 0;
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++) {
        may_retry = may_retry || strcmp(state, STATES[i]) == 0;
    }
    return may_retry;
}

void postgres_keep(struct store *store, struct item *item, const PGresult *result)
{
    (void)item;
    PQclear(store->kept);
    store->kept = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    if (store->kept == NULL) {
        abort(); /* out of memory, as mem_zalloc() */
    }
}

enum status postgres_query(struct store *store, enum store_postgres_statement statement,
                           const struct postgres_value *values, size_t count)
{
    if (store->connection == NULL) {
        return postgres_fail(store, "there is no connection");
    }
    postgres_put(store, statement, values, count, postgres_keep, NULL);
    return postgres_flush(store);
}

/* ---- after a lost connection ---- */

/* Waits for the end of the earlier connection's transaction, and shuts that connection out. */
static enum status take_session(struct store *store)
{
    const struct postgres_value run[] = {postgres_number(store->run)};
    enum status status = postgres_query(store, PG_RECONNECT, run, 1);
    if (status == STATUS_OK && PQntuples(store->kept) == 0) {
        postgres_expelled(store);
        status = STATUS_STORE;
    }
    if (status == STATUS_OK) {
        store->session = postgres_int(store->kept, 0, 0);
        status = postgres_query(store, PG_GET_STEP, run, 1);
    }
    return status;
}

/* Sees which transaction is the last one of this run on the server. */
static void compare_step(struct store *store, bool *out_is_committed)
{
    int64_t step = PQntuples(store->kept) == 1 ? postgres_int(store->kept, 0, 0) : 0;
    *out_is_committed = store->work.is_unknown && step == store->step;
    store->work.is_unknown = false;
    if (step < store->committed_step) {
        LOG_ERROR("ledger_commits_missing", LOG_INT("committed", store->committed_step),
                  LOG_INT("found", step));
        timeline_set_lost(store->timeline);
        store->must_repair = true;
    }
    store->committed_step = step;
}

enum status postgres_reconnect(struct store *store, bool *out_is_committed)
{
    *out_is_committed = false;
    if (store->connection != NULL && !postgres_is_lost(store->connection) &&
        !timeline_is_old(store->timeline, &store->server)) {
        return STATUS_OK;
    }
    struct buf why = {0};
    postgres_close(store->connection);
    store->connection = NULL;
    store->sent_count = 0;
    enum status status = postgres_open_primary(store->uri, store->password_file, store->is_full,
                                               true, store->timeout_ms, store->timeline,
                                               &store->connection, &store->server, &why);
    if (status != STATUS_OK) {
        postgres_fail(store, why.data);
    } else {
        status = take_session(store);
    }
    if (status == STATUS_OK) {
        compare_step(store, out_is_committed);
    } else {
        postgres_close(store->connection); /* the next attempt takes the session */
        store->connection = NULL;
    }
    buf_fini(&why);
    return status;
}
