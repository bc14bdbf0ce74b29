/*
 * flow_client - a sender of commands: an MQTT client of a library other than the bridge's.
 *
 * Wraps libmosquitto. It works only while one of these functions waits; what arrives is kept, in
 * order, until the client is freed. Fails the running test where the broker refuses something or
 * what is waited for does not come in FLOW_PATIENCE_MS.
 */
#ifndef FLOW_CLIENT_H
#define FLOW_CLIENT_H

#include "flow_message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

/* Connects to 127.0.0.1; `version` is 5, or 4 for MQTT 3.1.1. */
struct client *client_new(int port, int version);
/* The same with a session of this name, MQTT 5, that the broker keeps while the client is away. */
struct client *client_new_lasting(int port, const char *id);
/* Connects again to the session that was kept; what had arrived is still there. */
void client_reconnect(struct client *client);
/* Takes NULL. */
void client_free(struct client *client);
/* Subscribes at QoS 1 and waits for the broker's word. */
void client_subscribe(struct client *client, const char *filter);

struct outgoing {
    const char *topic;
    const char *payload;
    size_t payload_length; /* 0: the payload is a string */
    int qos;
    bool is_retained;
    /* MQTT 5 */
    const char *response_topic;
    const void *correlation;
    size_t correlation_length; /* 0: the correlation is a string, or absent if NULL */
    uint32_t expiry_s;         /* 0: none */
    const char *user[8];       /* name, value, name, value; ends with NULL */
};

/* Publishes and waits until the broker has it. */
void client_publish(struct client *client, const struct outgoing *outgoing);
/* Publishes without waiting; false where the connection is gone. */
bool client_post(struct client *client, const struct outgoing *outgoing);
/* Waits until the broker has all that was posted. */
void client_flush(struct client *client);

/* What a message must be; NULL matches everything. */
struct match {
    const char *topic;
    const char *correlation; /* the bytes of a string */
    const char *token;       /* ClientToken in the body */
    const char *state;       /* State in the body */
    const char *status;      /* Status in the body */
};

/* The first message that matches and was not taken before, waited for; it is taken now. */
const struct message *client_expect(struct client *client, const struct match *match);
/* The same, but NULL where none is there in time. */
const struct message *client_take(struct client *client, const struct match *match, int timeout_ms);
/* How many messages that match are there and not taken, without waiting. */
int client_count(const struct client *client, const struct match *match);
/* Forgets what is there, but for what was taken. */
void client_forget(struct client *client, const struct match *match);
/* Lets the client work for a moment; false where the connection is gone. */
bool client_turn(struct client *client, int timeout_ms);
/* Waits until the broker answers: what it sent before has arrived then. */
void client_settle(struct client *client);
/* Prints what arrived, for a failing test. */
void client_print(const struct client *client);

#endif
