/*
 * held_acks - holds the acknowledgement of a received message until the message is durable.
 *
 * Paho writes a PUBACK as soon as its callback has returned. The functions that Paho writes and
 * waits with (writev, SSL_write, SSL_pending, poll) are defined here in the libraries' place, so
 * that
 *
 *   - a packet that was announced by held_acks_expect() is kept instead of written, and written by
 *     held_acks_release();
 *   - Paho's receive thread works for the receiver before it waits, and wakes up only when there is
 *     something to do.
 *
 * The state is that of the only connection of the process.
 *
 * Thread: each function names its own. Paho's threads call the functions of the libraries.
 */
#ifndef MQTT_HELD_ACKS_H
#define MQTT_HELD_ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the receive thread is to do when it waits. */
struct held_acks_plan {
    int fd;              /* a further descriptor to read from; -1 for none */
    bool has_room;       /* messages may be read from the broker */
    bool has_deliveries; /* `send` is to be called as soon as the broker has nothing more to read */
    int64_t until_ms;    /* wait no longer than this (clock_mono_ms()); INT64_MAX for no limit */
};

/* Called on Paho's receive thread, without Paho's lock but for `broken`. */
struct held_acks_hooks {
    void *arg;
    /* Before every wait. */
    void (*plan)(void *arg, struct held_acks_plan *out_plan);
    void (*send)(void *arg);
    /* The further descriptor is readable. */
    void (*readable)(void *arg);
    /* The connection must end at once: Paho does not behave as expected, or the broker did not take
     * the acknowledgements whole. Nothing is acknowledged any more. */
    void (*broken)(void *arg, const char *why);
};

/* An attempt to connect begins. Former clients of Paho must be destroyed. Thread: main. */
void held_acks_prepare(bool is_tls, bool is_websocket);
/*
 * The connection stands; in Paho's callback for CONNACK. With `hooks` (which are copied) every
 * PUBACK is held; with NULL none is, and only the waiting is done here. Returns the descriptor of
 * the broker's socket, or -1 where Paho has not written its CONNECT and waited for CONNACK by the
 * functions defined here: then nothing can be held and the connection must not be used.
 */
int held_acks_begin(uint32_t keepalive_s, const struct held_acks_hooks *hooks);
/* A PUBLISH is handed to Paho now, which writes it soon: one that is written before it waits for it
 * in the kernel (MSG_MORE, 200 ms at most), and both leave together. Without TLS only. Thread: any.
 */
void held_acks_publishing(void);
/* The PUBACK of the message in work is to be held. Thread: Paho's callback for messages. */
void held_acks_expect(void);
/* Writes the `count` oldest of the held packets, in one write; held_acks_hooks.broken is called if
 * they cannot be written whole. Thread: the receive thread, in a hook. */
void held_acks_release(size_t count);
/* Ends the present wait, so that `plan` is called again. False if no connection stands. Thread:
 * any. */
bool held_acks_wake(void);
/* The connection is being closed: nothing that is held is ever written, no hook begins any more,
 * and Paho waits as it does by itself. Thread: any but in a hook. */
void held_acks_end(void);

#endif
