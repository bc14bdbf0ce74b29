/*
 * The port with its real processes (this program again, as "receiver" and "publisher") and a real
 * broker.
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

#define PATIENCE_MS 20000
#define TICK_MS     50

/* What the bridge saw last. */
struct scene {
    struct broker broker;
    struct settings *settings;
    struct loop *loop;
    struct mqtt_port *port;
    struct counters counters;
    struct buf will;
    const char *uris; /* in front of the broker's own */
    int64_t waits_until_ms;
    struct loop_timer *tick;
    bool is_late;
    /* deliveries */
    int delivered_count;
    struct mqtt_ticket ticket;
    struct delivery delivery; /* its slices are only there in `text` */
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
    struct scene *scene = arg;
    scene->delivered_count++;
    scene->ticket = ticket;
    scene->delivery = *delivery;
    copy(scene->topic, sizeof scene->topic, delivery->topic);
    copy(scene->text, sizeof scene->text, delivery->payload);
    copy(scene->response_topic, sizeof scene->response_topic, delivery->response_topic);
    copy(scene->traceparent, sizeof scene->traceparent, delivery->traceparent);
    loop_stop(scene->loop);
}

static void on_published(void *arg, int64_t id)
{
    struct scene *scene = arg;
    scene->published_count++;
    scene->published_id = id;
    loop_stop(scene->loop);
}

static void on_unpublished(void *arg, int64_t id, bool is_final, struct slice why)
{
    struct scene *scene = arg;
    (void)id;
    scene->unpublished_count++;
    scene->is_final = is_final;
    copy(scene->why, sizeof scene->why, why);
    loop_stop(scene->loop);
}

static void on_publisher(void *arg, bool is_up)
{
    struct scene *scene = arg;
    scene->is_publisher_up = is_up;
    loop_stop(scene->loop);
}

static void on_receivers(void *arg, size_t up_count, size_t wanted_count)
{
    struct scene *scene = arg;
    assert_true(up_count <= wanted_count);
    scene->receivers_up = up_count;
    loop_stop(scene->loop);
}

static void on_session(void *arg, uint32_t receiver, const char *client_id, bool is_session_present)
{
    struct scene *scene = arg;
    assert_true(receiver < (uint32_t)scene->settings->broker.receivers);
    assert_true(strncmp(client_id, "bridge-in", 9) == 0);
    scene->session_count++;
    scene->is_session_present = is_session_present;
}

static void on_stopped(void *arg)
{
    struct scene *scene = arg;
    scene->is_stopped = true;
    loop_stop(scene->loop);
}

/* What no hook tells is looked at now and then. */
static void on_tick(void *arg)
{
    struct scene *scene = arg;
    scene->is_late = loop_now_ms(scene->loop) >= scene->waits_until_ms;
    loop_timer_start(scene->tick, TICK_MS);
    loop_stop(scene->loop);
}

/* Runs the loop until the condition holds; every hook and tick stops it for another look. */
#define WAIT_FOR(scene, condition)                                          \
    do {                                                                    \
        (scene)->waits_until_ms = loop_now_ms((scene)->loop) + PATIENCE_MS; \
        while (!(condition) && !(scene)->is_late) {                         \
            loop_run((scene)->loop);                                        \
        }                                                                   \
        if (!(condition)) {                                                 \
            fail_msg("waited in vain for: %s", #condition);                 \
        }                                                                   \
    } while (0)

static struct settings *settings_for(const struct scene *scene, const char *broker_lines)
{
    const struct broker *broker = &scene->broker;
    const char *path = broker_path(broker, "bridge.conf");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(
        file,
        "instance = \"test\";\nlimits: { payload_bytes = 1024; };\nbroker: {\n"
        "uris = (%s\"mqtt://127.0.0.1:%d\"); client_id = \"bridge\"; reconnect_max_s = 1;\n%s};\n"
        "routes = ({ name = \"start\"; action = \"StartDiskReplicaGroup\";\n"
        "topics = (\"commands/start\", \"commands/+/other\"); });\n",
        scene->uris, broker->port, broker_lines);
    fclose(file);
    struct settings *settings = NULL;
    struct settings_report report = {0};
    enum status status = settings_load(path, &settings, &report);
    if (status != STATUS_OK) {
        fail_msg("%s", report.errors.data);
    }
    settings_report_fini(&report);
    unlink(path);
    return settings;
}

static void encode_will(struct scene *scene)
{
    struct message will = {.topic = slice_text("status/test"),
                           .body = slice_text("{\"State\":\"offline\"}"),
                           .qos = 1,
                           .is_json = true,
                           .expiry_s = -1};
    message_encode(&will, &scene->will);
}

static void scene_start(struct scene *scene, const char *broker_lines)
{
    static const struct mqtt_port_hooks hooks = {
        .delivered = on_delivered,
        .published = on_published,
        .unpublished = on_unpublished,
        .publisher_changed = on_publisher,
        .receivers_changed = on_receivers,
        .session_opened = on_session,
        .stopped = on_stopped,
    };
    static const struct tls_files no_tls;
    struct mqtt_port_hooks mine = hooks;
    mine.arg = scene;
    encode_will(scene);
    scene->settings = settings_for(scene, broker_lines);
    scene->loop = loop_new();
    scene->tick = loop_timer_new(scene->loop, on_tick, scene);
    loop_timer_start(scene->tick, TICK_MS);
    scene->port = mqtt_port_new(scene->loop, scene->settings, &no_tls, "/proc/self/exe",
                                buf_slice(&scene->will), &scene->counters, &mine);
    mqtt_port_start(scene->port);
}

static struct scene *scene_new(const char *mosquitto_lines, const char *broker_lines)
{
    struct scene *scene = mem_zalloc(1, sizeof *scene);
    scene->uris = "";
    broker_start(&scene->broker, mosquitto_lines);
    scene_start(scene, broker_lines);
    return scene;
}

static void scene_wait_up(struct scene *scene)
{
    WAIT_FOR(scene, scene->is_publisher_up &&
                        scene->receivers_up == (size_t)scene->settings->broker.receivers);
}

static void scene_stop(struct scene *scene)
{
    mqtt_port_stop(scene->port, 5000);
    WAIT_FOR(scene, scene->is_stopped);
}

static void scene_close(struct scene *scene)
{
    mqtt_port_free(scene->port);
    loop_timer_free(scene->tick);
    loop_free(scene->loop);
    settings_free(scene->settings);
    buf_fini(&scene->will);
}

static void scene_end(struct scene *scene)
{
    scene_close(scene);
    broker_stop(&scene->broker);
    free(scene);
}

static void send_command(struct scene *scene, const char *text)
{
    const char *const arguments[] = {"-q", "1", "-t", "commands/start", "-m", text, NULL};
    broker_publish(&scene->broker, arguments);
}

/* The pid of the child process of that name. */
static pid_t child_pid(const char *name)
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

static void test_a_message_held_at_a_kill_comes_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene = scene_new(NULL, protocols[i]);
        scene_wait_up(scene);
        assert_false(scene->is_session_present);
        send_command(scene, "first");
        WAIT_FOR(scene, scene->delivered_count == 1);
        assert_false(scene->delivery.is_redelivered);
        struct mqtt_ticket stale = scene->ticket;
        kill(child_pid("receiver-1"), SIGKILL);
        WAIT_FOR(scene, scene->receivers_up == 0);
        mqtt_port_settle(scene->port, stale, true);
        WAIT_FOR(scene, scene->delivered_count == 2);
        mqtt_port_settle(scene->port, stale, true);
        assert_string_equal(scene->text, "first");
        assert_true(scene->delivery.is_redelivered);
        mqtt_port_settle(scene->port, scene->ticket, true);
        WAIT_FOR(scene, scene->receivers_up == 1);
        assert_true(scene->is_session_present);
        send_command(scene, "second");
        WAIT_FOR(scene, scene->delivered_count == 3);
        assert_string_equal(scene->text, "second");
        mqtt_port_settle(scene->port, scene->ticket, true);
        assert_int_equal(counter_get(&scene->counters, COUNTER_RECEIVED), 3);
        assert_int_equal(counter_get(&scene->counters, COUNTER_RECEIVER_STARTS), 2);
        scene_stop(scene);
        scene_end(scene);
    }
}

static void test_a_refused_message_is_not_acknowledged_and_comes_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene = scene_new(NULL, protocols[i]);
        scene_wait_up(scene);
        send_command(scene, "refused");
        WAIT_FOR(scene, scene->delivered_count == 1);
        mqtt_port_settle(scene->port, scene->ticket, false);
        WAIT_FOR(scene, scene->receivers_up == 0);
        WAIT_FOR(scene, scene->delivered_count == 2);
        assert_string_equal(scene->text, "refused");
        assert_true(scene->delivery.is_redelivered);
        mqtt_port_settle(scene->port, scene->ticket, true);
        scene_stop(scene);
        scene_end(scene);
    }
}

static void test_a_message_without_a_verdict_is_given_back_in_time(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "keepalive_s = 2;");
    scene_wait_up(scene);
    send_command(scene, "slow");
    WAIT_FOR(scene, scene->delivered_count == 1);
    WAIT_FOR(scene, scene->receivers_up == 0);
    WAIT_FOR(scene, scene->delivered_count == 2);
    assert_true(scene->delivery.is_redelivered);
    mqtt_port_settle(scene->port, scene->ticket, true);
    scene_stop(scene);
    scene_end(scene);
}

static void test_a_message_held_at_the_stop_stays_with_the_broker(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_wait_up(scene);
    send_command(scene, "held");
    WAIT_FOR(scene, scene->delivered_count == 1);
    mqtt_port_stop_intake(scene->port);
    WAIT_FOR(scene, scene->receivers_up == 0);
    assert_true(scene->is_publisher_up);
    scene_stop(scene);
    scene_close(scene);
    scene->is_stopped = false;
    scene_start(scene, "");
    WAIT_FOR(scene, scene->delivered_count == 2);
    assert_string_equal(scene->text, "held");
    mqtt_port_settle(scene->port, scene->ticket, true);
    scene_stop(scene);
    scene_end(scene);
}

static void test_everything_a_sender_may_say_arrives(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_wait_up(scene);
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
    broker_publish(&scene->broker, arguments);
    WAIT_FOR(scene, scene->delivered_count == 1);
    assert_string_equal(scene->topic, "commands/a/other");
    assert_string_equal(scene->response_topic, "answers/here");
    assert_string_equal(scene->traceparent, "00-aa-bb-01");
    assert_int_equal(scene->delivery.correlation_data.length, 4);
    assert_false(slice_is_present(scene->delivery.tracestate));
    assert_true(scene->delivery.expiry_s > 0 && scene->delivery.expiry_s <= 60);
    assert_int_equal(scene->delivery.qos, 1);
    assert_false(scene->delivery.is_retained);
    mqtt_port_settle(scene->port, scene->ticket, true);
    scene_stop(scene);
    scene_end(scene);
}

static void test_a_long_message_is_cut_and_its_size_told(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_wait_up(scene);
    const char *path = broker_path(&scene->broker, "payload");
    char path_copy[128];
    snprintf(path_copy, sizeof path_copy, "%s", path);
    FILE *file = fopen(path_copy, "w");
    assert_non_null(file);
    for (int i = 0; i < 200000; i++) {
        fputc('x', file);
    }
    fclose(file);
    const char *const arguments[] = {"-q", "1", "-t", "commands/start", "-f", path_copy, NULL};
    broker_publish(&scene->broker, arguments);
    unlink(path_copy);
    WAIT_FOR(scene, scene->delivered_count == 1);
    assert_int_equal(scene->delivery.payload_bytes, 200000);
    assert_int_equal(scene->delivery.payload.length, 1024);
    mqtt_port_settle(scene->port, scene->ticket, true);
    send_command(scene, "next");
    WAIT_FOR(scene, scene->delivered_count == 2);
    assert_string_equal(scene->text, "next");
    scene_stop(scene);
    scene_end(scene);
}

static void test_a_message_published_with_the_retain_flag_says_so(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_wait_up(scene);
    const char *const arguments[] = {"-r", "-q", "1", "-t", "commands/start", "-m", "kept", NULL};
    broker_publish(&scene->broker, arguments);
    WAIT_FOR(scene, scene->delivered_count == 1);
    assert_true(scene->delivery.is_retained);
    mqtt_port_settle(scene->port, scene->ticket, true);
    scene_stop(scene);
    scene_end(scene);
}

static void publish(struct scene *scene, int64_t id, struct message *message)
{
    struct buf bytes = {0};
    message_encode(message, &bytes);
    assert_true(mqtt_port_may_publish(scene->port));
    mqtt_port_publish(scene->port, id, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void test_a_reply_goes_out_with_its_properties(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_wait_up(scene);
    const char *const arguments[] = {
        "-V", "5", "-q", "1", "-t", "answers/#", "-F", "%t|%p|%C|%D|%F|%P|%E", NULL};
    int fd;
    pid_t subscriber = broker_subscribe(&scene->broker, arguments, &fd);
    struct message message = {.topic = slice_text("answers/1"),
                              .body = slice_text("{\"a\":1}"),
                              .qos = 1,
                              .is_json = true,
                              .correlation_data = slice_text("corr"),
                              .expiry_s = 3600};
    message_add_property(&message, "status", slice_text("succeeded"));
    publish(scene, 77, &message);
    WAIT_FOR(scene, scene->published_count == 1);
    assert_int_equal(scene->published_id, 77);
    struct buf line = {0};
    do {
        assert_true(broker_read_line(fd, &line, 10000));
    } while (strncmp(line.data, "answers/1|", 10) != 0);
    assert_string_equal(line.data,
                        "answers/1|{\"a\":1}|application/json|corr|1|status:succeeded|3600");
    buf_fini(&line);
    broker_unsubscribe(subscriber, fd);
    scene_stop(scene);
    scene_end(scene);
}

static void test_many_replies_are_acknowledged_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene =
            scene_new("allow_anonymous true\nmax_inflight_messages 10", protocols[i]);
        scene_wait_up(scene);
        const char *const arguments[] = {"-q", "1", "-t", "answers/#", "-F", "got %p", NULL};
        int fd;
        pid_t subscriber = broker_subscribe(&scene->broker, arguments, &fd);
        for (int64_t id = 1; id <= 300; id++) {
            char body[32];
            snprintf(body, sizeof body, "%d", (int)id);
            struct message message = {.topic = slice_text("answers/1"),
                                      .body = slice_text(body),
                                      .qos = 1,
                                      .expiry_s = -1};
            publish(scene, id, &message);
        }
        WAIT_FOR(scene, scene->published_count == 300);
        assert_int_equal(scene->published_id, 300);
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
        scene_stop(scene);
        scene_end(scene);
    }
}

static void test_what_no_broker_takes_is_refused_for_good_and_harms_nothing(void **state)
{
    (void)state;
    struct scene *scene = scene_new("allow_anonymous true\nmax_packet_size 2000", "");
    scene_wait_up(scene);
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
        publish(scene, i, &bad[i]);
        WAIT_FOR(scene, scene->unpublished_count == i + 1);
        assert_true(scene->is_final);
    }
    assert_string_equal(scene->why, "larger than the broker takes");
    struct message good = {.topic = slice_text("answers/1"), .qos = 1, .expiry_s = -1};
    publish(scene, 5, &good);
    WAIT_FOR(scene, scene->published_count == 1);
    assert_int_equal(counter_get(&scene->counters, COUNTER_PUBLISHER_STARTS), 1);
    scene_stop(scene);
    scene_end(scene);
}

static void test_a_broker_that_dies_and_comes_back_is_found_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene = scene_new(NULL, protocols[i]);
        scene_wait_up(scene);
        broker_kill(&scene->broker);
        WAIT_FOR(scene, !scene->is_publisher_up && scene->receivers_up == 0);
        assert_false(mqtt_port_may_publish(scene->port));
        broker_again(&scene->broker);
        scene_wait_up(scene);
        assert_int_equal(scene->session_count, 2);
        assert_false(scene->is_session_present);
        send_command(scene, "after");
        WAIT_FOR(scene, scene->delivered_count == 1);
        mqtt_port_settle(scene->port, scene->ticket, true);
        scene_stop(scene);
        scene_end(scene);
    }
}

static void test_the_next_address_is_tried_where_one_is_not_there(void **state)
{
    (void)state;
    struct scene *scene = mem_zalloc(1, sizeof *scene);
    scene->uris = "\"mqtts://127.0.0.1:1\", \"mqtt://127.0.0.1:1\", ";
    broker_start(&scene->broker, NULL);
    scene_start(scene, "");
    scene_wait_up(scene);
    assert_int_equal(counter_get(&scene->counters, COUNTER_RECEIVER_STARTS), 1);
    scene_stop(scene);
    scene_end(scene);
}

static void test_several_receivers_share_the_commands(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "receivers = 3;");
    scene_wait_up(scene);
    bool has_seen[3] = {false};
    for (int i = 0; i < 6; i++) {
        send_command(scene, "one of six");
        WAIT_FOR(scene, scene->delivered_count == i + 1);
        has_seen[scene->ticket.receiver] = true;
        mqtt_port_settle(scene->port, scene->ticket, true);
    }
    assert_true(has_seen[0] && has_seen[1] && has_seen[2]);
    scene_stop(scene);
    scene_end(scene);
}

static void test_a_wrong_password_is_tried_again_and_a_changed_one_is_used(void **state)
{
    (void)state;
    struct scene *scene = mem_zalloc(1, sizeof *scene);
    scene->uris = "";
    broker_start(&scene->broker, "allow_anonymous true");
    char password_path[128];
    char users_path[128];
    char line[512];
    snprintf(password_path, sizeof password_path, "%s", broker_path(&scene->broker, "password"));
    snprintf(users_path, sizeof users_path, "%s", broker_path(&scene->broker, "users"));
    snprintf(line, sizeof line, "mosquitto_passwd -c -b %s user right 2>/dev/null", users_path);
    assert_int_equal(system(line), 0);
    free(scene->broker.settings);
    snprintf(line, sizeof line, "allow_anonymous false\npassword_file %s", users_path);
    scene->broker.settings = mem_strdup(line);
    broker_kill(&scene->broker);
    broker_again(&scene->broker);
    FILE *file = fopen(password_path, "w");
    assert_non_null(file);
    fputs("wrong\n", file);
    fclose(file);
    snprintf(line, sizeof line, "username = \"user\"; password_file = \"%s\";", password_path);
    scene_start(scene, line);
    WAIT_FOR(scene, counter_get(&scene->counters, COUNTER_RECEIVER_STARTS) >= 2);
    assert_int_equal(scene->receivers_up, 0);
    file = fopen(password_path, "w");
    assert_non_null(file);
    fputs("right\n", file);
    fclose(file);
    scene_wait_up(scene);
    scene_stop(scene);
    unlink(password_path);
    unlink(users_path);
    scene_end(scene);
}

static void test_an_unfinished_start_is_stopped_too(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_stop(scene);
    scene_end(scene);
}

static void test_processes_end_with_their_port(void **state)
{
    (void)state;
    struct scene *scene = scene_new(NULL, "");
    scene_wait_up(scene);
    pid_t pid = child_pid("receiver-1");
    mqtt_port_free(scene->port);
    scene->port = NULL;
    /* Nobody reaps it any more; that it was killed is all there is to see. */
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    scene_end(scene);
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
        cmocka_unit_test(test_a_message_held_at_a_kill_comes_again),
        cmocka_unit_test(test_a_refused_message_is_not_acknowledged_and_comes_again),
        cmocka_unit_test(test_a_message_without_a_verdict_is_given_back_in_time),
        cmocka_unit_test(test_a_message_held_at_the_stop_stays_with_the_broker),
        cmocka_unit_test(test_everything_a_sender_may_say_arrives),
        cmocka_unit_test(test_a_long_message_is_cut_and_its_size_told),
        cmocka_unit_test(test_a_message_published_with_the_retain_flag_says_so),
        cmocka_unit_test(test_a_reply_goes_out_with_its_properties),
        cmocka_unit_test(test_many_replies_are_acknowledged_in_order),
        cmocka_unit_test(test_what_no_broker_takes_is_refused_for_good_and_harms_nothing),
        cmocka_unit_test(test_a_broker_that_dies_and_comes_back_is_found_again),
        cmocka_unit_test(test_the_next_address_is_tried_where_one_is_not_there),
        cmocka_unit_test(test_several_receivers_share_the_commands),
        cmocka_unit_test(test_a_wrong_password_is_tried_again_and_a_changed_one_is_used),
        cmocka_unit_test(test_an_unfinished_start_is_stopped_too),
        cmocka_unit_test(test_processes_end_with_their_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
