/*
 * Fail-over of the shared ledger's database, with two real servers: the first host of the URI is
 * the primary, the second one its standby. The first one dies, the second one takes its place, and
 * the first one comes back beside it and takes writes, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/postgres/postgres.h"
#include "ledger/postgres/store_private.h"
#include "support/store_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LEASE_MS 6000
#define WAIT_MS  60000

struct fixture {
    char folder[64]; /* of all below */
    char first[80];
    char second[80];
    char uri[256];
    struct lease lease;
    struct store *store; /* NULL: none */
    struct store_batch batch;
};
static struct fixture f;

/* Runs tests/support/postgres. */
static void server(const char *verb, const char *folder, const char *rest)
{
    struct buf command = {0};
    buf_printf(&command, "tests/support/postgres %s %s %s", verb, folder, rest);
    assert_int_equal(system(command.data), 0);
    buf_fini(&command);
}

/* The number that the query returns at this server. */
static int64_t query(const char *folder, const char *sql)
{
    struct buf command = {0};
    char line[64] = "";
    buf_printf(&command, "echo \"%s\" | tests/support/postgres sql %s", sql, folder);
    FILE *pipe = popen(command.data, "re");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    assert_int_equal(pclose(pipe), 0);
    buf_fini(&command);
    return strtoll(line, NULL, 10);
}

static void wake(void *arg)
{
    (void)arg;
}

static enum status open_store(struct buf *out_why)
{
    const struct store_place place = {
        .location = f.uri, .instance = "a", .lease = &f.lease, .lease_ms = LEASE_MS, .wake = wake};
    lease_init(&f.lease);
    enum status status = store_postgres_ops.open(&place, true, &f.store, out_why);
    if (status == STATUS_OK) {
        store_batch_init(&f.batch, &store_postgres_ops, f.store);
    }
    return status;
}

static void close_store(void)
{
    if (f.store != NULL) {
        store_batch_fini(&f.batch);
        store_postgres_ops.close(f.store);
        f.store = NULL;
    }
}

static int set_up(void **state)
{
    (void)state;
    f = (struct fixture){.folder = "/tmp/test-failover-XXXXXX"};
    assert_non_null(mkdtemp(f.folder));
    assert_int_equal(chmod(f.folder, 0711), 0); /* the servers' user reaches their folders */
    snprintf(f.first, sizeof f.first, "%s/a", f.folder);
    snprintf(f.second, sizeof f.second, "%s/b", f.folder);
    snprintf(f.uri, sizeof f.uri, "postgresql://bridge@/postgres?host=%s,%s", f.first, f.second);
    setenv("STATE_DIRECTORY", f.folder, 1);
    server("start", f.first, "");
    return 0;
}

static int tear_down(void **state)
{
    struct buf command = {0};
    (void)state;
    close_store();
    server("stop", f.first, "");
    if (access(f.second, F_OK) == 0) {
        server("stop", f.second, "");
    }
    buf_printf(&command, "rm -r %s", f.folder);
    assert_int_equal(system(command.data), 0);
    buf_fini(&command);
    return 0;
}

/* Carries out the batch as the ledger does: again, while the store does not know. */
static void run_until_ok(void)
{
    static const struct timespec PAUSE = {.tv_nsec = 100000000L};
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    while (store_batch_run(&f.batch) != STATUS_OK) {
        if (clock_mono_ms() > end_ms) {
            fail_msg("%s", store_postgres_ops.error(f.store));
        }
        assert_int_equal(lease_check(&f.lease, clock_boot_ms()) == LEASE_LOST, false);
        (void)nanosleep(&PAUSE, NULL);
    }
}

static void start_with_standby(const char *kind)
{
    struct buf of = {0};
    struct buf why = {0};
    buf_printf(&of, "%s %s", f.first, kind);
    server("standby", f.second, of.data);
    if (open_store(&why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    buf_fini(&of);
    buf_fini(&why);
}

static int64_t claim(const char *token)
{
    store_batch_begin(&f.batch);
    int64_t id = store_batch_claim(&f.batch, token)->claim.id;
    assert_int_equal(store_batch_run(&f.batch), STATUS_OK);
    return id;
}

static void finish(const char *token, int64_t id)
{
    store_batch_begin(&f.batch);
    store_batch_finish(&f.batch, token, id, INT64_MAX);
    assert_int_equal(store_batch_run(&f.batch), STATUS_OK);
}

static void fail_over(void)
{
    server("kill", f.first, "");
    server("up", f.second, "");
    server("promote", f.second, "");
    server("up", f.first, "alone"); /* it does not know that it is the old one */
}

static void test_a_synchronous_fail_over_loses_nothing_and_the_old_primary_gets_nothing(
    void **state)
{
    struct buf why = {0};
    (void)state;
    start_with_standby("synchronous");
    int64_t id = claim("t-1");
    fail_over();
    store_batch_begin(&f.batch);
    store_batch_post(&f.batch, slice_text("message"));
    run_until_ok();
    assert_false(f.batch.batch.may_have_lost);
    finish("t-1", id);
    assert_int_equal(query(f.second, "SELECT count(*) FROM outbox"), 2);
    assert_int_equal(query(f.second, "SELECT state FROM command WHERE token = 't-1'"), 5);
    assert_int_equal(query(f.first, "SELECT count(*) FROM outbox"), 0);
    /* A start that meets the old primary first. */
    close_store();
    if (open_store(&why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    assert_int_equal(query(f.first, "SELECT session FROM bridge"), 0);
    assert_int_equal(query(f.second, "SELECT count(*) FROM bridge"), 1);
    close_store();
    /* The new primary is away: neither is the old one used, nor does the start give up. */
    server("kill", f.second, "");
    assert_int_equal(open_store(&why), STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, "old primary"));
    buf_fini(&why);
}

/* The standby is away when the last commands come, so it has none of these. */
static void test_what_an_asynchronous_fail_over_loses_is_reported_and_claims_come_back(void **state)
{
    (void)state;
    start_with_standby("asynchronous");
    int64_t early = claim("early");
    struct buf sql = {0};
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    int64_t position = query(f.first, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn");
    while (query(f.second, "SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn") < position) {
        assert_true(clock_mono_ms() < end_ms);
    }
    server("kill", f.second, "");
    int64_t late = claim("late");
    claim("late"); /* a duplicate, which waits for the outcome */
    finish("early", early);
    fail_over();
    store_batch_begin(&f.batch);
    store_batch_post(&f.batch, slice_text("message"));
    run_until_ok();
    assert_true(f.batch.batch.may_have_lost);
    /* Its outcome was lost: it is in work again. */
    assert_int_equal(f.batch.batch.command_count, 1);
    assert_string_equal(f.batch.batch.commands[0]->token, "early");
    /* Its claim was lost: it is there again, and can be finished. */
    buf_clear(&sql);
    buf_printf(&sql,
               "SELECT count(*) FROM command WHERE token = 'late' AND seq = %lld"
               " AND owner IS NOT NULL AND topic = 'replies/a'",
               (long long)late);
    assert_int_equal(query(f.second, sql.data), 1);
    finish("late", late);
    finish("early", early);
    assert_int_equal(query(f.second, "SELECT count(*) FROM outbox WHERE token = 'late'"), 2);
    assert_false(f.batch.batch.may_have_lost);
    assert_int_equal(query(f.second, "SELECT count(*) FROM command WHERE state = 5"), 2);
    buf_fini(&sql);
}

/* The server does not end a commit that waits for its standby, so the bridge does, as long as its
 * lease is valid. */
static void test_a_commit_without_the_standby_ends_and_is_done_once_when_that_is_back(void **state)
{
    (void)state;
    start_with_standby("synchronous");
    server("kill", f.second, "");
    store_batch_begin(&f.batch);
    store_batch_post(&f.batch, slice_text("message"));
    assert_int_equal(store_batch_run(&f.batch), STATUS_UNAVAILABLE);
    /* It is committed on this server, and on no other: still not known. */
    assert_int_equal(store_batch_run(&f.batch), STATUS_UNAVAILABLE);
    int64_t end_ms = clock_mono_ms() + WAIT_MS; /* nor is the lease renewed */
    do {
        (void)lease_check(&f.lease, clock_boot_ms());
        assert_true(clock_mono_ms() < end_ms);
    } while (f.lease.is_valid);
    server("up", f.second, "");
    run_until_ok();
    assert_int_equal(query(f.first, "SELECT count(*) FROM outbox"), 1);
    assert_false(f.batch.batch.may_have_lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_synchronous_fail_over_loses_nothing_and_the_old_primary_gets_nothing, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_an_asynchronous_fail_over_loses_is_reported_and_claims_come_back, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_commit_without_the_standby_ends_and_is_done_once_when_that_is_back, set_up,
            tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
