/*
 * One message at a time: Paho's thread writes it to the bridge and reads the ack, so a message
 * costs one write, one read and no other thread. The timeouts are those of the socket.
 */
#include "mqtt/receiver.h"

#include "base/buf.h"
#include "base/crash_point.h"
#include "mqtt/connection.h"
#include "process.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define STOP_TIMEOUT_MS  2000
#define FRAME_BYTES_KEPT 65536 /* a buffer larger than this is freed after use */
#define ACK_FRAME_BYTES  64

struct receiver {
    struct process process;
    struct connection *connection;
    _Atomic bool is_stopping;
    struct buf body; /* of the current message */
    struct buf frame;
};

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

/* NULL if the message is durable, or why not. */
static const char *read_ack(void)
{
    char bytes[ACK_FRAME_BYTES];
    size_t length = 0;
    for (;;) {
        struct wire_frame frame;
        size_t taken;
        enum status status = wire_next(slice_of(bytes, length), &frame, &taken);
        if (status == STATUS_OK && frame.type == WIRE_ACK) {
            return frame.ack.is_durable ? NULL : "the bridge could not store the message";
        }
        if (status != STATUS_NOT_FOUND || length == sizeof bytes) {
            return "the bridge's ack does not parse";
        }
        ssize_t got = recv(WIRE_DELIVERY_FD, bytes + length, sizeof bytes - length, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return got == 0 ? "the bridge has ended" : "no ack in time";
        }
        length += got > 0 ? (size_t)got : 0;
    }
}

static void shrink(struct buf *buf)
{
    if (buf->capacity > FRAME_BYTES_KEPT) {
        buf_fini(buf);
    }
}

static void receiver_arrived(void *arg, const struct delivery *delivery)
{
    struct receiver *receiver = arg;
    if (receiver->is_stopping) {
        /* It came before our DISCONNECT was sent, and stays with the broker. */
        process_end_because(&receiver->process, WIRE_DOWN_STOPPED, "");
    }
    buf_clear(&receiver->body);
    buf_clear(&receiver->frame);
    delivery_encode(delivery, &receiver->body);
    wire_put(&receiver->frame,
             &(struct wire_frame){WIRE_DELIVERY, .delivery = buf_slice(&receiver->body)});
    bool is_sent = process_write(WIRE_DELIVERY_FD, buf_slice(&receiver->frame));
    const char *fault = is_sent ? read_ack() : "the bridge does not take the message";
    if (fault != NULL) {
        connection_cut(receiver->connection);
        process_end_because(&receiver->process, WIRE_DOWN_ACK, fault);
    }
    shrink(&receiver->body);
    shrink(&receiver->frame);
    CRASH_POINT_PASS(BEFORE_PUBACK, delivery->payload);
}

int receiver_main(void)
{
    static struct receiver receiver; /* as long as the process */
    struct connection_hooks hooks = {
        .arg = &receiver,
        .up = receiver_up,
        .arrived = receiver_arrived,
        .down = receiver_down,
    };
    process_begin(&receiver.process, WIRE_RECEIVER);
    process_limit_memory(&receiver.process);
    uint32_t timeout_ms = receiver.process.params.ack_timeout_ms;
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    setsockopt(WIRE_DELIVERY_FD, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(WIRE_DELIVERY_FD, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    receiver.connection = connection_new(&receiver.process.params, &hooks);
    connection_open(receiver.connection);
    for (;;) {
        struct wire_frame frame;
        int max_delay_ms = connection_max_delay_ms(receiver.connection);
        int wake_fd = connection_wake_fd(receiver.connection);
        if (process_wait(&receiver.process, wake_fd, max_delay_ms, &frame) != PROCESS_FRAME) {
            connection_step(receiver.connection);
        } else if (frame.type == WIRE_STOP) {
            receiver.is_stopping = true;
            (void)connection_close(receiver.connection, STOP_TIMEOUT_MS);
            process_end_because(&receiver.process, WIRE_DOWN_STOPPED, "");
        } else {
            process_end_because(&receiver.process, WIRE_DOWN_INTERNAL, "unexpected frame");
        }
    }
}
