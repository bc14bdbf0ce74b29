#include "model/audit_record.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>

void audit_chain_init(struct audit_chain *chain, bool is_hashed)
{
    *chain = (struct audit_chain){.is_hashed = is_hashed};
    memset(chain->hash, '0', sizeof chain->hash - 1);
}

void audit_chain_close_line(struct audit_chain *chain, size_t start, struct buf *out)
{
    chain->seq++;
    if (chain->is_hashed) {
        /* The hash covers the hash of the line before, then this line. */
        struct buf text = {0};
        buf_append(&text, slice_of(chain->hash, sizeof chain->hash - 1));
        buf_append(&text, slice_of(out->data + start, out->length - start));
        digest_sha256_hex(buf_slice(&text), chain->hash);
        buf_fini(&text);
        json_put_text(out, "Hash", slice_text(chain->hash));
    }
    buf_append_text(out, "}\n");
    assert(out->length - start <= AUDIT_LINE_BYTES_MAX);
}

void audit_record_begin(int64_t seq, int64_t at_ms, const char *event, struct buf *out)
{
    char time[CLOCK_TEXT_BYTES];
    clock_format_ms(at_ms, time);
    buf_append_text(out, "{\"Seq\":");
    buf_append_int(out, seq);
    json_put_text(out, "Time", slice_text(time));
    json_put_text(out, "Event", slice_text(event));
}

void audit_record_render(int64_t seq, struct slice record, const struct audit_place *place,
                         struct audit_chain *chain, struct buf *out)
{
    size_t start = out->length;
    buf_append(out, record);
    if (place->begins_file) {
        json_put_bool(out, "NewFile", true);
        json_put_text(out, "Previous", slice_text(chain->hash));
    }
    if (place->is_damaged) {
        json_put_bool(out, "Damaged", true);
    }
    chain->seq = seq - 1;
    audit_chain_close_line(chain, start, out);
}

/* ---- members ---- */

/* The JSON reader refuses U+0000, so it is not written: U+FFFD takes its place. */
static void put_readable(struct buf *out, const char *name, struct slice text)
{
    if (text.length == 0 || memchr(text.data, '\0', text.length) == NULL) {
        json_put_text(out, name, text);
        return;
    }
    struct buf readable = {0};
    for (size_t i = 0; i < text.length; i++) {
        buf_append(&readable, slice_of(text.data[i] == '\0' ? "\xff" : text.data + i, 1));
    }
    json_put_text(out, name, buf_slice(&readable));
    buf_fini(&readable);
}

void audit_put_text(struct buf *out, const char *name, struct slice text)
{
    if (!slice_is_present(text)) {
        return;
    }
    size_t end = text.length;
    if (end > AUDIT_TEXT_BYTES_MAX) {
        /* Cut between two characters, whatever the bytes are. */
        end = AUDIT_TEXT_BYTES_MAX;
        while (end > AUDIT_TEXT_BYTES_MAX - 4 && ((unsigned char)text.data[end] & 0xc0) == 0x80) {
            end--;
        }
    }
    put_readable(out, name, slice_of(text.data, end));
    if (end < text.length) {
        char length_name[48];
        snprintf(length_name, sizeof length_name, "%sBytes", name);
        json_put_int(out, length_name, (int64_t)text.length);
    }
}

static void put_flag(struct buf *out, const char *name, bool is_set)
{
    if (is_set) {
        json_put_bool(out, name, true);
    }
}

void audit_put_arrival(struct buf *out, const struct delivery *delivery,
                       const struct reply_to *reply_to, bool is_token_made)
{
    audit_put_text(out, "Topic", delivery->topic);
    json_put_int(out, "QoS", delivery->qos);
    put_flag(out, "Retained", delivery->is_retained);
    put_flag(out, "Redelivered", delivery->is_redelivered);
    json_put_int(out, "PayloadBytes", (int64_t)delivery->payload_bytes);
    put_flag(out, "TokenMade", is_token_made);
    audit_put_text(out, "ReplyTopic", slice_text(reply_to->topic));
    if (slice_is_present(delivery->correlation_data)) {
        json_put_int(out, "CorrelationDataBytes", (int64_t)delivery->correlation_data.length);
    }
    audit_put_text(out, "TraceParent", slice_text(reply_to->traceparent));
}

void audit_put_request(struct buf *out, const struct route *route, const struct request *request,
                       struct slice token)
{
    if (route != NULL) {
        audit_put_text(out, "Route", slice_text(route->name));
    }
    audit_put_text(out, "ClientToken", token);
    audit_put_text(out, "RegionId", request->region);
    audit_put_text(out, "ReplicaGroupId", request->group);
    action_params_put(out, buf_slice(&request->params));
}

void audit_put_command(struct buf *out, const struct command *command)
{
    if (command->route != NULL) {
        audit_put_text(out, "Route", slice_text(command->route->name));
    }
    audit_put_text(out, "ClientToken", slice_text(command->token));
    audit_put_text(out, "Action", slice_text(command->action->name));
    audit_put_text(out, "RegionId", slice_text(command->region));
    audit_put_text(out, "ReplicaGroupId", slice_text(command->group));
    action_params_put(out, slice_text(command->params));
}

void audit_put_members(struct buf *out, struct slice members)
{
    if (members.length > 0 && out->length > 0) {
        buf_append_char(out, ',');
    }
    buf_append(out, members);
}
