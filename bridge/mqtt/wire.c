/*
 * Frames and their small bodies; the params is in connect_params.c. A frame is built in place: its
 * length is written when its body is there.
 */
#include "mqtt/wire.h"

#include "base/codec.h"

#include <assert.h>

#define LENGTH_BYTES 4

static size_t begin_frame(struct buf *out, enum wire_type type)
{
    size_t start = out->length;
    pack_u32(out, 0);
    pack_u8(out, (uint8_t)type);
    return start;
}

static void end_frame(struct buf *out, size_t start)
{
    size_t length = out->length - start - LENGTH_BYTES;
    assert(length <= WIRE_FRAME_BYTES_MAX);
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        out->data[start + i] = (char)(uint8_t)(length >> (8 * (LENGTH_BYTES - 1 - i)));
    }
}

static enum status ack_on(const struct unpack *in, bool is_possible)
{
    return unpack_is_done(in) && is_possible ? STATUS_OK : STATUS_INVALID;
}

static bool unpack_bool(struct unpack *in)
{
    uint8_t value = unpack_u8(in);
    in->is_bad = in->is_bad || value > 1;
    return value == 1;
}

void wire_put(struct buf *out, enum wire_type type, struct slice body)
{
    size_t start = begin_frame(out, type);
    buf_append(out, body);
    end_frame(out, start);
}

enum status wire_next(struct slice bytes, struct wire_frame *out_frame, size_t *out_taken)
{
    struct unpack in = {.rest = bytes};
    uint32_t length = unpack_u32(&in);
    if (in.is_bad) {
        return STATUS_NOT_FOUND;
    }
    if (length < 1 || length > WIRE_FRAME_BYTES_MAX) {
        return STATUS_INVALID;
    }
    uint8_t type = unpack_u8(&in);
    if (in.is_bad) {
        return STATUS_NOT_FOUND;
    }
    if (type < WIRE_CONNECT_PARAMS || type > WIRE_UNPUBLISHED) {
        return STATUS_INVALID;
    }
    if (in.rest.length < length - 1) {
        return STATUS_NOT_FOUND;
    }
    out_frame->type = (enum wire_type)type;
    out_frame->body = slice_of(in.rest.data, length - 1);
    *out_taken = LENGTH_BYTES + (size_t)length;
    return STATUS_OK;
}

void wire_put_up(struct buf *out, const struct wire_up *up)
{
    size_t start = begin_frame(out, WIRE_UP);
    pack_u8(out, up->is_session_present);
    pack_u32(out, up->uri_index);
    pack_u32(out, up->receive_maximum);
    pack_u32(out, up->packet_bytes_max);
    pack_u8(out, up->max_qos);
    pack_u8(out, up->has_retain);
    end_frame(out, start);
}

enum status wire_get_up(struct slice body, struct wire_up *out_up)
{
    struct unpack in = {.rest = body};
    struct wire_up up = {0};
    up.is_session_present = unpack_bool(&in);
    up.uri_index = unpack_u32(&in);
    up.receive_maximum = unpack_u32(&in);
    up.packet_bytes_max = unpack_u32(&in);
    up.max_qos = unpack_u8(&in);
    up.has_retain = unpack_bool(&in);
    enum status status = ack_on(&in, up.max_qos <= 2);
    if (status == STATUS_OK) {
        *out_up = up;
    }
    return status;
}

void wire_put_down(struct buf *out, const struct wire_down *down)
{
    size_t start = begin_frame(out, WIRE_DOWN);
    pack_u8(out, (uint8_t)down->reason);
    pack_u32(out, down->code);
    pack_bytes(out, down->text);
    end_frame(out, start);
}

enum status wire_get_down(struct slice body, struct wire_down *out_down)
{
    struct unpack in = {.rest = body};
    struct wire_down down = {0};
    uint8_t reason = unpack_u8(&in);
    down.reason = (enum wire_down_reason)reason;
    down.code = unpack_u32(&in);
    down.text = unpack_bytes(&in);
    enum status status = ack_on(&in, reason <= WIRE_DOWN_INTERNAL);
    if (status == STATUS_OK) {
        *out_down = down;
    }
    return status;
}

void wire_put_unpublished(struct buf *out, const struct wire_unpublished *unpublished)
{
    size_t start = begin_frame(out, WIRE_UNPUBLISHED);
    pack_i64(out, unpublished->id);
    pack_u8(out, unpublished->is_final);
    pack_u32(out, unpublished->code);
    pack_bytes(out, unpublished->text);
    end_frame(out, start);
}

enum status wire_get_unpublished(struct slice body, struct wire_unpublished *out_unpublished)
{
    struct unpack in = {.rest = body};
    struct wire_unpublished unpublished = {0};
    unpublished.id = unpack_i64(&in);
    unpublished.is_final = unpack_bool(&in);
    unpublished.code = unpack_u32(&in);
    unpublished.text = unpack_bytes(&in);
    enum status status = ack_on(&in, true);
    if (status == STATUS_OK) {
        *out_unpublished = unpublished;
    }
    return status;
}

void wire_put_publish(struct buf *out, int64_t id, struct slice message)
{
    size_t start = begin_frame(out, WIRE_PUBLISH);
    pack_i64(out, id);
    buf_append(out, message);
    end_frame(out, start);
}

enum status wire_get_publish(struct slice body, int64_t *out_id, struct slice *out_message)
{
    struct unpack in = {.rest = body};
    int64_t id = unpack_i64(&in);
    if (in.is_bad || in.rest.length == 0) {
        return STATUS_INVALID;
    }
    *out_id = id;
    *out_message = in.rest;
    return STATUS_OK;
}

void wire_put_published(struct buf *out, int64_t id)
{
    size_t start = begin_frame(out, WIRE_PUBLISHED);
    pack_i64(out, id);
    end_frame(out, start);
}

enum status wire_get_published(struct slice body, int64_t *out_id)
{
    struct unpack in = {.rest = body};
    int64_t id = unpack_i64(&in);
    enum status status = ack_on(&in, true);
    if (status == STATUS_OK) {
        *out_id = id;
    }
    return status;
}

void wire_put_ack(struct buf *out, bool is_durable)
{
    size_t start = begin_frame(out, WIRE_ACK);
    pack_u8(out, is_durable);
    end_frame(out, start);
}

enum status wire_get_ack(struct slice body, bool *out_is_durable)
{
    struct unpack in = {.rest = body};
    bool is_durable = unpack_bool(&in);
    enum status status = ack_on(&in, true);
    if (status == STATUS_OK) {
        *out_is_durable = is_durable;
    }
    return status;
}

const char *wire_down_reason_text(enum wire_down_reason reason)
{
    static const char *const texts[] = {
        [WIRE_DOWN_STOPPED] = "stopped",   [WIRE_DOWN_CONNECT] = "not_connected",
        [WIRE_DOWN_REFUSED] = "refused",   [WIRE_DOWN_SUBSCRIBE] = "not_subscribed",
        [WIRE_DOWN_LOST] = "lost",         [WIRE_DOWN_ACK] = "not_stored",
        [WIRE_DOWN_INTERNAL] = "internal",
    };
    assert((unsigned)reason < sizeof texts / sizeof texts[0]);
    return texts[reason];
}
