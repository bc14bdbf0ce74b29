/*
 * control_request - what `ecs-mqtt-bridge ctl` asks a running bridge for: one line of JSON, such as
 *
 *   {"Do":"level","Level":"debug"}
 *
 * The answer is one line as well: {"Done":true,"Output":"..."}; with false, Output is the reason.
 *
 * Thread: any; pure.
 */
#ifndef APP_CONTROL_REQUEST_H
#define APP_CONTROL_REQUEST_H

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/command.h"
#include "model/outcome.h"

#include <stdbool.h>

/* A request with its line end, an answer with its line end. */
#define CONTROL_REQUEST_BYTES_MAX 8192
#define CONTROL_ANSWER_BYTES_MAX  (8u << 20)

#define CONTROL_REQUEST_ID_BYTES_MAX 128
#define CONTROL_NOTE_BYTES_MAX       1024

enum control_order {
    CONTROL_STATUS,
    CONTROL_LEVEL,
    CONTROL_ACK,
    CONTROL_RELOAD,
    CONTROL_RETRY,
    CONTROL_RESOLVE,
    CONTROL_LEAVE,
    CONTROL_SUPPORT,
};

struct control_request {
    enum control_order order;
    enum log_level level; /* of CONTROL_LEVEL */
    bool is_of_ledger;    /* of CONTROL_ACK: ledger_may_have_lost, else session_lost */
    /* Of CONTROL_RETRY and CONTROL_RESOLVE. */
    char token[COMMAND_TOKEN_BYTES_MAX + 1];
    /* Of CONTROL_RESOLVE. */
    enum outcome_status status;
    char request_id[CONTROL_REQUEST_ID_BYTES_MAX + 1]; /* "" unless it has succeeded */
    char note[CONTROL_NOTE_BYTES_MAX + 1];
};

/* Reads the line without its line end. STATUS_INVALID: what is wrong with it is appended to
 * *out_why.
 */
enum status control_request_read(struct slice line, struct control_request *out,
                                 struct buf *out_why);

/* Appends an answer with its line end. */
void control_answer_put(bool is_done, struct slice output, struct buf *out);

#endif
