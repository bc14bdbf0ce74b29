/*
 * Credentials from the environment, read once: it does not change while the process runs. Keys are
 * sent in headers, so a character that no header can hold is refused here, with the variable's
 * name.
 */
#include "sources.h"

#include "base/mem.h"

#include <stdlib.h>

#define ID_NAME     "ALIBABA_CLOUD_ACCESS_KEY_ID"
#define SECRET_NAME "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
#define TOKEN_NAME  "ALIBABA_CLOUD_SECURITY_TOKEN"

#define BAD_CHARACTER " holds a character that no key has (a space or a line end?)"

struct env_source {
    struct credential_source source; /* first: a source is cast back to this */
    struct credentials credentials;
    enum status status;
    const char *text;
};

static void env_read(const struct credential_context *context, struct secret *secret,
                     const char *name)
{
    const char *value = credential_env(context, name);
    if (value != NULL) {
        secret_set(secret, slice_text(value));
    }
}

static enum status env_check(const struct credentials *credentials, const char **out_text)
{
    bool has_id = secret_is_set(&credentials->access_key_id);
    bool has_secret = secret_is_set(&credentials->access_key_secret);

    *out_text = "";
    if (!has_id && !has_secret) {
        *out_text = ID_NAME " and " SECRET_NAME " are not set";
        return STATUS_NOT_FOUND;
    }
    if (!has_id) {
        *out_text = SECRET_NAME " is set but " ID_NAME " is not";
    } else if (!has_secret) {
        *out_text = ID_NAME " is set but " SECRET_NAME " is not";
    } else if (!credentials_is_key(secret_slice(&credentials->access_key_id))) {
        *out_text = ID_NAME BAD_CHARACTER;
    } else if (!credentials_is_key(secret_slice(&credentials->access_key_secret))) {
        *out_text = SECRET_NAME BAD_CHARACTER;
    } else if (!credentials_is_key(secret_slice(&credentials->security_token))) {
        *out_text = TOKEN_NAME BAD_CHARACTER;
    }
    return (*out_text)[0] == '\0' ? STATUS_OK : STATUS_INVALID;
}

static void env_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct env_source *env = (struct env_source *)source;

    got(arg, env->status, env->status == STATUS_OK ? &env->credentials : NULL, env->text);
}

static void env_free(struct credential_source *source)
{
    struct env_source *env = (struct env_source *)source;

    credentials_fini(&env->credentials);
    free(env);
}

void credentials_env_hide(void)
{
    secret_hide_variable(ID_NAME);
    secret_hide_variable(SECRET_NAME);
    secret_hide_variable(TOKEN_NAME);
}

struct credential_source *credentials_env_open(const struct credential_context *context)
{
    static const struct credential_source_ops ops = {
        .name = "env", .get = env_get, .refused = credential_never_differs, .free = env_free};
    struct env_source *env = mem_zalloc(1, sizeof *env);

    env->source.ops = &ops;
    env->credentials.expires_at_ms = INT64_MAX;
    credentials_set_provider(&env->credentials, "env");
    env_read(context, &env->credentials.access_key_id, ID_NAME);
    env_read(context, &env->credentials.access_key_secret, SECRET_NAME);
    env_read(context, &env->credentials.security_token, TOKEN_NAME);
    env->status = env_check(&env->credentials, &env->text);
    return &env->source;
}
