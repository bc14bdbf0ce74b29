/* A table has the keys of a profile: where each is stored, and which modes require it. */
#include "cli_chain.h"

#include "credentials/credentials.h"

#include <assert.h>

#define NAME_BYTES_MAX 200
#define MODE_BYTES_MAX 64
#define SECONDS_MAX    1e11

static const char *const mode_texts[] = {
    [CLI_AK] = "AK",
    [CLI_STS_TOKEN] = "StsToken",
    [CLI_RAM_ROLE_ARN] = "RamRoleArn",
    [CLI_ECS_RAM_ROLE] = "EcsRamRole",
    [CLI_OIDC] = "OIDC",
    [CLI_CHAINABLE_RAM_ROLE_ARN] = "ChainableRamRoleArn",
    [CLI_CLOUD_SSO] = "CloudSSO",
    [CLI_EXTERNAL] = "External",
};
#define MODE_COUNT (sizeof mode_texts / sizeof mode_texts[0])

#define IN(mode) (1U << (mode))
#define WITH_KEY (IN(CLI_AK) | IN(CLI_STS_TOKEN) | IN(CLI_RAM_ROLE_ARN))
#define IN_ROLE  (IN(CLI_RAM_ROLE_ARN) | IN(CLI_OIDC) | IN(CLI_CHAINABLE_RAM_ROLE_ARN))

static const struct {
    const char *key;
    size_t offset;
    unsigned needed_in;
    bool is_sent; /* in a header or a signature: only characters that a key can have */
} texts[] = {
    {"access_key_id", offsetof(struct cli_profile, access_key_id), WITH_KEY, true},
    {"access_key_secret", offsetof(struct cli_profile, access_key_secret), WITH_KEY, true},
    {"sts_token", offsetof(struct cli_profile, sts_token), IN(CLI_STS_TOKEN), true},
    {"ram_role_arn", offsetof(struct cli_profile, ram_role_arn), IN_ROLE, false},
    {"ram_session_name", offsetof(struct cli_profile, ram_session_name), 0, false},
    {"ram_role_name", offsetof(struct cli_profile, ram_role_name), 0, false},
    {"policy", offsetof(struct cli_profile, policy), 0, false},
    {"external_id", offsetof(struct cli_profile, external_id), 0, false},
    {"sts_region", offsetof(struct cli_profile, sts_region), 0, false},
    {"sts_endpoint", offsetof(struct cli_profile, sts_endpoint), 0, false},
    {"oidc_provider_arn", offsetof(struct cli_profile, oidc_provider_arn), IN(CLI_OIDC), false},
    {"oidc_token_file", offsetof(struct cli_profile, oidc_token_file), IN(CLI_OIDC), false},
    {"source_profile", offsetof(struct cli_profile, source_profile), IN(CLI_CHAINABLE_RAM_ROLE_ARN),
     false},
    {"process_command", offsetof(struct cli_profile, process_command), IN(CLI_EXTERNAL), false},
    {"cloud_sso_sign_in_url", offsetof(struct cli_profile, cloud_sso_sign_in_url),
     IN(CLI_CLOUD_SSO), false},
    {"cloud_sso_account_id", offsetof(struct cli_profile, cloud_sso_account_id), IN(CLI_CLOUD_SSO),
     false},
    {"cloud_sso_access_config", offsetof(struct cli_profile, cloud_sso_access_config),
     IN(CLI_CLOUD_SSO), false},
    {"access_token", offsetof(struct cli_profile, access_token), IN(CLI_CLOUD_SSO), true},
};
#define TEXT_COUNT (sizeof texts / sizeof texts[0])

static struct slice *text_at(struct cli_profile *profile, size_t index)
{
    return (struct slice *)(void *)((char *)profile + texts[index].offset);
}

/* null counts as absent, as in the vendor's own programs. */
static const struct json *member(const struct json *object, const char *key)
{
    const struct json *value = json_member(object, key);
    return value == NULL || json_kind(value) == JSON_NULL ? NULL : value;
}

static bool is_kind(const struct json *value, enum json_kind kind, const char *key,
                    struct buf *out_why)
{
    if (json_kind(value) == kind) {
        return true;
    }
    buf_printf(out_why, "%s must be a %s, not a %s", key, json_kind_text(kind),
               json_kind_text(json_kind(value)));
    return false;
}

/* Names appear in messages and must not break the line. */
static bool name_is_printable(struct slice name)
{
    for (size_t i = 0; i < name.length; i++) {
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f) {
            return false;
        }
    }
    return name.length > 0 && name.length <= NAME_BYTES_MAX;
}

/* --- one profile --- */

static enum status read_text(const struct json *object, size_t index, struct cli_profile *out,
                             struct buf *out_why)
{
    const char *key = texts[index].key;
    const struct json *value = member(object, key);
    if (value == NULL) {
        return STATUS_OK;
    }
    if (!is_kind(value, JSON_TEXT, key, out_why)) {
        return STATUS_INVALID;
    }
    struct slice text = json_text(value);
    if (texts[index].is_sent && !credentials_is_key(text)) {
        buf_printf(out_why, "%s holds a character that no key has (a space or a line end?)", key);
        return STATUS_INVALID;
    }
    *text_at(out, index) = text.length > 0 ? text : slice_text(NULL);
    return STATUS_OK;
}

static enum status read_seconds(const struct json *object, const char *key, int64_t *out_seconds,
                                struct buf *out_why)
{
    const struct json *value = member(object, key);
    if (value == NULL) {
        return STATUS_OK;
    }
    if (!is_kind(value, JSON_NUMBER, key, out_why)) {
        return STATUS_INVALID;
    }
    double seconds = json_number(value);
    if (!(seconds >= 0 && seconds <= SECONDS_MAX) || (double)(int64_t)seconds < seconds) {
        buf_printf(out_why, "%s must be a whole number of seconds", key);
        return STATUS_INVALID;
    }
    *out_seconds = (int64_t)seconds;
    return STATUS_OK;
}

static enum status read_mode(const struct json *object, enum cli_mode *out_mode,
                             struct buf *out_why)
{
    const struct json *value = member(object, "mode");
    if (value == NULL) {
        buf_append_text(out_why, "mode is missing");
        return STATUS_INVALID;
    }
    if (!is_kind(value, JSON_TEXT, "mode", out_why)) {
        return STATUS_INVALID;
    }
    struct slice text = json_text(value);
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (slice_equals_text(text, mode_texts[i])) {
            *out_mode = (enum cli_mode)i;
            return STATUS_OK;
        }
    }
    bool is_printable = name_is_printable(text) && text.length <= MODE_BYTES_MAX;
    buf_printf(out_why,
               "the mode \"%s\" is not supported; use AK, StsToken, RamRoleArn, EcsRamRole, OIDC, "
               "ChainableRamRoleArn, CloudSSO or External",
               is_printable ? text.data : "?");
    return STATUS_INVALID;
}

/* A key that comes twice is refused: which value is meant is unknown. */
static enum status check_repeated(const struct json *object, struct buf *out_why)
{
    static const char *const others[] = {"name", "mode", "expired_seconds", "enable_vpc",
                                         "cloud_sso_access_token_expire"};
    for (size_t i = 0; i < TEXT_COUNT + sizeof others / sizeof others[0]; i++) {
        const char *key = i < TEXT_COUNT ? texts[i].key : others[i - TEXT_COUNT];
        int count = 0;
        for (const struct json *at = json_first(object); at != NULL; at = json_next(at)) {
            count += slice_equals_text(json_name(at), key) ? 1 : 0;
        }
        if (count > 1) {
            buf_printf(out_why, "%s comes more than once", key);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

static enum status read_values(const struct json *object, struct cli_profile *out,
                               struct buf *out_why)
{
    enum status status = check_repeated(object, out_why);
    if (status == STATUS_OK) {
        status = read_mode(object, &out->mode, out_why);
    }
    for (size_t i = 0; i < TEXT_COUNT && status == STATUS_OK; i++) {
        status = read_text(object, i, out, out_why);
    }
    if (status == STATUS_OK) {
        status = read_seconds(object, "expired_seconds", &out->expired_seconds, out_why);
    }
    if (status == STATUS_OK) {
        status = read_seconds(object, "cloud_sso_access_token_expire",
                              &out->cloud_sso_access_token_expire, out_why);
    }
    const struct json *vpc = member(object, "enable_vpc");
    if (status == STATUS_OK && vpc != NULL) {
        out->enable_vpc = json_kind(vpc) == JSON_TRUE;
        bool is_bool = out->enable_vpc || is_kind(vpc, JSON_FALSE, "enable_vpc", out_why);
        status = is_bool ? STATUS_OK : STATUS_INVALID;
    }
    for (size_t i = 0; i < TEXT_COUNT && status == STATUS_OK; i++) {
        bool is_needed = (texts[i].needed_in & IN(out->mode)) != 0;
        if (is_needed && !slice_is_present(*text_at(out, i))) {
            buf_printf(out_why, "%s is missing, which the mode %s needs", texts[i].key,
                       mode_texts[out->mode]);
            status = STATUS_INVALID;
        }
    }
    return status;
}

/* --- the chain --- */

static enum status find_profile(const struct json *document, struct slice name,
                                const struct json **out_profile, struct buf *out_why)
{
    const struct json *profiles = member(document, "profiles");
    const struct json *found = NULL;
    if (profiles == NULL || json_kind(profiles) != JSON_ARRAY) {
        buf_append_text(out_why, "profiles must be an array");
        return STATUS_INVALID;
    }
    for (const struct json *at = json_first(profiles); at != NULL; at = json_next(at)) {
        struct slice its_name = json_text(json_member(at, "name"));
        if (!slice_is_present(its_name) || !slice_equals(its_name, name)) {
            continue;
        }
        if (found != NULL) {
            buf_printf(out_why, "profile \"%s\" comes more than once", name.data);
            return STATUS_INVALID;
        }
        found = at;
    }
    if (found == NULL) {
        buf_printf(out_why, "there is no profile \"%s\"", name.data);
        return STATUS_NOT_FOUND;
    }
    *out_profile = found;
    return STATUS_OK;
}

static enum status read_profile(const struct json *document, struct slice name,
                                struct cli_profile *out, struct buf *out_why)
{
    const struct json *object = NULL;
    struct buf why = {0};
    *out = (struct cli_profile){.name = name};
    enum status status = find_profile(document, name, &object, out_why);
    if (status == STATUS_OK && read_values(object, out, &why) != STATUS_OK) {
        buf_printf(out_why, "profile \"%s\": %s", name.data, why.data);
        status = STATUS_INVALID;
    }
    buf_fini(&why);
    return status;
}

static enum status pick_name(const struct json *document, const char *wanted,
                             struct slice *out_name, struct buf *out_why)
{
    struct slice name = slice_text(wanted);
    if (json_kind(document) != JSON_OBJECT) {
        buf_append_text(out_why, "the document must be an object");
        return STATUS_INVALID;
    }
    if (wanted == NULL) {
        name = json_text(json_member(document, "current"));
        if (!slice_is_present(name) || name.length == 0) {
            buf_append_text(out_why, "current must name a profile");
            return STATUS_INVALID;
        }
    }
    if (!name_is_printable(name)) {
        buf_append_text(out_why, "the profile's name must have 1 to 200 bytes without control "
                                 "characters");
        return STATUS_INVALID;
    }
    *out_name = name;
    return STATUS_OK;
}

/* Refuses a name that is already in the chain, and a chain that is too long. */
static enum status check_next(const struct cli_profile *profiles, size_t count, struct slice next,
                              struct buf *out_why)
{
    if (!name_is_printable(next)) {
        buf_printf(out_why,
                   "profile \"%s\": source_profile must have 1 to 200 bytes without "
                   "control characters",
                   profiles[count - 1].name.data);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (slice_equals(profiles[i].name, next)) {
            buf_printf(out_why, "profile \"%s\": source_profile \"%s\" is already in the chain",
                       profiles[count - 1].name.data, next.data);
            return STATUS_INVALID;
        }
    }
    if (count == CLI_CHAIN_MAX) {
        buf_printf(out_why, "profile \"%s\" needs more than %d other profiles",
                   profiles[0].name.data, CLI_CHAIN_MAX - 1);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status cli_chain_read(const struct json *document, const char *wanted,
                           struct cli_profile out_profiles[CLI_CHAIN_MAX], size_t *out_count,
                           struct buf *out_why)
{
    struct cli_profile profiles[CLI_CHAIN_MAX];
    size_t count = 0;
    struct slice name = {0};
    enum status status = pick_name(document, wanted, &name, out_why);
    while (status == STATUS_OK) {
        status = read_profile(document, name, &profiles[count++], out_why);
        if (status != STATUS_OK || profiles[count - 1].mode != CLI_CHAINABLE_RAM_ROLE_ARN) {
            break;
        }
        name = profiles[count - 1].source_profile;
        status = check_next(profiles, count, name, out_why);
    }
    if (status == STATUS_NOT_FOUND && count > 1) {
        status = STATUS_INVALID; /* the wanted profile exists, one that it names does not */
    }
    if (status == STATUS_OK) {
        memcpy(out_profiles, profiles, count * sizeof profiles[0]);
        *out_count = count;
    }
    return status;
}
