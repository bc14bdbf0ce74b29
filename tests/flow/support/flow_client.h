/*
 * flow_client - a sender of commands: an MQTT client with a library other than the bridge's.
 *
 * Wraps libmosquitto. It reads the network only while one of these functions runs. Messages are
 * kept in order until the client is freed. Fails the running test if the broker refuses something
 * or an awaited event does not happen within FLOW_TIMEOUT_MS.
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
/* The same with MQTT 5 and a persistent session under this client id. */
struct client *client_new_lasting(int port, const char *id);
/* Connects to the persistent session again; messages received before are kept. */
void client_reconnect(struct client *client);
/* Takes NULL. */
void client_free(struct client *client);
/* Subscribes at QoS 1 and waits for the SUBACK. */
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
    const char *content_type;
    const char *user[16]; /* name, value, name, value; ends with NULL */
};

/* Publishes and waits for the PUBACK. */
void client_publish(struct client *client, const struct outgoing *outgoing);
/* Publishes without waiting; false if the connection is lost. */
bool client_post(struct client *client, const struct outgoing *outgoing);
/* Waits until the broker has acknowledged everything that was posted. */
void client_flush(struct client *client);

/* Conditions for a message; NULL matches everything. */
struct match {
    const char *topic;
    const char *correlation; /* the bytes of a string */
    const char *token;       /* ClientToken in the body */
    const char *state;       /* State in the body */
    const char *status;      /* Status in the body */
};

/* Waits for the first message that matches and was not taken before, and takes it. */
const struct message *client_expect(struct client *client, const struct match *match);
/* The same, but returns NULL if none arrives in time. */
const struct message *client_take(struct client *client, const struct match *match, int timeout_ms);
/* The number of matching messages that were received and not taken; does not wait. */
int client_count(const struct client *client, const struct match *match);
/* Drops the matching messages that were not taken. */
void client_forget(struct client *client, const struct match *match);
/* Reads and writes the network once; false if the connection is lost. */
bool client_step(struct client *client, int timeout_ms);
/* Sends a message to itself and waits for it: everything the broker had queued before has arrived.
 */
void client_sync(struct client *client);
/* Prints the received messages, for a failing test. */
void client_print(const struct client *client);

#endif
