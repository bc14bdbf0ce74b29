/*
 * rows - values of results, and rows of commands and watches.
 *
 * Results are binary. A NULL is 0, or the absent slice.
 *
 * Thread: any.
 */
#ifndef LEDGER_POSTGRES_ROWS_H
#define LEDGER_POSTGRES_ROWS_H

#include "connection.h"
#include "ledger/batch.h"

#define POSTGRES_COLUMN(name) COLUMN_##name,
enum postgres_column { COLUMN_token, POSTGRES_COMMAND_COLUMNS(POSTGRES_COLUMN) COLUMN_COUNT };

int64_t postgres_int(const PGresult *result, int row, int column);
struct slice postgres_slice(const PGresult *result, int row, int column);
/* Appends the ids of the first column as an array, "{1,2}". There is at least one row. */
void postgres_append_ids(const PGresult *result, struct buf *out);

/* A row with the columns of a command. STATUS_STORE: no program of this version can have made it.
 * Valid as long as the result. */
enum status postgres_read_row(const PGresult *result, int row, struct store_row *out_row);
/* The reply_to that begins at a column, in the order of the waiters' columns; it borrows from
 * `texts`, which is overwritten. */
struct reply_to postgres_read_reply_to(const PGresult *result, int row, int column);
/* The first sender of a command's row, likewise. */
struct reply_to postgres_read_sender(const PGresult *result, int row);
/* A copy with strings of its own. */
struct reply_to postgres_copy_reply_to(const struct reply_to *reply_to);
/* A watch; the caller frees it. NULL: no program of this version can have made it. */
struct watch *postgres_read_watch(const PGresult *result, int row);

/* The parameters of the statements that store a claim; returns their number. */
size_t postgres_claim_values(const struct claim_request *claim, int64_t run, struct slice history,
                             struct postgres_value *out);
/* The parameters of PG_FINISH, for a row that this run holds; `run` 0: for one that no run holds.
 */
size_t postgres_finish_values(const struct ledger_request *request, int64_t run,
                              struct slice events, struct postgres_value *out);
/* The seven parameters of a reply_to. */
void postgres_reply_to_values(const struct reply_to *reply_to, struct postgres_value *out);
/* The parameters of a watch's state. */
void postgres_watch_state_values(const struct watch_state *state, struct postgres_value *out);
size_t postgres_watch_values(const struct watch *watch, struct postgres_value *out);

#endif
