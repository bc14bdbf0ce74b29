/*
 * ledger_private - what the files of the ledger share.
 *
 *   ledger.c          the loop's side: takes requests, reports results
 *   ledger_thread.c   the ledger's thread: when, and which requests are committed together
 *   ledger_request.c  what one request does to the store
 *   ledger_clock.c    the time by which records are kept
 *   ledger_end.c      how the last bridge ended, and the calls it left
 *   ledger_crash.c    of debug builds: the crash points around a commit
 *   ledger_audit.c    what one request writes to the audit file
 *
 * A request goes from the loop's queue into a batch (one transaction), is carried out there, and
 * comes back with its batch to be reported. Whoever has the batch has all that is in it.
 */
#ifndef LEDGER_LEDGER_PRIVATE_H
#define LEDGER_LEDGER_PRIVATE_H

#include "clock.h"
#include "ledger/ledger.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

enum request_kind {
    REQUEST_CLAIM,
    REQUEST_POST,
    REQUEST_BEGIN,
    REQUEST_PAUSE,
    REQUEST_FINISH,
    REQUEST_DELIVERED,
    REQUEST_READ,
    REQUEST_REMEMBER,
    REQUEST_REOPEN,
};

struct claim_request {
    struct ledger_claim ask;
    ledger_claimed_fn *done;
    /* results */
    enum claim_result result;
    int64_t id;
    enum state state;
};

struct post_request {
    struct buf message;
    struct buf audit;
    bool is_dead_letter;
    ledger_done_fn *done;
};

/* Begin and pause. The command stays its owner's: only the loop's side looks at it. */
struct move_request {
    struct command *command;
    int64_t id;
    enum state state; /* after the move */
    uint32_t attempts;
    int64_t not_before_ms;
    struct blame_charges charges;
    ledger_done_fn *done; /* of begin */
};

struct finish_request {
    struct command *command; /* owned */
    struct outcome outcome;
    int64_t completed_at_ms; /* wall clock */
    int64_t kept_from_ms;    /* the ledger's */
    size_t reply_to_count;   /* result */
};

struct delivered_request {
    int64_t id;
    bool was_there; /* result */
};

struct read_request {
    int64_t from_id;
    size_t limit;
    ledger_message_fn *each;
    ledger_read_fn *done;
};

struct remember_request {
    char *key;
    int64_t value;
};

struct ledger_request {
    struct ledger_request *next;
    enum request_kind kind;
    enum status status; /* STATUS_STORE: not kept. Otherwise STATUS_OK */
    void *arg;
    size_t first_message; /* its messages in the batch, and how many */
    size_t message_count;
    union {
        struct claim_request claim;
        struct post_request post;
        struct move_request move;
        struct finish_request finish;
        struct delivered_request delivered;
        struct read_request read;
        struct remember_request remember;
    };
};

struct request_list {
    struct ledger_request *head;
    struct ledger_request *tail;
};

struct batch_message {
    int64_t id;
    size_t offset; /* in the batch's bytes */
    size_t length;
};

enum health_change { HEALTH_SAME, HEALTH_FAILING, HEALTH_WORKING };

/* One transaction: its requests, the messages they made or read, and what else is to be told. */
struct ledger_batch {
    struct ledger_batch *next;
    struct request_list requests;
    int64_t now_ms;     /* wall clock */
    int64_t kept_ms;    /* the ledger's: for what expires */
    int64_t unfinished; /* commands, as of here in the transaction */
    bool has_clock_news;
    struct ledger_clock_meta clock_news;
    struct buf bytes;
    struct batch_message *messages;
    size_t message_count;
    size_t message_capacity;
    struct buf error_json; /* scratch */
    size_t expired_count;
    int64_t commits;
    int64_t failures;
    enum health_change health;
    struct buf health_text;
};

/* A command found unfinished when the store was opened. */
struct resumed {
    struct command *command;
};

struct ledger {
    /* set at opening, then only read */
    const struct store_ops *ops;
    struct ledger_options options;
    struct ledger_hooks hooks;

    /* its meta are the ledger thread's */
    struct ledger_clock clock;

    /* the loop's */
    struct loop_wake *wake;
    struct loop_timer *turn_timer;
    int64_t claim_reported_us; /* monotonic; the last one */
    struct resumed *resumed;   /* what ledger_start() reports */
    size_t resumed_count;
    pthread_t thread;
    bool is_flowing; /* the last claim came right behind the one before */
    bool is_started;

    /* the ledger thread's, and the opener's before it starts */
    struct store *store;
    struct audit *audit; /* NULL: none */
    int64_t unfinished;
    int64_t retry_at_us;  /* monotonic */
    int64_t expire_at_us; /* monotonic */
    bool is_failing;
    bool is_audit_at_fault; /* the last failure was the audit file's, not the store's */
    bool has_more_expired;

    atomic_bool wants_audit_reopen; /* both sides' */

    /* both sides', under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t queued;
    struct request_list queue;
    size_t queue_count;
    int64_t queue_due_us; /* monotonic: when it is committed at the latest; INT64_MAX while empty */
    int64_t thread_until_us; /* monotonic: how long the thread sleeps; INT64_MIN while it works */
    bool is_closing;
    int64_t close_by_us; /* monotonic */
    struct ledger_batch *reports;
    struct ledger_batch *last_report;
    struct ledger_batch *spare;
};

/* The meta of the clock, all 0 where there are none. */
enum status ledger_load_clock(const struct store_ops *ops, struct store *store,
                              struct ledger_clock_meta *out_meta);
/* Writes them into the open transaction. */
enum status ledger_save_clock(const struct store_ops *ops, struct store *store,
                              const struct ledger_clock_meta *meta);

void request_list_append(struct request_list *list, struct ledger_request *request);
struct ledger_request *request_list_take(struct request_list *list);
/* Frees the request and what it owns. */
void ledger_request_free(struct ledger_request *request);
/* Such a request is answered STATUS_STORE where the store fails; the others are tried again. */
bool ledger_request_may_fail(const struct ledger_request *request);

/* Carries the request out within the open transaction; results go into it and into the batch. */
enum status ledger_request_apply(struct ledger *ledger, struct ledger_batch *batch,
                                 struct ledger_request *request);

/* Empties a batch for another attempt; keeps its requests and its memory. */
void ledger_batch_reset(struct ledger_batch *batch);
/* Frees the batch, its requests included. Takes NULL. */
void ledger_batch_free(struct ledger_batch *batch);
struct slice ledger_batch_message(const struct ledger_batch *batch,
                                  const struct batch_message *message);

/* The setting's kind of store and where it is. STATUS_INVALID with *out_why for an unknown one. */
enum status ledger_choose_store(const char *store, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why);

/* Calls that were in flight become UNSURE; after an end that was not orderly they are charged with
 * it. From now on only ledger_note_close() makes an end an orderly one. */
enum status ledger_reset_calls(struct ledger *ledger);
void ledger_note_close(struct ledger *ledger);

#ifdef BRIDGE_CRASH_POINTS
/* The crash points around a commit. */
void ledger_pass_commit(const struct ledger_batch *batch, bool is_committed);
#else
#define ledger_pass_commit(batch, is_committed) ((void)0)
#endif

/*
 * The audit file's part. Each does nothing where there is none. A line is a part of its
 * transaction: it is written by ledger_audit_write() before the commit, and taken back where that
 * fails.
 */
enum status ledger_audit_open(struct ledger *ledger, struct buf *out_why);
void ledger_audit_begin(struct ledger *ledger, int64_t now_ms);
void ledger_audit_claim(struct ledger *ledger, const struct claim_request *claim);
void ledger_audit_replay(struct ledger *ledger, const struct claim_request *claim,
                         const struct store_row *row);
void ledger_audit_refusal(struct ledger *ledger, const struct claim_request *claim,
                          const char *code);
void ledger_audit_post(struct ledger *ledger, const struct post_request *post);
void ledger_audit_outcome(struct ledger *ledger, const struct finish_request *finish);
enum status ledger_audit_write(struct ledger *ledger);
void ledger_audit_end(struct ledger *ledger, bool is_committed);
/* What the last failure was: the audit file's or the store's. */
const char *ledger_error(struct ledger *ledger);

/* The thread: commits until the ledger closes. */
void *ledger_thread_run(void *ledger);

#endif
