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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *location_new(void)
{
    postgres_server_clear(postgres_server_uri(), false);
    return mem_strdup(postgres_server_uri());
}

/* ---- the server ---- */

static enum status try_open(struct buf *out_why)
{
    struct store *store = NULL;
    enum status status =
        store_postgres_ops.open(STORE_AT(postgres_server_uri()), false, &store, out_why);
    store_postgres_ops.close(store);
    return status;
}

static void replace_timeline(const char *text)
{
    struct buf path = {0};
    buf_printf(&path, "%s/.timeline", getenv("STATE_DIRECTORY"));
    FILE *file = fopen(path.data, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    buf_fini(&path);
}

static unsigned long long known_system(void)
{
    struct buf path = {0};
    unsigned long long system = 0;
    buf_printf(&path, "%s/.timeline", getenv("STATE_DIRECTORY"));
    FILE *file = fopen(path.data, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu 1", &system), 1);
    fclose(file);
    buf_fini(&path);
    return system;
}

static void test_an_old_primary_and_another_database_are_refused(void **state)
{
    struct buf why = {0};
    char text[64];
    (void)state;
    replace_timeline("");
    assert_int_equal(try_open(&why), STATUS_OK);
    unsigned long long system = known_system();
    snprintf(text, sizeof text, "%llu 2", system);
    replace_timeline(text);
    assert_int_equal(try_open(&why), STATUS_INVALID);
    assert_non_null(strstr(why.data, "old primary"));
    buf_clear(&why);
    snprintf(text, sizeof text, "%llu 1", system + 1);
    replace_timeline(text);
    assert_int_equal(try_open(&why), STATUS_INVALID);
    assert_non_null(strstr(why.data, "not the database system"));
    buf_clear(&why);
    snprintf(text, sizeof text, "%llu 1", system);
    replace_timeline(text);
    assert_int_equal(try_open(&why), STATUS_OK);
    buf_fini(&why);
}

/* A kill while it is written must not leave an empty file, with which an old primary is accepted.
 */
static void test_the_known_timeline_is_replaced_as_a_whole(void **state)
{
    struct buf path = {0};
    struct buf why = {0};
    char text[64] = "";
    (void)state;
    replace_timeline("0 0 0");
    buf_printf(&path, "%s/.timeline", getenv("STATE_DIRECTORY"));
    FILE *before = fopen(path.data, "re");
    assert_non_null(before);
    assert_int_equal(try_open(&why), STATUS_OK);
    assert_true(known_system() > 0);
    assert_non_null(fgets(text, sizeof text, before));
    assert_string_equal(text, "0 0 0");
    fclose(before);
    buf_fini(&path);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_old_primary_and_another_database_are_refused),
        cmocka_unit_test(test_the_known_timeline_is_replaced_as_a_whole),
    };

    static const struct store_suite SUITE = {.ops = &store_postgres_ops,
                                             .location_new = location_new,
                                             .location_free = (void (*)(char *))free};
    int failed = postgres_server_start(NULL);
    failed = failed != 0 ? failed : store_suite_run(&SUITE);
    failed = failed != 0 ? failed : cmocka_run_group_tests(tests, NULL, NULL);
    return postgres_server_stop(NULL) != 0 ? 1 : failed;
}
