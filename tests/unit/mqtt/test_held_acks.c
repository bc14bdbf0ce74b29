/* The functions in the libraries' place, called as Paho calls them; the test has both ends of the
 * connection. */
#include "mqtt/held_acks.h"
#include "mqtt/paho/connection_cause.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

static const char CONNECT[] = "\x10\x02xx";
static const char PINGREQ[] = "\xc0";

struct fixture {
    int paho;   /* the client's socket */
    int broker; /* its other end */
    int plan_count;
    size_t release_count; /* what the next plan releases */
    bool has_no_room;
    const char *broken;
};

static void on_plan(void *arg, struct held_acks_plan *plan)
{
    struct fixture *fixture = arg;
    if (fixture->has_no_room) { /* in this plan */
        fixture->has_no_room = false;
        plan->has_room = false;
        plan->until_ms = 0;
    }
    fixture->plan_count++;
    if (fixture->release_count > 0) {
        size_t count = fixture->release_count;
        fixture->release_count = 0;
        held_acks_release(count);
    }
}

static void on_broken(void *arg, const char *why)
{
    struct fixture *fixture = arg;
    fixture->broken = why;
}

static ssize_t paho_writes(int fd, const void *bytes, size_t count)
{
    /* Paho's packets come in two parts. */
    struct iovec parts[] = {{(void *)bytes, 1}, {(char *)bytes + 1, count - 1}};
    return writev(fd, parts, 2);
}

static void paho_polls(int fd)
{
    struct pollfd fds = {.fd = fd, .events = POLLIN};
    (void)poll(&fds, 1, 0);
}

static ssize_t paho_acknowledges(struct fixture *fixture, uint8_t packet_id)
{
    const char packet[] = {0x40, 2, 0, (char)packet_id};
    return paho_writes(fixture->paho, packet, sizeof packet);
}

static void fixture_init(struct fixture *fixture)
{
    int fds[2];
    *fixture = (struct fixture){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    fixture->paho = fds[0];
    fixture->broker = fds[1];
    cause_end(); /* links recv() of that file, also where a sanitizer has one */
    held_acks_prepare(false, false);
}

static void fixture_begin(struct fixture *fixture)
{
    const struct held_acks_hooks hooks = {.arg = fixture, .plan = on_plan, .broken = on_broken};
    char bytes[8];
    fixture_init(fixture);
    assert_int_equal(paho_writes(fixture->paho, CONNECT, 4), 4);
    paho_polls(fixture->paho);
    assert_int_equal(held_acks_begin(0, &hooks), fixture->paho);
    assert_int_equal(recv(fixture->broker, bytes, sizeof bytes, 0), 4);
}

static void fixture_fini(struct fixture *fixture)
{
    held_acks_end();
    held_acks_prepare(false, false);
    close(fixture->paho);
    close(fixture->broker);
}

/* The next poll of the receive thread, which does not wait: there is something to read. */
static void paho_waits(struct fixture *fixture)
{
    struct pollfd fds = {.fd = fixture->paho, .events = POLLIN};
    assert_int_equal(send(fixture->broker, "x", 1, 0), 1);
    assert_int_equal(poll(&fds, 1, 1000), 1);
    assert_int_equal(fds.revents, POLLIN);
}

static void expect_bytes(struct fixture *fixture, const void *bytes, size_t count)
{
    char got[64];
    assert_int_equal(recv(fixture->broker, got, sizeof got, 0), count);
    assert_memory_equal(got, bytes, count);
}

static void expect_no_bytes(struct fixture *fixture)
{
    char byte;
    assert_int_equal(recv(fixture->broker, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

/* Fills the socket, so that it takes nothing more; returns how much. */
static size_t fill(struct fixture *fixture)
{
    static char bytes[4096];
    size_t count = 0;
    ssize_t sent;
    while ((sent = send(fixture->paho, bytes, sizeof bytes, 0)) > 0) {
        count += (size_t)sent;
    }
    return count;
}

static void empty(struct fixture *fixture, size_t count)
{
    char bytes[4096];
    while (count > 0) {
        ssize_t got = recv(fixture->broker, bytes, count < sizeof bytes ? count : sizeof bytes, 0);
        assert_true(got > 0);
        count -= (size_t)got;
    }
}

static void test_without_a_connect_that_was_seen_nothing_can_begin(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(held_acks_begin(0, NULL), -1);
    paho_polls(fixture.paho);
    assert_int_equal(held_acks_begin(0, NULL), -1);
    fixture_fini(&fixture);
    /* Written, and not waited for here. */
    fixture_init(&fixture);
    assert_int_equal(paho_writes(fixture.paho, CONNECT, 4), 4);
    assert_int_equal(held_acks_begin(0, NULL), -1);
    fixture_fini(&fixture);
    /* TLS was wanted. */
    fixture_init(&fixture);
    held_acks_prepare(true, false);
    assert_int_equal(paho_writes(fixture.paho, CONNECT, 4), 4);
    paho_polls(fixture.paho);
    assert_int_equal(held_acks_begin(0, NULL), -1);
    fixture_fini(&fixture);
}

static void test_an_announced_packet_is_held_and_others_are_not(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 1), 4);
    assert_int_equal(paho_writes(fixture.paho, PINGREQ, 2), 2);
    expect_bytes(&fixture, PINGREQ, 2);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 2), 4);
    paho_waits(&fixture);
    expect_no_bytes(&fixture);
    fixture.release_count = 2;
    paho_waits(&fixture);
    expect_bytes(&fixture, "\x40\x02\0\x01\x40\x02\0\x02", 8);
    assert_null(fixture.broken);
    fixture_fini(&fixture);
}

static void test_an_acknowledgement_that_was_not_announced_is_never_written(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    assert_int_equal(paho_acknowledges(&fixture, 1), -1);
    assert_non_null(fixture.broken);
    expect_no_bytes(&fixture);
    fixture_fini(&fixture);
}

static void test_an_acknowledgement_that_was_not_seen_ends_the_connection(void **state)
{
    (void)state;
    struct fixture fixture;
    struct pollfd fds;
    fixture_begin(&fixture);
    held_acks_expect();
    fds = (struct pollfd){.fd = fixture.paho, .events = POLLIN};
    (void)poll(&fds, 1, 0);
    assert_non_null(fixture.broken);
    fixture_fini(&fixture);
}

static void test_acknowledgements_that_the_socket_does_not_take_end_the_connection(void **state)
{
    (void)state;
    struct fixture fixture;
    struct pollfd fds;
    fixture_begin(&fixture);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 1), 4);
    size_t filled = fill(&fixture);
    fixture.release_count = 1;
    fds = (struct pollfd){.fd = fixture.paho, .events = POLLIN};
    (void)poll(&fds, 1, 0);
    assert_non_null(fixture.broken);
    empty(&fixture, filled);
    expect_no_bytes(&fixture);
    fixture_fini(&fixture);
}

static void test_acknowledgements_wait_for_pahos_incomplete_write(void **state)
{
    (void)state;
    struct fixture fixture;
    struct pollfd fds;
    fixture_begin(&fixture);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 1), 4);
    size_t filled = fill(&fixture);
    assert_int_equal(paho_writes(fixture.paho, PINGREQ, 2), -1);
    assert_int_equal(errno, EAGAIN);
    /* Paho asks whether it may continue: it may not. */
    fds = (struct pollfd){.fd = fixture.paho, .events = POLLOUT};
    assert_int_equal(poll(&fds, 1, 0), 0);
    fixture.release_count = 1;
    paho_waits(&fixture);
    assert_null(fixture.broken);
    empty(&fixture, filled);
    expect_no_bytes(&fixture);
    fds = (struct pollfd){.fd = fixture.paho, .events = POLLOUT};
    assert_int_equal(poll(&fds, 1, 0), 1);
    assert_int_equal(paho_writes(fixture.paho, PINGREQ, 2), 2);
    paho_waits(&fixture);
    expect_bytes(&fixture, "\xc0\0\x40\x02\0\x01", 6);
    fixture_fini(&fixture);
}

static void test_after_the_end_nothing_that_is_held_is_written(void **state)
{
    (void)state;
    struct fixture fixture;
    struct pollfd fds;
    fixture_begin(&fixture);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 1), 4);
    held_acks_end();
    held_acks_release(1);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 2), 4);
    fds = (struct pollfd){.fd = fixture.paho, .events = POLLIN};
    assert_int_equal(poll(&fds, 1, 0), 0);
    assert_int_equal(fixture.plan_count, 0);
    assert_int_equal(paho_writes(fixture.paho, "\xe0", 2), 2);
    expect_bytes(&fixture, "\xe0", 2);
    fixture_fini(&fixture);
}

/* ---- Publishing ---- */

/* In place of the fixture's sockets: a connection of TCP, which counts its segments. */
static void connect_by_tcp(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    close(fixture->paho);
    close(fixture->broker);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    fixture->paho = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fixture->paho, (struct sockaddr *)&address, length), 0);
    fixture->broker = accept(listener, NULL, NULL);
    assert_true(fixture->broker >= 0);
    close(listener);
    setsockopt(fixture->paho, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static unsigned segments_sent(const struct fixture *fixture)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    assert_int_equal(getsockopt(fixture->paho, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_data_segs_out;
}

static void test_publishes_that_follow_each_other_leave_together(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    struct fixture fixture;
    char got[8 * COUNT];
    fixture_init(&fixture);
    connect_by_tcp(&fixture);
    assert_int_equal(paho_writes(fixture.paho, CONNECT, 4), 4);
    paho_polls(fixture.paho);
    assert_int_equal(held_acks_begin(0, NULL), fixture.paho);
    assert_int_equal(recv(fixture.broker, got, 4, MSG_WAITALL), 4);
    unsigned before = segments_sent(&fixture);
    for (int i = 0; i < COUNT; i++) {
        held_acks_publishing();
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(paho_writes(fixture.paho, "\x32\x06\0\x01t\0\x01x", 8), 8);
    }
    assert_int_equal(recv(fixture.broker, got, sizeof got, MSG_WAITALL), sizeof got);
    for (int i = 0; i < COUNT; i++) {
        assert_memory_equal(got + 8 * (size_t)i, "\x32\x06\0\x01t\0\x01x", 8);
    }
    /* The kernel waits 200 ms at most, so there may be more than one on a very slow machine. */
    assert_true(segments_sent(&fixture) - before < COUNT / 2);
    /* One by itself, and a packet of another kind, are sent at once. */
    before = segments_sent(&fixture);
    held_acks_publishing();
    assert_int_equal(paho_writes(fixture.paho, "\x32\x06\0\x01t\0\x01x", 8), 8);
    assert_int_equal(segments_sent(&fixture) - before, 1);
    held_acks_publishing();
    held_acks_publishing();
    assert_int_equal(paho_writes(fixture.paho, PINGREQ, 2), 2);
    assert_int_equal(segments_sent(&fixture) - before, 2);
    fixture_fini(&fixture);
}

/* ---- Reading ---- */

static void broker_sends(struct fixture *fixture, const void *bytes, size_t count)
{
    assert_int_equal(send(fixture->broker, bytes, count, 0), count);
}

static bool paho_may_read(struct fixture *fixture)
{
    struct pollfd fds = {.fd = fixture->paho, .events = POLLIN};
    return poll(&fds, 1, 0) == 1 && fds.revents == POLLIN;
}

static void paho_reads(struct fixture *fixture, const char *bytes, size_t count)
{
    char got[64];
    assert_true(count <= sizeof got);
    assert_int_equal(recv(fixture->paho, got, count, 0), count);
    assert_memory_equal(got, bytes, count);
}

static bool kernel_has_bytes(struct fixture *fixture)
{
    char byte;
    return recv(fixture->paho, &byte, 1, MSG_PEEK) == 1;
}

static void test_what_the_broker_has_sent_is_read_at_once_and_given_in_pieces(void **state)
{
    (void)state;
    struct fixture fixture;
    char byte;
    fixture_begin(&fixture);
    broker_sends(&fixture, "abcdef", 6);
    assert_true(paho_may_read(&fixture));
    paho_reads(&fixture, "a", 1);
    assert_false(kernel_has_bytes(&fixture));
    assert_true(paho_may_read(&fixture));
    paho_reads(&fixture, "bcd", 3);
    assert_true(paho_may_read(&fixture));
    /* More than is left: what the kernel has got meanwhile comes with the next call. */
    broker_sends(&fixture, "gh", 2);
    char got[8];
    assert_int_equal(recv(fixture.paho, got, sizeof got, 0), 2);
    assert_memory_equal(got, "ef", 2);
    assert_true(paho_may_read(&fixture));
    paho_reads(&fixture, "gh", 2);
    assert_int_equal(recv(fixture.paho, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    fixture_fini(&fixture);
}

static void test_a_large_packet_is_read_whole(void **state)
{
    (void)state;
    struct fixture fixture;
    static char sent[20000];
    static char got[sizeof sent];
    size_t count = 0;
    for (size_t i = 0; i < sizeof sent; i++) {
        sent[i] = (char)(i % 251);
    }
    fixture_begin(&fixture);
    broker_sends(&fixture, sent, sizeof sent);
    assert_int_equal(recv(fixture.paho, got, 1, 0), 1);
    for (count = 1; count < sizeof got;) {
        assert_true(paho_may_read(&fixture));
        ssize_t more = recv(fixture.paho, got + count, sizeof got - count, 0);
        assert_true(more > 0);
        count += (size_t)more;
    }
    assert_memory_equal(got, sent, sizeof sent);
    assert_false(kernel_has_bytes(&fixture));
    fixture_fini(&fixture);
}

static void test_the_end_of_the_connection_comes_behind_what_was_sent(void **state)
{
    (void)state;
    struct fixture fixture;
    char byte;
    fixture_begin(&fixture);
    broker_sends(&fixture, "ab", 2);
    shutdown(fixture.broker, SHUT_WR);
    paho_reads(&fixture, "a", 1);
    assert_true(paho_may_read(&fixture));
    paho_reads(&fixture, "b", 1);
    assert_true(paho_may_read(&fixture));
    assert_int_equal(recv(fixture.paho, &byte, 1, 0), 0);
    fixture_fini(&fixture);
}

static void test_without_room_what_was_read_ahead_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    broker_sends(&fixture, "ab", 2);
    paho_reads(&fixture, "a", 1);
    fixture.plan_count = 0;
    fixture.has_no_room = true;
    assert_true(paho_may_read(&fixture));
    assert_int_equal(fixture.plan_count, 2);
    paho_reads(&fixture, "b", 1);
    fixture_fini(&fixture);
}

/* How often the receive thread waited until it read these bytes, which are there already. */
static int waits_for(struct fixture *fixture, const char *bytes)
{
    size_t count = strlen(bytes);
    broker_sends(fixture, bytes, count);
    fixture->plan_count = 0;
    assert_true(paho_may_read(fixture));
    int waits = fixture->plan_count;
    paho_reads(fixture, bytes, 1);
    for (size_t i = 1; i < count; i++) {
        assert_true(paho_may_read(fixture));
        paho_reads(fixture, bytes + i, 1);
    }
    return waits;
}

static void test_what_comes_behind_packets_in_a_row_is_read_a_moment_later(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    assert_int_equal(waits_for(&fixture, "a"), 1);
    assert_int_equal(waits_for(&fixture, "b"), 1);
    assert_int_equal(waits_for(&fixture, "cd"), 1);
    assert_int_equal(waits_for(&fixture, "efg"), 2);
    assert_int_equal(waits_for(&fixture, "h"), 2);
    assert_int_equal(waits_for(&fixture, "i"), 1);
    fixture_fini(&fixture);
}

static void test_the_bridges_acks_are_taken_in_that_moment(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    assert_int_equal(waits_for(&fixture, "ab"), 1);
    held_acks_expect();
    assert_int_equal(paho_acknowledges(&fixture, 1), 4);
    fixture.release_count = 1; /* by the first of the two plans */
    assert_int_equal(waits_for(&fixture, "c"), 2);
    expect_bytes(&fixture, "\x40\x02\0\x01", 4);
    fixture_fini(&fixture);
}

/* Paho reads into NULL where it got no memory for a packet. */
static void test_a_read_into_nothing_fails_as_in_the_kernel(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    broker_sends(&fixture, "abc", 3);
    paho_reads(&fixture, "a", 1);
    char *volatile nothing = NULL;
    errno = 0;
    assert_int_equal(recv(fixture.paho, nothing, 2, 0), -1);
    assert_int_equal(errno, EFAULT);
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_connect_that_was_seen_nothing_can_begin),
        cmocka_unit_test(test_an_announced_packet_is_held_and_others_are_not),
        cmocka_unit_test(test_an_acknowledgement_that_was_not_announced_is_never_written),
        cmocka_unit_test(test_an_acknowledgement_that_was_not_seen_ends_the_connection),
        cmocka_unit_test(test_acknowledgements_that_the_socket_does_not_take_end_the_connection),
        cmocka_unit_test(test_acknowledgements_wait_for_pahos_incomplete_write),
        cmocka_unit_test(test_after_the_end_nothing_that_is_held_is_written),
        cmocka_unit_test(test_publishes_that_follow_each_other_leave_together),
        cmocka_unit_test(test_what_the_broker_has_sent_is_read_at_once_and_given_in_pieces),
        cmocka_unit_test(test_a_large_packet_is_read_whole),
        cmocka_unit_test(test_the_end_of_the_connection_comes_behind_what_was_sent),
        cmocka_unit_test(test_without_room_what_was_read_ahead_waits),
        cmocka_unit_test(test_what_comes_behind_packets_in_a_row_is_read_a_moment_later),
        cmocka_unit_test(test_the_bridges_acks_are_taken_in_that_moment),
        cmocka_unit_test(test_a_read_into_nothing_fails_as_in_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
