/*
 * Any bytes are a stream of frames, as a process that was taken over may send them. A frame that is
 * taken is written back as the same bytes.
 */
#include "model/delivery.h"
#include "mqtt/wire.h"

#include <assert.h>

static void write_again_connection(const struct wire_frame *frame, struct buf *out)
{
    struct connect_params params;
    struct wire_up up;
    struct wire_down down;
    char name[32];
    if (frame->type == WIRE_CONNECT_PARAMS &&
        wire_get_connect_params(frame->body, &params, name) == STATUS_OK) {
        wire_put_connect_params(out, &params);
    } else if (frame->type == WIRE_STOP) {
        wire_put(out, WIRE_STOP, frame->body);
    } else if (frame->type == WIRE_UP && wire_get_up(frame->body, &up) == STATUS_OK) {
        wire_put_up(out, &up);
    } else if (frame->type == WIRE_DOWN && wire_get_down(frame->body, &down) == STATUS_OK) {
        assert(wire_down_reason_text(down.reason) != NULL);
        wire_put_down(out, &down);
    }
}

static void write_again_delivery(const struct wire_frame *frame, struct buf *out)
{
    struct delivery delivery;
    struct buf body = {0};
    bool is_durable;
    if (frame->type == WIRE_DELIVERY && delivery_decode(frame->body, &delivery) == STATUS_OK) {
        delivery_encode(&delivery, &body);
        wire_put(out, WIRE_DELIVERY, buf_slice(&body));
    } else if (frame->type == WIRE_ACK && wire_get_ack(frame->body, &is_durable) == STATUS_OK) {
        wire_put_ack(out, is_durable);
    }
    buf_fini(&body);
}

static void write_again_publishing(const struct wire_frame *frame, struct buf *out)
{
    struct wire_unpublished unpublished;
    struct slice message;
    int64_t id;
    if (frame->type == WIRE_PUBLISH && wire_get_publish(frame->body, &id, &message) == STATUS_OK) {
        wire_put_publish(out, id, message);
    } else if (frame->type == WIRE_PUBLISHED && wire_get_published(frame->body, &id) == STATUS_OK) {
        wire_put_published(out, id);
    } else if (frame->type == WIRE_UNPUBLISHED &&
               wire_get_unpublished(frame->body, &unpublished) == STATUS_OK) {
        wire_put_unpublished(out, &unpublished);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct wire_frame frame;
    size_t taken = 0;
    while (wire_next(rest, &frame, &taken) == STATUS_OK) {
        assert(taken >= 5 && taken <= rest.length && frame.body.length == taken - 5);
        struct buf out = {0};
        /* Each writes the frames it knows, and nothing where the body was refused. */
        write_again_connection(&frame, &out);
        write_again_delivery(&frame, &out);
        write_again_publishing(&frame, &out);
        assert(out.length == 0 || slice_equals(buf_slice(&out), slice_of(rest.data, taken)));
        buf_fini(&out);
        rest = slice_of(rest.data + taken, rest.length - taken);
    }
    return 0;
}
