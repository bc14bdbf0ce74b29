/*
 * Each frame is a table of fields: type, place in the struct, limits. One encoder and one decoder
 * walk these tables. A frame is built in place: its length is written once its body is there.
 */
#include "mqtt/wire.h"

#include "base/codec.h"
#include "base/log.h"

#include <assert.h>

#define LENGTH_BYTES 4

enum field_type {
    FIELD_END,
    FIELD_BOOL,  /* bool, one byte */
    FIELD_U8,    /* uint8_t */
    FIELD_ENUM,  /* an enum, one byte */
    FIELD_U32,   /* uint32_t */
    FIELD_I64,   /* int64_t, any value */
    FIELD_BYTES, /* struct slice with its length in front; min 1: must not be absent */
    FIELD_REST,  /* struct slice: all that is left of the body; min: fewest bytes */
    FIELD_NAME,  /* char[WIRE_NAME_BYTES], a string */
    FIELD_LIST,  /* size_t, the count (up to max) of the structs described by `items` */
};

struct field {
    enum field_type type;
    size_t offset;
    uint32_t min;
    uint32_t max; /* 0: no limit */
    const struct list *items;
};

struct list {
    size_t offset; /* of the first item */
    size_t item_bytes;
    const struct field *fields;
};

_Static_assert(sizeof(enum wire_role) == sizeof(unsigned), "FIELD_ENUM reads an unsigned");
_Static_assert(sizeof(enum wire_down_reason) == sizeof(unsigned), "FIELD_ENUM reads an unsigned");

/* ---- The frames ---- */

#define FIELD(kind, owner, member) .type = FIELD_##kind, .offset = offsetof(struct owner, member)
#define FRAME(kind, member)        FIELD(kind, wire_frame, member)
#define PARAM(kind, member)        FIELD(kind, connect_params, member)
#define END               \
    {                     \
        .type = FIELD_END \
    }

static const struct field empty_fields[] = {END};

static const struct field params_fields[] = {
    {FRAME(REST, params)},
    END,
};

static const struct field up_fields[] = {
    {FRAME(BOOL, up.is_session_present)},
    {FRAME(U32, up.receive_maximum)},
    {FRAME(U32, up.packet_bytes_max)},
    {FRAME(U32, up.session_expiry_s)},
    {FRAME(U8, up.max_qos), .max = 2},
    {FRAME(BOOL, up.has_retain)},
    END,
};

static const struct field down_fields[] = {
    {FRAME(ENUM, down.reason), .max = WIRE_DOWN_KEEPALIVE},
    {FRAME(U32, down.code)},
    {FRAME(BYTES, down.text)},
    {FRAME(BOOL, down.is_session_present)},
    END,
};

static const struct field delivery_fields[] = {
    {FRAME(REST, delivery)},
    END,
};

static const struct field ack_fields[] = {
    {FRAME(U32, ack.number)},
    {FRAME(BOOL, ack.is_durable)},
    END,
};

static const struct field publish_fields[] = {
    {FRAME(I64, publish.id)},
    {FRAME(I64, publish.valid_until_ms)},
    {FRAME(REST, publish.message), .min = 1},
    END,
};

static const struct field published_fields[] = {
    {FRAME(I64, published.id)},
    {FRAME(BOOL, published.has_subscriber)},
    END,
};

static const struct field unpublished_fields[] = {
    {FRAME(I64, unpublished.id)},
    {FRAME(U32, unpublished.code)},
    {FRAME(BYTES, unpublished.text)},
    END,
};

static const struct field connected_fields[] = {
    {FRAME(BOOL, connected.is_session_present)},
    END,
};

static const struct field expired_fields[] = {
    {FRAME(I64, expired.id)},
    END,
};

static const struct field *const frames[] = {
    [WIRE_CONNECT_PARAMS] = params_fields,
    [WIRE_STOP] = empty_fields,
    [WIRE_UP] = up_fields,
    [WIRE_DOWN] = down_fields,
    [WIRE_DELIVERY] = delivery_fields,
    [WIRE_ACK] = ack_fields,
    [WIRE_PUBLISH] = publish_fields,
    [WIRE_PUBLISHED] = published_fields,
    [WIRE_UNPUBLISHED] = unpublished_fields,
    [WIRE_CONNECTED] = connected_fields,
    [WIRE_SUBSCRIBE] = empty_fields,
    [WIRE_EXPIRED] = expired_fields,
};

/* ---- The connect params ---- */

static const struct field filter_fields[] = {
    {FIELD(BYTES, wire_filter, filter), .min = 1},
    {FIELD(U8, wire_filter, qos), .max = 2},
    END,
};

static const struct list filter_list = {offsetof(struct connect_params, filters),
                                        sizeof(struct wire_filter), filter_fields};

static const struct list unsubscribe_list = {offsetof(struct connect_params, unsubscribe),
                                             sizeof(struct wire_filter), filter_fields};

static const struct field property_fields[] = {
    {FIELD(BYTES, wire_property, name), .min = 1},
    END,
};

static const struct list property_list = {offsetof(struct connect_params, properties),
                                          sizeof(struct wire_property), property_fields};

static const struct field connect_fields[] = {
    {PARAM(ENUM, role), .min = WIRE_RECEIVER, .max = WIRE_PUBLISHER},
    {PARAM(NAME, name)},
    {PARAM(U8, log_level), .max = LOG_LEVEL_DEBUG},
    {PARAM(U8, log_style), .max = LOG_STYLE_MASK},
    {PARAM(U8, protocol), .min = 4, .max = 5},
    {PARAM(BYTES, address.scheme), .min = 1},
    {PARAM(BYTES, address.host), .min = 1},
    {PARAM(BYTES, address.ip)},
    {PARAM(U32, address.port), .min = 1, .max = UINT16_MAX},
    {PARAM(BYTES, address.path)},
    {PARAM(BYTES, client_id), .min = 1},
    {PARAM(BYTES, username)},
    {PARAM(BYTES, password)},
    {PARAM(U32, keepalive_s)},
    {PARAM(U32, session_expiry_s)},
    {PARAM(U32, receive_maximum)},
    {PARAM(U32, payload_bytes_max)},
    {PARAM(U32, packet_bytes_max)},
    {PARAM(U32, ack_timeout_ms)},
    {PARAM(U32, connect_timeout_s)},
    {PARAM(BYTES, tls_ca_file)},
    {PARAM(BYTES, tls_ca_path)},
    {PARAM(BYTES, tls_cert_file)},
    {PARAM(BYTES, tls_key_file)},
    {PARAM(BYTES, tls_key_password)},
    {PARAM(BYTES, tls_alpn)},
    {PARAM(BOOL, has_tls_verify)},
    {PARAM(LIST, filter_count), .max = ROUTE_FILTERS_MAX, .items = &filter_list},
    {PARAM(LIST, unsubscribe_count), .max = MQTT_UNSUBSCRIBE_MAX, .items = &unsubscribe_list},
    {PARAM(LIST, property_count), .max = DELIVERY_PROPERTIES_MAX, .items = &property_list},
    {PARAM(U8, will_qos_max), .max = 1},
    {PARAM(BOOL, has_retain)},
    {PARAM(BYTES, will)},
    {PARAM(U32, publish_interval_us)},
    {PARAM(U32, will_delay_s)},
    END,
};

/* ---- The encoder ---- */

static void put_fields(struct buf *out, const struct field *fields, const void *object)
{
    for (const struct field *field = fields; field->type != FIELD_END; field++) {
        const void *at = (const char *)object + field->offset;
        const struct list *list = field->items;
        switch (field->type) {
        case FIELD_END:
            break;
        case FIELD_BOOL:
            pack_u8(out, *(const bool *)at);
            break;
        case FIELD_U8:
            pack_u8(out, *(const uint8_t *)at);
            break;
        case FIELD_ENUM:
            pack_u8(out, (uint8_t) * (const unsigned *)at);
            break;
        case FIELD_U32:
            pack_u32(out, *(const uint32_t *)at);
            break;
        case FIELD_I64:
            pack_i64(out, *(const int64_t *)at);
            break;
        case FIELD_BYTES:
            pack_bytes(out, *(const struct slice *)at);
            break;
        case FIELD_REST:
            buf_append(out, *(const struct slice *)at);
            break;
        case FIELD_NAME:
            pack_text(out, at);
            break;
        case FIELD_LIST:
            assert(*(const size_t *)at <= field->max);
            pack_u32(out, (uint32_t) * (const size_t *)at);
            for (size_t i = 0; i < *(const size_t *)at; i++) {
                put_fields(out, list->fields,
                           (const char *)object + list->offset + i * list->item_bytes);
            }
            break;
        }
    }
}

static void put_frame(struct buf *out, enum wire_type type, const struct field *fields,
                      const void *object)
{
    size_t start = out->length;
    pack_u32(out, 0);
    pack_u8(out, (uint8_t)type);
    put_fields(out, fields, object);
    size_t length = out->length - start - LENGTH_BYTES;
    assert(length <= WIRE_FRAME_BYTES_MAX);
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        out->data[start + i] = (char)(uint8_t)(length >> (8 * (LENGTH_BYTES - 1 - i)));
    }
}

void wire_put(struct buf *out, const struct wire_frame *frame)
{
    put_frame(out, frame->type, frames[frame->type], frame);
}

void wire_put_connect_params(struct buf *out, const struct connect_params *params)
{
    /* Encoded without the passwords first to learn the length: a buffer that grows would leave
     * copies of them in freed memory. */
    struct connect_params rest = *params;
    struct buf frame = {0};
    rest.password = (struct slice){0};
    rest.tls_key_password = (struct slice){0};
    put_frame(&frame, WIRE_CONNECT_PARAMS, connect_fields, &rest);
    buf_reserve(out, frame.length + params->password.length + params->tls_key_password.length);
    buf_fini(&frame);
    put_frame(out, WIRE_CONNECT_PARAMS, connect_fields, params);
}

/* ---- The decoder ---- */

/* Makes the reader bad where a value is not allowed. */
static void expect(struct unpack *in, bool is_allowed)
{
    in->is_bad = in->is_bad || !is_allowed;
}

static uint32_t get_number(struct unpack *in, const struct field *field, uint32_t number)
{
    expect(in, number >= field->min && (field->max == 0 || number <= field->max));
    return number;
}

static void get_name(struct unpack *in, char out[WIRE_NAME_BYTES])
{
    struct slice text = unpack_bytes(in);
    expect(in, slice_is_present(text) && text.length < WIRE_NAME_BYTES &&
                   memchr(text.data, '\0', text.length) == NULL);
    if (!in->is_bad) {
        memcpy(out, text.data, text.length);
        out[text.length] = '\0';
    }
}

static void get_fields(struct unpack *in, const struct field *fields, void *object)
{
    for (const struct field *field = fields; field->type != FIELD_END && !in->is_bad; field++) {
        void *at = (char *)object + field->offset;
        const struct list *list = field->items;
        switch (field->type) {
        case FIELD_END:
            break;
        case FIELD_BOOL:
            expect(in, in->rest.length > 0 && (uint8_t)in->rest.data[0] <= 1);
            *(bool *)at = unpack_u8(in) == 1;
            break;
        case FIELD_U8:
            *(uint8_t *)at = (uint8_t)get_number(in, field, unpack_u8(in));
            break;
        case FIELD_ENUM:
            *(unsigned *)at = get_number(in, field, unpack_u8(in));
            break;
        case FIELD_U32:
            *(uint32_t *)at = get_number(in, field, unpack_u32(in));
            break;
        case FIELD_I64:
            *(int64_t *)at = unpack_i64(in);
            break;
        case FIELD_BYTES:
            *(struct slice *)at = unpack_bytes(in);
            expect(in, field->min == 0 || slice_is_present(*(struct slice *)at));
            break;
        case FIELD_REST:
            *(struct slice *)at = in->rest;
            expect(in, in->rest.length >= field->min);
            in->rest.length = 0;
            break;
        case FIELD_NAME:
            get_name(in, at);
            break;
        case FIELD_LIST:
            *(size_t *)at = get_number(in, field, unpack_u32(in));
            for (size_t i = 0; i < *(size_t *)at && !in->is_bad; i++) {
                get_fields(in, list->fields, (char *)object + list->offset + i * list->item_bytes);
            }
            break;
        }
    }
}

static enum status next_frame(struct slice bytes, uint32_t bytes_max, struct wire_frame *out_frame,
                              size_t *out_taken)
{
    struct unpack in = {.rest = bytes};
    uint32_t length = unpack_u32(&in);
    if (in.is_bad) {
        return STATUS_NOT_FOUND;
    }
    if (length < 1 || length > bytes_max) {
        return STATUS_INVALID;
    }
    uint8_t type = unpack_u8(&in);
    if (in.is_bad) {
        return STATUS_NOT_FOUND;
    }
    if (type < WIRE_CONNECT_PARAMS || type > WIRE_EXPIRED) {
        return STATUS_INVALID;
    }
    if (in.rest.length < length - 1) {
        return STATUS_NOT_FOUND;
    }
    struct wire_frame frame = {.type = (enum wire_type)type};
    in.rest.length = length - 1;
    get_fields(&in, frames[type], &frame);
    if (!unpack_is_done(&in)) {
        return STATUS_INVALID;
    }
    *out_frame = frame;
    *out_taken = LENGTH_BYTES + (size_t)length;
    return STATUS_OK;
}

enum status wire_next(struct slice bytes, struct wire_frame *out_frame, size_t *out_taken)
{
    return next_frame(bytes, WIRE_FRAME_BYTES_MAX, out_frame, out_taken);
}

enum status wire_input_next(struct wire_input *input, struct wire_frame *out_frame)
{
    struct slice rest = buf_slice(&input->bytes);
    size_t taken = 0;
    rest = slice_of(rest.data + input->taken, rest.length - input->taken);
    uint32_t bytes_max =
        input->frame_bytes_max == 0 ? WIRE_FRAME_BYTES_MAX : input->frame_bytes_max;
    enum status status = next_frame(rest, bytes_max, out_frame, &taken);
    input->taken += taken;
    if (status == STATUS_NOT_FOUND) {
        buf_consume(&input->bytes, input->taken);
        input->taken = 0;
    }
    return status;
}

enum status wire_get_connect_params(struct slice body, struct connect_params *out_params)
{
    struct unpack in = {.rest = body};
    struct connect_params params = {.tls_fds = {-1, -1, -1}};
    get_fields(&in, connect_fields, &params);
    if (!unpack_is_done(&in)) {
        return STATUS_INVALID;
    }
    *out_params = params;
    return STATUS_OK;
}

const char *wire_down_reason_text(enum wire_down_reason reason)
{
    static const char *const texts[] = {
        [WIRE_DOWN_STOPPED] = "stopped",     [WIRE_DOWN_CONNECT] = "not_connected",
        [WIRE_DOWN_REFUSED] = "refused",     [WIRE_DOWN_SUBSCRIBE] = "not_subscribed",
        [WIRE_DOWN_LOST] = "lost",           [WIRE_DOWN_ACK] = "not_stored",
        [WIRE_DOWN_INTERNAL] = "internal",   [WIRE_DOWN_TAKEN_OVER] = "taken_over",
        [WIRE_DOWN_KEEPALIVE] = "keepalive",
    };
    assert((unsigned)reason < sizeof texts / sizeof texts[0]);
    return texts[reason];
}
