/*
 * batch - requests to the ledger, and the batches they are carried out in.
 *
 * A request goes from the loop's queue into a batch. The store carries a batch out as one
 * transaction: it asks the rules (rules.h) what each request means and writes that. Results go into
 * the requests, messages into the batch's bytes. Then the batch goes back to the loop, which
 * reports it. Whoever has the batch has all that is in it.
 *
 * Thread: one at a time.
 */
#ifndef LEDGER_BATCH_H
#define LEDGER_BATCH_H

#include "base/buf.h"
#include "ledger/request.h"
#include "model/audit_record.h"
#include "model/reply.h"
#include "model/route.h"
#include "row.h"

struct ledger;
struct ledger_batch;
struct ledger_request;

enum request_kind {
    REQUEST_CLAIM,
    REQUEST_POST,
    REQUEST_BEGIN,
    REQUEST_PAUSE,
    REQUEST_FINISH,
    REQUEST_DELIVERED,
    REQUEST_READ,
    REQUEST_REMEMBER,
    REQUEST_ADD_AUDIT,
    REQUEST_READ_AUDIT,
    REQUEST_EXPORTED,
    REQUEST_COUNT
};

/* How long a request may wait for others to share its commit. */
enum request_delay {
    DELAY_NONE,
    DELAY_SHORT, /* while claims come one after the other: until the next one's commit */
    DELAY_LONG,  /* nobody waits for it */
};

struct request_type {
    enum request_kind kind;
    enum request_delay delay;
    bool may_fail; /* answered STATUS_STORE while the store fails; the others are tried again */
    void (*report)(struct ledger *ledger, const struct ledger_batch *batch,
                   struct ledger_request *request); /* NULL: nothing to report */
    void (*fini)(struct ledger_request *request);   /* what it owns; NULL: nothing */
};

struct claim_request {
    struct ledger_claim ask;
    ledger_claimed_fn *done;
    int64_t id; /* of the row, where one is made: greater than all before, so that ids are in order
                   of arrival. Made with the request */
    /* results */
    enum claim_result result;
    enum state state;
    bool is_counted; /* in the batch's `unfinished` */
};

struct post_request {
    struct buf message;
    struct buf audit;
    bool is_dead_letter;
    ledger_done_fn *done;
};

/* Begin and pause. The command stays its owner's: the ledger's thread reads its token at most. */
struct move_request {
    struct command *command;
    int64_t id;
    enum state state; /* after the move */
    uint32_t attempts;
    int64_t not_before_ms;
    uint32_t crashes;
    ledger_done_fn *done; /* of begin */
};

struct finish_request {
    struct command *command; /* owned */
    struct outcome outcome;
    int64_t completed_at_ms; /* wall clock */
    int64_t kept_from_ms;    /* the ledger's */
    /* results */
    struct buf error; /* the Error object of a failure, as JSON */
    int64_t expires_at_ms;
    size_t reply_to_count;
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

struct add_audit_request {
    const char *event; /* static */
    struct buf members;
    struct audit_tip adopted;
};

struct exported_request {
    struct audit_tip tip;
};

struct remember_request {
    char *key;
    int64_t value;
};

/* Bytes of the batch. */
struct batch_text {
    size_t offset;
    size_t length;
};

struct ledger_request {
    struct ledger_request *next;
    const struct request_type *type;
    enum status status; /* STATUS_STORE: not kept. Otherwise STATUS_OK */
    void *arg;
    size_t first_message; /* its messages in the batch, and how many */
    size_t message_count;
    const char *audit_event; /* of its audit record; NULL: none */
    struct batch_text audit; /* the members of that record */
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
    };
};

struct request_list {
    struct ledger_request *head;
    struct ledger_request *tail;
};

void request_list_append(struct request_list *list, struct ledger_request *request);
/* The first one, now the caller's; NULL for none. */
struct ledger_request *request_list_take(struct request_list *list);
/* Frees the request and what it owns. */
void ledger_request_free(struct ledger_request *request);

struct batch_message {
    int64_t id;
    struct batch_text text;
};

struct batch_meta {
    const char *key; /* static */
    int64_t value;
};
#define BATCH_METAS_MAX 12

/* What the rules go by, besides the request and the rows. */
struct ledger_limits {
    int64_t success_ttl_s;
    int64_t failure_ttl_s;
    int64_t pending_max;
    int64_t waiters_max;
    struct reply_settings replies;
    const struct route *routes; /* to give stored commands their route */
    size_t route_count;
    bool is_audited;
    int64_t audit_rows_max;
};

enum health_change { HEALTH_SAME, HEALTH_FAILING, HEALTH_WORKING };

struct ledger_batch {
    struct ledger_batch *next;
    /* what is to be done */
    struct request_list requests;
    struct batch_meta metas[BATCH_METAS_MAX]; /* to be written besides */
    size_t meta_count;
    size_t expire_max; /* so many rows whose time is over are removed besides */
    const struct ledger_limits *limits;
    int64_t now_ms;  /* wall clock */
    int64_t kept_ms; /* the ledger's: for what expires */
    /* The store calls it right before it commits; NULL: nothing to do. Where it fails, the
     * transaction fails. */
    enum status (*before_commit)(struct ledger_batch *batch);
    /* in and out */
    int64_t unfinished;      /* commands, as of here in the transaction */
    int64_t next_message_id; /* greater than every id in the outbox */
    int64_t last_audit_seq;
    int64_t exported_seq; /* the last audit record whose row is deleted */
    /* results */
    struct buf bytes;
    struct buf scratch; /* the rules' */
    struct batch_message *messages;
    size_t message_count;
    size_t message_capacity;
    struct command **commands; /* of the store's, to be handed to hooks.resumed; owned */
    size_t command_count;
    size_t expired_count;
    /* what is to be reported about it */
    int64_t commits;
    int64_t failures;
    enum health_change health;
    struct buf health_text;
};

/* Takes back all results, for another attempt or another use; keeps the requests and the memory. */
void ledger_batch_reset(struct ledger_batch *batch);
/* Frees the batch with its requests and commands. Takes NULL. */
void ledger_batch_free(struct ledger_batch *batch);

/* The Error object of a failure; absent for a success. */
struct slice finish_error(const struct finish_request *finish);

/* A later value of the same key takes the place of the earlier one. */
void ledger_batch_add_meta(struct ledger_batch *batch, const char *key, int64_t value);
/* The bytes from `offset` to the end become the last message of the request. */
void ledger_batch_add_message(struct ledger_batch *batch, struct ledger_request *request,
                              int64_t id, size_t offset);
/* The next id for a message: none is given twice. */
int64_t ledger_batch_message_id(struct ledger_batch *batch);
/* A command that the store hands over: unfinished, and not claimed by a request of this batch. */
void ledger_batch_add_command(struct ledger_batch *batch, const struct store_row *row);
/* Valid until the next bytes come. */
struct slice ledger_batch_text(const struct ledger_batch *batch, struct batch_text text);

#endif
