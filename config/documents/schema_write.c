#include "schema_write.h"

#include "base/json.h"

#include <stdio.h>

void schema_put_head(struct buf *out, const char *title, const char *description)
{
    json_put_text(out, "$schema", slice_text("https://json-schema.org/draft/2020-12/schema"));
    json_put_text(out, "title", slice_text(title));
    json_put_text(out, "description", slice_text(description));
}

void schema_put_members(struct buf *out, const char *members)
{
    if (out->data[out->length - 1] != '{') {
        buf_append_char(out, ',');
    }
    buf_append_text(out, members);
}

void schema_put_field(struct buf *out, const struct schema_field *field)
{
    json_put_name(out, field->name);
    json_put_open(out, '{');
    json_put_text(out, "description", slice_text(field->meaning));
    if (field->put != NULL) {
        field->put(out);
    } else {
        schema_put_members(out, field->members);
    }
    json_put_close(out, '}');
}

void schema_put_object(struct buf *out, const struct schema_field *fields, size_t count,
                       void (*more)(struct buf *out))
{
    schema_put_members(out, "\"type\":\"object\"");
    json_put_name(out, "properties");
    json_put_open(out, '{');
    for (size_t i = 0; i < count; i++) {
        schema_put_field(out, &fields[i]);
    }
    if (more != NULL) {
        more(out);
    }
    json_put_close(out, '}');
    json_put_name(out, "required");
    json_put_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (fields[i].is_required) {
            json_put_element(out, slice_text(fields[i].name));
        }
    }
    json_put_close(out, ']');
}

static void put_line(struct buf *out, int depth)
{
    buf_printf(out, "\n%*s", depth * 2, "");
}

void schema_put_lines(struct buf *compact, struct buf *out)
{
    int depth = 0;
    bool is_text = false;
    for (size_t i = 0; i < compact->length; i++) {
        char c = compact->data[i];
        if (is_text) {
            buf_append_char(out, c);
            if (c == '\\') {
                buf_append_char(out, compact->data[++i]);
            }
            is_text = c != '"';
        } else if (c == '{' || c == '[') {
            buf_append_char(out, c);
            put_line(out, ++depth);
        } else if (c == '}' || c == ']') {
            put_line(out, --depth);
            buf_append_char(out, c);
        } else if (c == ',') {
            buf_append_char(out, c);
            put_line(out, depth);
        } else {
            buf_append_text(out, c == ':' ? ": " : "");
            if (c != ':') {
                buf_append_char(out, c);
            }
            is_text = c == '"';
        }
    }
    buf_append_char(out, '\n');
    buf_fini(compact);
}
