/* The order of durable writes and messages, seen in the bridge's system calls. */
#include "flow_fixture.h"
#include "support/sanitizer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACED_BYTES = 4096 + 1024, HEX_BYTES = 512, PID_BYTES = 16 };

struct trace {
    pid_t strace;
    char output[256];
    char errors[256];
    char broker[32]; /* the broker's end of the connection, as strace prints it */
    char api_address[32];
};

static void give_up_tracing(struct trace *trace, const char *why)
{
    process_end(trace->strace, SIGKILL, FLOW_TIMEOUT_MS);
    print_message("skipped: %s\n", why);
    skip();
}

/* The number of threads that strace reports as attached. */
static int attached_count(const struct trace *trace)
{
    int count = 0;
    char *text = file_read(trace->errors);
    for (const char *at = text; (at = strstr(at, " attached")) != NULL; at++) {
        count++;
    }
    free(text);
    return count;
}

static void trace_begin(struct trace *trace, const struct bridge *bridge)
{
    static const char calls[] = "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg";
    const struct fixture *fixture = bridge->fixture;
    char pids[3][PID_BYTES];
    pid_t receiver[BRIDGE_CHILDREN_MAX];
    pid_t publisher[BRIDGE_CHILDREN_MAX];
    assert_int_equal(bridge_children(bridge, "receiver", receiver), 1);
    assert_int_equal(bridge_children(bridge, "publisher", publisher), 1);
    snprintf(pids[0], PID_BYTES, "%d", (int)bridge->pid);
    snprintf(pids[1], PID_BYTES, "%d", (int)receiver[0]);
    snprintf(pids[2], PID_BYTES, "%d", (int)publisher[0]);
    snprintf(trace->output, sizeof trace->output, "%s/trace", bridge->directory);
    snprintf(trace->errors, sizeof trace->errors, "%s/trace.errors", bridge->directory);
    snprintf(trace->broker, sizeof trace->broker, ">127.0.0.1:%d]>", fixture->broker.port);
    snprintf(trace->api_address, sizeof trace->api_address, ">127.0.0.1:%d]>",
             fixture->simulator.port);
    char length[PID_BYTES];
    snprintf(length, sizeof length, "%d", TRACED_BYTES);
    const char *const argv[] = {"strace", "-f",    "-ttt", "-T",    "-yy",         "-xx", "-s",
                                length,   "-e",    calls,  "-o",    trace->output, "-p",  pids[0],
                                "-p",     pids[1], "-p",   pids[2], NULL};
    const struct process_spec spec = {.argv = argv, .errors = trace->errors};
    trace->strace = process_start(&spec);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (attached_count(trace) < 3) {
        if (file_contains(trace->errors, 0, "not permitted") ||
            file_contains(trace->errors, 0, "cannot run")) {
            give_up_tracing(trace, "strace is missing or may not trace here");
        }
        if (flow_now_ms() > end_ms) {
            flow_fail("strace did not attach, see %s", trace->errors);
        }
        flow_pause();
    }
}

/* Stops strace; returns its output. The caller frees it. */
static char *trace_end(struct trace *trace)
{
    process_end(trace->strace, SIGINT, FLOW_TIMEOUT_MS);
    return file_read(trace->output);
}

static void to_hex(const char *text, char out[HEX_BYTES])
{
    size_t length = 0;
    out[0] = '\0';
    for (; *text != '\0' && length + 5 < HEX_BYTES; text++) {
        length += (size_t)snprintf(out + length, HEX_BYTES - length, "\\x%02x",
                                   (unsigned)(unsigned char)*text);
    }
}

/* One line of the trace, as `PID TIME CALL(...) = RESULT <DURATION>`; the call may be cut into
 * `CALL(... <unfinished ...>` and a later `<... CALL resumed>...`. */
struct seen {
    int pid;
    double begin_s;
    double end_s;
    const char *line; /* NULL: not found */
    size_t length;
};

static bool has(const char *line, size_t length, const char *text)
{
    return memmem(line, length, text, strlen(text)) != NULL;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end == NULL ? "" : end + 1;
}

/* The time at which an interrupted call of the thread returned; -1 if the trace ends before. */
static double resumed_at(const char *from, int pid)
{
    for (const char *line = from; *line != '\0'; line = next_line(line)) {
        int other = 0;
        double time_s = 0;
        int offset = 0;
        if (sscanf(line, "%d %lf %n", &other, &time_s, &offset) == 2 && other == pid) {
            return strncmp(line + offset, "<... ", 5) == 0 ? time_s : -1;
        }
    }
    return -1;
}

/* The first call that began at `after_s` or later and whose line contains all of these texts; `pid`
 * 0 matches any. */
static struct seen find_call(const char *trace, double after_s, int pid, const char *const texts[])
{
    for (const char *line = trace; *line != '\0'; line = next_line(line)) {
        struct seen seen = {.line = line, .length = strcspn(line, "\n")};
        bool is_it = sscanf(line, "%d %lf", &seen.pid, &seen.begin_s) == 2 &&
                     seen.begin_s >= after_s && (pid == 0 || seen.pid == pid);
        for (size_t i = 0; is_it && texts[i] != NULL; i++) {
            is_it = has(line, seen.length, texts[i]);
        }
        if (!is_it) {
            continue;
        }
        if (has(line, seen.length, "<unfinished ...>")) {
            seen.end_s = resumed_at(next_line(line), seen.pid);
        } else {
            const char *duration = memrchr(line, '<', seen.length);
            seen.end_s = seen.begin_s + (duration == NULL ? 0 : strtod(duration + 1, NULL));
        }
        return seen;
    }
    return (struct seen){0};
}

static struct seen need_call(const char *trace, double after_s, const char *what,
                             const char *const texts[])
{
    struct seen seen = find_call(trace, after_s, 0, texts);
    if (seen.line == NULL || seen.end_s < 0) {
        flow_fail("the trace has no %s", what);
    }
    return seen;
}

/* The times of one command's steps, by the trace's clock. */
struct moments {
    double claim_written_s;
    double claim_synced_s;
    double acknowledged_s;
    double called_s;
    double outcome_written_s;
    double outcome_synced_s;
    double replied_s;
};

/* The time at which the data written to the write-ahead log at `written` was on the disk. */
static double synced(const char *text, const char *log, const struct seen *written)
{
    struct seen sync = need_call(text, written->end_s, "sync of the write-ahead log",
                                 (const char *const[]){"sync(", log, NULL});
    return sync.end_s;
}

/* The time at which a receiver wrote the PUBACK that follows its delivery of this token to the
 * bridge. */
static double acknowledged(const struct trace *trace, const char *text, const char *token)
{
    struct seen delivery = need_call(text, 0, "delivery to the bridge",
                                     (const char *const[]){"sendto(", "UNIX", token, NULL});
    struct seen puback = find_call(text, delivery.begin_s, delivery.pid,
                                   (const char *const[]){trace->broker, "\"\\x40", NULL});
    if (puback.line == NULL) {
        flow_fail("the trace has no PUBACK");
    }
    return puback.begin_s;
}

static struct moments moments_of(const struct trace *trace, const char *text, const char *token,
                                 bool is_synced)
{
    char log[HEX_BYTES];
    char hex[HEX_BYTES];
    char success[HEX_BYTES];
    to_hex("ledger.db-wal", log);
    to_hex(token, hex);
    to_hex("\"Status\":\"succeeded\"", success);
    struct moments moments = {0};
    struct seen claim = need_call(text, 0, "claim in the write-ahead log",
                                  (const char *const[]){"pwrite64(", log, hex, NULL});
    struct seen call =
        need_call(text, 0, "call of the API", (const char *const[]){trace->api_address, hex, NULL});
    struct seen outcome = need_call(text, 0, "outcome in the write-ahead log",
                                    (const char *const[]){"pwrite64(", log, hex, success, NULL});
    struct seen reply = need_call(text, 0, "reply to the broker",
                                  (const char *const[]){trace->broker, hex, success, NULL});
    moments.claim_written_s = claim.end_s;
    moments.acknowledged_s = acknowledged(trace, text, hex);
    moments.called_s = call.begin_s;
    moments.outcome_written_s = outcome.end_s;
    moments.replied_s = reply.begin_s;
    if (is_synced) {
        moments.claim_synced_s = synced(text, log, &claim);
        moments.outcome_synced_s = synced(text, log, &outcome);
    }
    return moments;
}

enum { COMMANDS = 5, MANY = 30 };

/* The time at which the PUBACK with this index, since the trace began, was written. */
static double nth_acknowledged(const struct trace *trace, const char *text, int index)
{
    static const char puback[] = "\\x40\\x02\\x00";
    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        size_t length = strcspn(line, "\n");
        double time_s;
        if (!has(line, length, trace->broker) || !has(line, length, "iov_base=\"\\x40\\x02") ||
            sscanf(line, "%*d %lf", &time_s) != 1) {
            continue;
        }
        const char *at = line;
        while ((at = memmem(at, (size_t)(line + length - at), puback, sizeof puback - 1)) != NULL) {
            if (index-- == 0) {
                return time_s;
            }
            at += sizeof puback - 1;
        }
    }
    flow_fail("the trace has too few PUBACKs");
    return 0;
}

/* Sends commands one after the other under strace; returns its output. The caller frees it. */
static char *traced_commands(struct fixture *fixture, struct trace *trace, const char *settings,
                             const char *tokens[COMMANDS])
{
    /* With a sanitizer a traced process is too slow, and LeakSanitizer does not work in it.
     */
    if (IS_SANITIZED) {
        print_message("skipped: strace and a sanitizer do not go together\n");
        skip();
    }
    struct bridge *bridge = fixture_bridge(fixture, settings);
    /* The first transaction also syncs the header of the write-ahead log, at any durability. */
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    trace_begin(trace, bridge);
    for (int i = 0; i < COMMANDS; i++) {
        tokens[i] = fixture_name(fixture, "token");
        check_succeeded(fixture_request(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
    }
    return trace_end(trace);
}

static void test_claims_and_outcomes_are_on_the_disk_before_they_are_reported(
    struct fixture *fixture)
{
    struct trace trace;
    const char *tokens[COMMANDS];
    char *text = traced_commands(fixture, &trace, "ledger.durability = \"full\";", tokens);
    for (int i = 0; i < COMMANDS; i++) {
        struct moments moments = moments_of(&trace, text, tokens[i], true);
        assert_true(moments.claim_written_s <= moments.claim_synced_s);
        assert_true(moments.claim_synced_s <= moments.acknowledged_s);
        assert_true(moments.claim_synced_s <= moments.called_s);
        assert_true(moments.called_s < moments.outcome_written_s);
        assert_true(moments.outcome_written_s <= moments.outcome_synced_s);
        assert_true(moments.outcome_synced_s <= moments.replied_s);
    }
    free(text);
}

/* Without syncs the order is the same, and nothing waits for the disk. */
static void test_with_durability_process_the_order_holds_without_a_sync(struct fixture *fixture)
{
    struct trace trace;
    const char *tokens[COMMANDS];
    char *text = traced_commands(fixture, &trace, "ledger.durability = \"process\";", tokens);
    char log[HEX_BYTES];
    to_hex("ledger.db-wal", log);
    for (int i = 0; i < COMMANDS; i++) {
        struct moments moments = moments_of(&trace, text, tokens[i], false);
        assert_true(moments.claim_written_s <= moments.acknowledged_s);
        assert_true(moments.claim_written_s <= moments.called_s);
        assert_true(moments.outcome_written_s <= moments.replied_s);
    }
    assert_null(find_call(text, 0, 0, (const char *const[]){"sync(", log, NULL}).line);
    free(text);
}

/* PUBACKs are in the order of the commands, so each one is found by its place. */
static void test_with_many_in_flight_a_claim_is_on_the_disk_before_its_acknowledgement(
    struct fixture *fixture)
{
    struct trace trace;
    const char *tokens[MANY];
    char log[HEX_BYTES];
    if (IS_SANITIZED) {
        print_message("skipped: strace and a sanitizer do not go together\n");
        skip();
    }
    struct bridge *bridge = fixture_bridge(fixture, "ledger.durability = \"full\";");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    trace_begin(&trace, bridge);
    for (int i = 0; i < MANY; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_command(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
    }
    for (int i = 0; i < MANY; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
    }
    char *text = trace_end(&trace);
    to_hex("ledger.db-wal", log);
    for (int i = 0; i < MANY; i++) {
        char hex[HEX_BYTES];
        to_hex(tokens[i], hex);
        struct seen claim = need_call(text, 0, "claim in the write-ahead log",
                                      (const char *const[]){"pwrite64(", log, hex, NULL});
        assert_true(synced(text, log, &claim) <= nth_acknowledged(&trace, text, i));
    }
    free(text);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_claims_and_outcomes_are_on_the_disk_before_they_are_reported),
        FLOW_TEST(test_with_durability_process_the_order_holds_without_a_sync),
        FLOW_TEST(test_with_many_in_flight_a_claim_is_on_the_disk_before_its_acknowledgement),
    };
    return flow_main("durable order", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
