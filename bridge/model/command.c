#include "model/command.h"

#include "base/codec.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum status request_authorise(const struct route *route, const struct request *request,
                              struct refusal *out_refusal)
{
    char *region = mem_dup(request->region.data, request->region.length);
    char *group = mem_dup(request->group.data, request->group.length);
    bool is_allowed = route_allows(route, region, group);
    free(region);
    free(group);
    if (is_allowed) {
        return STATUS_OK;
    }
    out_refusal->error = ERROR_NOT_ALLOWED;
    snprintf(out_refusal->message, sizeof out_refusal->message,
             "The route does not allow this RegionId (%zu bytes) and ReplicaGroupId (%zu bytes).",
             request->region.length, request->group.length);
    return STATUS_INVALID;
}

/* Everything that identifies what the command does; not its token. */
static void pack_command(const struct action *action, struct slice region, struct slice group,
                         const struct action_values *values, struct buf *out)
{
    pack_text(out, action->name);
    pack_bytes(out, region);
    pack_bytes(out, group);
    action_params_pack(action, values, out);
}

void command_make_token(const struct route *route, const struct delivery *delivery,
                        const struct request *request, char out[DIGEST_SHA256_HEX_BYTES])
{
    bool has_correlation = slice_is_present(delivery->correlation_data);
    if (has_correlation || slice_is_present(delivery->copy_mark)) {
        struct buf text = {0};
        pack_text(&text, route->name);
        pack_bytes(&text, has_correlation ? delivery->correlation_data : delivery->copy_mark);
        pack_command(route_action(route), request->region, request->group, &request->parameters,
                     &text);
        digest_sha256_hex(buf_slice(&text), out);
        buf_fini(&text);
    } else {
        uint8_t bytes[DIGEST_SHA256_BYTES];
        digest_random(bytes, sizeof bytes);
        digest_hex(bytes, sizeof bytes, out);
    }
}

/* Copies the bytes and a NUL to *at, and moves *at to the byte after them. */
static const char *place(char **at, struct slice bytes)
{
    char *text = *at;
    if (bytes.length > 0) {
        memcpy(text, bytes.data, bytes.length);
    }
    text[bytes.length] = '\0';
    *at = text + bytes.length + 1;
    return text;
}

/* `params` are `values` in their canonical form. */
static struct command *make(const struct route *route, const struct action *action,
                            struct slice region, struct slice group, struct slice token,
                            struct slice params, const struct action_values *values)
{
    size_t text_bytes = region.length + group.length + token.length + params.length + 4;
    struct command *command = mem_zalloc(1, sizeof *command + text_bytes);
    char *at = (char *)(command + 1);
    command->route = route;
    command->action = action;
    command->region = place(&at, region);
    command->group = place(&at, group);
    command->token = place(&at, token);
    command->params = place(&at, params);
    struct buf text = {0};
    pack_command(action, region, group, values, &text);
    digest_sha256(buf_slice(&text), command->fingerprint);
    buf_fini(&text);
    return command;
}

struct command *command_of_record(const struct route *route, const struct action *action,
                                  struct slice region, struct slice group, struct slice token,
                                  struct slice params)
{
    struct json *document;
    struct action_values values;
    enum status status = action_params_read(action, params, &document, &values);
    assert(status == STATUS_OK);
    struct command *command = make(route, action, region, group, token, params, &values);
    json_free(document);
    return command;
}

struct command *command_new(const struct route *route, const struct request *request,
                            const struct delivery *delivery, struct slice token,
                            const struct command_limits *limits, int64_t now_ms)
{
    assert(slice_is_present(request->region) && slice_is_present(request->group));
    assert(token.length > 0 && request->params.length > 0 && now_ms >= 0);
    struct command *command = make(route, route_action(route), request->region, request->group,
                                   token, buf_slice(&request->params), &request->parameters);
    command->received_at_ms = now_ms;
    command->deadline_at_ms = request->not_after_ms;
    const int64_t limits_s[] = {delivery->expiry_s, limits->deadline_s}; /* negative: no limit */
    for (size_t i = 0; i < sizeof limits_s / sizeof limits_s[0]; i++) {
        bool is_limit = limits_s[i] >= 0 && limits_s[i] <= (INT64_MAX - now_ms) / 1000;
        if (is_limit && now_ms + limits_s[i] * 1000 < command->deadline_at_ms) {
            command->deadline_at_ms = now_ms + limits_s[i] * 1000;
        }
    }
    return command;
}

void command_free(struct command *command)
{
    free(command);
}
