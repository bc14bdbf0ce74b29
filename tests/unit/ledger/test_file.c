/* The files of a SQLite ledger: one bridge for each file, whatever its name, and what `check` finds
 * without opening it. */
#include "base/buf.h"
#include "ledger/sqlite/sqlite.h"
#include "support/ledger_fixture.h"
#include "support/store_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static const char *path_of(const struct fixture *fixture, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    return path;
}

/* ---- one bridge for each file ---- */

static void assert_busy(struct fixture *fixture, const char *name)
{
    const struct ledger_hooks hooks = {.arg = NULL};
    struct ledger_options options = fixture->options;
    struct ledger *ledger = NULL;
    struct buf why = {0};
    struct buf store = {0};
    buf_printf(&store, "sqlite:%s", path_of(fixture, name));
    options.store = store.data;
    assert_int_equal(ledger_open(fixture->loop, &options, &hooks, &ledger, &why), STATUS_BUSY);
    assert_null(ledger);
    assert_non_null(strstr(why.data, "in use by"));
    buf_fini(&store);
    buf_fini(&why);
}

static void test_a_symbolic_link_to_a_ledger_in_use_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char link[256];
    snprintf(link, sizeof link, "%s", path_of(fixture, "link.db"));
    assert_int_equal(symlink("ledger.db", link), 0);
    assert_busy(fixture, "link.db");
    assert_int_not_equal(access(path_of(fixture, "link.db.lock"), F_OK), 0);
    assert_int_equal(unlink(link), 0);
    fixture_claim(fixture, "t-1");
    fixture_expect(fixture, "claimed t-1 ready\ndone t-1 new\n");
}

static void test_another_name_of_a_ledger_in_use_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char name[256];
    snprintf(name, sizeof name, "%s", path_of(fixture, "name.db"));
    assert_int_equal(link(path_of(fixture, "ledger.db"), name), 0);
    assert_busy(fixture, "name.db");
    assert_int_equal(unlink(name), 0);
    assert_int_equal(unlink(path_of(fixture, "name.db.lock")), 0);
    fixture_claim(fixture, "t-1");
    fixture_expect(fixture, "claimed t-1 ready\ndone t-1 new\n");
}

/* SQLite keeps the write-ahead log beside the file that the link names. */
static void test_a_ledger_is_used_through_a_symbolic_link(void **state)
{
    struct fixture *fixture = *state;
    char link[256];
    struct buf store = {0};
    fixture_claim(fixture, "t-1");
    fixture_expect(fixture, "claimed t-1 ready\ndone t-1 new\n");
    fixture_close(fixture, 1000);
    snprintf(link, sizeof link, "%s", path_of(fixture, "link.db"));
    assert_int_equal(symlink("ledger.db", link), 0);
    buf_printf(&store, "sqlite:%s", link);
    fixture->options.store = store.data;
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t-1 ready\n");
    assert_int_equal(access(path_of(fixture, "ledger.db-wal"), F_OK), 0);
    assert_busy(fixture, "ledger.db");
    fixture_close(fixture, 1000);
    assert_int_equal(unlink(link), 0);
    fixture->options.store = fixture->store;
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t-1 ready\n");
    buf_fini(&store);
}

/* ---- a restored file beside the log of a bridge that was killed ---- */

static void copy(const char *from, const char *to)
{
    char bytes[65536];
    FILE *source = fopen(from, "re");
    FILE *target = fopen(to, "we"); /* an existing file stays the same file */
    assert_non_null(source);
    assert_non_null(target);
    size_t count;
    while ((count = fread(bytes, 1, sizeof bytes, source)) > 0) {
        assert_int_equal(fwrite(bytes, 1, count, target), count);
    }
    assert_int_equal(fclose(source), 0);
    assert_int_equal(fclose(target), 0);
}

/* A run that claims a token and is killed; its log stays. */
static void run_and_kill(struct fixture *fixture, const char *token)
{
    int result;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store_batch batch;
        struct store *store = NULL;
        struct buf why = {0};
        const char *location = fixture->store + strlen("sqlite:");
        if (store_sqlite_ops.open(STORE_AT(location), false, &store, &why) != STATUS_OK) {
            _exit(1);
        }
        store_batch_init(&batch, &store_sqlite_ops, store);
        batch.batch.limits = &batch.limits;
        bool is_good = store_sqlite_ops.start(store, &batch.batch) == STATUS_OK;
        store_batch_begin(&batch);
        (void)store_batch_claim(&batch, token);
        is_good = is_good && store_batch_run(&batch) == STATUS_OK;
        _exit(is_good ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_int_equal(access(path_of(fixture, "ledger.db-wal"), F_OK), 0);
}

static enum status try_open(struct fixture *fixture, struct buf *out_why)
{
    struct store *store = NULL;
    enum status status =
        store_sqlite_ops.open(STORE_AT(fixture->store + strlen("sqlite:")), false, &store, out_why);
    store_sqlite_ops.close(store);
    return status;
}

static void test_a_backup_beside_the_log_of_a_killed_bridge_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buf why = {0};
    char ledger[256];
    char backup[256];
    snprintf(ledger, sizeof ledger, "%s", path_of(fixture, "ledger.db"));
    snprintf(backup, sizeof backup, "%s", path_of(fixture, "backup.db"));
    fixture_close(fixture, 1000);
    copy(ledger, backup);
    run_and_kill(fixture, "t-1");
    copy(backup, ledger);
    assert_int_equal(try_open(fixture, &why), STATUS_INVALID);
    assert_non_null(strstr(why.data, "ledger.db-wal"));
    assert_non_null(strstr(why.data, "backup"));
    /* Nothing was changed, and the message says what to do. */
    buf_clear(&why);
    assert_int_equal(try_open(fixture, &why), STATUS_INVALID);
    assert_int_equal(unlink(path_of(fixture, "ledger.db-wal")), 0);
    (void)unlink(path_of(fixture, "ledger.db-shm"));
    buf_clear(&why);
    assert_int_equal(try_open(fixture, &why), STATUS_OK);
    assert_int_equal(unlink(backup), 0);
    fixture_open(fixture);
    buf_fini(&why);
}

static void test_the_log_of_a_killed_bridge_is_continued(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture, 1000);
    for (int i = 0; i < 3; i++) {
        run_and_kill(fixture, i == 0 ? "t-1" : i == 1 ? "t-2" : "t-3");
    }
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t-1 ready\nclaimed t-2 ready\nclaimed t-3 ready\n");
}

/* Its lock file is not always copied: then nothing is known, and the log is continued. */
static void test_without_the_lock_file_the_log_is_continued(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture, 1000);
    run_and_kill(fixture, "t-1");
    assert_int_equal(unlink(path_of(fixture, "ledger.db.lock")), 0);
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t-1 ready\n");
}

/* ---- what `check` finds ---- */

static void found(void *arg, bool is_error, const char *text)
{
    buf_printf(arg, "%s: %s\n", is_error ? "error" : "warning", text);
}

/* All findings contain the text; NULL: there is none. */
static void assert_found(const char *store, const char *expected)
{
    struct buf out = {0};
    buf_append_text(&out, "");
    ledger_inspect(store, found, &out);
    if (expected == NULL ? out.length > 0 : strstr(out.data, expected) == NULL) {
        fail_msg("found: %s", out.data);
    }
    buf_fini(&out);
}

static void test_a_ledger_in_use_is_nothing_to_report(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t-1");
    fixture_expect(fixture, "claimed t-1 ready\ndone t-1 new\n");
    assert_found(fixture->store, NULL);
    fixture_close(fixture, 1000);
    assert_found(fixture->store, NULL);
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t-1 ready\n");
}

static void test_a_ledger_that_does_not_exist_is_nothing_to_report(void **state)
{
    struct fixture *fixture = *state;
    struct buf store = {0};
    buf_printf(&store, "sqlite:%s", path_of(fixture, "new.db"));
    assert_found(store.data, NULL);
    assert_int_not_equal(access(path_of(fixture, "new.db.lock"), F_OK), 0);
    buf_fini(&store);
}

static void test_a_missing_directory_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct buf store = {0};
    struct buf expected = {0};
    buf_printf(&store, "sqlite:%s/no/ledger.db", fixture->folder);
    buf_printf(&expected, "error: the directory %s/no does not exist; create it", fixture->folder);
    assert_found(store.data, expected.data);
    buf_clear(&store);
    buf_printf(&store, "sqlite:%s/ledger.db/ledger.db", fixture->folder);
    assert_found(store.data, "ledger.db is not a directory");
    buf_fini(&store);
    buf_fini(&expected);
}

/* With this mode of the folder, as another user, because root may do everything. */
static void assert_another_user_finds(struct fixture *fixture, mode_t mode, const char *store,
                                      const char *text)
{
    assert_int_equal(chmod(fixture->folder, mode), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct buf out = {0};
        if (geteuid() == 0 && setuid(NOBODY) != 0) {
            _exit(2);
        }
        ledger_inspect(store, found, &out);
        _exit(strstr(out.data, text) != NULL ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(chmod(fixture->folder, 0700), 0);
    assert_int_equal(result, 0);
}

static void test_a_directory_that_cannot_be_written_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    assert_another_user_finds(fixture, 0555, fixture->store, "is not writable by this user");
}

static void test_a_directory_that_cannot_be_reached_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct buf store = {0};
    buf_printf(&store, "sqlite:%s/no/ledger.db", fixture->folder);
    assert_another_user_finds(fixture, 0, store.data, "cannot be reached by this user");
    buf_fini(&store);
}

static void test_rights_that_are_too_wide_are_a_danger(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm",
                                        "ledger.db.lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf expected = {0};
        buf_printf(&expected, "warning: %s may be opened by other users (mode 0604)",
                   path_of(fixture, names[i]));
        assert_int_equal(chmod(path_of(fixture, names[i]), 0604), 0);
        assert_found(fixture->store, expected.data);
        assert_int_equal(chmod(path_of(fixture, names[i]), 0600), 0);
        buf_fini(&expected);
    }
    assert_int_equal(chmod(fixture->folder, 0777), 0);
    assert_found(fixture->store, "is writable by everybody, who could replace the ledger");
    assert_int_equal(chmod(fixture->folder, 0700), 0);
    assert_found(fixture->store, NULL);
}

static void test_several_names_of_a_ledger_are_a_danger(void **state)
{
    struct fixture *fixture = *state;
    char name[256];
    snprintf(name, sizeof name, "%s", path_of(fixture, "name.db"));
    assert_int_equal(link(path_of(fixture, "ledger.db"), name), 0);
    assert_found(fixture->store, "has 2 names (hard links)");
    assert_int_equal(unlink(name), 0);
}

/* The log of a bridge that was killed would be read into a file that was restored since. */
static void test_a_log_without_its_bridge_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct buf expected = {0};
    fixture_close(fixture, 1000);
    FILE *log = fopen(path_of(fixture, "ledger.db-wal"), "we");
    assert_non_null(log);
    assert_int_equal(fputs("frames", log) >= 0, 1);
    assert_int_equal(fclose(log), 0);
    assert_int_equal(chmod(path_of(fixture, "ledger.db-wal"), 0600), 0);
    buf_printf(&expected, "warning: %s has 6 bytes: the last bridge did not end by itself",
               path_of(fixture, "ledger.db-wal"));
    assert_found(fixture->store, expected.data);
    assert_int_equal(unlink(path_of(fixture, "ledger.db-wal")), 0);
    fixture_open(fixture);
    buf_fini(&expected);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_symbolic_link_to_a_ledger_in_use_is_refused),
        FIXTURE_TEST(test_another_name_of_a_ledger_in_use_is_refused),
        FIXTURE_TEST(test_a_ledger_is_used_through_a_symbolic_link),
        FIXTURE_TEST(test_a_backup_beside_the_log_of_a_killed_bridge_is_refused),
        FIXTURE_TEST(test_the_log_of_a_killed_bridge_is_continued),
        FIXTURE_TEST(test_without_the_lock_file_the_log_is_continued),
        FIXTURE_TEST(test_a_ledger_in_use_is_nothing_to_report),
        FIXTURE_TEST(test_a_ledger_that_does_not_exist_is_nothing_to_report),
        FIXTURE_TEST(test_a_missing_directory_is_an_error),
        FIXTURE_TEST(test_a_directory_that_cannot_be_written_is_an_error),
        FIXTURE_TEST(test_a_directory_that_cannot_be_reached_is_an_error),
        FIXTURE_TEST(test_rights_that_are_too_wide_are_a_danger),
        FIXTURE_TEST(test_several_names_of_a_ledger_are_a_danger),
        FIXTURE_TEST(test_a_log_without_its_bridge_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
