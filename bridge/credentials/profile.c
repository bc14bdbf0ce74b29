/* The section's type decides which keys are required; other keys are ignored. */
#include "base/mem.h"
#include "base/section.h"
#include "common.h"
#include "profiles.h"
#include "roles.h"

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

typedef struct credential_source *make_fn(const struct profile_file *profile,
                                          const struct slice *values, struct buf *out_why);

static struct credential_source *make_access_key(const struct profile_file *profile,
                                                 const struct slice *values, struct buf *out_why)
{
    (void)profile;
    for (enum key key = KEY_ID; key <= KEY_SECRET; key++) {
        if (!credentials_is_key(values[key])) {
            buf_printf(out_why, "%s holds a character that no key has (a space?)", keys[key]);
            return NULL;
        }
    }
    return credentials_static_new(values[KEY_ID], values[KEY_SECRET], slice_text(NULL));
}

static struct credential_source *make_ecs_ram_role(const struct profile_file *profile,
                                                   const struct slice *values, struct buf *out_why)
{
    struct slice name = values[ROLE_NAME];
    char *role_name = name.length > 0 ? mem_dup(name.data, name.length) : NULL;
    (void)out_why;
    struct credential_source *source = credentials_ecs_ram_role_new(profile->context, role_name);
    free(role_name);
    return source;
}

static struct credential_source *make_ram_role_arn(const struct profile_file *profile,
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
    struct sts_role role;
    sts_role_init(&role, values[ROLE_ARN], values[SESSION_NAME], values[POLICY], slice_text(NULL),
                  STS_DURATION_S);
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

static struct credential_source *make_source(const struct profile_file *profile,
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

static enum status profile_read(const struct profile_file *profile, struct slice content,
                                struct credential_source **out_source, char **out_where,
                                struct buf *out_why)
{
    struct slice values[KEY_COUNT] = {{0}};
    struct section_fault fault = {0};
    struct buf where = {0};
    struct buf why = {0};
    const char *path = profile->file.path;
    enum status status = section_read(content, profile->profile, keys, KEY_COUNT, values, &fault);
    if (status == STATUS_NOT_FOUND) {
        buf_printf(out_why, "%s has no section [%s]", path, profile->profile);
        return status;
    }
    if (status != STATUS_OK) {
        buf_printf(out_why, "%s:%zu: %s", path, fault.line, fault.what);
        return status;
    }
    buf_printf(&where, "%s: [%s]", path, profile->profile);
    *out_source = make_source(profile, values, &why);
    if (*out_source == NULL) {
        buf_printf(out_why, "%s: %s", where.data, why.data);
        status = STATUS_INVALID;
    } else {
        *out_where = buf_take(&where);
    }
    buf_fini(&where);
    buf_fini(&why);
    return status;
}

struct credential_source *credentials_profile_open(const struct credential_context *context)
{
    static const struct credential_source_ops ops = {.name = "profile",
                                                     .get = profile_file_get,
                                                     .files = profile_file_files,
                                                     .free = profile_file_free};
    const char *path = credential_value(context, context->settings->profile_file, FILE_NAME);
    const char *section = credential_value(context, context->settings->profile, PROFILE_NAME);
    return &profile_file_new(&ops, context, path != NULL ? path : FILE_PATH,
                             section != NULL ? section : "default", profile_read)
                ->source;
}
