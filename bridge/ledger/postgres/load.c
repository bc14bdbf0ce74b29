/*
 * COPY does not work in a pipeline, so this uses libpq's functions that wait.
 */
#include "load.h"

#include "base/mem.h"
#include "hosts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000

struct postgres_load {
    struct postgres_connection *connection;
    PGconn *pg;
};

/* The columns in the order in which a line has them, and the order of the rows. */
static const struct {
    const char *name;
    const char *columns;
    const char *order;
} TABLES[TRANSFER_COUNT] = {
    [TRANSFER_COMMAND] =
        {"command",
         "token, owner, line, seq, claimed_by, received_at, deadline_at, not_before, due_at,"
         " completed_at, attempts, state, status, retention, crashes, has_waiters, action, region,"
         " grp, route, params, fingerprint, topic, correlation_data, correlation_id, traceparent,"
         " tracestate, has_body_trace, element, request_id, code, error, observed,"
         " history",
         "seq"},
    [TRANSFER_WAITER] = {"waiter",
                         "token, bridge, n, topic, correlation_data, correlation_id, traceparent,"
                         " tracestate, has_body_trace, element, is_kept",
                         "token, n"},
    [TRANSFER_OUTBOX] = {"outbox", "owner, id, message, token", "id"},
    [TRANSFER_AUDIT] = {"audit", "instance, seq, record", "seq"},
    [TRANSFER_WATCH] = {"watch",
                        "object, id, token, action, route, region, one_shot, outcome, started_at,"
                        " ends_at, traceparent, seq, site, status, recover_point_s, rpo_s,"
                        " progress, changed_at, flags",
                        "id"},
    [TRANSFER_META] = {"meta", "instance, key, value", "key"},
};

const char *postgres_load_name(enum transfer_table table)
{
    return TABLES[table].name;
}

static void append_error(const char *what, const char *text, struct buf *out_why)
{
    buf_printf(out_why, "%s: %.*s", what, (int)strcspn(text, "\n"), text);
}

/* ---- tables ---- */

static void take_number(void *arg, size_t index, const PGresult *result)
{
    (void)index;
    *(int64_t *)arg = PQntuples(result) == 1 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
}

static enum status read_number(struct postgres_connection *connection, const char *sql,
                               int64_t *out_number, struct buf *out_why)
{
    postgres_send_text(connection, sql);
    enum status status = postgres_exchange(connection, TIMEOUT_MS, take_number, out_number);
    if (status != STATUS_OK) {
        buf_append_text(out_why, postgres_error(connection));
    }
    return status;
}

static enum status refuse_bridges(struct postgres_connection *connection, struct buf *out_why)
{
    int64_t count = 0;
    enum status status =
        read_number(connection, "SELECT count(*)::text FROM bridge", &count, out_why);
    if (status == STATUS_OK && count > 0) {
        buf_printf(out_why,
                   "%" PRId64 " bridges are registered in this database: stop them all. One that "
                   "was killed stays registered until it is started and stopped again, or until "
                   "another one has taken over from it",
                   count);
        status = STATUS_BUSY;
    }
    return status;
}

/* 0: there are no tables. */
static enum status read_version(struct postgres_connection *connection, int64_t *out_version,
                                struct buf *out_why)
{
    int64_t has_tables = 0;
    enum status status =
        read_number(connection, "SELECT (to_regclass('schema_version') IS NOT NULL)::integer::text",
                    &has_tables, out_why);
    *out_version = 0;
    if (status == STATUS_OK && has_tables != 0) {
        status = read_number(connection, "SELECT version::text FROM schema_version", out_version,
                             out_why);
    }
    return status;
}

static enum status migrate(struct postgres_connection *connection, bool is_exclusive,
                           int64_t *out_before, struct buf *out_why)
{
    /* A bridge that starts takes the same lock before it registers; it ends with the connection. */
    enum status status = postgres_run(connection, TIMEOUT_MS,
                                      "SET statement_timeout = 0; SET lock_timeout = 0;"
                                      "SELECT pg_advisory_lock(" STORE_POSTGRES_LOCK_KEY ")");
    if (status != STATUS_OK) {
        buf_append_text(out_why, postgres_error(connection));
        return status;
    }
    status = read_version(connection, out_before, out_why);
    if (status == STATUS_OK && *out_before > 0 && is_exclusive) {
        status = refuse_bridges(connection, out_why);
    }
    return status == STATUS_OK ? postgres_migrate(connection, TIMEOUT_MS, out_why) : status;
}

enum status postgres_make_tables(const char *uri, const char *password_file, bool is_exclusive,
                                 int64_t *out_before, struct buf *out_why)
{
    struct postgres_connection *connection = NULL;
    enum status status =
        postgres_open(uri, password_file, true, false, TIMEOUT_MS, &connection, out_why);
    *out_before = 0;
    if (status == STATUS_OK) {
        status = migrate(connection, is_exclusive, out_before, out_why);
    }
    postgres_close(connection);
    return status;
}

enum status postgres_look_at_tables(const char *uri, const char *password_file,
                                    int64_t *out_version, bool *out_has_standby,
                                    struct buf *out_why)
{
    struct postgres_connection *connection = NULL;
    struct postgres_server server = {0};
    enum status status = postgres_open_primary(uri, password_file, true, false, TIMEOUT_MS, NULL,
                                               &connection, &server, out_why);
    *out_version = 0;
    *out_has_standby = server.has_standby;
    if (status == STATUS_OK) {
        status = read_version(connection, out_version, out_why);
    }
    postgres_close(connection);
    return status == STATUS_OK ? postgres_check_version(*out_version, out_why) : status;
}

/* ---- rows ---- */

/* Runs a statement that returns nothing, or begins a COPY. */
static enum status execute(struct postgres_load *load, const char *sql, ExecStatusType expected,
                           struct buf *out_why)
{
    PGresult *result = PQexec(load->pg, sql);
    enum status status = PQresultStatus(result) == expected ? STATUS_OK : STATUS_STORE;
    if (status != STATUS_OK) {
        append_error("PostgreSQL", PQerrorMessage(load->pg), out_why);
    }
    PQclear(result);
    return status;
}

static enum status refuse_rows(struct postgres_load *load, const char *table, struct buf *out_why)
{
    struct buf sql = {0};
    buf_printf(&sql, "SELECT 1 FROM %s LIMIT 1", table);
    PGresult *result = PQexec(load->pg, sql.data);
    enum status status = STATUS_OK;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        append_error(table, PQerrorMessage(load->pg), out_why);
        status = STATUS_STORE;
    } else if (PQntuples(result) > 0) {
        buf_printf(out_why, "the database is not empty: its table %s has rows; name another one",
                   table);
        status = STATUS_BUSY;
    }
    PQclear(result);
    buf_fini(&sql);
    return status;
}

enum status postgres_load_open(const char *uri, const char *password_file,
                               struct postgres_load **out_load, struct buf *out_why)
{
    struct postgres_load *load = mem_zalloc(1, sizeof *load);
    enum status status =
        postgres_open(uri, password_file, true, false, TIMEOUT_MS, &load->connection, out_why);
    if (status != STATUS_OK) {
        free(load);
        return status;
    }
    load->pg = postgres_leave_pipeline(load->connection);
    status = execute(load,
                     "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
                     "BEGIN; LOCK TABLE bridge IN SHARE ROW EXCLUSIVE MODE",
                     PGRES_COMMAND_OK, out_why);
    if (status == STATUS_OK) {
        status = refuse_rows(load, "bridge", out_why); /* it is in use, or was */
    }
    for (size_t i = 0; i < TRANSFER_COUNT && status == STATUS_OK; i++) {
        status = refuse_rows(load, TABLES[i].name, out_why);
    }
    if (status != STATUS_OK) {
        postgres_load_close(load);
        return status;
    }
    *out_load = load;
    return STATUS_OK;
}

void postgres_load_close(struct postgres_load *load)
{
    if (load != NULL) {
        postgres_close(load->connection);
        free(load);
    }
}

enum status postgres_load_begin(struct postgres_load *load, enum transfer_table table,
                                struct buf *out_why)
{
    struct buf sql = {0};
    buf_printf(&sql, "COPY %s (%s) FROM STDIN", TABLES[table].name, TABLES[table].columns);
    enum status status = execute(load, sql.data, PGRES_COPY_IN, out_why);
    buf_fini(&sql);
    return status;
}

enum status postgres_load_put(struct postgres_load *load, struct slice line)
{
    return PQputCopyData(load->pg, line.data, (int)line.length) == 1 &&
                   PQputCopyData(load->pg, "\n", 1) == 1
               ? STATUS_OK
               : STATUS_UNAVAILABLE;
}

/* The result of the COPY, and the NULL behind it. */
static enum status end_copy(struct postgres_load *load, struct buf *out_why)
{
    enum status status = STATUS_OK;
    PGresult *result;
    while ((result = PQgetResult(load->pg)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && status == STATUS_OK) {
            append_error("PostgreSQL", PQresultErrorMessage(result), out_why);
            status = STATUS_STORE;
        }
        PQclear(result);
    }
    return status;
}

enum status postgres_load_end(struct postgres_load *load, struct buf *out_why)
{
    if (PQputCopyEnd(load->pg, NULL) != 1) {
        append_error("PostgreSQL", PQerrorMessage(load->pg), out_why);
        return STATUS_UNAVAILABLE;
    }
    return end_copy(load, out_why);
}

enum status postgres_check_begin(struct postgres_load *load, enum transfer_table table,
                                 struct buf *out_why)
{
    struct buf sql = {0};
    buf_printf(&sql, "COPY (SELECT %s FROM %s ORDER BY %s) TO STDOUT", TABLES[table].columns,
               TABLES[table].name, TABLES[table].order);
    enum status status = execute(load, sql.data, PGRES_COPY_OUT, out_why);
    buf_fini(&sql);
    return status;
}

enum status postgres_check_line(struct postgres_load *load, struct slice line)
{
    char *row = NULL;
    int length = PQgetCopyData(load->pg, &row, 0); /* with its line end; -1: no more */
    bool is_same =
        length > 0 && (size_t)length == line.length + 1 && memcmp(row, line.data, line.length) == 0;
    PQfreemem(row);
    return is_same ? STATUS_OK : STATUS_INVALID;
}

enum status postgres_check_end(struct postgres_load *load)
{
    struct buf why = {0};
    char *row = NULL;
    enum status status = PQgetCopyData(load->pg, &row, 0) == -1 ? STATUS_OK : STATUS_INVALID;
    PQfreemem(row);
    if (status == STATUS_OK) {
        status = end_copy(load, &why);
    }
    buf_fini(&why);
    return status;
}

enum status postgres_load_commit(struct postgres_load *load, struct buf *out_why)
{
    return execute(load, "COMMIT", PGRES_COMMAND_OK, out_why);
}
