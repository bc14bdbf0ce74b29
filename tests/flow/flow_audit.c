/* The audit file of a real bridge: what is in it, and that every change to it is found. */
#include "flow_http.h"
#include "flow_load.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUDITED "audit.file = \"audit.log\";"

enum { EXIT_FAULT = 1, EXIT_STORE = 73, LINES_MAX = 20000, LARGE_FILE_LINES = 80000 };

static const char *path_in(struct fixture *fixture, const struct bridge *bridge, const char *name)
{
    return fixture_format(fixture, "%s/%s", bridge->directory, name);
}

/* --- the file as its lines --- */

struct lines {
    char *text;
    char *rows[LINES_MAX];
    size_t count;
};

/* Without the first `skipped` lines, and without an incomplete last one, which is being written. */
static struct lines *lines_of_end(const char *path, size_t skipped)
{
    struct lines *lines = calloc(1, sizeof *lines);
    assert_non_null(lines);
    lines->text = file_read(path);
    char *end;
    for (char *at = lines->text; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        if (skipped > 0) {
            skipped--;
            continue;
        }
        assert_true(lines->count < LINES_MAX);
        lines->rows[lines->count++] = at;
    }
    return lines;
}

static struct lines *lines_of(const char *path)
{
    return lines_of_end(path, 0);
}

static void lines_free(struct lines *lines)
{
    free(lines->text);
    free(lines);
}

static void write_lines(const char *path, const struct lines *lines)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < lines->count; i++) {
        fprintf(file, "%s\n", lines->rows[i]);
    }
    assert_int_equal(fclose(file), 0);
}

static bool is_line(const char *row, const char *event, const char *part)
{
    char begin[64];
    snprintf(begin, sizeof begin, "\"Event\":\"%s\"", event);
    return strstr(row, begin) != NULL && strstr(row, part) != NULL;
}

static int count_lines(const struct lines *lines, const char *event, const char *part)
{
    int count = 0;
    for (size_t i = 0; i < lines->count; i++) {
        count += is_line(lines->rows[i], event, part);
    }
    return count;
}

/* The only line of that event that contains the part, as JSON; the caller frees it. */
static cJSON *only_line(const struct lines *lines, const char *event, const char *part)
{
    cJSON *json = NULL;
    assert_int_equal(count_lines(lines, event, part), 1);
    for (size_t i = 0; i < lines->count; i++) {
        if (is_line(lines->rows[i], event, part)) {
            json = cJSON_Parse(lines->rows[i]);
        }
    }
    assert_non_null(json);
    return json;
}

static struct lines *audit_of(struct fixture *fixture, const struct bridge *bridge)
{
    return lines_of(path_in(fixture, bridge, "audit.log"));
}

/* Lines follow a moment after the reply: waits until there is one of that event and with the part.
 */
static struct lines *audit_with(struct fixture *fixture, const struct bridge *bridge,
                                const char *event, const char *part)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    for (;;) {
        struct lines *lines = audit_of(fixture, bridge);
        if (count_lines(lines, event, part) > 0) {
            return lines;
        }
        if (flow_now_ms() > end_ms) {
            flow_fail("no line \"%s\" with %s in the audit file", event, part);
        }
        lines_free(lines);
        flow_pause();
    }
}

static const char *token_part(struct fixture *fixture, const char *token)
{
    return fixture_format(fixture, "\"ClientToken\":\"%s\"", token);
}

static void check_line(struct fixture *fixture, const struct bridge *bridge, const char *event,
                       const char *token, const char *path, const char *value)
{
    struct lines *lines = audit_with(fixture, bridge, event, token_part(fixture, token));
    cJSON *line = only_line(lines, event, token_part(fixture, token));
    assert_string_equal(json_text(line, path), value);
    cJSON_Delete(line);
    lines_free(lines);
}

/* --- verify-audit --- */

static void check_verify(const struct bridge *bridge, int code, const char *part)
{
    const char *const argv[] = {BRIDGE_BINARY,  "ledger",       "--config",
                                bridge->config, "verify-audit", NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    if (result.code != code || strstr(result.output, part) == NULL) {
        flow_fail("exit code %d, not %d, or no \"%s\": %s%s", result.code, code, part,
                  result.output, result.errors);
    }
    tool_result_fini(&result);
}

static void check_verify_files(const struct bridge *bridge, const char *first, const char *second,
                               int code, const char *part)
{
    const char *const argv[] = {BRIDGE_BINARY,  "ledger", "--config", bridge->config,
                                "verify-audit", first,    second,     NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    assert_int_equal(result.code, code);
    assert_non_null(strstr(result.output, part));
    tool_result_fini(&result);
}

/* --- what is in it --- */

static void test_a_success_has_a_line_for_the_claim_and_one_for_the_outcome(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, AUDITED);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    struct lines *lines = audit_with(fixture, bridge, "outcome", token_part(fixture, token));
    cJSON *claimed = only_line(lines, "claimed", token_part(fixture, token));
    cJSON *outcome = only_line(lines, "outcome", token_part(fixture, token));
    assert_string_equal(json_text(claimed, "Route"), "start");
    assert_string_equal(json_text(claimed, "Topic"), FLOW_COMMANDS);
    assert_string_equal(json_text(claimed, "RegionId"), "cn-beijing");
    assert_string_equal(json_text(claimed, "ReplicaGroupId"), group);
    assert_string_equal(json_text(claimed, "ReplyTopic"),
                        fixture_format(fixture, FLOW_REPLIES "%s", token));
    assert_false(json_is_true(claimed, "OneShot"));
    assert_int_equal(json_number(claimed, "QoS"), 1);
    assert_int_equal(strlen(json_text(claimed, "Time")), 24);
    assert_string_equal(json_text(outcome, "Status"), "succeeded");
    assert_string_equal(json_text(outcome, "RequestId"), json_text(reply->json, "RequestId"));
    assert_int_equal(json_number(outcome, "Attempts"), 1);
    assert_int_equal(json_number(outcome, "Replies"), 1);
    assert_true(json_number(claimed, "Seq") < json_number(outcome, "Seq"));
    cJSON_Delete(claimed);
    cJSON_Delete(outcome);
    lines_free(lines);
    check_verify(bridge, 0, "end as the ledger says");
}

static void test_a_duplicate_and_another_command_with_its_token_have_lines(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, AUDITED);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_error(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""), "failed",
                "IdempotentParameterMismatch", "invalid", false);
    check_line(fixture, bridge, "replayed", token, "Status", "succeeded");
    check_line(fixture, bridge, "mismatch", token, "Code", "IdempotentParameterMismatch");
    check_verify(bridge, 0, "are whole");
}

static void test_a_duplicate_in_work_has_a_line(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, AUDITED);
    const char *token = fixture_name(fixture, "token");
    const char *command = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    simulator_fault(&fixture->simulator,
                    "\"latency\",\"DelayMs\":700,\"Match\":{\"ClientToken\":\"%s\"}", token);
    fixture_send(fixture, command);
    simulator_wait_token(&fixture->simulator, token, 1);
    fixture_send(fixture, command);
    check_succeeded(fixture_expect_reply(fixture, token));
    check_succeeded(fixture_expect_reply(fixture, token));
    check_line(fixture, bridge, "joined", token, "Topic", FLOW_COMMANDS);
    struct lines *lines = audit_with(fixture, bridge, "outcome", token_part(fixture, token));
    cJSON *outcome = only_line(lines, "outcome", token_part(fixture, token));
    assert_int_equal(json_number(outcome, "Replies"), 2);
    cJSON_Delete(outcome);
    lines_free(lines);
}

static void test_refusals_and_dead_letters_have_lines_without_their_payload(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, AUDITED);
    const char *token = fixture_name(fixture, "token");
    fixture_request(fixture, token, fixture_name(fixture, "pg"),
                    ",\"Wrong\":\"canary-in-a-field\"");
    fixture_send(fixture, "canary-in-no-json");
    client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    check_line(fixture, bridge, "refused", token, "Code", "Bridge.UnknownParameter");
    struct lines *lines =
        audit_with(fixture, bridge, "dead_letter", "\"Code\":\"Bridge.MalformedPayload\"");
    cJSON *letter = only_line(lines, "dead_letter", "\"Code\":\"Bridge.MalformedPayload\"");
    assert_int_equal(json_number(letter, "PayloadBytes"), 17);
    assert_string_equal(json_text(letter, "Topic"), FLOW_COMMANDS);
    cJSON_Delete(letter);
    lines_free(lines);
    assert_false(file_contains(path_in(fixture, bridge, "audit.log"), 0, "canary"));
    assert_false(file_contains(path_in(fixture, bridge, "audit.log"), 0, FLOW_ACCESS_SECRET));
    assert_false(file_contains(path_in(fixture, bridge, "audit.log"), 0, FLOW_ACCESS_KEY));
}

static void test_what_the_api_refused_and_what_is_unknown_have_lines(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge(fixture, AUDITED "limits.deadline_s = 1; api.read_timeout_ms = 300;");
    const char *denied = fixture_name(fixture, "token");
    const char *unsure = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"NoSuchResource\",\"Match\":{\"ClientToken\":\"%s\"}",
                    denied);
    fixture_request(fixture, denied, fixture_name(fixture, "pg"), "");
    check_line(fixture, bridge, "outcome", denied, "Code", "NoSuchResource");
    check_line(fixture, bridge, "outcome", denied, "Status", "failed");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1,\"Match\":{\"ClientToken\":\"%s\"}",
                    unsure);
    fixture_request(fixture, unsure, fixture_name(fixture, "pg"), "");
    check_line(fixture, bridge, "outcome", unsure, "Status", "unknown");
    simulator_clear(&fixture->simulator);
    check_verify(bridge, 0, "are whole");
}

static void test_a_token_is_refused_on_a_route_that_may_not_start_its_group(struct fixture *fixture)
{
    static const char settings[] =
        AUDITED "routes = ({ name = \"one\"; topics = (\"one/start\"); groups = (\"pg-one-*\"); },"
                "{ name = \"two\"; topics = (\"two/start\"); groups = (\"pg-two-*\"); });";
    struct bridge *bridge = fixture_bridge(fixture, settings);
    const char *token = fixture_name(fixture, "token");
    const char *command = fixture_command(fixture, token, "pg-one-1", "");
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = "one/start", .payload = command, .qos = 1});
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_succeeded(reply);
    const char *request_id = json_text(reply->json, "RequestId");
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = "two/start", .payload = command, .qos = 1});
    const struct message *refusal = fixture_expect_reply(fixture, token);
    check_error(refusal, "failed", "Bridge.NotAllowed", "denied", false);
    assert_false(json_is_true(refusal->json, "Replayed"));
    assert_null(strstr(refusal->payload, request_id));
    check_line(fixture, bridge, "refused", token, "Code", "Bridge.NotAllowed");
    check_line(fixture, bridge, "refused", token, "Topic", "two/start");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

/* --- changes to the file --- */

/* A bridge that has run and stopped; its audit file has at least twelve lines. */
static struct bridge *bridge_with_past(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, AUDITED);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    for (int i = 0; i < 6; i++) {
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                        fixture_name(fixture, "pg"), ""));
    }
    bridge_stop(bridge);
    check_verify(bridge, 0, "are whole, Seq 1 to 13, and end as the ledger says");
    return bridge;
}

static void test_a_changed_byte_is_found_at_its_line(struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    struct lines *lines = audit_of(fixture, bridge);
    char *number = strstr(lines->rows[6], "\"RegionId\":\"cn-beijing\"");
    assert_non_null(number);
    number[strlen("\"RegionId\":\"cn-b")] = 'f';
    write_lines(path_in(fixture, bridge, "audit.log"), lines);
    check_verify(bridge, EXIT_FAULT, "line 7 does not fit its Hash");
    lines_free(lines);
}

static void test_a_removed_line_is_found_where_it_was(struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    struct lines *lines = audit_of(fixture, bridge);
    memmove(lines->rows + 4, lines->rows + 5, (lines->count - 5) * sizeof lines->rows[0]);
    lines->count--;
    write_lines(path_in(fixture, bridge, "audit.log"), lines);
    check_verify(bridge, EXIT_FAULT, "line 5 has a Seq too high");
    lines_free(lines);
}

static void test_lines_in_another_order_are_found(struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    struct lines *lines = audit_of(fixture, bridge);
    char *third = lines->rows[2];
    lines->rows[2] = lines->rows[3];
    lines->rows[3] = third;
    write_lines(path_in(fixture, bridge, "audit.log"), lines);
    check_verify(bridge, EXIT_FAULT, "line 3 has a Seq too high");
    lines_free(lines);
}

static void test_a_cut_end_is_found_by_the_ledger_and_logged_when_the_bridge_starts(
    struct fixture *fixture)
{
    struct bridge *bridge = bridge_with_past(fixture);
    struct lines *lines = audit_of(fixture, bridge);
    lines->count -= 2;
    write_lines(path_in(fixture, bridge, "audit.log"), lines);
    check_verify(bridge, EXIT_FAULT, "ends too early");
    lines_free(lines);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_wait_log(bridge, "event=audit_damaged");
    lines_free(audit_with(fixture, bridge, "opened", "\"Damaged\":true"));
    check_verify(bridge, EXIT_FAULT, "line 12 has a Seq too high");
    bridge_stop(bridge);
}

static void test_a_link_in_place_of_the_file_is_refused(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, AUDITED);
    assert_int_equal(symlink("elsewhere", path_in(fixture, bridge, "audit.log")), 0);
    bridge_start(bridge);
    assert_int_equal(bridge_wait_exit(bridge), EXIT_STORE);
    bridge_wait_log(bridge, "symbolic link");
}

static void test_without_a_file_nothing_is_verified(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *const argv[] = {BRIDGE_BINARY,  "ledger",       "--config",
                                bridge->config, "verify-audit", NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    assert_int_equal(result.code, 78);
    assert_non_null(strstr(result.errors, "audit.file is not set"));
    tool_result_fini(&result);
}

/* --- rotation --- */

static void test_a_moved_file_is_continued_after_sighup(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, AUDITED);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    const char *path = path_in(fixture, bridge, "audit.log");
    const char *moved = path_in(fixture, bridge, "audit.log.1");
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(kill(bridge->pid, SIGHUP), 0);
    bridge_wait_log(bridge, "event=audit_reopened");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    lines_free(audit_with(fixture, bridge, "outcome", "\"Seq\":6"));
    check_verify(bridge, 0, "Seq 4 to 6, and end as the ledger says");
    check_verify_files(bridge, moved, path, 0, "6 lines are whole, Seq 1 to 6");
    check_verify_files(bridge, path, moved, EXIT_FAULT, "line 1 begins a file that continues");
    bridge_stop(bridge);
}

/* --- crashes and a full disk --- */

static void kill_in_the_middle(struct bridge *bridge, struct load *load, int answered_count)
{
    load_wait_answered(load, answered_count);
    bridge_kill(bridge);
    bridge_start(bridge);
}

static void test_kills_leave_one_chain_with_each_claim_and_outcome_exactly_once(
    struct fixture *fixture)
{
    enum { COMMANDS = 300, KILLS = 5 };
    struct bridge *bridge = fixture_bridge_alone(fixture, AUDITED);
    const char *prefix = fixture_name(fixture, "killed");
    struct load *load = calloc(1, sizeof *load);
    assert_non_null(load);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    load_init(load, fixture, prefix, COMMANDS, COMMANDS, COMMANDS);
    for (int i = 0; i < KILLS; i++) {
        load_send(load, i * COMMANDS / KILLS, (i + 1) * COMMANDS / KILLS);
        kill_in_the_middle(bridge, load, i * COMMANDS / KILLS + COMMANDS / KILLS / 3);
    }
    load_wait_answered(load, COMMANDS);
    load_check(load);
    bridge_stop(bridge);
    check_verify(bridge, 0, "and end as the ledger says");
    struct lines *lines = audit_of(fixture, bridge);
    for (int i = 0; i < COMMANDS; i++) {
        const char *token = token_part(fixture, fixture_format(fixture, "%s-%d", prefix, i));
        assert_int_equal(count_lines(lines, "claimed", token), 1);
        assert_int_equal(count_lines(lines, "outcome", token), 1);
    }
    lines_free(lines);
    load_fini(load);
    free(load);
}

/* Longer than the ledger's write-ahead log ever gets: a limit on file sizes stops this file first.
 */
static void write_large_audit(const char *path)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file,
            "{\"Seq\":1,\"Time\":\"\",\"Event\":\"opened\",\"NewFile\":true,"
            "\"Previous\":\"%064d\"}\n",
            0);
    for (int i = 2; i <= LARGE_FILE_LINES; i++) {
        fprintf(file,
                "{\"Seq\":%d,\"Time\":\"2026-01-02T03:04:05.123Z\",\"Event\":\"claimed\","
                "\"ClientToken\":\"a token of long ago\"}\n",
                i);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void wait_until_longer(const char *path, int64_t bytes)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (file_size(path) <= bytes) {
        if (flow_now_ms() > end_ms) {
            flow_fail("%s did not grow", path);
        }
        flow_pause();
    }
}

static void limit_files(const struct bridge *bridge, rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(prlimit(bridge->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static long readyz(int port)
{
    char *body = NULL;
    long http = http_exchange(port, "GET", "/readyz", NULL, &body);
    free(body);
    return http;
}

static void test_while_the_file_is_full_records_wait_and_too_many_stop_the_intake(
    struct fixture *fixture)
{
    int guard = -1;
    int port = port_reserve(&guard);
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture,
                                AUDITED "audit.chain = false; limits.outbox_messages = 4; "
                                        "admin.listen = \"127.0.0.1:%d\";",
                                port));
    const char *path = path_in(fixture, bridge, "audit.log");
    const char *first = fixture_name(fixture, "token");
    const char *second = fixture_name(fixture, "token");
    const char *third = fixture_name(fixture, "token");
    write_large_audit(path);
    int64_t bytes = (int64_t)file_size(path);
    bridge_start(bridge);
    close(guard);
    bridge_wait_online(bridge);
    wait_until_longer(path, bytes); /* because of the line "opened" */
    limit_files(bridge, (rlim_t)file_size(path) + 100);
    check_succeeded(fixture_request(fixture, first, fixture_name(fixture, "pg"), ""));
    bridge_wait_log(bridge, "event=audit_unavailable");
    bridge_wait_log(bridge, "cannot write the audit file audit.log");
    client_expect(fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    check_succeeded(fixture_request(fixture, second, fixture_name(fixture, "pg"), ""));
    bridge_wait_log(bridge, "audit_full");
    assert_int_equal(readyz(port), 503);
    fixture_send(fixture, fixture_command(fixture, third, fixture_name(fixture, "pg"), ""));
    client_sync(fixture->sender);
    assert_int_equal(client_count(fixture->sender, &(struct match){.token = third}), 0);
    assert_int_equal(simulator_token(&fixture->simulator, third, "Calls"), 0);
    limit_files(bridge, RLIM_INFINITY);
    check_succeeded(fixture_expect_reply(fixture, third));
    bridge_wait_online(bridge);
    assert_int_equal(readyz(port), 200);
    assert_int_equal(simulator_token(&fixture->simulator, third, "Calls"), 1);
    bridge_stop(bridge);
    check_verify(bridge, 0, "and end as the ledger says");
    struct lines *lines = lines_of_end(path, LARGE_FILE_LINES);
    const char *const tokens[] = {first, second, third};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        assert_int_equal(count_lines(lines, "claimed", token_part(fixture, tokens[i])), 1);
        assert_int_equal(count_lines(lines, "outcome", token_part(fixture, tokens[i])), 1);
    }
    lines_free(lines);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_success_has_a_line_for_the_claim_and_one_for_the_outcome),
        FLOW_TEST(test_a_duplicate_and_another_command_with_its_token_have_lines),
        FLOW_TEST(test_a_duplicate_in_work_has_a_line),
        FLOW_TEST(test_refusals_and_dead_letters_have_lines_without_their_payload),
        FLOW_TEST(test_what_the_api_refused_and_what_is_unknown_have_lines),
        FLOW_TEST(test_a_token_is_refused_on_a_route_that_may_not_start_its_group),
        FLOW_TEST(test_a_changed_byte_is_found_at_its_line),
        FLOW_TEST(test_a_removed_line_is_found_where_it_was),
        FLOW_TEST(test_lines_in_another_order_are_found),
        FLOW_TEST(test_a_cut_end_is_found_by_the_ledger_and_logged_when_the_bridge_starts),
        FLOW_TEST(test_a_link_in_place_of_the_file_is_refused),
        FLOW_TEST(test_without_a_file_nothing_is_verified),
        FLOW_TEST(test_a_moved_file_is_continued_after_sighup),
        FLOW_TEST(test_kills_leave_one_chain_with_each_claim_and_outcome_exactly_once),
        FLOW_TEST(test_while_the_file_is_full_records_wait_and_too_many_stop_the_intake),
    };
    return flow_main("audit", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
