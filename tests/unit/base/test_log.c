/* Standard error is replaced by a datagram socket, on which every write(2) is a message of its own.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
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
    if (fd != STDERR_FILENO) {
        assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        close(fd);
    }
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
    /* What still waits is not for the next test. */
    replace_stderr(open("/dev/null", O_WRONLY));
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    assert_true(log_flush());
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
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "receiver");
    LOG_WARN("command_claimed", LOG_TEXT("token", "t-1"), LOG_INT("attempts", -3));
    const char *line = next_line(capture);
    assert_non_null(line);
    assert_memory_equal(line, "time=", 5);
    int64_t wall_ms;
    assert_int_equal(clock_parse(slice_of(line + 5, CLOCK_TEXT_BYTES - 1), &wall_ms), STATUS_OK);
    assert_string_equal(line + 5 + CLOCK_TEXT_BYTES - 1,
                        " level=warn role=receiver event=command_claimed token=t-1 attempts=-3");
}

/* The line behind its time, which has to look like `pattern`: a digit for each 0. */
static const char *behind_time(const char *line, const char *pattern)
{
    assert_non_null(line);
    for (; *pattern != '\0'; pattern++, line++) {
        assert_true(*pattern == '0' ? isdigit((unsigned char)*line) != 0 : *line == *pattern);
    }
    return line;
}

static void test_a_console_line_has_columns(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, LOG_CONSOLE, "receiver");
    LOG_WARN("receiver_down", LOG_TEXT("reason", "a b"), LOG_INT("code", 5));
    assert_string_equal(behind_time(next_line(capture), "00:00:00.000Z"),
                        " warn  receiver  receiver_down           reason=\"a b\" code=5");
    LOG_ERROR("a_name_longer_than_its_column", LOG_SLICE("k", slice_text("\033[2J\xe2\x80\xae")));
    assert_string_equal(behind_time(next_line(capture), "00:00:00.000Z"),
                        " error receiver  a_name_longer_than_its_column "
                        "k=\"\\x1b[2J\\xe2\\x80\\xae\"");
}

static void test_colours_are_only_around_what_the_bridge_writes(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, LOG_CONSOLE | LOG_WITH_COLOUR, "bridge");
    LOG_ERROR("e", LOG_TEXT("k", "\033[0m"));
    assert_string_equal(
        behind_time(next_line(capture), "\033[2m00:00:00.000Z"),
        "\033[0m\033[1;31m error\033[0m bridge    \033[1me                      \033[0m "
        "\033[2mk=\033[0m\"\\x1b[0m\"");
}

static void test_a_line_for_the_journal_begins_with_its_priority(void **state)
{
    struct capture *capture = *state;
    static const enum log_style forms[] = {LOG_LOGFMT, LOG_CONSOLE, LOG_JSON};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        log_setup(LOG_LEVEL_DEBUG, forms[i] | LOG_WITH_PRIORITY, "bridge");
        LOG_ERROR("e", LOG_INT("n", 1));
        assert_memory_equal(next_line(capture), "<3>", 3);
        LOG_WARN("e", LOG_INT("n", 1));
        assert_memory_equal(next_line(capture), "<4>", 3);
        LOG_INFO("e", LOG_INT("n", 1));
        assert_memory_equal(next_line(capture), "<6>", 3);
        LOG_DEBUG("e", LOG_INT("n", 1));
        assert_memory_equal(next_line(capture), "<7>", 3);
    }
}

static void test_a_list_is_a_list_in_json(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    LOG_INFO("e", LOG_AS_JSON("reasons", slice_text("[\"a\",\"b\"]")));
    assert_string_equal(next_fields(capture), " reasons=\"[\\\"a\\\",\\\"b\\\"]\"");
    log_setup(LOG_LEVEL_INFO, LOG_JSON, "bridge");
    LOG_INFO("e", LOG_AS_JSON("reasons", slice_text("[\"a\",\"b\"]")));
    struct json_fault fault;
    struct json *root = json_parse(slice_text(next_line(capture)), 2, &fault);
    assert_non_null(root);
    const struct json *reasons = json_member(root, "reasons");
    assert_int_equal(json_kind(reasons), JSON_ARRAY);
    assert_true(slice_equals_text(json_text(json_first(reasons)), "a"));
    json_free(root);
}

/* `format` on a new terminal. */
static enum log_style style_on_a_terminal(const char *format)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal) | unlockpt(terminal), 0);
    int saved = dup(STDERR_FILENO);
    replace_stderr(open(ptsname(terminal), O_RDWR | O_NOCTTY));
    enum log_style style = log_style_for(format);
    replace_stderr(saved);
    close(terminal);
    return style;
}

static void test_the_style_follows_the_setting_and_standard_error(void **state)
{
    (void)state;
    unsetenv("NO_COLOR");
    unsetenv("JOURNAL_STREAM");
    assert_int_equal(log_style_for("auto"), LOG_LOGFMT);
    assert_int_equal(log_style_for("console"), LOG_CONSOLE);
    assert_int_equal(log_style_for("json"), LOG_JSON);
    assert_int_equal(style_on_a_terminal("auto"), LOG_CONSOLE | LOG_WITH_COLOUR);
    assert_int_equal(style_on_a_terminal("logfmt"), LOG_LOGFMT);
    setenv("NO_COLOR", "1", 1);
    assert_int_equal(style_on_a_terminal("auto"), LOG_CONSOLE);
    assert_int_equal(style_on_a_terminal("console"), LOG_CONSOLE);
    unsetenv("NO_COLOR");

    struct stat file;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &file), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_int_equal(log_style_for("auto"), LOG_LOGFMT | LOG_WITH_PRIORITY);
    assert_int_equal(log_style_for("json"), LOG_JSON | LOG_WITH_PRIORITY);
    setenv("JOURNAL_STREAM", "1:1", 1); /* another stream: standard error was redirected */
    assert_int_equal(log_style_for("auto"), LOG_LOGFMT);
    unsetenv("JOURNAL_STREAM");
}

static void test_a_json_line_is_an_object_with_numbers_as_numbers(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, LOG_JSON, "bridge");
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
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    assert_value_is_written(*state, slice_text("a/b:c-d.e,f"), " k=a/b:c-d.e,f");
    assert_value_is_written(*state, slice_text("\xc3\xa9\xf0\x9f\x98\x80"),
                            " k=\xc3\xa9\xf0\x9f\x98\x80");
}

static void test_values_that_could_be_misread_are_quoted(void **state)
{
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    assert_value_is_written(*state, slice_text("a b"), " k=\"a b\"");
    assert_value_is_written(*state, slice_text("a=b"), " k=\"a=b\"");
    assert_value_is_written(*state, slice_text("a\"b"), " k=\"a\\\"b\"");
    assert_value_is_written(*state, slice_text("a\\x0a"), " k=\"a\\\\x0a\"");
}

static void test_controls_and_bytes_that_are_no_utf8_are_escaped(void **state)
{
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
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
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    LOG_INFO("e", LOG_TEXT("a", absent), LOG_SLICE("b", slice_text(NULL)), LOG_TEXT("c", ""),
             LOG_INT("d", 0));
    assert_string_equal(next_fields(capture), " d=0");
}

static void test_a_line_needs_no_fields(void **state)
{
    struct capture *capture = *state;
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    log_fields(LOG_LEVEL_INFO, "e", NULL, 0);
    assert_string_equal(next_fields(capture), "");
}

static void test_levels_above_the_one_set_are_silent(void **state)
{
    struct capture *capture = *state;
    for (int set = LOG_LEVEL_ERROR; set <= LOG_LEVEL_DEBUG; set++) {
        log_setup((enum log_level)set, LOG_LOGFMT, "bridge");
        assert_int_equal(log_level(), set);
        for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
            assert_int_equal(log_is_on((enum log_level)level), level <= set);
            log_fields((enum log_level)level, "e", NULL, 0);
            assert_int_equal(next_line(capture) != NULL, level <= set);
        }
    }
}

/* The lines that are kept are whole, in order, and the last ones. */
static void test_the_last_lines_are_kept_when_they_are_asked_for(void **state)
{
    (void)state;
    enum { LINES = 2000 };
    struct buf kept = {0};
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    LOG_INFO("before", LOG_INT("number", 0));
    log_put_recent(&kept);
    assert_int_equal(kept.length, 0);
    log_keep_recent();
    for (int i = 0; i < LINES; i++) {
        LOG_INFO("kept", LOG_INT("number", i));
        LOG_DEBUG("silent", LOG_INT("number", i));
    }
    log_put_recent(&kept);
    assert_in_range(kept.length, 32 * 1024, 64 * 1024);
    struct slice rest = buf_slice(&kept);
    int number = -1;
    for (struct slice line; slice_take_line(&rest, &line);) {
        const char *mark = strstr(line.data, "event=kept number=");
        assert_non_null(mark);
        int next = atoi(mark + strlen("event=kept number="));
        assert_true(number < 0 || next == number + 1);
        number = next;
    }
    assert_int_equal(number, LINES - 1);
    buf_fini(&kept);
}

static void test_the_form_can_be_asked_for(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_JSON, "bridge");
    assert_int_equal(log_style(), LOG_JSON);
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    assert_int_equal(log_style(), LOG_LOGFMT);
}

static void test_a_long_value_is_cut_between_characters(void **state)
{
    struct capture *capture = *state;
    char value[1100];
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    memset(value, 'a', sizeof value);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, sizeof value)));
    assert_int_equal(strlen(next_fields(capture)), strlen(" k=") + 1024);

    memcpy(value + 1022, "\xf0\x9f\x98\x80", 4);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, sizeof value)));
    assert_int_equal(strlen(next_fields(capture)), strlen(" k=") + 1022);

    memset(value, 0x80, sizeof value);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, sizeof value)));
    assert_string_equal(next_fields(capture), " cut=1");

    memset(value, 0x80, sizeof value);
    LOG_INFO("e", LOG_SLICE("k", slice_of(value, 900)));
    assert_int_equal(strlen(next_fields(capture)), strlen(" k=\"\"") + 4 * 900);
}

static void test_a_long_line_leaves_out_whole_fields_and_says_so(void **state)
{
    struct capture *capture = *state;
    char controls[512]; /* 2 KiB when they are escaped, in JSON 3 KiB */
    memset(controls, 0x01, sizeof controls);
    struct slice value = slice_of(controls, sizeof controls);
    for (int is_json = 0; is_json <= 1; is_json++) {
        log_setup(LOG_LEVEL_INFO, is_json == 1 ? LOG_JSON : LOG_LOGFMT, "bridge");
        LOG_INFO("e", LOG_SLICE("a", value), LOG_SLICE("b", value), LOG_INT("c", 7));
        const char *line = next_line(capture);
        assert_non_null(line);
        assert_true(strlen(line) < PIPE_BUF);
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
    log_setup(LOG_LEVEL_INFO, LOG_JSON, "bridge");
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
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
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
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    errno = ENOENT;
    LOG_INFO("e", LOG_INT("k", 1));
    assert_int_equal(errno, ENOENT);
    close(STDERR_FILENO);
    LOG_INFO("e", LOG_INT("k", 2));
    assert_int_equal(errno, ENOENT);
}

/* --- a reader that has stopped reading --- */

enum { FLOOD = 20000 }; /* lines: more than a pipe and the buffer hold */

static bool is_open_refused;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

/* As for a pipe of another user. */
int __wrap_open(const char *path, int flags, ...)
{
    if (is_open_refused && strcmp(path, "/proc/self/fd/2") == 0) {
        errno = EACCES;
        return -1;
    }
    return __real_open(path, flags, 0600);
}

struct seen {
    int next;   /* the number of the next line, where none was lost */
    int lost;   /* as reported */
    int events; /* log_lines_lost */
};

static void see_line(struct seen *seen, const char *line)
{
    const char *number = strstr(line, " event=e k=");
    const char *lost = strstr(line, " event=log_lines_lost lines=");
    assert_memory_equal(line, "time=", 5);
    if (lost != NULL) {
        int count = atoi(lost + strlen(" event=log_lines_lost lines="));
        assert_non_null(strstr(line, " level=warn "));
        seen->lost += count;
        seen->next += count;
        seen->events++;
    } else {
        assert_non_null(number);
        assert_int_equal(atoi(number + strlen(" event=e k=")), seen->next);
        seen->next++;
    }
}

/* Reads lines until no more come, letting those that wait be written. */
static void read_lines(int fd, struct seen *seen)
{
    static char text[2u << 20];
    size_t length = 0;
    int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    for (bool is_written = false; !is_written;) {
        ssize_t got;
        is_written = log_flush();
        while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) {
            length += (size_t)got;
        }
    }
    text[length] = '\0';
    char *rest = text;
    for (char *end; (end = strchr(rest, '\n')) != NULL; rest = end + 1) {
        *end = '\0';
        see_line(seen, rest);
    }
    assert_int_equal(*rest, '\0');
}

static void flood(int *ends, struct seen *seen)
{
    int shared_flags = fcntl(STDERR_FILENO, F_GETFL);
    int64_t lost_before = log_lost_count();
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    for (int i = 0; i < FLOOD; i++) {
        LOG_INFO("e", LOG_INT("k", i));
    }
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL), shared_flags);
    read_lines(ends[0], seen);
    assert_int_equal(seen->next, FLOOD);
    assert_int_equal(seen->events, 1);
    assert_in_range(seen->lost, 1, FLOOD - 1);
    assert_int_equal(log_lost_count() - lost_before, seen->lost);
    LOG_INFO("e", LOG_INT("k", FLOOD));
    read_lines(ends[0], seen);
    assert_int_equal(seen->next, FLOOD + 1);
    assert_int_equal(seen->events, 1);
    close(ends[0]);
}

static void test_a_pipe_that_nobody_reads_costs_lines_that_are_counted(void **state)
{
    (void)state;
    int ends[2];
    struct seen seen = {0};
    assert_int_equal(pipe(ends), 0);
    replace_stderr(ends[1]);
    flood(ends, &seen);
}

static void test_a_pipe_that_may_not_be_opened_again_does_not_block_either(void **state)
{
    (void)state;
    int ends[2];
    struct seen seen = {0};
    assert_int_equal(pipe(ends), 0);
    replace_stderr(ends[1]);
    is_open_refused = true;
    flood(ends, &seen);
    is_open_refused = false;
}

static void test_a_socket_that_nobody_reads_costs_lines_that_are_counted(void **state)
{
    (void)state;
    int ends[2];
    struct seen seen = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    replace_stderr(ends[1]);
    flood(ends, &seen);
}

static void test_a_terminal_that_was_stopped_does_not_block(void **state)
{
    (void)state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    int end = open(ptsname(terminal), O_WRONLY | O_NOCTTY);
    assert_true(end >= 0);
    replace_stderr(end);
    assert_int_equal(tcflow(STDERR_FILENO, TCOOFF), 0);
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    for (int i = 0; i < FLOOD; i++) {
        LOG_INFO("e", LOG_INT("k", i));
    }
    assert_false(log_flush());
    int64_t began_ms = clock_mono_ms();
    log_close(50);
    assert_in_range(clock_mono_ms() - began_ms, 50, 5000);
    assert_int_equal(tcflow(STDERR_FILENO, TCOON), 0);
    close(terminal);
}

static void test_a_line_that_the_reader_left_no_room_for_is_written_later(void **state)
{
    (void)state;
    int ends[2];
    char filling[4096] = {0};
    char text[8192];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, sizeof filling), sizeof filling);
    assert_int_equal(write(ends[1], filling, sizeof filling), sizeof filling);
    replace_stderr(ends[1]);
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "bridge");
    LOG_INFO("e", LOG_INT("k", 1));
    assert_false(log_flush());
    assert_int_equal(read(ends[0], filling, sizeof filling), sizeof filling);
    assert_true(log_flush());
    ssize_t got = read(ends[0], text, sizeof text - 1);
    assert_true(got > 0);
    text[got] = '\0';
    assert_non_null(strstr(text, " event=e k=1\n"));
    close(ends[0]);
}

static void test_hidden_characters_are_escaped(void **state)
{
    static const char *const hidden[] = {
        "\xe2\x80\xae", "\xe2\x80\xa8", "\xe2\x80\x8b", "\xe2\x81\xa6",
        "\xef\xbb\xbf", "\xc2\xad",     "\xd8\x9c",     "\xf3\xa0\x81\x81",
    };
    struct capture *capture = *state;
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        for (int is_json = 0; is_json <= 1; is_json++) {
            log_setup(LOG_LEVEL_INFO, is_json == 1 ? LOG_JSON : LOG_LOGFMT, "bridge");
            LOG_INFO("e", LOG_TEXT("k", hidden[i]));
            const char *line = next_line(capture);
            assert_non_null(line);
            assert_null(strstr(line, hidden[i]));
            assert_non_null(strstr(line, is_json ? "\"k\":\"\\u" : " k=\"\\x"));
        }
    }
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, begin_capture, end_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_a_logfmt_line_has_time_level_role_event_and_fields),
        LOG_TEST(test_a_console_line_has_columns),
        LOG_TEST(test_colours_are_only_around_what_the_bridge_writes),
        LOG_TEST(test_a_line_for_the_journal_begins_with_its_priority),
        LOG_TEST(test_a_list_is_a_list_in_json),
        LOG_TEST(test_the_style_follows_the_setting_and_standard_error),
        LOG_TEST(test_a_json_line_is_an_object_with_numbers_as_numbers),
        LOG_TEST(test_plain_values_stand_without_quotes),
        LOG_TEST(test_values_that_could_be_misread_are_quoted),
        LOG_TEST(test_controls_and_bytes_that_are_no_utf8_are_escaped),
        LOG_TEST(test_a_text_that_is_not_there_is_left_out),
        LOG_TEST(test_a_line_needs_no_fields),
        LOG_TEST(test_levels_above_the_one_set_are_silent),
        LOG_TEST(test_the_last_lines_are_kept_when_they_are_asked_for),
        LOG_TEST(test_the_form_can_be_asked_for),
        LOG_TEST(test_a_long_value_is_cut_between_characters),
        LOG_TEST(test_a_long_line_leaves_out_whole_fields_and_says_so),
        LOG_TEST(test_a_json_line_of_any_bytes_is_json),
        LOG_TEST(test_lines_of_threads_do_not_mix),
        LOG_TEST(test_a_reader_that_is_gone_costs_only_the_line),
        LOG_TEST(test_a_pipe_that_nobody_reads_costs_lines_that_are_counted),
        LOG_TEST(test_a_pipe_that_may_not_be_opened_again_does_not_block_either),
        LOG_TEST(test_a_socket_that_nobody_reads_costs_lines_that_are_counted),
        LOG_TEST(test_a_terminal_that_was_stopped_does_not_block),
        LOG_TEST(test_a_line_that_the_reader_left_no_room_for_is_written_later),
        LOG_TEST(test_hidden_characters_are_escaped),
    };
    /* As the daemon does: a closed pipe is an error of write(2) and does not end the process. */
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
