/*
 * libpq is in its non-blocking mode and, between the opening and the end, in pipeline mode. While
 * statements are sent, results are read, because otherwise both sides could wait for each other.
 */
#include "connection.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BYTES    512
#define SQLSTATE_BYTES 6
#define MIN_VERSION    130000
#define NUMBER_BYTES   24
#define PASSWORD_BYTES 1024

struct postgres_connection {
    PGconn *pg;
    size_t sent; /* statements of this exchange */
    bool is_broken;
    char error[ERROR_BYTES];
    char sqlstate[SQLSTATE_BYTES];
};

/* ---- opening ---- */

static void fail_with(struct postgres_connection *connection, const char *text)
{
    int length = (int)strcspn(text, "\n");
    snprintf(connection->error, sizeof connection->error, "%.*s", length, text);
    connection->sqlstate[0] = '\0';
}

static enum status lost(struct postgres_connection *connection, const char *text)
{
    fail_with(connection, text);
    connection->is_broken = true;
    return STATUS_UNAVAILABLE;
}

/* Waits for the events until `end_ms`; false: the time has passed. */
static bool wait_for(const PGconn *pg, short events, int64_t end_ms)
{
    struct pollfd descriptor = {.fd = PQsocket(pg), .events = events};
    for (;;) {
        int64_t left_ms = end_ms - clock_mono_ms();
        int count = left_ms <= 0 ? 0 : poll(&descriptor, 1, (int)left_ms);
        if (count >= 0 || errno != EINTR) {
            return count > 0;
        }
    }
}

/* The first line of the file. */
static enum status read_password(const char *path, char *out, size_t size, struct buf *out_why)
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(out, (int)size, file) == NULL) {
        buf_printf(out_why, "ledger.password_file %s cannot be read: %s", path,
                   file == NULL ? strerror(errno) : "it is empty");
        if (file != NULL) {
            fclose(file);
        }
        return STATUS_UNAVAILABLE;
    }
    fclose(file);
    out[strcspn(out, "\r\n")] = '\0';
    return STATUS_OK;
}

static PGconn *begin_connection(const char *uri, const struct postgres_host *host,
                                const char *password, bool is_off, const char *session_attrs)
{
    /* A later value for a keyword wins; the URI stands in the middle, before what is not its
     * business. An empty value is libpq's default. */
    const char *const keywords[] = {"connect_timeout",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "tcp_user_timeout",
                                    "sslmode",
                                    "dbname",
                                    "host",
                                    "hostaddr",
                                    "port",
                                    "password",
                                    "target_session_attrs",
                                    "application_name",
                                    "client_encoding",
                                    NULL};
    const char *const values[] = {"5",
                                  "5",
                                  "2",
                                  "3",
                                  "8000",
                                  is_off ? "verify-full" : "",
                                  uri,
                                  host->name,
                                  host->address,
                                  host->port,
                                  password,
                                  session_attrs,
                                  "ecs-mqtt-bridge",
                                  "UTF8",
                                  NULL};
    return PQconnectStartParams(keywords, values, 1);
}

static enum status finish_connection(struct postgres_connection *connection, int64_t end_ms)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        if (!wait_for(connection->pg, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, end_ms)) {
            return lost(connection, "the server does not answer");
        }
        next = PQconnectPoll(connection->pg);
    }
    return next == PGRES_POLLING_OK ? STATUS_OK : lost(connection, PQerrorMessage(connection->pg));
}

/*
 * The server commits without its synchronous standby when somebody cancels the wait, and says so in
 * a warning only. The commit may be lost in a fail-over then, so the connection counts as lost: the
 * store connects again, and its next commit waits for the standby.
 */
static void take_notice(void *arg, const PGresult *result)
{
    static const char *const STARTS[] = {"canceling wait for synchronous replication",
                                         "canceling the wait for synchronous replication"};
    struct postgres_connection *connection = arg;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    for (size_t i = 0; text != NULL && i < sizeof STARTS / sizeof STARTS[0]; i++) {
        if (strncmp(text, STARTS[i], strlen(STARTS[i])) == 0) {
            lost(connection, "a commit did not wait for the synchronous standby");
        }
    }
}

/* Not startup options, which a connection pool may refuse. Without enable_seqscan = off the planner
 * reads a table from end to end that was empty at its last vacuum, and the plan stays while the
 * table grows, up to the next vacuum: outbox and waiter are empty whenever nothing is to do. With
 * it, what must read a whole table seems so expensive that jit would compile it, for 0.1 s. */
static enum status set_session(struct postgres_connection *connection, bool is_full, int timeout_ms)
{
    enum status status = postgres_run(
        connection, timeout_ms,
        "SET statement_timeout = '5s'; SET lock_timeout = '3s';"
        "SET idle_in_transaction_session_timeout = '3s';"
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off;"
        "SET client_min_messages = warning;"
        "SET default_transaction_isolation = 'read committed'");
    return status == STATUS_OK ? postgres_run(connection, timeout_ms,
                                              is_full ? "SET synchronous_commit = on"
                                                      : "SET synchronous_commit = off")
                               : status;
}

enum status postgres_prepare(struct postgres_connection *connection, int timeout_ms)
{
    for (size_t i = 0; i < PG_STATEMENT_COUNT; i++) {
        const struct store_postgres_text *statement = &store_postgres_statements[i];
        if (PQsendPrepare(connection->pg, statement->name, statement->text, 0, NULL) == 0) {
            return lost(connection, PQerrorMessage(connection->pg));
        }
        connection->sent++;
    }
    return postgres_exchange(connection, timeout_ms, NULL, NULL);
}

static enum status set_up(struct postgres_connection *connection, bool is_full, int timeout_ms)
{
    enum status status = finish_connection(connection, clock_mono_ms() + timeout_ms);
    if (status != STATUS_OK) {
        return status;
    }
    const char *encoding = PQparameterStatus(connection->pg, "server_encoding");
    if (PQserverVersion(connection->pg) < MIN_VERSION) {
        fail_with(connection, "the server is older than PostgreSQL 13");
        return STATUS_INVALID;
    }
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        fail_with(connection, "the database is not in UTF8: create it with ENCODING 'UTF8'");
        return STATUS_INVALID;
    }
    if (PQsetnonblocking(connection->pg, 1) != 0 || PQenterPipelineMode(connection->pg) == 0) {
        return lost(connection, PQerrorMessage(connection->pg));
    }
    PQsetNoticeReceiver(connection->pg, take_notice, connection);
    return set_session(connection, is_full, timeout_ms);
}

/* `session_attrs`: which server is wanted, see libpq's target_session_attrs. */
static enum status open_at(const char *uri, const struct postgres_host *host,
                           const char *password_file, const char *session_attrs, bool is_full,
                           int timeout_ms, struct postgres_connection **out_connection,
                           struct buf *out_why)
{
    static const struct postgres_host AS_URI = {0};
    char password[PASSWORD_BYTES] = "";
    struct postgres_hosts hosts;
    enum status status = postgres_read_hosts(uri, &hosts, out_why);
    if (status == STATUS_OK && password_file != NULL && password_file[0] != '\0') {
        status = read_password(password_file, password, sizeof password, out_why);
    }
    if (status != STATUS_OK) {
        explicit_bzero(password, sizeof password);
        return status;
    }
    struct postgres_connection *connection = mem_zalloc(1, sizeof *connection);
    connection->pg =
        begin_connection(uri, host == NULL ? &AS_URI : host, password, hosts.is_off, session_attrs);
    explicit_bzero(password, sizeof password);
    status = connection->pg == NULL || PQstatus(connection->pg) == CONNECTION_BAD
                 ? lost(connection,
                        connection->pg == NULL ? "no memory" : PQerrorMessage(connection->pg))
                 : set_up(connection, is_full, timeout_ms);
    if (status != STATUS_OK) {
        buf_append_text(out_why, connection->error);
        postgres_close(connection);
        return status;
    }
    *out_connection = connection;
    return STATUS_OK;
}

enum status postgres_open_host(const char *uri, const struct postgres_host *host,
                               const char *password_file, bool is_full, int timeout_ms,
                               struct postgres_connection **out_connection, struct buf *out_why)
{
    return open_at(uri, host, password_file, "read-write", is_full, timeout_ms, out_connection,
                   out_why);
}

enum status postgres_open_any(const char *uri, const char *password_file, int timeout_ms,
                              struct postgres_connection **out_connection, struct buf *out_why)
{
    return open_at(uri, NULL, password_file, "any", false, timeout_ms, out_connection, out_why);
}

void postgres_close(struct postgres_connection *connection)
{
    if (connection != NULL) {
        PQfinish(connection->pg);
        free(connection);
    }
}

bool postgres_is_lost(const struct postgres_connection *connection)
{
    return connection->is_broken;
}

/* ---- statements ---- */

void postgres_send(struct postgres_connection *connection, enum store_postgres_statement statement,
                   const struct postgres_value *values, size_t count)
{
    const char *data[POSTGRES_VALUES_MAX];
    int lengths[POSTGRES_VALUES_MAX];
    int formats[POSTGRES_VALUES_MAX];
    char numbers[POSTGRES_VALUES_MAX][NUMBER_BYTES];
    assert(count <= POSTGRES_VALUES_MAX);
    for (size_t i = 0; i < count; i++) {
        /* A number is text, because its column may have 2, 4 or 8 bytes. */
        snprintf(numbers[i], NUMBER_BYTES, "%" PRId64, values[i].number);
        data[i] = values[i].is_number ? numbers[i] : values[i].bytes.data;
        lengths[i] = (int)values[i].bytes.length;
        formats[i] = values[i].is_number || values[i].is_array ? 0 : 1;
    }
    if (PQsendQueryPrepared(connection->pg, store_postgres_statements[statement].name, (int)count,
                            data, lengths, formats, 1) == 0) {
        lost(connection, PQerrorMessage(connection->pg));
    }
    connection->sent++;
}

void postgres_send_text(struct postgres_connection *connection, const char *text)
{
    if (PQsendQueryParams(connection->pg, text, 0, NULL, NULL, NULL, NULL, 0) == 0) {
        lost(connection, PQerrorMessage(connection->pg));
    }
    connection->sent++;
}

/* The next result, NULL behind the last one of a statement. *out_is_lost: there is no answer. */
static PGresult *next_result(struct postgres_connection *connection, int64_t end_ms,
                             bool *out_is_lost)
{
    PGconn *pg = connection->pg;
    int unsent = PQflush(pg);
    *out_is_lost = false;
    while (unsent >= 0 && PQisBusy(pg) != 0) {
        if (!wait_for(pg, unsent > 0 ? POLLIN | POLLOUT : POLLIN, end_ms)) {
            lost(connection, "the server does not answer");
            *out_is_lost = true;
            return NULL;
        }
        if (PQconsumeInput(pg) == 0) {
            break;
        }
        unsent = PQflush(pg);
    }
    if (unsent < 0 || PQstatus(pg) == CONNECTION_BAD) {
        lost(connection, PQerrorMessage(pg));
        *out_is_lost = true;
        return NULL;
    }
    return PQgetResult(pg);
}

/* A server that takes no writes any more is not asked again: another host may be the primary. */
#define SQLSTATE_READ_ONLY "25006"

static void keep_error(struct postgres_connection *connection, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    fail_with(connection, text == NULL ? "the server gave no reason" : text);
    snprintf(connection->sqlstate, sizeof connection->sqlstate, "%s", state == NULL ? "" : state);
    connection->is_broken =
        connection->is_broken || strcmp(connection->sqlstate, SQLSTATE_READ_ONLY) == 0;
}

/* Sends the sync, and reads the results up to its answer. */
static enum status read_results(struct postgres_connection *connection, int timeout_ms,
                                postgres_result_fn *each, void *arg)
{
    int64_t end_ms = clock_mono_ms() + timeout_ms;
    enum status status = STATUS_OK;
    size_t index = 0;
    bool is_lost = connection->is_broken || PQpipelineSync(connection->pg) == 0;
    if (is_lost && !connection->is_broken) {
        lost(connection, PQerrorMessage(connection->pg));
    }
    while (!is_lost) {
        PGresult *result = next_result(connection, end_ms, &is_lost);
        if (result == NULL) {
            index += is_lost ? 0 : 1;
            continue;
        }
        ExecStatusType type = PQresultStatus(result);
        if (type == PGRES_FATAL_ERROR && status == STATUS_OK) {
            keep_error(connection, result);
            status = STATUS_STORE;
        } else if (each != NULL && (type == PGRES_COMMAND_OK || type == PGRES_TUPLES_OK)) {
            each(arg, index, result);
        }
        PQclear(result);
        if (type == PGRES_PIPELINE_SYNC) {
            return connection->is_broken ? STATUS_UNAVAILABLE : status;
        }
    }
    return STATUS_UNAVAILABLE;
}

enum status postgres_exchange(struct postgres_connection *connection, int timeout_ms,
                              postgres_result_fn *each, void *arg)
{
    enum status status = read_results(connection, timeout_ms, each, arg);
    connection->sent = 0;
    if (status != STATUS_STORE || PQtransactionStatus(connection->pg) == PQTRANS_IDLE) {
        return status;
    }
    char error[ERROR_BYTES];
    char sqlstate[SQLSTATE_BYTES];
    memcpy(error, connection->error, sizeof error);
    memcpy(sqlstate, connection->sqlstate, sizeof sqlstate);
    postgres_send_text(connection, "ROLLBACK");
    if (read_results(connection, timeout_ms, NULL, NULL) == STATUS_UNAVAILABLE) {
        return STATUS_UNAVAILABLE;
    }
    memcpy(connection->error, error, sizeof error);
    memcpy(connection->sqlstate, sqlstate, sizeof sqlstate);
    return STATUS_STORE;
}

enum status postgres_run(struct postgres_connection *connection, int timeout_ms, const char *text)
{
    /* In a pipeline each statement is a message of its own. No text here has a ';' in a string. */
    while (*text != '\0') {
        size_t length = strcspn(text, ";");
        struct buf statement = {0};
        buf_append(&statement, slice_of(text, length));
        postgres_send_text(connection, statement.data);
        buf_fini(&statement);
        text += length + (text[length] == ';' ? 1 : 0);
    }
    return postgres_exchange(connection, timeout_ms, NULL, NULL);
}

PGconn *postgres_leave_pipeline(struct postgres_connection *connection)
{
    int is_out = PQexitPipelineMode(connection->pg);
    assert(is_out == 1);
    PQsetnonblocking(connection->pg, 0);
    return connection->pg;
}

const char *postgres_error(const struct postgres_connection *connection)
{
    return connection->error;
}

const char *postgres_sqlstate(const struct postgres_connection *connection)
{
    return connection->sqlstate;
}

/* ---- the schema ---- */

static void take_version(void *arg, size_t index, const PGresult *result)
{
    int64_t *version = arg;
    (void)index;
    if (PQntuples(result) == 1 && PQnfields(result) == 1) {
        *version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    }
}

/* The steps that are missing, in the transaction that holds the lock. */
static enum status do_steps(struct postgres_connection *connection, int64_t version, int timeout_ms)
{
    enum status status = STATUS_OK;
    for (int64_t i = version; i < STORE_POSTGRES_VERSION && status == STATUS_OK; i++) {
        status = postgres_run(connection, timeout_ms, store_postgres_steps[i]);
    }
    if (status == STATUS_OK) {
        struct buf text = {0};
        buf_printf(&text,
                   "INSERT INTO schema_version VALUES (true, %d, 1)"
                   " ON CONFLICT (one) DO UPDATE SET version = excluded.version; COMMIT",
                   STORE_POSTGRES_VERSION);
        status = postgres_run(connection, timeout_ms, text.data);
        buf_fini(&text);
    }
    return status;
}

enum status postgres_check_version(int64_t version, struct buf *out_why)
{
    if (version <= STORE_POSTGRES_VERSION) {
        return STATUS_OK;
    }
    buf_printf(out_why,
               "the database has schema version %" PRId64
               ", this program knows %d: use a newer program",
               version, STORE_POSTGRES_VERSION);
    return STATUS_INVALID;
}

enum status postgres_migrate(struct postgres_connection *connection, int timeout_ms,
                             struct buf *out_why)
{
    int64_t version = 0;
    enum status status =
        postgres_run(connection, timeout_ms,
                     "BEGIN; SELECT pg_advisory_xact_lock(" STORE_POSTGRES_LOCK_KEY ");"
                     "CREATE TABLE IF NOT EXISTS schema_version (one boolean PRIMARY KEY DEFAULT"
                     " true CHECK (one), version integer NOT NULL, oldest integer NOT NULL)");
    if (status == STATUS_OK) {
        postgres_send_text(connection, "SELECT version FROM schema_version");
        status = postgres_exchange(connection, timeout_ms, take_version, &version);
    }
    if (status == STATUS_OK && postgres_check_version(version, out_why) != STATUS_OK) {
        postgres_run(connection, timeout_ms, "ROLLBACK");
        return STATUS_INVALID;
    }
    if (status == STATUS_OK) {
        status = do_steps(connection, version, timeout_ms);
    }
    if (status != STATUS_OK) {
        buf_append_text(out_why, connection->error);
    }
    return status;
}
