/*
 * The ledger on a disk that fails at the n-th operation, for every n. After a power cut everything
 * that was confirmed is there, and nothing else; and the ledger works again by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "ledger/sqlite/sqlite.h"
#include "support/ledger_fixture.h"
#include "support/store_batch.h"
#include "support/vfs_faults.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIALS_MAX  56 /* at the same time, since each waits for the ledger's next attempt */
#define TRIALS_FULL 16 /* of those with a long log, which need memory */
#define TOKENS      5
#define STEPS       6
#define FILL_BYTES  (985 * 4096) /* the write-ahead log is written back at 1,000 pages */
#define FAULT_COUNT (VFS_SYNC_LOST + 1)

static const char *const TOKEN[TOKENS] = {"a", "b", "c", "d", "e"};
static const char *const FAULT[FAULT_COUNT] = {
    [VFS_WRITE_EIO] = "write: EIO",     [VFS_WRITE_SHORT] = "write: cut short",
    [VFS_WRITE_FULL] = "write: full",   [VFS_WRITE_EROFS] = "write: read-only",
    [VFS_READ_EIO] = "read: EIO",       [VFS_READ_SHORT] = "read: cut short",
    [VFS_SYNC_EIO] = "sync: never out", [VFS_SYNC_LOST] = "sync: lost",
};

/* One ledger, its fault, and what it reported. */
struct trial {
    struct fixture *fixture;
    int n;
    bool is_claimed[TOKENS];
    bool is_finished[TOKENS];
    int seen;
    int struck;
};

/* ---- what the ledger reported ---- */

/* Whether the log has a line such as "done TOKEN new". */
static bool has_reported(const struct fixture *fixture, const char *before, const char *token,
                         const char *after)
{
    struct buf line = {0};
    buf_printf(&line, "%s%s%s\n", before, token, after);
    bool has = fixture->log.data != NULL && strstr(fixture->log.data, line.data) != NULL;
    buf_fini(&line);
    return has;
}

static void note(struct trial *trial)
{
    struct fixture *fixture = trial->fixture;
    for (int i = 0; i < TOKENS; i++) {
        /* The claim was reported as not stored, so the token must still be new. */
        assert_false(has_reported(fixture, "done ", TOKEN[i], " waits"));
        assert_false(has_reported(fixture, "done ", TOKEN[i], " replayed"));
        trial->is_claimed[i] |= has_reported(fixture, "done ", TOKEN[i], " new");
        char topic[32];
        snprintf(topic, sizeof topic, " to replies/%s", TOKEN[i]);
        trial->is_finished[i] |= has_reported(fixture, "posted succeeded ", TOKEN[i], topic);
    }
    buf_clear(&fixture->log);
    fixture->line_count = 0;
}

static bool is_held(const struct fixture *fixture, const char *token)
{
    for (size_t i = 0; i < fixture->held_count; i++) {
        if (strcmp(fixture->held[i]->token, token) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what is stored ---- */

static void check_row(struct store *store, const char *token, bool is_finished)
{
    struct store_row row;
    assert_int_equal(store_sqlite_ops.find(store, slice_text(token), &row), STATUS_OK);
    assert_int_equal(row.state == STATE_DONE, is_finished);
}

static void check_integrity(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void check_ledger(const struct trial *trial, const char *folder)
{
    struct buf path = {0};
    struct buf why = {0};
    struct store *store = NULL;
    buf_printf(&path, "%s/ledger.db", folder);
    assert_int_equal(store_sqlite_ops.open(STORE_AT(path.data), true, &store, &why), STATUS_OK);
    for (int i = 0; i < TOKENS; i++) {
        if (trial->is_claimed[i]) {
            check_row(store, TOKEN[i], trial->is_finished[i]);
        }
    }
    store_sqlite_ops.close(store);
    check_integrity(path.data);
    buf_fini(&path);
    buf_fini(&why);
}

static void remove_ledger(const char *folder)
{
    static const char *const NAMES[] = {"ledger.db", "ledger.db.lock", "ledger.db-wal",
                                        "ledger.db-shm"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        struct buf name = {0};
        buf_printf(&name, "%s/%s", folder, NAMES[i]);
        unlink(name.data);
        buf_fini(&name);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void check_after_power_cut(const struct trial *trial)
{
    char folder[] = "/tmp/test-ledger-cut-XXXXXX";
    assert_non_null(mkdtemp(folder));
    vfs_faults_cut_power(trial->fixture->folder, folder);
    check_ledger(trial, folder);
    vfs_faults_forget(folder);
    remove_ledger(folder);
}

/* ---- a trial ---- */

static void fill(struct fixture *fixture)
{
    char *bytes = mem_zalloc(1, FILL_BYTES + 1);
    memset(bytes, 'x', FILL_BYTES);
    bytes[FILL_BYTES] = '\0';
    fixture_post(fixture, bytes, false);
    fixture_settle(fixture);
    buf_fini(&fixture->log);
    fixture->line_count = 0;
    free(bytes);
}

static void trial_begin(struct trial *trial, enum vfs_fault fault, int n, bool is_filled)
{
    void *state = NULL;
    assert_int_equal(fixture_setup(&state), 0);
    *trial = (struct trial){.fixture = state, .n = n};
    trial->fixture->options.is_full = true;
    fixture_open_again(trial->fixture);
    fixture_settle(trial->fixture);
    if (is_filled) {
        fill(trial->fixture);
    }
    vfs_faults_plan(trial->fixture->folder, fault, n, 1);
}

/* Each step has one more command and one more outcome; what was not stored is sent again. */
static void trial_step(struct trial *trial, int step)
{
    if (step == STEPS - 1) {
        trial->seen = vfs_faults_heal(trial->fixture->folder, &trial->struck);
    }
    for (int i = 0; i <= step && i < TOKENS; i++) {
        if (!trial->is_claimed[i]) {
            fixture_claim(trial->fixture, TOKEN[i]);
        } else if (i < step && i < TOKENS - 1 && is_held(trial->fixture, TOKEN[i])) {
            fixture_succeed(trial->fixture, TOKEN[i]);
        }
    }
}

static void trial_end(struct trial *trial)
{
    struct fixture *fixture = trial->fixture;
    void *state = fixture;
    for (int i = 0; i < TOKENS; i++) {
        assert_true(trial->is_claimed[i]);
    }
    check_after_power_cut(trial);
    fixture_close(fixture, 1000);
    check_ledger(trial, fixture->folder);
    vfs_faults_forget(fixture->folder);
    assert_int_equal(fixture_teardown(&state), 0);
}

static void run_steps(struct trial *trials, int count)
{
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < count; i++) {
            trial_step(&trials[i], step);
            /* One turn of the loop: its thread starts before the test waits for the others. */
            fixture_await(trials[i].fixture, COUNTER_LEDGER_COMMITS, 0);
        }
        for (int i = 0; i < count; i++) {
            fixture_settle(trials[i].fixture);
            note(&trials[i]);
        }
    }
}

/* Trials with the fault at the operations `first`, `first + stride`, ... Returns whether the last
 * one was reached. */
static bool run_trials(enum vfs_fault fault, int first, int stride, bool is_filled)
{
    static struct trial trials[TRIALS_MAX];
    int count = is_filled ? TRIALS_FULL : TRIALS_MAX;
    for (int i = 0; i < count; i++) {
        trial_begin(&trials[i], fault, first + i * stride, is_filled);
    }
    run_steps(trials, count);
    bool is_reached = trials[count - 1].struck > 0;
    assert_true(trials[0].struck > 0 || first > 1);
    for (int i = 0; i < count; i++) {
        trial_end(&trials[i]);
    }
    return is_reached;
}

static void sweep(enum vfs_fault fault, int stride, bool is_filled)
{
    int count = is_filled ? TRIALS_FULL : TRIALS_MAX;
    int first = 1;
    while (run_trials(fault, first, stride, is_filled)) {
        first += count * stride;
    }
    print_message("%s: each %d. operation up to the %d.\n", FAULT[fault], stride,
                  first + (count - 1) * stride);
}

static void test_every_write_may_fail(void **state)
{
    (void)state;
    sweep(VFS_WRITE_EIO, 1, false);
}

static void test_every_write_may_be_cut_short(void **state)
{
    (void)state;
    sweep(VFS_WRITE_SHORT, 1, false);
}

static void test_the_disk_may_be_full_at_every_write(void **state)
{
    (void)state;
    sweep(VFS_WRITE_FULL, 1, false);
}

static void test_every_sync_may_fail(void **state)
{
    (void)state;
    sweep(VFS_SYNC_EIO, 1, false);
    sweep(VFS_SYNC_LOST, 1, false);
}

static void test_every_sync_may_fail_while_the_log_is_written_back(void **state)
{
    (void)state;
    sweep(VFS_SYNC_EIO, 1, true);
    sweep(VFS_SYNC_LOST, 1, true);
}

static void test_writes_may_fail_while_the_log_is_written_back(void **state)
{
    (void)state;
    sweep(VFS_WRITE_EIO, 71, true);
    sweep(VFS_WRITE_SHORT, 73, true);
    sweep(VFS_WRITE_FULL, 79, true);
}

static void test_every_read_may_fail(void **state)
{
    (void)state;
    sweep(VFS_READ_EIO, 43, true);
    sweep(VFS_READ_SHORT, 47, true);
}

/* ---- a disk that keeps failing ---- */

static void check_lasting(enum vfs_fault fault, const char *why)
{
    void *state = NULL;
    struct trial trial = {0};
    int struck = 0;
    assert_int_equal(fixture_setup(&state), 0);
    struct fixture *fixture = trial.fixture = state;
    fixture->options.is_full = true;
    fixture_open_again(fixture);
    fixture_settle(fixture);
    vfs_faults_plan(fixture->folder, fault, 1, INT_MAX);
    fixture_claim(fixture, "a");
    fixture_expect(fixture, "failing\ndone a store\n");
    assert_non_null(strstr(fixture->last_trouble.data, why));
    fixture_await(fixture, COUNTER_LEDGER_FAILURES, 2);
    fixture_claim(fixture, "b");
    fixture_expect(fixture, "done b store\n");
    check_after_power_cut(&trial);
    vfs_faults_heal(fixture->folder, &struck);
    assert_true(struck >= 2);
    fixture_expect(fixture, "working\n");
    fixture_claim(fixture, "a");
    fixture_expect(fixture, "claimed a ready\ndone a new\n");
    trial.is_claimed[0] = true;
    check_after_power_cut(&trial);
    fixture_close(fixture, 1000);
    vfs_faults_forget(fixture->folder);
    assert_int_equal(fixture_teardown(&state), 0);
}

static void test_while_the_disk_fails_nothing_is_confirmed_and_its_recovery_is_noticed(void **state)
{
    (void)state;
    check_lasting(VFS_WRITE_EIO, "Input/output error");
    check_lasting(VFS_WRITE_SHORT, "Input/output error");
    check_lasting(VFS_WRITE_FULL, "No space left on device");
    check_lasting(VFS_WRITE_EROFS, "Read-only file system");
    check_lasting(VFS_SYNC_EIO, "Input/output error");
    check_lasting(VFS_SYNC_LOST, "Input/output error");
}

/* ---- a disk that fails while a ledger is opened ---- */

static struct store *open_store(const char *path)
{
    struct store *store = NULL;
    struct buf why = {0};
    enum status status = store_sqlite_ops.open(STORE_AT(path), true, &store, &why);
    assert_string_equal(why.data == NULL ? "" : why.data, "");
    assert_int_equal(status, STATUS_OK);
    buf_fini(&why);
    return store;
}

static void keep_fact(struct store *store, int64_t value)
{
    assert_int_equal(store_write_meta(&store_sqlite_ops, store, "kept", value), STATUS_OK);
}

/* The store opens, or is refused with a reason. Returns whether the fault was reached. */
static bool open_with_fault(const char *folder, const char *path, enum vfs_fault fault, int n)
{
    struct store *store = NULL;
    struct buf why = {0};
    int struck = 0;
    vfs_faults_plan(folder, fault, n, 1);
    enum status status = store_sqlite_ops.open(STORE_AT(path), true, &store, &why);
    assert_true(status == STATUS_OK || strstr(why.data, path) != NULL);
    store_sqlite_ops.close(store);
    vfs_faults_heal(folder, &struck);
    buf_fini(&why);
    return struck > 0;
}

/* Makes a ledger as after a power cut: the last value is only in the log. */
static void make_crashed(const char *folder)
{
    char origin[] = "/tmp/test-ledger-from-XXXXXX";
    struct buf path = {0};
    assert_non_null(mkdtemp(origin));
    buf_printf(&path, "%s/ledger.db", origin);
    struct store *store = open_store(path.data);
    keep_fact(store, 1);
    keep_fact(store, 2);
    vfs_faults_cut_power(origin, folder);
    store_sqlite_ops.close(store);
    vfs_faults_forget(origin);
    remove_ledger(origin);
    buf_fini(&path);
}

static bool check_opening(enum vfs_fault fault, int n, bool is_new)
{
    char folder[] = "/tmp/test-ledger-open-XXXXXX";
    struct buf path = {0};
    int64_t value = 0;
    assert_non_null(mkdtemp(folder));
    buf_printf(&path, "%s/ledger.db", folder);
    if (!is_new) {
        make_crashed(folder);
    }
    bool is_reached = open_with_fault(folder, path.data, fault, n);
    struct store *store = open_store(path.data);
    enum status status = store_sqlite_ops.get_meta(store, "kept", &value);
    assert_int_equal(status, is_new ? STATUS_NOT_FOUND : STATUS_OK);
    assert_int_equal(value, is_new ? 0 : 2);
    keep_fact(store, 3);
    store_sqlite_ops.close(store);
    vfs_faults_forget(folder);
    remove_ledger(folder);
    buf_fini(&path);
    return is_reached;
}

/* Writes of the store while the value is stored. */
static int count_writes(struct store *store, const char *folder, int64_t value)
{
    int struck = 0;
    vfs_faults_plan(folder, VFS_WRITE_EIO, INT_MAX, 1);
    keep_fact(store, value);
    return vfs_faults_heal(folder, &struck);
}

static void test_a_frame_of_the_log_is_one_write(void **state)
{
    (void)state;
    char folder[] = "/tmp/test-ledger-frame-XXXXXX";
    struct buf path = {0};
    int64_t value = 0;
    assert_non_null(mkdtemp(folder));
    buf_printf(&path, "%s/ledger.db", folder);
    struct store *store = open_store(path.data);
    keep_fact(store, 1);
    keep_fact(store, 2);
    assert_int_equal(count_writes(store, folder, 3), 1);
    assert_int_equal(count_writes(store, folder, 4), 1);
    assert_int_equal(store_sqlite_ops.get_meta(store, "kept", &value), STATUS_OK);
    assert_int_equal(value, 4);
    store_sqlite_ops.close(store);
    check_integrity(path.data);
    vfs_faults_forget(folder);
    remove_ledger(folder);
    buf_fini(&path);
}

static void sweep_opening(bool is_new)
{
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        int n = 1;
        while (check_opening((enum vfs_fault)fault, n, is_new)) {
            n++;
        }
        print_message("%s: tried at %d operations of opening\n", FAULT[fault], n - 1);
    }
}

static void test_a_disk_that_fails_while_a_ledger_is_opened_loses_nothing(void **state)
{
    (void)state;
    sweep_opening(false);
}

static void test_a_disk_that_fails_while_a_ledger_is_created_does_not_prevent_the_next_start(
    void **state)
{
    (void)state;
    sweep_opening(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_write_may_fail),
        cmocka_unit_test(test_every_write_may_be_cut_short),
        cmocka_unit_test(test_the_disk_may_be_full_at_every_write),
        cmocka_unit_test(test_every_sync_may_fail),
        cmocka_unit_test(test_every_sync_may_fail_while_the_log_is_written_back),
        cmocka_unit_test(test_writes_may_fail_while_the_log_is_written_back),
        cmocka_unit_test(test_every_read_may_fail),
        cmocka_unit_test(
            test_while_the_disk_fails_nothing_is_confirmed_and_its_recovery_is_noticed),
        cmocka_unit_test(test_a_frame_of_the_log_is_one_write),
        cmocka_unit_test(test_a_disk_that_fails_while_a_ledger_is_opened_loses_nothing),
        cmocka_unit_test(
            test_a_disk_that_fails_while_a_ledger_is_created_does_not_prevent_the_next_start),
    };
    log_setup(LOG_LEVEL_ERROR, LOG_LOGFMT,
              "test"); /* not one line for each ledger that is created */
    vfs_faults_register();
    return cmocka_run_group_tests_name("ledger_disk", tests, NULL, NULL);
}
