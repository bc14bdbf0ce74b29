/*
 * cloudevent - a message as a CloudEvent 1.0: structured in JSON, or binary (MQTT 5).
 *
 * Source: CloudEvents 1.0.2, its JSON event format and its MQTT protocol binding. Batches and other
 * event formats are refused.
 *
 * Thread: any; pure.
 */
#ifndef INTAKE_CLOUDEVENT_H
#define INTAKE_CLOUDEVENT_H

#include "base/json.h"
#include "model/command.h"
#include "model/delivery.h"

struct cloudevent {
    struct json *document;    /* the payload; NULL where it is empty */
    struct json *decoded;     /* what data_base64 has; else NULL */
    const struct json *data;  /* in one of these; NULL where the event has none */
    const struct json *event; /* the event's object if it is structured; NULL if it is binary */
    struct slice source;      /* points into the document or the delivery; so does: */
    struct slice id;
};

/* STATUS_INVALID with Bridge.MalformedPayload where it is none. Free *out with cloudevent_fini() in
 * both cases. */
enum status cloudevent_read(const struct delivery *delivery, struct cloudevent *out,
                            struct refusal *out_refusal);
void cloudevent_fini(struct cloudevent *event);
/* Reads a payload as JSON of any kind, of at most MESSAGE_JSON_DEPTH_MAX levels; NULL with
 * *out_refusal. `what` names it in the message. */
struct json *message_json(struct slice text, const char *what, struct refusal *out_refusal);
#define MESSAGE_JSON_DEPTH_MAX 64

#endif
