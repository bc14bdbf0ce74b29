/*
 * copies - recognises the two copies of a message that arrives by an old and by a new subscription.
 *
 * When the settings have changed, both stand for a moment, so that nothing is lost between them. A
 * command with a token is recognised by it. Any other one gets a mark here, the same for both
 * copies, from which its token is made. The number of equal messages by each of the two ways is
 * part of the mark: the second one that came by the old subscription is the copy of the second one
 * that came by the new one.
 *
 * Thread: the loop's.
 */
#ifndef MQTT_COPIES_H
#define MQTT_COPIES_H

#include "base/digest.h"
#include "model/delivery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beyond so many different messages, which take about 8 MiB, no other ones are recognised. */
#define COPIES_MAX 65536

struct copy;

/* `{0}` is an empty one. */
struct copies {
    uint8_t secret[DIGEST_SHA256_BYTES]; /* so that marks differ from those of another change */
    struct copy *by_digest;              /* a hash */
};

/* The mark of the delivery, which counts from now on; false where there is none. */
bool copies_mark(struct copies *copies, const struct delivery *delivery,
                 char out_mark[DIGEST_SHA256_HEX_BYTES]);
/* Forgets all messages. */
void copies_fini(struct copies *copies);

#endif
