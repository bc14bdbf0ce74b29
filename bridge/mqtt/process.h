/*
 * process - what the receiver and the publisher processes share: the beginning, the bridge's
 * frames, last words and the end.
 *
 * Such a process holds one MQTT connection for as long as it stands. It is started by the bridge
 * with a control socket at WIRE_CONTROL_FD, reads WIRE_CONNECT_PARAMS from it, and ends when
 * anything is wrong, after a WIRE_DOWN that says what; it also ends when its bridge does (end of
 * file on the socket, and SIGKILL by the kernel). Signals meant for the bridge's whole group
 * (SIGINT, SIGTERM, SIGHUP) are ignored: the bridge decides.
 *
 * Thread: process_send() and process_end() any; the others the main thread.
 */
#ifndef MQTT_PROCESS_H
#define MQTT_PROCESS_H

#include "base/buf.h"
#include "base/slice.h"
#include "mqtt/wire.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct process {
    struct connect_params params; /* its slices lie in params_body */
    struct buf params_body;
    struct buf in;
    size_t in_taken; /* bytes of `in` the last frame took */
    pthread_mutex_t voice;
};

/*
 * Sets up signals, limits and the log, and reads WIRE_CONNECT_PARAMS. Ends the process where there
 * is no bridge at the other end or it greets another role.
 */
void process_begin(struct process *process, enum wire_role role);
/* Wipes the passwords of the params_buf; for when the connection stands. */
void process_forget_secrets(struct process *process);
/*
 * A broker that sends more than it was allowed to shall cost a connection, not the machine's
 * memory: allocations that no packet of the announced size can need fail from now on. Does nothing
 * where no size was announced, or under a sanitizer, whose own memory would count.
 */
void process_limit_memory(const struct process *process);
/* Writes whole frames to the bridge; blocks while its socket is full. Ends the process where the
 * bridge is gone. */
void process_send(struct process *process, struct slice frames);
/* Tells the bridge why and ends the process at once, closing the broker's socket without a word.
 * The first call wins. */
_Noreturn void process_end(struct process *process, const struct wire_down *down);
/* As above, without a code. */
_Noreturn void process_end_because(struct process *process, enum wire_down_reason reason,
                                   const char *text);

enum process_event { PROCESS_FRAME, PROCESS_WOKEN, PROCESS_TIMEOUT };

/*
 * Waits for a frame of the bridge, for `wake_fd` to be readable, or for `timeout_ms` (-1: for ever)
 * to pass. The frame's body is valid until the next call. Ends the process on the bridge's end of
 * file.
 */
enum process_event process_wait(struct process *process, int wake_fd, int timeout_ms,
                                struct wire_frame *out_frame);

#endif
