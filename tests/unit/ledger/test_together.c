/*
 * Requests that belong together are one transaction, whatever is queued before them; and which
 * success a command may get instead of a call. The store is SQLite; the test sees each batch before
 * it is carried out, and may hold it up (store_choose() is wrapped).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"
#include "ledger/sqlite/sqlite.h"
#include "support/fakes/fake_store.h"
#include "support/ledger_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* More than the 512 requests of a batch, so that the group lies across its end. */
enum { BEFORE = 510, GROUP = 5, BATCHES_MAX = 64 };

/* The committer's thread waits in carry_out() while it `is_held`. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_held;
    bool is_in_store;
    bool fails;       /* the next batch with claims */
    int64_t alone_us; /* the store carries out each claim by itself, which takes so long; or 0 */
    size_t claims[BATCHES_MAX];
    size_t batch_count; /* of those with claims */
} store_seen = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

enum status fake_store_carry_out(struct store *store, struct ledger_batch *batch)
{
    size_t claims = 0;
    bool reads_region = false; /* as a shared store does at the end of a batch */
    for (const struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        claims += request->type->kind == REQUEST_CLAIM;
        reads_region |= request->type->kind == REQUEST_WATCH;
    }
    pthread_mutex_lock(&store_seen.mutex);
    if (claims > 0 && store_seen.batch_count < BATCHES_MAX) {
        store_seen.claims[store_seen.batch_count++] = claims;
    }
    bool fails = claims > 0 && store_seen.fails;
    store_seen.fails = store_seen.fails && !fails;
    store_seen.is_in_store = true;
    pthread_cond_broadcast(&store_seen.changed);
    while (store_seen.is_held) {
        pthread_cond_wait(&store_seen.changed, &store_seen.mutex);
    }
    store_seen.is_in_store = false;
    pthread_mutex_unlock(&store_seen.mutex);
    batch->alone_count = store_seen.alone_us > 0 ? claims : 0;
    batch->alone_us = (int64_t)batch->alone_count * store_seen.alone_us;
    enum status status = fails ? STATUS_STORE : store_sqlite_ops.carry_out(store, batch);
    if (status == STATUS_OK && reads_region) {
        ledger_batch_begin_region(batch, slice_text("cn-beijing"));
    }
    return status;
}

const char *fake_store_error(struct store *store)
{
    (void)store;
    return "the test says so";
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* One turn of the loop, in which the committer is woken. */
static void turn_loop(struct fixture *fixture)
{
    struct loop_timer *timer = loop_timer_new(fixture->loop, stop_loop, fixture->loop);
    loop_timer_start(timer, 0);
    loop_run(fixture->loop);
    loop_timer_free(timer);
}

/* The committer has begun a batch, and stays there. */
static void hold_store(struct fixture *fixture)
{
    pthread_mutex_lock(&store_seen.mutex);
    store_seen.is_held = true;
    pthread_mutex_unlock(&store_seen.mutex);
    fixture_post(fixture, "first", false);
    turn_loop(fixture);
    pthread_mutex_lock(&store_seen.mutex);
    while (!store_seen.is_in_store) {
        pthread_cond_wait(&store_seen.changed, &store_seen.mutex);
    }
    pthread_mutex_unlock(&store_seen.mutex);
}

static void release_store(void)
{
    pthread_mutex_lock(&store_seen.mutex);
    store_seen.is_held = false;
    pthread_cond_broadcast(&store_seen.changed);
    pthread_mutex_unlock(&store_seen.mutex);
}

static int setup(void **state)
{
    store_seen.is_held = false;
    store_seen.fails = false;
    store_seen.alone_us = 0;
    store_seen.batch_count = 0;
    return fixture_setup(state);
}

/* ---- requests that belong together ---- */

/* Claims g0, g1 ... in one group; appends the lines to expect, or "store" for each. */
static void claim_group(struct fixture *fixture, const char *result, struct buf *lines)
{
    ledger_begin_together(fixture->ledger);
    for (int i = 0; i < GROUP; i++) {
        char token[16];
        snprintf(token, sizeof token, "g%d", i);
        fixture_claim(fixture, token);
        if (strcmp(result, "new") == 0) {
            buf_printf(lines, "claimed %s ready\n", token);
        }
        buf_printf(lines, "done %s %s\n", token, result);
    }
    ledger_end_together(fixture->ledger);
}

static void test_a_group_is_one_transaction_though_a_batch_is_full(void **state)
{
    struct fixture *fixture = *state;
    struct buf lines = {0};
    hold_store(fixture);
    buf_append_text(&lines, "posted first\nkept\n");
    for (int i = 0; i < BEFORE; i++) {
        fixture_post(fixture, "m", false);
        buf_append_text(&lines, "posted m\nkept\n");
    }
    claim_group(fixture, "new", &lines);
    fixture_post(fixture, "last", false);
    buf_append_text(&lines, "posted last\nkept\n");
    release_store();
    fixture_expect(fixture, lines.data);
    assert_int_equal(store_seen.batch_count, 1);
    assert_int_equal(store_seen.claims[0], GROUP);
    buf_fini(&lines);
}

static void test_a_group_that_cannot_be_stored_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct buf lines = {0};
    store_seen.fails = true;
    buf_append_text(&lines, "failing\n");
    claim_group(fixture, "store", &lines);
    buf_append_text(&lines, "working\n");
    fixture_expect(fixture, lines.data);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 0);
    buf_clear(&lines);
    claim_group(fixture, "new", &lines); /* the message comes again: none of its tokens is known */
    fixture_expect(fixture, lines.data);
    buf_fini(&lines);
}

static void test_a_token_twice_in_a_group_is_one_command(void **state)
{
    struct fixture *fixture = *state;
    ledger_begin_together(fixture->ledger);
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t1");
    ledger_end_together(fixture->ledger);
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\ndone t1 waits\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 1);
}

static void test_an_empty_group_is_nothing(void **state)
{
    struct fixture *fixture = *state;
    ledger_begin_together(fixture->ledger);
    ledger_end_together(fixture->ledger);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

/* ---- a success instead of a call ---- */

/* A command of the group that ends; `attempts` 0: it was coalesced itself. */
static void carry_out_command(struct fixture *fixture, const struct fixture_claim *claim,
                              uint32_t attempts, bool is_success)
{
    struct buf lines = {0};
    int64_t last_ms = clock_wall_ms();
    while (clock_wall_ms() == last_ms) {
        /* Of two that arrived in the same millisecond nobody knows which one came first. */
    }
    fixture_claim_as(fixture, claim);
    buf_printf(&lines, "claimed %s ready\ndone %s new\n", claim->token, claim->token);
    fixture_expect(fixture, lines.data);
    fixture_command(fixture, claim->token)->attempts = attempts;
    buf_clear(&lines);
    if (is_success) {
        fixture_succeed(fixture, claim->token);
        buf_printf(&lines, "posted succeeded %s to replies/%s\n", claim->token, claim->token);
    } else {
        fixture_fail(fixture, claim->token, RETENTION_NOT);
        buf_printf(&lines, "posted failed %s OperationDenied to replies/%s\n", claim->token,
                   claim->token);
    }
    fixture_expect(fixture, lines.data);
    buf_fini(&lines);
}

static void success_found(void *arg, enum status status, const struct ledger_record *const *records,
                          size_t count)
{
    char *out = arg;
    assert_int_equal(status, STATUS_OK);
    assert_true(count <= 1);
    snprintf(out, 16, "%.*s", count == 0 ? 4 : (int)records[0]->token.length,
             count == 0 ? "none" : records[0]->token.data);
}

/* The token of the success that a new command of this kind would get. */
static void expect_found(struct fixture *fixture, const struct fixture_claim *claim,
                         int64_t since_ms, const char *token)
{
    char found[16] = "";
    struct command *command = command_of_record(
        &fixture->route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-beijing"),
        slice_text(claim->group), slice_text("asks"),
        slice_text(claim->one_shot ? "{\"OneShot\":true}" : "{\"OneShot\":false}"));
    ledger_find_success(fixture->ledger, command, since_ms, success_found, found);
    fixture_settle(fixture);
    assert_string_equal(found, token);
    command_free(command);
}

static void test_a_success_with_the_same_parameters_is_found(void **state)
{
    struct fixture *fixture = *state;
    int64_t start_ms = clock_wall_ms();
    const struct fixture_claim first = {.token = "t1", .group = "pg-a"};
    const struct fixture_claim once = {.token = "t2", .group = "pg-a", .one_shot = true};
    const struct fixture_claim other = {.token = "t3", .group = "pg-b"};
    expect_found(fixture, &first, 0, "none");
    carry_out_command(fixture, &first, 1, true);
    expect_found(fixture, &first, start_ms, "t1");
    expect_found(fixture, &once, start_ms, "none");
    expect_found(fixture, &other, start_ms, "none");
    expect_found(fixture, &first, clock_wall_ms() + 60000, "none"); /* it is too old */
}

static void test_what_failed_or_was_not_called_is_no_success_to_get(void **state)
{
    struct fixture *fixture = *state;
    carry_out_command(fixture, &(struct fixture_claim){.token = "t1", .group = "pg-a"}, 1, false);
    carry_out_command(fixture, &(struct fixture_claim){.token = "t2", .group = "pg-a"}, 0, true);
    expect_found(fixture, &(struct fixture_claim){.group = "pg-a"}, 0, "none");
    carry_out_command(fixture, &(struct fixture_claim){.token = "t3", .group = "pg-a"}, 2, true);
    expect_found(fixture, &(struct fixture_claim){.group = "pg-a"}, 0, "t3");
}

static void test_a_command_of_another_action_in_between_ends_it(void **state)
{
    struct fixture *fixture = *state;
    const struct action *stop = &action_rows[ACTION_StopDiskReplicaGroup];
    carry_out_command(fixture, &(struct fixture_claim){.token = "t1", .group = "pg-a"}, 1, true);
    carry_out_command(
        fixture, &(struct fixture_claim){.token = "s1", .group = "pg-b", .action = stop}, 1, true);
    expect_found(fixture, &(struct fixture_claim){.group = "pg-a"}, 0, "t1");
    carry_out_command(fixture,
                      &(struct fixture_claim){.token = "s2", .group = "pg-a", .action = stop}, 1,
                      false); /* it had no effect */
    expect_found(fixture, &(struct fixture_claim){.group = "pg-a"}, 0, "t1");
    carry_out_command(
        fixture, &(struct fixture_claim){.token = "s3", .group = "pg-a", .action = stop}, 1, true);
    expect_found(fixture, &(struct fixture_claim){.group = "pg-a"}, 0, "none");
    carry_out_command(fixture, &(struct fixture_claim){.token = "t2", .group = "pg-a"}, 1, true);
    expect_found(fixture, &(struct fixture_claim){.group = "pg-a"}, 0, "t2");
}

/* ---- what a batch has read ---- */

static struct {
    struct loop *loop;
    unsigned count;
    unsigned step; /* which report it was */
    unsigned polls;
} reports;

static void on_step(void *arg, enum status status)
{
    (void)arg;
    assert_int_equal(status, STATUS_NOT_FOUND);
    reports.step = ++reports.count;
}

static void on_polls(void *arg, const char *region, const struct watch *const *watches,
                     size_t count)
{
    (void)arg;
    (void)watches;
    assert_string_equal(region, "cn-beijing");
    assert_int_equal(count, 0);
    reports.polls = ++reports.count;
    loop_stop(reports.loop);
}

/* They were read at the end of the batch, so they already contain the watches that it has begun. */
static void test_the_watches_of_a_region_are_reported_after_the_requests_of_their_batch(
    void **state)
{
    struct fixture *fixture = *state;
    const struct ledger_hooks hooks = {.polls = on_polls};
    const struct watch watch = {.id = 1};
    const struct watch_step step = {.event_count = 0};
    struct buf why = {0};
    fixture_close(fixture, 1000);
    assert_int_equal(ledger_open(fixture->loop, &fixture->options, &hooks, &fixture->ledger, &why),
                     STATUS_OK);
    reports.loop = fixture->loop;
    reports.count = 0;
    ledger_start(fixture->ledger);
    ledger_watch(fixture->ledger, &watch, &step, NULL, 0, on_step, NULL);
    loop_run(fixture->loop);
    assert_int_equal(reports.step, 1);
    assert_int_equal(reports.polls, 2);
    fixture_close(fixture, 1000);
    fixture_open(fixture);
    buf_fini(&why);
}

/* ---- a store that carries out one claim after the other ---- */

static void claim_many(struct fixture *fixture, int first, int count)
{
    struct buf lines = {0};
    hold_store(fixture);
    buf_append_text(&lines, "posted first\nkept\n");
    for (int i = first; i < first + count; i++) {
        char token[16];
        snprintf(token, sizeof token, "m%d", i);
        fixture_claim(fixture, token);
        buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    }
    release_store();
    fixture_expect(fixture, lines.data);
    buf_fini(&lines);
}

static void test_a_batch_has_no_more_claims_than_the_store_carries_out_in_a_second(void **state)
{
    struct fixture *fixture = *state;
    store_seen.alone_us = 100000;
    claim_many(fixture, 0, 100); /* nothing is known yet */
    claim_many(fixture, 100, 20);
    assert_int_equal(store_seen.claims[0], 100);
    assert_int_equal(store_seen.claims[1], 10);
    pthread_mutex_lock(&store_seen.mutex);
    store_seen.alone_us = 0;
    store_seen.batch_count = 0;
    pthread_mutex_unlock(&store_seen.mutex);
    claim_many(fixture, 200, 10); /* a full batch of which none is carried out by itself */
    claim_many(fixture, 300, 50);
    assert_int_equal(store_seen.claims[0], 10);
    assert_int_equal(store_seen.claims[1], 20);
    assert_int_equal(store_seen.claims[2], 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
        TEST(test_a_group_is_one_transaction_though_a_batch_is_full),
        TEST(test_a_group_that_cannot_be_stored_leaves_nothing),
        TEST(test_a_token_twice_in_a_group_is_one_command),
        TEST(test_an_empty_group_is_nothing),
        TEST(test_a_success_with_the_same_parameters_is_found),
        TEST(test_what_failed_or_was_not_called_is_no_success_to_get),
        TEST(test_a_command_of_another_action_in_between_ends_it),
        TEST(test_the_watches_of_a_region_are_reported_after_the_requests_of_their_batch),
        TEST(test_a_batch_has_no_more_claims_than_the_store_carries_out_in_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
