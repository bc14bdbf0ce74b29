#include "base/json.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

static void put_comma_if_needed(struct buf *out)
{
    if (out->length > 0 && strchr("{[:", out->data[out->length - 1]) == NULL) {
        buf_append_char(out, ',');
    }
}

void json_put_open(struct buf *out, char bracket)
{
    put_comma_if_needed(out);
    buf_append_char(out, bracket);
}

void json_put_close(struct buf *out, char bracket)
{
    buf_append_char(out, bracket);
}

void json_put_name(struct buf *out, const char *name)
{
    put_comma_if_needed(out);
    buf_append_char(out, '"');
    buf_append_text(out, name);
    buf_append(out, slice_of("\":", 2));
}

void json_put_text(struct buf *out, const char *name, struct slice value)
{
    json_put_name(out, name);
    json_quote(out, value);
}

void json_put_text_if(struct buf *out, const char *name, struct slice value)
{
    if (slice_is_present(value)) {
        json_put_text(out, name, value);
    }
}

void json_put_int(struct buf *out, const char *name, int64_t value)
{
    json_put_name(out, name);
    buf_append_int(out, value);
}

void json_put_time(struct buf *out, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_ms(wall_ms, text);
    json_put_text(out, name, slice_text(text));
}

void json_put_int_if(struct buf *out, const char *name, int64_t value)
{
    if (value != 0) {
        json_put_int(out, name, value);
    }
}

void json_put_time_if(struct buf *out, const char *name, int64_t wall_ms)
{
    if (wall_ms != 0) {
        json_put_time(out, name, wall_ms);
    }
}

void json_put_bool(struct buf *out, const char *name, bool value)
{
    json_put_name(out, name);
    buf_append_text(out, value ? "true" : "false");
}

void json_put_raw(struct buf *out, const char *name, struct slice json)
{
    json_put_name(out, name);
    buf_append(out, json);
}

void json_put_element(struct buf *out, struct slice value)
{
    put_comma_if_needed(out);
    json_quote(out, value);
}

static bool is_plain(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* RFC 8259, section 7: above U+FFFF as a surrogate pair. */
static void put_escape(struct buf *out, uint32_t character)
{
    if (character > 0xffff) {
        character -= 0x10000;
        buf_printf(out, "\\u%04x", (unsigned)(0xd800 | character >> 10));
        character = 0xdc00 | (character & 0x3ff);
    }
    buf_printf(out, "\\u%04x", (unsigned)character);
}

/* Appends the first character of the text, which is not plain; returns its length in bytes. */
static size_t put_rare(struct buf *out, struct slice text)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    char c = text.data[0];
    const char *found = c == '\0' ? NULL : strchr(from, c);
    size_t length = utf8_character_length(text);
    if (length == 0) {
        buf_append_text(out, "\xef\xbf\xbd");
        return 1;
    }
    uint32_t character = utf8_character(text);
    if (length > 1 && !utf8_is_hidden(character)) {
        buf_append(out, slice_of(text.data, length));
    } else if (found != NULL) {
        buf_append_char(out, '\\');
        buf_append_char(out, to[found - from]);
    } else {
        put_escape(out, character);
    }
    return length;
}

void json_quote(struct buf *out, struct slice value)
{
    buf_append_char(out, '"');
    size_t at = 0;
    while (at < value.length) {
        size_t start = at;
        while (at < value.length && is_plain(value.data[at])) {
            at++;
        }
        buf_append(out, slice_of(value.data + start, at - start));
        if (at < value.length) {
            at += put_rare(out, slice_skip(value, at));
        }
    }
    buf_append_char(out, '"');
}
