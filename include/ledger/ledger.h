/*
 * ledger - the durable record of every command, from claim to delivered reply, and the outbox of
 * messages to publish.
 *
 * Requests are queued for the ledger's own thread. It carries out all queued requests in one
 * transaction (one fsync) and then reports their results, in the same order, on the loop's thread.
 * The audit records of a request are part of its transaction: without its record, nothing is done.
 *
 * Fails with: STATUS_STORE for a claim or a message that cannot be stored. State changes and
 * outcomes stay queued and are tried again until the store accepts them.
 *
 * Intake, dispatch and outbox communicate only through the ledger. It owns the reply_to, the
 * outcome and the rendered replies of every command.
 *
 * Thread: the loop's, for every function and callback.
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "allowance.h"
#include "base/counters.h"
#include "base/lease.h"
#include "base/loop.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"
#include "model/reply.h"
#include "model/route.h"
#include "model/watch_rules.h"
#include "request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

struct ledger_options {
    const char *store;         /* "sqlite:PATH" or "postgresql://..." */
    const char *instance;      /* of a store that several bridges share: which of them it is */
    const char *password_file; /* of such a store; NULL or "": none */
    struct lease *lease;       /* of such a store, which renews it; must outlive the ledger */
    int64_t lease_ms;          /* how long it is */
    double rate_per_s;         /* of such a store: bridges with different rates are warned of */
    bool warns_of_loss;        /* of such a store whose fail-over can lose commits */
    bool is_full; /* durability "full": a commit is on the disk before it is reported */
    int64_t success_ttl_s;
    int64_t failure_ttl_s;
    int64_t pending_max;
    int64_t waiters_max;
    struct reply_settings replies;
    const struct route *routes; /* resumed commands refer to these */
    size_t route_count;
    struct counters *counters;
    bool is_audited;
    int64_t
        audit_rows_max; /* claims and messages are refused while so many audit records are stored */
    struct watch_publishing events; /* of watches */
    int64_t watches_max;
};

/* The number of ledger_remember() that says since when `may_have_lost` was reported. Once it is
 * stored, the store need not report that loss at the next start. */
#define LEDGER_META_LOST_AT "ledger.may_have_lost_at_ms"

/* What the ledger reports. All are set, but for those that say otherwise and the last two where
 * nothing is watched. */
struct ledger_hooks {
    void *arg;
    /* An unfinished command of the last run, READY or UNSURE. The callee owns it. */
    void (*resumed)(void *arg, struct command *command_take);
    /* A message to publish; it is stored. `message` is valid during the call. */
    void (*posted)(void *arg, int64_t id, struct slice message);
    /* All audit records up to this Seq are stored. NULL where nothing is audited. */
    void (*audited)(void *arg, int64_t seq);
    /* The store started to fail (`text` has the reason) or works again (`text` is ""). */
    void (*health)(void *arg, bool is_failing, const char *text);
    /* A shared store has failed over, and commits may be missing. NULL: nobody asks. */
    void (*may_have_lost)(void *arg);
    /* A watch that is stored: of the last run, or one that began with an outcome. Valid during the
     * call. */
    void (*watched)(void *arg, const struct watch *watch);
    /* A later command has replaced the watch, or has taken it over (then `watched` comes next). */
    void (*unwatched)(void *arg, int64_t id);
    /* Of a shared ledger: this bridge reads the groups of the region from now on, or other bridges
     * have changed its watches. These are all of them: what is not among them has ended. Some may
     * be known already. Valid during the call. */
    void (*polls)(void *arg, const char *region, const struct watch *const *watches, size_t count);
};

/*
 * Opens or creates the store and migrates it. Calls that were in flight become UNSURE; if the last
 * run ended without ledger_close(), their `crashes` go up by one (model/crash_limit.h).
 *
 * STATUS_BUSY: another bridge uses the store. STATUS_INVALID: a newer schema, a damaged file or an
 * unknown kind of store. STATUS_STORE: an error of the operating system. STATUS_UNAVAILABLE: the
 * database cannot be reached or used for now, try again. The reason and what to do are appended to
 * *out_why.
 */
enum status ledger_open(struct loop *loop, const struct ledger_options *options,
                        const struct ledger_hooks *hooks, struct ledger **out_ledger,
                        struct buf *out_why);
/* Other limits, times to live, reply settings and routes; the rest of the options is not used. From
 * the next batch on. */
void ledger_change(struct ledger *ledger, const struct ledger_options *options);
/* Reports every unfinished command to hooks.resumed, in order of arrival, then starts the thread.
 * Call it once, before any request. */
void ledger_start(struct ledger *ledger);
/* Commits the queued requests, waiting at most `timeout_ms` for a failing store, ends the thread
 * and frees the ledger. Calls no callback and must not be called from one. Takes NULL. */
void ledger_close(struct ledger *ledger, int64_t timeout_ms);

/*
 * Claims the command if its token is new, otherwise handles it by the record of that token. When
 * `done` is called with STATUS_OK, the result is durable: the claim, the reply, or the place among
 * the duplicates that wait for the outcome.
 */
void ledger_claim(struct ledger *ledger, struct ledger_claim *claim_take, ledger_claimed_fn *done,
                  void *arg);

/* What is requested between these two calls is committed in one transaction. It must be claims and
 * posts only: of requests that may fail, either all are stored or none. */
void ledger_begin_together(struct ledger *ledger);
void ledger_end_together(struct ledger *ledger);

/* Puts an encoded message into the outbox that refuses a command with this error: a reply or a dead
 * letter. The bytes are copied. `audit_take` has the members of its audit record; NULL for none. */
void ledger_post(struct ledger *ledger, struct slice message, bool is_dead_letter,
                 enum bridge_error refusal, struct buf *audit_take, ledger_done_fn *done,
                 void *arg);

/* Records that a call begins (MOVE_START); it may be sent once `done` is called. The caller still
 * owns the command, whose state is set just before `done`. */
void ledger_begin(struct ledger *ledger, struct command *command, ledger_done_fn *done, void *arg);
/*
 * Records that the attempt had no effect (MOVE_NOTHING_DONE) or got no definite answer
 * (MOVE_NO_ANSWER), with the command's `attempts`, `not_before_ms` and `crashes`. `answer` is what
 * the attempt ended with, for the history; NULL: it was not made. The caller still owns the
 * command, whose state is set at once.
 */
void ledger_pause(struct ledger *ledger, struct command *command, enum move move,
                  const struct outcome *answer);
/*
 * Records the outcome, and a reply for every sender of this command, in one transaction. Takes the
 * command; copies the outcome. `answer` is what the attempt in flight ended with, for the history:
 * the outcome itself, another one, or NULL if the attempt was not made or there is none.
 */
void ledger_finish(struct ledger *ledger, struct command *command_take,
                   const struct outcome *outcome, const struct outcome *answer);

/*
 * As ledger_finish(), and the watch of the group begins in the same transaction. A watch of another
 * command for the same group ends there, with the event `superseded`; one of the same token goes on
 * with its state and Seq. Where limits say so, nothing more is watched.
 */
void ledger_finish_watched(struct ledger *ledger, struct command *command_take,
                           const struct outcome *outcome, const struct outcome *answer,
                           struct watch_start watch);
/*
 * Stores the state of a watch after a step, and the encoded messages of its events, in one
 * transaction; a final step ends the watch. `watch` is the watch before the step; the messages are
 * taken. One at a time for each watch.
 */
void ledger_watch(struct ledger *ledger, const struct watch *watch, const struct watch_step *step,
                  struct buf *messages_take, size_t count, ledger_watched_fn *done, void *arg);

/*
 * Orders of an operator about the record of a token; `done` is called when it is durable.
 *
 * A retry makes it a command in work again, with this deadline (wall clock): UNSURE, since an
 * attempt may have had an effect. A resolve gives it the outcome that the operator has found out,
 * at once. In either case everybody who asked gets the new outcome: the ledger has kept where the
 * replies of an outcome that is not definite went. `note` is for the audit.
 */
void ledger_retry(struct ledger *ledger, struct slice token, int64_t deadline_at_ms,
                  ledger_ordered_fn *done, void *arg);
void ledger_resolve(struct ledger *ledger, struct slice token, const struct outcome *outcome,
                    struct slice note, ledger_ordered_fn *done, void *arg);

/* The broker acknowledged the message, which has `length` bytes: it is deleted with a later commit.
 */
void ledger_delivered(struct ledger *ledger, int64_t id, size_t length);
/* Deletes a message that cannot be delivered and puts `dead_letter` in its place (absent: nothing),
 * in one transaction. Without an audit record. STATUS_STORE: nothing was changed. */
void ledger_replace(struct ledger *ledger, int64_t id, size_t length, struct slice dead_letter,
                    ledger_done_fn *done, void *arg);

/*
 * Reads at most `limit` messages of the outbox, in order of their ids, beginning with `from_id`.
 * `each` is called for every message, then `done` with their number; hooks.posted is not called for
 * them. The read contains what was posted before it; what is posted later is reported later.
 */
void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg);

/* Asks for a part of a rate that the bridges of a shared ledger have together, or reports that the
 * API has throttled this one. */
void ledger_ask_allowance(struct ledger *ledger, const struct allowance_ask *ask,
                          ledger_granted_fn *done, void *arg);

/* Stores a number that outlives the process, such as whether a client id has a session. It is
 * written with the next commit, after 50 ms at most. */
void ledger_remember(struct ledger *ledger, const char *key, int64_t value);
/* The number as of ledger_open(), or `otherwise` if it was never stored. Only before
 * ledger_start(). */
int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise);
/* The number as it is now: another bridge may have changed it. STATUS_NOT_FOUND: there is none;
 * STATUS_STORE: it cannot be read, and that is logged. Only before ledger_start(). */
enum status ledger_read_number(struct ledger *ledger, const char *key, int64_t *out_value);
/* Deletes the number, with the next commit. What is remembered and forgotten in one turn of the
 * loop may be two commits, in this order. */
void ledger_forget(struct ledger *ledger, const char *key);
/* The same for a number of another bridge that shares the ledger. `instance` NULL: of this one. */
void ledger_remember_of(struct ledger *ledger, const char *instance, const char *key,
                        int64_t value);
void ledger_forget_of(struct ledger *ledger, const char *instance, const char *key);

/*
 * Of a shared ledger: reports the numbers about sessions of the instances that have no run now, and
 * on whose sessions no other run has a lease, and the leases of this run; in order of the
 * instances. Then `done` is called.
 * Before that, this run takes the lease on the sessions of `lease_of` (NULL: none) if no run has
 * it. With a ledger that is not shared nothing is reported. STATUS_STORE: the ledger cannot be used
 * now.
 */
void ledger_list_absent(struct ledger *ledger, const char *lease_of, ledger_absent_fn *each,
                        ledger_done_fn *done, void *arg);

/* Reports every number whose key begins with `prefix`, in order of the keys. The key is valid
 * during the call. Only before ledger_start(). */
typedef void ledger_meta_fn(void *arg, const char *key, int64_t value);
void ledger_recall_all(struct ledger *ledger, const char *prefix, ledger_meta_fn *each, void *arg);

/*
 * The audit. A request and its audit record (model/audit_record.h) are one transaction. The numbers
 * of the records (Seq) have no gap. A record is stored until ledger_audit_exported().
 */
/* The Seq of the last record, 0 for none, and the tip: the last record that was exported. The
 * records after the tip are stored. Only before ledger_start(). */
int64_t ledger_audit_seq(const struct ledger *ledger, struct audit_tip *out_tip);
/* Adds a record. `event` is static text; the members are copied. `adopted`, if not NULL, becomes
 * the tip where there is no record yet, so that the numbers continue after it. */
void ledger_add_audit(struct ledger *ledger, const char *event, struct slice members,
                      const struct audit_tip *adopted);
/* Reads records as ledger_read_outbox() reads messages. */
void ledger_read_audit(struct ledger *ledger, int64_t from_seq, size_t limit,
                       ledger_message_fn *each, ledger_read_fn *done, void *arg);
/* The records up to the tip are exported: they are deleted and the tip is stored. */
void ledger_audit_exported(struct ledger *ledger, const struct audit_tip *tip);

/*
 * Records to be shown, read by the ledger's thread after what was queued before. At most
 * LEDGER_QUERY_MAX; how long the thread needs is bounded. `done` gets them, valid during the call;
 * STATUS_STORE: the store cannot be used now.
 */
#define LEDGER_QUERY_MAX 256
/* The record of the token with its history; none: there is no such record. */
void ledger_query_token(struct ledger *ledger, struct slice token, ledger_records_fn *done,
                        void *arg);
/* Commands in work, in order of arrival. */
void ledger_query_unfinished(struct ledger *ledger, size_t limit, ledger_records_fn *done,
                             void *arg);
/* The last outcomes, the newest first, of the 1,000 commands that arrived last, and the last 16
 * outcomes of this process that are not kept (RETENTION_NOT, or no time to live). */
void ledger_query_outcomes(struct ledger *ledger, size_t limit, ledger_records_fn *done, void *arg);

/* The newest success with the parameters of this command that arrived at `since_ms` (wall clock) or
 * later and was called itself; none: there is no such record, or a command of another action for
 * the same group came after it that has or may have had effect. */
void ledger_find_success(struct ledger *ledger, const struct command *command, int64_t since_ms,
                         ledger_records_fn *done, void *arg);

/*
 * Looks at the store's place (directory, files, their rights, their version) without opening it,
 * for the subcommand `check`: `found` is called for everything that would prevent a start
 * (`is_error`) or is dangerous. Not in a process whose store is open at this place: it would lose
 * SQLite's locks.
 */
typedef void ledger_finding_fn(void *arg, bool is_error, const char *text);
void ledger_inspect(const char *store, ledger_finding_fn *found, void *arg);

/* The version of SQLite, for the subcommand `version`. */
const char *ledger_library_version(void);

#endif
