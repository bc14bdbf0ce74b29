/*
 * store_private - what the files of the PostgreSQL store share: run.c registers a run, session.c
 * has its transactions, batch.c carries out a batch, first.c has its first transaction, claims.c
 * and finishes.c have the requests that need a transaction of their own, read.c reads.
 *
 * Thread: as store.h.
 */
#ifndef LEDGER_POSTGRES_STORE_PRIVATE_H
#define LEDGER_POSTGRES_STORE_PRIVATE_H

#include "hosts.h"
#include "lease.h"
#include "ledger/store.h"
#include "rows.h"
#include "timeline.h"

#define POSTGRES_ERROR_BYTES 512

/* A command that this run holds: a copy of it, its first sender, and how many wait for it here. Its
 * reply can be rendered before anything is read. */
struct head;

/* How far a request of a batch is. */
enum item_stage {
    ITEM_FIRST, /* in the first transaction, with all others of the batch */
    ITEM_ALONE, /* in a transaction of its own */
    ITEM_READ,  /* reads, after all transactions */
    ITEM_DONE,
};

struct item {
    struct ledger_request *request;
    enum item_stage stage;
    bool is_planned;   /* a finish or a watch: its plan counts in the batch */
    bool has_row;      /* the statement has changed its row */
    bool is_head;      /* a claim or a retry: its command is now held by this run */
    bool is_joined;    /* a claim: it waits with others for an outcome */
    bool must_shorten; /* the history has become long */
    bool is_overdue;   /* a finish of a command that waits in line */
};

/* A command that the store has given to this run in the present transaction. */
struct promoted {
    struct command *command;
    struct reply_to reply_to;
    int64_t waiters;
};

/* A region whose groups this run reads. */
struct polled_region {
    struct polled_region *next;
    int64_t changes; /* those that this run knows */
    char name[];
};

/* The batch that is carried out, which may come again. */
struct work {
    struct ledger_batch *batch; /* NULL: none */
    struct item *items;
    size_t count;
    struct item *alone; /* whose transaction is on its way; NULL: the first one */
    bool is_first_done; /* the first transaction is committed, or there is nothing in it */
    bool has_effect;    /* something of it is committed */
    bool is_unknown;    /* whether the present transaction is committed is not known */
    bool has_lost;      /* the answers of a committed transaction were lost */
    bool is_swept;      /* commands past their deadline were looked for */
    struct promoted *promoted;
    size_t promoted_count;
};

typedef void took_fn(struct store *store, struct item *item, const PGresult *result);
/* A statement on its way, and who gets its result. */
struct sent {
    took_fn *took; /* NULL: nobody */
    struct item *item;
};

struct store {
    char *uri;
    char *name; /* the URI without its password */
    char *instance;
    char *password_file;
    bool is_full;
    bool is_reader;
    struct postgres_connection *connection; /* NULL: none */
    int64_t lease_ms;
    /* An answer that takes longer is lost: without one the lease is not valid any more. A commit
     * that waits for a synchronous standby is not ended by the server. */
    int timeout_ms;
    int lock_fd;
    int64_t run;
    int64_t session;
    struct timeline *timeline;     /* of this and the lease's connection */
    struct postgres_server server; /* of this connection */
    int64_t step;                  /* the number of the last transaction */
    int64_t committed_step;        /* of the last one that is committed for certain */
    bool is_started;
    bool is_expelled;
    struct counters *counters;    /* NULL: none */
    struct lease *validity;       /* of the registration; NULL: nobody asks */
    struct postgres_lease *lease; /* renews it; NULL: nothing does */
    int64_t clock_offset_ms;      /* the server's clock minus CLOCK_BOOTTIME, at the opening */
    int64_t registered_ms;        /* CLOCK_BOOTTIME: when the registration was sent */
    bool must_adopt;
    bool must_take_regions; /* those that nobody polls */
    bool must_read_watches; /* of the regions that this run polls */
    struct polled_region *polled;
    bool is_starting;          /* the ids of new messages are not known yet: nothing is adopted */
    bool is_adoption_unknown;  /* whether the last one was committed */
    bool must_repair;          /* the server has not all that was committed */
    int64_t repaired_at_ms;    /* wall clock */
    bool has_effect_index;     /* false: not known */
    int64_t lines_check_at_ms; /* CLOCK_BOOTTIME */
    int64_t left_since_ms;     /* CLOCK_BOOTTIME: commands of foreign routes were found; 0: none */
    bool has_warned_of_left;
    bool has_other_rates; /* another bridge had another rate, when it was looked at last */
    bool has_warned_of_rates;
    struct head *heads; /* a hash */
    struct work work;
    struct sent *sent;
    size_t sent_count;
    size_t sent_capacity;
    PGresult *kept; /* the result that rows returned by this store borrow from */
    char error[POSTGRES_ERROR_BYTES];
};

/* ---- session.c ---- */

enum status postgres_fail(struct store *store, const char *text);
/* Adds a statement to the pipeline. */
void postgres_put(struct store *store, enum store_postgres_statement statement,
                  const struct postgres_value *values, size_t count, took_fn *took,
                  struct item *item);
void postgres_put_text(struct store *store, const char *text);
/* Sends what was put and has the results taken. As postgres_exchange(); error() is set. */
enum status postgres_flush(struct store *store);
/* Begins a transaction of this run: BEGIN, the guard and the number of the transaction. */
void postgres_begin(struct store *store);
/* COMMIT. STATUS_UNAVAILABLE: the connection was lost, and work.is_unknown is set. */
enum status postgres_commit(struct store *store);
void postgres_rollback(struct store *store);
/* Whether the last failure goes away when the same transaction is done again. */
bool postgres_may_retry(const struct store *store);
/* Runs one statement outside of a transaction, and keeps its result in store->kept. */
enum status postgres_query(struct store *store, enum store_postgres_statement statement,
                           const struct postgres_value *values, size_t count);
/* Keeps the result in store->kept, as a took_fn. */
void postgres_keep(struct store *store, struct item *item, const PGresult *result);

/* Connects again if the connection was lost, and learns whether the transaction on its way was
 * committed: *out_is_committed, false where there was none. */
enum status postgres_reconnect(struct store *store, bool *out_is_committed);

/* The server's clock at this time of CLOCK_BOOTTIME. */
int64_t postgres_clock_ms(const struct store *store, int64_t boot_ms);

/* Another bridge has taken over: nothing can be written any more. */
void postgres_expelled(struct store *store);

/* ---- adopt.c ---- */

/* Adopts what dead runs have left, and adds it to the batch that was carried out. What cannot be
 * adopted now is adopted with a later batch. */
void postgres_adopt(struct store *store);
/* Before a batch, if is_adoption_unknown: adds to it what this run has and does not know. */
enum status postgres_recover_adopted(struct store *store, struct ledger_batch *batch);

/* ---- sweep.c ---- */

/* Adds items to the work for commands in line that are past their deadline, if the lease says so.
 */
enum status postgres_find_overdue(struct store *store);
/* Every 30 s: promotes commands in line whose group has no head, which is an error of a program,
 * and compares the rates of the bridges. */
void postgres_check_lines(struct store *store);
/* Warns of commands of dead runs whose route this bridge has not, once no other one has adopted
 * them for the length of a lease. */
enum status postgres_warn_of_left(struct store *store, struct slice dead, struct slice routes);

/* ---- polling.c ---- */

/* Takes the regions that nobody polls, and adds to the batch the watches of regions that are new to
 * this run or in which others have begun some. What cannot be done now is done with a later
 * batch. */
void postgres_poll(struct store *store, struct ledger_batch *batch);
/* In the transaction of an outcome with which a watch begins; `replaced`: the one that ends, or
 * NULL. */
void postgres_put_begun_watch(struct store *store, struct item *item, const struct watch *replaced);
/* The answers of such a transaction were lost. */
void postgres_forget_polled(struct store *store);

/* ---- repair.c ---- */

/* Before a batch, if must_repair: the server lacks transactions of this run. Writes the commands
 * again that this run holds, and adds to the batch what it holds again. */
enum status postgres_repair(struct store *store, struct ledger_batch *batch);

/* ---- allowance.c ---- */

/* Takes tokens of the rate that all bridges share, or reports that this one was throttled. */
enum status postgres_grant(struct store *store, struct allowance_request *request);

/* ---- run.c ---- */

/* Appends the path of a file of this instance in the folder that survives a restart. */
void postgres_append_state_path(const struct store *store, const char *ending, struct buf *out);

enum status postgres_register(struct store *store, struct buf *out_why);
/* Ends the run: it holds nothing afterwards. */
void postgres_unregister(struct store *store);
enum status postgres_lock(struct store *store, struct buf *out_why);
enum status postgres_start(struct store *store, struct ledger_batch *batch);

/* ---- heads.c ---- */

/* Copies them. `id` is that of the row. */
void heads_add(struct store *store, const struct command *command, int64_t id,
               const struct reply_to *reply_to);
/* Adds the row i of the last result, which has HELD_COLUMNS; *out_waiters: how many duplicates wait
 * for it. Returns the command, which the caller frees; NULL: the row is damaged. */
struct command *heads_add_row(struct store *store, const struct ledger_batch *batch, int i,
                              int64_t *out_waiters);
void heads_remove(struct store *store, struct slice token);
void heads_clear(struct store *store);
int64_t heads_count(const struct store *store);
bool heads_have(const struct store *store, struct slice token);
/* The first sender of a command that this run holds and for which nobody else waits; NULL: it is
 * not known, or others wait. */
const struct reply_to *heads_only_sender(const struct store *store, struct slice token);
/* So many more duplicates wait for it, which this bridge counts as waiting. With 0 nothing changes.
 */
void heads_add_waiters(struct store *store, struct slice token, int64_t count);
/* One more duplicate waits for it, which came to this bridge by the claim `id`. It is copied. */
void heads_add_joined(struct store *store, struct slice token, int64_t id,
                      const struct reply_to *reply_to);
int64_t heads_waiters(const struct store *store, struct slice token);
/* The row of this token is there. False: this run does not know the command. */
bool heads_found(struct store *store, struct slice token);
/* Calls `each`, if not NULL, for every command whose row was not found since the last call, and
 * returns their number. */
typedef void heads_fn(struct store *store, const struct command *command,
                      const struct reply_to *reply_to);
size_t heads_take_missing(struct store *store, heads_fn *each);
/* Calls `each` for every duplicate of heads_add_joined(). */
typedef void heads_joined_fn(struct store *store, const char *token, int64_t id,
                             const struct reply_to *reply_to);
void heads_each_joined(struct store *store, heads_joined_fn *each);

/* ---- batch.c ---- */

enum status postgres_carry_out(struct store *store, struct ledger_batch *batch);
/* The transaction is committed that has given commands to this run. */
void postgres_take_over(struct store *store);
/* Frees what belongs to the batch that was carried out. */
void postgres_end_work(struct store *store);

/* ---- first.c ---- */

/* Does the first transaction of the batch, with the items whose stage is ITEM_FIRST. */
enum status postgres_try_first(struct store *store);
/* Whether what becomes of the request is known only from the server. */
bool postgres_depends_on_row(const struct item *item);
/* The message that the request deletes, or NULL. */
struct outbox_row *postgres_deleted_of(struct ledger_request *request);
/* The promoted or adopted commands of a result; postgres_take_over() gives them to the batch. */
void postgres_take_promoted(struct store *store, struct item *item, const PGresult *result);
/* Forgets them, because their transaction is done once more. */
void postgres_drop_promoted(struct store *store);
/* Whether the statement has changed a row: sets has_row. */
void postgres_take_row(struct store *store, struct item *item, const PGresult *result);
void postgres_put_promote(struct store *store, const char *group);
/* The messages of a request. */
void postgres_put_messages(struct store *store, const struct ledger_request *request);
/* The audit record of a request, if it has one. */
void postgres_put_audit(struct store *store, struct ledger_request *request);
/* What the history of the request's command gets. */
struct slice postgres_events(const struct store *store, const struct ledger_request *request);

/* ---- claims.c, finishes.c: requests in transactions of their own ---- */

enum status postgres_claim(struct store *store, struct item *item);
enum status postgres_finish(struct store *store, struct item *item);
enum status postgres_order(struct store *store, struct item *item);
/* Ends a command that waits in line past its deadline. The request's status tells whether it did:
 * STATUS_NOT_FOUND where it does not wait any more. */
enum status postgres_end_overdue(struct store *store, struct item *item);
enum status postgres_change_watch(struct store *store, struct item *item);
/* Rewrites the history of a move's command, which has become long. */
void postgres_shorten(struct store *store, struct item *item);

/* ---- read.c ---- */

enum status postgres_read_request(struct store *store, struct ledger_request *request);
enum status postgres_find(struct store *store, struct slice token, struct store_row *out_row);
enum status postgres_each(struct store *store, enum store_list list, int64_t after_id, size_t limit,
                          store_row_fn *each, void *arg);
enum status postgres_find_watch(struct store *store, struct slice object, struct watch **out_watch);
enum status postgres_each_watch(struct store *store, store_watch_fn *each, void *arg);
enum status postgres_count_after(struct store *store, int64_t id, int64_t *out_count);
enum status postgres_summarise(struct store *store, struct store_summary *out_summary);
enum status postgres_get_statistics(struct store *store, struct store_statistics *out_statistics);
enum status postgres_verify(struct store *store, store_fault_fn *fault, void *arg);
enum status postgres_backup(struct store *store, const char *path, struct buf *out_why);
/* The instance whose number it is. How often the server's clock was set is of all bridges: "". */
struct slice postgres_meta_owner(const struct store *store, const char *key);
enum status postgres_get_meta(struct store *store, const char *key, int64_t *out_value);
enum status postgres_each_meta(struct store *store, const char *prefix, store_meta_fn *each,
                               void *arg);
void postgres_inspect(const char *location, store_finding_fn *found, void *arg);
void postgres_damaged(struct store *store, const char *what);

#endif
