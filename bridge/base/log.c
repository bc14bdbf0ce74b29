/*
 * A line is built in a buffer of its own and written with one write(2), so that lines of threads
 * and processes that share standard error do not mix.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_VALUE_BYTES 1024
#define LOG_LINE_BYTES  8192
#define LOG_ROLE_BYTES  32
/* Kept free for "cut=1", the closing brace and the line end. */
#define LOG_TAIL_BYTES 16

static enum log_level highest = LOG_LEVEL_INFO;
static bool is_json_line;
static char role_text[LOG_ROLE_BYTES] = "bridge";

void log_setup(enum log_level level, bool is_json, const char *role)
{
    highest = level;
    is_json_line = is_json;
    snprintf(role_text, sizeof role_text, "%s", role);
}

bool log_is_on(enum log_level level)
{
    return level <= highest;
}

enum log_level log_level(void)
{
    return highest;
}

bool log_is_json(void)
{
    return is_json_line;
}

/* The length of the first character if it can be printed as it is, else 0. */
static size_t printable_length(struct slice text)
{
    size_t length = utf8_character_length(text);
    unsigned char first = length > 0 ? (unsigned char)text.data[0] : 0;
    bool is_control = length == 1 && (first < 0x20 || first == 0x7f);
    /* U+0080 to U+009F: some terminals interpret them. */
    bool is_c1_control = length == 2 && first == 0xc2 && (unsigned char)text.data[1] < 0xa0;
    return is_control || is_c1_control ? 0 : length;
}

static bool needs_quotes(struct slice value)
{
    for (size_t at = 0; at < value.length;) {
        size_t length = printable_length(slice_skip(value, at));
        if (length == 0 || strchr(" \"=\\", value.data[at]) != NULL) {
            return true;
        }
        at += length;
    }
    return value.length == 0;
}

static void put_quoted(struct buf *line, struct slice value)
{
    buf_append_char(line, '"');
    for (size_t at = 0; at < value.length;) {
        const char *here = value.data + at;
        size_t length = printable_length(slice_of(here, value.length - at));
        if (length == 0) {
            buf_printf(line, "\\x%02x", (unsigned)(unsigned char)*here);
            at++;
            continue;
        }
        if (*here == '"' || *here == '\\') {
            buf_append_char(line, '\\');
        }
        buf_append(line, slice_of(here, length));
        at += length;
    }
    buf_append_char(line, '"');
}

static void put_text(struct buf *line, const char *key, struct slice value)
{
    if (value.length > LOG_VALUE_BYTES) {
        /* UTF-8 is cut between two characters, other bytes anywhere. */
        struct slice prefix = utf8_prefix(value, LOG_VALUE_BYTES);
        bool is_utf8 = LOG_VALUE_BYTES - prefix.length < 4;
        value = is_utf8 ? prefix : slice_of(value.data, LOG_VALUE_BYTES);
    }
    if (is_json_line) {
        json_put_text(line, key, value);
        return;
    }
    buf_append_text(line, line->length > 0 ? " " : "");
    buf_append_text(line, key);
    buf_append_char(line, '=');
    if (needs_quotes(value)) {
        put_quoted(line, value);
    } else {
        buf_append(line, value);
    }
}

static void put_number(struct buf *line, const char *key, int64_t number)
{
    if (is_json_line) {
        json_put_int(line, key, number);
    } else {
        buf_printf(line, " %s=", key);
        buf_append_int(line, number);
    }
}

static void put_head(struct buf *line, enum log_level level, const char *event)
{
    static const char *const levels[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARN] = "warn",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
    };
    char time[CLOCK_TEXT_BYTES];
    clock_format_ms(clock_wall_ms(), time);
    assert((size_t)level < sizeof levels / sizeof levels[0]);
    if (is_json_line) {
        json_put_open(line, '{');
    }
    put_text(line, "time", slice_text(time));
    put_text(line, "level", slice_text(levels[level]));
    put_text(line, "role", slice_text(role_text));
    put_text(line, "event", slice_text(event));
}

/* Returns whether all of them fit. */
static bool put_fields(struct buf *line, const struct log_field *fields, size_t count)
{
    bool is_whole = true;
    for (size_t i = 0; i < count; i++) {
        size_t before = line->length;
        if (!slice_is_present(fields[i].text)) {
            put_number(line, fields[i].key, fields[i].number);
        } else if (fields[i].text.length > 0) {
            put_text(line, fields[i].key, fields[i].text);
        }
        if (line->length > LOG_LINE_BYTES - LOG_TAIL_BYTES) {
            line->length = before;
            is_whole = false;
        }
    }
    return is_whole;
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields,
                size_t count)
{
    if (!log_is_on(level)) {
        return;
    }
    int error = errno;
    struct buf line = {0};
    put_head(&line, level, event);
    if (!put_fields(&line, fields, count)) {
        put_number(&line, "cut", 1);
    }
    buf_append_text(&line, is_json_line ? "}\n" : "\n");
    /* If the reader of the log is slow or gone, the line is lost: the work must not wait for it. */
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line.data, line.length);
    } while (written < 0 && errno == EINTR);
    buf_fini(&line);
    errno = error;
}
