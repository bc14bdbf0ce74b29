/* From a real ledger to a real file: in order, without a gap, once, whatever happens in between. */
#include "audit/exporter.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "ledger/sqlite/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/view.h"
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUARD_MS 20000
#define ROWS_MAX 20

struct fixture {
    char folder[64];
    char path[128];
    char moved[128];
    char database[128];
    char store[160];
    struct loop *loop;
    struct health *health;
    struct ledger *ledger;
    struct exporter *exporter;
    struct counters counters;
    int64_t posted_count; /* numbers the records */
    size_t asked_count;   /* posts without an answer */
    size_t kept_count;
    size_t refused_count;
    bool is_chained;
    bool is_flushed;
    /* a copy of the ledger's files, made when everything was in the file */
    bool wants_image;
    struct buf image;
    struct buf image_log;
};

/* ---- the ledger's hooks ---- */

static void ignore_resumed(void *arg, struct command *command)
{
    (void)arg;
    command_free(command);
}

static void ignore_posted(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void ignore_health(void *arg, bool is_failing, const char *text)
{
    (void)arg;
    (void)is_failing;
    (void)text;
}

static void on_audited(void *arg, int64_t seq)
{
    exporter_added(((struct fixture *)arg)->exporter, seq);
}

/* ---- opening and closing ---- */

static void open_ledger(struct fixture *fixture)
{
    struct buf why = {0};
    const struct ledger_options options = {.store = fixture->store,
                                           .pending_max = 1000,
                                           .waiters_max = 10,
                                           .counters = &fixture->counters,
                                           .is_audited = true,
                                           .audit_rows_max = ROWS_MAX};
    const struct ledger_hooks hooks = {.arg = fixture,
                                       .resumed = ignore_resumed,
                                       .posted = ignore_posted,
                                       .audited = on_audited,
                                       .health = ignore_health};
    assert_int_equal(ledger_open(fixture->loop, &options, &hooks, &fixture->ledger, &why),
                     STATUS_OK);
    buf_fini(&why);
}

static enum status try_exporter(struct fixture *fixture, struct buf *why)
{
    const struct exporter_options options = {.file = fixture->path,
                                             .instance = "i",
                                             .is_chained = fixture->is_chained,
                                             .is_full = true,
                                             .rows_max = ROWS_MAX,
                                             .health = fixture->health};
    return exporter_new(fixture->loop, fixture->ledger, &options, &fixture->exporter, why);
}

static void start(struct fixture *fixture)
{
    struct buf why = {0};
    open_ledger(fixture);
    assert_int_equal(try_exporter(fixture, &why), STATUS_OK);
    ledger_start(fixture->ledger);
    buf_fini(&why);
}

static void stop(struct fixture *fixture)
{
    exporter_free(fixture->exporter);
    fixture->exporter = NULL;
    ledger_close(fixture->ledger, 1000);
    fixture->ledger = NULL;
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    signal(SIGXFSZ, SIG_IGN);
    strcpy(fixture->folder, "/tmp/test-exporter-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/audit.log", fixture->folder);
    snprintf(fixture->moved, sizeof fixture->moved, "%s/audit.log.1", fixture->folder);
    snprintf(fixture->database, sizeof fixture->database, "%s/ledger.db", fixture->folder);
    snprintf(fixture->store, sizeof fixture->store, "sqlite:%s", fixture->database);
    fixture->is_chained = true;
    fixture->loop = loop_new();
    fixture->health = health_new(fixture->loop);
    *state = fixture;
    return 0;
}

static void remove_file(const struct fixture *fixture, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    unlink(path);
}

static int tear_down(void **state)
{
    static const char *const NAMES[] = {"audit.log",      "audit.log.1",   "ledger.db",
                                        "ledger.db.lock", "ledger.db-wal", "ledger.db-shm"};
    struct fixture *fixture = *state;
    stop(fixture);
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        remove_file(fixture, NAMES[i]);
    }
    health_free(fixture->health);
    loop_free(fixture->loop);
    buf_fini(&fixture->image);
    buf_fini(&fixture->image_log);
    int result = rmdir(fixture->folder);
    free(fixture);
    return result;
}

/* ---- waiting ---- */

typedef bool condition_fn(struct fixture *fixture);

struct waiting {
    struct fixture *fixture;
    condition_fn *condition;
    struct loop_timer *timer;
    int64_t until_ms;
};

static void look(void *arg)
{
    struct waiting *waiting = arg;
    if (waiting->condition(waiting->fixture) || clock_mono_ms() > waiting->until_ms) {
        loop_stop(waiting->fixture->loop);
    } else {
        loop_timer_start(waiting->timer, 2);
    }
}

static void await(struct fixture *fixture, condition_fn *condition)
{
    struct waiting waiting = {fixture, condition, NULL, clock_mono_ms() + GUARD_MS};
    waiting.timer = loop_timer_new(fixture->loop, look, &waiting);
    loop_timer_start(waiting.timer, 0);
    loop_run(fixture->loop);
    loop_timer_free(waiting.timer);
    assert_true(condition(fixture));
}

static bool is_answered(struct fixture *fixture)
{
    return fixture->asked_count == 0;
}

static bool is_flushed(struct fixture *fixture)
{
    return fixture->is_flushed;
}

static bool is_unavailable(struct fixture *fixture)
{
    return health_is_on(fixture->health, HEALTH_AUDIT_UNAVAILABLE);
}

static bool is_available(struct fixture *fixture)
{
    return !is_unavailable(fixture);
}

/* ---- verbs ---- */

static void posted(void *arg, enum status status)
{
    struct fixture *fixture = arg;
    fixture->asked_count--;
    fixture->kept_count += status == STATUS_OK;
    fixture->refused_count += status != STATUS_OK;
}

/* Messages for the outbox, each of which is a record "refused". */
static void post(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        struct buf members = {0};
        json_put_int(&members, "Number", ++fixture->posted_count);
        fixture->asked_count++;
        ledger_post(fixture->ledger, slice_text("message"), false, ERROR_MALFORMED_PAYLOAD,
                    &members, posted, fixture);
    }
    await(fixture, is_answered);
}

static struct buf content_of(const char *path)
{
    struct buf text = {0};
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &about) == 0) {
        size_t size = (size_t)about.st_size;
        assert_int_equal(read(fd, buf_reserve(&text, size + 1), size), size);
        text.length = size;
        text.data[size] = '\0';
        close(fd);
    }
    return text;
}

static void write_file(const char *path, struct slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.length), bytes.length);
    close(fd);
}

static void take_image(struct fixture *fixture)
{
    char log[160];
    snprintf(log, sizeof log, "%s-wal", fixture->database);
    buf_fini(&fixture->image);
    buf_fini(&fixture->image_log);
    fixture->image = content_of(fixture->database);
    fixture->image_log = content_of(log);
}

static void flushed(void *arg)
{
    struct fixture *fixture = arg;
    if (fixture->wants_image) {
        take_image(fixture);
    }
    fixture->is_flushed = true;
}

static void flush(struct fixture *fixture)
{
    fixture->is_flushed = false;
    exporter_flush(fixture->exporter, flushed, fixture);
    await(fixture, is_flushed);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int64_t size_of(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

static struct audit_tip tip_of(struct fixture *fixture)
{
    struct audit_tip tip;
    struct buf why = {0};
    assert_int_equal(
        ledger_audit_tip(&(const struct ledger_source){.store = fixture->store}, &tip, &why),
        STATUS_OK);
    buf_fini(&why);
    return tip;
}

/* The files are whole and end as the ledger says, with so many lines in all. */
static void check_sound(struct fixture *fixture, int64_t count)
{
    struct audit_check check;
    struct buf why = {0};
    struct audit_tip tip = tip_of(fixture);
    char *paths[] = {fixture->moved, fixture->path};
    bool has_moved = size_of(fixture->moved) >= 0;
    assert_int_equal(
        audit_verify(has_moved ? paths : paths + 1, has_moved ? 2 : 1, &tip, &check, &why),
        STATUS_OK);
    if (check.fault != NULL) {
        print_message("%s: line %lld %s\n", check.path, (long long)check.line, check.fault);
    }
    assert_null(check.fault);
    assert_int_equal(check.count, count);
    assert_int_equal(check.chain.seq, tip.seq);
    buf_fini(&why);
}

/* The file's numbered records are these, in order. */
static void check_numbers(const char *path, int64_t from, int64_t to)
{
    static const char part[] = "\"Number\":";
    struct buf text = content_of(path);
    const char *at = text.data;
    for (int64_t number = from; number <= to; number++) {
        at = strstr(at, part);
        assert_non_null(at);
        at += sizeof part - 1;
        assert_int_equal(strtoll(at, NULL, 10), number);
    }
    assert_null(strstr(at, part));
    buf_fini(&text);
}

/* ---- tests ---- */

static void test_every_record_becomes_a_line_in_order_and_leaves_the_ledger(void **state)
{
    struct fixture *fixture = *state;
    enum { ROUNDS = 40, COUNT = 15 };
    start(fixture);
    for (int i = 0; i < ROUNDS; i++) {
        post(fixture, COUNT);
        flush(fixture);
    }
    stop(fixture);
    check_sound(fixture, 1 + ROUNDS * COUNT);
    check_numbers(fixture->path, 1, ROUNDS * COUNT);
    open_ledger(fixture);
    struct audit_tip tip;
    assert_int_equal(ledger_audit_seq(fixture->ledger, &tip), 1 + ROUNDS * COUNT);
    assert_int_equal(tip.seq, 1 + ROUNDS * COUNT);
}

static void test_records_of_a_run_without_the_file_are_exported_later(void **state)
{
    struct fixture *fixture = *state;
    open_ledger(fixture);
    ledger_start(fixture->ledger);
    post(fixture, 5);
    ledger_close(fixture->ledger, 1000);
    start(fixture);
    post(fixture, 1);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, 7);
    check_numbers(fixture->path, 1, 6);
}

/* As after a crash: the ledger is what it was when the lines were in the file and the rows were not
 * deleted yet. */
static void test_a_crash_between_append_and_delete_repeats_nothing(void **state)
{
    struct fixture *fixture = *state;
    enum { TRIES = 20, COUNT = 7 };
    char log[160];
    int64_t lines = 0;
    bool was_between = false;
    snprintf(log, sizeof log, "%s-wal", fixture->database);
    fixture->wants_image = true;
    for (int i = 0; i < TRIES && !was_between; i++) {
        start(fixture);
        post(fixture, COUNT);
        flush(fixture);
        stop(fixture);
        lines += 1 + COUNT;
        write_file(fixture->database, buf_slice(&fixture->image));
        write_file(log, buf_slice(&fixture->image_log));
        remove_file(fixture, "ledger.db-shm");
        was_between = tip_of(fixture).seq < lines;
    }
    assert_true(was_between);
    start(fixture);
    post(fixture, 1);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, lines + 2);
    check_numbers(fixture->path, 1, fixture->posted_count);
}

/* Longer than the ledger's write-ahead log gets: a limit on file sizes stops this file first. */
static int64_t write_large_file(const char *path)
{
    enum { LINES = 60000 };
    struct buf text = {0};
    struct audit_chain chain;
    audit_chain_init(&chain, false);
    for (int64_t seq = 1; seq <= LINES; seq++) {
        const struct audit_place place = {.begins_file = seq == 1};
        struct buf record = {0};
        audit_record_begin(seq, 0, "claimed", &record);
        audit_record_render(seq, buf_slice(&record), &place, &chain, &text);
        buf_fini(&record);
    }
    write_file(path, buf_slice(&text));
    buf_fini(&text);
    return LINES;
}

static void test_while_the_disk_is_full_records_wait_and_too_many_stop_the_intake(void **state)
{
    struct fixture *fixture = *state;
    int64_t lines = write_large_file(fixture->path);
    fixture->is_chained = false;
    start(fixture);
    post(fixture, 1);
    flush(fixture);
    limit_files((rlim_t)size_of(fixture->path) + 50);
    post(fixture, 1);
    await(fixture, is_unavailable);
    for (int i = 1; i < ROWS_MAX; i++) {
        post(fixture, 1);
    }
    assert_int_equal(fixture->kept_count, 1 + ROWS_MAX);
    assert_int_equal(fixture->refused_count, 0);
    post(fixture, 2);
    assert_int_equal(fixture->kept_count, 1 + ROWS_MAX);
    assert_int_equal(fixture->refused_count, 2);
    assert_true(health_is_on(fixture->health, HEALTH_AUDIT_FULL));
    assert_true(health_reason_info(HEALTH_AUDIT_FULL)->blocks_ready);
    limit_files(RLIM_INFINITY);
    await(fixture, is_available);
    assert_false(health_is_on(fixture->health, HEALTH_AUDIT_FULL));
    flush(fixture);
    while (fixture->kept_count == 1 + ROWS_MAX) { /* until the ledger has deleted the rows */
        post(fixture, 1);
    }
    flush(fixture);
    stop(fixture);
    check_sound(fixture, lines + 1 + 1 + ROWS_MAX + 1);
}

static void test_a_flush_does_not_wait_for_a_file_that_cannot_be_written(void **state)
{
    struct fixture *fixture = *state;
    int64_t lines = write_large_file(fixture->path);
    fixture->is_chained = false;
    start(fixture);
    post(fixture, 1);
    flush(fixture);
    limit_files((rlim_t)size_of(fixture->path) + 50);
    post(fixture, 3);
    await(fixture, is_unavailable);
    flush(fixture);
    stop(fixture);
    limit_files(RLIM_INFINITY);
    start(fixture);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, lines + 1 + 1 + 3 + 1);
}

static bool is_new_file_begun(struct fixture *fixture)
{
    return size_of(fixture->path) > 0;
}

static void test_a_moved_file_is_followed_by_one_that_begins_with_opened(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    post(fixture, 2);
    flush(fixture);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    exporter_reopen(fixture->exporter);
    await(fixture, is_new_file_begun);
    post(fixture, 2);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, 6);
    check_numbers(fixture->moved, 1, 2);
    check_numbers(fixture->path, 3, 4);
    struct buf text = content_of(fixture->path);
    assert_non_null(strstr(text.data, "\"Event\":\"opened\",\"Instance\":\"i\",\"Version\":"));
    buf_fini(&text);
}

static void test_records_from_before_the_change_of_the_file_go_into_the_old_one(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    post(fixture, 2);
    flush(fixture);
    post(fixture, 3); /* not in the file yet */
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    exporter_reopen(fixture->exporter);
    await(fixture, is_new_file_begun);
    post(fixture, 2);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, 9);
    check_numbers(fixture->moved, 1, 5);
    check_numbers(fixture->path, 6, 7);
}

static void test_a_file_moved_while_the_disk_is_full_ends_the_trouble(void **state)
{
    struct fixture *fixture = *state;
    int64_t lines = write_large_file(fixture->path);
    fixture->is_chained = false;
    start(fixture);
    post(fixture, 1);
    flush(fixture);
    limit_files((rlim_t)size_of(fixture->path) + 50);
    post(fixture, 3);
    await(fixture, is_unavailable);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    exporter_reopen(fixture->exporter);
    await(fixture, is_available);
    post(fixture, 1); /* the ledger stores it after the record "opened" */
    flush(fixture);
    stop(fixture);
    limit_files(RLIM_INFINITY);
    check_sound(fixture, lines + 1 + 1 + 3 + 1 + 1);
    check_numbers(fixture->path, 2, 5);
}

static void test_a_ledger_that_is_new_continues_the_file_there_is(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    post(fixture, 2);
    flush(fixture);
    stop(fixture);
    remove_file(fixture, "ledger.db");
    start(fixture);
    post(fixture, 1);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, 5);
}

/* The number that such a ledger stores for 16 hexadecimal digits. */
static long long part_of(const char *hash, size_t index)
{
    char digits[17] = "";
    memcpy(digits, hash + 16 * index, 16);
    return (long long)strtoull(digits, NULL, 16);
}

/* Up to version 3 the ledger wrote the file itself, and had its tip as facts. */
static void test_a_ledger_of_an_earlier_version_continues_its_chain(void **state)
{
    struct fixture *fixture = *state;
    sqlite3 *db = NULL;
    struct buf sql = {0};
    start(fixture);
    post(fixture, 2);
    flush(fixture);
    stop(fixture);
    const struct audit_tip tip = tip_of(fixture);
    remove_file(fixture, "ledger.db");
    for (int i = 0; i < 3; i++) {
        buf_append_text(&sql, store_sqlite_steps[i]);
    }
    buf_printf(&sql,
               "INSERT INTO fact VALUES ('audit.seq', %lld), ('audit.offset', %lld),"
               " ('audit.hash.1', %lld), ('audit.hash.2', %lld), ('audit.hash.3', %lld),"
               " ('audit.hash.4', %lld);"
               "PRAGMA application_id = %d; PRAGMA user_version = 3",
               (long long)tip.seq, (long long)tip.offset, part_of(tip.hash, 0),
               part_of(tip.hash, 1), part_of(tip.hash, 2), part_of(tip.hash, 3),
               STORE_SQLITE_APPLICATION_ID);
    assert_int_equal(sqlite3_open(fixture->database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql.data, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    buf_fini(&sql);
    start(fixture);
    post(fixture, 2);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, 6);
}

static void test_a_ledger_that_is_full_of_records_exports_them_at_the_next_start(void **state)
{
    struct fixture *fixture = *state;
    open_ledger(fixture);
    ledger_start(fixture->ledger);
    post(fixture, ROWS_MAX);
    post(fixture, 1);
    assert_int_equal(fixture->refused_count, 1);
    ledger_close(fixture->ledger, 1000);
    start(fixture);
    flush(fixture);
    stop(fixture);
    check_sound(fixture, ROWS_MAX + 1);
}

static void test_a_file_that_must_not_be_written_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buf why = {0};
    assert_int_equal(symlink("elsewhere", fixture->path), 0);
    open_ledger(fixture);
    assert_int_equal(try_exporter(fixture, &why), STATUS_INVALID);
    assert_non_null(strstr(why.data, "symbolic link"));
    buf_fini(&why);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_record_becomes_a_line_in_order_and_leaves_the_ledger),
        TEST(test_records_of_a_run_without_the_file_are_exported_later),
        TEST(test_a_crash_between_append_and_delete_repeats_nothing),
        TEST(test_while_the_disk_is_full_records_wait_and_too_many_stop_the_intake),
        TEST(test_a_flush_does_not_wait_for_a_file_that_cannot_be_written),
        TEST(test_a_moved_file_is_followed_by_one_that_begins_with_opened),
        TEST(test_records_from_before_the_change_of_the_file_go_into_the_old_one),
        TEST(test_a_file_moved_while_the_disk_is_full_ends_the_trouble),
        TEST(test_a_ledger_that_is_new_continues_the_file_there_is),
        TEST(test_a_ledger_of_an_earlier_version_continues_its_chain),
        TEST(test_a_ledger_that_is_full_of_records_exports_them_at_the_next_start),
        TEST(test_a_file_that_must_not_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
