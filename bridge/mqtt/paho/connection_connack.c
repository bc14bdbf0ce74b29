#include "connection_connack.h"

#include <stdbool.h>
#include <stdint.h>

#define CONNACK_TYPE     0x20
#define CONNACK_HEAD     2 /* flags and reason code */
#define REASON_STRING    0x1f
#define SERVER_REFERENCE 0x1c

/* The properties of CONNACK (MQTT 5, section 3.2.2.3) by their kind. */
enum kind { KIND_UNKNOWN, KIND_BYTE = 1, KIND_TWO = 2, KIND_FOUR = 4, KIND_TEXT, KIND_PAIR };

static const uint8_t kinds[0x2b] = {
    [0x11] = KIND_FOUR, [0x12] = KIND_TEXT, [0x13] = KIND_TWO,  [0x15] = KIND_TEXT,
    [0x16] = KIND_TEXT, [0x1a] = KIND_TEXT, [0x1c] = KIND_TEXT, [0x1f] = KIND_TEXT,
    [0x21] = KIND_TWO,  [0x22] = KIND_TWO,  [0x24] = KIND_BYTE, [0x25] = KIND_BYTE,
    [0x26] = KIND_PAIR, [0x27] = KIND_FOUR, [0x28] = KIND_BYTE, [0x29] = KIND_BYTE,
    [0x2a] = KIND_BYTE,
};

static uint8_t byte_at(struct slice bytes, size_t at)
{
    return (uint8_t)bytes.data[at];
}

static bool skip(struct slice *rest, size_t count)
{
    if (rest->length < count) {
        return false;
    }
    *rest = slice_skip(*rest, count);
    return true;
}

/* A Variable Byte Integer of at most four bytes. */
static bool read_length(struct slice *rest, size_t *out_length)
{
    size_t length = 0;
    for (unsigned shift = 0; shift < 28 && rest->length > 0; shift += 7) {
        uint8_t byte = byte_at(*rest, 0);
        *rest = slice_skip(*rest, 1);
        length |= (size_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out_length = length;
            return true;
        }
    }
    return false;
}

static bool read_text(struct slice *rest, struct slice *out_text)
{
    if (rest->length < 2) {
        return false;
    }
    size_t length = (size_t)byte_at(*rest, 0) << 8 | byte_at(*rest, 1);
    if (rest->length < 2 + length) {
        return false;
    }
    *out_text = slice_of(rest->data + 2, length);
    return skip(rest, 2 + length);
}

static bool read_property(struct slice *rest, struct connack *connack)
{
    struct slice text = {0};
    uint8_t id = byte_at(*rest, 0);
    enum kind kind = id < sizeof kinds ? (enum kind)kinds[id] : KIND_UNKNOWN;
    *rest = slice_skip(*rest, 1);
    if (kind == KIND_UNKNOWN) {
        return false;
    }
    if (kind < KIND_TEXT) {
        return skip(rest, (size_t)kind);
    }
    if (!read_text(rest, &text) || (kind == KIND_PAIR && !read_text(rest, &text))) {
        return false;
    }
    if (id == REASON_STRING) {
        connack->reason_string = text;
    } else if (id == SERVER_REFERENCE) {
        connack->server_reference = text;
    }
    return true;
}

struct connack connack_read(struct slice bytes)
{
    struct connack connack = {0};
    size_t length = 0;
    if (bytes.length == 0 || byte_at(bytes, 0) != CONNACK_TYPE) {
        return connack;
    }
    bytes = slice_skip(bytes, 1);
    if (!read_length(&bytes, &length) || !skip(&bytes, CONNACK_HEAD) ||
        !read_length(&bytes, &length)) {
        return connack;
    }
    bytes.length = length < bytes.length ? length : bytes.length;
    while (bytes.length > 0 && read_property(&bytes, &connack)) {
    }
    return connack;
}
