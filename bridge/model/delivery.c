#include "model/delivery.h"

#include "base/codec.h"

enum { FLAG_RETAINED = 1, FLAG_REDELIVERED = 2, FLAG_FORMER = 4, FLAGS_ALL = 7 };

void delivery_put_property(struct buf *properties, struct slice name, struct slice value)
{
    pack_bytes(properties, name);
    pack_bytes(properties, value);
}

struct slice delivery_property(const struct delivery *delivery, const char *name)
{
    struct unpack in = {.rest = delivery->properties};
    while (!in.is_bad && in.rest.length > 0) {
        struct slice found = unpack_bytes(&in);
        struct slice value = unpack_bytes(&in);
        if (slice_is_present(found) && slice_equals_text(found, name)) {
            return value;
        }
    }
    return (struct slice){0};
}

/* Whether the bytes are pairs as delivery_put_property() packs them. */
static bool are_properties(struct slice bytes)
{
    struct unpack in = {.rest = bytes};
    size_t count = 0;
    bool is_valid = true;
    while (is_valid && !in.is_bad && in.rest.length > 0) {
        bool has_name = slice_is_present(unpack_bytes(&in));
        bool has_value = slice_is_present(unpack_bytes(&in));
        is_valid = has_name && has_value && ++count <= DELIVERY_PROPERTIES_MAX;
    }
    return is_valid && !in.is_bad;
}

void delivery_encode(const struct delivery *delivery, struct buf *out)
{
    int flags = (delivery->is_retained ? FLAG_RETAINED : 0) |
                (delivery->is_redelivered ? FLAG_REDELIVERED : 0) |
                (delivery->is_former ? FLAG_FORMER : 0);
    pack_u8(out, delivery->qos);
    pack_u8(out, (uint8_t)flags);
    pack_i64(out, delivery->expiry_s);
    pack_i64(out, (int64_t)delivery->payload_bytes);
    pack_bytes(out, delivery->topic);
    /* An empty payload arrives as NULL from some libraries and means the same. */
    pack_bytes(out, slice_is_present(delivery->payload) ? delivery->payload : slice_text(""));
    pack_bytes(out, delivery->response_topic);
    pack_bytes(out, delivery->correlation_data);
    pack_bytes(out, delivery->traceparent);
    pack_bytes(out, delivery->tracestate);
    pack_bytes(out, delivery->content_type);
    pack_bytes(out, delivery->properties);
}

enum status delivery_decode(struct slice bytes, struct delivery *out_delivery)
{
    struct unpack in = {.rest = bytes};
    struct delivery delivery = {0};
    delivery.qos = unpack_u8(&in);
    uint8_t flags = unpack_u8(&in);
    delivery.is_retained = (flags & FLAG_RETAINED) != 0;
    delivery.is_redelivered = (flags & FLAG_REDELIVERED) != 0;
    delivery.is_former = (flags & FLAG_FORMER) != 0;
    delivery.expiry_s = unpack_i64(&in);
    int64_t payload_bytes = unpack_i64(&in);
    delivery.payload_bytes = (uint64_t)payload_bytes;
    delivery.topic = unpack_bytes(&in);
    delivery.payload = unpack_bytes(&in);
    delivery.response_topic = unpack_bytes(&in);
    delivery.correlation_data = unpack_bytes(&in);
    delivery.traceparent = unpack_bytes(&in);
    delivery.tracestate = unpack_bytes(&in);
    delivery.content_type = unpack_bytes(&in);
    delivery.properties = unpack_bytes(&in);
    bool is_possible = flags <= FLAGS_ALL && delivery.qos <= 2 && delivery.expiry_s >= -1 &&
                       delivery.expiry_s <= (int64_t)UINT32_MAX &&
                       slice_is_present(delivery.topic) && slice_is_present(delivery.payload) &&
                       payload_bytes >= 0 && delivery.payload_bytes >= delivery.payload.length &&
                       are_properties(delivery.properties);
    if (!unpack_is_done(&in) || !is_possible) {
        return STATUS_INVALID;
    }
    *out_delivery = delivery;
    return STATUS_OK;
}
