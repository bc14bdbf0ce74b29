/*
 * The ledger on a full disk: the file size limit of the process makes every write fail with an
 * error of the kernel, and raising the limit ends that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/ledger_fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void fill_disk(void)
{
    limit_files(0);
}

static void free_disk(void)
{
    limit_files(RLIM_INFINITY);
}

static int setup(void **state)
{
    signal(SIGXFSZ, SIG_IGN);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    free_disk();
    return fixture_teardown(state);
}

static void test_a_claim_that_cannot_be_stored_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "before");
    fixture_expect(fixture, "claimed before ready\ndone before new\n");
    fixture->is_called_at_once = true;
    fill_disk();
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "failing\ndone t1 store\n");
    assert_non_null(strstr(fixture->last_trouble.data, "ledger.db"));
    assert_non_null(strstr(fixture->last_trouble.data, "File too large"));
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_FAILURES), 1);
    free_disk();
    fixture_expect(fixture, "working\n");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
}

static void test_while_the_store_fails_claims_and_messages_are_answered_within_a_second(
    void **state)
{
    struct fixture *fixture = *state;
    fill_disk();
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "failing\nnot kept\n");
    int64_t begin_ms = clock_mono_ms();
    fixture_claim(fixture, "t1");
    fixture_post(fixture, "m", true);
    fixture_expect(fixture, "done t1 store\nnot kept\n");
    assert_in_range(clock_mono_ms() - begin_ms, 0, 1000);
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSED), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_DEAD_LETTERS), 0);
    free_disk();
    fixture_expect(fixture, "working\n");
}

/* Nothing is queued, and the disk stays full for two more attempts: success must not be reported
 * before there is space. */
static void test_the_recovery_is_noticed_with_an_empty_queue(void **state)
{
    struct fixture *fixture = *state;
    fill_disk();
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "failing\ndone t1 store\n");
    fixture_await(fixture, COUNTER_LEDGER_FAILURES, 3);
    fixture_expect(fixture, "");
    free_disk();
    fixture_expect(fixture, "working\n");
}

static void test_an_outcome_is_tried_again_until_it_is_stored(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\ndone t1 waits\n");
    fill_disk();
    fixture_succeed(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "failing\ndone t2 store\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_SUCCEEDED), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 1);
    free_disk();
    fixture_expect(fixture, "working\n"
                            "posted succeeded t1 to replies/t1\n"
                            "posted succeeded t1 replayed to replies/t1\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_SUCCEEDED), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 0);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
}

/* A record that cannot be read fails in the middle of a batch, not at its commit. */
static void test_a_batch_with_a_damaged_record_stores_nothing(void **state)
{
    struct fixture *fixture = *state;
    sqlite3 *db = NULL;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
    fixture_close(fixture, 1000);
    assert_int_equal(sqlite3_open(fixture->store + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE command SET params = ''", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    fixture_open(fixture);
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "failing\ndone t1 store\ndone t2 store\n");
    fixture_expect(fixture, "working\n");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t2 ready\ndone t2 new\n");
}

static void test_records_that_could_not_be_stored_are_not_reported_to_the_audit(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.is_audited = true;
    fixture->options.audit_rows_max = 100;
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    assert_int_equal(fixture->audited_seq, 1);
    fill_disk();
    fixture_succeed(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "failing\ndone t2 store\n");
    assert_int_equal(fixture->audited_seq, 1);
    free_disk();
    fixture_expect(fixture, "working\nposted succeeded t1 to replies/t1\n");
    fixture_settle(fixture);
    assert_int_equal(fixture->audited_seq, 2);
}

static void test_requests_that_are_tried_again_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_claim(fixture, "t3");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\nclaimed t2 ready\ndone t2 new\n"
                            "claimed t3 ready\ndone t3 new\n");
    fill_disk();
    fixture_begin(fixture, "t2");
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "failing\nnot kept\n");
    fixture_succeed(fixture, "t3");
    fixture_read(fixture, 0, 10);
    fixture_succeed(fixture, "t1");
    free_disk();
    fixture_expect(fixture, "working\nbegun t2\nposted succeeded t3 to replies/t3\n"
                            "found succeeded t3 to replies/t3\nread 1\n"
                            "posted succeeded t1 to replies/t1\n");
}

static void test_requests_for_more_than_one_batch_are_tried_again_in_order(void **state)
{
    enum { COUNT = 700 };
    struct fixture *fixture = *state;
    struct buf lines = {0};
    char token[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(token, sizeof token, "t%d", i);
        fixture_claim(fixture, token);
        buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    }
    fixture_expect(fixture, lines.data);
    fill_disk();
    buf_clear(&lines);
    buf_append_text(&lines, "working\n");
    for (int i = 0; i < COUNT; i++) {
        snprintf(token, sizeof token, "t%d", i);
        fixture_succeed(fixture, token);
        buf_printf(&lines, "posted succeeded %s to replies/%s\n", token, token);
    }
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "failing\nnot kept\n");
    free_disk();
    fixture_expect(fixture, lines.data);
    buf_fini(&lines);
}

static void test_closing_ends_in_time_and_loses_no_record(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    fill_disk();
    fixture_succeed(fixture, "t1");
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "failing\nnot kept\n");
    int64_t begin_ms = clock_mono_ms();
    fixture_close(fixture, 100);
    assert_in_range(clock_mono_ms() - begin_ms, 50, 5000);
    free_disk();
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t1 unsure\n");
}

static void test_a_store_that_cannot_be_created_is_refused_with_the_kernels_reason(void **state)
{
    struct fixture *fixture = *state;
    const struct ledger_hooks hooks = {.arg = NULL};
    struct ledger *ledger = NULL;
    struct buf store = {0};
    struct buf why = {0};
    buf_printf(&store, "sqlite:%s/other/ledger.db", fixture->folder);
    struct ledger_options options = fixture->options;
    options.store = store.data;
    assert_int_equal(ledger_open(fixture->loop, &options, &hooks, &ledger, &why), STATUS_STORE);
    assert_non_null(strstr(why.data, "No such file or directory"));
    buf_fini(&store);
    buf_fini(&why);
}

#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_a_claim_that_cannot_be_stored_is_refused),
        FAULT_TEST(test_while_the_store_fails_claims_and_messages_are_answered_within_a_second),
        FAULT_TEST(test_the_recovery_is_noticed_with_an_empty_queue),
        FAULT_TEST(test_an_outcome_is_tried_again_until_it_is_stored),
        FAULT_TEST(test_a_batch_with_a_damaged_record_stores_nothing),
        FAULT_TEST(test_records_that_could_not_be_stored_are_not_reported_to_the_audit),
        FAULT_TEST(test_requests_that_are_tried_again_keep_their_order),
        FAULT_TEST(test_requests_for_more_than_one_batch_are_tried_again_in_order),
        FAULT_TEST(test_closing_ends_in_time_and_loses_no_record),
        FAULT_TEST(test_a_store_that_cannot_be_created_is_refused_with_the_kernels_reason),
    };
    return cmocka_run_group_tests_name("ledger_faults", tests, NULL, NULL);
}
