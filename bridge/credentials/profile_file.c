#include "base/mem.h"
#include "common.h"

#include <stdlib.h>

/* The profile exists: a failure now is STATUS_INVALID, not STATUS_NOT_FOUND. */
static void on_inner(void *arg, enum status status, const struct credentials *credentials,
                     const char *text)
{
    struct profile_file *file = arg;
    struct credentials named = {0};
    struct buf why = {0};
    if (status == STATUS_OK) {
        credentials_copy(&named, credentials);
        credentials_set_provider(&named, "%s/%s", file->source.ops->name, credentials->provider);
    } else {
        buf_printf(&why, "%s: %s", file->where, text);
        status = STATUS_INVALID;
    }
    credential_finish(file->got, file->arg, status, &named, &why);
}

static bool is_off(const struct profile_file *file)
{
    return file->off_name != NULL && credential_env_is_true(file->context, file->off_name);
}

static enum status read_profile(struct profile_file *file, struct credential_source **out_source,
                                char **out_where, struct buf *out_why)
{
    struct secret content = {0};
    if (is_off(file)) {
        buf_printf(out_why, "turned off by %s", file->off_name);
        return STATUS_NOT_FOUND;
    }
    enum status status = key_file_read(&file->file, &content, out_why);
    if (status == STATUS_OK) {
        status = file->read(file, secret_slice(&content), out_source, out_where, out_why);
    }
    secret_fini(&content);
    return status;
}

void profile_file_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct profile_file *file = (struct profile_file *)source;
    struct credential_source *inner = NULL;
    char *where = NULL;
    struct buf why = {0};
    enum status status = read_profile(file, &inner, &where, &why);
    if (status != STATUS_OK) {
        got(arg, status, NULL, buf_slice(&why).data);
        buf_fini(&why);
        return;
    }
    /* This may run in the callback of `inner`, which must not be freed then. */
    credentials_source_free(file->old);
    file->old = file->inner;
    file->inner = inner;
    free(file->where);
    file->where = where;
    file->got = got;
    file->arg = arg;
    credentials_get(inner, on_inner, file);
}

void profile_file_files(struct credential_source *source, credentials_file_fn *report, void *arg)
{
    struct profile_file *file = (struct profile_file *)source;
    if (!is_off(file)) {
        report(arg, file->file.path);
    }
}

void profile_file_free(struct credential_source *source)
{
    struct profile_file *file = (struct profile_file *)source;
    credentials_source_free(file->old);
    credentials_source_free(file->inner);
    key_file_fini(&file->file);
    free(file->where);
    free(file->profile);
    free(file);
}

struct profile_file *profile_file_new(const struct credential_source_ops *ops,
                                      const struct credential_context *context, const char *path,
                                      const char *profile, profile_read_fn *read)
{
    struct profile_file *file = mem_zalloc(1, sizeof *file);
    file->source.ops = ops;
    file->context = context;
    file->profile = mem_strdup(profile);
    file->read = read;
    key_file_init(&file->file, context, path);
    return file;
}
