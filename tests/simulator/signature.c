/* What both signatures share: the format, the key, the date and the nonce. */
#include "signature.h"

#include "digest.h"
#include "signature_kinds.h"

#include <stdlib.h>
#include <string.h>

enum { CLOCK_SKEW_LIMIT_MS = 15 * 60 * 1000 };

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

void signature_identify(struct call *call)
{
    const char *authorization = call_header(call, "Authorization");
    bool is_v1 = !authorization && (params_get(&call->params, "Signature") ||
                                    params_get(&call->params, "AccessKeyId"));
    if (is_v1) {
        const char *format = params_get(&call->params, "Format");
        call->signing = SIGNING_V1;
        call->action = or_empty(params_get(&call->params, "Action"));
        call->version = or_empty(params_get(&call->params, "Version"));
        call->wants_json = format && strcasecmp(format, "json") == 0;
        return;
    }
    const char *accept = call_header(call, "Accept");
    call->signing = authorization ? SIGNING_V3 : SIGNING_NONE;
    call->action = or_empty(call_header(call, "x-acs-action"));
    call->version = or_empty(call_header(call, "x-acs-version"));
    call->wants_json = accept && strstr(accept, "json");
}

bool signature_is_common_param(const char *name)
{
    static const char *const names[] = {
        "Action",          "Version",          "Format",        "AccessKeyId", "SignatureNonce",
        "SignatureMethod", "SignatureVersion", "SecurityToken", "Timestamp",   "Signature"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const struct access_key *find_key(const struct sim *sim, const char *id)
{
    for (int i = 0; i < ACCESS_KEY_LIMIT; i++) {
        if (sim->keys[i].id[0] && strcmp(sim->keys[i].id, id) == 0) {
            return &sim->keys[i];
        }
    }
    return NULL;
}

static bool check_token(struct call *call, const struct access_key *key, const char *token)
{
    if (!key->security_token[0] && token) {
        return problem_set(&call->problem, "InvalidSecurityToken.MismatchWithAccessKey", NULL);
    }
    if (key->security_token[0] && !token) {
        return problem_set(&call->problem, "MissingSecurityToken", NULL);
    }
    if (token && !token[0]) {
        return problem_set(&call->problem, "InvalidSecurityToken.Malformed", NULL);
    }
    if (token && !digest_is_equal(token, key->security_token)) {
        return problem_set(&call->problem, "InvalidSecurityToken.MismatchWithAccessKey", NULL);
    }
    if (key->state == KEY_EXPIRED) {
        return problem_set(&call->problem, "InvalidSecurityToken.Expired", NULL);
    }
    return true;
}

const struct access_key *signature_check_key(struct call *call, const char *id, const char *token)
{
    const struct access_key *key = find_key(call->sim, id);
    if (!key) {
        problem_set(&call->problem, "InvalidAccessKeyId.NotFound", NULL);
        return NULL;
    }
    if (key->state == KEY_INACTIVE || key->state == KEY_DISABLED) {
        bool is_inactive = key->state == KEY_INACTIVE;
        problem_set(&call->problem,
                    is_inactive ? "InvalidAccessKeyId.Inactive" : "Forbidden.AccessKeyDisabled",
                    NULL);
        return NULL;
    }
    return check_token(call, key, token) ? key : NULL;
}

bool signature_check_date(struct call *call, const char *date, int64_t now_ms)
{
    int64_t date_s = 0;
    if (!date || !date[0]) {
        return problem_set(&call->problem, "IllegalTimestamp", NULL);
    }
    if (!base_parse_time(date, &date_s)) {
        return problem_set(&call->problem, "InvalidTimeStamp.Format", NULL);
    }
    if (llabs(date_s * 1000 - now_ms) > CLOCK_SKEW_LIMIT_MS) {
        return problem_set(&call->problem, "InvalidTimeStamp.Expired", NULL);
    }
    return true;
}

bool signature_compare(struct call *call, const char *given, const char *expected,
                       const struct text *to_sign)
{
    if (digest_is_equal(given, expected)) {
        return true;
    }
    return problem_set(&call->problem, "SignatureDoesNotMatch",
                       "Specified signature is not matched with our calculation. "
                       "server string to sign is:%s",
                       text_string(to_sign));
}

static bool use_nonce(struct call *call, const char *nonce)
{
    if (nonces_use(&call->sim->nonces, nonce, base_monotonic_ms())) {
        return true;
    }
    call->sim->totals.nonce_reuse++;
    return problem_set(&call->problem, "SignatureNonceUsed", NULL);
}

static bool check_kind(struct call *call, int64_t now_ms, const char **out_nonce)
{
    if (call->signing == SIGNING_V3) {
        return signature_check_v3(call, now_ms, out_nonce);
    }
    if (call->signing == SIGNING_V1) {
        return signature_check_v1(call, now_ms, out_nonce);
    }
    return problem_set(&call->problem, "IncompleteSignature",
                       "The request signature does not conform to Aliyun standards. "
                       "There is none.");
}

bool signature_check(struct call *call, int64_t now_ms)
{
    struct totals *totals = &call->sim->totals;
    const char *nonce = NULL;
    if (!check_kind(call, now_ms, &nonce) || !use_nonce(call, nonce)) {
        totals->signature_errors++;
        return false;
    }
    if (call->signing == SIGNING_V3) {
        totals->signature_v3++;
    } else {
        totals->signature_v1++;
    }
    return true;
}
