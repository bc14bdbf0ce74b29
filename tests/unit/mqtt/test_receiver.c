/* Deliveries: from the broker through a receiver process to the hook, and the ack back. */
#include "support/workers_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const protocols[] = {"protocol = 5;", "protocol = 4;"};

static void test_a_message_without_ack_at_a_kill_is_delivered_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct workers_fixture *fixture = workers_fixture_new(NULL, protocols[i]);
        workers_fixture_wait_up(fixture);
        assert_false(fixture->is_session_present);
        workers_fixture_send(fixture, "first");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        assert_false(fixture->delivery.is_redelivered);
        struct mqtt_ticket stale = fixture->ticket;
        kill(workers_fixture_pid("receiver"), SIGKILL);
        WAIT_FOR(fixture, !fixture->is_receiving);
        workers_ack(fixture->workers, stale, true);
        WAIT_FOR(fixture, fixture->delivered_count == 2);
        workers_ack(fixture->workers, stale, true);
        assert_string_equal(fixture->text, "first");
        assert_true(fixture->delivery.is_redelivered);
        workers_ack(fixture->workers, fixture->ticket, true);
        WAIT_FOR(fixture, fixture->is_receiving);
        assert_true(fixture->is_session_present);
        workers_fixture_send(fixture, "second");
        WAIT_FOR(fixture, fixture->delivered_count == 3);
        assert_string_equal(fixture->text, "second");
        workers_ack(fixture->workers, fixture->ticket, true);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVED), 3);
        assert_int_equal(counter_get(&fixture->counters, COUNTER_RECEIVER_STARTS), 2);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_a_refused_message_is_not_acknowledged_and_is_delivered_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct workers_fixture *fixture = workers_fixture_new(NULL, protocols[i]);
        workers_fixture_wait_up(fixture);
        workers_fixture_send(fixture, "refused");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        workers_ack(fixture->workers, fixture->ticket, false);
        WAIT_FOR(fixture, !fixture->is_receiving);
        WAIT_FOR(fixture, fixture->delivered_count == 2);
        assert_string_equal(fixture->text, "refused");
        assert_true(fixture->delivery.is_redelivered);
        workers_ack(fixture->workers, fixture->ticket, true);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_a_message_without_ack_is_given_back_after_the_timeout(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "keepalive_s = 2;");
    workers_fixture_wait_up(fixture);
    workers_fixture_send(fixture, "slow");
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    WAIT_FOR(fixture, !fixture->is_receiving);
    WAIT_FOR(fixture, fixture->delivered_count == 2);
    assert_true(fixture->delivery.is_redelivered);
    workers_ack(fixture->workers, fixture->ticket, true);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_message_without_ack_at_the_stop_stays_with_the_broker(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    workers_fixture_send(fixture, "held");
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    workers_stop_intake(fixture->workers);
    WAIT_FOR(fixture, !fixture->is_receiving);
    assert_true(fixture->is_publisher_up);
    workers_fixture_stop(fixture);
    workers_fixture_close(fixture);
    fixture->is_stopped = false;
    workers_fixture_start(fixture, "");
    WAIT_FOR(fixture, fixture->delivered_count == 2);
    assert_string_equal(fixture->text, "held");
    workers_ack(fixture->workers, fixture->ticket, true);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

/* The process is held up, so that it finds the stop and the acks at the same time. */
static void test_at_a_stop_a_refusal_does_not_cut_an_earlier_acknowledgement(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct workers_fixture *fixture = workers_fixture_new(NULL, "");
        workers_fixture_wait_up(fixture);
        workers_fixture_send(fixture, "first");
        WAIT_FOR(fixture, fixture->delivered_count == 1);
        struct mqtt_ticket first = fixture->ticket;
        workers_fixture_send(fixture, "second");
        WAIT_FOR(fixture, fixture->delivered_count == 2);
        pid_t pid = workers_fixture_pid("receiver");
        kill(pid, SIGSTOP);
        workers_stop_intake(fixture->workers);
        workers_ack(fixture->workers, fixture->ticket, false);
        workers_ack(fixture->workers, first, true);
        loop_run(fixture->loop); /* writes them */
        kill(pid, SIGCONT);
        WAIT_FOR(fixture, !fixture->is_receiving);
        workers_fixture_stop(fixture);
        workers_fixture_close(fixture);
        fixture->is_stopped = false;
        workers_fixture_start(fixture, "");
        WAIT_FOR(fixture, fixture->delivered_count == 3);
        assert_string_equal(fixture->text, "second");
        workers_ack(fixture->workers, fixture->ticket, true);
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_all_properties_of_a_message_arrive(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
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
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_long_message_is_cut_and_its_size_reported(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
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
    workers_fixture_send(fixture, "next");
    WAIT_FOR(fixture, fixture->delivered_count == 2);
    assert_string_equal(fixture->text, "next");
    workers_ack(fixture->workers, fixture->ticket, true);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_the_retain_flag_of_a_message_arrives(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    const char *const arguments[] = {"-r", "-q", "1", "-t", "commands/start", "-m", "kept", NULL};
    broker_publish(&fixture->broker, arguments);
    WAIT_FOR(fixture, fixture->delivered_count == 1);
    assert_true(fixture->delivery.is_retained);
    workers_ack(fixture->workers, fixture->ticket, true);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_without_ack_at_a_kill_is_delivered_again),
        cmocka_unit_test(test_a_refused_message_is_not_acknowledged_and_is_delivered_again),
        cmocka_unit_test(test_a_message_without_ack_is_given_back_after_the_timeout),
        cmocka_unit_test(test_a_message_without_ack_at_the_stop_stays_with_the_broker),
        cmocka_unit_test(test_at_a_stop_a_refusal_does_not_cut_an_earlier_acknowledgement),
        cmocka_unit_test(test_all_properties_of_a_message_arrive),
        cmocka_unit_test(test_a_long_message_is_cut_and_its_size_reported),
        cmocka_unit_test(test_the_retain_flag_of_a_message_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
