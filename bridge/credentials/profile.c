/* A section's type says which keys it needs; what it needs no key of is not looked at. */
#include "base/mem.h"
#include "common.h"
#include "profiles.h"
#include "roles.h"
#include "section.h"

#include <stdlib.h>

#define FILE_NAME    "ALIBABA_CLOUD_CREDENTIALS_FILE"
#define PROFILE_NAME "ALIBABA_CLOUD_PROFILE"
#define FILE_PATH    "~/.alibabacloud/credentials"

enum key { TYPE, KEY_ID, KEY_SECRET, ROLE_NAME, ROLE_ARN, SESSION_NAME, POLICY, KEY_COUNT };

static const char *const keys[KEY_COUNT] = {
    [TYPE] = "type",           [KEY_ID] = "access_key_id", [KEY_SECRET] = "access_key_secret",
    [ROLE_NAME] = "role_name", [ROLE_ARN] = "role_arn",    [SESSION_NAME] = "role_session_name",
    [POLICY] = "policy",
};

struct profile_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct key_file file;
    char *section;
    struct delegate delegate;
};

typedef struct credential_source *make_fn(const struct profile_source *profile,
                                          const struct slice *values, struct buf *out_why);

static char *copy_text(struct slice text)
{
    return text.length > 0 ? mem_dup(text.data, text.length) : NULL;
}

static struct credential_source *make_access_key(const struct profile_source *profile,
                                                 const struct slice *values, struct buf *out_why)
{
    struct credentials credentials = {.expires_at_ms = INT64_MAX};
    (void)profile;
    for (enum key key = KEY_ID; key <= KEY_SECRET; key++) {
        if (!credentials_is_key(values[key])) {
            buf_printf(out_why, "%s holds a character that no key has (a space?)", keys[key]);
            return NULL;
        }
    }
    secret_set(&credentials.access_key_id, values[KEY_ID]);
    secret_set(&credentials.access_key_secret, values[KEY_SECRET]);
    credentials_set_provider(&credentials, "static_ak");
    struct credential_source *source = credentials_static_new(&credentials);
    credentials_fini(&credentials);
    return source;
}

static struct credential_source *make_ecs_ram_role(const struct profile_source *profile,
                                                   const struct slice *values, struct buf *out_why)
{
    char *role_name = copy_text(values[ROLE_NAME]);
    (void)out_why;
    struct credential_source *source = credentials_ecs_ram_role_new(profile->context, role_name);
    free(role_name);
    return source;
}

static struct credential_source *make_ram_role_arn(const struct profile_source *profile,
                                                   const struct slice *values, struct buf *out_why)
{
    struct buf url = {0};
    struct credential_source *signer = make_access_key(profile, values, out_why);
    if (signer == NULL ||
        service_sts_endpoint(profile->context, NULL, NULL, false, &url, out_why) != STATUS_OK) {
        credentials_source_free(signer);
        buf_fini(&url);
        return NULL;
    }
    char *session_name = copy_text(values[SESSION_NAME]);
    struct sts_role role = {
        .arn = copy_text(values[ROLE_ARN]),
        .session_name = session_name != NULL ? session_name : mem_strdup(STS_SESSION_NAME),
        .policy = copy_text(values[POLICY]),
        .duration_s = STS_DURATION_S,
    };
    return credentials_ram_role_arn_new(profile->context, signer, &role, buf_take(&url));
}

static const struct {
    const char *name;
    make_fn *make;
    unsigned needed;
} types[] = {
    {"access_key", make_access_key, 1U << KEY_ID | 1U << KEY_SECRET},
    {"ecs_ram_role", make_ecs_ram_role, 0},
    {"ram_role_arn", make_ram_role_arn, 1U << KEY_ID | 1U << KEY_SECRET | 1U << ROLE_ARN},
};
#define TYPE_COUNT (sizeof types / sizeof types[0])

static struct credential_source *make_source(const struct profile_source *profile,
                                             const struct slice *values, struct buf *out_why)
{
    size_t type = 0;
    while (type < TYPE_COUNT && !slice_equals_text(values[TYPE], types[type].name)) {
        type++;
    }
    if (type == TYPE_COUNT) {
        buf_append_text(out_why, "type must be access_key, ecs_ram_role or ram_role_arn");
        return NULL;
    }
    for (enum key key = TYPE; key < KEY_COUNT; key++) {
        if ((types[type].needed & 1U << key) != 0 && values[key].length == 0) {
            buf_printf(out_why, "%s is missing, which the type %s needs", keys[key],
                       types[type].name);
            return NULL;
        }
    }
    return types[type].make(profile, values, out_why);
}

static enum status read_section(const struct profile_source *profile, struct slice content,
                                struct credential_source **out_source, struct buf *out_why)
{
    struct slice values[KEY_COUNT] = {{0}};
    struct section_fault fault = {0};
    struct buf why = {0};
    enum status status = section_read(content, profile->section, keys, KEY_COUNT, values, &fault);
    if (status == STATUS_NOT_FOUND) {
        buf_printf(out_why, "%s has no section [%s]", profile->file.path, profile->section);
        return status;
    }
    if (status != STATUS_OK) {
        buf_printf(out_why, "%s:%zu: %s", profile->file.path, fault.line, fault.what);
        return status;
    }
    *out_source = make_source(profile, values, &why);
    if (*out_source == NULL) {
        buf_printf(out_why, "%s: [%s]: %s", profile->file.path, profile->section, why.data);
    }
    buf_fini(&why);
    return *out_source == NULL ? STATUS_INVALID : STATUS_OK;
}

static void profile_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct profile_source *profile = (struct profile_source *)source;
    struct credential_source *inner = NULL;
    struct secret content = {0};
    struct buf why = {0};
    enum status status = key_file_read(&profile->file, &content, &why);
    if (status == STATUS_OK) {
        status = read_section(profile, secret_slice(&content), &inner, &why);
    }
    secret_fini(&content);
    if (status != STATUS_OK) {
        got(arg, status, NULL, why.data);
    } else {
        struct buf where = {0};
        buf_printf(&where, "%s: [%s]", profile->file.path, profile->section);
        delegate_get(&profile->delegate, inner, buf_take(&where), got, arg);
    }
    buf_fini(&why);
}

/* The file may hold others by now. */
static bool profile_refused(struct credential_source *source, uint64_t serial)
{
    (void)source;
    (void)serial;
    return true;
}

static void profile_files(struct credential_source *source, credentials_file_fn *told, void *arg)
{
    told(arg, ((struct profile_source *)source)->file.path);
}

static void profile_free(struct credential_source *source)
{
    struct profile_source *profile = (struct profile_source *)source;
    delegate_fini(&profile->delegate);
    key_file_fini(&profile->file);
    free(profile->section);
    free(profile);
}

struct credential_source *credentials_profile_open(const struct credential_context *context)
{
    static const struct credential_source_ops ops = {.name = "profile",
                                                     .get = profile_get,
                                                     .refused = profile_refused,
                                                     .files = profile_files,
                                                     .free = profile_free};
    const char *path = credential_value(context, context->settings->profile_file, FILE_NAME);
    const char *section = credential_value(context, context->settings->profile, PROFILE_NAME);
    struct profile_source *profile = mem_zalloc(1, sizeof *profile);
    profile->source.ops = &ops;
    profile->context = context;
    profile->section = mem_strdup(section != NULL ? section : "default");
    profile->delegate.provider = "profile";
    key_file_init(&profile->file, context, path != NULL ? path : FILE_PATH);
    return &profile->source;
}
