#include "base/secret.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_BYTES 65536

struct folder {
    char path[64];
    char file[80];
};

static int make_folder(void **state)
{
    static struct folder folder;
    snprintf(folder.path, sizeof folder.path, "/tmp/test_secret.XXXXXX");
    if (mkdtemp(folder.path) == NULL) {
        return -1;
    }
    snprintf(folder.file, sizeof folder.file, "%s/secret", folder.path);
    *state = &folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    unlink(folder->file);
    return rmdir(folder->path);
}

static void write_file(const char *path, const void *data, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    assert_int_equal(close(fd), 0);
}

static void assert_file_reads_as(struct folder *folder, struct slice content, struct slice expected)
{
    struct secret secret = {0};
    write_file(folder->file, content.data, content.length);
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_OK);
    assert_true(slice_equals(secret_slice(&secret), expected));
    assert_int_equal(secret.data[secret.length], '\0');
    secret_fini(&secret);
}

static void test_an_empty_secret_is_not_set_but_has_a_slice(void **state)
{
    (void)state;
    struct secret secret = {0};
    assert_false(secret_is_set(&secret));
    assert_true(slice_is_present(secret_slice(&secret)));
    secret_fini(&secret);
    secret_fini(NULL);
}

static void test_a_secret_is_a_copy(void **state)
{
    (void)state;
    char text[] = "hunter2";
    struct secret secret = {0};
    secret_set(&secret, slice_text(text));
    text[0] = 'x';
    assert_true(secret_is_set(&secret));
    assert_string_equal(secret.data, "hunter2");
    secret_set(&secret, slice_text(""));
    assert_true(secret_is_set(&secret));
    assert_string_equal(secret.data, "");
    secret_fini(&secret);
    assert_false(secret_is_set(&secret));
}

static void test_a_secret_may_be_set_from_its_own_bytes(void **state)
{
    (void)state;
    struct secret secret = {0};
    secret_set(&secret, slice_text("key=value"));
    struct slice bytes = secret_slice(&secret);
    secret_set(&secret, slice_of(bytes.data + 4, bytes.length - 4));
    assert_string_equal(secret.data, "value");
    secret_fini(&secret);
}

static void test_wiping_leaves_zeros(void **state)
{
    (void)state;
    static const char zeros[16];
    char memory[16] = "hunter2 hunter2";
    secret_wipe(memory, sizeof memory);
    assert_memory_equal(memory, zeros, sizeof zeros);
    secret_wipe(NULL, 0);
}

static void test_one_line_end_of_a_file_is_dropped(void **state)
{
    assert_file_reads_as(*state, slice_text("hunter2"), slice_text("hunter2"));
    assert_file_reads_as(*state, slice_text("hunter2\n"), slice_text("hunter2"));
    assert_file_reads_as(*state, slice_text("hunter2\r\n"), slice_text("hunter2"));
    assert_file_reads_as(*state, slice_text("hunter2\n\n"), slice_text("hunter2\n"));
    assert_file_reads_as(*state, slice_text("hunter2\r"), slice_text("hunter2\r"));
    assert_file_reads_as(*state, slice_text(" a\nb "), slice_text(" a\nb "));
    assert_file_reads_as(*state, slice_text("\n"), slice_text(""));
    assert_file_reads_as(*state, slice_text(""), slice_text(""));
    assert_file_reads_as(*state, slice_of("a\0b", 3), slice_of("a\0b", 3));
}

static void test_a_file_may_be_64_kib_and_not_a_byte_more(void **state)
{
    struct folder *folder = *state;
    char *data = malloc(LIMIT_BYTES + 1);
    assert_non_null(data);
    memset(data, 'a', LIMIT_BYTES + 1);
    assert_file_reads_as(folder, slice_of(data, LIMIT_BYTES), slice_of(data, LIMIT_BYTES));

    struct secret secret = {0};
    write_file(folder->file, data, LIMIT_BYTES + 1);
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_LIMIT);
    assert_false(secret_is_set(&secret));
    free(data);
}

static void test_a_file_that_is_not_there_is_not_found(void **state)
{
    struct folder *folder = *state;
    struct secret secret = {0};
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_NOT_FOUND);
    write_file(folder->file, "x", 1);
    char below[128];
    snprintf(below, sizeof below, "%s/below", folder->file);
    assert_int_equal(secret_read_file(&secret, below), STATUS_NOT_FOUND);
    assert_false(secret_is_set(&secret));
}

static void test_other_than_regular_files_are_refused_without_waiting(void **state)
{
    struct folder *folder = *state;
    struct secret secret = {0};
    assert_int_equal(secret_read_file(&secret, folder->path), STATUS_UNAVAILABLE);
    assert_int_equal(secret_read_file(&secret, "/dev/zero"), STATUS_UNAVAILABLE);
    /* Nobody writes to the pipe, so an open() that waits would never return. */
    assert_int_equal(mkfifo(folder->file, 0600), 0);
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_UNAVAILABLE);
}

static void test_a_link_to_a_file_is_followed(void **state)
{
    struct folder *folder = *state;
    char target[96];
    snprintf(target, sizeof target, "%s/target", folder->path);
    write_file(target, "hunter2", 7);
    assert_int_equal(symlink("target", folder->file), 0);
    struct secret secret = {0};
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_OK);
    assert_string_equal(secret.data, "hunter2");
    secret_fini(&secret);
    assert_int_equal(unlink(target), 0);
}

static void test_a_file_without_permission_is_unavailable(void **state)
{
    struct folder *folder = *state;
    if (geteuid() == 0) {
        skip(); /* root may read anything */
    }
    struct secret secret = {0};
    write_file(folder->file, "x", 1);
    assert_int_equal(chmod(folder->file, 0), 0);
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_UNAVAILABLE);
    assert_false(secret_is_set(&secret));
}

static void test_a_failed_read_keeps_the_secret_that_was_there(void **state)
{
    struct folder *folder = *state;
    struct secret secret = {0};
    secret_set(&secret, slice_text("hunter2"));
    assert_int_equal(secret_read_file(&secret, folder->file), STATUS_NOT_FOUND);
    assert_string_equal(secret.data, "hunter2");
    secret_fini(&secret);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

/* The kernel's VmFlags line of the mapping that contains the address. */
static void read_flags(const void *address, char out[256])
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[256];
    bool is_it = false;
    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t from = 0;
        uintptr_t to = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            is_it = from <= (uintptr_t)address && (uintptr_t)address < to;
        } else if (is_it && strncmp(line, "VmFlags:", 8) == 0) {
            snprintf(out, 256, "%s", line);
        }
    }
    fclose(file);
}

static void test_no_core_file_contains_a_secret(void **state)
{
    (void)state;
    char flags[256];
    struct secret secret = {0};
    char *other = strdup("no secret");
    secret_set(&secret, slice_text("a secret"));
    read_flags(secret.data, flags);
    assert_non_null(strstr(flags, " dd"));
    read_flags(other, flags);
    assert_non_null(strstr(flags, " rd"));
    assert_null(strstr(flags, " dd"));
    secret_fini(&secret);
    free(other);
}

static void test_a_secret_longer_than_a_page_is_kept_whole(void **state)
{
    (void)state;
    struct secret secret = {0};
    char text[10000];
    memset(text, 'x', sizeof text);
    secret_set(&secret, slice_of(text, sizeof text));
    assert_true(slice_equals(secret_slice(&secret), slice_of(text, sizeof text)));
    assert_int_equal(secret.data[secret.length], '\0');
    secret_fini(&secret);
}

static void test_a_freed_secret_is_wiped(void **state)
{
    (void)state;
    static const char text[] = "to be found nowhere after it was freed: hunter2 hunter2 hunter2";
    struct secret secret = {0};
    secret_set(&secret, slice_text(text));
    /* The secure heap stays mapped, so its free blocks can be read. */
    const volatile char *freed = secret.data;
    secret_fini(&secret);
    for (size_t i = sizeof text / 2; i < sizeof text; i++) {
        assert_int_equal(freed[i], 0);
    }
}

static void test_secrets_that_do_not_fit_into_the_heap_are_kept(void **state)
{
    (void)state;
    enum { COUNT = 200, BYTES = 65536 };
    static struct secret secrets[COUNT];
    char *text = malloc(BYTES);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT; i++) {
        memset(text, (int)i + 1, BYTES);
        secret_set(&secrets[i], slice_of(text, BYTES));
    }
    for (size_t i = 0; i < COUNT; i++) {
        memset(text, (int)i + 1, BYTES);
        assert_true(slice_equals(secret_slice(&secrets[i]), slice_of(text, BYTES)));
        secret_fini(&secrets[i]);
    }
    free(text);
}

/* root may lock memory in spite of the limit. */
static void test_secrets_work_without_locked_memory(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        static const struct rlimit none = {0, 0};
        struct secret secret = {0};
        setrlimit(RLIMIT_MEMLOCK, &none);
        int done = CRYPTO_secure_malloc_done();
        secret_setup();
        secret_set(&secret, slice_text("hunter2"));
        bool is_kept = strcmp(secret.data, "hunter2") == 0;
        secret_fini(&secret);
        _exit(done == 1 && is_kept ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_a_hidden_variable_is_not_in_the_environment(void **state)
{
    (void)state;
    setenv("TEST_SECRET_VARIABLE", "hide-and-seek", 1);
    assert_string_equal(secret_variable("TEST_SECRET_VARIABLE"), "hide-and-seek");
    secret_hide_variable("TEST_SECRET_VARIABLE");
    assert_null(getenv("TEST_SECRET_VARIABLE"));
    assert_string_equal(secret_variable("TEST_SECRET_VARIABLE"), "hide-and-seek");
    secret_hide_variable("TEST_SECRET_NOT_SET");
    assert_null(secret_variable("TEST_SECRET_NOT_SET"));
}

int main(void)
{
    secret_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_secret_is_not_set_but_has_a_slice),
        cmocka_unit_test(test_a_secret_is_a_copy),
        cmocka_unit_test(test_a_secret_may_be_set_from_its_own_bytes),
        cmocka_unit_test(test_wiping_leaves_zeros),
        FILE_TEST(test_one_line_end_of_a_file_is_dropped),
        FILE_TEST(test_a_file_may_be_64_kib_and_not_a_byte_more),
        FILE_TEST(test_a_file_that_is_not_there_is_not_found),
        FILE_TEST(test_other_than_regular_files_are_refused_without_waiting),
        FILE_TEST(test_a_link_to_a_file_is_followed),
        FILE_TEST(test_a_file_without_permission_is_unavailable),
        FILE_TEST(test_a_failed_read_keeps_the_secret_that_was_there),
        cmocka_unit_test(test_no_core_file_contains_a_secret),
        cmocka_unit_test(test_a_secret_longer_than_a_page_is_kept_whole),
        cmocka_unit_test(test_a_freed_secret_is_wiped),
        cmocka_unit_test(test_secrets_that_do_not_fit_into_the_heap_are_kept),
        cmocka_unit_test(test_secrets_work_without_locked_memory),
        cmocka_unit_test(test_a_hidden_variable_is_not_in_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
