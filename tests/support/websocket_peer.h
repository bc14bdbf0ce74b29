/*
 * websocket_peer - the server's side of WebSocket (RFC 6455): the upgrade, and frames of MQTT.
 *
 * Works on bytes in memory. Thread: any.
 */
#ifndef SUPPORT_WEBSOCKET_PEER_H
#define SUPPORT_WEBSOCKET_PEER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum websocket_frame {
    WEBSOCKET_INCOMPLETE,
    WEBSOCKET_DATA,
    WEBSOCKET_CLOSE,
    WEBSOCKET_WRONG, /* neither whole binary data nor a close, or without a mask */
};

/* Removes a whole request from `raw` and appends its answer; false while it is not complete. A
 * request without a key is answered with status 400. */
bool websocket_upgrade(struct buf *raw, struct buf *out_answer);
/* Removes the first frame from `raw` and appends its data, without the mask, to `stream`. */
enum websocket_frame websocket_take_frame(struct buf *raw, struct buf *stream);
/* Appends one binary frame; `count` is below 65536. */
void websocket_put_frame(struct buf *out, const void *bytes, size_t count);

#endif
