/*
 * ledger - the durable record of every command, from claim to delivered reply, and the outbox of
 * messages to publish.
 *
 * Requests are queued to the ledger's own thread, which carries out all that wait in one
 * transaction (one fsync) and then reports, in order, on the loop's thread. Where there is an
 * audit, the audit records of a request belong to its transaction: what cannot be audited is not
 * done. A claim or a message that cannot be stored is answered STATUS_STORE; moves and outcomes are
 * kept and tried again until the store takes them. A command's reply_to, its outcome and its
 * rendered replies live here; flow/ parts meet only through it.
 *
 * Thread: the loop's, for every function and callback.
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "base/counters.h"
#include "base/loop.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"
#include "model/reply.h"
#include "model/route.h"
#include "request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

struct ledger_options {
    const char *store; /* "sqlite:PATH" */
    bool is_full;      /* durability "full": a commit is on the disk before it is reported */
    int64_t success_ttl_s;
    int64_t failure_ttl_s;
    int64_t pending_max;
    int64_t waiters_max;
    struct reply_settings replies;
    const struct route *routes; /* to give resumed commands their route */
    size_t route_count;
    struct counters *counters;
    bool is_audited;
    int64_t audit_rows_max; /* with so many audit records claims and messages are not kept */
};

/* Who hears what happened. All are set. */
struct ledger_hooks {
    void *arg;
    /* A command found unfinished at start, READY or UNSURE; from now on the callee's. */
    void (*resumed)(void *arg, struct command *command_take);
    /* A durable message to publish. `message` is valid during the call. */
    void (*posted)(void *arg, int64_t id, struct slice message);
    /* There are audit records up to this Seq, all durable. NULL where nothing is audited. */
    void (*audited)(void *arg, int64_t seq);
    /* The store began to fail (text says how) or works again (text ""). */
    void (*health)(void *arg, bool is_failing, const char *text);
};

/*
 * Opens or creates the store, migrates it, and resets calls that were in flight to UNSURE; after an
 * end that was not ledger_close() their `crashes` are one more (model/crash_limit.h).
 * STATUS_BUSY where another bridge has it, STATUS_INVALID for a newer schema, a corrupt file or an
 * unknown store, STATUS_STORE for the machine's faults; then *out_why says what to do (append
 * only).
 */
enum status ledger_open(struct loop *loop, const struct ledger_options *options,
                        const struct ledger_hooks *hooks, struct ledger **out_ledger,
                        struct buf *out_why);
/* Reports every unfinished command to hooks.resumed, in order of arrival, then starts the thread.
 * Once, before anything else. */
void ledger_start(struct ledger *ledger);
/* Commits what is queued (waiting at most `timeout_ms` for a failing store), ends the thread and
 * frees. No callbacks, and not from one. Takes NULL. */
void ledger_close(struct ledger *ledger, int64_t timeout_ms);

/*
 * Make the command ours, once, or answer it from the record. Whatever the result, its reply or its
 * place among those who wait is durable when `done` is called.
 */
void ledger_claim(struct ledger *ledger, struct ledger_claim *claim_take, ledger_claimed_fn *done,
                  void *arg);

/* Put a message (encoded) into the outbox: refusals and dead letters. The bytes are copied; the
 * members of its line in the audit file are taken, NULL for none. */
void ledger_post(struct ledger *ledger, struct slice message, bool is_dead_letter,
                 struct buf *audit_take, ledger_done_fn *done, void *arg);

/* MOVE_START, durable before `done`: the call may go out. `command` stays the caller's; its state
 * is set on the way. */
void ledger_begin(struct ledger *ledger, struct command *command, ledger_done_fn *done, void *arg);
/*
 * The attempt did nothing (MOVE_NOTHING_DONE) or gave no definite answer (MOVE_NO_ANSWER);
 * `attempts`, `not_before_ms` and `crashes` of the command are stored. `command` stays the
 * caller's; its state is set at once.
 */
void ledger_pause(struct ledger *ledger, struct command *command, enum move move);
/* The command ended: outcome and replies to all who asked, in one transaction. Takes the command;
 * copies the outcome. */
void ledger_finish(struct ledger *ledger, struct command *command_take,
                   const struct outcome *outcome);

/* The broker acknowledged the message: it is forgotten, soon. */
void ledger_delivered(struct ledger *ledger, int64_t id);

/*
 * Messages of the outbox from `from_id` on, at most `limit`, in order, each to `each` (valid during
 * the call); then `done` with how many there were. They do not go to hooks.posted. What is posted
 * before the read is in it, what is posted after it is reported after it.
 */
void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg);

/* Small facts that outlive the process, such as "this client id has a session". Lazy; values below
 * 64 KiB. */
void ledger_remember(struct ledger *ledger, const char *key, int64_t value);
/* The value as of ledger_open(), else `otherwise`. Only before ledger_start(). */
int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise);

/*
 * The audit. What a request does is recorded in its transaction (model/audit_record.h); records are
 * numbered by one, without a gap. They stay until ledger_audit_exported().
 */
/* The last record there ever was, 0 for none, and the last one that was exported; those between are
 * there. Only before ledger_start(). */
int64_t ledger_audit_seq(const struct ledger *ledger, struct audit_tip *out_tip);
/* Adds a record. `event` is static text, the members are copied. `adopted`, or NULL: where there is
 * no record yet, the numbers continue after this one, which becomes the tip. */
void ledger_add_audit(struct ledger *ledger, const char *event, struct slice members,
                      const struct audit_tip *adopted);
/* The records from `from_seq` on, as ledger_read_outbox(). */
void ledger_read_audit(struct ledger *ledger, int64_t from_seq, size_t limit,
                       ledger_message_fn *each, ledger_read_fn *done, void *arg);
/* The records up to the tip are exported: they are deleted and the tip is stored, soon. */
void ledger_audit_exported(struct ledger *ledger, const struct audit_tip *tip);

/*
 * Looking into a store beside the bridge that runs on it, for the `ledger` subcommand. Each appends
 * one JSON object a line. STATUS_NOT_FOUND where no record has the token; other faults as
 * ledger_open(), with *out_why.
 */
enum status ledger_show(const char *store, struct slice token, struct buf *out,
                        struct buf *out_why);
/* Every unfinished command, in order of arrival. */
enum status ledger_list(const char *store, struct buf *out, struct buf *out_why);
/* How many commands are unfinished, how many duplicates wait, how many messages are in the outbox.
 */
enum status ledger_count(const char *store, struct buf *out, struct buf *out_why);

/* The last record that was exported; a Seq of 0 where none was. */
enum status ledger_audit_tip(const char *store, struct audit_tip *out_tip, struct buf *out_why);

/* SQLite's version, for `version`. */
const char *ledger_library_version(void);

#endif
