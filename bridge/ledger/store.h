/*
 * store - what the ledger needs of a database: rows and transactions, no rules.
 *
 * One file implements it per database. The ledger decides, renders and groups; a store only keeps.
 *
 * Thread: one at a time (the ledger's own, or the opener before that starts). Fails with
 * STATUS_STORE; then the whole transaction is rolled back by the caller, and error() says why.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/claim.h"
#include "model/command.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* A row of the command table. Slices are valid until the next call on the store. */
struct store_row {
    int64_t id;
    enum state state;
    struct slice action;
    struct slice region;
    struct slice group;
    struct slice token;
    struct slice route; /* its name */
    bool one_shot;
    struct slice fingerprint;
    int64_t received_at_ms;
    int64_t deadline_at_ms;
    uint32_t attempts;
    int64_t not_before_ms;
    struct blame_charges charges;
    /* the outcome, of DONE rows */
    int status;    /* enum outcome_status */
    int retention; /* enum retention */
    struct slice request_id;
    struct slice code;
    struct slice error; /* the Error object as JSON, absent for a success */
    int64_t completed_at_ms;
    int64_t expires_at_ms;
};

/* What an outcome writes. */
struct store_outcome {
    int status;
    int retention;
    struct slice request_id;
    struct slice code;
    struct slice error;
    int64_t completed_at_ms;
    int64_t expires_at_ms;
};

/* Callbacks make no call on the store. */
typedef void store_row_fn(void *arg, const struct store_row *row);
typedef void store_reply_to_fn(void *arg, const struct reply_to *reply_to);
typedef void store_message_fn(void *arg, int64_t id, struct slice message);

struct store_ops {
    /* STATUS_BUSY, STATUS_INVALID, STATUS_STORE as ledger_open(); *out_why is appended to. */
    enum status (*open)(const char *location, bool is_full, struct store **out_store,
                        struct buf *out_why);
    /* For reading beside the bridge that has it: no lock, no migration, nothing is written. */
    enum status (*open_to_read)(const char *location, struct store **out_store,
                                struct buf *out_why);
    /* Takes NULL. */
    void (*close)(struct store *store);
    enum status (*begin)(struct store *store);
    enum status (*commit)(struct store *store);
    /* Also where the database rolled back by itself. */
    void (*rollback)(struct store *store);
    /* STATUS_NOT_FOUND where no row has the token. */
    enum status (*find)(struct store *store, struct slice token, struct store_row *out_row);
    /* A new row, whose id is greater than that of every row there. STATUS_BUSY, and nothing done,
     * where a row has the token. */
    enum status (*insert)(struct store *store, const struct command *command, enum state state,
                          int64_t *out_id);
    enum status (*set_state)(struct store *store, int64_t id, enum state state, uint32_t attempts,
                             int64_t not_before_ms, const struct blame_charges *charges);
    /* The row is DONE. Its askers are taken by the caller. */
    enum status (*finish)(struct store *store, int64_t id, uint32_t attempts,
                          const struct store_outcome *outcome);
    /* Removes a DONE row. */
    enum status (*forget)(struct store *store, int64_t id);
    /* The reply_to at place 0 is the one whose command it is; those at 1, 2, ... wait. Every row
     * that is not DONE has one at place 0. */
    enum status (*add_reply_to)(struct store *store, int64_t command_id, int64_t place,
                                const struct reply_to *reply_to);
    /* How many there are, that is, the next one's place. */
    enum status (*count_reply_tos)(struct store *store, int64_t command_id, int64_t *out_count);
    /* Reports all reply_tos in order of their places and removes them. */
    enum status (*take_reply_tos)(struct store *store, int64_t command_id, store_reply_to_fn *each,
                                  void *arg);
    /* Ids grow, and none is given twice while the store is open. */
    enum status (*post)(struct store *store, struct slice message, int64_t *out_id);
    /* STATUS_NOT_FOUND where there is no such message. */
    enum status (*unpost)(struct store *store, int64_t id);
    enum status (*read_outbox)(struct store *store, int64_t from_id, size_t limit,
                               store_message_fn *each, void *arg, size_t *out_count);
    /* All rows that are not DONE, by id. */
    enum status (*each_unfinished)(struct store *store, store_row_fn *each, void *arg);
    /* CALLING and RECALLING become UNSURE. `is_charged`: with one more end each, alone where there
     * is but one. */
    enum status (*reset_calls)(struct store *store, bool is_charged);
    /* Askers that wait, that is, all but the first of each command, and messages in the outbox. */
    enum status (*count)(struct store *store, int64_t *out_waiting, int64_t *out_messages);
    /* Removes at most `limit` DONE rows whose time is over, the longest first. */
    enum status (*expire)(struct store *store, int64_t now_ms, size_t limit, size_t *out_count);
    enum status (*set_meta)(struct store *store, const char *key, int64_t value);
    enum status (*get_meta)(struct store *store, const char *key,
                            int64_t *out_value); /* STATUS_NOT_FOUND */
    /* What the last failure was, with the path; valid until the next call. */
    const char *(*error)(struct store *store);
};

extern const struct store_ops store_sqlite_ops;
/* The database library's version. */
const char *store_sqlite_version(void);

#endif
