/*
 * connection - a connection to PostgreSQL: its security, its session's settings, and statements in
 * a pipeline.
 *
 * The connection does not block inside libpq: each call waits in poll() for at most the time it is
 * given. All statements are prepared when it opens.
 *
 * Thread: one at a time. Fails with: STATUS_INVALID for a URI or a server that cannot be used as it
 * is; STATUS_UNAVAILABLE when the connection is lost or the time has passed (what was sent may be
 * committed); STATUS_STORE when the server refused a statement (nothing of its transaction stands).
 */
#ifndef LEDGER_POSTGRES_CONNECTION_H
#define LEDGER_POSTGRES_CONNECTION_H

#include "schema.h"
#include "uri.h"

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>

struct postgres_connection;

/*
 * Opens it at one host, if that takes writes; NULL: at the first host of the URI that does.
 * `password_file` is read now, its first line is the password; NULL or "": the URI or libpq's
 * passfile has it. With `is_full` a commit waits for the disk and for the synchronous standby if
 * there is one. The statements are not prepared. hosts.h asks all hosts.
 */
enum status postgres_open_host(const char *uri, const struct postgres_host *host,
                               const char *password_file, bool is_full, int timeout_ms,
                               struct postgres_connection **out_connection, struct buf *out_why);
/* Prepares the statements. */
enum status postgres_prepare(struct postgres_connection *connection, int timeout_ms);
/* Opens it at a host of the URI that answers, be it a standby. */
enum status postgres_open_any(const char *uri, const char *password_file, int timeout_ms,
                              struct postgres_connection **out_connection, struct buf *out_why);
/* Takes NULL. */
void postgres_close(struct postgres_connection *connection);
/* Whether it was lost. */
bool postgres_is_lost(const struct postgres_connection *connection);

/* A parameter. Text and bytes are sent as they are; an absent slice is NULL. An array is text as
 * the server reads it: "{1,2}". */
struct postgres_value {
    struct slice bytes;
    int64_t number;
    bool is_number;
    bool is_array;
};
static inline struct postgres_value postgres_bytes(struct slice bytes)
{
    return (struct postgres_value){.bytes = bytes};
}
static inline struct postgres_value postgres_number(int64_t number)
{
    return (struct postgres_value){.number = number, .is_number = true};
}

static inline struct postgres_value postgres_bool(bool is_true)
{
    return (struct postgres_value){.bytes = slice_of(is_true ? "\1" : "\0", 1)};
}
static inline struct postgres_value postgres_array(struct slice text)
{
    return (struct postgres_value){.bytes = text, .is_array = true};
}

#define POSTGRES_VALUES_MAX 24

/* Adds a prepared statement to the pipeline. */
void postgres_send(struct postgres_connection *connection, enum store_postgres_statement statement,
                   const struct postgres_value *values, size_t count);
/* Adds a statement as text, without parameters: BEGIN, COMMIT. */
void postgres_send_text(struct postgres_connection *connection, const char *text);

/* The result of the statement with this index since the last exchange; valid during the call. */
typedef void postgres_result_fn(void *arg, size_t index, const PGresult *result);
/* Sends all of them and waits for their results. After STATUS_STORE the connection is in no
 * transaction. */
enum status postgres_exchange(struct postgres_connection *connection, int timeout_ms,
                              postgres_result_fn *each, void *arg);

/* Runs a text of several statements, each in the transaction that the text begins, if any. */
enum status postgres_run(struct postgres_connection *connection, int timeout_ms, const char *text);

/* Of the last failure; valid until the next call. `sqlstate` is empty if the server sent none. */
const char *postgres_error(const struct postgres_connection *connection);
const char *postgres_sqlstate(const struct postgres_connection *connection);

/* Leaves the pipeline, for what does not work in it (COPY): the caller uses libpq itself, which
 * waits. Before that all results were taken. The connection is closed by postgres_close(). */
PGconn *postgres_leave_pipeline(struct postgres_connection *connection);

/* STATUS_INVALID: tables of this version are of a newer program. */
enum status postgres_check_version(int64_t version, struct buf *out_why);
/* Creates the tables, or does the missing steps, under an advisory lock. STATUS_INVALID: they are
 * of a newer program. */
enum status postgres_migrate(struct postgres_connection *connection, int timeout_ms,
                             struct buf *out_why);

#endif
