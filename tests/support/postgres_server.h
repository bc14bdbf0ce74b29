/*
 * postgres_server - a PostgreSQL server of the test program's own (tests/support/postgres), on a
 * socket in a folder under /tmp.
 */
#ifndef SUPPORT_POSTGRES_SERVER_H
#define SUPPORT_POSTGRES_SERVER_H

#include <stdbool.h>

/* cmocka's group setup and teardown. The folder is also the state folder of stores
 * (STATE_DIRECTORY). */
int postgres_server_start(void **state);
int postgres_server_stop(void **state);

const char *postgres_server_uri(void);
const char *postgres_server_folder(void);

/* Empties all tables. With `is_new` it drops them. */
void postgres_server_clear(const char *uri, bool is_new);

#endif
