/*
 * request - a claim, and the callbacks by which the ledger answers requests.
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
#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A command to claim. The ledger takes `command`, the strings of `reply_to`, and `audit`.
 */
struct ledger_claim {
    struct command *command;
    struct reply_to reply_to;
    /* A token without a record is refused with this error; ERROR_NONE: it is claimed. */
    enum bridge_error unless_found;
    const char *unless_message; /* static text */
    /* The caller sends the first call as soon as `done` returns the command: the claim and the
     * start of the call are one transaction. */
    bool is_called_at_once;
    bool wants_accepted; /* a new command gets an "accepted" reply */
    struct buf audit; /* of the message, by audit_put_arrival(); empty where nothing is audited */
};

/*
 * The result of a claim. STATUS_STORE: nothing was stored, and the message must not be
 * acknowledged; `result` has no meaning. With CLAIM_NEW and CLAIM_AGAIN the callee gets the stored
 * command: CALLING or RECALLING if it was to be called at once, otherwise READY or UNSURE. With
 * every other result `command_take` is NULL.
 */
typedef void ledger_claimed_fn(void *arg, enum status status, enum claim_result result,
                               struct command *command_take);
typedef void ledger_done_fn(void *arg, enum status status);

/* What became of an operator's order. It is carried out only if the outcome of the record is not
 * definite: unknown, or set aside. */
enum ledger_order {
    LEDGER_ORDER_DONE,
    LEDGER_ORDER_NO_RECORD, /* none has this token, or it has expired */
    LEDGER_ORDER_IN_WORK,
    LEDGER_ORDER_DEFINITE, /* it has succeeded, or failed, or was given up before any effect */
};
/* STATUS_STORE: nothing was changed, and `order` has no meaning. `command_take` is that of a retry
 * that was carried out, UNSURE; else NULL. */
typedef void ledger_ordered_fn(void *arg, enum status status, enum ledger_order order,
                               struct command *command_take);

/* With the outcome of a command begins the watch of its group. Both times are on the API's clock.
 */
struct watch_start {
    int64_t started_at_ms; /* the success's answer; of an unknown, its first attempt */
    int64_t ends_at_ms;    /* 0: nothing is watched */
};
/* What became of a new state. STATUS_NOT_FOUND: the watch is over, or has another state: it was
 * replaced. STATUS_STORE: nothing was changed. */
typedef void ledger_watched_fn(void *arg, enum status status);

/* A message of the outbox, or an audit record. The bytes are valid during the call. */
typedef void ledger_message_fn(void *arg, int64_t id, struct slice message);
/* The answer to a query. The records are valid during the call. */
typedef void ledger_records_fn(void *arg, enum status status,
                               const struct ledger_record *const *records, size_t count);
/* The end of a read: how many messages or records there were. */
typedef void ledger_read_fn(void *arg, size_t count);

/* The keys of the numbers about sessions at the broker begin so. */
#define LEDGER_SESSION_PREFIX "broker.session:"
#define LEDGER_FILTER_PREFIX  "broker.filter:"
/* The run that has the lease on the sessions of an instance. The number is there as long as that
 * run is registered, and is deleted with it. */
#define LEDGER_ADOPTER_KEY "broker.adopter"
/* A number about a session of an instance that has no run now. `is_leased`: this run has the lease
 * on the sessions of the instance. With LEDGER_ADOPTER_KEY: this run has the lease on those of the
 * instance, which may have a run by now. Texts are valid during the call. */
typedef void ledger_absent_fn(void *arg, const char *instance, const char *key, int64_t value,
                              bool is_leased);

#endif
