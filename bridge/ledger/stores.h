/*
 * stores - the stores this bridge knows, by the beginning of the setting `ledger.store`.
 *
 * Thread: any.
 */
#ifndef LEDGER_STORES_H
#define LEDGER_STORES_H

#include "store.h"

/* The setting's store and its location there. STATUS_INVALID with *out_why for an unknown one. */
enum status store_choose(const char *setting, const struct store_ops **out_ops,
                         const char **out_location, struct buf *out_why);

#endif
