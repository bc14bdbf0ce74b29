/*
 * The ledger on a store that does not know whether a batch was committed: the SQLite store, with
 * results as those of a lost connection (store_choose() is wrapped).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/rules.h"
#include "ledger/sqlite/sqlite.h"
#include "support/fakes/fake_store.h"
#include "support/ledger_fixture.h"
#include "support/store_batch.h"

#include <string.h>

/* So many calls return STATUS_UNAVAILABLE, then one STATUS_STORE if `fails_then`. */
static _Atomic int unknown_count;
static _Atomic bool fails_then;
static _Atomic bool is_committed; /* the first of them commits */
static _Atomic bool was_found;    /* the batch stood when it came again */
static const struct ledger_batch *held_back;

/* What a store checks that gets a batch again: the batch was committed, because each claim has made
 * its row, and each audit record has a Seq that is stored. */
static bool stands(struct store *store, struct ledger_batch *batch)
{
    struct store_summary summary;
    bool is_same = store_sqlite_ops.summarise(store, &summary) == STATUS_OK;
    for (struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        struct store_row row;
        struct buf record = {0};
        if (request->type->kind == REQUEST_CLAIM) {
            struct slice token = slice_text(request->claim.ask.command->token);
            is_same = is_same && store_sqlite_ops.find(store, token, &row) == STATUS_OK &&
                      row.id == request->claim.id;
        }
        is_same = is_same && rules_audit_record(batch, request, &record) <= summary.last_audit_seq;
        buf_fini(&record);
    }
    return is_same && batch->last_audit_seq == summary.last_audit_seq &&
           batch->next_message_id == summary.last_message_id + 1;
}

enum status fake_store_carry_out(struct store *store, struct ledger_batch *batch)
{
    if (is_committed && held_back == NULL) {
        assert_int_equal(store_sqlite_ops.carry_out(store, batch), STATUS_OK);
    }
    if (unknown_count > 0) {
        unknown_count--;
        assert_true(held_back == NULL || held_back == batch);
        held_back = batch;
        return STATUS_UNAVAILABLE;
    }
    assert_true(held_back == NULL || held_back == batch);
    held_back = NULL;
    if (is_committed) {
        is_committed = false;
        was_found = stands(store, batch);
        return STATUS_OK;
    }
    if (fails_then) {
        fails_then = false;
        return STATUS_STORE;
    }
    return store_sqlite_ops.carry_out(store, batch);
}

const char *fake_store_error(struct store *store)
{
    (void)store;
    return "the connection was lost";
}

static int setup(void **state)
{
    unknown_count = 0;
    fails_then = false;
    is_committed = false;
    was_found = false;
    held_back = NULL;
    return fixture_setup(state);
}

static void test_nothing_is_answered_until_it_is_known(void **state)
{
    struct fixture *fixture = *state;
    unknown_count = 2;
    fixture_claim(fixture, "t1");
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "failing\n");
    fixture_claim(fixture, "t2");
    fixture_await(fixture, COUNTER_LEDGER_FAILURES, 2);
    fixture_expect(fixture, "");
    fixture_expect(fixture, "working\nclaimed t1 ready\ndone t1 new\nposted m\nkept\n"
                            "claimed t2 ready\ndone t2 new\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 2);
}

static void test_a_claim_that_proves_to_have_failed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    unknown_count = 1;
    fails_then = true;
    fixture_claim(fixture, "t2");
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "failing\ndone t2 store\nworking\nposted succeeded t1 to replies/t1\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 0);
}

static void summarise(struct fixture *fixture, struct store_summary *out_summary)
{
    struct store *store = NULL;
    struct buf why = {0};
    const char *path = fixture->store + strlen("sqlite:");
    assert_int_equal(store_sqlite_ops.open_to_read(STORE_AT(path), &store, &why), STATUS_OK);
    assert_int_equal(store_sqlite_ops.summarise(store, out_summary), STATUS_OK);
    store_sqlite_ops.close(store);
    buf_fini(&why);
}

/* The results of the first sending are reported, once, and the numbers continue without a gap. */
static void test_a_batch_that_stands_already_is_reported_once(void **state)
{
    struct fixture *fixture = *state;
    struct store_summary summary;
    fixture->options.is_audited = true;
    fixture->options.audit_rows_max = 100;
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    is_committed = true;
    unknown_count = 2;
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "failing\n");
    fixture_claim(fixture, "t2");
    fixture_succeed(fixture, "t1");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "working\nclaimed t2 ready\ndone t2 new\ndone t2 waits\n"
                            "posted succeeded t1 to replies/t1\n"
                            "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
    assert_true(was_found);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 1);
    summarise(fixture, &summary);
    assert_int_equal(summary.last_audit_seq, 5);
    assert_int_equal(summary.messages, 2);
    assert_int_equal(summary.last_message_id, 2);
    assert_int_equal(summary.waiting, 1);
}

/* The same for outcomes: each has one reply, and the command is counted as finished once. */
static void test_an_outcome_that_stands_already_is_reported_once(void **state)
{
    struct fixture *fixture = *state;
    struct store_summary summary;
    fixture->options.pending_max = 1;
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    is_committed = true;
    unknown_count = 1;
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "failing\nworking\nposted succeeded t1 to replies/t1\n");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t2 ready\ndone t2 new\n");
    fixture_claim(fixture, "t3");
    fixture_expect(fixture, "posted failed t3 Bridge.Overloaded to replies/t3\ndone t3 refused\n");
    summarise(fixture, &summary);
    assert_int_equal(summary.messages, 2);
}

static void test_closing_ends_in_time_without_knowing(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    unknown_count = 1000000;
    fixture_post(fixture, "m", false);
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "failing\n");
    int64_t begin_ms = clock_mono_ms();
    fixture_close(fixture, 100);
    assert_in_range(clock_mono_ms() - begin_ms, 50, 5000);
    unknown_count = 0;
    held_back = NULL;
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t1 ready\n");
}

#define UNKNOWN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNKNOWN_TEST(test_nothing_is_answered_until_it_is_known),
        UNKNOWN_TEST(test_a_claim_that_proves_to_have_failed_is_refused),
        UNKNOWN_TEST(test_a_batch_that_stands_already_is_reported_once),
        UNKNOWN_TEST(test_an_outcome_that_stands_already_is_reported_once),
        UNKNOWN_TEST(test_closing_ends_in_time_without_knowing),
    };
    return cmocka_run_group_tests_name("unknown_commit", tests, NULL, NULL);
}
