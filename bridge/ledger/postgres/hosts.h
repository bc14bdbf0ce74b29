/*
 * hosts - opens a connection to the present primary: all hosts of the URI are asked, one after the
 * other, and among those that take writes the one with the highest timeline is used.
 *
 * Thread: any.
 */
#ifndef LEDGER_POSTGRES_HOSTS_H
#define LEDGER_POSTGRES_HOSTS_H

#include "connection.h"
#include "timeline.h"

/*
 * An old primary and another database system than the last one are left out. Each host that does
 * not answer gets its share of the time. With `prepares` the schema is there, and the statements
 * are prepared. `timeline` NULL: nothing is known about earlier servers. STATUS_INVALID: no host
 * can be used as it is, so waiting does not help. See also postgres_open_host().
 */
enum status postgres_open_primary(const char *uri, const char *password_file, bool is_full,
                                  bool prepares, int timeout_ms, struct timeline *timeline,
                                  struct postgres_connection **out_connection,
                                  struct postgres_server *out_server, struct buf *out_why);
/* The same where nothing is known about earlier servers. */
enum status postgres_open(const char *uri, const char *password_file, bool is_full, bool prepares,
                          int timeout_ms, struct postgres_connection **out_connection,
                          struct buf *out_why);
/* For reading only: from the primary, or if there is none from a standby. Statements may take as
 * long as they need, and they are prepared. */
enum status postgres_open_to_read(const char *uri, const char *password_file, int timeout_ms,
                                  struct postgres_connection **out_connection, struct buf *out_why);

#endif
