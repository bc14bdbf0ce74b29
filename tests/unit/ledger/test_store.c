/*
 * The SQLite store: the conformance suite, and tests of its file, its versions and its faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ledger/sqlite/schema.h"
#include "ledger/sqlite/sqlite.h"
#include "support/store_batch.h"
#include "support/store_suite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const struct store_ops *const OPS = &store_sqlite_ops;

/* "FOLDER/ledger.db" in a new folder. */
static char *location_new(void)
{
    char folder[] = "/tmp/test-store-XXXXXX";
    struct buf path = {0};
    assert_non_null(mkdtemp(folder));
    buf_printf(&path, "%s/ledger.db", folder);
    return buf_take(&path);
}

static void location_free(char *location)
{
    static const char *const ENDINGS[] = {"", ".lock", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        struct buf name = {0};
        buf_printf(&name, "%s%s", location, ENDINGS[i]);
        unlink(name.data);
        buf_fini(&name);
    }
    *strrchr(location, '/') = '\0';
    assert_int_equal(rmdir(location), 0);
    free(location);
}

static int setup(void **state)
{
    *state = location_new();
    return 0;
}

static int teardown(void **state)
{
    location_free(*state);
    return 0;
}

/* Opens and closes the store. */
static enum status try_open(const char *location, struct buf *out_why)
{
    struct store *store = NULL;
    enum status status = OPS->open(STORE_AT(location), true, &store, out_why);
    OPS->close(store);
    return status;
}

static void assert_opens(const char *location)
{
    struct buf why = {0};
    assert_int_equal(try_open(location, &why), STATUS_OK);
    buf_fini(&why);
}

/* The store refuses the file with a message that contains `word`, and does not change it. */
static void assert_refused(const char *location, enum status expected, const char *word)
{
    struct stat before;
    struct stat after;
    struct buf why = {0};
    assert_int_equal(stat(location, &before), 0);
    assert_int_equal(try_open(location, &why), expected);
    assert_non_null(strstr(why.data, word));
    assert_non_null(strstr(why.data, location));
    assert_int_equal(stat(location, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_ino, after.st_ino);
    buf_fini(&why);
}

static void execute(const char *location, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void write_at(const char *location, off_t offset, const void *bytes, size_t length)
{
    int fd = open(location, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, length, offset), length);
    close(fd);
}

static void test_the_file_is_for_its_owner_alone(void **state)
{
    const char *location = *state;
    struct stat about;
    assert_opens(location);
    assert_int_equal(stat(location, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

/* A command that is CALLING and one that is DONE, as every version stores them. */
static const char OLD_ROWS[] =
    "INSERT INTO command (id, token, state, action, region, grp, route, one_shot, fingerprint,"
    " received_at, deadline_at, attempts, not_before)"
    " VALUES (5, 'old', 2, 'StartDiskReplicaGroup', 'r', 'g', 'start', 0, x'00', 1, 2, 1, 0);"
    "INSERT INTO asker (command_id, place, topic, has_body_trace)"
    " VALUES (5, 0, 'replies/old', 0), (5, 1, 'replies/other', 0);"
    "INSERT INTO command (id, token, state, action, region, grp, route, one_shot, fingerprint,"
    " received_at, deadline_at, attempts, not_before, status, keep, completed_at, expires_at)"
    " VALUES (6, 'done', 5, 'StartDiskReplicaGroup', 'r', 'g', 'start', 1, x'00', 1, 2, 1, 0, 1, "
    "2, 3,"
    " 4);"
    "INSERT INTO outbox VALUES (8, x'6d');"
    "PRAGMA application_id = 1162038594;";

/* Makes a file of that version and opens it: all rows are there, and the last ids are known. */
static struct store *open_old(const char *location, int version)
{
    struct store *store = NULL;
    struct store_summary summary;
    struct store_row row;
    struct buf sql = {0};
    struct buf why = {0};
    for (int i = 0; i < version; i++) {
        execute(location, store_sqlite_steps[i]);
    }
    buf_printf(&sql, "%s PRAGMA user_version = %d", OLD_ROWS, version);
    execute(location, sql.data);
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    assert_int_equal(OPS->summarise(store, &summary), STATUS_OK);
    assert_int_equal(summary.waiting, 1);
    assert_int_equal(summary.messages, 1);
    assert_int_equal(summary.last_id, 6);
    assert_int_equal(summary.last_message_id, 8);
    assert_int_equal(OPS->find(store, slice_text("old"), &row), STATUS_OK);
    assert_int_equal(row.id, 5);
    assert_int_equal(row.state, STATE_CALLING);
    assert_true(slice_equals_text(row.params, "{\"OneShot\":false}"));
    assert_int_equal(OPS->find(store, slice_text("done"), &row), STATUS_OK);
    assert_int_equal(row.state, STATE_DONE);
    assert_true(slice_equals_text(row.params, "{\"OneShot\":true}"));
    assert_int_equal(row.status, OUTCOME_FAILED);
    assert_int_equal(row.retention, RETENTION_COOLDOWN);
    assert_int_equal(row.expires_at_ms, 4);
    buf_fini(&sql);
    buf_fini(&why);
    return store;
}

static void test_a_version_1_file_is_migrated_with_its_rows(void **state)
{
    int64_t value = 0;
    struct store *store = open_old(*state, 1);
    assert_int_equal(OPS->get_meta(store, "x", &value), STATUS_NOT_FOUND);
    assert_int_equal(store_write_meta(OPS, store, "x", 3), STATUS_OK);
    assert_int_equal(OPS->get_meta(store, "x", &value), STATUS_OK);
    OPS->close(store);
}

static void test_a_version_2_file_is_migrated_without_crashes(void **state)
{
    struct store_row row;
    struct store *store = open_old(*state, 2);
    assert_int_equal(OPS->find(store, slice_text("old"), &row), STATUS_OK);
    assert_int_equal(row.crashes, 0);
    OPS->close(store);
}

static void test_a_version_3_file_is_migrated_with_its_values(void **state)
{
    const char *location = *state;
    int64_t value = 0;
    struct store *store = NULL;
    struct buf why = {0};
    for (int i = 0; i < 3; i++) {
        execute(location, store_sqlite_steps[i]);
    }
    execute(location, OLD_ROWS);
    execute(location, "INSERT INTO fact VALUES ('x', -7); PRAGMA user_version = 3");
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    assert_int_equal(OPS->get_meta(store, "x", &value), STATUS_OK);
    assert_int_equal(value, -7);
    OPS->close(store);
    buf_fini(&why);
}

static void test_of_the_crashes_in_a_version_3_file_those_of_single_calls_are_counted(void **state)
{
    static const struct {
        uint32_t crashes;
        uint32_t alone;
        uint32_t crashes_now;
    } CASES[] = {{0, 0, 0}, {1, 0, 1}, {1, 1, 1}, {2, 0, 1}, {2, 2, 2}, {5, 1, 2}, {3, 2, 3}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *location = *state;
        struct store_row row;
        struct store *store = NULL;
        struct buf sql = {0};
        struct buf why = {0};
        unlink(location);
        for (int step = 0; step < 3; step++) {
            execute(location, store_sqlite_steps[step]);
        }
        execute(location, OLD_ROWS);
        buf_printf(&sql,
                   "UPDATE command SET crashes = %u, crashes_alone = %u WHERE id = 5;"
                   "PRAGMA user_version = 3",
                   CASES[i].crashes, CASES[i].alone);
        execute(location, sql.data);
        assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
        assert_int_equal(OPS->find(store, slice_text("old"), &row), STATUS_OK);
        assert_int_equal(row.crashes, CASES[i].crashes_now);
        OPS->close(store);
        buf_fini(&sql);
        buf_fini(&why);
    }
}

/* A command must not be called with other parameters than it was claimed with. */
static void test_a_record_with_strange_parameters_is_damaged(void **state)
{
    static const char *const changes[] = {
        "params = '{\"OneShot\":1}'",
        "params = '{ \"OneShot\":true}'",
        "params = ''",
        "action = 'StopDiskReplicaGroup'",
    };
    const char *location = *state;
    struct store_row row;
    struct store *store = open_old(location, 3);
    OPS->close(store);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct buf sql = {0};
        struct buf why = {0};
        buf_printf(&sql,
                   "UPDATE command SET action = 'StartDiskReplicaGroup', params = NULL;"
                   "UPDATE command SET %s WHERE id = 5",
                   changes[i]);
        execute(location, sql.data);
        assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
        assert_int_equal(OPS->find(store, slice_text("done"), &row), STATUS_OK);
        assert_int_equal(OPS->find(store, slice_text("old"), &row), STATUS_STORE);
        assert_non_null(strstr(OPS->error(store), "the record of command 5 is damaged"));
        OPS->close(store);
        buf_fini(&sql);
        buf_fini(&why);
    }
}

/* The senders of a command of an older version get its outcome. */
static void test_a_command_of_an_older_file_is_finished(void **state)
{
    struct store *store = open_old(*state, 3);
    struct store_batch batch;
    store_batch_init(&batch, OPS, store);
    struct ledger_request *request = store_batch_finish(&batch, "old", 5, 1000);
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    assert_int_equal(request->finish.reply_to_count, 2);
    assert_int_equal(batch.batch.messages[0].id, 9);
    store_batch_fini(&batch);
    OPS->close(store);
}

/* Its history begins with what this version does. */
static void test_a_command_of_a_version_5_file_gets_a_history(void **state)
{
    const char *location = *state;
    struct store *store = NULL;
    struct store_batch batch;
    struct store_row row;
    struct ledger_event event;
    struct buf why = {0};
    for (int i = 0; i < 3; i++) {
        execute(location, store_sqlite_steps[i]);
    }
    execute(location, OLD_ROWS);
    execute(location, store_sqlite_steps[3]);
    execute(location, store_sqlite_steps[4]);
    execute(location, "PRAGMA user_version = 5");
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    store_batch_init(&batch, OPS, store);
    store_batch_finish(&batch, "old", 5, 1000);
    store_batch_delivered(&batch, 8);
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    assert_int_equal(OPS->find(store, slice_text("done"), &row), STATUS_OK);
    assert_false(slice_is_present(row.history));
    assert_int_equal(OPS->find(store, slice_text("old"), &row), STATUS_OK);
    struct history_reader reader = {.rest = row.history};
    assert_true(history_read(&reader, &event));
    assert_int_equal(event.kind, LEDGER_EVENT_OUTCOME);
    assert_false(history_read(&reader, &event));
    store_batch_fini(&batch);
    OPS->close(store);
    buf_fini(&why);
}

static void count_watch(void *arg, const struct watch *watch)
{
    (void)watch;
    (*(int *)arg)++;
}

static void test_a_version_7_file_can_have_watches(void **state)
{
    const char *location = *state;
    struct store *store = NULL;
    struct store_batch batch;
    struct buf why = {0};
    int count = 0;
    for (int i = 0; i < 3; i++) {
        execute(location, store_sqlite_steps[i]);
    }
    execute(location, OLD_ROWS);
    for (int i = 3; i < 7; i++) {
        execute(location, store_sqlite_steps[i]);
    }
    execute(location, "PRAGMA user_version = 7");
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    assert_int_equal(OPS->each_watch(store, count_watch, &count), STATUS_OK);
    assert_int_equal(count, 0);
    store_batch_init(&batch, OPS, store);
    store_batch_finish(&batch, "old", 5, 1000)->finish.watch = (struct watch_start){1, 2};
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    assert_int_equal(OPS->each_watch(store, count_watch, &count), STATUS_OK);
    assert_int_equal(count, 1);
    store_batch_fini(&batch);
    OPS->close(store);
    buf_fini(&why);
}

static bool has_effect_index(const char *location)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'command_effect'",
                           -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    bool has_index = sqlite3_column_int(statement, 0) == 1;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return has_index;
}

/* A run that begins with such settings, and gets others later. */
static void run_coalescing(const char *location, bool is_at_start, bool is_later)
{
    struct store *store = NULL;
    struct store_batch batch;
    struct buf why = {0};
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    store_batch_init(&batch, OPS, store);
    batch.limits.is_coalescing = is_at_start;
    batch.batch.limits = &batch.limits;
    assert_int_equal(OPS->start(store, &batch.batch), STATUS_OK);
    assert_int_equal(has_effect_index(location), is_at_start);
    batch.limits.is_coalescing = is_later;
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    assert_int_equal(has_effect_index(location), is_at_start || is_later);
    store_batch_fini(&batch);
    OPS->close(store);
    buf_fini(&why);
}

static void test_the_index_of_effects_is_there_where_a_route_coalesces(void **state)
{
    const char *location = *state;
    run_coalescing(location, false, false);
    run_coalescing(location, false, true); /* a reload */
    run_coalescing(location, true, false);
    run_coalescing(location, true, true);
    run_coalescing(location, false, false);
}

static enum status refuse(struct ledger_batch *batch)
{
    (void)batch;
    return STATUS_STORE;
}

/* The transaction that makes it is rolled back. */
static void test_an_index_of_effects_that_could_not_be_made_is_made_later(void **state)
{
    const char *location = *state;
    struct store *store = NULL;
    struct store_batch batch;
    struct buf why = {0};
    run_coalescing(location, false, false);
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    store_batch_init(&batch, OPS, store);
    batch.limits.is_coalescing = true;
    batch.batch.before_commit = refuse;
    assert_int_equal(store_batch_run(&batch), STATUS_STORE);
    assert_false(has_effect_index(location));
    batch.batch.before_commit = NULL;
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    assert_true(has_effect_index(location));
    store_batch_fini(&batch);
    OPS->close(store);
    buf_fini(&why);
}

static void test_a_newer_file_is_refused_with_both_versions(void **state)
{
    const char *location = *state;
    char word[80];
    assert_opens(location);
    execute(location, "PRAGMA user_version = 77");
    assert_refused(location, STATUS_INVALID, "schema version 77");
    snprintf(word, sizeof word, "up to %d", STORE_SQLITE_VERSION);
    assert_refused(location, STATUS_INVALID, word);
}

static void test_a_database_of_another_program_is_refused(void **state)
{
    const char *location = *state;
    execute(location, "CREATE TABLE notes (text)");
    assert_refused(location, STATUS_INVALID, "another program");
}

static void test_a_file_that_is_no_database_is_refused(void **state)
{
    const char *location = *state;
    char text[8192];
    memset(text, 'x', sizeof text);
    write_at(location, 0, text, sizeof text);
    assert_refused(location, STATUS_INVALID, "restore it from a backup");
}

static void fill(const char *location)
{
    struct store_batch batch;
    struct store *store = NULL;
    struct buf why = {0};
    assert_int_equal(OPS->open(STORE_AT(location), false, &store, &why), STATUS_OK);
    store_batch_init(&batch, OPS, store);
    for (int i = 0; i < 500; i++) {
        char token[32];
        snprintf(token, sizeof token, "token-%d", i);
        store_batch_claim(&batch, token);
        store_batch_post(&batch, slice_text("message"));
    }
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    store_batch_fini(&batch);
    OPS->close(store);
    buf_fini(&why);
}

static void test_a_file_that_was_cut_off_is_refused(void **state)
{
    const char *location = *state;
    struct stat about;
    fill(location);
    assert_int_equal(stat(location, &about), 0);
    assert_int_equal(truncate(location, about.st_size - 4096), 0);
    assert_refused(location, STATUS_INVALID, "restore it from a backup");
}

static void test_a_file_with_an_overwritten_root_is_refused(void **state)
{
    const char *location = *state;
    char garbage[4096];
    memset(garbage, 0xa5, sizeof garbage);
    fill(location);
    /* Page 3 is the root of the first table, page 2 SQLite's map for moving pages. */
    write_at(location, 8192, garbage, sizeof garbage);
    assert_refused(location, STATUS_INVALID, "restore it from a backup");
}

static char *beside(const char *location, const char *ending)
{
    struct buf name = {0};
    buf_printf(&name, "%s%s", location, ending);
    return buf_take(&name);
}

static void test_an_empty_file_is_refused_and_stays_empty(void **state)
{
    const char *location = *state;
    write_at(location, 0, "", 0);
    assert_refused(location, STATUS_INVALID, "is an empty file");
    assert_refused(location, STATUS_INVALID, "remove the file to begin with an empty ledger");
    assert_int_equal(unlink(location), 0);
    assert_opens(location);
}

static void test_a_log_without_its_file_is_refused(void **state)
{
    const char *location = *state;
    char *log = beside(location, "-wal");
    struct buf why = {0};
    write_at(log, 0, "x", 1);
    assert_int_equal(try_open(location, &why), STATUS_INVALID);
    assert_non_null(strstr(why.data, log));
    assert_int_not_equal(access(location, F_OK), 0);
    assert_int_equal(unlink(log), 0);
    assert_opens(location);
    buf_fini(&why);
    free(log);
}

/* A bridge that crashed while it created its first ledger leaves these files. */
static void test_a_ledger_that_was_partly_created_is_created_again(void **state)
{
    const char *location = *state;
    char *made = beside(location, ".new");
    char *journal = beside(location, ".new-journal");
    write_at(made, 0, "SQLite format 3", 16);
    write_at(journal, 0, "half a journal", 14);
    assert_opens(location);
    assert_int_not_equal(access(made, F_OK), 0);
    assert_int_not_equal(access(journal, F_OK), 0);
    free(made);
    free(journal);
}

/* The file is moved away while it is open, and put back. */
static void check_vanishing(const char *location, const char *ending)
{
    struct store *store = NULL;
    struct buf why = {0};
    int64_t value = 0;
    char *name = beside(location, ending);
    char *elsewhere = beside(location, ".elsewhere");
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    assert_int_equal(store_write_meta(OPS, store, "before", 1), STATUS_OK);
    assert_int_equal(rename(name, elsewhere), 0);
    assert_int_equal(store_write_meta(OPS, store, "while", 1), STATUS_STORE);
    assert_non_null(strstr(OPS->error(store), "put it back"));
    assert_non_null(strstr(OPS->error(store), name));
    assert_int_equal(rename(elsewhere, name), 0);
    assert_int_equal(store_write_meta(OPS, store, "after", 1), STATUS_OK);
    assert_int_equal(OPS->get_meta(store, "while", &value), STATUS_NOT_FOUND);
    OPS->close(store);
    free(name);
    free(elsewhere);
    buf_fini(&why);
}

static void test_a_file_that_is_moved_while_it_is_open_stores_nothing_until_it_is_back(void **state)
{
    check_vanishing(*state, "");
}

static void test_a_log_that_is_moved_while_it_is_open_stores_nothing_until_it_is_back(void **state)
{
    check_vanishing(*state, "-wal");
}

static void test_a_file_that_was_removed_while_it_was_open_is_not_created_again(void **state)
{
    const char *location = *state;
    struct store *store = NULL;
    struct buf why = {0};
    char *log = beside(location, "-wal");
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    assert_int_equal(store_write_meta(OPS, store, "before", 1), STATUS_OK);
    assert_int_equal(unlink(location), 0);
    assert_int_equal(store_write_meta(OPS, store, "after", 1), STATUS_STORE);
    OPS->close(store);
    assert_int_equal(try_open(location, &why), STATUS_INVALID);
    assert_non_null(strstr(why.data, log));
    buf_fini(&why);
    free(log);
}

/* As after a crash: the index of the log need not exist. */
static void test_without_the_logs_index_nothing_is_lost(void **state)
{
    const char *location = *state;
    static const char *const ENDINGS[] = {"", "-wal"};
    char *copy = location_new();
    struct store *store = NULL;
    struct buf why = {0};
    int64_t value = 0;
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    assert_int_equal(store_write_meta(OPS, store, "kept", 1), STATUS_OK);
    for (size_t i = 0; i < 2; i++) {
        struct buf command = {0};
        buf_printf(&command, "cp %s%s %s%s", location, ENDINGS[i], copy, ENDINGS[i]);
        assert_int_equal(system(command.data), 0);
        buf_fini(&command);
    }
    OPS->close(store);
    assert_int_equal(OPS->open(STORE_AT(copy), true, &store, &why), STATUS_OK);
    assert_int_equal(OPS->get_meta(store, "kept", &value), STATUS_OK);
    OPS->close(store);
    location_free(copy);
    buf_fini(&why);
}

/* In a child as another user, because root may open everything. */
static void test_a_ledger_of_another_user_is_reported_with_what_to_do(void **state)
{
    struct buf folder = {0};
    int result;
    buf_printf(&folder, "%s.d", (const char *)*state);
    assert_int_equal(mkdir(folder.data, 0), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct buf why = {0};
        if (geteuid() == 0 && setuid(NOBODY) != 0) {
            _exit(2);
        }
        buf_append_text(&folder, "/ledger.db");
        bool is_refused = try_open(folder.data, &why) == STATUS_STORE;
        _exit(is_refused && strstr(why.data, "must belong to the bridge's user") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(rmdir(folder.data), 0);
    assert_int_equal(result, 0);
    buf_fini(&folder);
}

static void test_a_missing_folder_is_an_error_of_the_system(void **state)
{
    struct buf path = {0};
    struct buf why = {0};
    buf_printf(&path, "%s.d/ledger.db", (const char *)*state);
    assert_int_equal(try_open(path.data, &why), STATUS_STORE);
    assert_non_null(strstr(why.data, "No such file"));
    assert_non_null(strstr(why.data, path.data));
    buf_fini(&path);
    buf_fini(&why);
}

static void test_the_owner_is_named_by_its_process_id(void **state)
{
    const char *location = *state;
    struct store *store = NULL;
    struct buf why = {0};
    char word[32];
    assert_int_equal(OPS->open(STORE_AT(location), true, &store, &why), STATUS_OK);
    snprintf(word, sizeof word, "process %ld;", (long)getpid());
    assert_refused(location, STATUS_BUSY, word);
    OPS->close(store);
    assert_opens(location);
    buf_fini(&why);
}

/* Fills the store with messages and removes them: the file is then free space. Gives it back in as
 * many batches as are needed, at most `batches_max`, and returns their number. */
static int fill_and_empty(const char *location, int batches_max)
{
    enum { MESSAGES = 300, BYTES = 65536 };
    struct store_batch batch;
    struct store *store = NULL;
    struct buf why = {0};
    int batches = 0;
    char *message = mem_zalloc(1, BYTES);
    memset(message, 'm', BYTES);
    assert_int_equal(OPS->open(STORE_AT(location), false, &store, &why), STATUS_OK);
    store_batch_init(&batch, OPS, store);
    for (int i = 0; i < MESSAGES; i++) {
        store_batch_post(&batch, slice_of(message, BYTES));
    }
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    store_batch_begin(&batch);
    for (int i = 0; i < MESSAGES; i++) {
        store_batch_delivered(&batch, i + 1);
    }
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    do {
        store_batch_begin(&batch);
        batch.batch.may_shrink = true;
        assert_int_equal(store_batch_run(&batch), STATUS_OK);
    } while (++batches < batches_max && batch.batch.has_more_free);
    assert_false(batch.batch.has_more_free);
    store_batch_fini(&batch);
    OPS->close(store);
    buf_fini(&why);
    free(message);
    return batches;
}

static void test_free_space_is_given_back_little_by_little(void **state)
{
    const char *location = *state;
    struct stat about;
    int batches = fill_and_empty(location, 40);
    assert_in_range(batches, 10, 40); /* about 19 MiB, 1 MiB each, 4 MiB stay */
    assert_int_equal(stat(location, &about), 0);
    assert_in_range(about.st_size, 3 << 20, 6 << 20);
    assert_opens(location);
}

/* A file of an older version: SQLite changes that with VACUUM only. */
static void test_a_file_that_cannot_shrink_is_used_as_it_is(void **state)
{
    const char *location = *state;
    struct stat about;
    assert_opens(location);
    execute(location, "PRAGMA auto_vacuum = NONE; VACUUM");
    assert_int_equal(fill_and_empty(location, 40), 1);
    assert_int_equal(stat(location, &about), 0);
    assert_true(about.st_size > 18 << 20);
    execute(location, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM");
    assert_int_equal(stat(location, &about), 0);
    assert_true(about.st_size < 1 << 20);
    assert_opens(location);
}

static void test_durability_is_what_was_asked_for(void **state)
{
    (void)state;
    assert_string_equal(store_sqlite_durability(true), "PRAGMA synchronous = FULL");
    assert_string_equal(store_sqlite_durability(false), "PRAGMA synchronous = NORMAL");
}

static void append(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_null(context);
}

/* A claim must cost the same with a million records as with ten thousand. */
static void test_no_statement_reads_all_commands(void **state)
{
    const char *location = *state;
    sqlite3 *db = NULL;
    assert_opens(location);
    assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_create_function(db, STORE_SQLITE_APPEND, 2, SQLITE_UTF8, NULL, append, NULL, NULL),
        SQLITE_OK);
    for (int i = 0; i < SQL_COUNT + STORE_SQLITE_PROBES; i++) {
        const char *text =
            i < SQL_COUNT ? store_sqlite_statements[i] : store_sqlite_probes[i - SQL_COUNT];
        struct buf sql = {0};
        sqlite3_stmt *plan = NULL;
        buf_printf(&sql, "EXPLAIN QUERY PLAN %s", text);
        assert_int_equal(sqlite3_prepare_v2(db, sql.data, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            /* The last outcomes are sorted, but they are at most STORE_RECENT_MAX. */
            bool is_sorted = strstr(step, "TEMP B-TREE") != NULL && i != SQL_LIST_OUTCOMES;
            bool is_scan = strncmp(step, "SCAN c", 6) == 0 && strstr(text, "LIMIT 1000") == NULL;
            if (is_scan || is_sorted) {
                fail_msg("%s: %s", text, step);
            }
        }
        sqlite3_finalize(plan);
        buf_fini(&sql);
    }
    sqlite3_close(db);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct store_suite suite = {&store_sqlite_ops, location_new, location_free};
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_the_file_is_for_its_owner_alone),
        FILE_TEST(test_a_version_1_file_is_migrated_with_its_rows),
        FILE_TEST(test_a_version_2_file_is_migrated_without_crashes),
        FILE_TEST(test_a_version_3_file_is_migrated_with_its_values),
        FILE_TEST(test_of_the_crashes_in_a_version_3_file_those_of_single_calls_are_counted),
        FILE_TEST(test_a_command_of_an_older_file_is_finished),
        FILE_TEST(test_a_record_with_strange_parameters_is_damaged),
        FILE_TEST(test_a_command_of_a_version_5_file_gets_a_history),
        FILE_TEST(test_a_version_7_file_can_have_watches),
        FILE_TEST(test_the_index_of_effects_is_there_where_a_route_coalesces),
        FILE_TEST(test_an_index_of_effects_that_could_not_be_made_is_made_later),
        FILE_TEST(test_a_newer_file_is_refused_with_both_versions),
        FILE_TEST(test_a_database_of_another_program_is_refused),
        FILE_TEST(test_a_file_that_is_no_database_is_refused),
        FILE_TEST(test_a_file_that_was_cut_off_is_refused),
        FILE_TEST(test_a_file_with_an_overwritten_root_is_refused),
        FILE_TEST(test_an_empty_file_is_refused_and_stays_empty),
        FILE_TEST(test_a_log_without_its_file_is_refused),
        FILE_TEST(test_a_ledger_that_was_partly_created_is_created_again),
        FILE_TEST(test_a_file_that_is_moved_while_it_is_open_stores_nothing_until_it_is_back),
        FILE_TEST(test_a_log_that_is_moved_while_it_is_open_stores_nothing_until_it_is_back),
        FILE_TEST(test_a_file_that_was_removed_while_it_was_open_is_not_created_again),
        FILE_TEST(test_without_the_logs_index_nothing_is_lost),
        FILE_TEST(test_a_missing_folder_is_an_error_of_the_system),
        FILE_TEST(test_a_ledger_of_another_user_is_reported_with_what_to_do),
        FILE_TEST(test_the_owner_is_named_by_its_process_id),
        FILE_TEST(test_free_space_is_given_back_little_by_little),
        FILE_TEST(test_a_file_that_cannot_shrink_is_used_as_it_is),
        FILE_TEST(test_durability_is_what_was_asked_for),
        FILE_TEST(test_no_statement_reads_all_commands),
    };
    int failed = store_suite_run(&suite);
    return failed + cmocka_run_group_tests_name("store_sqlite", tests, NULL, NULL);
}
