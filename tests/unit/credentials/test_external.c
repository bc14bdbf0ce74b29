/* Programs that print credentials: their output, errors and time limit. */
#include "base/mem.h"
#include "credentials/profiles.h"
#include "support/credential_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FAR_MS     30000
#define KEY_SECRET "program-" SECRET_WORD
#define AK \
    "{\"mode\":\"AK\",\"access_key_id\":\"LTAI-ext\",\"access_key_secret\":\"" KEY_SECRET "\"}"

/* Starts a process that keeps running, and writes its number to a file. */
#define START_ONE "sleep 1000 & echo $! >\"${0%/*}/pid\"; "

/* Runs a shell script of the folder. */
static struct credential_source *script(struct fixture *fixture, const char *content,
                                        int64_t timeout_ms)
{
    struct buf command = {0};
    buf_printf(&command, "/bin/sh '%s'", fixture_file(fixture, "helper", 0700, content));
    struct credential_source *source =
        credentials_external_new(&fixture->context, command.data, timeout_ms);
    buf_fini(&command);
    return source;
}

/* A program that prints the content of a file. */
static void get_printed(struct fixture *fixture, const char *printed)
{
    fixture_file(fixture, "printed", 0600, printed);
    char text[512];
    snprintf(text, sizeof text, "cat %s/printed", fixture->folder);
    fixture_get_once(fixture, script(fixture, text, FAR_MS));
}

static void test_a_key_without_an_expiration_is_used_once(void **state)
{
    struct fixture *fixture = *state;
    get_printed(fixture, AK "\n");
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "external");
    assert_true(fixture->got.expires_at_ms == INT64_MAX);
    assert_true(fixture->got.refresh_at_ms > 0 &&
                fixture->got.refresh_at_ms <= fixture->context.now_ms());
}

static void test_a_session_is_refreshed_before_it_expires(void **state)
{
    struct fixture *fixture = *state;
    get_printed(fixture,
                "{\"mode\":\"StsToken\",\"access_key_id\":\"STS.ext\",\"access_key_secret\":"
                "\"" KEY_SECRET "\",\"sts_token\":\"t-" SECRET_WORD
                "\",\"expiration\":\"" FIXTURE_EXPIRES "\"}");
    fixture_assert_got(fixture, "STS.ext", KEY_SECRET, "t-" SECRET_WORD, "external");
    assert_true(fixture->got.expires_at_ms == FIXTURE_EXPIRES_MS);
    assert_true(fixture->got.refresh_at_ms == FIXTURE_EXPIRES_MS - EXTERNAL_LEAD_MS);
}

static void test_an_empty_expiration_counts_as_absent(void **state)
{
    struct fixture *fixture = *state;
    get_printed(
        fixture,
        "{\"mode\":\"AK\",\"access_key_id\":\"LTAI-ext\",\"access_key_secret\":\"" KEY_SECRET
        "\",\"sts_token\":\"\",\"expiration\":\"\"}");
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "external");
}

static void test_invalid_output_is_an_error_that_does_not_quote_it(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *printed;
        const char *error;
    } rows[] = {
        {"", "the output of process_command: "},
        {SECRET_WORD, "the output of process_command: "},
        {AK AK, "the output of process_command: "},
        {"[]", "mode must be \"AK\" or \"StsToken\""},
        {"{\"mode\":\"" SECRET_WORD "\"}", "mode must be \"AK\" or \"StsToken\""},
        {"{\"mode\":7}", "mode must be \"AK\" or \"StsToken\""},
        {"{\"mode\":\"AK\",\"access_key_secret\":\"" SECRET_WORD "\"}", "access_key_id is missing"},
        {"{\"mode\":\"AK\",\"access_key_id\":\"a\",\"access_key_secret\":{\"" SECRET_WORD "\":1}}",
         "access_key_secret must be a string"},
        {"{\"mode\":\"StsToken\",\"access_key_id\":\"a\",\"access_key_secret\":\"" SECRET_WORD
         "\"}",
         "sts_token is missing"},
        {"{\"mode\":\"AK\",\"access_key_id\":\"a\",\"access_key_secret\":\"" SECRET_WORD
         "\",\"expiration\":\"" SECRET_WORD "\"}",
         "expiration is not a time"},
        {"{\"mode\":\"AK\",\"access_key_id\":\"a\",\"access_key_secret\":\"" SECRET_WORD "\\n\"}",
         "access_key_secret holds a character"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        get_printed(fixture, rows[i].printed);
        fixture_assert_failed(fixture, STATUS_INVALID, rows[i].error);
    }
}

static void test_an_error_of_a_program_has_its_exit_status_and_not_its_output(void **state)
{
    struct fixture *fixture = *state;
    fixture_get_once(fixture,
                     script(fixture, "echo '" AK "'; echo " SECRET_WORD " >&2; exit 7", FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command ended with exit status 7");
    fixture_get_once(fixture, script(fixture, "kill -TERM $$", FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command was ended by signal 15");
    fixture_get_once(fixture,
                     credentials_external_new(&fixture->context, "/nowhere/at-all", FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "process_command cannot be started: No such file or directory");
    fixture_get_once(fixture, credentials_external_new(&fixture->context, "echo 'x", FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command has an unclosed single quote");
    fixture_get_once(fixture, credentials_external_new(&fixture->context, " ", FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command is empty");
}

/* Scripts write the number of a process that they started here, even before the test reads it. */
static int open_pids(struct fixture *fixture)
{
    char path[128];
    snprintf(path, sizeof path, "%s/pid", fixture->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static pid_t read_pid(int fd)
{
    char line[32] = "";
    size_t length = 0;
    while (length + 1 < sizeof line && strchr(line, '\n') == NULL) {
        ssize_t count = read(fd, line + length, sizeof line - 1 - length);
        assert_true(count > 0);
        length += (size_t)count;
    }
    close(fd);
    return (pid_t)strtol(line, NULL, 10);
}

static void wait_for_end(pid_t pid)
{
    struct pollfd poll_fd = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    if (poll_fd.fd < 0) {
        assert_int_equal(errno, ESRCH);
        return;
    }
    assert_int_equal(poll(&poll_fd, 1, FAR_MS), 1);
    close(poll_fd.fd);
}

static void test_a_program_over_its_time_limit_is_killed_with_its_children(void **state)
{
    struct fixture *fixture = *state;
    int pids = open_pids(fixture);
    fixture_get_once(fixture, script(fixture, START_ONE "wait", 300));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command did not end in time");
    wait_for_end(read_pid(pids));
}

static void test_a_program_with_endless_output_is_killed(void **state)
{
    struct fixture *fixture = *state;
    fixture_get_once(fixture, script(fixture, "exec yes " SECRET_WORD, FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command printed more than 65536 bytes");
    fixture_get_once(fixture, script(fixture, "head -c 65537 /dev/zero", FAR_MS));
    fixture_assert_failed(fixture, STATUS_INVALID, "process_command printed more than 65536 bytes");
}

static void test_output_up_to_the_limit_is_read_completely(void **state)
{
    struct fixture *fixture = *state;
    struct buf printed = {0};
    buf_append_text(&printed, AK);
    while (printed.length < EXTERNAL_OUTPUT_BYTES_MAX) {
        buf_append_char(&printed, ' ');
    }
    get_printed(fixture, printed.data);
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "external");
    buf_fini(&printed);
}

static void test_processes_that_a_program_leaves_running_are_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    int pids = open_pids(fixture);
    fixture_get_once(fixture, script(fixture, START_ONE "echo '" AK "'", FAR_MS));
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "external");
    assert_int_equal(kill(read_pid(pids), SIGKILL), 0);
}

static void test_no_shell_is_used(void **state)
{
    struct fixture *fixture = *state;
    char command[512];
    char path[128];
    snprintf(path, sizeof path, "%s/made", fixture->folder);
    snprintf(command, sizeof command,
             "/bin/sh %s '$(touch %s)' `touch %s` ';' touch %s '*' $HOME \"two words\"",
             fixture_file(fixture, "helper", 0700,
                          "test \"$1\" = \"\\$(touch $0/../made)\" || true\n"
                          "printf '%s\\n' \"$@\" >\"${0%/*}/words\"\necho '" AK "'\n"),
             path, path, path);
    fixture_get_once(fixture, credentials_external_new(&fixture->context, command, FAR_MS));
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "external");
    assert_int_equal(access(path, F_OK), -1);
    char words[1024] = "";
    char expected[1024];
    char words_path[128];
    snprintf(words_path, sizeof words_path, "%s/words", fixture->folder);
    FILE *file = fopen(words_path, "re");
    assert_non_null(file);
    size_t length = fread(words, 1, sizeof words - 1, file);
    words[length] = '\0';
    fclose(file);
    snprintf(expected, sizeof expected,
             "$(touch %s)\n`touch\n%s`\n;\ntouch\n%s\n*\n$HOME\ntwo words\n", path, path, path);
    assert_string_equal(words, expected);
}

static void test_the_environment_is_inherited_and_descriptors_are_not(void **state)
{
    struct fixture *fixture = *state;
    char words_path[128];
    char seen[256] = "";
    setenv("BRIDGE_TEST_VARIABLE", "passed on", 1);
    fixture_get_once(fixture,
                     script(fixture,
                            "(echo \"$BRIDGE_TEST_VARIABLE\"; readlink /proc/self/fd/0; ls "
                            "/proc/$$/fd | tr '\\n' ' ') >\"${0%/*}/seen\"; echo '" AK "'",
                            FAR_MS));
    unsetenv("BRIDGE_TEST_VARIABLE");
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "external");
    snprintf(words_path, sizeof words_path, "%s/seen", fixture->folder);
    FILE *file = fopen(words_path, "re");
    assert_non_null(file);
    size_t length = fread(seen, 1, sizeof seen - 1, file);
    seen[length] = '\0';
    fclose(file);
    /* dash reads its script from descriptor 10. */
    assert_string_equal(seen, "passed on\n/dev/null\n0 1 10 2 ");
}

static void test_the_program_runs_for_each_get(void **state)
{
    struct fixture *fixture = *state;
    struct credential_source *source = script(
        fixture,
        "echo >>\"${0%/*}/runs\"; n=$(wc -l <\"${0%/*}/runs\"); echo "
        "'{\"mode\":\"AK\",\"access_key_id\":\"'$n'\",\"access_key_secret\":\"" KEY_SECRET "\"}'",
        FAR_MS);
    fixture_get(fixture, source);
    fixture_assert_got(fixture, "1", KEY_SECRET, NULL, "external");
    fixture_get(fixture, source);
    fixture_assert_got(fixture, "2", KEY_SECRET, NULL, "external");
    assert_true(credentials_refused(source, 1));
    credentials_source_free(source);
}

static void never(void *arg, enum status status, const struct credentials *credentials,
                  const char *text)
{
    (void)arg;
    (void)status;
    (void)credentials;
    (void)text;
    fail_msg("a source that was freed has called back");
}

static void test_a_source_freed_during_a_run_kills_its_program(void **state)
{
    struct fixture *fixture = *state;
    int pids = open_pids(fixture);
    struct credential_source *source = script(fixture, START_ONE "wait", FAR_MS);
    credentials_get(source, never, NULL);
    pid_t pid = read_pid(pids);
    credentials_source_free(source);
    wait_for_end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
        FIXTURE_TEST(test_a_key_without_an_expiration_is_used_once),
        FIXTURE_TEST(test_a_session_is_refreshed_before_it_expires),
        FIXTURE_TEST(test_an_empty_expiration_counts_as_absent),
        FIXTURE_TEST(test_invalid_output_is_an_error_that_does_not_quote_it),
        FIXTURE_TEST(test_an_error_of_a_program_has_its_exit_status_and_not_its_output),
        FIXTURE_TEST(test_a_program_over_its_time_limit_is_killed_with_its_children),
        FIXTURE_TEST(test_a_program_with_endless_output_is_killed),
        FIXTURE_TEST(test_output_up_to_the_limit_is_read_completely),
        FIXTURE_TEST(test_processes_that_a_program_leaves_running_are_not_waited_for),
        FIXTURE_TEST(test_no_shell_is_used),
        FIXTURE_TEST(test_the_environment_is_inherited_and_descriptors_are_not),
        FIXTURE_TEST(test_the_program_runs_for_each_get),
        FIXTURE_TEST(test_a_source_freed_during_a_run_kills_its_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
