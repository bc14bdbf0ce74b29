/* The file itself: what becomes of it when it is full, torn, moved, damaged or none. */
#include "audit/writer.h"
#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_MS INT64_C(1767323045123)

struct fixture {
    char folder[64];
    char path[128];
    char moved[128];
    struct audit *audit;
    struct audit_tip head; /* what a ledger would have committed */
    bool is_chained;
    bool is_full;
};

static void open_audit(struct fixture *fixture)
{
    struct buf why = {0};
    const struct audit_options options = {.path = fixture->path,
                                          .instance = "i",
                                          .is_chained = fixture->is_chained,
                                          .is_full = fixture->is_full};
    assert_int_equal(audit_open(&options, &fixture->head, &fixture->audit, &why), STATUS_OK);
    buf_fini(&why);
}

/* Whether it is refused with this status, and `why` in the reason. */
static void check_refused(struct fixture *fixture, enum status status, const char *why)
{
    struct buf text = {0};
    const struct audit_options options = {.path = fixture->path,
                                          .instance = "i",
                                          .is_chained = fixture->is_chained,
                                          .is_full = fixture->is_full};
    assert_int_equal(audit_open(&options, &fixture->head, &fixture->audit, &text), status);
    assert_non_null(strstr(text.data, why));
    assert_non_null(strstr(text.data, fixture->path));
    buf_fini(&text);
}

static void crash(struct fixture *fixture)
{
    audit_close(fixture->audit);
    fixture->audit = NULL;
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    signal(SIGXFSZ, SIG_IGN);
    strcpy(fixture->folder, "/tmp/test-audit-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/audit.log", fixture->folder);
    snprintf(fixture->moved, sizeof fixture->moved, "%s/audit.log.1", fixture->folder);
    fixture->is_chained = true;
    fixture->is_full = true;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    audit_close(fixture->audit);
    unlink(fixture->path);
    unlink(fixture->moved);
    int result = rmdir(fixture->folder);
    free(fixture);
    return result;
}

/* ---- verbs ---- */

static void put(struct fixture *fixture, const char *token)
{
    struct buf *line = audit_line(fixture->audit, "claimed");
    audit_put_text(line, "ClientToken", slice_text(token));
    audit_line_done(fixture->audit);
}

/* A transaction with one line; false where it could not be written. */
static bool write_line(struct fixture *fixture, const char *token)
{
    bool is_new = false;
    audit_begin(fixture->audit, NOW_MS);
    put(fixture, token);
    return audit_write(fixture->audit, &is_new) == STATUS_OK;
}

static void commit(struct fixture *fixture)
{
    audit_tip_of(fixture->audit, &fixture->head);
    audit_committed(fixture->audit);
}

static void keep_line(struct fixture *fixture, const char *token)
{
    assert_true(write_line(fixture, token));
    assert_string_equal(audit_error(fixture->audit), "");
    commit(fixture);
}

static int64_t size_of(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

static struct buf content_of(const char *path)
{
    struct buf text = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t size = (size_t)size_of(path);
    assert_int_equal(read(fd, buf_reserve(&text, size), size), size);
    text.length = size;
    text.data[size] = '\0';
    close(fd);
    return text;
}

static void write_file(const char *path, struct slice bytes, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.length), bytes.length);
    close(fd);
}

static bool file_holds(const struct fixture *fixture, const char *part)
{
    struct buf text = content_of(fixture->path);
    bool is_there = strstr(text.data, part) != NULL;
    buf_fini(&text);
    return is_there;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Both files where there is a moved one. */
static struct audit_report verify(const struct fixture *fixture)
{
    struct audit_report report;
    struct buf why = {0};
    char *paths[] = {(char *)fixture->moved, (char *)fixture->path};
    bool has_moved = access(fixture->moved, F_OK) == 0;
    assert_int_equal(
        audit_verify(paths + (has_moved ? 0 : 1), has_moved ? 2 : 1, &fixture->head, &report, &why),
        STATUS_OK);
    buf_fini(&why);
    return report;
}

static void check_sound(const struct fixture *fixture, int64_t count, int64_t withdrawn_count)
{
    struct audit_report report = verify(fixture);
    assert_true(report.is_sound);
    assert_int_equal(report.count, count);
    assert_int_equal(report.withdrawn_count, withdrawn_count);
    assert_int_equal(report.chain.seq, fixture->head.seq);
    audit_report_fini(&report);
}

static void check_fault(const struct fixture *fixture, int64_t line, const char *what)
{
    struct audit_report report = verify(fixture);
    assert_false(report.is_sound);
    assert_int_equal(report.line, line);
    assert_non_null(strstr(report.what.data, what));
    audit_report_fini(&report);
}

/* ---- tests ---- */

static void test_a_new_file_is_its_owners_and_begins_with_opened(void **state)
{
    struct fixture *fixture = *state;
    struct stat about;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_int_equal(stat(fixture->path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_true(file_holds(fixture, "{\"Seq\":1,\"Time\":\"2026-01-02T03:04:05.123Z\",\"Event\":"
                                    "\"opened\",\"Instance\":\"i\",\"Version\":"));
    check_sound(fixture, 2, 0);
}

static void test_a_file_goes_on_where_it_ended(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        open_audit(fixture);
        keep_line(fixture, "t");
        crash(fixture);
    }
    check_sound(fixture, 6, 0);
    assert_int_equal(fixture->head.offset, size_of(fixture->path));
}

static void test_a_transaction_without_lines_writes_nothing(void **state)
{
    struct fixture *fixture = *state;
    bool is_new = true;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    audit_begin(fixture->audit, NOW_MS);
    assert_int_equal(audit_write(fixture->audit, &is_new), STATUS_OK);
    assert_false(is_new);
    audit_committed(fixture->audit);
    check_sound(fixture, 2, 0);
}

static void test_lines_of_a_transaction_that_failed_before_they_were_written_are_none(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    audit_begin(fixture->audit, NOW_MS);
    put(fixture, "never");
    audit_failed(fixture->audit);
    keep_line(fixture, "t-2");
    assert_false(file_holds(fixture, "never"));
    assert_true(file_holds(fixture, "\"Event\":\"resumed\",\"FailedSince\":\"2026-01-02"));
    check_sound(fixture, 4, 0);
}

static void test_lines_of_a_transaction_that_failed_later_are_taken_back(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_true(write_line(fixture, "never"));
    audit_failed(fixture->audit);
    assert_true(write_line(fixture, "never again"));
    audit_failed(fixture->audit);
    keep_line(fixture, "t-2");
    assert_true(file_holds(fixture, "\"WithdrawnFrom\":3,\"WithdrawnTo\":5"));
    check_sound(fixture, 7, 3);
}

static void test_a_crash_before_the_commit_takes_the_lines_back(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_true(write_line(fixture, "never"));
    crash(fixture);
    open_audit(fixture);
    keep_line(fixture, "t-2");
    assert_true(file_holds(fixture, "\"WithdrawnFrom\":3,\"WithdrawnTo\":3"));
    check_sound(fixture, 5, 1);
}

static void test_a_crash_in_the_first_transaction_leaves_a_file_to_go_on_with(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    assert_true(write_line(fixture, "never"));
    crash(fixture);
    open_audit(fixture);
    keep_line(fixture, "t-1");
    check_sound(fixture, 4, 0);
}

/* The file ends anywhere within what a crash cut off: the next line says what is there. */
static void test_a_line_torn_anywhere_is_kept_and_accounted_for(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_true(write_line(fixture, "torn"));
    crash(fixture);
    struct buf whole = content_of(fixture->path);
    const struct audit_tip head = fixture->head;
    for (size_t end = (size_t)head.offset; end <= whole.length; end++) {
        write_file(fixture->path, slice_of(whole.data, end), O_TRUNC);
        fixture->head = head;
        open_audit(fixture);
        keep_line(fixture, "t-2");
        bool has_line = end + 1 >= whole.length;
        check_sound(fixture, has_line ? 5 : 4, has_line ? 1 : 0);
        crash(fixture);
    }
    buf_fini(&whole);
}

static void test_a_torn_first_line_is_accounted_for(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, slice_text("{\"Seq\":1,\"Time\":\"2026"), 0);
    open_audit(fixture);
    keep_line(fixture, "t-1");
    check_sound(fixture, 2, 0);
}

/* However much room there is, no line is ever half there for good. */
static void test_a_full_disk_leaves_no_line_half_written_for_good(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    for (int64_t room = 0; room < 600; room += 7) {
        limit_files((rlim_t)(size_of(fixture->path) + room));
        bool is_written = write_line(fixture, "full");
        if (is_written) {
            commit(fixture);
        } else {
            assert_non_null(strstr(audit_error(fixture->audit), fixture->path));
            audit_failed(fixture->audit);
            assert_false(write_line(fixture, "still full"));
            audit_failed(fixture->audit);
        }
        limit_files(RLIM_INFINITY);
        keep_line(fixture, "room");
        struct audit_report report = verify(fixture);
        assert_true(report.is_sound);
        assert_false(report.has_open_end);
        audit_report_fini(&report);
    }
}

static void test_a_crash_while_the_disk_is_full_is_accounted_for(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    limit_files((rlim_t)(size_of(fixture->path) + 40));
    assert_false(write_line(fixture, "full"));
    audit_failed(fixture->audit);
    limit_files(RLIM_INFINITY);
    crash(fixture);
    open_audit(fixture);
    keep_line(fixture, "t-2");
    assert_true(file_holds(fixture, "\"TornBytes\":40"));
    check_sound(fixture, 4, 0);
}

static void test_a_moved_file_is_followed_by_one_that_carries_on(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    keep_line(fixture, "t-2");
    audit_reopen(fixture->audit);
    keep_line(fixture, "t-3");
    assert_true(file_holds(fixture, "\"NewFile\":true"));
    check_sound(fixture, 5, 0);
    unlink(fixture->moved);
    struct audit_report alone = verify(fixture);
    assert_true(alone.is_sound);
    assert_int_equal(alone.first_seq, 4);
    audit_report_fini(&alone);
}

static void test_to_reopen_a_file_that_was_not_moved_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    audit_reopen(fixture->audit);
    keep_line(fixture, "t-2");
    check_sound(fixture, 3, 0);
}

static void test_a_file_that_cannot_be_reopened_is_gone_on_with(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    write_file(fixture->path, slice_text("a file of somebody else's\n"), 0);
    audit_reopen(fixture->audit);
    keep_line(fixture, "t-2");
    unlink(fixture->path);
    assert_int_equal(rename(fixture->moved, fixture->path), 0);
    check_sound(fixture, 3, 0);
}

static void test_a_crash_just_after_the_file_was_moved_is_no_damage(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    audit_reopen(fixture->audit);
    assert_true(write_line(fixture, "never"));
    crash(fixture);
    open_audit(fixture);
    keep_line(fixture, "t-2");
    assert_false(file_holds(fixture, "Damaged"));
    check_sound(fixture, 6, 2);
}

static void test_a_file_moved_away_between_runs_is_followed_by_one_that_carries_on(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    crash(fixture);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    open_audit(fixture);
    keep_line(fixture, "t-2");
    check_sound(fixture, 4, 0);
}

static void test_a_cut_end_shows_against_the_head_and_for_ever(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    int64_t size = size_of(fixture->path);
    keep_line(fixture, "t-2");
    crash(fixture);
    assert_int_equal(truncate(fixture->path, size), 0);
    check_fault(fixture, 0, "ends too early");
    open_audit(fixture);
    keep_line(fixture, "t-3");
    assert_true(file_holds(fixture, "\"Damaged\":true"));
    check_fault(fixture, 3, "lines before it are missing");
}

static void test_an_end_cut_within_a_line_shows_for_ever(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    crash(fixture);
    assert_int_equal(truncate(fixture->path, size_of(fixture->path) - 5), 0);
    open_audit(fixture);
    keep_line(fixture, "t-2");
    check_fault(fixture, 2, "is no line of an audit file");
}

static void test_a_last_line_written_anew_shows_against_the_head(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    const struct audit_tip before = fixture->head;
    keep_line(fixture, "t-2");
    const struct audit_tip after = fixture->head;
    crash(fixture);
    assert_int_equal(truncate(fixture->path, before.offset), 0);
    struct audit_chain chain;
    struct buf forged = {0};
    audit_chain_init(&chain, true);
    chain.seq = before.seq;
    memcpy(chain.hash, before.hash, sizeof chain.hash);
    size_t start = audit_line_begin(&chain, "claimed", NOW_MS, &forged);
    audit_put_text(&forged, "ClientToken", slice_text("t-9"));
    audit_line_end(&chain, start, &forged);
    write_file(fixture->path, buf_slice(&forged), O_APPEND);
    buf_fini(&forged);
    assert_int_equal(size_of(fixture->path), after.offset);
    check_fault(fixture, 3, "another one than the ledger has");
    open_audit(fixture);
    keep_line(fixture, "t-3");
    assert_true(file_holds(fixture, "\"Damaged\":true"));
}

static void test_a_ledger_that_is_new_goes_on_with_the_file_there_is(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    keep_line(fixture, "t-1");
    crash(fixture);
    fixture->head = (struct audit_tip){0};
    open_audit(fixture);
    keep_line(fixture, "t-2");
    check_sound(fixture, 4, 0);
}

static void test_numbered_lines_need_no_hashes(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_chained = false;
    fixture->is_full = false;
    for (int i = 0; i < 2; i++) {
        open_audit(fixture);
        keep_line(fixture, "t-1");
        crash(fixture);
    }
    assert_false(file_holds(fixture, "\"Hash\""));
    check_sound(fixture, 4, 0);
    fixture->is_chained = true;
    check_refused(fixture, STATUS_INVALID, "move it away");
}

static void test_links_devices_and_files_others_may_write_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(symlink("elsewhere", fixture->path), 0);
    check_refused(fixture, STATUS_INVALID, "symbolic link");
    unlink(fixture->path);
    write_file(fixture->path, slice_text(""), 0);
    assert_int_equal(link(fixture->path, fixture->moved), 0);
    check_refused(fixture, STATUS_INVALID, "hard link");
    unlink(fixture->moved);
    assert_int_equal(chmod(fixture->path, 0620), 0);
    check_refused(fixture, STATUS_INVALID, "0600");
    unlink(fixture->path);
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    check_refused(fixture, STATUS_INVALID, "no regular file");
    unlink(fixture->path);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    check_refused(fixture, STATUS_STORE, "open");
    assert_int_equal(rmdir(fixture->path), 0);
}

static void test_a_file_of_something_else_is_refused_and_left_alone(void **state)
{
    struct fixture *fixture = *state;
    static const char *const rows[] = {"a diary\n", "a diary", "\n", "{\"Seq\":7}\n{\"Seq\":8}\n"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_file(fixture->path, slice_text(rows[i]), O_TRUNC);
        check_refused(fixture, STATUS_INVALID, "move it away");
        struct buf text = content_of(fixture->path);
        assert_string_equal(text.data, rows[i]);
        buf_fini(&text);
    }
}

static void test_a_file_has_one_writer(void **state)
{
    struct fixture *fixture = *state;
    open_audit(fixture);
    struct audit *first = fixture->audit;
    check_refused(fixture, STATUS_BUSY, "another bridge");
    fixture->audit = first;
}

static void test_a_file_that_is_not_there_cannot_be_verified(void **state)
{
    struct fixture *fixture = *state;
    struct audit_report report;
    struct buf why = {0};
    char *paths[] = {fixture->path};
    assert_int_equal(audit_verify(paths, 1, NULL, &report, &why), STATUS_STORE);
    assert_non_null(strstr(why.data, "audit.log"));
    audit_report_fini(&report);
    buf_fini(&why);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_new_file_is_its_owners_and_begins_with_opened),
        TEST(test_a_file_goes_on_where_it_ended),
        TEST(test_a_transaction_without_lines_writes_nothing),
        TEST(test_lines_of_a_transaction_that_failed_before_they_were_written_are_none),
        TEST(test_lines_of_a_transaction_that_failed_later_are_taken_back),
        TEST(test_a_crash_before_the_commit_takes_the_lines_back),
        TEST(test_a_crash_in_the_first_transaction_leaves_a_file_to_go_on_with),
        TEST(test_a_line_torn_anywhere_is_kept_and_accounted_for),
        TEST(test_a_torn_first_line_is_accounted_for),
        TEST(test_a_full_disk_leaves_no_line_half_written_for_good),
        TEST(test_a_crash_while_the_disk_is_full_is_accounted_for),
        TEST(test_a_moved_file_is_followed_by_one_that_carries_on),
        TEST(test_to_reopen_a_file_that_was_not_moved_changes_nothing),
        TEST(test_a_file_that_cannot_be_reopened_is_gone_on_with),
        TEST(test_a_crash_just_after_the_file_was_moved_is_no_damage),
        TEST(test_a_file_moved_away_between_runs_is_followed_by_one_that_carries_on),
        TEST(test_a_cut_end_shows_against_the_head_and_for_ever),
        TEST(test_an_end_cut_within_a_line_shows_for_ever),
        TEST(test_a_last_line_written_anew_shows_against_the_head),
        TEST(test_a_ledger_that_is_new_goes_on_with_the_file_there_is),
        TEST(test_numbered_lines_need_no_hashes),
        TEST(test_links_devices_and_files_others_may_write_are_refused),
        TEST(test_a_file_of_something_else_is_refused_and_left_alone),
        TEST(test_a_file_has_one_writer),
        TEST(test_a_file_that_is_not_there_cannot_be_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
