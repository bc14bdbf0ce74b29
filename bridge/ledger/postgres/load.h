/*
 * load - makes the tables of a PostgreSQL ledger, and fills empty ones with the rows of another
 * store (ledger/transfer.h), all in one transaction.
 *
 * Thread: one at a time. Each function waits for the server. Fails with: STATUS_BUSY where the
 * database is in use or has rows; else as connection.h. The reason is appended to *out_why.
 */
#ifndef LEDGER_POSTGRES_LOAD_H
#define LEDGER_POSTGRES_LOAD_H

#include "base/buf.h"
#include "ledger/transfer.h"

#include <stdbool.h>

/*
 * Makes the tables, or does the missing steps, and reports the version before (0: there were no
 * tables). With `is_exclusive` STATUS_BUSY where a bridge is registered, and none can register
 * meanwhile.
 */
enum status postgres_make_tables(const char *uri, const char *password_file, bool is_exclusive,
                                 int64_t *out_before, struct buf *out_why);

/* Reads the version of the tables (0: there are none yet) from the server that takes writes, and
 * whether its commits wait for a synchronous standby. STATUS_INVALID also: they are of a newer
 * program. */
enum status postgres_look_at_tables(const char *uri, const char *password_file,
                                    int64_t *out_version, bool *out_has_standby,
                                    struct buf *out_why);

struct postgres_load;

/* The name of the table. */
const char *postgres_load_name(enum transfer_table table);

/* Begins the transaction, in which no bridge can register. The tables are there. */
enum status postgres_load_open(const char *uri, const char *password_file,
                               struct postgres_load **out_load, struct buf *out_why);
/* Without postgres_load_commit() nothing stands. Takes NULL. */
void postgres_load_close(struct postgres_load *load);

/* Begins to write a table; then each line; then the end, where the server refuses wrong ones. */
enum status postgres_load_begin(struct postgres_load *load, enum transfer_table table,
                                struct buf *out_why);
enum status postgres_load_put(struct postgres_load *load, struct slice line);
enum status postgres_load_end(struct postgres_load *load, struct buf *out_why);

/* Begins to read a table; then each line is compared with the next row: STATUS_INVALID, they
 * differ; at the end STATUS_INVALID if there are more rows. */
enum status postgres_check_begin(struct postgres_load *load, enum transfer_table table,
                                 struct buf *out_why);
enum status postgres_check_line(struct postgres_load *load, struct slice line);
enum status postgres_check_end(struct postgres_load *load);

enum status postgres_load_commit(struct postgres_load *load, struct buf *out_why);

#endif
