/* A form names the members. Errors name the member, never its value. */
#include "document.h"

#include "base/clock.h"

#include <string.h>

#define DEPTH_MAX 16

/* The same members in all services; only the object that contains them differs. */
#define SERVICE_MEMBERS                                                         \
    .id = "AccessKeyId", .secret = "AccessKeySecret", .token = "SecurityToken", \
    .expiration = "Expiration", .needs_token = true, .needs_expiration = true

const struct credential_form credential_form_plain = {
    SERVICE_MEMBERS,
};

const struct credential_form credential_form_sts = {
    .within = "Credentials",
    SERVICE_MEMBERS,
};

const struct credential_form credential_form_cloud_sso = {
    .within = "CloudCredential",
    SERVICE_MEMBERS,
};

static enum status complain(struct buf *why, const char *name, const char *what)
{
    buf_printf(why, "%s %s", name, what);
    return STATUS_INVALID;
}

/* STATUS_NOT_FOUND: absent or null. */
static enum status find_text(const struct json *object, const char *name, struct slice *out,
                             struct buf *why)
{
    const struct json *found = NULL;
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        if (!slice_equals_text(json_name(member), name)) {
            continue;
        }
        if (found != NULL) {
            return complain(why, name, "appears twice");
        }
        found = member;
    }
    if (found == NULL || json_kind(found) == JSON_NULL) {
        return STATUS_NOT_FOUND;
    }
    if (json_kind(found) != JSON_TEXT) {
        buf_printf(why, "%s must be a string; its type is %s", name,
                   json_kind_text(json_kind(found)));
        return STATUS_INVALID;
    }
    *out = json_text(found);
    return out->length > 0 ? STATUS_OK : complain(why, name, "is empty");
}

static enum status read_key(const struct json *object, const char *name, bool is_needed,
                            struct secret *out, struct buf *why)
{
    struct slice text = {0};
    if (name == NULL) {
        return STATUS_OK;
    }
    enum status status = find_text(object, name, &text, why);
    if (status == STATUS_NOT_FOUND) {
        return is_needed ? complain(why, name, "is missing") : STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!credentials_is_key(text)) {
        return complain(why, name, "holds a character that keys cannot have");
    }
    secret_set(out, text);
    return STATUS_OK;
}

static enum status read_expiration(const struct json *object, const struct credential_form *form,
                                   int64_t *out_ms, struct buf *why)
{
    struct slice text = {0};
    *out_ms = INT64_MAX;
    if (form->expiration == NULL) {
        return STATUS_OK;
    }
    enum status status = find_text(object, form->expiration, &text, why);
    if (status == STATUS_NOT_FOUND) {
        return form->needs_expiration ? complain(why, form->expiration, "is missing") : STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    return clock_parse(text, out_ms) == STATUS_OK
               ? STATUS_OK
               : complain(why, form->expiration, "is not a time like 2026-01-02T03:04:05Z");
}

static enum status read_members(const struct json *object, const struct credential_form *form,
                                struct credentials *out, struct buf *why)
{
    enum status status = read_key(object, form->id, true, &out->access_key_id, why);
    if (status == STATUS_OK) {
        status = read_key(object, form->secret, true, &out->access_key_secret, why);
    }
    if (status == STATUS_OK) {
        status = read_key(object, form->token, form->needs_token, &out->security_token, why);
    }
    if (status == STATUS_OK) {
        status = read_expiration(object, form, &out->expires_at_ms, why);
    }
    return status;
}

enum status credentials_read_object(const struct json *object, const struct credential_form *form,
                                    struct credentials *out, struct buf *out_why)
{
    struct credentials credentials = {0};
    if (object != NULL && form->within != NULL && json_kind(object) == JSON_OBJECT) {
        object = json_member(object, form->within);
        if (object == NULL) {
            return complain(out_why, form->within, "is missing");
        }
    }
    if (object == NULL || json_kind(object) != JSON_OBJECT) {
        return complain(out_why, form->within == NULL ? "the document" : form->within,
                        "is not a JSON object");
    }
    enum status status = read_members(object, form, &credentials, out_why);
    if (status != STATUS_OK) {
        credentials_fini(&credentials);
        return status;
    }
    *out = credentials;
    return STATUS_OK;
}

enum status credentials_read_document(struct slice text, const struct credential_form *form,
                                      struct credentials *out, struct buf *out_why)
{
    struct json_fault fault;
    struct json *root = json_parse(text, DEPTH_MAX, &fault);
    if (root == NULL) {
        buf_printf(out_why, "the document is not JSON: %s at byte %zu", fault.what, fault.offset);
        return STATUS_INVALID;
    }
    enum status status = credentials_read_object(root, form, out, out_why);
    json_free_secret(root);
    return status;
}
