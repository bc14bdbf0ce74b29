/*
 * audit_part - a batch's lines in the audit file. Each function does nothing where there is none. A
 * line is a part of its transaction: it is written before the commit, and taken back where that
 * fails.
 *
 * Thread: the ledger's own, or the opener's before that starts.
 */
#ifndef LEDGER_AUDIT_PART_H
#define LEDGER_AUDIT_PART_H

#include "audit/writer.h"
#include "store.h"

#include <stdatomic.h>

struct audit_part {
    struct audit *audit; /* NULL: none */
    bool is_at_fault;    /* the last failure was the file's, not the store's */
    atomic_bool wants_reopen;
};

enum status audit_part_open(struct audit_part *file, const struct store_ops *ops,
                            struct store *store, const struct audit_options *options,
                            struct buf *out_why);
void audit_part_begin(struct audit_part *file, int64_t now_ms);
enum status audit_part_write(struct audit_part *file, struct ledger_batch *batch);
void audit_part_end(struct audit_part *file, bool is_committed);

#endif
