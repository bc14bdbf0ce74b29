/*
 * Many messages at a time. Paho's receive thread does all the work: in its callback a delivery is
 * appended to a buffer; before it waits for the broker again (held_acks.h) it sends the deliveries
 * in one write, reads what the bridge answers, in any order, and releases the acknowledgements of
 * what is durable, in order of arrival [MQTT-4.6.0-2].
 *
 * Deliveries are numbered from 0 by their order; both ends count.
 */
#include "mqtt/receiver.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "mqtt/connection.h"
#include "mqtt/held_acks.h"
#include "process.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define STOP_TIMEOUT_MS  2000
#define DRAIN_MS         1000  /* at a stop, for what was handed over */
#define FRAME_BYTES_KEPT 65536 /* a buffer larger than this is freed after use */
#define FRAMES_BYTES_MAX 16384 /* of deliveries, before they are sent in any case */
#define ACKS_BYTES       4096  /* read at once */

enum state { STATE_WAITING, STATE_DURABLE, STATE_REFUSED };

/* A delivery that was handed over and is not acknowledged. */
struct waiting {
    uint32_t arrived_ms; /* low bits of clock_mono_ms() */
    bool has_ack;        /* above QoS 0 */
    uint8_t state;
#ifdef BRIDGE_CRASH_POINTS
    struct buf payload;
#endif
};

/* Paho's receive thread owns everything from `body` on. */
struct receiver {
    struct process process;
    struct connection *connection;
    int drained_fd; /* readable: at a stop, everything is settled that can be */
    _Atomic bool is_stopping;
    struct buf body;   /* of the current message */
    struct buf frames; /* deliveries for the bridge */
    struct wire_input acks;
    uint32_t first; /* number of the oldest delivery that waits */
    uint32_t next;  /* of the next delivery */
    bool is_drained;
    /* When it is full, no more is read from the broker's socket. */
    struct waiting window[WIRE_WINDOW];
};

static struct waiting *waiting_at(struct receiver *receiver, uint32_t number)
{
    return &receiver->window[number % WIRE_WINDOW];
}

static uint32_t waiting_count(const struct receiver *receiver)
{
    return receiver->next - receiver->first;
}

static void receiver_passed(void *arg, enum connection_point point)
{
    struct receiver *receiver = arg;
    process_confine(&receiver->process, point);
}

static void receiver_connected(void *arg, bool is_session_present)
{
    struct receiver *receiver = arg;
    struct buf frame = {0};
    wire_put(&frame, &(struct wire_frame){WIRE_CONNECTED, .connected = {is_session_present}});
    process_send(&receiver->process, buf_slice(&frame));
    buf_fini(&frame);
}

static void receiver_up(void *arg, const struct wire_up *up)
{
    struct receiver *receiver = arg;
    process_up(&receiver->process, up);
}

static void receiver_down(void *arg, const struct wire_down *down)
{
    struct receiver *receiver = arg;
    process_end(&receiver->process, down);
}

static void receiver_broken(void *arg, const char *why)
{
    struct receiver *receiver = arg;
    process_end_because(&receiver->process, WIRE_DOWN_INTERNAL, why);
}

/* The end of the process ends the connection: what is held is never acknowledged. */
static _Noreturn void give_up(struct receiver *receiver, const char *why)
{
    process_end_because(&receiver->process, WIRE_DOWN_ACK, why);
}

static void shrink(struct buf *buf)
{
    buf_clear(buf);
    if (buf->capacity > FRAME_BYTES_KEPT) {
        buf_fini(buf);
    }
}

/* ---- Deliveries ---- */

static void send_deliveries(void *arg)
{
    struct receiver *receiver = arg;
    if (!process_write(WIRE_DELIVERY_FD, buf_slice(&receiver->frames))) {
        give_up(receiver, "the bridge does not take the message");
    }
    shrink(&receiver->frames);
}

static void receiver_arrived(void *arg, const struct delivery *delivery)
{
    struct receiver *receiver = arg;
    if (receiver->is_stopping) {
        return; /* it is held for ever and stays with the broker */
    }
    assert(waiting_count(receiver) < WIRE_WINDOW);
    struct waiting *waiting = waiting_at(receiver, receiver->next++);
    waiting->arrived_ms = (uint32_t)clock_mono_ms();
    waiting->has_ack = delivery->qos > 0;
    waiting->state = STATE_WAITING;
#ifdef BRIDGE_CRASH_POINTS
    buf_clear(&waiting->payload);
    buf_append(&waiting->payload, delivery->payload);
#endif
    delivery_encode(delivery, &receiver->body);
    wire_put(&receiver->frames,
             &(struct wire_frame){WIRE_DELIVERY, .delivery = buf_slice(&receiver->body)});
    shrink(&receiver->body);
    if (receiver->frames.length >= FRAMES_BYTES_MAX) {
        send_deliveries(receiver);
    }
}

/* ---- Acks ---- */

/* Acknowledges what is durable, in order of arrival. */
static void settle(struct receiver *receiver)
{
    uint32_t first = receiver->first;
    size_t count = 0;
    while (waiting_count(receiver) > 0) {
        const struct waiting *oldest = waiting_at(receiver, receiver->first);
        if (oldest->state != STATE_DURABLE) {
            break;
        }
        if (oldest->has_ack) {
            CRASH_POINT_PASS(BEFORE_PUBACK, buf_slice(&oldest->payload));
            count++;
        }
        receiver->first++;
    }
    if (count > 0) {
        held_acks_release(count);
        for (; first != receiver->first; first++) {
            CRASH_POINT_PASS(AFTER_PUBACK, buf_slice(&waiting_at(receiver, first)->payload));
        }
    }
}

static void read_ack(struct receiver *receiver, const struct wire_frame *frame)
{
    if (frame->type == WIRE_STOP) {
        receiver->is_stopping = true; /* the main thread gets one, too, and does the rest */
        return;
    }
    if (frame->type != WIRE_ACK || frame->ack.number - receiver->first >= waiting_count(receiver) ||
        waiting_at(receiver, frame->ack.number)->state != STATE_WAITING) {
        give_up(receiver, "the bridge sent an unexpected ack");
    }
    if (!frame->ack.is_durable && !receiver->is_stopping) {
        give_up(receiver, "the bridge could not store the message");
    }
    waiting_at(receiver, frame->ack.number)->state =
        frame->ack.is_durable ? STATE_DURABLE : STATE_REFUSED;
}

static void read_acks(void *arg)
{
    struct receiver *receiver = arg;
    char *room = buf_reserve(&receiver->acks.bytes, ACKS_BYTES);
    ssize_t got = recv(WIRE_DELIVERY_FD, room, ACKS_BYTES, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
        give_up(receiver, "the bridge has ended");
    }
    receiver->acks.bytes.length += got > 0 ? (size_t)got : 0;
    struct wire_frame frame;
    enum status status;
    while ((status = wire_input_next(&receiver->acks, &frame)) == STATUS_OK) {
        read_ack(receiver, &frame);
    }
    if (status == STATUS_INVALID) {
        give_up(receiver, "the bridge's ack does not parse");
    }
    settle(receiver);
}

/* ---- Before every wait ---- */

/* At a stop: whether nothing more can be acknowledged. Behind a delivery that was refused nothing
 * can, because of the order. */
static bool is_settled(struct receiver *receiver)
{
    return receiver->frames.length == 0 &&
           (waiting_count(receiver) == 0 ||
            waiting_at(receiver, receiver->first)->state == STATE_REFUSED);
}

static void receiver_plan(void *arg, struct held_acks_plan *plan)
{
    struct receiver *receiver = arg;
    bool is_stopping = receiver->is_stopping;
    plan->has_deliveries = receiver->frames.length > 0;
    /* During a stop messages are still read, and not acknowledged: closing a socket with unread
     * bytes resets the connection, and the broker could lose the last acknowledgements. */
    plan->has_room = is_stopping || waiting_count(receiver) < WIRE_WINDOW;
    if (is_stopping && !receiver->is_drained && is_settled(receiver)) {
        uint64_t one = 1;
        receiver->is_drained = write(receiver->drained_fd, &one, sizeof one) == sizeof one;
    }
    plan->fd = receiver->is_drained ? -1 : WIRE_DELIVERY_FD;
    if (waiting_count(receiver) > 0 && !is_stopping) {
        int64_t now_ms = clock_mono_ms();
        uint32_t waited_ms = (uint32_t)now_ms - waiting_at(receiver, receiver->first)->arrived_ms;
        if (waited_ms >= receiver->process.params.ack_timeout_ms) {
            give_up(receiver, "no ack in time");
        }
        plan->until_ms = now_ms + receiver->process.params.ack_timeout_ms - waited_ms;
    }
}

/* ---- The main thread ---- */

/* What was handed over is acknowledged, where the bridge is still able to store it. */
static _Noreturn void receiver_stop(struct receiver *receiver)
{
    receiver->is_stopping = true;
    if (held_acks_wake()) {
        struct pollfd drained = {.fd = receiver->drained_fd, .events = POLLIN};
        (void)poll(&drained, 1, DRAIN_MS);
    }
    (void)connection_close(receiver->connection, STOP_TIMEOUT_MS);
    process_end_because(&receiver->process, WIRE_DOWN_STOPPED, "");
}

/* A blocking write to the bridge does not last longer than an ack may. */
static void limit_writes(uint32_t timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    setsockopt(WIRE_DELIVERY_FD, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

int receiver_main(void)
{
    static struct receiver receiver; /* as long as the process */
    const struct held_acks_hooks held = {
        .arg = &receiver,
        .plan = receiver_plan,
        .send = send_deliveries,
        .readable = read_acks,
        .broken = receiver_broken,
    };
    const struct connection_hooks hooks = {
        .arg = &receiver,
        .passed = receiver_passed,
        .connected = receiver_connected,
        .up = receiver_up,
        .held = &held,
        .arrived = receiver_arrived,
        .down = receiver_down,
    };
    process_begin(&receiver.process, WIRE_RECEIVER);
    process_limit_memory(&receiver.process);
    limit_writes(receiver.process.params.ack_timeout_ms);
    receiver.drained_fd = eventfd(0, EFD_CLOEXEC);
    if (receiver.drained_fd < 0) {
        _exit(EX_OSERR);
    }
    receiver.connection = connection_new(&receiver.process.params, &hooks);
    connection_open(receiver.connection);
    for (;;) {
        struct wire_frame frame;
        int max_delay_ms = connection_max_delay_ms(receiver.connection);
        if (!process_wait(&receiver.process, max_delay_ms, &frame)) {
            connection_check(receiver.connection);
        } else if (frame.type == WIRE_SUBSCRIBE) {
            connection_go_on(receiver.connection);
        } else if (frame.type == WIRE_STOP) {
            receiver_stop(&receiver);
        } else {
            process_end_because(&receiver.process, WIRE_DOWN_INTERNAL, "unexpected frame");
        }
    }
}
