/*
 * batch - requests to the ledger, and the batches in which they are carried out.
 *
 * The committer moves requests from its queue into a batch. The store carries out the batch as one
 * transaction: for each request it calls the rules (rules.h) and writes what they plan. Results are
 * set in the requests; messages and audit records are rendered into the batch's bytes. Then the
 * loop's thread reports the batch.
 *
 * Thread: one at a time; the owner of a batch owns everything in it.
 */
#ifndef LEDGER_BATCH_H
#define LEDGER_BATCH_H

#include "base/buf.h"
#include "history.h"
#include "ledger/allowance.h"
#include "ledger/request.h"
#include "model/audit_record.h"
#include "model/command.h"
#include "model/reply.h"
#include "model/route.h"
#include "model/watch_rules.h"

struct ledger;
struct ledger_batch;
struct ledger_request;

/* A command's row, with the columns that every store has. Slices are valid until the next call on
 * the store. */
struct store_row {
    int64_t id;
    enum state state;
    struct slice action;
    struct slice region;
    struct slice group;
    struct slice token;
    struct slice route;  /* its name */
    struct slice params; /* canonical, see model/action.h */
    struct slice fingerprint;
    int64_t received_at_ms;
    int64_t deadline_at_ms;
    uint32_t attempts;
    int64_t not_before_ms;
    uint32_t crashes;
    /* the outcome, of DONE rows */
    int status;    /* enum outcome_status */
    int retention; /* enum retention */
    struct slice request_id;
    struct slice code;
    struct slice error;    /* the Error object as JSON, absent for a success */
    struct slice observed; /* the Observed object as JSON, or absent */
    int64_t completed_at_ms;
    int64_t expires_at_ms;
    struct slice history;  /* see history.h; absent: none */
    struct slice instance; /* of a shared store, to be shown: the bridge that holds it; or absent */
};

/* Whether a program of this version can have made the row. */
bool store_row_is_sound(const struct store_row *row);

enum request_kind {
    REQUEST_CLAIM,
    REQUEST_POST,
    REQUEST_REPLACE,
    REQUEST_BEGIN,
    REQUEST_PAUSE,
    REQUEST_FINISH,
    REQUEST_DELIVERED,
    REQUEST_READ,
    REQUEST_REMEMBER,
    REQUEST_ADD_AUDIT,
    REQUEST_READ_AUDIT,
    REQUEST_EXPORTED,
    REQUEST_QUERY,
    REQUEST_RETRY,
    REQUEST_RESOLVE,
    REQUEST_WATCH,
    REQUEST_ALLOWANCE,
    REQUEST_ABSENT,
    REQUEST_COUNT
};

struct request_type {
    enum request_kind kind;
    int64_t delay_us; /* how long it may wait for others to share its commit */
    bool may_fail;    /* answered STATUS_STORE when the store fails; otherwise tried again */
    bool needs_audit; /* answered STATUS_STORE while too many audit records are stored */
    void (*report)(struct ledger *ledger, const struct ledger_batch *batch,
                   struct ledger_request *request); /* NULL: nothing to report */
};

/* Records in order: of their arrival, or the newest first. */
enum store_list {
    STORE_LIST_ALL,
    STORE_LIST_UNFINISHED,
    STORE_LIST_OUTCOMES, /* the DONE ones among the last STORE_RECENT_MAX, the newest outcome first
                          */
};
#define STORE_RECENT_MAX 1000

struct claim_request {
    struct ledger_claim ask;
    ledger_claimed_fn *done;
    int64_t id; /* of the row, if one is made. Ids are in order of arrival */
    /* results */
    enum claim_result result;
    enum state state;
    enum bridge_error refusal; /* of a mismatch and a refusal */
    bool is_counted;           /* in the batch's `unfinished` already */
    bool is_new_row;           /* and in the batch's `records`: it replaces no other row */
    /* Of a store that bridges share: what becomes of it is counted by the bridge that answers. */
    bool is_lined_up;         /* it waits behind another command of its group, in the store */
    bool is_joined_elsewhere; /* this bridge does not hold the command for whose outcome it waits */
};

/* A message to delete from the outbox. */
struct outbox_row {
    int64_t id;
    size_t length;
    bool was_there; /* result */
};

/* Post and replace. */
struct post_request {
    struct buf message; /* empty: none */
    struct buf audit;
    bool is_dead_letter;
    enum bridge_error refusal;  /* of a post */
    struct outbox_row replaced; /* of a replace */
    ledger_done_fn *done;
};

/* Begin and pause. Only the loop's thread uses the command. */
struct move_request {
    struct command *command;
    int64_t id;
    char token[COMMAND_TOKEN_BYTES_MAX + 1];
    enum state state; /* after the move */
    uint32_t attempts;
    int64_t not_before_ms;
    uint32_t crashes;
    ledger_done_fn *done; /* NULL for a pause */
};

/* Of an operator. */
struct order {
    struct buf token;
    struct buf note;
    int64_t deadline_at_ms; /* of a retry */
    ledger_ordered_fn *done;
    /* results */
    enum ledger_order result;
    bool is_counted; /* in the batch's `unfinished` already */
};

/* Finish, retry and resolve. A retry only has the order and, as results, the command and
 * reply_to_count. */
struct finish_request {
    struct order order;      /* of a retry or a resolve, whose command is a result */
    struct command *command; /* owned */
    struct outcome outcome;
    bool is_answer;          /* the outcome is what the last attempt ended with */
    int64_t completed_at_ms; /* wall clock */
    int64_t kept_from_ms;    /* the ledger's */
    /* results */
    struct buf error; /* the Error object as JSON; empty for a success */
    int64_t expires_at_ms;
    size_t reply_to_count;
    size_t elsewhere_count; /* of these: duplicates that this bridge does not count as waiting */
    bool is_lined_up;       /* of a retry: as that of a claim */
    struct buf traceparent; /* of the first sender */
    /* The watch that begins with the outcome. */
    struct watch_start watch; /* its ends_at_ms is 0 for none */
    size_t reply_count;       /* of the messages; behind them is the event of `superseded` */
    struct watch *begun;      /* result, owned; NULL: none */
    int64_t superseded_id;    /* result: the watch that it replaces; 0: none */
    bool is_watch_refused;    /* result: watch.max are watched already */
    bool is_polled_elsewhere; /* result: another bridge reads the groups of its region */
};

/* The new state of a watch, with its events. */
struct watch_request {
    int64_t id;
    int64_t expected_seq; /* the stored one */
    struct watch_state state;
    bool is_over;
    struct buf *messages; /* owned */
    size_t message_count;
    ledger_watched_fn *done;
    bool is_there; /* result: else nothing was stored */
};

struct delivered_request {
    struct outbox_row message;
};

/* Records to show. */
struct query_request {
    enum store_list list;
    struct buf token;       /* of one record; empty: the list */
    struct buf fingerprint; /* the newest success with it; empty: by token, or the list */
    struct buf group;       /* of that success */
    int64_t since_ms;       /* that it arrived at, or later */
    int64_t after_id;
    size_t limit;
    ledger_records_fn *done;
    /* results */
    struct ledger_record **records; /* owned */
    size_t count;
    struct watch *watch; /* of the one record, in a shared store; owned. NULL: none, or not known */
    int64_t steps_ms;    /* of the wall clock, see clock.h */
};

struct read_request {
    int64_t from_id;
    size_t limit;
    ledger_message_fn *each;
    ledger_read_fn *done;
};

struct add_audit_request {
    const char *event; /* static */
    struct buf members;
    struct audit_tip adopted;
};

struct exported_request {
    struct audit_tip tip;
};

struct remember_request {
    char *instance; /* NULL: this one */
    char *key;
    int64_t value;
    bool is_forgotten; /* instead of stored */
};

struct allowance_request {
    char *name;
    struct allowance_ask ask; /* its name is `name` */
    ledger_granted_fn *done;
    struct allowance_grant grant;
};

/* A number about a session of an instance without a run. */
struct absent_number {
    char *instance;
    char *key;
    int64_t value;
    bool is_leased;
};

struct absent_request {
    char *lease_of; /* NULL: none */
    ledger_absent_fn *each;
    ledger_done_fn *done;
    struct absent_number *numbers;
    size_t count;
};

/* A part of the batch's bytes. */
struct batch_text {
    size_t offset;
    size_t length;
};

struct ledger_request {
    struct ledger_request *next;
    const struct request_type *type;
    enum status status; /* STATUS_OK, or STATUS_STORE: not stored */
    void *arg;
    bool is_with_next;    /* the next request belongs to the same transaction */
    size_t first_message; /* the index of its first message in the batch */
    size_t message_count;
    const char *audit_event; /* the event of its audit record; NULL: none */
    struct batch_text audit; /* the members of its audit record */
    int64_t audit_seq;       /* of its audit record; 0: not given yet */
    struct buf events;       /* for the history of its command, as history.h puts them */
    /* The command whose history gets `history`, and to which its messages belong. 0: none, or of a
     * message that is acknowledged or replaced, the command to which that one belongs. */
    int64_t command_id;
    struct batch_text history; /* the new events; of an inserted row the whole history */
    union {
        struct claim_request claim;
        struct post_request post;
        struct move_request move;
        struct finish_request finish;
        struct delivered_request delivered;
        struct read_request read;
        struct remember_request remember;
        struct add_audit_request add_audit;
        struct exported_request exported;
        struct query_request query;
        struct watch_request watch;
        struct allowance_request allowance;
        struct absent_request absent;
    };
};

struct request_list {
    struct ledger_request *head;
    struct ledger_request *tail;
};

void request_list_append(struct request_list *list, struct ledger_request *request);
/* Removes the first request and returns it, or NULL. */
struct ledger_request *request_list_take(struct request_list *list);
/* Frees the request and what it owns. */
void ledger_request_free(struct ledger_request *request);

/* Frees the numbers. */
void absent_clear(struct absent_request *absent);

/* Frees the records. */
void query_clear(struct query_request *query);
/* Adds the row to the records; `arg` is the query. */
void query_add(void *arg, const struct store_row *row);

struct batch_message {
    int64_t id;
    struct batch_text text;
};

struct batch_meta {
    const char *key; /* static */
    int64_t value;
};
#define BATCH_METAS_MAX 16

/* How many commands a store has, finished ones included. Counting them all would read them all, so
 * the number is stored: with every batch that deletes one, and otherwise now and then. What came
 * after it has a greater id. */
struct batch_records {
    int64_t count;
    int64_t last_id; /* of the newest command; 0: there never was one */
};
#define RECORDS_META         "ledger.records"
#define RECORDS_LAST_ID_META "ledger.records_last_id"

/* The settings that the rules and the committer need. */
struct ledger_limits {
    int64_t success_ttl_s;
    int64_t failure_ttl_s;
    int64_t pending_max;
    int64_t waiters_max;
    struct reply_settings replies;
    const struct route *routes; /* stored commands refer to these */
    size_t route_count;
    bool is_coalescing; /* a route has coalesce_s */
    bool is_audited;
    int64_t audit_rows_max;
    struct watch_publishing events;
    int64_t watches_max;
    double rate_per_s; /* api.rate_per_s, which bridges that share a ledger compare */
};

enum health_change { HEALTH_SAME, HEALTH_FAILING, HEALTH_WORKING };

/* A region whose groups this bridge reads, and all of its watches. */
struct batch_region {
    char *name;   /* owned */
    size_t first; /* of the batch's watches */
    size_t count;
};

struct ledger_batch {
    struct ledger_batch *next;
    /* input */
    struct request_list requests;
    struct batch_meta metas[BATCH_METAS_MAX]; /* values to store */
    size_t meta_count;
    size_t expire_max; /* delete at most so many expired rows */
    bool may_shrink;   /* give some free space back to the disk, if there is much */
    const struct ledger_limits *limits;
    int64_t now_ms;  /* wall clock */
    int64_t kept_ms; /* the ledger's clock, by which records expire */
    /* The store calls it before the commit, unless it is NULL. If it fails, the batch fails. */
    enum status (*before_commit)(struct ledger_batch *batch);
    /* input and result */
    int64_t unfinished;      /* the number of unfinished commands */
    int64_t watches;         /* the number of watches */
    int64_t next_message_id; /* greater than every id in the outbox */
    int64_t last_audit_seq;
    int64_t exported_seq;         /* the last audit record that was deleted */
    struct batch_records records; /* its count is without expired_count */
    struct batch_records records_stored;
    /* results */
    struct buf bytes;
    struct buf scratch; /* for the rules */
    struct batch_message *messages;
    size_t message_count;
    size_t message_capacity;
    /* For hooks.resumed: unfinished commands of the last run, or what waited in line; owned. */
    struct command **commands;
    size_t command_count;
    int64_t command_waiters; /* duplicates that wait for these */
    /* Outcomes of commands that waited in line past their deadline: requests of the store's own.
     * Not STATUS_OK: the command does not wait any more. */
    struct request_list overdue;
    size_t adopted_count;   /* the last messages: adopted from another bridge, for hooks.posted */
    struct watch **watched; /* stored ones; owned */
    size_t watched_count;
    /* Of a shared store: the regions whose watches are new to this bridge. All of `watched` are in
     * one of them. */
    struct batch_region *regions;
    size_t region_count;
    size_t expired_count;
    bool may_have_lost;  /* commits may be missing, or are: the shared store has failed over */
    bool has_replaced;   /* a claim has replaced a row */
    bool has_more_free;  /* there still is much free space */
    int64_t store_bytes; /* the size of the store; 0: not looked at */
    int64_t sync_us;     /* how long the transaction waited for the disk; 0: not known */
    /* for the report */
    int64_t commits;
    int64_t commit_us; /* how long the transaction took */
    /* Requests that the store carried out one after the other, and how long that took. */
    size_t alone_count;
    int64_t alone_us;
    int64_t failures;
    enum health_change health;
    struct buf health_text;
};

/* Clears all results, for an attempt with new numbers or for another batch. Requests and memory are
 * kept. */
void ledger_batch_reset(struct ledger_batch *batch);
/* Frees the batch, its requests and its commands. Takes NULL. */
void ledger_batch_free(struct ledger_batch *batch);

/* The Error object as JSON; absent for a success. */
struct slice finish_error(const struct finish_request *finish);

/* Has the store write the value. A second value for the same key replaces the first. */
void ledger_batch_add_meta(struct ledger_batch *batch, const char *key, int64_t value);
/* Makes a message of the bytes from `offset` to the end, as the request's last one. */
void ledger_batch_add_message(struct ledger_batch *batch, struct ledger_request *request,
                              int64_t id, size_t offset);
/* The same with one that no request has made. After those of all requests. */
void ledger_batch_adopt_message(struct ledger_batch *batch, int64_t id, size_t offset);
/* A new id for a message. */
int64_t ledger_batch_message_id(struct ledger_batch *batch);
/* Makes the command of a row. */
struct command *ledger_batch_command(const struct ledger_batch *batch, const struct store_row *row);
/* Adds an unfinished command of the store, which no request of this batch claimed. */
void ledger_batch_add_command(struct ledger_batch *batch, const struct store_row *row);
/* The same with a command that was made before. */
void ledger_batch_take_command(struct ledger_batch *batch, struct command *command_take);
/* Adds a copy of a watch of the store. `arg` is the batch. */
void ledger_batch_add_watch(void *arg, const struct watch *watch);
/* The watches that are added from now on are those of this region. */
void ledger_batch_begin_region(struct ledger_batch *batch, struct slice name);
/* What the history of the request's command gets. Valid until bytes are added. */
struct slice ledger_batch_history(const struct ledger_batch *batch,
                                  const struct ledger_request *request);
/* Valid until bytes are added. */
struct slice ledger_batch_text(const struct ledger_batch *batch, struct batch_text text);

#endif
