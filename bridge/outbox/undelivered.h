/*
 * undelivered - what the log and the dead letters say about a message that was not delivered.
 *
 * Thread: the loop's.
 */
#ifndef OUTBOX_UNDELIVERED_H
#define OUTBOX_UNDELIVERED_H

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "model/message.h"
#include "settings/settings.h"

/* An encoded message, read. */
struct undelivered {
    struct message message; /* empty where the bytes are not of the known form */
    struct json *body;
    struct slice token; /* of a reply; absent in a dead letter */
};

/* `bytes` must outlive it. */
void undelivered_init(struct undelivered *undelivered, struct slice bytes);
void undelivered_fini(struct undelivered *undelivered);
/* Appends the encoded dead letter about the message, with `why` (one sentence). Nothing is appended
 * where the message is a dead letter itself, or not of the known form. */
void undelivered_put_letter(const struct undelivered *undelivered, const struct settings *settings,
                            const char *why, struct buf *out);

#endif
