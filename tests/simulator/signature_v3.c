/* ACS3-HMAC-SHA256: canonical request, string to sign, signature. */
#include "digest.h"
#include "signature_kinds.h"

#include <stdlib.h>
#include <string.h>

enum { SIGNED_HEADER_LIMIT = 64, HEX_BYTES = 2 * SHA256_BYTES + 1 };

/* The Authorization header's parts. */
struct authorization {
    char *storage;
    const char *key_id;
    char *signed_headers;
    const char *signature;
    const char *names[SIGNED_HEADER_LIMIT]; /* signed_headers, split */
    size_t name_count;
};

static bool refuse(struct call *call, const char *reason)
{
    return problem_set(&call->problem, "IncompleteSignature",
                       "The request signature does not conform to Aliyun standards. %s", reason);
}

static const char *take_part(char **rest, const char *prefix)
{
    char *part = strsep(rest, ",");
    size_t length = strlen(prefix);
    return part && strncmp(part, prefix, length) == 0 && part[length] ? part + length : NULL;
}

static bool is_lower_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            return false;
        }
    }
    return name[0] != '\0';
}

static bool split_names(struct authorization *authorization, const char *list)
{
    static const char separator[] = ";";
    authorization->signed_headers = base_copy(list, strlen(list));
    char *rest = authorization->signed_headers;
    while (rest) {
        const char *name = strsep(&rest, separator);
        size_t count = authorization->name_count;
        bool is_ordered = count == 0 || strcmp(authorization->names[count - 1], name) < 0;
        if (count == SIGNED_HEADER_LIMIT || !is_ordered || !is_lower_name(name)) {
            return false;
        }
        authorization->names[authorization->name_count++] = name;
    }
    return true;
}

/* Exactly `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=a;b,Signature=…`, no further spaces. */
static bool parse_authorization(struct call *call, struct authorization *authorization)
{
    static const char scheme[] = "ACS3-HMAC-SHA256 ";
    const char *header = call_header(call, "Authorization");
    if (strncmp(header, scheme, sizeof scheme - 1) != 0) {
        return refuse(call, "The Authorization header has another scheme.");
    }
    header += sizeof scheme - 1;
    authorization->storage = base_copy(header, strlen(header));
    char *rest = authorization->storage;
    authorization->key_id = take_part(&rest, "Credential=");
    const char *names = take_part(&rest, "SignedHeaders=");
    authorization->signature = take_part(&rest, "Signature=");
    if (!authorization->key_id || !names || !authorization->signature || rest) {
        return refuse(call, "The Authorization header is not well formed.");
    }
    if (!split_names(authorization, names)) {
        return refuse(call, "SignedHeaders must be lower-case names, sorted, each once.");
    }
    return true;
}

static bool has_name(const struct authorization *authorization, const char *name)
{
    for (size_t i = 0; i < authorization->name_count; i++) {
        if (strcasecmp(authorization->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool must_be_signed(const char *name)
{
    return strncasecmp(name, "x-acs-", 6) == 0 || strcasecmp(name, "host") == 0 ||
           strcasecmp(name, "content-type") == 0;
}

/* What the walk over all headers looks for. */
struct header_walk {
    const struct authorization *authorization;
    size_t found_count; /* headers that SignedHeaders names */
    const char *unsigned_name;
};

static enum MHD_Result visit_header(void *argument, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct header_walk *walk = argument;
    (void)kind;
    (void)value;
    if (has_name(walk->authorization, name)) {
        walk->found_count++;
    } else if (must_be_signed(name)) {
        walk->unsigned_name = name;
    }
    return MHD_YES;
}

/* Every header that must be signed is, and every signed one is there exactly once. */
static bool check_headers(struct call *call, const struct authorization *authorization)
{
    struct header_walk walk = {.authorization = authorization};
    MHD_get_connection_values(call->connection, MHD_HEADER_KIND, visit_header, &walk);
    if (walk.unsigned_name) {
        return problem_set(&call->problem, "IncompleteSignature",
                           "The request signature does not conform to Aliyun standards. "
                           "The header %s is not signed.",
                           walk.unsigned_name);
    }
    for (size_t i = 0; i < authorization->name_count; i++) {
        if (!call_header(call, authorization->names[i])) {
            return refuse(call, "A signed header is missing.");
        }
    }
    if (walk.found_count != authorization->name_count) {
        return refuse(call, "A signed header is repeated.");
    }
    if (!has_name(authorization, "host") || !has_name(authorization, "x-acs-content-sha256")) {
        return refuse(call, "host and x-acs-content-sha256 must be signed.");
    }
    return true;
}

static void add_trimmed(struct text *out, const char *value)
{
    value += strspn(value, " \t");
    size_t length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t')) {
        length--;
    }
    text_add(out, value, length);
}

static void add_headers(struct call *call, const struct authorization *authorization,
                        struct text *out)
{
    for (size_t i = 0; i < authorization->name_count; i++) {
        text_puts(out, authorization->names[i]);
        text_puts(out, ":");
        add_trimmed(out, call_header(call, authorization->names[i]));
        text_puts(out, "\n");
    }
    text_puts(out, "\n");
    for (size_t i = 0; i < authorization->name_count; i++) {
        text_puts(out, i > 0 ? ";" : "");
        text_puts(out, authorization->names[i]);
    }
    text_puts(out, "\n");
}

static void hash_hex(const char *data, size_t length, char out[HEX_BYTES])
{
    uint8_t hash[SHA256_BYTES];
    digest_sha256(data, length, hash);
    base_hex(hash, sizeof hash, out);
}

/* The server hashes the payload itself, so a wrong header never matches. */
static void make_string_to_sign(struct call *call, const struct authorization *authorization,
                                struct text *out)
{
    struct params query = call->params;
    query.count = call->query_count;
    char hash[HEX_BYTES];
    struct text canonical = {0};
    text_puts(&canonical, call->method);
    text_puts(&canonical, "\n/\n");
    params_canonical(&query, NULL, &canonical);
    text_puts(&canonical, "\n");
    add_headers(call, authorization, &canonical);
    hash_hex(text_string(&call->body), call->body.length, hash);
    text_puts(&canonical, hash);
    hash_hex(canonical.data, canonical.length, hash);
    text_puts(out, "ACS3-HMAC-SHA256\n");
    text_puts(out, hash);
    text_fini(&canonical);
}

static bool check_payload(struct call *call)
{
    char hash[HEX_BYTES];
    hash_hex(text_string(&call->body), call->body.length, hash);
    if (digest_is_equal(call_header(call, "x-acs-content-sha256"), hash)) {
        return true;
    }
    return problem_set(&call->problem, "SignatureDoesNotMatch",
                       "Specified signature is not matched with our calculation. "
                       "x-acs-content-sha256 is not the body's, which is %s",
                       hash);
}

static bool check_signature(struct call *call, const struct access_key *key,
                            const struct authorization *authorization)
{
    uint8_t signature[SHA256_BYTES];
    char expected[HEX_BYTES];
    struct text to_sign = {0};
    make_string_to_sign(call, authorization, &to_sign);
    digest_hmac_sha256(key->secret, to_sign.data, to_sign.length, signature);
    base_hex(signature, sizeof signature, expected);
    bool is_ok = check_payload(call) &&
                 signature_compare(call, authorization->signature, expected, &to_sign);
    text_fini(&to_sign);
    return is_ok;
}

static bool check_nonce(struct call *call, const char **out_nonce)
{
    *out_nonce = call_header(call, "x-acs-signature-nonce");
    if (!*out_nonce || !**out_nonce) {
        return problem_set(&call->problem, "MissingSignatureNonce", NULL);
    }
    return true;
}

static bool check_key_id(struct call *call, const struct authorization *authorization)
{
    const char *id = call_header(call, "x-acs-accesskey-id");
    return !id || strcmp(id, authorization->key_id) == 0 ||
           refuse(call, "x-acs-accesskey-id is not the Credential.");
}

bool signature_check_v3(struct call *call, int64_t now_ms, const char **out_nonce)
{
    struct authorization authorization = {0};
    const struct access_key *key = NULL;
    bool is_ok = parse_authorization(call, &authorization) && check_headers(call, &authorization) &&
                 check_key_id(call, &authorization);
    if (is_ok) {
        key = signature_check_key(call, authorization.key_id,
                                  call_header(call, "x-acs-security-token"));
    }
    is_ok = key && signature_check_date(call, call_header(call, "x-acs-date"), now_ms) &&
            check_nonce(call, out_nonce) && check_signature(call, key, &authorization);
    free(authorization.storage);
    free(authorization.signed_headers);
    return is_ok;
}
