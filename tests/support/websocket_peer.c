#include "support/websocket_peer.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool websocket_upgrade(struct buf *raw, struct buf *out_answer)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char text[256];
    unsigned char digest[SHA_DIGEST_LENGTH];
    char accepted[2 * SHA_DIGEST_LENGTH];
    const char *end = raw->length == 0 ? NULL : memmem(raw->data, raw->length, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    size_t length = (size_t)(end - raw->data) + 4;
    const char *key = memmem(raw->data, length, name, sizeof name - 1);
    if (key == NULL) {
        buf_printf(out_answer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    } else {
        key += sizeof name - 1;
        snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                 (int)strcspn(key, "\r"), key);
        SHA1((const unsigned char *)text, strlen(text), digest);
        EVP_EncodeBlock((unsigned char *)accepted, digest, sizeof digest);
        buf_printf(out_answer,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                   accepted);
    }
    buf_consume(raw, length);
    return true;
}

enum websocket_frame websocket_take_frame(struct buf *raw, struct buf *stream)
{
    const unsigned char *bytes = (const unsigned char *)raw->data;
    size_t head = 2;
    if (raw->length < head) {
        return WEBSOCKET_INCOMPLETE;
    }
    bool is_close = bytes[0] == 0x88;
    if ((!is_close && bytes[0] != 0x82) || (bytes[1] & 0x80) == 0) { /* 0x82: final, binary */
        return WEBSOCKET_WRONG;
    }
    uint64_t length = bytes[1] & 0x7f;
    size_t length_bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (raw->length < head + length_bytes + 4) {
        return WEBSOCKET_INCOMPLETE;
    }
    for (size_t i = 0; i < length_bytes; i++) {
        length = (i == 0 ? 0 : length << 8) | bytes[head + i];
    }
    const unsigned char *mask = bytes + head + length_bytes;
    head += length_bytes + 4;
    if (raw->length - head < length) {
        return WEBSOCKET_INCOMPLETE;
    }
    for (size_t i = 0; i < length && !is_close; i++) {
        buf_append_char(stream, (char)(bytes[head + i] ^ mask[i % 4]));
    }
    buf_consume(raw, head + length);
    return is_close ? WEBSOCKET_CLOSE : WEBSOCKET_DATA;
}

void websocket_put_frame(struct buf *out, const void *bytes, size_t count)
{
    assert(count < 65536);
    buf_append_char(out, (char)0x82);
    if (count < 126) {
        buf_append_char(out, (char)count);
    } else {
        buf_append_char(out, 126);
        buf_append_char(out, (char)(count >> 8));
        buf_append_char(out, (char)count);
    }
    buf_append(out, slice_of(bytes, count));
}
