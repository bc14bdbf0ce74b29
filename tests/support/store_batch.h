/*
 * store_batch - batches for a store without a ledger: a test adds requests, has them carried out,
 * and looks at what came of them.
 */
#ifndef SUPPORT_STORE_BATCH_H
#define SUPPORT_STORE_BATCH_H

#include "ledger/store.h"

struct store_batch {
    const struct store_ops *ops;
    struct store *store;
    struct ledger_limits limits; /* a test may change them */
    struct ledger_batch batch;   /* the last one, as it was carried out */
    int64_t last_id;
    int64_t next_message_id;
    int64_t last_audit_seq;
    int64_t exported_seq;
};

/* For an open store, behind what is in it: no limit is met. */
void store_batch_init(struct store_batch *batch, const struct store_ops *ops, struct store *store);
void store_batch_fini(struct store_batch *batch);

/* Each adds a request, which lives until the next store_batch_begin(). */

/* A claim for group "pg-example" with OneShot, to be answered to "replies/a". */
struct ledger_request *store_batch_claim(struct store_batch *batch, const char *token);
/* Begin or pause: the row's state as given. */
struct ledger_request *store_batch_move(struct store_batch *batch, int64_t id, enum state state);
/* An outcome that is kept until `expires_at_ms`: a success; others by changing the request. */
struct ledger_request *store_batch_finish(struct store_batch *batch, const char *token, int64_t id,
                                          int64_t expires_at_ms);
struct ledger_request *store_batch_post(struct store_batch *batch, struct slice message);
struct ledger_request *store_batch_delivered(struct store_batch *batch, int64_t id);
struct ledger_request *store_batch_read(struct store_batch *batch, int64_t from_id, size_t limit);
struct ledger_request *store_batch_remember(struct store_batch *batch, const char *key,
                                            int64_t value);

/* An audit record with the member "Number". */
struct ledger_request *store_batch_add_audit(struct store_batch *batch, int64_t number);
struct ledger_request *store_batch_read_audit(struct store_batch *batch, int64_t from_seq,
                                              size_t limit);
struct ledger_request *store_batch_exported(struct store_batch *batch, int64_t seq);

/* Drops the last batch, so that another one can be made. */
void store_batch_begin(struct store_batch *batch);
/* Carries out what was added. */
enum status store_batch_run(struct store_batch *batch);

/* One value in a batch of its own. */
enum status store_write_meta(const struct store_ops *ops, struct store *store, const char *key,
                             int64_t value);

#endif
