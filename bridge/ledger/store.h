/*
 * store - what the ledger needs of a database: a batch of requests carried out as one transaction.
 *
 * A store asks the rules (rules.h) what each request means and writes that; it decides nothing by
 * itself. How it does so is its own affair: row by row where that is cheap, or many statements in
 * one round trip. All keys are the bridge's: the token, the id of a command, the ids of messages.
 * So a batch can be sent again as it is.
 *
 * Thread: one at a time (the ledger's own, or the opener before that starts). Fails with
 * STATUS_STORE; error() says why.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "batch.h"
#include "row.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* What is in a store, besides the commands that are not DONE. */
struct store_summary {
    int64_t waiting;  /* duplicates that wait: all who asked but the first of each command */
    int64_t messages; /* in the outbox */
    int64_t last_id;  /* the greatest of a command; 0: none */
    int64_t last_message_id;
    int64_t last_audit_seq; /* 0: there is no audit row */
};

/* Makes no call on the store. */
typedef void store_row_fn(void *arg, const struct store_row *row);

struct store_ops {
    /* STATUS_BUSY, STATUS_INVALID, STATUS_STORE as ledger_open(); *out_why is appended to. */
    enum status (*open)(const char *location, bool is_full, struct store **out_store,
                        struct buf *out_why);
    /* For reading beside the bridge that has it: no lock, no migration, nothing is written. */
    enum status (*open_to_read)(const char *location, struct store **out_store,
                                struct buf *out_why);
    /* After start(): this run ends in good order. Takes NULL. */
    void (*close)(struct store *store);

    /*
     * The first batch of a run. In the same transaction, calls
     * that were in flight become UNSURE, with one more crash each where the last run was not
     * closed. Every unfinished command is handed over by ledger_batch_add_command(), in order of
     * arrival.
     */
    enum status (*start)(struct store *store, struct ledger_batch *batch);
    /*
     * Carries the batch out in one transaction: its requests in their order, its metas, and the
     * removal of at most `expire_max` expired DONE rows, those that expired first.
     *
     * STATUS_OK: it stands as the durability asks, and its results are set.
     * STATUS_STORE: nothing of it stands.
     * STATUS_UNAVAILABLE: it is not known which, as where a connection was lost during the commit.
     * Then the same batch is given again, as the store left it: its plans, messages and ids are
     * still in it, and a row that has a claim's own id is that claim's.
     */
    enum status (*carry_out)(struct store *store, struct ledger_batch *batch);

    /* The row of a token; STATUS_NOT_FOUND. */
    enum status (*find)(struct store *store, struct slice token, struct store_row *out_row);
    /* All rows that are not DONE, in order of arrival. */
    enum status (*each_unfinished)(struct store *store, store_row_fn *each, void *arg);
    enum status (*summarise)(struct store *store, struct store_summary *out_summary);
    /* STATUS_NOT_FOUND where it was never written. */
    enum status (*get_meta)(struct store *store, const char *key, int64_t *out_value);
    /* What the last failure was, with the place; valid until the next call. */
    const char *(*error)(struct store *store);
};

#endif
