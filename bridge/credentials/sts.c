#include "sts.h"

#include "aliyun/sign.h"
#include "base/digest.h"
#include "base/mem.h"
#include "model/ram.h"
#include "model/region.h"
#include "settings/url.h"

#include <assert.h>
#include <stdlib.h>

#define VERSION            "2015-04-01"
#define CENTRAL            "https://sts.aliyuncs.com"
#define ARN_PREFIX         "acs:ram::"
#define ARN_ROLE           ":role/"
#define ARN_BYTES_MAX      256
#define POLICY_BYTES_MAX   2048
#define EXTERNAL_BYTES_MIN 2
#define EXTERNAL_BYTES_MAX 1224
#define DURATION_MIN_S     900
#define DURATION_MAX_S     43200
#define PARAMETERS_MAX     16
#define OVERHEAD_BYTES     1024 /* for names and fixed values of a request */

/* --- roles --- */

static char *copy_text(struct slice text)
{
    return text.length > 0 ? mem_dup(text.data, text.length) : NULL;
}

void sts_role_init(struct sts_role *role, struct slice arn, struct slice session_name,
                   struct slice policy, struct slice external_id, int64_t duration_s)
{
    *role = (struct sts_role){
        .arn = copy_text(arn),
        .session_name =
            copy_text(session_name.length > 0 ? session_name : slice_text(STS_SESSION_NAME)),
        .policy = copy_text(policy),
        .external_id = copy_text(external_id),
        .duration_s = duration_s,
    };
}

void sts_role_fini(struct sts_role *role)
{
    if (role == NULL) {
        return;
    }
    free(role->arn);
    free(role->session_name);
    free(role->policy);
    free(role->external_id);
    *role = (struct sts_role){0};
}

static bool arn_is_valid(const char *arn)
{
    if (strncmp(arn, ARN_PREFIX, strlen(ARN_PREFIX)) != 0 || strlen(arn) > ARN_BYTES_MAX) {
        return false;
    }
    const char *account = arn + strlen(ARN_PREFIX);
    size_t digits = strspn(account, "0123456789");
    const char *name = account + digits;
    if (digits == 0 || strncmp(name, ARN_ROLE, strlen(ARN_ROLE)) != 0) {
        return false;
    }
    name += strlen(ARN_ROLE);
    for (const char *at = name; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || *at == ':') {
            return false;
        }
    }
    return *name != '\0';
}

static bool length_is_within(const char *text, size_t min_bytes, size_t max_bytes)
{
    return text == NULL || (strlen(text) >= min_bytes && strlen(text) <= max_bytes);
}

enum status sts_role_check(const struct sts_role *role, const char **out_why)
{
    if (role->arn == NULL || !arn_is_valid(role->arn)) {
        *out_why = "the role's ARN must have the form acs:ram::<account>:role/<name>";
    } else if (!ram_session_name_is_valid(slice_text(role->session_name))) {
        *out_why = "the role's session name must have 2 to 64 letters, digits, '.', '@', '-' or "
                   "'_'";
    } else if (!length_is_within(role->policy, 1, POLICY_BYTES_MAX)) {
        *out_why = "the policy must have 1 to 2048 bytes";
    } else if (!length_is_within(role->external_id, EXTERNAL_BYTES_MIN, EXTERNAL_BYTES_MAX)) {
        *out_why = "the external id must have 2 to 1224 bytes";
    } else if (role->duration_s < DURATION_MIN_S || role->duration_s > DURATION_MAX_S) {
        *out_why = "the session's duration must be 900 to 43200 seconds";
    } else {
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

/* --- endpoints --- */

static bool is_region(const char *text)
{
    size_t length = strlen(text);
    return region_is_valid(slice_of(text, length)) && text[0] != '-' && text[length - 1] != '-';
}

static bool has_central_public_side(const char *region)
{
    return strcmp(region, "cn-hangzhou-finance") == 0 ||
           strcmp(region, "cn-shenzhen-finance-1") == 0;
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static enum status endpoint_of_override(const char *override, struct buf *out_url,
                                        const char **out_why)
{
    struct buf url = {0};
    const char *why = NULL;
    buf_printf(&url, "%s%s", strstr(override, "://") == NULL ? "https://" : "", override);
    bool is_valid = url_is_valid(url.data, URL_STS, &why);
    if (is_valid) {
        buf_append(out_url, buf_slice(&url));
    } else {
        *out_why = "the STS endpoint must be a host or https://host[:port]";
    }
    buf_fini(&url);
    return is_valid ? STATUS_OK : STATUS_INVALID;
}

enum status sts_endpoint(const char *override, const char *region, bool is_vpc, struct buf *out_url,
                         const char **out_why)
{
    if (is_given(override)) {
        return endpoint_of_override(override, out_url, out_why);
    }
    if (!is_given(region)) {
        buf_append_text(out_url, CENTRAL);
        return STATUS_OK;
    }
    if (!is_region(region)) {
        *out_why = "the STS region must be a region's id such as cn-beijing";
        return STATUS_INVALID;
    }
    if (!is_vpc && has_central_public_side(region)) {
        buf_append_text(out_url, CENTRAL);
    } else {
        buf_printf(out_url, "https://sts%s.%s.aliyuncs.com", is_vpc ? "-vpc" : "", region);
    }
    return STATUS_OK;
}

/* --- requests --- */

struct parameters {
    struct sign_pair pairs[PARAMETERS_MAX];
    size_t count;
};

static void add(struct parameters *parameters, const char *name, struct slice value)
{
    if (slice_is_present(value)) {
        assert(parameters->count < PARAMETERS_MAX);
        parameters->pairs[parameters->count++] = (struct sign_pair){name, value};
    }
}

/* Reserves the room first: a buffer that grows would leave copies of secrets in freed memory. */
static void put(struct parameters *parameters, struct buf *out)
{
    size_t size_bytes = OVERHEAD_BYTES;
    for (size_t i = 0; i < parameters->count; i++) {
        size_bytes += 3 * parameters->pairs[i].value.length;
    }
    buf_reserve(out, size_bytes);
    sign_canonical_query(parameters->pairs, parameters->count, out);
}

static void add_role(struct parameters *form, const struct sts_role *role, struct buf *duration)
{
    buf_append_int(duration, role->duration_s);
    add(form, "DurationSeconds", buf_slice(duration));
    add(form, "ExternalId", slice_text(role->external_id));
    add(form, "Policy", slice_text(role->policy));
    add(form, "RoleArn", slice_text(role->arn));
    add(form, "RoleSessionName", slice_text(role->session_name));
}

static void add_common(struct parameters *query, const char *action, const char *date)
{
    add(query, "Action", slice_text(action));
    add(query, "Format", slice_text("JSON"));
    add(query, "Timestamp", slice_text(date));
    add(query, "Version", slice_text(VERSION));
}

static void sign(const struct parameters *query, const struct parameters *form,
                 struct slice access_key_secret, struct buf *out_signature)
{
    struct parameters all = *query;
    struct buf canonical = {0};
    struct buf lines = {0};
    for (size_t i = 0; i < form->count; i++) {
        add(&all, form->pairs[i].name, form->pairs[i].value);
    }
    put(&all, &canonical);
    buf_reserve(&lines, 3 * canonical.length + OVERHEAD_BYTES);
    sign_v1_string_to_sign("POST", buf_slice(&canonical), &lines);
    sign_v1_signature(access_key_secret, buf_slice(&lines), out_signature);
    secret_wipe(canonical.data, canonical.capacity);
    secret_wipe(lines.data, lines.capacity);
    buf_fini(&canonical);
    buf_fini(&lines);
}

static void put_request(const char *endpoint, struct parameters *query, struct parameters *form,
                        struct sts_request *out)
{
    assert(out->url.length == 0 && out->form.length == 0);
    buf_reserve(&out->url, strlen(endpoint) + 2);
    buf_append_text(&out->url, endpoint);
    buf_append_text(&out->url, "/?");
    put(query, &out->url);
    put(form, &out->form);
}

void sts_assume_role(const char *endpoint, const struct sts_role *role,
                     const struct credentials *credentials, const char *date, const char *nonce,
                     struct sts_request *out_request)
{
    struct parameters query = {0};
    struct parameters form = {0};
    struct buf duration = {0};
    struct buf signature = {0};
    add_role(&form, role, &duration);
    add_common(&query, "AssumeRole", date);
    add(&query, "AccessKeyId", secret_slice(&credentials->access_key_id));
    add(&query, "SignatureMethod", slice_text("HMAC-SHA1"));
    add(&query, "SignatureNonce", slice_text(nonce));
    add(&query, "SignatureVersion", slice_text("1.0"));
    if (secret_is_set(&credentials->security_token)) {
        add(&query, "SecurityToken", secret_slice(&credentials->security_token));
    }
    sign(&query, &form, secret_slice(&credentials->access_key_secret), &signature);
    add(&query, "Signature", buf_slice(&signature));
    put_request(endpoint, &query, &form, out_request);
    buf_fini(&signature);
    buf_fini(&duration);
}

void sts_assume_role_with_oidc(const char *endpoint, const struct sts_role *role,
                               const char *oidc_provider_arn, const struct secret *oidc_token,
                               const char *date, struct sts_request *out_request)
{
    struct parameters query = {0};
    struct parameters form = {0};
    struct buf duration = {0};
    add_role(&form, role, &duration);
    add(&form, "OIDCProviderArn", slice_text(oidc_provider_arn));
    add(&form, "OIDCToken", secret_slice(oidc_token));
    add_common(&query, "AssumeRoleWithOIDC", date);
    put_request(endpoint, &query, &form, out_request);
    buf_fini(&duration);
}

void sts_request_fini(struct sts_request *request)
{
    if (request == NULL) {
        return;
    }
    secret_wipe(request->url.data, request->url.capacity);
    secret_wipe(request->form.data, request->form.capacity);
    buf_fini(&request->url);
    buf_fini(&request->form);
}
