#include "model/message.h"

#include "base/codec.h"

#include <assert.h>

enum { VERSION_UNTIMED = 1, VERSION_TIMED = 2 };
enum {
    FLAG_RETAINED = 1,
    FLAG_JSON = 2,
    FLAGS_UNTIMED = 3,
    FLAG_DEAD_LETTER = 4,
    FLAG_EVENT = 8,
    FLAGS_TIMED = 15
};

void message_add_property(struct message *message, const char *name, struct slice value)
{
    if (!slice_is_present(value)) {
        return;
    }
    assert(message->property_count < MESSAGE_PROPERTIES_MAX);
    message->properties[message->property_count++] =
        (struct message_property){.name = slice_text(name), .value = value};
}

void message_encode(const struct message *message, struct buf *out)
{
    assert(slice_is_present(message->topic) && message->qos <= 2);
    assert(message->property_count <= MESSAGE_PROPERTIES_MAX);
    bool is_timed = message->made_at_ms != 0;
    assert(message->made_at_ms >= 0 &&
           (is_timed || !(message->is_dead_letter || message->is_event)));
    int flags = (message->is_retained ? FLAG_RETAINED : 0) | (message->is_json ? FLAG_JSON : 0) |
                (message->is_dead_letter ? FLAG_DEAD_LETTER : 0) |
                (message->is_event ? FLAG_EVENT : 0);
    pack_u8(out, is_timed ? VERSION_TIMED : VERSION_UNTIMED);
    pack_u8(out, message->qos);
    pack_u8(out, (uint8_t)flags);
    if (is_timed) {
        pack_i64(out, message->made_at_ms);
    }
    pack_i64(out, message->expiry_s);
    pack_bytes(out, message->topic);
    pack_bytes(out, slice_is_present(message->body) ? message->body : slice_text(""));
    pack_bytes(out, message->correlation_data);
    pack_u8(out, (uint8_t)message->property_count);
    for (size_t i = 0; i < message->property_count; i++) {
        pack_bytes(out, message->properties[i].name);
        pack_bytes(out, message->properties[i].value);
    }
}

enum status message_decode(struct slice bytes, struct message *out_message)
{
    struct unpack in = {.rest = bytes};
    struct message message = {0};
    uint8_t version = unpack_u8(&in);
    message.qos = unpack_u8(&in);
    uint8_t flags = unpack_u8(&in);
    message.is_retained = (flags & FLAG_RETAINED) != 0;
    message.is_json = (flags & FLAG_JSON) != 0;
    message.is_dead_letter = (flags & FLAG_DEAD_LETTER) != 0;
    message.is_event = (flags & FLAG_EVENT) != 0;
    bool is_timed = version == VERSION_TIMED;
    message.made_at_ms = is_timed ? unpack_i64(&in) : 0;
    message.expiry_s = unpack_i64(&in);
    message.topic = unpack_bytes(&in);
    message.body = unpack_bytes(&in);
    message.correlation_data = unpack_bytes(&in);
    message.property_count = unpack_u8(&in);
    bool is_possible = (is_timed ? flags <= FLAGS_TIMED && message.made_at_ms > 0
                                 : version == VERSION_UNTIMED && flags <= FLAGS_UNTIMED) &&
                       message.qos <= 2 && message.expiry_s >= -1 &&
                       message.expiry_s <= (int64_t)UINT32_MAX && slice_is_present(message.topic) &&
                       slice_is_present(message.body) &&
                       message.property_count <= MESSAGE_PROPERTIES_MAX;
    for (size_t i = 0; is_possible && i < message.property_count; i++) {
        struct message_property *property = &message.properties[i];
        property->name = unpack_bytes(&in);
        property->value = unpack_bytes(&in);
        is_possible = slice_is_present(property->name) && slice_is_present(property->value);
    }
    if (!is_possible || !unpack_is_done(&in)) {
        return STATUS_INVALID;
    }
    *out_message = message;
    return STATUS_OK;
}
