/*
 * store_uri - what the URI of a shared ledger says, before anybody connects:
 * postgresql://[user[:password]@][host[:port][,...]][/database][?option=value[&...]].
 *
 * It is read as libpq reads it (PostgreSQL's documentation, "Connection URIs"): percent-encoding
 * everywhere, and an option replaces the part of the URI that means the same. Which options exist
 * is libpq's matter.
 *
 * Thread: any; pure. Reasons are constant phrases that never hold any of the text.
 */
#ifndef SETTINGS_STORE_URI_H
#define SETTINGS_STORE_URI_H

#include "base/buf.h"

#include <stdbool.h>

/* Whether the value of ledger.store names a ledger that several bridges may share. */
bool store_uri_is_shared(const char *store);

struct store_uri {
    struct buf sslmode; /* empty: not named */
    bool has_password;  /* in the text itself */
    bool is_off_host;   /* one of its hosts is neither on loopback nor a socket */
};

/* False with *out_why where the text cannot be read; `*out_uri` is untouched then. */
bool store_uri_read(const char *store, struct store_uri *out_uri, const char **out_why);
void store_uri_fini(struct store_uri *uri);

/*
 * Appends the value of ledger.store for people: with *** in place of passwords. Of a text that
 * cannot be read rather more is masked than less. A SQLite ledger is appended as it is.
 */
void store_uri_mask(const char *store, struct buf *out);

#endif
