/*
 * signature_kinds - what signature.c and its two kinds share; nobody else needs it.
 *
 * Every check returns false or NULL with call->problem set.
 */
#ifndef SIMULATOR_SIGNATURE_KINDS_H
#define SIMULATOR_SIGNATURE_KINDS_H

#include "sim.h"

/* Check all of one kind but the nonce's novelty. *out_nonce is borrowed from the request. */
bool signature_check_v3(struct call *call, int64_t now_ms, const char **out_nonce);
bool signature_check_v1(struct call *call, int64_t now_ms, const char **out_nonce);

/* The key of that id, in force, with that security token (NULL: none was given). */
const struct access_key *signature_check_key(struct call *call, const char *id, const char *token);

/* A date that is there, well formed and within 15 minutes of now. */
bool signature_check_date(struct call *call, const char *date, int64_t now_ms);

/* Equal in constant time; the refusal shows the server's string to sign. */
bool signature_compare(struct call *call, const char *given, const char *expected,
                       const struct text *to_sign);

#endif
