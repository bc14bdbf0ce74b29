/* The log and the standard descriptors, as a service manager, a container or a shell gives them. */
#include "flow_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMMANDS = 60, PIPE_BYTES = 4096 };

/* A bridge whose log is a pipe of one page; returns our end of it. */
static int start_with_pipe(struct bridge *bridge)
{
    assert_int_equal(mkfifo(bridge->log, 0600), 0);
    int fd = open(bridge->log, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    unlink(bridge->log); /* the fixture reads the log, and would wait for a writer */
    return fd;
}

static void request_many(struct fixture *fixture)
{
    for (int i = 0; i < COMMANDS; i++) {
        const char *token = fixture_name(fixture, "token");
        check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    }
}

static void test_a_log_that_nobody_reads_stops_neither_commands_nor_sigterm(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    int fd = start_with_pipe(bridge);
    request_many(fixture);
    bridge_stop(bridge);
    close(fd);
}

static void test_lines_that_wait_come_when_the_log_is_read_again(struct fixture *fixture)
{
    static char text[1 << 20];
    size_t length = 0;
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    int fd = start_with_pipe(bridge);
    request_many(fixture);
    const char *last = fixture_name(fixture, "last");
    check_succeeded(fixture_request(fixture, last, fixture_name(fixture, "pg"), ""));
    const char *line =
        fixture_format(fixture, "event=command_done status=succeeded token=%s", last);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (strstr(text, line) == NULL) {
        ssize_t got = read(fd, text + length, sizeof text - 1 - length);
        length += got > 0 ? (size_t)got : 0;
        if (flow_now_ms() > end_ms) {
            flow_fail("the last command is not in the log");
        }
        flow_pause();
    }
    bridge_stop(bridge);
    close(fd);
}

static void test_a_bridge_works_without_standard_descriptors(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *const argv[] = {
        "/bin/sh",     "-c",           "exec \"$0\" run --config \"$1\" <&- >&- 2>&-",
        BRIDGE_BINARY, bridge->config, NULL};
    const struct process_spec spec = {
        .argv = argv, .env = bridge->env, .directory = bridge->directory, .output = bridge->log};
    bridge->pid = process_start(&spec);
    bridge_wait_online(bridge);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_log_that_nobody_reads_stops_neither_commands_nor_sigterm),
        FLOW_TEST(test_lines_that_wait_come_when_the_log_is_read_again),
        FLOW_TEST(test_a_bridge_works_without_standard_descriptors),
    };
    return flow_main("log", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
