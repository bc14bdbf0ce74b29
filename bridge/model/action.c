/* The rows of the table, and the canonical form of parameters: written in one place, and accepted
 * only if writing it again gives the same bytes. */
#include "model/action.h"

#include "base/codec.h"
#include "base/utf8.h"

#include <assert.h>

#define RULE_BOOL "true or false"
#define RULE_TEXT "a string of 1 to 128 printable ASCII characters"
#define RULE_LONG "a string of 1 to 4000 printable ASCII characters"

const struct action action_rows[] = {
#define ACTION(name, object, upstream, effect, token, role, goal, print)      \
    {ACTION_##name,   #name,         "ebs:" #name, OBJECT_##object, upstream, \
     EFFECT_##effect, TOKEN_##token, ROLE_##role,  GOAL_##goal,     PRINT_##print},
#include "tables/actions.def"
};

static const struct parameter parameters[] = {
#define ACTION_PARAMETER(action, name, type, need, meaning) \
    {PARAMETER_##action##_##name,                           \
     ACTION_##action,                                       \
     #name,                                                 \
     PARAMETER_##type,                                      \
     PARAMETER_##need,                                      \
     RULE_##type,                                           \
     meaning},
#include "tables/actions.def"
};

const struct action *action_find(struct slice name)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (slice_equals_text(name, action_rows[i].name)) {
            return &action_rows[i];
        }
    }
    return NULL;
}

const struct parameter *action_parameter(const struct action *action, size_t index)
{
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        if (parameters[i].action == action->id && index-- == 0) {
            return &parameters[i];
        }
    }
    return NULL;
}

bool parameter_takes(const struct parameter *parameter, struct slice text)
{
    if (parameter->type == PARAMETER_BOOL) {
        return slice_equals_text(text, "true") || slice_equals_text(text, "false");
    }
    size_t most =
        parameter->type == PARAMETER_LONG ? PARAMETER_LONG_BYTES_MAX : PARAMETER_TEXT_BYTES_MAX;
    return text.length > 0 && text.length <= most && utf8_is_printable_ascii(text);
}

void action_params_write(const struct action *action, const struct action_values *values,
                         struct buf *out)
{
    const struct parameter *parameter;
    /* In a buffer of its own, since a comma is due in one that holds something. */
    struct buf object = {0};
    json_put_open(&object, '{');
    for (size_t i = 0; (parameter = action_parameter(action, i)) != NULL; i++) {
        struct slice text = values->texts[i];
        if (slice_is_present(text) && parameter->type == PARAMETER_BOOL) {
            json_put_raw(&object, parameter->name, text);
        } else {
            json_put_text_if(&object, parameter->name, text);
        }
    }
    json_put_close(&object, '}');
    buf_append(out, buf_slice(&object));
    buf_fini(&object);
}

enum status action_params_read(const struct action *action, struct slice params,
                               struct json **out_document, struct action_values *out_values)
{
    struct json_fault fault;
    struct json *document = json_parse(params, 1, &fault);
    if (document == NULL) {
        return STATUS_INVALID;
    }
    struct action_values values = {0};
    bool is_sound = true;
    const struct parameter *parameter;
    for (size_t i = 0; (parameter = action_parameter(action, i)) != NULL; i++) {
        const struct json *value = json_member(document, parameter->name);
        enum json_kind kind = value == NULL ? JSON_NULL : json_kind(value);
        values.texts[i] = kind == JSON_TRUE    ? slice_text("true")
                          : kind == JSON_FALSE ? slice_text("false")
                                               : json_text(value);
        is_sound = is_sound && (!slice_is_present(values.texts[i]) ||
                                parameter_takes(parameter, values.texts[i]));
    }
    struct buf canonical = {0};
    if (is_sound) {
        action_params_write(action, &values, &canonical);
    }
    is_sound = is_sound && slice_equals(buf_slice(&canonical), params);
    buf_fini(&canonical);
    if (!is_sound) {
        json_free(document);
        return STATUS_INVALID;
    }
    *out_document = document;
    *out_values = values;
    return STATUS_OK;
}

bool action_params_have(struct slice params, const char *name)
{
    struct json_fault fault;
    struct json *document = json_parse(params, 1, &fault);
    const struct json *value = json_member(document, name);
    bool is_true = value != NULL && json_kind(value) == JSON_TRUE;
    json_free(document);
    return is_true;
}

void action_params_put(struct buf *out, struct slice params)
{
    if (params.length <= strlen("{}")) {
        return;
    }
    struct slice members = slice_of(params.data + 1, params.length - 2);
    if (out->length > 0 && out->data[out->length - 1] != '{') {
        buf_append_char(out, ',');
    }
    buf_append(out, members);
}

void action_params_pack(const struct action *action, const struct action_values *values,
                        struct buf *out)
{
    const struct parameter *parameter;
    for (size_t i = 0; (parameter = action_parameter(action, i)) != NULL; i++) {
        struct slice text = values->texts[i];
        if (action->print == PRINT_VALUES) {
            assert(parameter->type == PARAMETER_BOOL);
            pack_u8(out, slice_equals_text(text, "true") ? 1 : 0);
        } else if (slice_is_present(text)) {
            pack_text(out, parameter->name);
            pack_bytes(out, text);
        }
    }
}
