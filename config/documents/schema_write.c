#include "schema_write.h"

#include "base/json.h"

#include <stdio.h>

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

/* Appends the JSON text with a line for each value. */
static void put_lines(const struct buf *compact, struct buf *out)
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
}

void schema_write(const struct schema *schema, struct buf *out)
{
    struct buf text = {0};
    json_put_open(&text, '{');
    json_put_text(&text, "$schema", slice_text("https://json-schema.org/draft/2020-12/schema"));
    json_put_text(&text, "title", slice_text(schema->title));
    json_put_text(&text, "description", slice_text(schema->description));
    schema_put_object(&text, schema->fields, schema->field_count, schema->put_more);
    if (schema->members != NULL) {
        schema_put_members(&text, schema->members);
    }
    json_put_close(&text, '}');
    put_lines(&text, out);
    buf_fini(&text);
}
