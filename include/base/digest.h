/*
 * digest - hashes, message authentication codes, their text forms, and random bytes.
 *
 * Wraps OpenSSL 3 (EVP). A failure inside OpenSSL ends the process: the algorithms are fixed, so it
 * means a broken installation or no memory.
 *
 * Thread: any.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_BYTES     32
#define DIGEST_SHA256_HEX_BYTES 65 /* with the NUL */
#define DIGEST_SHA1_BYTES       20
#define DIGEST_NONCE_BYTES      33 /* with the NUL */

void digest_sha256(struct slice data, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_sha256_hex(struct slice data, char out[DIGEST_SHA256_HEX_BYTES]);
void digest_hmac_sha256(struct slice key, struct slice data, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_hmac_sha1(struct slice key, struct slice data, uint8_t out[DIGEST_SHA1_BYTES]);
/* Lower-case hexadecimal; `out` has room for 2 * length + 1 bytes. */
void digest_hex(const uint8_t *bytes, size_t length, char *out);
/* Appends standard base64 with padding, without line breaks. */
void digest_base64(struct slice bytes, struct buf *out);
/*
 * Appends what standard base64 stands for: whole groups of four, padding only at the end, no other
 * characters, no bits that are lost. STATUS_INVALID, and `out` is unchanged, where the text is not
 * of that form.
 */
enum status digest_base64_decode(struct slice text, struct buf *out);
void digest_random(void *out, size_t length);
/* A random number that is greater than 0. */
int64_t digest_random_id(void);
/* 16 random bytes in hexadecimal. */
void digest_nonce(char out[DIGEST_NONCE_BYTES]);
/* OpenSSL's version line, for the subcommand `version`. */
const char *digest_library_version(void);

#endif
