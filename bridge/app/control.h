/*
 * control - the Unix socket by which `ecs-mqtt-bridge ctl` talks to a running bridge.
 *
 * The socket has mode 0600 from the moment it exists, and each client is asked for by SO_PEERCRED:
 * only root and the bridge's own user may order anything. A client sends one request (a line, see
 * app/control_request.h), gets one answer, and may send the next one. Requests, answers and the
 * number of clients are limited; a client that does not go on is closed after CONTROL_STALL_MS, or
 * earlier for a new one.
 *
 * Thread: the loop's, for every function and callback.
 */
#ifndef APP_CONTROL_H
#define APP_CONTROL_H

#include "app/control_request.h"
#include "base/buf.h"
#include "base/loop.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define CONTROL_CLIENTS_MAX 8
#define CONTROL_STALL_MS    10000

struct control;

/* Names a request; a copy stays valid after its client is gone. */
struct control_ticket {
    uint64_t serial;
};

/* A valid request has come: control_answer() is owed once. */
typedef void control_requested_fn(void *arg, const struct control_request *request,
                                  struct control_ticket ticket);

/*
 * Listens at `path`. A socket file that a dead bridge has left is replaced. Call it before threads
 * start that make files: it sets the umask of the process for a moment. STATUS_BUSY: another
 * program listens there. STATUS_LIMIT: the path is longer than SETTINGS_SOCKET_BYTES_MAX.
 * STATUS_UNAVAILABLE: anything else. The reason and what to do are appended to *out_why.
 */
enum status control_new(struct loop *loop, const char *path, control_requested_fn *requested,
                        void *arg, struct control **out_control, struct buf *out_why);
/* Answers a request, `output` as in app/control_request.h. Ignored where the client is gone. */
void control_answer(struct control *control, struct control_ticket ticket, bool is_done,
                    struct slice output);
/* Closes all clients, whether they have read their answers or not, and removes the file. Takes
 * NULL. */
void control_free(struct control *control);

#endif
