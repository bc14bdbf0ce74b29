/*
 * redact - makes texts of the API fit for replies and logs: without secrets, without the string to
 * sign, and short.
 *
 * Thread: any; pure.
 */
#ifndef ALIYUN_REDACT_H
#define ALIYUN_REDACT_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

#define ANSWER_MESSAGE_BYTES_MAX 1024
#define ANSWER_WORD_BYTES_MAX    128

/*
 * Appends at most ANSWER_MESSAGE_BYTES_MAX bytes of the message. It ends where it begins to quote
 * the string to sign (which holds the key's id and the token), and with `is_about_signature` also
 * where it begins to quote the canonical request. Each secret of at least 6 bytes, plain or
 * percent-encoded once or twice, becomes "***". In a message that is not UTF-8 all but printable
 * ASCII becomes '?'.
 */
void redact_message(struct slice message, bool is_about_signature, const struct slice *secrets,
                    size_t secret_count, struct buf *out);
/* Appends a code or a request id: printable ASCII ('?' for the rest), at most ANSWER_WORD_BYTES_MAX
 * bytes, no secrets. */
void redact_word(struct slice word, const struct slice *secrets, size_t secret_count,
                 struct buf *out);

#endif
