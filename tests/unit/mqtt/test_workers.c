/*
 * The workers with their real processes (this program again, as "receiver" and "publisher") and a
 * real broker.
 */
#include "base/mem.h"
#include "model/message.h"
#include "mqtt/publisher.h"
#include "mqtt/receiver.h"
#include "mqtt/workers.h"
#include "support/broker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMEOUT_MS 20000
#define TICK_MS    50

/* The bridge's side, with what the hooks reported last. */
struct fixture {
    struct broker broker;
    struct settings *settings;
    struct loop *loop;
    struct workers *workers;
    struct counters counters;
    struct buf will;
    const char *uris; /* before the broker's own */
    int64_t waits_until_ms;
    struct loop_timer *tick;
    bool is_late;
    /* deliveries */
    int delivered_count;
    struct mqtt_ticket ticket;
    struct delivery delivery; /* its slices are not valid any more; see `text` */
    char topic[64];
    char text[4096];
    char response_topic[64];
    char traceparent[64];
    /* the rest */
    int published_count;
    int64_t published_id;
    int unpublished_count;
    bool is_final;
    char why[128];
    bool is_publisher_up;
    size_t receivers_up;
    int session_count;
    bool is_session_present;
    bool is_stopped;
};

static void copy(char *out, size_t size, struct slice text)
{
    snprintf(out, size, "%.*s", (int)text.length, text.data == NULL ? "" : text.data);
}

static void on_delivered(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket)
{
    struct fixture *fixture = arg;
    fixture->delivered_count++;
    fixture->ticket = ticket;
    fixture->delivery = *delivery;
    copy(fixture->topic, sizeof fixture->topic, delivery->topic);
    copy(fixture->text, sizeof fixture->text, delivery->payload);
    copy(fixture->response_topic, sizeof fixture->response_topic, delivery->response_topic);
    copy(fixture->traceparent, sizeof fixture->traceparent, delivery->traceparent);
    loop_stop(fixture->loop);
}

static void on_published(void *arg, int64_t id)
{
    struct fixture *fixture = arg;
    fixture->published_count++;
    fixture->published_id = id;
    loop_stop(fixture->loop);
}

static void on_unpublished(void *arg, int64_t id, bool is_final, struct slice why)
{
    struct fixture *fixture = arg;
    (void)id;
    fixture->unpublished_count++;
    fixture->is_final = is_final;
    copy(fixture->why, sizeof fixture->why, why);
    loop_stop(fixture->loop);
}

static void on_publisher(void *arg, bool is_up)
{
    struct fixture *fixture = arg;
    fixture->is_publisher_up = is_up;
    loop_stop(fixture->loop);
}

static void on_receivers(void *arg, size_t up_count, size_t wanted_count)
{
    struct fixture *fixture = arg;
    assert_true(up_count <= wanted_count);
    fixture->receivers_up = up_count;
    loop_stop(fixture->loop);
}

static void on_session(void *arg, uint32_t receiver, const char *client_id, bool is_session_present)
{
    struct fixture *fixture = arg;
    assert_true(receiver < (uint32_t)fixture->settings->broker.receivers);
    assert_true(strncmp(client_id, "bridge-in", 9) == 0);
    fixture->session_count++;
    fixture->is_session_present = is_session_present;
}

static void on_stopped(void *arg)
{
    struct fixture *fixture = arg;
    fixture->is_stopped = true;
    loop_stop(fixture->loop);
}

/* For conditions that no hook reports, and for the timeout. */
static void on_tick(void *arg)
{
    struct fixture *fixture = arg;
    fixture->is_late = loop_now_ms(fixture->loop) >= fixture->waits_until_ms;
    loop_timer_start(fixture->tick, TICK_MS);
    loop_stop(fixture->loop);
}

/* Runs the loop until the condition is true; it is checked after every hook and tick. */
#define WAIT_FOR(fixture, condition)                                           \
    do {                                                                       \
        (fixture)->waits_until_ms = loop_now_ms((fixture)->loop) + TIMEOUT_MS; \
        while (!(condition) && !(fixture)->is_late) {                          \
            loop_run((fixture)->loop);                                         \
        }                                                                      \
        if (!(condition)) {                                                    \
            fail_msg("timed out waiting for: %s", #condition);                 \
        }                                                                      \
    } while (0)

static struct settings *settings_for(const struct fixture *fixture, const char *broker_lines)
{
    const struct broker *broker = &fixture->broker;
    const char *path = broker_path(broker, "bridge.conf");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "instance = \"test\";\nlimits: { payload_bytes = 1024; };\nbroker: {\n"
            "uris = (%s\"mqtt://127.0.0.1:%d\"); client_id = \"bridge\";\n%s};\n"
            "routes = ({ name = \"start\"; action = \"StartDiskReplicaGroup\";\n"
            "topics = (\"commands/start\", \"commands/+/other\"); });\n",
            fixture->uris, broker->port, broker_lines);
    fclose(file);
    struct settings *settings = NULL;
    struct settings_report report = {0};
    enum status status = settings_load(path, &settings, &report);
    if (status != STATUS_OK) {
        fail_msg("%s", report.errors.data);
    }
    settings_report_fini(&report);
    unlink(path);
    /* Below what settings allow: no test waits for a backoff. */
    settings->broker.reconnect_min_s = 0;
    settings->broker.reconnect_max_s = 0;
    return settings;
}

static void encode_will(struct fixture *fixture)
{
    struct message will = {.topic = slice_text("status/test"),
                           .body = slice_text("{\"State\":\"offline\"}"),
                           .qos = 1,
                           .is_json = true,
                           .expiry_s = -1};
    message_encode(&will, &fixture->will);
}

static void fixture_start(struct fixture *fixture, const char *broker_lines)
{
    static const struct workers_hooks hooks = {
        .delivered = on_delivered,
        .published = on_published,
        .unpublished = on_unpublished,
        .publisher_changed = on_publisher,
        .receivers_changed = on_receivers,
        .session_opened = on_session,
        .stopped = on_stopped,
    };
    static const struct tls_files no_tls;
    struct workers_hooks mine = hooks;
    mine.arg = fixture;
    encode_will(fixture);
    fixture->settings = settings_for(fixture, broker_lines);
    fixture->loop = loop_new();
    fixture->tick = loop_timer_new(fixture->loop, on_tick, fixture);
    loop_timer_start(fixture->tick, TICK_MS);
    fixture->workers = workers_new(fixture->loop, fixture->settings, &no_tls, "/proc/self/exe",
                                   buf_slice(&fixture->will), &fixture->counters, &mine);
    workers_start(fixture->workers);
}

static struct fixture *fixture_new(const char *mosquitto_lines, const char *broker_lines)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->uris = "";
    broker_start(&fixture->broker, mosquitto_lines);
    fixture_start(fixture, broker_lines);
    return fixture;
}

static void fixture_wait_up(struct fixture *fixture)
{
    WAIT_FOR(fixture, fixture->is_publisher_up &&
                          fixture->receivers_up == (size_t)fixture->settings->broker.receivers);
}

static void fixture_stop(struct fixture *fixture)
{
    workers_stop(fixture->workers, 5000);
    WAIT_FOR(fixture, fixture->is_stopped);
}

static void fixture_close(struct fixture *fixture)
{
    workers_free(fixture->workers);
    loop_timer_free(fixture->tick);
    loop_free(fixture->loop);
    settings_free(fixture->settings);
    buf_fini(&fixture->will);
}

static void fixture_end(struct fixture *fixture)
{
    fixture_close(fixture);
    broker_stop(&fixture->broker);
    free(fixture);
}

static void send_command(struct fixture *fixture, const char *text)
{
    const char *const arguments[] = {"-q", "1", "-t", "commands/start", "-m", text, NULL};
    broker_publish(&fixture->broker, arguments);
}

/* The pid of the worker process of that name. */
static pid_t worker_pid(const char *name)
{
    char path[64];
    char line[256] = "";
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int pid;
    while (found == 0 && fscanf(file, "%d", &pid) == 1) {
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *comm = fopen(path, "r");
        if (comm != NULL && fgets(line, sizeof line, comm) != NULL &&
            strncmp(line, name, strlen(name)) == 0) {
            found = (pid_t)pid;
        }
        if (comm != NULL) {
            fclose(comm);
        }
    }
    fclose(file);
    assert_true(found > 0);
    return found;
}

static const char *const protocols[] = {"protocol = 5;", "protocol = 4;"};

static void test_a_message_without_ack_at_a_kill_is_delivered_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_new(NULL, protocols[i]);
        fixture_wait_up(fixture);
        assert_false(fixture->is_session_present);
        send_command(fixture, "first");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        assert_false(fixture->delivery.is_redelivered);
        struct mqtt_ticket stale = fixture->ticket;
        kill(worker_pid("receiver-1"), SIGKILL);
        WAIT_FOR(fixture, fixture->receivers_up == 0);
        workers_ack(fixture->workers, stale, true);
        WAIT_FOR(fixture, fixture->delivered_count == 2);
        workers_ack(fixture->workers, stale, true);
        assert_string_equal(fixture->text, "first");
        assert_true(fixture->delivery.is_redelivered);
        workers_ack(fixture->workers, fixture->ticket, true);
        WAIT_FOR(fixture, fixture->receivers_up == 1);
        assert_true(fixture->is_session_present);
        send_command(fixture, "second");
        WAIT_FOR(fixture, fixture->delivered_count == 3);
        assert_string_equal(fixture->text, "second");
        workers_ack(fixture->workers, fixture->ticket, true);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVED), 3);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 2);
        fixture_stop(fixture);
        fixture_end(fixture);
    }
}

static void test_a_refused_message_is_not_acknowledged_and_is_delivered_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_new(NULL, protocols[i]);
        fixture_wait_up(fixture);
        send_command(fixture, "refused");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        workers_ack(fixture->workers, fixture->ticket, false);
        WAIT_FOR(fixture, fixture->receivers_up == 0);
        WAIT_FOR(fixture, fixture->delivered_count == 2);
        assert_string_equal(fixture->text, "refused");
        assert_true(fixture->delivery.is_redelivered);
        workers_ack(fixture->workers, fixture->ticket, true);
        fixture_stop(fixture);
        fixture_end(fixture);
    }
}

static void test_a_message_without_ack_is_given_back_after_the_timeout(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "keepalive_s = 2;");
    fixture_wait_up(fixture);
    send_command(fixture, "slow");
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    WAIT_FOR(fixture, fixture->receivers_up == 0);
    WAIT_FOR(fixture, fixture->delivered_count == 2);
    assert_true(fixture->delivery.is_redelivered);
    workers_ack(fixture->workers, fixture->ticket, true);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_a_message_without_ack_at_the_stop_stays_with_the_broker(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_wait_up(fixture);
    send_command(fixture, "held");
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    workers_stop_intake(fixture->workers);
    WAIT_FOR(fixture, fixture->receivers_up == 0);
    assert_true(fixture->is_publisher_up);
    fixture_stop(fixture);
    fixture_close(fixture);
    fixture->is_stopped = false;
    fixture_start(fixture, "");
    WAIT_FOR(fixture, fixture->delivered_count == 2);
    assert_string_equal(fixture->text, "held");
    workers_ack(fixture->workers, fixture->ticket, true);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_all_properties_of_a_message_arrive(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_wait_up(fixture);
    const char *const arguments[] = {"-V",
                                     "5",
                                     "-q",
                                     "1",
                                     "-t",
                                     "commands/a/other",
                                     "-m",
                                     "{}",
                                     "-D",
                                     "publish",
                                     "response-topic",
                                     "answers/here",
                                     "-D",
                                     "publish",
                                     "correlation-data",
                                     "corr",
                                     "-D",
                                     "publish",
                                     "message-expiry-interval",
                                     "60",
                                     "-D",
                                     "publish",
                                     "user-property",
                                     "traceparent",
                                     "00-aa-bb-01",
                                     NULL};
    broker_publish(&fixture->broker, arguments);
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    assert_string_equal(fixture->topic, "commands/a/other");
    assert_string_equal(fixture->response_topic, "answers/here");
    assert_string_equal(fixture->traceparent, "00-aa-bb-01");
    assert_int_equal(fixture->delivery.correlation_data.length, 4);
    assert_false(slice_is_present(fixture->delivery.tracestate));
    assert_true(fixture->delivery.expiry_s > 0 && fixture->delivery.expiry_s <= 60);
    assert_int_equal(fixture->delivery.qos, 1);
    assert_false(fixture->delivery.is_retained);
    workers_ack(fixture->workers, fixture->ticket, true);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_a_long_message_is_cut_and_its_size_reported(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_wait_up(fixture);
    const char *path = broker_path(&fixture->broker, "payload");
    char path_copy[128];
    snprintf(path_copy, sizeof path_copy, "%s", path);
    FILE *file = fopen(path_copy, "w");
    assert_non_null(file);
    for (int i = 0; i < 200000; i++) {
        fputc('x', file);
    }
    fclose(file);
    const char *const arguments[] = {"-q", "1", "-t", "commands/start", "-f", path_copy, NULL};
    broker_publish(&fixture->broker, arguments);
    unlink(path_copy);
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    assert_int_equal(fixture->delivery.payload_bytes, 200000);
    assert_int_equal(fixture->delivery.payload.length, 1024);
    workers_ack(fixture->workers, fixture->ticket, true);
    send_command(fixture, "next");
    WAIT_FOR(fixture, fixture->delivered_count == 2);
    assert_string_equal(fixture->text, "next");
    workers_ack(fixture->workers, fixture->ticket, true);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_the_retain_flag_of_a_message_arrives(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_wait_up(fixture);
    const char *const arguments[] = {"-r", "-q", "1", "-t", "commands/start", "-m", "kept", NULL};
    broker_publish(&fixture->broker, arguments);
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    assert_true(fixture->delivery.is_retained);
    workers_ack(fixture->workers, fixture->ticket, true);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void publish(struct fixture *fixture, int64_t id, struct message *message)
{
    struct buf bytes = {0};
    message_encode(message, &bytes);
    assert_true(workers_may_publish(fixture->workers));
    workers_publish(fixture->workers, id, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void test_a_reply_is_published_with_its_properties(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_wait_up(fixture);
    const char *const arguments[] = {
        "-V", "5", "-q", "1", "-t", "answers/#", "-F", "%t|%p|%C|%D|%F|%P|%E", NULL};
    int fd;
    pid_t subscriber = broker_subscribe(&fixture->broker, arguments, &fd);
    struct message message = {.topic = slice_text("answers/1"),
                              .body = slice_text("{\"a\":1}"),
                              .qos = 1,
                              .is_json = true,
                              .correlation_data = slice_text("corr"),
                              .expiry_s = 3600};
    message_add_property(&message, "status", slice_text("succeeded"));
    publish(fixture, 77, &message);
    WAIT_FOR(fixture, fixture->published_count == 1);
    assert_int_equal(fixture->published_id, 77);
    struct buf line = {0};
    do {
        assert_true(broker_read_line(fd, &line, 10000));
    } while (strncmp(line.data, "answers/1|", 10) != 0);
    assert_string_equal(line.data,
                        "answers/1|{\"a\":1}|application/json|corr|1|status:succeeded|3600");
    buf_fini(&line);
    broker_unsubscribe(subscriber, fd);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_many_replies_are_acknowledged_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture =
            fixture_new("allow_anonymous true\nmax_inflight_messages 10", protocols[i]);
        fixture_wait_up(fixture);
        const char *const arguments[] = {"-q", "1", "-t", "answers/#", "-F", "got %p", NULL};
        int fd;
        pid_t subscriber = broker_subscribe(&fixture->broker, arguments, &fd);
        for (int64_t id = 1; id <= 300; id++) {
            char body[32];
            snprintf(body, sizeof body, "%d", (int)id);
            struct message message = {.topic = slice_text("answers/1"),
                                      .body = slice_text(body),
                                      .qos = 1,
                                      .expiry_s = -1};
            publish(fixture, id, &message);
        }
        WAIT_FOR(fixture, fixture->published_count == 300);
        assert_int_equal(fixture->published_id, 300);
        struct buf line = {0};
        int expected = 1;
        while (expected <= 300) {
            assert_true(broker_read_line(fd, &line, 10000));
            if (strncmp(line.data, "got ", 4) == 0) {
                assert_int_equal(atoi(line.data + 4), expected);
                expected++;
            }
        }
        buf_fini(&line);
        broker_unsubscribe(subscriber, fd);
        fixture_stop(fixture);
        fixture_end(fixture);
    }
}

static void test_a_message_no_broker_accepts_is_refused_for_good_and_the_next_is_published(
    void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new("allow_anonymous true\nmax_packet_size 2000", "");
    fixture_wait_up(fixture);
    static char large[4000];
    memset(large, 'x', sizeof large);
    struct message bad[] = {
        {.topic = slice_text("answers/+"), .qos = 1, .expiry_s = -1},
        {.topic = slice_text(""), .qos = 1, .expiry_s = -1},
        {.topic = slice_text("answers/\xff"), .qos = 1, .expiry_s = -1},
        {.topic = slice_text("answers/1"),
         .body = slice_of(large, sizeof large),
         .qos = 1,
         .expiry_s = -1},
    };
    for (int i = 0; i < 4; i++) {
        publish(fixture, i, &bad[i]);
        WAIT_FOR(fixture, fixture->unpublished_count == i + 1);
        assert_true(fixture->is_final);
    }
    assert_string_equal(fixture->why, "larger than the Maximum Packet Size of the broker");
    struct message good = {.topic = slice_text("answers/1"), .qos = 1, .expiry_s = -1};
    publish(fixture, 5, &good);
    WAIT_FOR(fixture, fixture->published_count == 1);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), 1);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_workers_reconnect_to_a_broker_that_was_killed_and_restarted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_new(NULL, protocols[i]);
        fixture_wait_up(fixture);
        broker_kill(&fixture->broker);
        WAIT_FOR(fixture, !fixture->is_publisher_up && fixture->receivers_up == 0);
        assert_false(workers_may_publish(fixture->workers));
        broker_again(&fixture->broker);
        fixture_wait_up(fixture);
        assert_int_equal(fixture->session_count, 2);
        assert_false(fixture->is_session_present);
        send_command(fixture, "after");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        workers_ack(fixture->workers, fixture->ticket, true);
        fixture_stop(fixture);
        fixture_end(fixture);
    }
}

static void test_the_next_address_is_tried_if_one_is_unreachable(void **state)
{
    (void)state;
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->uris = "\"mqtts://127.0.0.1:1\", \"mqtt://127.0.0.1:1\", ";
    broker_start(&fixture->broker, NULL);
    fixture_start(fixture, "");
    fixture_wait_up(fixture);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 1);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_several_receivers_share_the_commands(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "receivers = 3;");
    fixture_wait_up(fixture);
    bool has_seen[3] = {false};
    for (int i = 0; i < 6; i++) {
        send_command(fixture, "one of six");
        WAIT_FOR(fixture, fixture->delivered_count == i + 1);
        has_seen[fixture->ticket.receiver] = true;
        workers_ack(fixture->workers, fixture->ticket, true);
    }
    assert_true(has_seen[0] && has_seen[1] && has_seen[2]);
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_a_changed_password_is_used_for_the_next_attempt(void **state)
{
    (void)state;
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->uris = "";
    broker_start(&fixture->broker, "allow_anonymous true");
    char password_path[128];
    char users_path[128];
    char line[512];
    snprintf(password_path, sizeof password_path, "%s", broker_path(&fixture->broker, "password"));
    snprintf(users_path, sizeof users_path, "%s", broker_path(&fixture->broker, "users"));
    snprintf(line, sizeof line, "mosquitto_passwd -c -b %s user right 2>/dev/null", users_path);
    assert_int_equal(system(line), 0);
    free(fixture->broker.settings);
    snprintf(line, sizeof line, "allow_anonymous false\npassword_file %s", users_path);
    fixture->broker.settings = mem_strdup(line);
    broker_kill(&fixture->broker);
    broker_again(&fixture->broker);
    FILE *file = fopen(password_path, "w");
    assert_non_null(file);
    fputs("wrong\n", file);
    fclose(file);
    snprintf(line, sizeof line, "username = \"user\"; password_file = \"%s\";", password_path);
    fixture_start(fixture, line);
    WAIT_FOR(fixture, counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS) >= 2);
    assert_int_equal(fixture->receivers_up, 0);
    file = fopen(password_path, "w");
    assert_non_null(file);
    fputs("right\n", file);
    fclose(file);
    fixture_wait_up(fixture);
    fixture_stop(fixture);
    unlink(password_path);
    unlink(users_path);
    fixture_end(fixture);
}

static void test_workers_stop_before_they_are_connected(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_stop(fixture);
    fixture_end(fixture);
}

static void test_processes_are_killed_with_their_workers(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(NULL, "");
    fixture_wait_up(fixture);
    pid_t pid = worker_pid("receiver-1");
    workers_free(fixture->workers);
    fixture->workers = NULL;
    /* The loop does not reap it any more. */
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    fixture_end(fixture);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "receiver") == 0) {
        return receiver_main();
    }
    if (argc == 2 && strcmp(argv[1], "publisher") == 0) {
        return publisher_main();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_without_ack_at_a_kill_is_delivered_again),
        cmocka_unit_test(test_a_refused_message_is_not_acknowledged_and_is_delivered_again),
        cmocka_unit_test(test_a_message_without_ack_is_given_back_after_the_timeout),
        cmocka_unit_test(test_a_message_without_ack_at_the_stop_stays_with_the_broker),
        cmocka_unit_test(test_all_properties_of_a_message_arrive),
        cmocka_unit_test(test_a_long_message_is_cut_and_its_size_reported),
        cmocka_unit_test(test_the_retain_flag_of_a_message_arrives),
        cmocka_unit_test(test_a_reply_is_published_with_its_properties),
        cmocka_unit_test(test_many_replies_are_acknowledged_in_order),
        cmocka_unit_test(
            test_a_message_no_broker_accepts_is_refused_for_good_and_the_next_is_published),
        cmocka_unit_test(test_workers_reconnect_to_a_broker_that_was_killed_and_restarted),
        cmocka_unit_test(test_the_next_address_is_tried_if_one_is_unreachable),
        cmocka_unit_test(test_several_receivers_share_the_commands),
        cmocka_unit_test(test_a_changed_password_is_used_for_the_next_attempt),
        cmocka_unit_test(test_workers_stop_before_they_are_connected),
        cmocka_unit_test(test_processes_are_killed_with_their_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
