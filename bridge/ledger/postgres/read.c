/*
 * What only reads, and numbers for an operator. Each statement is a transaction of its own.
 */
#include "store_private.h"

#include "base/mem.h"
#include "ledger/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 100 /* of a kind */

/* Outside of a batch a lost connection is a failure as any other. */
static enum status plain(enum status status)
{
    return status == STATUS_UNAVAILABLE ? STATUS_STORE : status;
}

void postgres_damaged(struct store *store, const char *what)
{
    struct buf text = {0};
    buf_printf(&text, "the record of command %s is damaged", what);
    postgres_fail(store, text.data);
    buf_fini(&text);
}

/* ---- commands ---- */

/* A row that is to be shown, with the instance that holds it. */
static enum status read_shown(struct store *store, int i, struct store_row *out_row)
{
    enum status status = postgres_read_row(store->kept, i, out_row);
    if (status == STATUS_OK) {
        out_row->instance = postgres_slice(store->kept, i, COLUMN_COUNT);
    } else {
        postgres_damaged(store, PQgetvalue(store->kept, i, COLUMN_token));
    }
    return status;
}

static enum status query_row(struct store *store, enum store_postgres_statement statement,
                             const struct postgres_value *values, size_t count,
                             struct store_row *out_row)
{
    enum status status = postgres_query(store, statement, values, count);
    if (status != STATUS_OK) {
        return status;
    }
    if (PQntuples(store->kept) == 0) {
        return STATUS_NOT_FOUND;
    }
    return read_shown(store, 0, out_row);
}

static enum status find(struct store *store, struct slice token, struct store_row *out_row)
{
    const struct postgres_value values[] = {postgres_bytes(token)};
    return query_row(store, PG_FIND, values, 1, out_row);
}

enum status postgres_find(struct store *store, struct slice token, struct store_row *out_row)
{
    return plain(find(store, token, out_row));
}

static enum status each(struct store *store, enum store_list list, int64_t after_id, size_t limit,
                        store_row_fn *row_fn, void *arg)
{
    static const enum store_postgres_statement LISTS[] = {
        [STORE_LIST_ALL] = PG_LIST_ALL,
        [STORE_LIST_UNFINISHED] = PG_LIST_UNFINISHED,
        [STORE_LIST_OUTCOMES] = PG_LIST_OUTCOMES,
    };
    const struct postgres_value values[] = {
        postgres_number(after_id), postgres_number(limit > INT64_MAX ? INT64_MAX : (int64_t)limit)};
    enum status status = postgres_query(store, LISTS[list], values, 2);
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        struct store_row row;
        status = read_shown(store, i, &row);
        if (status == STATUS_OK) {
            row_fn(arg, &row);
        }
    }
    return status;
}

enum status postgres_each(struct store *store, enum store_list list, int64_t after_id, size_t limit,
                          store_row_fn *row_fn, void *arg)
{
    return plain(each(store, list, after_id, limit, row_fn, arg));
}

/* ---- watches ---- */

static enum status damaged_watch(struct store *store)
{
    return postgres_fail(store, "a watch is damaged");
}

enum status postgres_find_watch(struct store *store, struct slice object, struct watch **out_watch)
{
    const struct postgres_value values[] = {postgres_bytes(object)};
    enum status status = plain(postgres_query(store, PG_FIND_WATCH, values, 1));
    if (status != STATUS_OK || PQntuples(store->kept) == 0) {
        return status == STATUS_OK ? STATUS_NOT_FOUND : status;
    }
    *out_watch = postgres_read_watch(store->kept, 0);
    return *out_watch == NULL ? damaged_watch(store) : STATUS_OK;
}

enum status postgres_each_watch(struct store *store, store_watch_fn *watch_fn, void *arg)
{
    enum status status = plain(postgres_query(store, PG_LIST_WATCHES, NULL, 0));
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        struct watch *watch = postgres_read_watch(store->kept, i);
        if (watch == NULL) {
            return damaged_watch(store);
        }
        watch_fn(arg, watch);
        watch_free(watch);
    }
    return status;
}

/* ---- requests that read ---- */

/* The messages of later requests of the batch are reported by these requests. */
static void append_later_messages(const struct ledger_batch *batch,
                                  const struct ledger_request *request, struct buf *out)
{
    buf_append_char(out, '{');
    for (const struct ledger_request *later = request->next; later != NULL; later = later->next) {
        enum request_kind kind = later->type->kind;
        for (size_t i = 0;
             kind != REQUEST_READ && kind != REQUEST_READ_AUDIT && i < later->message_count; i++) {
            buf_printf(out, "%s%" PRId64, out->length > 1 ? "," : "",
                       batch->messages[later->first_message + i].id);
        }
    }
    buf_append_char(out, '}');
}

static enum status read_messages(struct store *store, struct ledger_request *request)
{
    struct ledger_batch *batch = store->work.batch;
    bool is_audit = request->type->kind == REQUEST_READ_AUDIT;
    struct buf later = {0};
    append_later_messages(batch, request, &later);
    const struct postgres_value values[] = {
        is_audit ? postgres_bytes(slice_text(store->instance)) : postgres_number(store->run),
        postgres_number(request->read.from_id), postgres_number((int64_t)request->read.limit),
        postgres_array(buf_slice(&later))};
    enum status status =
        postgres_query(store, is_audit ? PG_READ_AUDIT : PG_READ_OUTBOX, values, is_audit ? 3 : 4);
    request->first_message = batch->message_count;
    request->message_count = 0;
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        size_t offset = batch->bytes.length;
        buf_append(&batch->bytes, postgres_slice(store->kept, i, 1));
        ledger_batch_add_message(batch, request, postgres_int(store->kept, i, 0), offset);
    }
    buf_fini(&later);
    return status;
}

/* What the record's command has started: the bridge that asks may not be the one that polls. */
static enum status add_watch(struct store *store, struct query_request *query)
{
    struct ledger_record *record = query->records[0];
    const struct postgres_value group[] = {postgres_bytes(record->group)};
    enum status status = postgres_query(store, PG_FIND_WATCH, group, 1);
    if (status == STATUS_OK && PQntuples(store->kept) > 0) {
        query->watch = postgres_read_watch(store->kept, 0);
        bool is_its_own =
            query->watch != NULL && slice_equals_text(record->token, query->watch->token);
        record->watch = is_its_own ? query->watch : NULL;
    }
    return status;
}

static enum status query(struct store *store, struct query_request *query)
{
    const struct ledger_batch *batch = store->work.batch;
    struct store_row row;
    query_clear(query);
    query->steps_ms = batch->now_ms - batch->kept_ms;
    bool is_success = query->fingerprint.length > 0;
    if (query->token.length == 0 && !is_success) {
        return each(store, query->list, query->after_id, query->limit, query_add, query);
    }
    const struct postgres_value success[] = {postgres_bytes(buf_slice(&query->fingerprint)),
                                             postgres_number(query->since_ms),
                                             postgres_bytes(buf_slice(&query->group))};
    enum status status = is_success ? query_row(store, PG_FIND_SUCCESS, success, 3, &row)
                                    : find(store, buf_slice(&query->token), &row);
    if (status == STATUS_OK) {
        query_add(query, &row);
        status = is_success ? STATUS_OK : add_watch(store, query);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Columns: instance, key, value, whether this run has the lease. */
static enum status list_absent(struct store *store, struct absent_request *absent)
{
    const struct postgres_value lease[] = {
        postgres_bytes(slice_text(absent->lease_of == NULL ? "" : absent->lease_of)),
        postgres_bytes(slice_text(LEDGER_ADOPTER_KEY)), postgres_number(store->run)};
    enum status status = STATUS_OK;
    absent_clear(absent);
    if (absent->lease_of != NULL) {
        status = postgres_query(store, PG_DROP_SESSIONS_LEASE, lease, 2);
    }
    if (absent->lease_of != NULL && status == STATUS_OK) {
        status = postgres_query(store, PG_LEASE_SESSIONS, lease, 3);
    }
    if (status == STATUS_OK) {
        status = postgres_query(store, PG_LIST_ABSENT, &lease[1], 2);
    }
    int count = status == STATUS_OK ? PQntuples(store->kept) : 0;
    absent->numbers = mem_realloc(absent->numbers, ((size_t)count + 1) * sizeof *absent->numbers);
    for (int i = 0; i < count; i++) {
        absent->numbers[absent->count++] =
            (struct absent_number){.instance = mem_strdup(PQgetvalue(store->kept, i, 0)),
                                   .key = mem_strdup(PQgetvalue(store->kept, i, 1)),
                                   .value = postgres_int(store->kept, i, 2),
                                   .is_leased = postgres_int(store->kept, i, 3) == store->run};
    }
    return status;
}

enum status postgres_read_request(struct store *store, struct ledger_request *request)
{
    switch (request->type->kind) {
    case REQUEST_QUERY:
        return query(store, &request->query);
    case REQUEST_ALLOWANCE:
        return postgres_grant(store, &request->allowance);
    case REQUEST_ABSENT:
        return list_absent(store, &request->absent);
    default:
        return read_messages(store, request);
    }
}

/* ---- numbers ---- */

enum status postgres_count_after(struct store *store, int64_t id, int64_t *out_count)
{
    const struct postgres_value values[] = {postgres_number(id)};
    enum status status = plain(postgres_query(store, PG_COUNT_AFTER, values, 1));
    if (status == STATUS_OK) {
        *out_count = postgres_int(store->kept, 0, 0);
    }
    return status;
}

enum status postgres_summarise(struct store *store, struct store_summary *out_summary)
{
    const struct postgres_value values[] = {postgres_number(store->run),
                                            postgres_bytes(slice_text(store->instance))};
    enum status status = plain(postgres_query(store, PG_SUMMARISE, values, 2));
    if (status == STATUS_OK) {
        const PGresult *kept = store->kept;
        *out_summary = (struct store_summary){
            .waiting = postgres_int(kept, 0, 0),
            .messages = postgres_int(kept, 0, 1),
            .message_bytes = postgres_int(kept, 0, 2),
            .last_id = postgres_int(kept, 0, 3),
            .last_message_id = postgres_int(kept, 0, 4),
            .last_audit_seq = postgres_int(kept, 0, 5),
            .bytes = postgres_int(kept, 0, 6),
        };
    }
    return status;
}

/* Runs a text; its results are text. */
static enum status query_text(struct store *store, const char *sql)
{
    postgres_send_text(store->connection, sql);
    store->sent[store->sent_count++] = (struct sent){postgres_keep, NULL};
    return plain(postgres_flush(store));
}

enum status postgres_get_statistics(struct store *store, struct store_statistics *out_statistics)
{
    enum status status = query_text(
        store, "SELECT (SELECT version FROM schema_version), count(*),"
               " (SELECT count(*) FROM audit), (SELECT coalesce(min(received_at), 0) FROM command"
               " WHERE seq = (SELECT min(seq) FROM command)), (SELECT sum("
               "pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r' AND c.oid IN"
               " ('command'::regclass, 'waiter'::regclass, 'outbox'::regclass,"
               " 'audit'::regclass, 'watch'::regclass)) FROM command");
    if (status == STATUS_OK) {
        int64_t numbers[5];
        for (int i = 0; i < 5; i++) {
            numbers[i] = strtoll(PQgetvalue(store->kept, 0, i), NULL, 10);
        }
        *out_statistics = (struct store_statistics){.schema = numbers[0],
                                                    .records = numbers[1],
                                                    .audit_records = numbers[2],
                                                    .oldest_received_at_ms = numbers[3],
                                                    .file_bytes = numbers[4]};
    }
    return status;
}

/* Each statement finds rows that contradict another one: what they are, and what is wrong. */
static const struct invariant {
    const char *sql;
    const char *text;
} INVARIANTS[] = {
    {"SELECT token FROM command WHERE state NOT BETWEEN 1 AND 5", "it has no state"},
    {"SELECT token FROM command WHERE state < 5 AND owner IS NULL AND line IS NULL",
     "it is unfinished, but no bridge holds it and it waits in no line"},
    {"SELECT token FROM command WHERE state = 5 AND (owner IS NOT NULL OR line IS NOT NULL)",
     "it is done, but a bridge holds it"},
    {"SELECT token FROM command c WHERE line IS NOT NULL AND NOT EXISTS (SELECT 1 FROM command h"
     " WHERE h.grp = c.grp AND h.owner IS NOT NULL)",
     "it waits behind a command that is not there"},
    {"SELECT token FROM command WHERE state = 5 AND (status IS NULL OR retention IS NULL"
     " OR completed_at IS NULL)",
     "it is done, but a part of its outcome is missing"},
    {"SELECT token FROM command WHERE state < 5 AND status IS NOT NULL",
     "it is unfinished, but has an outcome"},
    {"SELECT token FROM command WHERE state IN (2, 4) AND attempts = 0",
     "it is being called, but has no attempt"},
    {"SELECT w.token FROM waiter w LEFT JOIN command c USING (token) WHERE c.token IS NULL",
     "somebody waits for it, but there is no such command"},
    {"SELECT token FROM waiter w JOIN command c USING (token) WHERE w.is_kept <> (c.state = 5)",
     "a duplicate waits for its outcome, but it has one; or the other way round"},
};

enum status postgres_verify(struct store *store, store_fault_fn *fault, void *arg)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof INVARIANTS / sizeof INVARIANTS[0] && status == STATUS_OK; i++) {
        struct buf sql = {0};
        buf_printf(&sql, "%s LIMIT %d", INVARIANTS[i].sql, FAULTS_MAX);
        status = query_text(store, sql.data);
        for (int j = 0; status == STATUS_OK && j < PQntuples(store->kept); j++) {
            struct buf line = {0};
            buf_printf(&line, "command %s: %s", PQgetvalue(store->kept, j, 0), INVARIANTS[i].text);
            fault(arg, line.data);
            buf_fini(&line);
        }
        buf_fini(&sql);
    }
    return status;
}

enum status postgres_backup(struct store *store, const char *path, struct buf *out_why)
{
    (void)store;
    (void)path;
    buf_append_text(out_why, "a ledger on PostgreSQL is backed up by PostgreSQL: see pg_dump and "
                             "pg_basebackup");
    return STATUS_INVALID;
}

void postgres_inspect(const char *location, store_finding_fn *found, void *arg)
{
    struct buf why = {0};
    if (postgres_check_uri(location, &why) != STATUS_OK) {
        found(arg, true, why.data);
    }
    buf_fini(&why);
}

/* ---- values ---- */

struct slice postgres_meta_owner(const struct store *store, const char *key)
{
    return slice_text(strcmp(key, LEDGER_CLOCK_META_STEPS) == 0 ? "" : store->instance);
}

enum status postgres_get_meta(struct store *store, const char *key, int64_t *out_value)
{
    const struct postgres_value values[] = {postgres_bytes(postgres_meta_owner(store, key)),
                                            postgres_bytes(slice_text(key))};
    enum status status = plain(postgres_query(store, PG_GET_META, values, 2));
    if (status != STATUS_OK || PQntuples(store->kept) == 0) {
        return status == STATUS_OK ? STATUS_NOT_FOUND : status;
    }
    *out_value = postgres_int(store->kept, 0, 0);
    return STATUS_OK;
}

enum status postgres_each_meta(struct store *store, const char *prefix, store_meta_fn *meta_fn,
                               void *arg)
{
    const struct postgres_value values[] = {postgres_bytes(slice_text(store->instance)),
                                            postgres_bytes(slice_text(prefix))};
    enum status status = plain(postgres_query(store, PG_LIST_META, values, 2));
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        meta_fn(arg, PQgetvalue(store->kept, i, 0), postgres_int(store->kept, i, 1));
    }
    return status;
}
