#include "app/control_request.h"

#include "base/json.h"

enum field { FIELD_DO, FIELD_LEVEL, FIELD_WHAT, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_DO] = "Do",
    [FIELD_LEVEL] = "Level",
    [FIELD_WHAT] = "What",
};

#define HAS(field) (1u << FIELD_##field)

/* The fields of an order besides Do, all of which are needed. */
static const struct {
    const char *name;
    unsigned fields;
} orders[] = {
    [CONTROL_STATUS] = {"status", 0},
    [CONTROL_LEVEL] = {"level", HAS(LEVEL)},
    [CONTROL_ACK] = {"ack", HAS(WHAT)},
    [CONTROL_RELOAD] = {"reload", 0},
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

/* Each field that belongs to the order is there, and no other one. */
static enum status check_fields(const struct slice fields[FIELD_COUNT], unsigned needed,
                                struct buf *out_why)
{
    for (size_t i = FIELD_DO + 1; i < FIELD_COUNT; i++) {
        bool is_needed = (needed & 1u << i) != 0;
        if (is_needed != slice_is_present(fields[i])) {
            return fail(out_why, field_names[i],
                        is_needed ? "is missing" : "does not belong to this order");
        }
    }
    return STATUS_OK;
}

static enum status read_values(const struct slice fields[FIELD_COUNT], struct control_request *out,
                               struct buf *out_why)
{
    if (slice_is_present(fields[FIELD_LEVEL]) &&
        !log_level_read(fields[FIELD_LEVEL], &out->level)) {
        return fail(out_why, "the level", "is not one of error warn info debug");
    }
    if (slice_is_present(fields[FIELD_WHAT]) &&
        !slice_equals_text(fields[FIELD_WHAT], "session_lost")) {
        return fail(out_why, "what can be acknowledged", "is session_lost");
    }
    return STATUS_OK;
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
        status = check_fields(fields, orders[request.order].fields, out_why);
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
