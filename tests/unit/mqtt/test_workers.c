/* The processes: reconnecting, addresses, passwords, stop. */
#include "support/workers_fixture.h"

#include "base/mem.h"
#include "model/message.h"
#include "support/scripted_broker.h"

#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static sem_t answer; /* of the name server, for slow.test */
static int64_t wall_step_ms;

/* In the place of clock_wall_ms(). */
int64_t __real_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void);

int64_t __wrap_clock_wall_ms(void)
{
    return __real_clock_wall_ms() + wall_step_ms;
}

/* In the place of getaddrinfo() in the bridge's side. */
int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    /* Only the broker's address has somebody who listens at its port. */
    static const char *const three[] = {"127.0.0.2", "127.0.0.3", "127.0.0.1"};
    if (strcmp(node, "slow.test") == 0) {
        while (sem_wait(&answer) != 0) {
        }
    }
    if (strcmp(node, "three.test") != 0) {
        return EAI_NONAME;
    }
    for (size_t i = 0; i < sizeof three / sizeof three[0]; i++) {
        int error = __real_getaddrinfo(three[i], service, hints, out);
        assert_int_equal(error, 0);
        out = &(*out)->ai_next;
    }
    return 0;
}

static const char *const protocols[] = {"protocol = 5;", "protocol = 4;"};

static void test_workers_reconnect_to_a_broker_that_was_killed_and_restarted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct workers_fixture *fixture = workers_fixture_new(NULL, protocols[i]);
        workers_fixture_wait_up(fixture);
        broker_kill(&fixture->broker);
        WAIT_FOR(fixture, !fixture->is_publisher_up && !fixture->is_receiving);
        assert_false(workers_may_publish(fixture->workers));
        broker_restart(&fixture->broker);
        workers_fixture_wait_up(fixture);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_RECONNECTS), 1);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_RECONNECTS), 1);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_CRASHES), 0);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_CRASHES), 0);
        assert_int_equal(fixture->session_count, 2);
        assert_false(fixture->is_session_present);
        workers_fixture_send(fixture, "after");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        workers_ack(fixture->workers, fixture->ticket, true);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_the_next_address_is_tried_if_one_is_unreachable(void **state)
{
    (void)state;
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->uris = "\"mqtts://127.0.0.1:1\", \"mqtt://127.0.0.1:1\", ";
    broker_start(&fixture->broker, NULL);
    workers_fixture_start(fixture, "");
    workers_fixture_wait_up(fixture);
    /* A process for each address, and no backoff between them, which would be 30 s. */
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 3);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static struct workers_fixture *start_with_host(const char *host)
{
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->uris = "";
    fixture->host = host;
    broker_start(&fixture->broker, NULL);
    workers_fixture_start(fixture, "");
    return fixture;
}

static void test_every_address_of_a_name_is_tried(void **state)
{
    (void)state;
    struct workers_fixture *fixture = start_with_host("three.test");
    workers_fixture_wait_up(fixture);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 3);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), 3);
    assert_int_equal(fixture->failed_count, 0);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_name_that_does_not_exist_is_reported(void **state)
{
    (void)state;
    struct workers_fixture *fixture = start_with_host("none.test");
    WAIT_FOR(fixture, fixture->failed_count > 0);
    assert_string_equal(fixture->why, "not_connected");
    assert_non_null(strstr(fixture->text, "none.test"));
    assert_non_null(strstr(fixture->text, "no such host"));
    workers_fixture_stop(fixture);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 0);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_FAILURES) +
                         counter_get(&fixture->counters, COUNTER_PUBLISHER_FAILURES),
                     fixture->failed_count);
    workers_fixture_end(fixture);
}

static void test_workers_stop_while_a_name_server_does_not_answer(void **state)
{
    (void)state;
    struct workers_fixture *fixture = start_with_host("slow.test");
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
    sem_post(&answer);
    sem_post(&answer);
}

static void test_the_refusal_of_one_address_is_reported_after_the_last_one_has_failed(void **state)
{
    (void)state;
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    char uris[64];
    broker_start(&fixture->broker, "allow_anonymous false");
    snprintf(uris, sizeof uris, "\"mqtt://127.0.0.1:%d\", ", fixture->broker.port);
    fixture->uris = uris;
    int port = fixture->broker.port;
    fixture->broker.port = 1; /* the last address of the settings */
    workers_fixture_start(fixture, "");
    fixture->broker.port = port;
    WAIT_FOR(fixture, fixture->failed_count >= 1);
    assert_string_equal(fixture->why, "refused");
    /* One report for both addresses. */
    assert_true(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS) +
                    counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS) >=
                2 * fixture->failed_count);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_shorter_keepalive_of_the_broker_is_obeyed_by_the_next_process(void **state)
{
    (void)state;
    struct workers_fixture *fixture =
        workers_fixture_new("allow_anonymous true\nmax_keepalive 10", "");
    workers_fixture_wait_up(fixture);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 2);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), 2);
    /* The first CONNACK told that there was no session; the second one has that of the first. */
    assert_int_equal(fixture->session_count, 2);
    assert_int_equal(fixture->lost_session_count, 1);
    assert_true(fixture->is_session_present);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

/* What a subscriber sees of a message that the bridge asks to have retained. */
static void check_publish(struct workers_fixture *fixture)
{
    struct message message = {.topic = slice_text("t"),
                              .body = slice_text("reply"),
                              .qos = 1,
                              .is_retained = true,
                              .expiry_s = -1};
    struct buf bytes = {0};
    message_encode(&message, &bytes);
    workers_publish(fixture->workers, 7, 0, buf_slice(&bytes));
    WAIT_FOR(fixture, fixture->published_count == 1);
    assert_int_equal(fixture->published_id, 7);
    buf_fini(&bytes);
}

static void test_replies_go_out_at_a_broker_that_cannot_do_what_the_will_asks_for(void **state)
{
    (void)state;
    static const char *const brokers[] = {
        "allow_anonymous true\nretain_available false",
        "allow_anonymous true\nmax_qos 0",
        "allow_anonymous true\nretain_available false\nmax_qos 0",
    };
    for (size_t i = 0; i < sizeof brokers / sizeof brokers[0]; i++) {
        struct workers_fixture *fixture = workers_fixture_new(brokers[i], "");
        workers_fixture_wait_up(fixture);
        check_publish(fixture);
        /* It was told why at once, and no attempt counted as a failure. */
        assert_int_equal(fixture->failed_count, 0);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), i == 2 ? 3 : 2);
        /* The next connection knows it. */
        kill(workers_fixture_pid("publisher"), SIGKILL);
        WAIT_FOR(fixture, !fixture->is_publisher_up);
        WAIT_FOR(fixture, fixture->is_publisher_up);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), i == 2 ? 4 : 3);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_a_broker_without_retain_or_will_can_be_named_in_the_settings(void **state)
{
    (void)state;
    static const char *const lines[] = {"retain = false;", "will = false;"};
    for (size_t i = 0; i < 2; i++) {
        struct workers_fixture *fixture =
            workers_fixture_new("allow_anonymous true\nretain_available false", lines[i]);
        workers_fixture_wait_up(fixture);
        check_publish(fixture);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), 1);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

/* A broker that refuses an id in use, as ApsaraMQ does, refuses it until it has noticed the end of
 * the old connection. */
static void test_a_refused_client_id_is_tried_again_until_the_broker_takes_it(void **state)
{
    (void)state;
    static const unsigned char refusals[2][5] = {{0x20, 2, 0, 2}, {0x20, 3, 0, 0x85, 0}};
    for (size_t i = 0; i < 2; i++) {
        struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
        struct scripted_broker refusing;
        fixture->uris = "";
        broker_start(&fixture->broker, NULL);
        broker_kill(&fixture->broker);
        scripted_broker_start(&refusing, SCRIPTED_TCP, i == 0 ? 4 : 5, false);
        fixture->broker.port = refusing.port;
        workers_fixture_start(fixture, i == 0 ? "protocol = 4;" : "protocol = 5;");
        for (int refused = 0; refused < 6; refused++) {
            WAIT_FOR(fixture, scripted_broker_has_client(&refusing));
            scripted_broker_accept(&refusing);
            scripted_broker_send(&refusing, refusals[i], refusals[i][1] + 2U);
            scripted_broker_close(&refusing);
        }
        WAIT_FOR(fixture, fixture->failed_count >= 2);
        assert_string_equal(fixture->why, "refused");
        scripted_broker_stop(&refusing);
        broker_restart(&fixture->broker);
        workers_fixture_wait_up(fixture);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_processes_at_different_brokers_are_reported(void **state)
{
    (void)state;
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    struct broker first;
    char uris[64];
    broker_start(&first, NULL);
    broker_start(&fixture->broker, NULL);
    snprintf(uris, sizeof uris, "\"mqtt://127.0.0.1:%d\", ", first.port);
    fixture->uris = uris;
    workers_fixture_start(fixture, "");
    workers_fixture_wait_up(fixture);
    assert_false(fixture->do_brokers_differ);
    /* The first broker ends; both go to the second one. */
    broker_kill(&first);
    WAIT_FOR(fixture, !fixture->is_publisher_up && !fixture->is_receiving);
    workers_fixture_wait_up(fixture);
    int differ_count = fixture->differ_count;
    /* It is back, and only the publisher goes there. The receiver follows by itself. */
    broker_restart(&first);
    kill(workers_fixture_pid("publisher"), SIGKILL);
    WAIT_FOR(fixture, fixture->differ_count > differ_count);
    WAIT_FOR(fixture, !fixture->do_brokers_differ);
    broker_kill(&fixture->broker);
    workers_fixture_wait_up(fixture);
    assert_false(fixture->do_brokers_differ);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
    broker_stop(&first);
}

static void test_a_changed_password_is_used_for_the_next_attempt(void **state)
{
    (void)state;
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
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
    broker_restart(&fixture->broker);
    FILE *file = fopen(password_path, "w");
    assert_non_null(file);
    fputs("wrong\n", file);
    fclose(file);
    snprintf(line, sizeof line, "username = \"user\"; password_file = \"%s\";", password_path);
    workers_fixture_start(fixture, line);
    WAIT_FOR(fixture, counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS) >= 2);
    assert_false(fixture->is_receiving);
    file = fopen(password_path, "w");
    assert_non_null(file);
    fputs("right\n", file);
    fclose(file);
    workers_fixture_wait_up(fixture);
    workers_fixture_stop(fixture);
    unlink(password_path);
    unlink(users_path);
    workers_fixture_end(fixture);
}

static void test_workers_stop_before_they_are_connected(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_receiver_that_waits_to_start_again_stays_away_after_the_stop_of_intake(
    void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    fixture->settings->broker.reconnect_min_s = 1;
    fixture->settings->broker.reconnect_max_s = 1;
    workers_fixture_wait_up(fixture);
    kill(workers_fixture_pid("receiver"), SIGKILL);
    WAIT_FOR(fixture, !fixture->is_receiving);
    workers_stop_intake(fixture->workers);
    /* The publisher waits half a second at least each time, so the receiver's second is over. */
    for (int i = 0; i < 2; i++) {
        kill(workers_fixture_pid("publisher"), SIGKILL);
        WAIT_FOR(fixture, !fixture->is_publisher_up);
        WAIT_FOR(fixture, fixture->is_publisher_up);
    }
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 1);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

#define HOUR_MS 3600000
#define LONG_S  60

static void test_a_step_of_the_wall_clock_does_not_change_the_backoff(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    fixture->settings->broker.reconnect_min_s = 1;
    fixture->settings->broker.reconnect_max_s = 1;
    kill(workers_fixture_pid("receiver"), SIGKILL);
    WAIT_FOR(fixture, !fixture->is_receiving);
    wall_step_ms = -HOUR_MS;
    WAIT_FOR(fixture, fixture->is_receiving);
    fixture->settings->broker.reconnect_min_s = LONG_S;
    fixture->settings->broker.reconnect_max_s = LONG_S;
    kill(workers_fixture_pid("receiver"), SIGKILL);
    WAIT_FOR(fixture, !fixture->is_receiving);
    wall_step_ms = HOUR_MS;
    fixture->settings->broker.reconnect_min_s = 0;
    fixture->settings->broker.reconnect_max_s = 0;
    for (int i = 0; i < 2; i++) {
        kill(workers_fixture_pid("publisher"), SIGKILL);
        WAIT_FOR(fixture, !fixture->is_publisher_up);
        WAIT_FOR(fixture, fixture->is_publisher_up);
    }
    assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 2);
    wall_step_ms = 0;
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_process_that_does_not_end_is_killed_at_the_stop(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    kill(workers_fixture_pid("receiver"), SIGSTOP);
    workers_stop(fixture->workers, 100);
    WAIT_FOR(fixture, fixture->is_stopped);
    workers_fixture_end(fixture);
}

static void test_a_drainer_that_does_not_end_is_killed_if_its_session_must_be_left_at_once(
    void **state)
{
    (void)state;
    static char id[] = "dead-in";
    const struct mqtt_session session = {.client_id = id, .use = MQTT_SESSION_DRAIN};
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    workers_adopt(fixture->workers, &session);
    WAIT_FOR(fixture, fixture->is_drained);
    pid_t pid = workers_fixture_pid("drainer");
    kill(pid, SIGSTOP);
    workers_abandon(fixture->workers, id, false);
    workers_abandon(fixture->workers, id, true);
    /* No timer kills it: the loop does not run. */
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    WAIT_FOR(fixture, fixture->ended_count == 1);
    workers_abandon(fixture->workers, id, true);
    assert_int_equal(fixture->ended_count, 1);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_processes_are_killed_with_their_workers(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    pid_t pid = workers_fixture_pid("receiver");
    workers_free(fixture->workers);
    fixture->workers = NULL;
    /* The loop does not reap it any more. */
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    workers_fixture_end(fixture);
}

/* Starts the executable as the bridge of another version would, and reads its only frame. */
static void test_an_executable_of_another_version_says_so_and_ends(void **state)
{
    (void)state;
    int control[2];
    char bytes[1024];
    struct wire_frame frame;
    size_t taken;
    int status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, control), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(control[1], WIRE_CONTROL_FD);
        execl(MQTT_PROGRAM, WIRE_RECEIVER_TITLE, "0.0.0-other", (char *)NULL);
        _exit(127);
    }
    close(control[1]);
    ssize_t got = recv(control[0], bytes, sizeof bytes, 0);
    assert_true(got > 0);
    assert_int_equal(wire_next(slice_of(bytes, (size_t)got), &frame, &taken), STATUS_OK);
    assert_int_equal(frame.type, WIRE_DOWN);
    assert_int_equal(frame.down.reason, WIRE_DOWN_INTERNAL);
    struct buf text = {0};
    buf_append(&text, frame.down.text);
    assert_non_null(strstr(text.data, "is version " BRIDGE_VERSION));
    assert_non_null(strstr(text.data, "the bridge is version 0.0.0-other"));
    buf_fini(&text);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(control[0]);
}

int main(void)
{
    sem_init(&answer, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_reconnect_to_a_broker_that_was_killed_and_restarted),
        cmocka_unit_test(test_the_next_address_is_tried_if_one_is_unreachable),
        cmocka_unit_test(test_every_address_of_a_name_is_tried),
        cmocka_unit_test(test_a_name_that_does_not_exist_is_reported),
        cmocka_unit_test(test_workers_stop_while_a_name_server_does_not_answer),
        cmocka_unit_test(test_the_refusal_of_one_address_is_reported_after_the_last_one_has_failed),
        cmocka_unit_test(test_a_shorter_keepalive_of_the_broker_is_obeyed_by_the_next_process),
        cmocka_unit_test(test_replies_go_out_at_a_broker_that_cannot_do_what_the_will_asks_for),
        cmocka_unit_test(test_a_broker_without_retain_or_will_can_be_named_in_the_settings),
        cmocka_unit_test(test_a_refused_client_id_is_tried_again_until_the_broker_takes_it),
        cmocka_unit_test(test_processes_at_different_brokers_are_reported),
        cmocka_unit_test(test_a_changed_password_is_used_for_the_next_attempt),
        cmocka_unit_test(test_workers_stop_before_they_are_connected),
        cmocka_unit_test(
            test_a_receiver_that_waits_to_start_again_stays_away_after_the_stop_of_intake),
        cmocka_unit_test(test_a_step_of_the_wall_clock_does_not_change_the_backoff),
        cmocka_unit_test(test_a_process_that_does_not_end_is_killed_at_the_stop),
        cmocka_unit_test(
            test_a_drainer_that_does_not_end_is_killed_if_its_session_must_be_left_at_once),
        cmocka_unit_test(test_processes_are_killed_with_their_workers),
        cmocka_unit_test(test_an_executable_of_another_version_says_so_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
