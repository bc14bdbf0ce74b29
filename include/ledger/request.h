/*
 * request - what the ledger is asked with, and how it answers.
 *
 * Thread: the loop's.
 */
#ifndef LEDGER_REQUEST_H
#define LEDGER_REQUEST_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/claim.h"
#include "model/command.h"
#include "model/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A command to be claimed. Its command, its reply_to's strings and `audit` are the ledger's from
 * then on.
 */
struct ledger_claim {
    struct command *command;
    struct reply_to reply_to;
    /* A token without a record is refused with this error instead of claimed; ERROR_NONE: claimed.
     */
    enum bridge_error unless_found;
    const char *unless_message; /* static text */
    /* The caller begins the first call as soon as it gets the command back, so that the claim and
     * the start of the call are one transaction. */
    bool is_called_at_once;
    bool wants_accepted; /* a new command is answered "accepted" at once */
    struct buf audit; /* what is known of the message, by audit_put_arrival(); empty where nothing
                       * is audited */
};

/*
 * How a claim went: `result` counts where `status` is STATUS_OK. With STATUS_STORE nothing was kept
 * and nothing must be acknowledged. CLAIM_NEW and CLAIM_AGAIN: `command_take` is the durable
 * command, from now on the callee's, CALLING or RECALLING where the claim was called at once, else
 * READY or UNSURE; NULL otherwise.
 */
typedef void ledger_claimed_fn(void *arg, enum status status, enum claim_result result,
                               struct command *command_take);
typedef void ledger_done_fn(void *arg, enum status status);

/* A message of the outbox, valid during the call. */
typedef void ledger_message_fn(void *arg, int64_t id, struct slice message);
/* How many there were. */
typedef void ledger_read_fn(void *arg, size_t count);

#endif
