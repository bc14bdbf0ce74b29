/*
 * signature - whether a request was signed as the gateway wants it, checked from scratch.
 *
 * V3 is ACS3-HMAC-SHA256 in headers, V1 the older HMAC-SHA1 in parameters (GET or POST, query
 * or form). Both check the key, the session's token, the date, the signature and the nonce,
 * in this order; only a good signature uses up a nonce.
 */
#ifndef SIMULATOR_SIGNATURE_H
#define SIMULATOR_SIGNATURE_H

#include "sim.h"

/*
 * Find out how a call is signed, what it asks for and in which format it wants its answer.
 * Fills signing, action, version and wants_json; checks nothing.
 */
void signature_identify(struct call *call);

/*
 * Check the signature; `now_ms` is the server's wall clock. False with call->problem set to the
 * gateway's error. Both the totals and the store of nonces are kept up to date.
 */
bool signature_check(struct call *call, int64_t now_ms);

/* Whether a V1 parameter belongs to the signature and not to the action. */
bool signature_is_common_param(const char *name);

#endif
