/* A ledger that cannot be written for some time, and ledgers that cannot be used. */
#include "flow_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { EXIT_STORE = 73, WRITE_AHEAD_BYTES = 256 * 1024 };

static const char *path_in(struct fixture *fixture, const struct bridge *bridge, const char *name)
{
    return fixture_format(fixture, "%s/%s", bridge->directory, name);
}

/* --- a ledger that cannot be written --- */

/*
 * Limits the file size of the bridge's process to slightly more than the write-ahead log, so that
 * the next write is cut short and the one after it fails. The log file of the bridge is much
 * shorter.
 */
static void make_full(struct fixture *fixture, const struct bridge *bridge)
{
    const char *log = path_in(fixture, bridge, "ledger.db-wal");
    while (file_size(log) < WRITE_AHEAD_BYTES) {
        fixture_request(fixture, fixture_name(fixture, "filler"), fixture_name(fixture, "pg"), "");
    }
    assert_true(file_size(bridge->log) < WRITE_AHEAD_BYTES / 2);
    struct rlimit limit = {.rlim_max = RLIM_INFINITY};
    limit.rlim_cur = (rlim_t)file_size(log) + 100;
    assert_int_equal(prlimit(bridge->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void make_room(const struct bridge *bridge)
{
    const struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    assert_int_equal(prlimit(bridge->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void expect_store_unavailable(struct fixture *fixture, const struct bridge *bridge)
{
    const struct message *status = NULL;
    do {
        status = client_expect(fixture->sender,
                               &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    } while (strstr(status->payload, "\"store_unavailable\"") == NULL);
    bridge_wait_log(bridge, "event=store_unavailable");
}

static void expect_unanswered(struct fixture *fixture, const char *token)
{
    client_sync(fixture->sender);
    assert_int_equal(client_count(fixture->sender, &(struct match){.token = token}), 0);
}

static void test_a_command_that_cannot_be_stored_stays_with_the_broker_until_there_is_room(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    make_full(fixture, bridge);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    expect_store_unavailable(fixture, bridge);
    bridge_wait_log(bridge, "the bridge could not store the message");
    expect_unanswered(fixture, token);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
    make_room(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    bridge_wait_online(bridge);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

/* A call that is in progress while the disk becomes full. */
static const char *answered_without_room(struct fixture *fixture, struct bridge *bridge)
{
    const char *token = fixture_name(fixture, "token");
    make_full(fixture, bridge);
    make_room(bridge);
    simulator_fault(&fixture->simulator,
                    "\"latency\",\"DelayMs\":700,\"Match\":{\"ClientToken\":\"%s\"}", token);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    simulator_wait_token(&fixture->simulator, token, 1);
    make_full(fixture, bridge);
    simulator_wait(&fixture->simulator, "Answered", simulator_total(&fixture->simulator, "Starts"));
    expect_store_unavailable(fixture, bridge);
    expect_unanswered(fixture, token);
    return token;
}

static void test_an_outcome_that_cannot_be_stored_is_reported_once_it_is_stored(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = answered_without_room(fixture, bridge);
    make_room(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    bridge_wait_online(bridge);
}

static void test_an_outcome_lost_with_a_full_disk_is_found_again_with_the_same_token(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = answered_without_room(fixture, bridge);
    bridge_kill(bridge);
    bridge_start(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

static void test_sigterm_ends_the_bridge_in_time_while_the_disk_is_full(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = answered_without_room(fixture, bridge);
    int code = process_end(bridge->pid, SIGTERM, 11500);
    assert_true(code >= 0);
    bridge->pid = 0;
    bridge_start(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

static void test_a_ledger_that_others_may_open_is_warned_of(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_stop(bridge);
    assert_false(bridge_log_contains(bridge, "event=ledger_open_to_others"));
    assert_int_equal(chmod(path_in(fixture, bridge, "ledger.db"), 0644), 0);
    bridge_start(bridge);
    bridge_wait_log(bridge, "event=ledger_open_to_others");
    bridge_wait_log(bridge, "mode=0644");
    assert_int_equal(chmod(path_in(fixture, bridge, "ledger.db"), 0600), 0);
    bridge_wait_online(bridge);
}

static void test_a_ledger_that_is_moved_away_takes_no_command_until_it_is_back(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *path = path_in(fixture, bridge, "ledger.db");
    const char *elsewhere = path_in(fixture, bridge, "elsewhere.db");
    const char *token = fixture_name(fixture, "token");
    assert_int_equal(rename(path, elsewhere), 0);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    expect_store_unavailable(fixture, bridge);
    bridge_wait_log(bridge, "put it back");
    expect_unanswered(fixture, token);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
    assert_int_equal(rename(elsewhere, path), 0);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    bridge_wait_online(bridge);
}

/* --- ledgers that cannot be used --- */

/* The content of a file; it may contain NULs. */
struct content {
    char *data;
    size_t length;
};

static struct content content_of(const char *path)
{
    struct content content = {.data = file_read(path), .length = (size_t)file_size(path)};
    return content;
}

static void check_refused(struct bridge *bridge, const char *why)
{
    bridge_start(bridge);
    assert_int_equal(bridge_wait_exit(bridge), EXIT_STORE);
    bridge_wait_log(bridge, why);
}

/* A bridge that has run and stopped; its ledger has a command. */
static struct bridge *bridge_with_past(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    for (int i = 0; i < 8; i++) {
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    }
    bridge_stop(bridge);
    return bridge;
}

/* The bridge refuses the ledger, logs what to do, and does not change the file. */
static void check_damaged_refused(struct bridge *bridge, const char *path)
{
    struct content before = content_of(path);
    check_refused(bridge, "restore it from a backup");
    struct content after = content_of(path);
    assert_int_equal(after.length, before.length);
    assert_memory_equal(after.data, before.data, before.length);
    free(before.data);
    free(after.data);
}

static void test_a_ledger_with_an_overwritten_header_is_refused_and_left_alone(
    struct fixture *fixture)
{
    static const char noise[] = "these bytes are no header of a database, whatever they are";
    struct bridge *bridge = bridge_with_past(fixture);
    const char *path = path_in(fixture, bridge, "ledger.db");
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, noise, sizeof noise, 0), sizeof noise);
    close(file);
    check_damaged_refused(bridge, path);
}

static void test_a_truncated_ledger_is_refused_and_left_alone(struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    const char *path = path_in(fixture, bridge, "ledger.db");
    assert_int_equal(truncate(path, file_size(path) / 2), 0);
    check_damaged_refused(bridge, path);
}

static void test_a_ledger_that_is_no_database_is_refused_and_left_alone(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *path = path_in(fixture, bridge, "ledger.db");
    file_write(path, "The quick brown fox jumps over the lazy dog.\n");
    check_damaged_refused(bridge, path);
}

static void test_an_empty_file_is_refused_and_a_new_ledger_made_once_it_is_removed(
    struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    const char *path = path_in(fixture, bridge, "ledger.db");
    assert_int_equal(truncate(path, 0), 0);
    check_refused(bridge, "remove the file to begin with an empty ledger");
    assert_int_equal(file_size(path), 0);
    assert_int_equal(unlink(path), 0);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_wait_log(bridge, "event=ledger_created");
    bridge_stop(bridge);
}

static void test_a_directory_in_place_of_the_ledger_is_refused(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    assert_int_equal(mkdir(path_in(fixture, bridge, "ledger.db"), 0700), 0);
    check_refused(bridge, "ledger.db");
}

static void test_a_directory_that_is_not_there_is_refused_by_its_name(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge_alone(fixture, "ledger.store = \"sqlite:missing/ledger.db\";");
    check_refused(bridge, "missing/ledger.db");
    assert_true(access(path_in(fixture, bridge, "missing"), F_OK) != 0);
}

/* Runs the subcommand on the bridge's settings: it must name both versions, and exit with `code`.
 */
static void check_newer_refused(const struct bridge *bridge, const char *subcommand,
                                const char *verb, int code)
{
    const char *const argv[] = {BRIDGE_BINARY, subcommand, "--config", bridge->config, verb, NULL};
    struct tool_result result = tool_run(bridge->directory, bridge->env, argv);
    if (result.code != code || strstr(result.errors, "schema version 77") == NULL ||
        strstr(result.errors, "install the newer bridge again") == NULL) {
        flow_fail("%s: exit code %d: %s%s", subcommand, result.code, result.output, result.errors);
    }
    tool_result_fini(&result);
}

static void test_a_ledger_of_a_newer_bridge_is_refused_and_left_alone(struct fixture *fixture)
{
    enum { USER_VERSION_AT = 60 }; /* in the header of an SQLite file, big-endian */
    static const unsigned char NEWER[] = {0, 0, 0, 77};
    struct bridge *bridge = bridge_with_past(fixture);
    const char *path = path_in(fixture, bridge, "ledger.db");
    unsigned char present[sizeof NEWER];
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pread(file, present, sizeof present, USER_VERSION_AT), sizeof present);
    assert_int_equal(pwrite(file, NEWER, sizeof NEWER, USER_VERSION_AT), sizeof NEWER);
    struct content before = content_of(path);
    check_refused(bridge, "schema version 77");
    check_newer_refused(bridge, "ledger", "list", EXIT_STORE);
    check_newer_refused(bridge, "ledger", "verify", EXIT_STORE);
    check_newer_refused(bridge, "check", NULL, EX_CONFIG);
    struct content after = content_of(path);
    assert_int_equal(after.length, before.length);
    assert_memory_equal(after.data, before.data, before.length);
    free(before.data);
    free(after.data);
    assert_int_equal(pwrite(file, present, sizeof present, USER_VERSION_AT), sizeof present);
    close(file);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
}

/* Nobody can write to such a file, not even root; false if the file system has no such flag. */
static bool set_immutable(const char *path, bool is_immutable)
{
    int flags = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    bool is_done = ioctl(file, FS_IOC_GETFLAGS, &flags) == 0;
    flags = is_immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    is_done = is_done && ioctl(file, FS_IOC_SETFLAGS, &flags) == 0;
    close(file);
    return is_done;
}

static bool make_read_only(const char *path)
{
    return geteuid() != 0 ? chmod(path, 0400) == 0 : set_immutable(path, true);
}

static void test_a_ledger_that_may_only_be_read_is_refused_and_used_when_it_may_be_written(
    struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    const char *path = path_in(fixture, bridge, "ledger.db");
    if (!make_read_only(path)) {
        print_message("skipped: root, and a file system without the immutable flag\n");
        skip();
    }
    bridge_start(bridge);
    int code = bridge_wait_exit(bridge);
    assert_true(geteuid() != 0 ? chmod(path, 0600) == 0 : set_immutable(path, false));
    assert_int_equal(code, EXIT_STORE);
    bridge_wait_log(bridge, "ledger.db");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
}

static void test_a_second_bridge_on_a_ledger_is_refused_with_the_owner(struct fixture *fixture)
{
    struct bridge *first = fixture_bridge_alone(fixture, "");
    struct bridge *second =
        fixture_bridge_new(fixture, fixture_format(fixture, "ledger.store = \"sqlite:%s\";",
                                                   path_in(fixture, first, "ledger.db")));
    bridge_start(first);
    bridge_wait_online(first);
    check_refused(second, fixture_format(fixture, "process %d", (int)first->pid));
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_kill(first);
    bridge_start(second);
    bridge_wait_online(second);
    bridge_stop(second);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_command_that_cannot_be_stored_stays_with_the_broker_until_there_is_room),
        FLOW_TEST(test_an_outcome_that_cannot_be_stored_is_reported_once_it_is_stored),
        FLOW_TEST(test_an_outcome_lost_with_a_full_disk_is_found_again_with_the_same_token),
        FLOW_TEST(test_sigterm_ends_the_bridge_in_time_while_the_disk_is_full),
        FLOW_TEST(test_a_ledger_that_others_may_open_is_warned_of),
        FLOW_TEST(test_a_ledger_that_is_moved_away_takes_no_command_until_it_is_back),
        FLOW_TEST(test_a_ledger_with_an_overwritten_header_is_refused_and_left_alone),
        FLOW_TEST(test_a_truncated_ledger_is_refused_and_left_alone),
        FLOW_TEST(test_a_ledger_that_is_no_database_is_refused_and_left_alone),
        FLOW_TEST(test_an_empty_file_is_refused_and_a_new_ledger_made_once_it_is_removed),
        FLOW_TEST(test_a_directory_in_place_of_the_ledger_is_refused),
        FLOW_TEST(test_a_directory_that_is_not_there_is_refused_by_its_name),
        FLOW_TEST(test_a_ledger_of_a_newer_bridge_is_refused_and_left_alone),
        FLOW_TEST(test_a_ledger_that_may_only_be_read_is_refused_and_used_when_it_may_be_written),
        FLOW_TEST(test_a_second_bridge_on_a_ledger_is_refused_with_the_owner),
    };
    return flow_main("storage", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
