/*
 * The PostgreSQL store: the conformance suite, on a server that the program starts for itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ledger/postgres/postgres.h"
#include "support/postgres_server.h"
#include "support/store_batch.h"
#include "support/store_suite.h"

#include <stdlib.h>

static char *location_new(void)
{
    postgres_server_clear(postgres_server_uri(), false);
    return mem_strdup(postgres_server_uri());
}

int main(void)
{
    static const struct store_suite SUITE = {.ops = &store_postgres_ops,
                                             .location_new = location_new,
                                             .location_free = (void (*)(char *))free};
    int failed = postgres_server_start(NULL);
    failed = failed != 0 ? failed : store_suite_run(&SUITE);
    return postgres_server_stop(NULL) != 0 ? 1 : failed;
}
