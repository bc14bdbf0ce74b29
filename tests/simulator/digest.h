/*
 * digest - the hashes signatures are made of. Wraps OpenSSL 3.
 *
 * Fails with: nothing; an OpenSSL without these algorithms ends the process.
 */
#ifndef SIMULATOR_DIGEST_H
#define SIMULATOR_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20, SHA256_BYTES = 32 };

void digest_init(void);
void digest_fini(void);

void digest_sha256(const void *data, size_t length, uint8_t out[SHA256_BYTES]);
void digest_hmac_sha256(const char *key, const void *data, size_t length,
                        uint8_t out[SHA256_BYTES]);
void digest_hmac_sha1(const char *key, const void *data, size_t length, uint8_t out[SHA1_BYTES]);

/* Standard Base64 with padding; `out` has room for (length + 2) / 3 * 4 + 1. */
void digest_base64(const uint8_t *data, size_t length, char *out);

/* Whether two strings are equal, in a time that depends on their lengths only. */
bool digest_is_equal(const char *left, const char *right);

#endif
