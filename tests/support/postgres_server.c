#include "postgres_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "ledger/postgres/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_MS 30000

static char folder[64];
static char state_folder[] = "/tmp/test-postgres-state-XXXXXX";
static char uri[160];

static int server(const char *verb)
{
    struct buf command = {0};
    buf_printf(&command, "tests/support/postgres %s %s", verb, folder);
    int code = system(command.data);
    buf_fini(&command);
    return code;
}

int postgres_server_start(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test-postgres-%d", (int)getpid());
    snprintf(uri, sizeof uri, "postgresql://bridge@/postgres?host=%s", folder);
    if (mkdtemp(state_folder) == NULL) {
        return -1;
    }
    setenv("STATE_DIRECTORY", state_folder, 1);
    return server("start");
}

int postgres_server_stop(void **state)
{
    struct buf command = {0};
    (void)state;
    buf_printf(&command, "rm -r %s", state_folder);
    int code = system(command.data);
    buf_fini(&command);
    return server("stop") | code;
}

const char *postgres_server_uri(void)
{
    return uri;
}

const char *postgres_server_folder(void)
{
    return folder;
}

void postgres_server_clear(const char *server_uri, bool is_new)
{
    static const char EMPTY[] =
        "TRUNCATE bridge, step, command, waiter, outbox, meta, audit, watch, allowance, poller";
    static const char DROP[] = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    struct postgres_connection *connection = NULL;
    struct buf why = {0};
    if (postgres_open(server_uri, NULL, true, false, TIMEOUT_MS, &connection, &why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    if (is_new || postgres_run(connection, TIMEOUT_MS, EMPTY) != STATUS_OK) {
        assert_int_equal(postgres_run(connection, TIMEOUT_MS, DROP), STATUS_OK);
    }
    postgres_close(connection);
    buf_fini(&why);
}
