/* The audit file itself: full, cut short by a crash, moved away, damaged, or not an audit file. */
#include "audit/file.h"
#include "audit/verify.h"
#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

/* The ledger's part is played by `tip` and `last_seq`: rows after the tip are still there. */
struct fixture {
    char folder[64];
    char path[128];
    char moved[128];
    struct audit_file *file;
    struct audit_tip tip;
    int64_t last_seq;
    bool is_chained;
    bool is_full;
};

/* ---- the disk; the linker option --wrap needs these names: see tests/unit/CMakeLists.txt ---- */

static int sync_count;
static int sync_error; /* 0: none */
static int64_t written_bytes;

/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);

int __wrap_fdatasync(int fd)
{
    sync_count++;
    errno = sync_error;
    return sync_error == 0 ? __real_fdatasync(fd) : -1;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
    ssize_t written = __real_write(fd, bytes, count);
    written_bytes += written > 0 ? written : 0;
    return written;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static enum status try_open(struct fixture *fixture, struct buf *why)
{
    const struct audit_file_options options = {.path = fixture->path,
                                               .is_chained = fixture->is_chained,
                                               .is_full = fixture->is_full,
                                               .is_new_ledger = fixture->last_seq == 0};
    return audit_file_open(&options, &fixture->tip, &fixture->file, why);
}

static void open_file(struct fixture *fixture)
{
    struct buf why = {0};
    assert_int_equal(try_open(fixture, &why), STATUS_OK);
    buf_fini(&why);
}

/* Whether it is refused with this status, and `part` in the reason. */
static void check_refused(struct fixture *fixture, enum status status, const char *part)
{
    struct buf why = {0};
    assert_int_equal(try_open(fixture, &why), status);
    assert_non_null(strstr(why.data, part));
    assert_non_null(strstr(why.data, fixture->path));
    buf_fini(&why);
}

static void close_file(struct fixture *fixture)
{
    audit_file_close(fixture->file);
    fixture->file = NULL;
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
    close_file(fixture);
    unlink(fixture->path);
    unlink(fixture->moved);
    int result = rmdir(fixture->folder);
    free(fixture);
    return result;
}

/* ---- verbs ---- */

static void make_record(int64_t seq, struct buf *out)
{
    char token[32];
    snprintf(token, sizeof token, "t-%lld", (long long)seq);
    audit_record_begin(seq, NOW_MS, "claimed", out);
    audit_put_text(out, "ClientToken", slice_text(token));
}

/* Appends the rows after the tip, up to `to_seq`; the tip stays where it is. */
static enum status append(struct fixture *fixture, int64_t to_seq)
{
    enum { ROWS_MAX = 16 };
    struct buf records[ROWS_MAX] = {0};
    struct audit_row rows[ROWS_MAX];
    struct audit_tip from;
    size_t count = 0;
    audit_file_tip(fixture->file, &from);
    for (int64_t seq = from.seq + 1; seq <= to_seq; seq++, count++) {
        assert_true(count < ROWS_MAX);
        make_record(seq, &records[count]);
        rows[count] = (struct audit_row){seq, buf_slice(&records[count])};
    }
    fixture->last_seq = to_seq > fixture->last_seq ? to_seq : fixture->last_seq;
    enum status status = audit_file_append(fixture->file, rows, count);
    for (size_t i = 0; i < count; i++) {
        buf_fini(&records[i]);
    }
    return status;
}

/* The same, and the ledger stores the tip. */
static void export(struct fixture *fixture, int64_t to_seq)
{
    assert_int_equal(append(fixture, to_seq), STATUS_OK);
    audit_file_tip(fixture->file, &fixture->tip);
    assert_int_equal(fixture->tip.seq, to_seq);
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

static struct audit_check verify(struct fixture *fixture)
{
    struct audit_check check;
    struct buf why = {0};
    char *paths[] = {fixture->moved, fixture->path};
    bool has_moved = size_of(fixture->moved) >= 0;
    assert_int_equal(
        audit_verify(has_moved ? paths : paths + 1, has_moved ? 2 : 1, &fixture->tip, &check, &why),
        STATUS_OK);
    buf_fini(&why);
    return check;
}

static void check_sound(struct fixture *fixture, int64_t count)
{
    struct audit_check check = verify(fixture);
    if (check.fault != NULL) {
        print_message("%s: line %lld %s\n", check.path, (long long)check.line, check.fault);
    }
    assert_null(check.fault);
    assert_int_equal(check.count, count);
}

static void check_fault(struct fixture *fixture, int64_t line, const char *what)
{
    struct audit_check check = verify(fixture);
    assert_non_null(check.fault);
    assert_int_equal(check.line, line);
    assert_non_null(strstr(check.fault, what));
}

/* ---- in good order ---- */

static void test_a_new_file_is_its_owners_and_its_first_line_names_the_line_before(void **state)
{
    struct fixture *fixture = *state;
    struct stat about;
    open_file(fixture);
    export(fixture, 2);
    assert_int_equal(stat(fixture->path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_true(file_holds(fixture,
                           "{\"Seq\":1,\"Time\":\"2026-01-02T03:04:05.123Z\",\"Event\":\"claimed\","
                           "\"ClientToken\":\"t-1\",\"NewFile\":true,\"Previous\":\"0000000000"));
    check_sound(fixture, 2);
}

static void test_a_file_goes_on_where_it_ended(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 1; i <= 3; i++) {
        open_file(fixture);
        export(fixture, 2 * i);
        close_file(fixture);
    }
    check_sound(fixture, 6);
    assert_int_equal(fixture->tip.offset, size_of(fixture->path));
}

static void test_numbered_lines_need_no_hashes(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_chained = false;
    fixture->is_full = false;
    for (int i = 1; i <= 2; i++) {
        open_file(fixture);
        export(fixture, 2 * i);
        close_file(fixture);
    }
    assert_false(file_holds(fixture, "\"Hash\""));
    check_sound(fixture, 4);
    fixture->is_chained = true;
    check_refused(fixture, STATUS_INVALID, "move it away");
}

static void test_a_chained_file_is_not_continued_without_hashes(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    close_file(fixture);
    fixture->is_chained = false;
    check_refused(fixture, STATUS_INVALID, "move it away");
    fixture->tip = (struct audit_tip){0};
    fixture->last_seq = 0;
    check_refused(fixture, STATUS_INVALID, "move it away");
}

static void test_a_ledger_that_is_new_continues_the_file_there_is(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    close_file(fixture);
    fixture->tip = (struct audit_tip){0};
    fixture->last_seq = 0;
    open_file(fixture);
    audit_file_tip(fixture->file, &fixture->tip);
    assert_int_equal(fixture->tip.seq, 2);
    export(fixture, 4);
    check_sound(fixture, 4);
}

static void test_a_ledger_that_is_new_continues_a_file_that_a_crash_cut_short(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 3);
    close_file(fixture);
    assert_int_equal(truncate(fixture->path, size_of(fixture->path) - 5), 0);
    fixture->tip = (struct audit_tip){0};
    fixture->last_seq = 0;
    open_file(fixture);
    audit_file_tip(fixture->file, &fixture->tip);
    assert_int_equal(fixture->tip.seq, 2);
    export(fixture, 4);
    check_sound(fixture, 4);
}

/* ---- crashes and full disks ---- */

/* The file ends anywhere within what was appended: nothing is missing, and nothing is twice. */
static void test_a_crash_between_append_and_delete_repeats_nothing(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    assert_int_equal(append(fixture, 3), STATUS_OK);
    close_file(fixture);
    struct buf whole = content_of(fixture->path);
    const struct audit_tip tip = fixture->tip;
    for (size_t end = (size_t)tip.offset; end <= whole.length; end++) {
        write_file(fixture->path, slice_of(whole.data, end), O_TRUNC);
        fixture->tip = tip;
        open_file(fixture);
        export(fixture, 2);
        export(fixture, 5);
        check_sound(fixture, 5);
        close_file(fixture);
        struct buf now = content_of(fixture->path);
        assert_memory_equal(now.data, whole.data, whole.length);
        buf_fini(&now);
    }
    buf_fini(&whole);
}

static void test_a_crash_in_the_first_line_of_all_leaves_a_file_to_go_on_with(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    assert_int_equal(append(fixture, 2), STATUS_OK);
    close_file(fixture);
    struct buf whole = content_of(fixture->path);
    for (size_t end = 0; end <= whole.length; end++) {
        write_file(fixture->path, slice_of(whole.data, end), O_TRUNC);
        fixture->tip = (struct audit_tip){0};
        open_file(fixture);
        export(fixture, 3);
        check_sound(fixture, 3);
        close_file(fixture);
    }
    buf_fini(&whole);
}

/* After a power cut there may be other bytes in place of a line. */
static void test_an_incomplete_last_line_that_differs_is_cut_off(void **state)
{
    struct fixture *fixture = *state;
    static const char zeros[100] = {0};
    open_file(fixture);
    export(fixture, 1);
    assert_int_equal(append(fixture, 2), STATUS_OK);
    close_file(fixture);
    write_file(fixture->path, slice_of(zeros, sizeof zeros), O_APPEND);
    open_file(fixture);
    export(fixture, 3);
    check_sound(fixture, 3);
}

/* Whatever room there is, what could not be written is written later, and once. */
static void test_a_full_disk_leaves_no_line_half_written_for_good(void **state)
{
    struct fixture *fixture = *state;
    int64_t seq = 1;
    open_file(fixture);
    export(fixture, seq);
    for (int64_t room = 0; room < 600; room += 7) {
        limit_files((rlim_t)(size_of(fixture->path) + room));
        seq += 2;
        if (append(fixture, seq) != STATUS_OK) {
            assert_non_null(strstr(audit_file_error(fixture->file), fixture->path));
            assert_int_equal(append(fixture, seq), STATUS_STORE);
        }
        limit_files(RLIM_INFINITY);
        export(fixture, seq);
        struct audit_check check = verify(fixture);
        assert_null(check.fault);
        assert_int_equal(check.count, seq);
        assert_false(check.has_open_end);
    }
}

static void test_a_crash_while_the_disk_is_full_repeats_nothing(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    limit_files((rlim_t)(size_of(fixture->path) + 40));
    assert_int_equal(append(fixture, 2), STATUS_STORE);
    limit_files(RLIM_INFINITY);
    close_file(fixture);
    open_file(fixture);
    export(fixture, 2);
    check_sound(fixture, 2);
}

static void test_lines_are_synced_where_durability_is_full(void **state)
{
    struct fixture *fixture = *state;
    for (int is_full = 1; is_full >= 0; is_full--) {
        fixture->is_full = is_full != 0;
        open_file(fixture);
        sync_count = 0;
        export(fixture, fixture->last_seq + 1);
        assert_int_equal(sync_count, is_full);
        close_file(fixture);
    }
}

/* The kernel may show lines that the disk never got, and a later sync does not write them. */
static void test_after_a_failed_sync_the_lines_are_written_again(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    int64_t size = size_of(fixture->path);
    sync_error = EIO;
    assert_int_equal(append(fixture, 2), STATUS_STORE);
    sync_error = 0;
    int64_t line_bytes = size_of(fixture->path) - size;
    written_bytes = 0;
    export(fixture, 2);
    assert_true(line_bytes > 0);
    assert_int_equal(written_bytes, line_bytes);
    check_sound(fixture, 2);
}

/* ---- rotation ---- */

static void test_a_moved_file_is_followed_by_one_that_continues_the_chain(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    export(fixture, 2);
    assert_true(audit_file_change(fixture->file));
    export(fixture, 4);
    assert_true(file_holds(fixture, "\"NewFile\":true"));
    check_sound(fixture, 4);
    unlink(fixture->moved);
    struct audit_check alone = verify(fixture);
    assert_null(alone.fault);
    assert_int_equal(alone.first_seq, 3);
}

/* As logrotate does it with `create`. */
static void test_an_empty_file_in_the_place_of_a_moved_one_is_used(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    write_file(fixture->path, slice_text(""), 0);
    assert_true(audit_file_change(fixture->file));
    export(fixture, 2);
    assert_true(file_holds(fixture, "\"NewFile\":true"));
    check_sound(fixture, 2);
}

static void test_a_file_that_was_not_moved_is_not_changed(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    assert_false(audit_file_change(fixture->file));
    export(fixture, 2);
    check_sound(fixture, 2);
}

static void test_where_no_new_file_can_be_opened_the_old_one_is_used(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    write_file(fixture->path, slice_text("another program's file\n"), 0);
    assert_false(audit_file_change(fixture->file));
    export(fixture, 2);
    unlink(fixture->path);
    assert_int_equal(rename(fixture->moved, fixture->path), 0);
    check_sound(fixture, 2);
}

/* The rows that did not fit are in the new file, from the first one. */
static void test_a_file_moved_while_its_disk_is_full_keeps_whole_lines(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    int64_t whole_bytes = size_of(fixture->path);
    limit_files((rlim_t)(whole_bytes + 40));
    assert_int_equal(append(fixture, 3), STATUS_STORE);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    limit_files(RLIM_INFINITY);
    assert_true(audit_file_change(fixture->file));
    assert_int_equal(size_of(fixture->moved), whole_bytes);
    export(fixture, 3);
    check_sound(fixture, 3);
}

static void test_a_crash_just_after_the_change_of_the_file_is_no_damage(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 1);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    assert_true(audit_file_change(fixture->file));
    assert_int_equal(append(fixture, 2), STATUS_OK);
    close_file(fixture);
    open_file(fixture);
    export(fixture, 3);
    assert_false(file_holds(fixture, "Damaged"));
    check_sound(fixture, 3);
}

static void test_a_file_moved_away_between_runs_is_followed_by_one_that_continues(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    close_file(fixture);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    open_file(fixture);
    export(fixture, 4);
    check_sound(fixture, 4);
}

/* ---- damage ---- */

static void test_a_cut_end_shows_against_the_tip_and_for_ever(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    int64_t size = size_of(fixture->path);
    export(fixture, 3);
    close_file(fixture);
    assert_int_equal(truncate(fixture->path, size), 0);
    check_fault(fixture, 0, "ends too early");
    open_file(fixture);
    export(fixture, 4);
    assert_true(file_holds(fixture, "\"Damaged\":true"));
    check_fault(fixture, 3, "lines before it are missing");
}

static void test_an_end_cut_within_a_line_shows_for_ever(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    close_file(fixture);
    assert_int_equal(truncate(fixture->path, size_of(fixture->path) - 5), 0);
    open_file(fixture);
    export(fixture, 3);
    check_fault(fixture, 2, "is no line of an audit file");
}

static void test_an_end_cut_while_the_bridge_runs_shows_for_ever(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    assert_int_equal(truncate(fixture->path, size_of(fixture->path) - 5), 0);
    export(fixture, 3);
    assert_true(file_holds(fixture, "\"Damaged\":true"));
    check_fault(fixture, 2, "is no line of an audit file");
}

/* Appends a line that fits the chain but is none of the ledger's. */
static void forge_line(struct fixture *fixture, const struct audit_tip *after)
{
    struct audit_chain chain = {.seq = after->seq, .is_hashed = true};
    const struct audit_place place = {0};
    struct buf record = {0};
    struct buf line = {0};
    memcpy(chain.hash, after->hash, sizeof chain.hash);
    audit_record_begin(after->seq + 1, NOW_MS, "claimed", &record);
    audit_put_text(&record, "ClientToken", slice_text("t-9"));
    audit_record_render(after->seq + 1, buf_slice(&record), &place, &chain, &line);
    write_file(fixture->path, buf_slice(&line), O_APPEND);
    buf_fini(&record);
    buf_fini(&line);
}

static void test_a_last_line_that_was_replaced_shows_against_the_tip(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    const struct audit_tip before = fixture->tip;
    export(fixture, 3);
    close_file(fixture);
    assert_int_equal(truncate(fixture->path, before.offset), 0);
    forge_line(fixture, &before);
    assert_int_equal(size_of(fixture->path), fixture->tip.offset);
    check_fault(fixture, 3, "is not the line that the ledger has");
    open_file(fixture);
    export(fixture, 4);
    assert_true(file_holds(fixture, "\"Damaged\":true"));
}

static void test_a_line_that_was_added_shows_with_the_next_one(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    export(fixture, 2);
    forge_line(fixture, &fixture->tip);
    export(fixture, 3);
    assert_true(file_holds(fixture, "\"Damaged\":true"));
    check_fault(fixture, 3, "is not the line that the ledger has");
}

/* ---- other files ---- */

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
    static const char *const rows[] = {"a diary\n", "a diary", "\n", "{\"Seq\":7}\n{\"Seq\":8}\n",
                                       "{\"Seq\":7}\n"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int64_t last_seq = 0; last_seq < 2; last_seq++) {
            fixture->last_seq = last_seq;
            write_file(fixture->path, slice_text(rows[i]), O_TRUNC);
            check_refused(fixture, STATUS_INVALID, "move it away");
            struct buf text = content_of(fixture->path);
            assert_string_equal(text.data, rows[i]);
            buf_fini(&text);
        }
    }
}

static void test_a_file_has_one_writer(void **state)
{
    struct fixture *fixture = *state;
    open_file(fixture);
    struct audit_file *first = fixture->file;
    check_refused(fixture, STATUS_BUSY, "another bridge");
    fixture->file = first;
}

static void test_a_file_that_is_not_there_cannot_be_verified(void **state)
{
    struct fixture *fixture = *state;
    struct audit_check check;
    struct buf why = {0};
    char *paths[] = {fixture->path};
    assert_int_equal(audit_verify(paths, 1, NULL, &check, &why), STATUS_STORE);
    assert_non_null(strstr(why.data, "audit.log"));
    buf_fini(&why);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_new_file_is_its_owners_and_its_first_line_names_the_line_before),
        TEST(test_a_file_goes_on_where_it_ended),
        TEST(test_numbered_lines_need_no_hashes),
        TEST(test_a_chained_file_is_not_continued_without_hashes),
        TEST(test_a_ledger_that_is_new_continues_the_file_there_is),
        TEST(test_a_ledger_that_is_new_continues_a_file_that_a_crash_cut_short),
        TEST(test_a_crash_between_append_and_delete_repeats_nothing),
        TEST(test_a_crash_in_the_first_line_of_all_leaves_a_file_to_go_on_with),
        TEST(test_an_incomplete_last_line_that_differs_is_cut_off),
        TEST(test_a_full_disk_leaves_no_line_half_written_for_good),
        TEST(test_a_crash_while_the_disk_is_full_repeats_nothing),
        TEST(test_lines_are_synced_where_durability_is_full),
        TEST(test_after_a_failed_sync_the_lines_are_written_again),
        TEST(test_a_moved_file_is_followed_by_one_that_continues_the_chain),
        TEST(test_an_empty_file_in_the_place_of_a_moved_one_is_used),
        TEST(test_a_file_that_was_not_moved_is_not_changed),
        TEST(test_where_no_new_file_can_be_opened_the_old_one_is_used),
        TEST(test_a_file_moved_while_its_disk_is_full_keeps_whole_lines),
        TEST(test_a_crash_just_after_the_change_of_the_file_is_no_damage),
        TEST(test_a_file_moved_away_between_runs_is_followed_by_one_that_continues),
        TEST(test_a_cut_end_shows_against_the_tip_and_for_ever),
        TEST(test_an_end_cut_within_a_line_shows_for_ever),
        TEST(test_an_end_cut_while_the_bridge_runs_shows_for_ever),
        TEST(test_a_last_line_that_was_replaced_shows_against_the_tip),
        TEST(test_a_line_that_was_added_shows_with_the_next_one),
        TEST(test_links_devices_and_files_others_may_write_are_refused),
        TEST(test_a_file_of_something_else_is_refused_and_left_alone),
        TEST(test_a_file_has_one_writer),
        TEST(test_a_file_that_is_not_there_cannot_be_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
