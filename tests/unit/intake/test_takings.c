/* The file of deliveries being taken: what survives, and what is not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "intake/takings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t NAME[DIGEST_SHA256_BYTES] = {1, 2, 3};

static char folder[64];
static char path[96];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/takings-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ledger.db.takings", folder);
    log_setup(LOG_LEVEL_ERROR, false, "test");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove(path);
    return rmdir(folder);
}

/* A process that takes the delivery and ends without a word. */
static void crash_while_taking(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct takings *takings = takings_open(path);
        blame_mark_begin(takings_marks(takings), NAME);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* How often the delivery was charged, as a bridge finds it that then ends in good order. */
static uint32_t charges(void)
{
    struct takings *takings = takings_open(path);
    uint32_t count = blame_marks_count(takings_marks(takings), NAME);
    takings_close(takings);
    return count;
}

static void write_file(const void *bytes, size_t length, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static void test_each_end_while_taking_is_charged(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 3; i++) {
        crash_while_taking();
        assert_int_equal(charges(), i);
    }
}

static void test_an_orderly_end_charges_nothing(void **state)
{
    (void)state;
    struct takings *takings = takings_open(path);
    blame_mark_begin(takings_marks(takings), NAME);
    takings_close(takings);
    assert_int_equal(charges(), 0);
}

static void test_the_file_is_for_its_owner_alone(void **state)
{
    struct stat about;
    (void)state;
    write_file("", 0, 0);
    takings_close(takings_open(path));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void test_a_truncated_file_is_made_anew(void **state)
{
    (void)state;
    crash_while_taking();
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(charges(), 0);
    crash_while_taking();
    assert_int_equal(charges(), 1);
}

static void test_a_file_cut_within_its_table_holds_what_is_left(void **state)
{
    struct stat about;
    (void)state;
    crash_while_taking();
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(charges(), 1);
    struct stat again;
    assert_int_equal(stat(path, &again), 0);
    assert_int_equal(again.st_size, about.st_size);
}

static void test_a_blank_file_is_as_good_as_none(void **state)
{
    (void)state;
    write_file("", 0, 4096);
    crash_while_taking();
    assert_int_equal(charges(), 1);
}

static void test_a_damaged_table_is_not_believed(void **state)
{
    (void)state;
    crash_while_taking();
    int fd = open(path, O_WRONLY);
    const uint32_t wild[2] = {77, 4000000000u};
    assert_int_equal(pwrite(fd, wild, sizeof wild, 16 + DIGEST_SHA256_BYTES), sizeof wild);
    close(fd);
    assert_int_equal(charges(), 0);
    crash_while_taking();
    assert_int_equal(charges(), 1);
}

static void test_a_file_of_somebody_else_is_left_alone(void **state)
{
    static const char TEXT[] = "my diary, not a table";
    char now[64] = "";
    (void)state;
    write_file(TEXT, sizeof TEXT, sizeof TEXT);
    crash_while_taking();
    assert_int_equal(charges(), 0);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, now, sizeof now), sizeof TEXT);
    close(fd);
    assert_string_equal(now, TEXT);
}

static void test_a_link_or_a_folder_in_its_place_stops_nothing(void **state)
{
    (void)state;
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(charges(), 0);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(charges(), 0);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(charges(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_end_while_taking_is_charged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_orderly_end_charges_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_file_is_for_its_owner_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_truncated_file_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_cut_within_its_table_holds_what_is_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_blank_file_is_as_good_as_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_table_is_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_of_somebody_else_is_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_or_a_folder_in_its_place_stops_nothing, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
