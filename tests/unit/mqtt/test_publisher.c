/* Messages: from workers_publish() through the publisher process to the broker, and the answer
 * back. */
#include "support/workers_fixture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const protocols[] = {"protocol = 5;", "protocol = 4;"};

static void publish_until(struct workers_fixture *fixture, int64_t id, int64_t valid_until_ms,
                          struct message *message)
{
    struct buf bytes = {0};
    message_encode(message, &bytes);
    assert_true(workers_may_publish(fixture->workers));
    workers_publish(fixture->workers, id, valid_until_ms, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void publish(struct workers_fixture *fixture, int64_t id, struct message *message)
{
    publish_until(fixture, id, 0, message);
}

static void test_a_reply_is_published_with_its_properties(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
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
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_many_replies_are_acknowledged_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        /* A small Receive Maximum, so that the publisher must wait for acknowledgements. */
        struct workers_fixture *fixture =
            workers_fixture_new("allow_anonymous true\nmax_inflight_messages 10", protocols[i]);
        workers_fixture_wait_up(fixture);
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
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_a_message_no_broker_accepts_is_refused_for_good_and_the_next_is_published(
    void **state)
{
    (void)state;
    struct workers_fixture *fixture =
        workers_fixture_new("allow_anonymous true\nmax_packet_size 2000", "");
    workers_fixture_wait_up(fixture);
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
        assert_int_equal(fixture->code, 0);
    }
    assert_string_equal(fixture->why, "larger than the Maximum Packet Size of the broker");
    struct message good = {.topic = slice_text("answers/1"), .qos = 1, .expiry_s = -1};
    publish(fixture, 5, &good);
    WAIT_FOR(fixture, fixture->published_count == 1);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_PUBLISHER_STARTS), 1);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_message_whose_time_has_passed_does_not_get_to_the_broker(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "");
    workers_fixture_wait_up(fixture);
    const char *const arguments[] = {"-q", "1", "-t", "answers/#", "-F", "got %p", NULL};
    int fd;
    pid_t subscriber = broker_subscribe(&fixture->broker, arguments, &fd);
    struct message old = {
        .topic = slice_text("answers/1"), .body = slice_text("old"), .qos = 1, .expiry_s = -1};
    struct message new = {
        .topic = slice_text("answers/1"), .body = slice_text("new"), .qos = 1, .expiry_s = -1};
    publish_until(fixture, 1, 1, &old);
    publish_until(fixture, 2, clock_boot_ms() + 600000, &new);
    WAIT_FOR(fixture, fixture->published_count == 1);
    assert_int_equal(fixture->published_id, 2);
    WAIT_FOR(fixture, fixture->expired_count == 1);
    assert_int_equal(fixture->expired_id, 1);
    struct buf line = {0};
    do {
        assert_true(broker_read_line(fd, &line, 10000));
    } while (strncmp(line.data, "got ", 4) != 0);
    assert_string_equal(line.data, "got new");
    buf_fini(&line);
    broker_unsubscribe(subscriber, fd);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

static void test_a_topic_that_nobody_subscribes_to_is_reported_with_mqtt_5(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        bool is_5 = i == 0;
        struct workers_fixture *fixture = workers_fixture_new(NULL, is_5 ? "" : "protocol = 4;");
        workers_fixture_wait_up(fixture);
        /* The fixture's receiver subscribes to the first one. */
        static const char *const topics[] = {"commands/start", "nobody", "commands/start"};
        for (int k = 0; k < 3; k++) {
            struct message message = {
                .topic = slice_text(topics[k]), .body = slice_text("x"), .qos = 1, .expiry_s = -1};
            publish(fixture, k, &message);
            WAIT_FOR(fixture, fixture->published_count == k + 1);
            assert_int_equal(fixture->has_subscriber, k != 1 || !is_5);
        }
        workers_fixture_stop(fixture);
        workers_fixture_end(fixture);
    }
}

static void test_messages_keep_to_the_rate_of_the_settings(void **state)
{
    (void)state;
    struct workers_fixture *fixture = workers_fixture_new(NULL, "publish_per_s = 20.0;");
    workers_fixture_wait_up(fixture);
    int64_t began_ms = loop_now_ms(fixture->loop);
    struct message message = {
        .topic = slice_text("t"), .body = slice_text("x"), .qos = 1, .expiry_s = -1};
    for (int i = 1; i <= 11; i++) {
        publish(fixture, i, &message);
    }
    WAIT_FOR(fixture, fixture->published_count == 11);
    assert_int_equal(fixture->published_id, 11);
    /* Ten intervals of 50 ms. */
    assert_in_range(loop_now_ms(fixture->loop) - began_ms, 495, 5000);
    workers_fixture_stop(fixture);
    workers_fixture_end(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_topic_that_nobody_subscribes_to_is_reported_with_mqtt_5),
        cmocka_unit_test(test_messages_keep_to_the_rate_of_the_settings),
        cmocka_unit_test(test_a_reply_is_published_with_its_properties),
        cmocka_unit_test(test_a_message_whose_time_has_passed_does_not_get_to_the_broker),
        cmocka_unit_test(test_many_replies_are_acknowledged_in_order),
        cmocka_unit_test(
            test_a_message_no_broker_accepts_is_refused_for_good_and_the_next_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
