#include "workers_fixture.h"

#include "base/mem.h"
#include "model/message.h"
#include "settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TICK_MS 50

static void copy(char *out, size_t size, struct slice text)
{
    snprintf(out, size, "%.*s", (int)text.length, text.data == NULL ? "" : text.data);
}

static void on_delivered(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket)
{
    struct workers_fixture *fixture = arg;
    fixture->delivered_count++;
    fixture->ticket = ticket;
    fixture->delivery = *delivery;
    copy(fixture->topic, sizeof fixture->topic, delivery->topic);
    copy(fixture->text, sizeof fixture->text, delivery->payload);
    copy(fixture->response_topic, sizeof fixture->response_topic, delivery->response_topic);
    copy(fixture->traceparent, sizeof fixture->traceparent, delivery->traceparent);
    if (fixture->acks) {
        workers_ack(fixture->workers, ticket, true);
    }
    loop_stop(fixture->loop);
}

static void on_published(void *arg, int64_t id, bool has_subscriber)
{
    struct workers_fixture *fixture = arg;
    fixture->has_subscriber = has_subscriber;
    fixture->published_count++;
    fixture->published_id = id;
    loop_stop(fixture->loop);
}

static void on_expired(void *arg, int64_t id)
{
    struct workers_fixture *fixture = arg;
    fixture->expired_count++;
    fixture->expired_id = id;
    loop_stop(fixture->loop);
}

static void on_unpublished(void *arg, int64_t id, uint32_t code, struct slice why)
{
    struct workers_fixture *fixture = arg;
    (void)id;
    fixture->unpublished_count++;
    fixture->code = code;
    copy(fixture->why, sizeof fixture->why, why);
    loop_stop(fixture->loop);
}

static void on_publisher(void *arg, bool is_up)
{
    struct workers_fixture *fixture = arg;
    fixture->is_publisher_up = is_up;
    loop_stop(fixture->loop);
}

static void on_differ(void *arg, bool do_differ)
{
    struct workers_fixture *fixture = arg;
    fixture->do_brokers_differ = do_differ;
    fixture->differ_count += do_differ;
}

static void on_receiver(void *arg, bool is_up)
{
    struct workers_fixture *fixture = arg;
    fixture->is_receiving = is_up;
    loop_stop(fixture->loop);
}

static void on_session(void *arg, const char *client_id, bool is_session_present,
                       uint32_t generation)
{
    struct workers_fixture *fixture = arg;
    if (strcmp(client_id, "bridge-in") == 0) {
        fixture->session_count++;
        fixture->lost_session_count += !is_session_present;
        fixture->is_session_present = is_session_present;
    }
    workers_go_on(fixture->workers, generation);
}

static void on_drained(void *arg, const char *client_id)
{
    struct workers_fixture *fixture = arg;
    (void)client_id;
    fixture->is_drained = true;
    loop_stop(fixture->loop);
}

static void on_session_ended(void *arg, const char *client_id)
{
    struct workers_fixture *fixture = arg;
    (void)client_id;
    fixture->ended_count++;
    loop_stop(fixture->loop);
}

static void on_failed(void *arg, const char *reason, const char *text)
{
    struct workers_fixture *fixture = arg;
    fixture->failed_count++;
    snprintf(fixture->text, sizeof fixture->text, "%s", text);
    snprintf(fixture->why, sizeof fixture->why, "%s", reason);
    loop_stop(fixture->loop);
}

static void on_stopped(void *arg)
{
    struct workers_fixture *fixture = arg;
    fixture->is_stopped = true;
    loop_stop(fixture->loop);
}

/* For conditions that no hook reports, and for the timeout. */
static void on_tick(void *arg)
{
    struct workers_fixture *fixture = arg;
    fixture->is_late = loop_now_ms(fixture->loop) >= fixture->waits_until_ms;
    loop_timer_start(fixture->tick, TICK_MS);
    loop_stop(fixture->loop);
}

static struct settings *settings_for(const struct workers_fixture *fixture,
                                     const char *broker_lines)
{
    const struct broker *broker = &fixture->broker;
    const char *path = broker_path(broker, "bridge.conf");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "instance = \"test\";\nlimits: { payload_bytes = 1024; };\nbroker: {\n"
            "uris = (%s\"mqtt://%s:%d\"); client_id = \"bridge\";\n%s};\n"
            "routes = ({ name = \"start\"; action = \"StartDiskReplicaGroup\";\n"
            "topics = (\"commands/start\", \"commands/+/other\"); });\n",
            fixture->uris, fixture->host == NULL ? "127.0.0.1" : fixture->host, broker->port,
            broker_lines);
    fclose(file);
    struct settings *settings = settings_of_file(path);
    unlink(path);
    /* Less than settings allow, so that no test waits for a backoff. */
    settings->broker.reconnect_min_s = 0;
    settings->broker.reconnect_max_s = 0;
    return settings;
}

static void encode_will(struct workers_fixture *fixture)
{
    struct message will = {.topic = slice_text("status/test"),
                           .body = slice_text("{\"State\":\"offline\"}"),
                           .qos = 1,
                           .is_retained = true,
                           .is_json = true,
                           .expiry_s = -1};
    message_encode(&will, &fixture->will);
}

void workers_fixture_start(struct workers_fixture *fixture, const char *broker_lines)
{
    static const struct workers_hooks hooks = {
        .delivered = on_delivered,
        .published = on_published,
        .unpublished = on_unpublished,
        .expired = on_expired,
        .publisher_changed = on_publisher,
        .brokers_differ = on_differ,
        .receiver_changed = on_receiver,
        .session_connected = on_session,
        .session_drained = on_drained,
        .session_ended = on_session_ended,
        .failed = on_failed,
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
    const char *program = fixture->program == NULL ? MQTT_PROGRAM : fixture->program;
    fixture->workers = workers_new(fixture->loop, fixture->settings, &no_tls, program,
                                   buf_slice(&fixture->will), &fixture->counters, &mine);
    workers_set_sessions(fixture->workers, &(struct workers_sessions){0});
    workers_start(fixture->workers);
}

struct workers_fixture *workers_fixture_new(const char *mosquitto_lines, const char *broker_lines)
{
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->uris = "";
    broker_start(&fixture->broker, mosquitto_lines);
    workers_fixture_start(fixture, broker_lines);
    return fixture;
}

void workers_fixture_wait_up(struct workers_fixture *fixture)
{
    WAIT_FOR(fixture, fixture->is_publisher_up && fixture->is_receiving);
}

void workers_fixture_stop(struct workers_fixture *fixture)
{
    workers_stop(fixture->workers, 5000);
    WAIT_FOR(fixture, fixture->is_stopped);
}

void workers_fixture_close(struct workers_fixture *fixture)
{
    workers_free(fixture->workers);
    loop_timer_free(fixture->tick);
    loop_free(fixture->loop);
    settings_free(fixture->settings);
    buf_fini(&fixture->will);
}

void workers_fixture_end(struct workers_fixture *fixture)
{
    workers_fixture_close(fixture);
    broker_stop(&fixture->broker);
    free(fixture);
}

void workers_fixture_send(struct workers_fixture *fixture, const char *text)
{
    const char *const arguments[] = {"-q", "1", "-t", "commands/start", "-m", text, NULL};
    broker_publish(&fixture->broker, arguments);
}

pid_t workers_fixture_pid(const char *name)
{
    char path[64];
    char line[256] = "";
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int pid;
    /* The youngest: one that has ended may still be waiting to be reaped. */
    while (fscanf(file, "%d", &pid) == 1) {
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
