/* What the bridge takes from an MQTT process that somebody has taken over: this program is also
 * that process. The user name of the connect params says what it does. */
#include "support/workers_fixture.h"

#include "base/mem.h"
#include "model/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PAYLOAD_BYTES 1024 /* the fixture's limits.payload_bytes */

/* ---- The process ---- */

/* Ends with the bridge, or by it. */
static void send_all(int fd, struct slice bytes)
{
    while (bytes.length > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.length, MSG_NOSIGNAL);
        if (sent <= 0) {
            _exit(1);
        }
        bytes.data += sent;
        bytes.length -= (size_t)sent;
    }
}

static void send_frame(int fd, const struct wire_frame *frame)
{
    struct buf bytes = {0};
    wire_put(&bytes, frame);
    send_all(fd, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void send_delivery(void)
{
    const struct delivery delivery = {.topic = slice_text("commands/start"),
                                      .payload = slice_text("{}"),
                                      .payload_bytes = 2,
                                      .expiry_s = -1,
                                      .qos = 1};
    struct buf body = {0};
    delivery_encode(&delivery, &body);
    send_frame(WIRE_DELIVERY_FD, &(struct wire_frame){WIRE_DELIVERY, .delivery = buf_slice(&body)});
    buf_fini(&body);
}

static void flood(void)
{
    for (;;) {
        send_delivery();
    }
}

/* The beginning of a frame whose length is above the limit by one, with most of its body missing.
 */
static void begin_long_frame(int fd, enum wire_type type, uint32_t limit)
{
    const uint32_t length = limit + 1;
    const char head[5] = {(char)(length >> 24), (char)(length >> 16), (char)(length >> 8),
                          (char)length, (char)type};
    send_all(fd, slice_of(head, sizeof head));
}

static void send_long_delivery(void)
{
    begin_long_frame(WIRE_DELIVERY_FD, WIRE_DELIVERY, PAYLOAD_BYTES + WIRE_DELIVERY_BYTES_MORE);
}

static void send_long_reason(void)
{
    begin_long_frame(WIRE_CONTROL_FD, WIRE_DOWN, 128U << 10);
}

static void go_on_after_the_end(void)
{
    const struct wire_frame down = {WIRE_DOWN,
                                    .down = {.reason = WIRE_DOWN_LOST, .text = slice_text("lost")}};
    send_frame(WIRE_CONTROL_FD, &down);
    send_frame(WIRE_CONTROL_FD, &(struct wire_frame){WIRE_CONNECTED, .connected = {true}});
}

static const struct {
    const char *name;
    void (*act)(void);
} acts[] = {
    {"flood", flood},
    {"long-delivery", send_long_delivery},
    {"long-reason", send_long_reason},
    {"after-the-end", go_on_after_the_end},
};

static void read_params(struct connect_params *params)
{
    static struct wire_input in;
    struct wire_frame frame;
    while (wire_input_next(&in, &frame) != STATUS_OK) {
        char *room = buf_reserve(&in.bytes, 65536);
        ssize_t got = recv(WIRE_CONTROL_FD, room, 65536, 0);
        if (got <= 0) {
            _exit(1);
        }
        in.bytes.length += (size_t)got;
    }
    if (wire_get_connect_params(frame.params, params) != STATUS_OK) {
        _exit(1);
    }
}

static _Noreturn void misbehave(void)
{
    static struct connect_params params;
    char byte;
    read_params(&params);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (params.role == WIRE_RECEIVER && slice_equals_text(params.username, acts[i].name)) {
            acts[i].act();
        }
    }
    while (recv(WIRE_CONTROL_FD, &byte, 1, 0) > 0) {
    }
    _exit(0);
}

/* ---- The bridge ---- */

/* Runs such processes until the bridge has ended the second one, and expects that reason. */
static struct workers_fixture *run(const char *act, bool acks, const char *reason, const char *text)
{
    struct workers_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    char line[64];
    fixture->uris = "";
    fixture->program = "/proc/self/exe";
    fixture->acks = acks;
    snprintf(line, sizeof line, "username = \"%s\";\n", act);
    broker_start(&fixture->broker, NULL);
    workers_fixture_start(fixture, line);
    WAIT_FOR(fixture, fixture->failed_count >= 1);
    assert_string_equal(fixture->why, reason);
    assert_non_null(strstr(fixture->text, text));
    return fixture;
}

static void end(struct workers_fixture *fixture)
{
    WAIT_FOR(fixture, fixture->failed_count >= 2); /* it is started again */
    workers_fixture_end(fixture);
}

static void test_no_more_deliveries_are_taken_than_may_wait_for_an_ack(void **state)
{
    (void)state;
    struct workers_fixture *fixture = run("flood", false, "internal", "more deliveries");
    assert_int_equal(fixture->delivered_count, WIRE_WINDOW);
    end(fixture);
}

static void test_a_receiver_that_does_not_read_its_acks_is_ended(void **state)
{
    (void)state;
    struct workers_fixture *fixture = run("flood", true, "internal", "does not read its acks");
    assert_true(fixture->delivered_count > WIRE_WINDOW);
    end(fixture);
}

static void test_a_delivery_that_is_too_long_is_not_waited_for(void **state)
{
    (void)state;
    struct workers_fixture *fixture = run("long-delivery", false, "internal", "too long");
    assert_int_equal(fixture->delivered_count, 0);
    end(fixture);
}

static void test_another_frame_that_is_too_long_is_not_waited_for(void **state)
{
    (void)state;
    end(run("long-reason", false, "internal", "too long"));
}

static void test_nothing_is_taken_after_the_last_frame(void **state)
{
    (void)state;
    struct workers_fixture *fixture = run("after-the-end", false, "internal", "invalid frame");
    assert_int_equal(fixture->session_count, 0);
    end(fixture);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_deliveries_are_taken_than_may_wait_for_an_ack),
        cmocka_unit_test(test_a_receiver_that_does_not_read_its_acks_is_ended),
        cmocka_unit_test(test_a_delivery_that_is_too_long_is_not_waited_for),
        cmocka_unit_test(test_another_frame_that_is_too_long_is_not_waited_for),
        cmocka_unit_test(test_nothing_is_taken_after_the_last_frame),
    };
    if (argc == 2 &&
        (strcmp(argv[0], WIRE_RECEIVER_TITLE) == 0 || strcmp(argv[0], WIRE_PUBLISHER_TITLE) == 0)) {
        misbehave();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
