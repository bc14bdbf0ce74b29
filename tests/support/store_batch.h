/*
 * store_batch - batches for a store without a ledger: a test adds requests, carries them out and
 * checks their results.
 */
#ifndef SUPPORT_STORE_BATCH_H
#define SUPPORT_STORE_BATCH_H

#include "ledger/store.h"

/* A place with nothing but a location, as a file has. */
#define STORE_AT(path) (&(const struct store_place){.location = (path)})

struct store_batch {
    const struct store_ops *ops;
    struct store *store;
    struct ledger_limits limits; /* a test may change them */
    const char *group;         /* of the next commands; NULL: each token has its own, "pg-TOKEN" */
    struct ledger_batch batch; /* the current one, with its results after store_batch_run() */
    int64_t last_id;
    int64_t next_message_id;
    int64_t last_audit_seq;
    int64_t exported_seq;
};

/* For an open store: ids continue after those in the store. The limits are never reached. */
void store_batch_init(struct store_batch *batch, const struct store_ops *ops, struct store *store);
void store_batch_fini(struct store_batch *batch);

/* Each of these adds a request, which is valid until the next store_batch_begin(). */

/* A claim with OneShot and the reply topic "replies/a". */
struct ledger_request *store_batch_claim(struct store_batch *batch, const char *token);
/* A new state of the row. */
struct ledger_request *store_batch_move(struct store_batch *batch, const char *token, int64_t id,
                                        enum state state);
/* A success that expires at `expires_at_ms`; for other outcomes a test changes the request. */
struct ledger_request *store_batch_finish(struct store_batch *batch, const char *token, int64_t id,
                                          int64_t expires_at_ms);
/* An operator's order. */
struct ledger_request *store_batch_retry(struct store_batch *batch, const char *token);
/* A step of a watch, with one message. */
struct ledger_request *store_batch_watch(struct store_batch *batch, const struct watch *watch,
                                         const struct watch_step *step, const char *message);
struct ledger_request *store_batch_post(struct store_batch *batch, struct slice message);
struct ledger_request *store_batch_delivered(struct store_batch *batch, int64_t id);
struct ledger_request *store_batch_replace(struct store_batch *batch, int64_t id,
                                           struct slice dead_letter);
struct ledger_request *store_batch_read(struct store_batch *batch, int64_t from_id, size_t limit);
struct ledger_request *store_batch_remember(struct store_batch *batch, const char *key,
                                            int64_t value);

/* An audit record with the member "Number". */
struct ledger_request *store_batch_add_audit(struct store_batch *batch, int64_t number);
struct ledger_request *store_batch_read_audit(struct store_batch *batch, int64_t from_seq,
                                              size_t limit);
struct ledger_request *store_batch_exported(struct store_batch *batch, int64_t seq);

/* Frees the requests and results, for another batch. */
void store_batch_begin(struct store_batch *batch);
/* Carries out the batch. */
enum status store_batch_run(struct store_batch *batch);

/* Stores one value in a separate batch. */
enum status store_write_meta(const struct store_ops *ops, struct store *store, const char *key,
                             int64_t value);

#endif
