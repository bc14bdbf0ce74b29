/*
 * message - a message to publish, and its encoded form, in which the outbox stores it and the
 * publisher gets it.
 *
 * It is encoded once, when it is made: after a restart the same bytes are sent. The encoding begins
 * with a version number, since the next version of the program reads stored messages. Version 2 has
 * the time at which the message was made; a message without that time is encoded as version 1.
 *
 * Thread: any; plain data.
 */
#ifndef MODEL_MESSAGE_H
#define MODEL_MESSAGE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define MESSAGE_PROPERTIES_MAX 8

struct message_property {
    struct slice name;
    struct slice value;
};

struct message {
    struct slice topic;
    struct slice body;
    uint8_t qos;
    bool is_retained;
    bool is_json;                  /* Content Type application/json, Payload Format Indicator 1 */
    struct slice correlation_data; /* absent for none */
    int64_t expiry_s;              /* Message Expiry Interval, -1 for none */
    int64_t made_at_ms;            /* wall clock, not published; 0: not known */
    bool is_dead_letter;           /* not published; only with made_at_ms */
    bool is_event;                 /* about a watched group; as is_dead_letter */
    struct message_property properties[MESSAGE_PROPERTIES_MAX]; /* user properties, in order */
    size_t property_count;
};

/* Adds a user property; a call past MESSAGE_PROPERTIES_MAX is our bug. Nothing is added for an
 * absent value. */
void message_add_property(struct message *message, const char *name, struct slice value);
/* Appends the encoded message. */
void message_encode(const struct message *message, struct buf *out);
/* Slices of *out_message point into `bytes`. STATUS_INVALID where the bytes are not of that form.
 */
enum status message_decode(struct slice bytes, struct message *out_message);

#endif
