/*
 * store - the interface of a database: it carries out a batch of requests as one transaction.
 *
 * A store calls the rules (rules.h) to plan each request and writes the plan; it makes no decision
 * about a command. A command is named by its token, a message by its id. It is free to write row by
 * row, or to send many statements in one round trip. The bridge makes all keys (token, id of a
 * command, ids of messages), so a batch can be sent again without a change.
 *
 * Thread: one at a time (the committer's, and before it starts the caller of open()). Fails with
 * STATUS_STORE; error() says why.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "batch.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* Numbers about the content of a store. */
struct store_summary {
    int64_t bytes;    /* the size of the store; 0: not known */
    int64_t waiting;  /* duplicates that wait for an outcome */
    int64_t messages; /* in the outbox */
    int64_t message_bytes;
    int64_t last_id; /* the greatest id of a command; 0: there is none */
    int64_t last_message_id;
    int64_t last_audit_seq; /* 0: there is no audit row */
};

/* What a store needs and has. */
struct store_statistics {
    int64_t schema;
    int64_t records;
    int64_t audit_records;
    int64_t oldest_received_at_ms; /* wall clock; 0: there is no record */
    int64_t file_bytes;
    int64_t log_bytes;
    int64_t page_bytes;
    int64_t pages;
    int64_t free_pages;
};

/* A sentence about a fault. */
typedef void store_fault_fn(void *arg, const char *text);

/* Must not call the store. */
typedef void store_row_fn(void *arg, const struct store_row *row);
typedef void store_meta_fn(void *arg, const char *key, int64_t value);
typedef void store_watch_fn(void *arg, const struct watch *watch);

/* Something that is wrong with a store's place, or dangerous (`is_error` false). */
typedef void store_finding_fn(void *arg, bool is_error, const char *text);

/* Where a store is, and whose. A file needs the location only. */
struct store_place {
    const char *location;
    const char *instance;      /* which of the bridges that share the store it is; NULL: "" */
    const char *password_file; /* NULL or "": none */
    struct lease *lease;       /* of a shared store: it renews this one. NULL: nobody asks */
    int64_t lease_ms;
    struct counters *counters; /* of a shared store: what concerns the other bridges. NULL: none */
    bool warns_of_loss;        /* of a server whose fail-over can lose commits */
    /* A shared store: it has something to do with the next batch, which is due now. Thread: any. */
    void (*wake)(void *arg);
    void *wake_arg;
};

struct store_ops {
    /* Fails as ledger_open(). The place is used during the call only. */
    enum status (*open)(const struct store_place *place, bool is_full, struct store **out_store,
                        struct buf *out_why);
    /* Opens it for reading only, without a lock, while a bridge may use it. */
    enum status (*open_to_read)(const struct store_place *place, struct store **out_store,
                                struct buf *out_why);
    /* Looks at its place without opening it: whether this user can use it, and what is dangerous
     * about it. Changes nothing. */
    void (*inspect)(const char *location, store_finding_fn *found, void *arg);
    /* After start() it records that the run was closed. Takes NULL. */
    void (*close)(struct store *store);

    /*
     * Carries out the first batch of a run. In the same transaction, calls that were in flight
     * become UNSURE, with one more crash each if the last run was not closed, and an event in their
     * history. Every unfinished
     * command is added by ledger_batch_add_command(), in order of arrival, and every watch by
     * ledger_batch_add_watch().
     */
    enum status (*start)(struct store *store, struct ledger_batch *batch);
    /*
     * Carries out the batch in one transaction: its requests in order, its metas, and the deletion
     * of at most `expire_max` expired DONE rows, the oldest first. A store that keeps the space of
     * deleted rows gives a little of it back if it `may_shrink` and has much more than it needs.
     * With `may_shrink` it also reports its size.
     * The events of a request (ledger_batch_history()) are appended by history_append() to the
     * history of its command, or of the command to which its message belongs, if that is there.
     *
     * STATUS_OK: committed with the durability that was asked for; the results are set.
     * STATUS_STORE: nothing was committed.
     * STATUS_UNAVAILABLE: not known, for example because the connection was lost during the
     * commit. The store gets the same batch again, as it left it: the plans, messages, ids and the
     * Seqs of the audit records are still in it. It writes what they say; only a claim that finds
     * another row is planned again. A row that has the id of a claim was made by that claim.
     */
    enum status (*carry_out)(struct store *store, struct ledger_batch *batch);

    /* The clock of a shared store, as wall clock, at this time of CLOCK_BOOTTIME. NULL: the store
     * has none of its own. */
    int64_t (*clock_ms)(const struct store *store, int64_t boot_ms);

    /* The row of a token, or STATUS_NOT_FOUND. */
    enum status (*find)(struct store *store, struct slice token, struct store_row *out_row);
    /* At most `limit` rows of the list whose id is greater than `after_id`. */
    enum status (*each)(struct store *store, enum store_list list, int64_t after_id, size_t limit,
                        store_row_fn *each, void *arg);
    /* The watch of a group; the caller frees it. STATUS_NOT_FOUND: it is not watched. */
    enum status (*find_watch)(struct store *store, struct slice object, struct watch **out_watch);
    /* All watches, in order of their ids. */
    enum status (*each_watch)(struct store *store, store_watch_fn *each, void *arg);
    /* The number of commands whose id is greater. */
    enum status (*count_after)(struct store *store, int64_t id, int64_t *out_count);
    enum status (*summarise)(struct store *store, struct store_summary *out_summary);
    /* May read all records. */
    enum status (*get_statistics)(struct store *store, struct store_statistics *out_statistics);
    /* Reads the whole store and reports what is damaged, and rows that contradict each other. */
    enum status (*verify)(struct store *store, store_fault_fn *fault, void *arg);
    /* As ledger_backup(). */
    enum status (*backup)(struct store *store, const char *path, struct buf *out_why);
    /* STATUS_NOT_FOUND: it was never written. */
    enum status (*get_meta)(struct store *store, const char *key, int64_t *out_value);
    /* All with a key that begins with `prefix`, in order of the keys. */
    enum status (*each_meta)(struct store *store, const char *prefix, store_meta_fn *each,
                             void *arg);
    /* The reason of the last failure, with the location; valid until the next call. */
    const char *(*error)(struct store *store);
};

/* Which store the setting `ledger.store` names: the store and its location. STATUS_INVALID: an
 * unknown store; the reason is appended to *out_why. Thread: any. */
enum status store_choose(const char *setting, const struct store_ops **out_ops,
                         const char **out_location, struct buf *out_why);

#endif
