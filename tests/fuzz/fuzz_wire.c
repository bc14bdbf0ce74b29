/*
 * Any bytes are a stream of frames, as a compromised process may send them. A frame that is
 * accepted is encoded again to the same bytes.
 */
#include "model/delivery.h"
#include "mqtt/wire.h"

#include <assert.h>

static void reencode(const struct wire_frame *frame, struct buf *out)
{
    struct connect_params params;
    struct delivery delivery;
    struct buf body = {0};
    if (frame->type == WIRE_CONNECT_PARAMS) {
        if (wire_get_connect_params(frame->params, &params) == STATUS_OK) {
            wire_put_connect_params(out, &params);
        }
    } else if (frame->type == WIRE_DELIVERY) {
        if (delivery_decode(frame->delivery, &delivery) == STATUS_OK) {
            delivery_encode(&delivery, &body);
            wire_put(out, &(struct wire_frame){WIRE_DELIVERY, .delivery = buf_slice(&body)});
        }
    } else {
        assert(frame->type != WIRE_DOWN || wire_down_reason_text(frame->down.reason) != NULL);
        wire_put(out, frame);
    }
    buf_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct wire_frame frame;
    size_t taken = 0;
    while (wire_next(rest, &frame, &taken) == STATUS_OK) {
        assert(taken >= 5 && taken <= rest.length);
        struct buf out = {0};
        reencode(&frame, &out);
        assert(out.length == 0 || slice_equals(buf_slice(&out), slice_of(rest.data, taken)));
        buf_fini(&out);
        rest = slice_of(rest.data + taken, rest.length - taken);
    }
    return 0;
}
