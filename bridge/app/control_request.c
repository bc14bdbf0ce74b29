#include "app/control_request.h"

#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

enum field {
    FIELD_DO,
    FIELD_LEVEL,
    FIELD_WHAT,
    FIELD_TOKEN,
    FIELD_AS,
    FIELD_REQUEST_ID,
    FIELD_NOTE,
    FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_DO] = "Do",     [FIELD_LEVEL] = "Level",
    [FIELD_WHAT] = "What", [FIELD_TOKEN] = "ClientToken",
    [FIELD_AS] = "As",     [FIELD_REQUEST_ID] = "RequestId",
    [FIELD_NOTE] = "Note",
};

#define HAS(field) (1u << FIELD_##field)

/* The fields of an order besides Do. */
static const struct {
    const char *name;
    unsigned needed;
    unsigned allowed; /* besides those that are needed */
} orders[] = {
    [CONTROL_STATUS] = {"status", 0, 0},
    [CONTROL_LEVEL] = {"level", HAS(LEVEL), 0},
    [CONTROL_ACK] = {"ack", HAS(WHAT), 0},
    [CONTROL_RELOAD] = {"reload", 0, 0},
    [CONTROL_LEAVE] = {"leave", 0, 0},
    [CONTROL_SUPPORT] = {"support", 0, 0},
    [CONTROL_RETRY] = {"retry", HAS(TOKEN), 0},
    [CONTROL_RESOLVE] = {"resolve", HAS(TOKEN) | HAS(AS) | HAS(NOTE), HAS(REQUEST_ID)},
};

#define ORDER_COUNT (sizeof orders / sizeof orders[0])

static enum status fail(struct buf *out_why, const char *field, const char *what)
{
    buf_printf(out_why, "%s %s", field, what);
    return STATUS_INVALID;
}

/* The texts of the fields; absent ones are absent slices. */
static enum status read_fields(const struct json *root, struct slice out[FIELD_COUNT],
                               struct buf *out_why)
{
    for (const struct json *member = json_first(root); member != NULL; member = json_next(member)) {
        size_t field = 0;
        while (field < FIELD_COUNT && !slice_equals_text(json_name(member), field_names[field])) {
            field++;
        }
        if (field == FIELD_COUNT) {
            return fail(out_why, "the request", "has an unknown field");
        }
        if (slice_is_present(out[field])) {
            return fail(out_why, field_names[field], "is there twice");
        }
        if (json_kind(member) != JSON_TEXT) {
            return fail(out_why, field_names[field], "is not a string");
        }
        out[field] = json_text(member);
    }
    return STATUS_OK;
}

static enum status read_order(const struct slice fields[FIELD_COUNT], struct control_request *out,
                              struct buf *out_why)
{
    for (size_t i = 0; i < ORDER_COUNT; i++) {
        if (slice_is_present(fields[FIELD_DO]) &&
            slice_equals_text(fields[FIELD_DO], orders[i].name)) {
            out->order = (enum control_order)i;
            return STATUS_OK;
        }
    }
    buf_append_text(out_why, "Do is not one of");
    for (size_t i = 0; i < ORDER_COUNT; i++) {
        buf_printf(out_why, " %s", orders[i].name);
    }
    return STATUS_INVALID;
}

/* Each field that the order needs is there, and no other one but those that it allows. */
static enum status check_fields(const struct slice fields[FIELD_COUNT], unsigned needed,
                                unsigned allowed, struct buf *out_why)
{
    for (size_t i = FIELD_DO + 1; i < FIELD_COUNT; i++) {
        bool is_needed = (needed & 1u << i) != 0;
        bool is_allowed = is_needed || (allowed & 1u << i) != 0;
        bool is_there = slice_is_present(fields[i]);
        if ((is_needed && !is_there) || (is_there && !is_allowed)) {
            return fail(out_why, field_names[i],
                        is_needed ? "is missing" : "does not belong to this order");
        }
    }
    return STATUS_OK;
}

/* Copies a text of printable ASCII, as ClientTokens and RequestIds are. */
static enum status read_ascii(struct slice text, const char *name, size_t bytes_max, char *out,
                              struct buf *out_why)
{
    if (text.length == 0 || text.length > bytes_max || !utf8_is_printable_ascii(text)) {
        buf_printf(out_why, "%s has %zu bytes; allowed: 1 to %zu characters of printable ASCII",
                   name, text.length, bytes_max);
        return STATUS_INVALID;
    }
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
    return STATUS_OK;
}

static enum status read_note(struct slice text, char *out, struct buf *out_why)
{
    if (text.length == 0 || text.length > CONTROL_NOTE_BYTES_MAX || !utf8_is_mqtt_text(text)) {
        buf_printf(out_why,
                   "Note has %zu bytes; allowed: 1 to %d of UTF-8 without control characters",
                   text.length, CONTROL_NOTE_BYTES_MAX);
        return STATUS_INVALID;
    }
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
    return STATUS_OK;
}

static enum status read_resolve(const struct slice fields[FIELD_COUNT], struct control_request *out,
                                struct buf *out_why)
{
    struct slice request_id = fields[FIELD_REQUEST_ID];
    enum status status = STATUS_OK;
    if (!outcome_status_read(fields[FIELD_AS], &out->status)) {
        status = fail(out_why, "As", "is not one of succeeded failed unknown");
    }
    bool has_succeeded = out->status == OUTCOME_SUCCEEDED;
    if (status == STATUS_OK && has_succeeded != slice_is_present(request_id)) {
        status = fail(out_why, "RequestId",
                      has_succeeded ? "is missing: it is what tells of a success"
                                    : "belongs only to As succeeded");
    }
    if (status == STATUS_OK && has_succeeded) {
        status = read_ascii(request_id, "RequestId", CONTROL_REQUEST_ID_BYTES_MAX, out->request_id,
                            out_why);
    }
    return status == STATUS_OK ? read_note(fields[FIELD_NOTE], out->note, out_why) : status;
}

static enum status read_values(const struct slice fields[FIELD_COUNT], struct control_request *out,
                               struct buf *out_why)
{
    if (slice_is_present(fields[FIELD_LEVEL]) &&
        !log_level_read(fields[FIELD_LEVEL], &out->level)) {
        return fail(out_why, "the level", "is not one of error warn info debug");
    }
    out->is_of_ledger = slice_equals_text(fields[FIELD_WHAT], "ledger_may_have_lost");
    if (slice_is_present(fields[FIELD_WHAT]) && !out->is_of_ledger &&
        !slice_equals_text(fields[FIELD_WHAT], "session_lost")) {
        return fail(out_why, "what can be acknowledged", "is session_lost or ledger_may_have_lost");
    }
    enum status status = STATUS_OK;
    if (slice_is_present(fields[FIELD_TOKEN])) {
        status = read_ascii(fields[FIELD_TOKEN], "ClientToken", COMMAND_TOKEN_BYTES_MAX, out->token,
                            out_why);
    }
    if (status == STATUS_OK && out->order == CONTROL_RESOLVE) {
        status = read_resolve(fields, out, out_why);
    }
    return status;
}

enum status control_request_read(struct slice line, struct control_request *out,
                                 struct buf *out_why)
{
    struct json_fault fault;
    struct slice fields[FIELD_COUNT] = {{0}};
    struct control_request request = {0};
    struct json *root = json_parse(line, 1, &fault);
    enum status status = STATUS_OK;
    if (root == NULL) {
        buf_printf(out_why, "the request is not JSON: %s at byte %zu", fault.what, fault.offset);
        return STATUS_INVALID;
    }
    if (json_kind(root) != JSON_OBJECT) {
        status = fail(out_why, "the request", "is not a JSON object");
    }
    if (status == STATUS_OK) {
        status = read_fields(root, fields, out_why);
    }
    if (status == STATUS_OK) {
        status = read_order(fields, &request, out_why);
    }
    if (status == STATUS_OK) {
        status = check_fields(fields, orders[request.order].needed, orders[request.order].allowed,
                              out_why);
    }
    if (status == STATUS_OK) {
        status = read_values(fields, &request, out_why);
    }
    if (status == STATUS_OK) {
        *out = request;
    }
    json_free(root);
    return status;
}

void control_answer_put(bool is_done, struct slice output, struct buf *out)
{
    json_put_open(out, '{');
    json_put_bool(out, "Done", is_done);
    json_put_text(out, "Output", output);
    json_put_close(out, '}');
    buf_append_char(out, '\n');
}
