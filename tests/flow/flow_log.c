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

/* --- what an operator must be able to read --- */

static void test_a_refusal_is_logged_with_route_region_and_group(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge(fixture, "routes.regions = (\"cn-beijing\"); routes.groups = (\"pg-*\");");
    const char *token = fixture_name(fixture, "token");
    check_text(fixture_request(fixture, token, "vm-77", ""), "Error.Code", "Bridge.NotAllowed");
    bridge_wait_log(
        bridge,
        fixture_format(fixture, "route=start region=cn-beijing group=vm-77 token=%s", token));
}

static void test_mismatches_and_replays_are_logged_with_their_token(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_succeeded(fixture_request(fixture, token, group, ""));
    bridge_wait_log(bridge, fixture_format(fixture,
                                           "level=info role=bridge event=command_replayed token=%s "
                                           "route=start region=cn-beijing group=%s",
                                           token, group));
    check_text(fixture_request(fixture, token, "pg-other", ""), "Error.Code",
               "IdempotentParameterMismatch");
    bridge_wait_log(bridge, fixture_format(fixture,
                                           "level=warn role=bridge event=token_mismatch token=%s "
                                           "route=start region=cn-beijing group=pg-other",
                                           token));
}

static void test_at_level_warn_a_refused_key_is_logged_once(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "log.level = \"warn\";");
    bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=NotTheSecretOfThisKey";
    bridge_start(bridge);
    bridge_wait_online(bridge);
    for (int i = 0; i < 2; i++) {
        const char *token = fixture_name(fixture, "token");
        check_text(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""), "Status",
                   "failed");
        bridge_wait_log(
            bridge, fixture_format(
                        fixture, "level=warn role=bridge event=command_done status=failed token=%s",
                        token));
    }
    char *log = file_read(bridge->log);
    const char *line =
        strstr(log, "level=error role=bridge event=credentials_refused code=SignatureDoesNotMatch");
    assert_non_null(line);
    assert_null(strstr(strchr(line, '\n'), "event=credentials_refused"));
    free(log);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_log_that_nobody_reads_stops_neither_commands_nor_sigterm),
        FLOW_TEST(test_lines_that_wait_come_when_the_log_is_read_again),
        FLOW_TEST(test_a_refusal_is_logged_with_route_region_and_group),
        FLOW_TEST(test_mismatches_and_replays_are_logged_with_their_token),
        FLOW_TEST(test_at_level_warn_a_refused_key_is_logged_once),
        FLOW_TEST(test_a_bridge_works_without_standard_descriptors),
    };
    return flow_main("log", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
