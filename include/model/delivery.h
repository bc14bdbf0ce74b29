/*
 * delivery - a message as it arrived on a command topic.
 *
 * Slices are borrowed for the call; absent means that the property was not there (always so with
 * MQTT 3.1.1).
 *
 * Thread: any; plain data.
 */
#ifndef MODEL_DELIVERY_H
#define MODEL_DELIVERY_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Of the user properties that a receiver forwards, besides those of traces: how many, and how many
 * bytes name and value may have. */
#define DELIVERY_PROPERTIES_MAX     32
#define DELIVERY_PROPERTY_BYTES_MAX 4096

struct delivery {
    struct slice topic;
    struct slice payload;   /* its beginning: at least limits.payload_bytes of it, or all of it */
    uint64_t payload_bytes; /* its whole size */
    uint8_t qos;
    bool is_retained;
    bool is_redelivered; /* the DUP flag */
    bool is_former;      /* came by a subscription that the settings no longer name */
    struct slice response_topic;
    struct slice correlation_data;
    struct slice traceparent; /* user property; the first of that name */
    struct slice tracestate;
    int64_t expiry_s; /* Message Expiry Interval, -1 for none */
    struct slice content_type;
    /* Those user properties that some route names, as delivery_put_property() packs them. */
    struct slice properties;
    /* While old and new subscriptions overlap, a text that both copies of a message have; else
     * absent. It is not encoded. */
    struct slice copy_mark;
};

/* Appends a user property to those of a delivery. */
void delivery_put_property(struct buf *properties, struct slice name, struct slice value);
/* The value of the first user property of this name; absent where there is none. */
struct slice delivery_property(const struct delivery *delivery, const char *name);

/* The form in which a receiver process sends it to the bridge. Appends. */
void delivery_encode(const struct delivery *delivery, struct buf *out);
/* Slices of *out_delivery point into `bytes`. STATUS_INVALID where the bytes are not of that form.
 */
enum status delivery_decode(struct slice bytes, struct delivery *out_delivery);

#endif
