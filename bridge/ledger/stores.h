/*
 * stores - which store the setting `ledger.store` names.
 *
 * Thread: any.
 */
#ifndef LEDGER_STORES_H
#define LEDGER_STORES_H

#include "store.h"

/* Returns the store and its location. STATUS_INVALID: an unknown store; the reason is appended to
 * *out_why. */
enum status store_choose(const char *setting, const struct store_ops **out_ops,
                         const char **out_location, struct buf *out_why);

#endif
