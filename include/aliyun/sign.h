/*
 * sign - request signatures of the cloud API, in named stages.
 *
 * V3 is ACS3-HMAC-SHA256, V1 is the older RPC signature with HMAC-SHA1. Sources: the vendor's pages
 * "V3 request structure and signature" and "RPC mechanism"; every stage is tested against published
 * vectors.
 *
 * Thread: any; pure, time and nonce are passed in.
 */
#ifndef ALIYUN_SIGN_H
#define ALIYUN_SIGN_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>

/* A query or form parameter, or a header whose name is in lower case. */
struct sign_pair {
    const char *name;
    struct slice value;
};

/* RFC 3986: all but A-Z a-z 0-9 - _ . ~ as %XX with upper-case hex. Appends. */
void sign_percent_encode(struct slice text, struct buf *out);
/* name=value&... sorted by name (byte order), both encoded. Sorts `pairs` in place. Appends. */
void sign_canonical_query(struct sign_pair *pairs, size_t count, struct buf *out);

/* What V3 signs. `headers` are all that must be signed: host, content-type if there is a body, and
 * every x-acs-*. */
struct sign_v3_request {
    const char *method;
    const char *path; /* "/" */
    struct slice canonical_query;
    struct sign_pair *headers; /* sorted in place */
    size_t header_count;
    struct slice payload_hash; /* lower-case hex SHA-256 of the body, as in x-acs-content-sha256 */
};

/* The stages of V3. Each appends its result. */
void sign_v3_signed_headers(struct sign_pair *headers, size_t count, struct buf *out);
void sign_v3_canonical_request(const struct sign_v3_request *request, struct buf *out);
void sign_v3_string_to_sign(struct slice canonical_request, struct buf *out);
void sign_v3_signature(struct slice secret, struct slice string_to_sign, struct buf *out);
/* All stages: appends the value of the Authorization header. */
void sign_v3_authorization(const struct sign_v3_request *request, struct slice access_key_id,
                           struct slice secret, struct buf *out);

/* The stages of V1. Each appends its result. */
void sign_v1_string_to_sign(const char *method, struct slice canonical_query, struct buf *out);
/* Base64, not yet percent-encoded. */
void sign_v1_signature(struct slice secret, struct slice string_to_sign, struct buf *out);

#endif
