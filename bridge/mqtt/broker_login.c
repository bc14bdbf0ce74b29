#include "mqtt/broker_login.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/section.h"

#include <stdlib.h>
#include <string.h>

/* Reads a file of a setting; `path_take` becomes the fault's. */
static enum status read_file(struct secret *out, const char *setting, char *path_take,
                             struct broker_login_fault *out_fault)
{
    enum status status = secret_read_file(out, path_take);
    if (status == STATUS_OK) {
        free(path_take);
        return status;
    }
    out_fault->setting = setting;
    out_fault->file = path_take;
    buf_printf(&out_fault->text, "cannot be read (%s)", status_text(status));
    return status;
}

/* The formula of ApsaraMQ's page about authentication, the same for a device and a signature. */
static void sign(struct slice key, struct slice client_id, struct secret *out)
{
    uint8_t mac[DIGEST_SHA1_BYTES];
    struct buf text = {0};
    digest_hmac_sha1(key, client_id, mac);
    digest_base64(slice_of(mac, sizeof mac), &text);
    secret_set(out, buf_slice(&text));
    secret_wipe(mac, sizeof mac);
    secret_wipe(text.data, text.capacity);
    buf_fini(&text);
}

static enum status read_device(struct slice content, const char *client_id,
                               struct slice out_values[2], struct broker_login_fault *out_fault)
{
    static const char *const keys[] = {"access_key_id", "access_key_secret"};
    struct section_fault fault = {0};
    struct buf *text = &out_fault->text;
    enum status status = section_read(content, client_id, keys, 2, out_values, &fault);
    if (status == STATUS_NOT_FOUND) {
        buf_printf(text, "has no section [%s]", client_id);
    } else if (status != STATUS_OK) {
        buf_printf(text, "line %zu: %s", fault.line, fault.what);
    }
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        if (out_values[i].length == 0) {
            buf_printf(text, "has no %s in the section [%s]", keys[i], client_id);
            status = STATUS_INVALID;
        }
    }
    return status;
}

/* The device's own credential, of the section that has its client id as name. */
static enum status make_device(const struct settings *settings, struct slice client_id,
                               struct broker_login *out_login, struct broker_login_fault *out_fault)
{
    static const char setting[] = "broker.apsaramq.credentials_file";
    const char *path = settings->broker.apsaramq.credentials_file;
    struct secret content = {0};
    struct slice values[2] = {{0}};
    enum status status = read_file(&content, setting, mem_strdup(path), out_fault);
    if (status == STATUS_OK) {
        char *name = mem_dup(client_id.data, client_id.length);
        status = read_device(secret_slice(&content), name, values, out_fault);
        free(name);
        if (status != STATUS_OK) {
            out_fault->setting = setting;
            out_fault->file = mem_strdup(path);
        }
    }
    if (status == STATUS_OK) {
        buf_printf(&out_login->username, "DeviceCredential|%.*s|%s", (int)values[0].length,
                   values[0].data, settings->broker.apsaramq.instance_id);
        sign(values[1], client_id, &out_login->password);
    }
    secret_fini(&content);
    return status;
}

static enum status make_apsaramq(const struct settings *settings, struct slice client_id,
                                 struct broker_login *out_login,
                                 struct broker_login_fault *out_fault)
{
    const char *mode = settings->broker.apsaramq.mode;
    bool is_token = strcmp(mode, "token") == 0;
    if (strcmp(mode, "device") == 0) {
        return make_device(settings, client_id, out_login, out_fault);
    }
    buf_printf(&out_login->username, "%s|%s|%s", is_token ? "Token" : "Signature",
               settings->broker.apsaramq.access_key_id, settings->broker.apsaramq.instance_id);
    if (is_token) {
        return read_file(&out_login->password, "broker.apsaramq.token_file",
                         mem_strdup(settings->broker.apsaramq.token_file), out_fault);
    }
    struct secret key = {0};
    enum status status = read_file(&key, "broker.apsaramq.secret_file",
                                   mem_strdup(settings->broker.apsaramq.secret_file), out_fault);
    if (status == STATUS_OK) {
        sign(secret_slice(&key), client_id, &out_login->password);
    }
    secret_fini(&key);
    return status;
}

enum status broker_login_make(const struct settings *settings, struct slice client_id,
                              struct broker_login *out_login, struct broker_login_fault *out_fault)
{
    if (settings->broker.apsaramq.instance_id[0] != '\0') {
        out_login->has_password = true;
        return make_apsaramq(settings, client_id, out_login, out_fault);
    }
    char *path = settings_password_path(settings);
    buf_append_text(&out_login->username, settings->broker.username);
    if (path == NULL) {
        return STATUS_OK;
    }
    out_login->has_password = true;
    return read_file(&out_login->password, "broker.password_file", path, out_fault);
}

void broker_login_fini(struct broker_login *login)
{
    buf_fini(&login->username);
    secret_fini(&login->password);
    *login = (struct broker_login){0};
}

void broker_login_fault_fini(struct broker_login_fault *fault)
{
    free(fault->file);
    buf_fini(&fault->text);
    *fault = (struct broker_login_fault){0};
}
