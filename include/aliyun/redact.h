/*
 * answer_text - texts of the far side made fit to be passed on: no secrets, no strings to sign, no
 * great length.
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
 * Appends the message without what it quotes of the string to sign (which holds the key's id and
 * the token), each of the secrets of 6 bytes and more (as they are, and percent-encoded once or
 * twice) replaced by
 * "***", and at most ANSWER_MESSAGE_BYTES_MAX bytes. `is_about_signature`: the message also ends
 * where a canonical request begins. What is no UTF-8 becomes '?'.
 */
void redact_message(struct slice message, bool is_about_signature, const struct slice *secrets,
                    size_t secret_count, struct buf *out);
/* Appends a code or a request id: printable ASCII ('?' for the rest), at most ANSWER_WORD_BYTES_MAX
 * bytes, no secrets. */
void redact_word(struct slice word, const struct slice *secrets, size_t secret_count,
                 struct buf *out);

#endif
