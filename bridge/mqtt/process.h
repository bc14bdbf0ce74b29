/*
 * process - what the receiver and the publisher processes share: start, frames of the bridge, end.
 *
 * Such a process holds one MQTT connection. The bridge starts it with a control socket at
 * WIRE_CONTROL_FD; it reads WIRE_CONNECT_PARAMS from there and ends when anything is wrong, after a
 * WIRE_DOWN with the reason. It also ends when the bridge does (end of file on the socket, and
 * SIGKILL by the kernel). It ignores the signals that are meant for the bridge's whole process
 * group (SIGINT, SIGTERM, SIGHUP): the bridge decides when it stops.
 *
 * Thread: process_confine(), process_send() and process_end() any; the others the main thread.
 */
#ifndef MQTT_PROCESS_H
#define MQTT_PROCESS_H

#include "base/buf.h"
#include "base/slice.h"
#include "mqtt/connection.h"
#include "mqtt/wire.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct process {
    struct connect_params params; /* its slices lie in params_body */
    struct buf params_body;
    struct wire_input in;
    pthread_mutex_t send_mutex; /* whole frames only, and none after WIRE_DOWN */
};

/*
 * Sets up signals, descriptors and the log, and reads WIRE_CONNECT_PARAMS. Ends the process if the
 * other end is no bridge or the params are for another role.
 */
void process_begin(struct process *process, enum wire_role role);
/*
 * Gives up what the connection needs no longer from this point on (sandbox.h), and closes the TLS
 * files at CONNECTION_ACCEPTED. Does only that under a sanitizer. Ends the process where the kernel
 * does not let it be confined. Later it ends when it makes a system call that is not allowed, with
 * the name of the call.
 */
void process_confine(struct process *process, enum connection_point point);
/* Wipes the passwords in the params, which are not needed any more, and sends WIRE_UP. */
void process_up(struct process *process, const struct wire_up *up);
/*
 * Limits the memory to what a packet of the announced Maximum Packet Size can need: a broker that
 * sends a larger one costs a connection, not the machine's memory. Does nothing if no size is
 * announced, or under a sanitizer, whose own memory would count.
 */
void process_limit_memory(const struct process *process);
/* Writes all bytes to a socket; blocks while it is full. False if the other end does not take them.
 */
bool process_write(int fd, struct slice bytes);
/* Writes whole frames to the bridge; blocks while the socket is full. Ends the process if the
 * bridge has ended. */
void process_send(struct process *process, struct slice frames);
/* Sends WIRE_DOWN and ends the process at once, without a DISCONNECT to the broker. The first call
 * wins. */
_Noreturn void process_end(struct process *process, const struct wire_down *down);
/* As above, without a code. */
_Noreturn void process_end_because(struct process *process, enum wire_down_reason reason,
                                   const char *text);

/*
 * Waits for a frame of the bridge; false after `timeout_ms` (-1: no limit) without one. The frame's
 * slices are valid until the next call. Ends the process at the end of file of the bridge's socket.
 */
bool process_wait(struct process *process, int timeout_ms, struct wire_frame *out_frame);

#endif
