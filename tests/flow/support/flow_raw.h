/*
 * flow_raw - MQTT 5 byte by byte, for packets that no library sends: as a client of a real broker,
 * and in place of a broker.
 *
 * Sockets are blocking, with FLOW_TIMEOUT_MS as timeout. Fails the running test if the other side
 * does not do its part.
 */
#ifndef FLOW_RAW_H
#define FLOW_RAW_H

#include <stdbool.h>
#include <stddef.h>

struct raw_bytes {
    unsigned char *data;
    size_t length;
};

void raw_fini(struct raw_bytes *bytes);
void raw_put(struct raw_bytes *bytes, const void *data, size_t length);
/* Appends the byte `count` times. */
void raw_put_many(struct raw_bytes *bytes, int byte, size_t count);
/* Appends the bytes `count` times. */
void raw_put_times(struct raw_bytes *bytes, const void *data, size_t length, size_t count);
/* Appends a two-byte length and the bytes. */
void raw_put_text(struct raw_bytes *bytes, const void *data, size_t length);

/* Topic, encoded properties and payload, sent unchanged at QoS 1. */
struct raw_message {
    struct raw_bytes topic;
    struct raw_bytes properties;
    struct raw_bytes payload;
};

/* Connects to a broker on 127.0.0.1 with a clean session. */
int raw_connect(int port);
/* Publishes and waits for the PUBACK; false if the broker closes the connection instead. */
bool raw_publish(int fd, const struct raw_message *message);

/* Listens on a free port of 127.0.0.1. */
int raw_listen(int *out_port);
int raw_accept(int listener);
/* Reads one packet; `body` is replaced. Returns its first byte, or -1 at the end of the connection.
 */
int raw_read(int fd, struct raw_bytes *body);
/* False if the other side has closed. */
bool raw_write(int fd, const void *data, size_t length);
/* Sends a message as a broker would. */
bool raw_deliver(int fd, const struct raw_message *message);

#endif
