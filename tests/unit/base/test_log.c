/* Standard error is replaced by a datagram socket, on which every write(2) is a message of its own.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_BYTES 16384
#define THREADS    4

struct capture {
    int saved_stderr;
    int socket;
    char line[LINE_BYTES];
};

static void replace_stderr(int fd)
{
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
}

static int begin_capture(void **state)
{
    static struct capture capture;
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) != 0) {
        return -1;
    }
    capture.saved_stderr = dup(STDERR_FILENO);
    capture.socket = sockets[0];
    replace_stderr(sockets[1]);
    *state = &capture;
    return 0;
}

static int end_capture(void **state)
{
    struct capture *capture = *state;
    replace_stderr(capture->saved_stderr);
    close(capture->socket);
    return 0;
}

/* The next line without its line end, or NULL when none was written. */
static const char *next_line(struct capture *capture)
{
    ssize_t length = recv(capture->socket, capture->line, sizeof capture->line - 1, MSG_DONTWAIT);
    if (length < 0) {
        return NULL;
    }
    assert_true(length > 0 && capture->line[length - 1] == '\n');
    capture->line[length - 1] = '\0';
    assert_int_equal(strlen(capture->line), length - 1);
    assert_null(strchr(capture->line, '\n'));
    return capture->line;
}

/* The fields of the next logfmt line, behind the event. */
static const char *next_fields(struct capture *capture)
{
    const char *line = next_line(capture);
    assert_non_null(line);
    const char *event = strstr(line, " event=e");
    assert_non_null(event);
    return event + strlen(" event=e");
}

static void assert_value_is_written(struct capture *capture, struct slice value,
                                    const char *expected)
{
    LOG_INFO("e", LOG_SLICE("k", value));
    assert_string_equal(next_fields(capture), expected);
}

static void test_a_logfmt_line_has_time_level_role_event_and_fields(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, false, "receiver-1");
    LOG_WARN("command_claimed", LOG_TEXT("token", "t-1"), LOG_INT("attempts", -3));
    const char *line = next_line(capture);
    assert_non_null(line);
    assert_memory_equal(line, "time=", 5);
    int64_t wall_ms;
    assert_int_equal(clock_parse(slice_of(line + 5, CLOCK_TEXT_BYTES - 1), &wall_ms), STATUS_OK);
    assert_string_equal(line + 5 + CLOCK_TEXT_BYTES - 1,
                        " level=warn role=receiver-1 event=command_claimed token=t-1 attempts=-3");
}

static void test_a_json_line_is_an_object_with_numbers_as_numbers(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, true, "bridge");
    LOG_ERROR("store_failed", LOG_TEXT("why", "disk \"full\"\n\x01\xff"), LOG_INT("free", 12));
    const char *line = next_line(capture);
    assert_non_null(line);
    struct json_fault fault;
    struct json *root = json_parse(slice_text(line), 1, &fault);
    assert_non_null(root);
    int64_t wall_ms;
    assert_int_equal(clock_parse(json_text(json_member(root, "time")), &wall_ms), STATUS_OK);
    assert_true(slice_equals_text(json_text(json_member(root, "level")), "error"));
    assert_true(slice_equals_text(json_text(json_member(root, "role")), "bridge"));
    assert_true(slice_equals_text(json_text(json_member(root, "event")), "store_failed"));
    assert_true(
        slice_equals_text(json_text(json_member(root, "why")), "disk \"full\"\n\x01\xef\xbf\xbd"));
    assert_int_equal(json_kind(json_member(root, "free")), JSON_NUMBER);
    assert_int_equal(json_number(json_member(root, "free")), 12);
    json_free(root);
}

static void test_plain_values_stand_without_quotes(void **state)
{
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    assert_value_is_written(*state, slice_text("a/b:c-d.e,f"), " k=a/b:c-d.e,f");
    assert_value_is_written(*state, slice_text("\xc3\xa9\xf0\x9f\x98\x80"),
                            " k=\xc3\xa9\xf0\x9f\x98\x80");
}

static void test_values_that_could_be_misread_are_quoted(void **state)
{
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    assert_value_is_written(*state, slice_text("a b"), " k=\"a b\"");
    assert_value_is_written(*state, slice_text("a=b"), " k=\"a=b\"");
    assert_value_is_written(*state, slice_text("a\"b"), " k=\"a\\\"b\"");
    assert_value_is_written(*state, slice_text("a\\x0a"), " k=\"a\\\\x0a\"");
}

static void test_controls_and_bytes_that_are_no_utf8_are_escaped(void **state)
{
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    assert_value_is_written(*state, slice_text("x\nlevel=error"), " k=\"x\\x0alevel=error\"");
    assert_value_is_written(*state, slice_of("a\0b", 3), " k=\"a\\x00b\"");
    assert_value_is_written(*state, slice_text("\x1b[31m\x7f"), " k=\"\\x1b[31m\\x7f\"");
    assert_value_is_written(*state, slice_text("\xff\xc3"), " k=\"\\xff\\xc3\"");
    assert_value_is_written(*state, slice_text("\xed\xa0\x80"), " k=\"\\xed\\xa0\\x80\"");
    assert_value_is_written(*state,
                            slice_text("\xc2\x9b"
                                       "31m"),
                            " k=\"\\xc2\\x9b31m\"");
}

static void test_a_text_that_is_not_there_is_left_out(void **state)
{
    struct capture *capture = *state;
    const char *absent = NULL;
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    LOG_INFO("e", LOG_TEXT("a", absent), LOG_SLICE("b", slice_text(NULL)), LOG_TEXT("c", ""),
             LOG_INT("d", 0));
    assert_string_equal(next_fields(capture), " d=0");
}

static void test_a_line_needs_no_fields(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    log_fields(LOG_LEVEL_INFO, "e", NULL, 0);
    assert_string_equal(next_fields(capture), "");
}

static void test_levels_above_the_one_set_are_silent(void **state)
{
    struct capture *capture = *state;
    for (int set = LOG_LEVEL_ERROR; set <= LOG_LEVEL_DEBUG; set++) {
        log_setup((enum log_level)set, false, "bridge");
        assert_int_equal(log_level(), set);
        for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
            assert_int_equal(log_is_on((enum log_level)level), level <= set);
            log_fields((enum log_level)level, "e", NULL, 0);
            assert_int_equal(next_line(capture) != NULL, level <= set);
        }
    }
}

static void test_the_form_can_be_asked_for(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, true, "bridge");
    assert_true(log_is_json());
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    assert_false(log_is_json());
}

static void test_a_long_value_is_cut_between_characters(void **state)
{
    struct capture *capture = *state;
    char value[1100];
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    memset(value, 'a', sizeof value);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, sizeof value)));
    assert_int_equal(strlen(next_fields(capture)), strlen(" k=") + 1024);

    memcpy(value + 1022, "\xf0\x9f\x98\x80", 4);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, sizeof value)));
    assert_int_equal(strlen(next_fields(capture)), strlen(" k=") + 1022);

    memset(value, 0x80, sizeof value);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, sizeof value)));
    assert_int_equal(strlen(next_fields(capture)), strlen(" k=\"\"") + 4 * 1024);
}

static void test_a_long_line_leaves_out_whole_fields_and_says_so(void **state)
{
    struct capture *capture = *state;
    char controls[1024];
    memset(controls, 0x01, sizeof controls);
    struct slice value = slice_of(controls, sizeof controls);
    for (int is_json = 0; is_json <= 1; is_json++) {
        log_setup(LOG_LEVEL_INFO, is_json == 1, "bridge");
        LOG_INFO("e", LOG_SLICE("a", value), LOG_SLICE("b", value), LOG_INT("c", 7));
        const char *line = next_line(capture);
        assert_non_null(line);
        assert_true(strlen(line) < 8192);
        assert_non_null(strstr(line, is_json ? "\"a\":\"" : " a=\""));
        assert_null(strstr(line, is_json ? "\"b\":" : " b="));
        assert_non_null(strstr(line, is_json ? "\"c\":7,\"cut\":1}" : " c=7 cut=1"));
    }
}

static void test_a_json_line_of_any_bytes_is_json(void **state)
{
    struct capture *capture = *state;
    char bytes[255];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i + 1);
    }
    log_setup(LOG_LEVEL_INFO, true, "bridge");
    LOG_INFO("e", LOG_SLICE("k", slice_of(bytes, sizeof bytes)));
    const char *line = next_line(capture);
    assert_non_null(line);
    struct json_fault fault;
    struct json *root = json_parse(slice_text(line), 1, &fault);
    assert_non_null(root);
    json_free(root);
}

static void *log_many(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < 10; i++) {
        LOG_INFO("e", LOG_TEXT("thread", name), LOG_INT("number", i));
    }
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    struct capture *capture = *state;
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    int next_number[THREADS] = {0};
    pthread_t threads[THREADS];
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < THREADS * 10; i++) {
        char thread;
        int number;
        assert_int_equal(sscanf(next_fields(capture), " thread=%c number=%d", &thread, &number), 2);
        assert_in_range(thread, 'a', 'd');
        assert_int_equal(number, next_number[thread - 'a']++);
    }
    assert_null(next_line(capture));
}

static void test_a_reader_that_is_gone_costs_only_the_line(void **state)
{
    (void)state;
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    close(pipe_ends[0]);
    replace_stderr(pipe_ends[1]);
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    errno = ENOENT;
    LOG_INFO("e", LOG_INT("k", 1));
    assert_int_equal(errno, ENOENT);
    close(STDERR_FILENO);
    LOG_INFO("e", LOG_INT("k", 2));
    assert_int_equal(errno, ENOENT);
}

static void test_a_reader_that_is_slow_costs_only_lines(void **state)
{
    (void)state;
    int pipe_ends[2];
    assert_int_equal(pipe2(pipe_ends, O_NONBLOCK), 0);
    replace_stderr(pipe_ends[1]);
    log_setup(LOG_LEVEL_INFO, false, "bridge");
    /* More than a pipe can hold: a blocking write would never return. */
    for (int i = 0; i < 50000; i++) {
        LOG_INFO("e", LOG_INT("k", i));
    }
    char start[5];
    assert_int_equal(read(pipe_ends[0], start, sizeof start), sizeof start);
    assert_memory_equal(start, "time=", 5);
    close(pipe_ends[0]);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, begin_capture, end_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_a_logfmt_line_has_time_level_role_event_and_fields),
        LOG_TEST(test_a_json_line_is_an_object_with_numbers_as_numbers),
        LOG_TEST(test_plain_values_stand_without_quotes),
        LOG_TEST(test_values_that_could_be_misread_are_quoted),
        LOG_TEST(test_controls_and_bytes_that_are_no_utf8_are_escaped),
        LOG_TEST(test_a_text_that_is_not_there_is_left_out),
        LOG_TEST(test_a_line_needs_no_fields),
        LOG_TEST(test_levels_above_the_one_set_are_silent),
        LOG_TEST(test_the_form_can_be_asked_for),
        LOG_TEST(test_a_long_value_is_cut_between_characters),
        LOG_TEST(test_a_long_line_leaves_out_whole_fields_and_says_so),
        LOG_TEST(test_a_json_line_of_any_bytes_is_json),
        LOG_TEST(test_lines_of_threads_do_not_mix),
        LOG_TEST(test_a_reader_that_is_gone_costs_only_the_line),
        LOG_TEST(test_a_reader_that_is_slow_costs_only_lines),
    };
    /* As the daemon does: a closed pipe is an error of write(2) and does not end the process. */
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
