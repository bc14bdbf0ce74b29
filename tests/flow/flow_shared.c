/*
 * Two bridges with one ledger on PostgreSQL: what becomes of the work of one that is killed, or
 * stopped for longer than its lease. The server's URI is in LEDGER_STORE (tests/support/postgres).
 */
#include "flow_events.h"
#include "flow_http.h"
#include "flow_manager.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define LEASE_S 5
/* The others notice the death after the lease and two renewals; the rest is tolerance for a busy
 * machine. */
#define TAKE_OVER_MS (LEASE_S * 1000 + 2000 + 10000)

/* Ends with 75 when others have taken over. */
#define EXIT_LEASE_LOST 75

/* The other bridges adopt the session of a bridge that is absent for 2 s. */
#define ADOPT_EARLY "ledger.session_adopt_s = 2;"

static struct bridge *start_bridge(struct fixture *fixture, const char *share, const char *settings)
{
    const char *store = getenv("LEDGER_STORE");
    if (store == NULL) {
        flow_fail("LEDGER_STORE names no server: run this under tests/support/postgres run");
    }
    struct bridge *bridge =
        fixture_bridge_new(fixture, fixture_format(fixture,
                                                   "ledger.store = \"%s\"; ledger.lease_s = %d;"
                                                   "routes.share = \"%s\";%s",
                                                   store, LEASE_S, share, settings));
    bridge->env[2] = fixture_format(fixture, "STATE_DIRECTORY=%s", bridge->directory);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    return bridge;
}

/* A bridge that calls the API for the token, which does not answer, and another bridge. */
static void begin(struct fixture *fixture, const char *token, struct bridge **out_caller,
                  struct bridge **out_other)
{
    const char *share = fixture_name(fixture, "share"); /* no session of an earlier test is in it */
    *out_caller = start_bridge(fixture, share, "");
    fixture_send_hanging(fixture, token, fixture_name(fixture, "pg"));
    *out_other = start_bridge(fixture, share, "");
}

/* The other bridge makes the call again, with the same token, and answers. */
static void check_taken_over(struct fixture *fixture, const char *token, int64_t begin_ms)
{
    check_succeeded(fixture_expect_reply(fixture, token));
    int64_t took_ms = flow_now_ms() - begin_ms;
    print_message("taken over after %d ms\n", (int)took_ms);
    assert_true(took_ms <= TAKE_OVER_MS);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
}

static void test_a_killed_bridge_is_replaced_by_the_other_one(struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    struct bridge *caller;
    struct bridge *other;
    begin(fixture, token, &caller, &other);
    int64_t begin_ms = flow_now_ms();
    bridge_kill(caller);
    simulator_clear(&fixture->simulator);
    check_taken_over(fixture, token, begin_ms);
    assert_true(bridge_log_contains(other, "event=bridge_expelled"));
    assert_true(bridge_log_contains(other, "event=work_adopted"));
    /* The server of this test has no standby. */
    assert_true(bridge_log_contains(other, "event=ledger_not_synchronous"));
    /* It comes back, and each of them does its part. */
    bridge_start(caller);
    bridge_wait_online(caller);
    for (int i = 0; i < 4; i++) {
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                        fixture_name(fixture, "pg"), ""));
    }
    bridge_stop(other);
    bridge_stop(caller);
}

static void test_a_bridge_that_was_stopped_too_long_ends_without_doing_anything(
    struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    struct bridge *caller;
    struct bridge *other;
    begin(fixture, token, &caller, &other);
    int64_t begin_ms = flow_now_ms();
    kill(caller->pid, SIGSTOP);
    simulator_clear(&fixture->simulator);
    check_taken_over(fixture, token, begin_ms);
    kill(caller->pid, SIGCONT);
    assert_int_equal(bridge_wait_exit(caller), EXIT_LEASE_LOST);
    assert_true(bridge_log_contains(caller, "event=lease_lost"));
    /* Nobody answers twice, and it comes back. */
    bridge_start(caller);
    bridge_wait_online(caller);
    fixture_expect_nothing(
        fixture, &(struct match){.topic = fixture_format(fixture, FLOW_REPLIES "%s", token)});
    bridge_stop(other);
    bridge_stop(caller);
}

static const char *in_seconds(struct fixture *fixture, int seconds)
{
    char text[40];
    time_t then = time(NULL) + seconds;
    struct tm utc;
    gmtime_r(&then, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return fixture_format(fixture, ",\"NotAfter\":\"%s\"", text);
}

static struct tool_result ctl(struct bridge *bridge, const char *order, const char *token)
{
    const char *const argv[] = {BRIDGE_BINARY, "ctl", "--config", bridge->config,
                                order,         token, NULL};
    const char *const env[] = {bridge->env[2], NULL}; /* where its socket is */
    return tool_run(bridge->directory, env, argv);
}

struct count {
    const char *name;
    int count;
};

/* The accounting of a bridge. */
static void check_counts(struct bridge *bridge, const struct count *counts, size_t count)
{
    struct tool_result result = ctl(bridge, "status", NULL);
    cJSON *status = cJSON_Parse(result.output);
    for (size_t i = 0; i < count; i++) {
        if ((int)json_number(status, counts[i].name) != counts[i].count) {
            flow_fail("%s is not %d: %s", counts[i].name, counts[i].count, result.output);
        }
    }
    cJSON_Delete(status);
    tool_result_fini(&result);
}

/* What waits behind a call that does not answer is in the ledger only. */
static void test_a_command_in_line_expires_and_all_who_asked_get_the_reply(struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    const char *called = fixture_name(fixture, "called");
    const char *group = fixture_name(fixture, "pg");
    struct bridge *bridge = start_bridge(fixture, fixture_name(fixture, "share"), "");
    fixture_send_hanging(fixture, called, group);
    const char *extra = in_seconds(fixture, 8);
    fixture_send(fixture, fixture_command(fixture, token, group, extra));
    fixture_send(fixture, fixture_command(fixture, token, group, extra));
    for (int i = 0; i < 2; i++) {
        check_error(fixture_expect_reply(fixture, token), "failed", "Bridge.Expired", "expired",
                    false);
    }
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
    static const struct count COUNTS[] = {{"Counts.Received", 3}, {"Counts.HandedOver", 2},
                                          {"Counts.Resumed", 2},  {"Counts.Failed", 1},
                                          {"Counts.Replayed", 1}, {"Counts.InWork", 1},
                                          {"Counts.Waiting", 0}};
    check_counts(bridge, COUNTS, sizeof COUNTS / sizeof COUNTS[0]);
    simulator_clear(&fixture->simulator);
    check_succeeded(fixture_expect_reply(fixture, called));
    bridge_stop(bridge);
}

static void test_a_retry_that_waits_in_line_is_announced_as_one(struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    const char *called = fixture_name(fixture, "called");
    const char *group = fixture_name(fixture, "pg");
    struct bridge *bridge = start_bridge(fixture, fixture_name(fixture, "share"), "");
    simulator_fault(&fixture->simulator,
                    "\"reset_after\",\"Count\":-1,\"Match\":{\"ClientToken\":\"%s\"}", token);
    check_error(fixture_request(fixture, token, group, in_seconds(fixture, 4)), "unknown",
                "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    fixture_send_hanging(fixture, called, group);
    struct tool_result result = ctl(bridge, "retry", token);
    if (result.code != 0 || strstr(result.output, "it waits until another command") == NULL) {
        flow_fail("exit code %d: %s%s", result.code, result.output, result.errors);
    }
    tool_result_fini(&result);
    simulator_clear(&fixture->simulator);
    check_succeeded(fixture_expect_reply(fixture, token));
    check_succeeded(fixture_expect_reply(fixture, called));
    /* The order resumes it and hands it over; the end of the other command resumes it again. */
    static const struct count COUNTS[] = {{"Counts.Received", 2},
                                          {"Counts.HandedOver", 1},
                                          {"Counts.Resumed", 2},
                                          {"Counts.Unknown", 1},
                                          {"Counts.Succeeded", 2}};
    check_counts(bridge, COUNTS, sizeof COUNTS / sizeof COUNTS[0]);
    bridge_stop(bridge);
}

/* A group that is watched. */
struct watched_group {
    const char *token;
    const char *name;
    const char *first; /* the payload of its first event */
};

static struct watched_group start_group(struct fixture *fixture)
{
    struct watched_group group = {.token = fixture_name(fixture, "token"),
                                  .name = fixture_name(fixture, "pg")};
    check_succeeded(fixture_request(fixture, group.token, group.name, ""));
    group.first = events_expect(fixture, group.token, group.name, "watching", 1, false)->payload;
    return group;
}

/* Starts groups until the bridge has made the call of one. */
static struct watched_group start_group_of(struct fixture *fixture, const struct bridge *bridge)
{
    for (int i = 0; i < 8; i++) {
        struct watched_group group = start_group(fixture);
        if (bridge_log_contains(bridge, fixture_format(fixture,
                                                       "command_done status=succeeded"
                                                       " token=%s",
                                                       group.token))) {
            return group;
        }
    }
    flow_fail("the broker gave the bridge no command");
}

/* The bridge with the admin endpoint at this port shows what the command has started, though
 * another one reads its group. */
static void check_shows_watch(struct fixture *fixture, int port, const struct watched_group *group)
{
    char *body;
    const char *path = fixture_format(fixture, "/api/commands/%s", group->token);
    assert_int_equal(http_exchange(port, "GET", path, NULL, &body), 200);
    cJSON *record = cJSON_Parse(body);
    const cJSON *watch = cJSON_GetObjectItemCaseSensitive(record, "Watch");
    assert_non_null(watch);
    assert_int_equal((int)json_number(watch, "Seq"), 1);
    cJSON_Delete(record);
    free(body);
}

/* The events that follow the first one, which may have been published again. */
static void expect_end(struct fixture *fixture, const struct watched_group *group)
{
    const struct match match = {.topic = fixture_format(fixture, EVENTS_TOPIC "%s", group->name),
                                .token = group->token};
    const struct message *event = client_expect(fixture->sender, &match);
    if (json_number(event->json, "Seq") < 2) {
        assert_string_equal(event->payload, group->first);
        event = client_expect(fixture->sender, &match);
    }
    check_text(event, "Event", "status");
    assert_int_equal((int)json_number(event->json, "Seq"), 2);
    events_expect(fixture, group->token, group->name, "synchronised", 3, true);
}

/* Both begin watches, and one reads the groups of the region. */
static void test_watches_go_on_when_the_bridge_that_reads_the_groups_is_killed(
    struct fixture *fixture)
{
    const char *share = fixture_name(fixture, "share");
    client_subscribe(fixture->sender, EVENTS_TOPIC "#");
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":%d}", EVENTS_SYNC_MS);
    struct bridge *reader = start_bridge(fixture, share, EVENTS_SETTINGS);
    const struct watched_group first = start_group(fixture);
    int guard = -1;
    int port = port_reserve(&guard);
    struct bridge *other = start_bridge(
        fixture, share,
        fixture_format(fixture, EVENTS_SETTINGS "admin.listen = \"127.0.0.1:%d\";", port));
    close(guard);
    const struct watched_group second = start_group_of(fixture, other);
    assert_false(bridge_log_contains(other, "event=region_polled"));
    check_shows_watch(fixture, port, &first);
    bridge_kill(reader);
    bridge_wait_log(other, "event=region_polled");
    events_end_copies(fixture);
    expect_end(fixture, &first);
    expect_end(fixture, &second);
    bridge_start(reader); /* or the broker keeps its part of the commands for it */
    bridge_wait_online(reader);
    fixture_expect_nothing(
        fixture, &(struct match){.topic = fixture_format(fixture, EVENTS_TOPIC "%s", second.name)});
    bridge_stop(other);
    bridge_stop(reader);
    simulator_reset(&fixture->simulator);
}

/* ---- sessions of dead bridges ---- */

enum { COMMANDS = 8 };

/* Kills the bridge and sends commands, of which the broker puts some into its session; the other
 * one adopts it. */
static void die(struct fixture *fixture, struct bridge *dead, const struct bridge *other,
                const char *tokens[COMMANDS])
{
    bridge_kill(dead);
    for (int i = 0; i < COMMANDS; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_command(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
    }
    bridge_wait_log(other, fixture_format(fixture, "of_instance=test-%d", dead->number));
}

static void expect_all(struct fixture *fixture, const char *const tokens[COMMANDS])
{
    for (int i = 0; i < COMMANDS; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Effects"), 1);
    }
}

/* Stops the drainer by SIGSTOP, so that it does not end the session. */
static void stop_drainer(struct fixture *fixture, const struct bridge *bridge)
{
    pid_t drainers[BRIDGE_CHILDREN_MAX];
    while (bridge_children(bridge, "drainer", drainers) == 0) {
        client_step(fixture->sender, 10);
    }
    kill(drainers[0], SIGSTOP);
}

static void come_back(struct bridge *bridge)
{
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_false(bridge_log_contains(bridge, "event=session_lost"));
}

/* One test, because each bridge that it leaves behind has a session that others adopt. */
static void test_the_session_of_a_dead_bridge_is_drained_by_the_other_one_unless_it_comes_back(
    struct fixture *fixture)
{
    const char *share = fixture_name(fixture, "share");
    struct bridge *first = start_bridge(fixture, share, ADOPT_EARLY);
    struct bridge *second = start_bridge(fixture, share, ADOPT_EARLY);
    const char *tokens[COMMANDS];
    die(fixture, first, second, tokens);
    expect_all(fixture, tokens);
    bridge_wait_log(second, "event=session_ended");
    assert_false(bridge_log_contains(second, "event=session_lost"));
    /* The broker gives the dead one nothing more. */
    for (int i = 0; i < COMMANDS; i++) {
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                        fixture_name(fixture, "pg"), ""));
    }
    come_back(first);
    /* Now the other way round. This one comes back while its session is drained. */
    die(fixture, second, first, tokens);
    stop_drainer(fixture, first);
    come_back(second);
    assert_true(bridge_log_contains(first, "event=session_abandoned"));
    assert_true(bridge_log_contains(second, "event=session_held"));
    expect_all(fixture, tokens);
    /* An orderly stop is an absence, too. */
    bridge_stop(second);
    bridge_wait_log(first, "event=session_ended");
    bridge_stop(first);
}

/* A bridge whose database is where `path` will lead. */
static struct bridge *start_without_database(struct fixture *fixture, const char *path,
                                             const char *settings)
{
    struct manager manager = manager_new(fixture);
    struct bridge *bridge = fixture_bridge_new(
        fixture, fixture_format(fixture,
                                "ledger.store = \"postgresql://bridge@/postgres?host=%s\";"
                                "routes.share = \"%s\";%s",
                                path, fixture_name(fixture, "share"), settings));
    bridge->env[2] = fixture_format(fixture, "STATE_DIRECTORY=%s", bridge->directory);
    bridge->env[3] = fixture_format(fixture, "NOTIFY_SOCKET=%s", manager.address.sun_path);
    bridge_start(bridge);
    bridge_wait_log(bridge, "event=store_unavailable");
    manager_expect(&manager, "EXTEND_TIMEOUT_USEC=");
    close(manager.fd);
    return bridge;
}

/* The page answers with this HTTP status and contains the text. */
static void check_page(int port, const char *path, long http, const char *text)
{
    char *body = NULL;
    assert_int_equal(http_exchange(port, "GET", path, NULL, &body), http);
    assert_non_null(strstr(body, text));
    free(body);
}

/* Runs `check --online` with the settings of the bridge: its exit code and what it prints. */
static void check_online(const struct bridge *bridge, int code, const char *output,
                         const char *errors)
{
    const char *const argv[] = {BRIDGE_BINARY, "check",    "--config",   bridge->config,
                                "--online",    "--region", "cn-beijing", NULL};
    struct tool_result result = tool_run(bridge->directory, bridge->env, argv);
    if (result.code != code || strstr(result.output, output) == NULL ||
        strstr(result.errors, errors) == NULL) {
        flow_fail("exit code %d: %s%s", result.code, result.output, result.errors);
    }
    tool_result_fini(&result);
}

static void test_a_bridge_that_starts_without_its_database_waits_for_it(struct fixture *fixture)
{
    int guard = -1;
    int port = port_reserve(&guard);
    const char *folder = strstr(getenv("LEDGER_STORE"), "host=");
    const char *path = fixture_format(fixture, "/tmp/%s", fixture_name(fixture, "late"));
    assert_non_null(folder);
    struct bridge *bridge = start_without_database(
        fixture, path, fixture_format(fixture, "admin.listen = \"127.0.0.1:%d\";", port));
    close(guard);
    check_page(port, "/livez", 200, "ok");
    check_page(port, "/readyz", 503, "store_unavailable since ");
    check_online(bridge, EX_UNAVAILABLE, "", "ledger: ");
    assert_int_equal(symlink(folder + strlen("host="), path), 0);
    bridge_wait_online(bridge);
    assert_true(bridge_log_contains(bridge, "event=store_available"));
    check_page(port, "/readyz", 200, "ready");
    check_online(bridge, 0, "ledger: connected; the tables have version ",
                 "ledger: the server has no synchronous standby");
    check_page(port, "/api/commands", 200, "\"Outcomes\":[");
    unlink(path);
    bridge_stop(bridge);
}

static void test_a_bridge_that_waits_for_its_database_can_be_stopped(struct fixture *fixture)
{
    const char *path = fixture_format(fixture, "/tmp/%s", fixture_name(fixture, "never"));
    bridge_stop(start_without_database(fixture, path, ""));
}

/* Runs tests/support/postgres. */
static void server(struct fixture *fixture, const char *verb, const char *folder, const char *rest)
{
    assert_int_equal(
        system(fixture_format(fixture, "$POSTGRES_SERVER %s %s %s", verb, folder, rest)), 0);
}

/* Starts a standby of the first server, and sets LEDGER_STORE to the URI of both. */
static const char *start_standby(struct fixture *fixture, const char *first, const char *kind)
{
    const char *second = fixture_format(fixture, "%s/../standby", first);
    server(fixture, "standby", second, fixture_format(fixture, "%s %s", first, kind));
    setenv("LEDGER_STORE",
           fixture_format(fixture, "postgresql://bridge@/postgres?host=%s,%s", first, second), 1);
    return second;
}

static const char *first_server(void)
{
    return strstr(getenv("LEDGER_STORE"), "host=") + strlen("host=");
}

/* The server does not end a commit that waits for its standby. */
static void test_without_the_synchronous_standby_nothing_is_acknowledged_until_it_is_back(
    struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    const char *second = start_standby(fixture, first_server(), "synchronous");
    struct bridge *bridge = start_bridge(fixture, fixture_name(fixture, "share"), "");
    assert_false(bridge_log_contains(bridge, "event=ledger_not_synchronous"));
    server(fixture, "kill", second, "");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    bridge_wait_log(bridge, "event=store_unavailable");
    bridge_wait_log(bridge, "reasons=\"[\\\"store_unavailable\\\"]\"");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
    server(fixture, "up", second, "");
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    bridge_wait_log(bridge, "event=store_available");
    bridge_stop(bridge);
}

/* The last test: the server of the others is down after it. */
static void test_a_fail_over_that_may_have_lost_commits_is_reported_until_it_is_acknowledged(
    struct fixture *fixture)
{
    const char *first =
        fixture_format(fixture, "%.*s", (int)strcspn(first_server(), ","), first_server());
    const char *second = start_standby(fixture, first, "asynchronous");
    struct bridge *bridge = start_bridge(fixture, fixture_name(fixture, "share"), "");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    server(fixture, "kill", first, "");
    server(fixture, "promote", second, "");
    bridge_wait_log(bridge, "event=ledger_may_have_lost");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
    bridge_start(bridge); /* it has not forgotten it */
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    assert_int_equal(kill(bridge->pid, SIGUSR2), 0);
    bridge_wait_log(bridge, "event=ledger_loss_acknowledged");
    bridge_stop(bridge);
    server(fixture, "stop", second, "");
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(
            test_the_session_of_a_dead_bridge_is_drained_by_the_other_one_unless_it_comes_back),
        FLOW_TEST(test_a_killed_bridge_is_replaced_by_the_other_one),
        FLOW_TEST(test_a_bridge_that_was_stopped_too_long_ends_without_doing_anything),
        FLOW_TEST(test_a_command_in_line_expires_and_all_who_asked_get_the_reply),
        FLOW_TEST(test_a_retry_that_waits_in_line_is_announced_as_one),
        FLOW_TEST(test_watches_go_on_when_the_bridge_that_reads_the_groups_is_killed),
        FLOW_TEST(test_a_bridge_that_starts_without_its_database_waits_for_it),
        FLOW_TEST(test_a_bridge_that_waits_for_its_database_can_be_stopped),
        FLOW_TEST(test_without_the_synchronous_standby_nothing_is_acknowledged_until_it_is_back),
        FLOW_TEST(test_a_fail_over_that_may_have_lost_commits_is_reported_until_it_is_acknowledged),
    };
    return flow_main("flow_shared", tests, sizeof tests / sizeof tests[0], "", argc, argv);
}
