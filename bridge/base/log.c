/*
 * A line is built in a buffer of its own and written with one write(2) of at most PIPE_BUF bytes,
 * so that lines of threads and processes that share standard error do not mix. What cannot be
 * written at once waits in a buffer; when that is full, lines are counted instead, and the count is
 * logged behind what waits.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "log_output.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_VALUE_BYTES 1024
#define LOG_LINE_BYTES  PIPE_BUF
#define LOG_ROLE_BYTES  32
/* Kept free for "cut=1", the closing brace and the line end. */
#define LOG_TAIL_BYTES 16
/* The most bytes of lines that wait until standard error takes them. */
#define LOG_WAITING_BYTES ((size_t)256 * 1024)
#define LOG_CLOSE_STEP_MS 10
#define LOG_RECENT_BYTES  ((size_t)32 * 1024) /* of each of two parts */

static _Atomic enum log_level highest = LOG_LEVEL_INFO;
static enum log_style style = LOG_LOGFMT;
static char role_text[LOG_ROLE_BYTES] = "bridge";

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows, and the output */
static struct buf waiting;                                /* whole lines, the first may be a rest */
static int64_t lost_count;                                /* lines since `waiting` was full */
static bool is_keeping_recent;
static struct buf recent[2];   /* the last lines: the part that is being filled, the one before */
static int64_t all_lost_count; /* lines since the start */

enum log_style log_style_for(const char *format)
{
    bool is_console = strcmp(format, "console") == 0;
    enum log_style found = LOG_LOGFMT;
    if (strcmp(format, "json") == 0) {
        found = LOG_JSON;
    } else if (is_console || (strcmp(format, "auto") == 0 && isatty(STDERR_FILENO))) {
        const char *no_colour = getenv("NO_COLOR");
        bool has_colour = isatty(STDERR_FILENO) && (no_colour == NULL || *no_colour == '\0');
        found = has_colour ? LOG_CONSOLE | LOG_WITH_COLOUR : LOG_CONSOLE;
    }
    return log_output_is_journal() ? found | LOG_WITH_PRIORITY : found;
}

void log_setup(enum log_level level, enum log_style new_style, const char *role)
{
    highest = level;
    style = new_style;
    snprintf(role_text, sizeof role_text, "%s", role);
    pthread_mutex_lock(&mutex);
    log_output_open();
    pthread_mutex_unlock(&mutex);
}

void log_set_level(enum log_level level)
{
    highest = level;
}

static const struct {
    const char *text;
    const char *priority; /* of syslog */
    const char *colour;   /* SGR codes of ECMA-48 */
} LEVELS[] = {
    [LOG_LEVEL_ERROR] = {"error", "<3>", "\033[1;31m"},
    [LOG_LEVEL_WARN] = {"warn", "<4>", "\033[33m"},
    [LOG_LEVEL_INFO] = {"info", "<6>", "\033[32m"},
    [LOG_LEVEL_DEBUG] = {"debug", "<7>", "\033[2m"},
};

const char *log_level_text(enum log_level level)
{
    assert((size_t)level < sizeof LEVELS / sizeof LEVELS[0]);
    return LEVELS[level].text;
}

bool log_level_read(struct slice text, enum log_level *out_level)
{
    for (size_t i = 0; i < sizeof LEVELS / sizeof LEVELS[0]; i++) {
        if (slice_equals_text(text, LEVELS[i].text)) {
            *out_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_is_on(enum log_level level)
{
    return level <= highest;
}

enum log_level log_level(void)
{
    return highest;
}

enum log_style log_style(void)
{
    return style;
}

static bool is_form(enum log_style form)
{
    return (style & LOG_FORM_MASK) == form;
}

/* The length of the first character if it can be printed as it is, else 0. */
static size_t printable_length(struct slice text)
{
    size_t length = utf8_character_length(text);
    return length > 0 && utf8_is_hidden(utf8_character(text)) ? 0 : length;
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

static void put_colour(struct buf *line, const char *codes)
{
    if ((style & LOG_WITH_COLOUR) != 0) {
        buf_append_text(line, codes);
    }
}

/* The key of a field that is not the first of its line. */
static void put_key(struct buf *line, const char *key)
{
    buf_append_char(line, ' ');
    put_colour(line, "\033[2m");
    buf_append_text(line, key);
    buf_append_char(line, '=');
    put_colour(line, "\033[0m");
}

static void put_text(struct buf *line, const char *key, struct slice value)
{
    if (value.length > LOG_VALUE_BYTES) {
        /* UTF-8 is cut between two characters, other bytes anywhere. */
        struct slice prefix = utf8_prefix(value, LOG_VALUE_BYTES);
        bool is_utf8 = LOG_VALUE_BYTES - prefix.length < 4;
        value = is_utf8 ? prefix : slice_of(value.data, LOG_VALUE_BYTES);
    }
    if (is_form(LOG_JSON)) {
        json_put_text(line, key, value);
        return;
    }
    put_key(line, key);
    if (needs_quotes(value)) {
        put_quoted(line, value);
    } else {
        buf_append(line, value);
    }
}

static void put_number(struct buf *line, const char *key, int64_t number)
{
    if (is_form(LOG_JSON)) {
        json_put_int(line, key, number);
    } else {
        put_key(line, key);
        buf_append_int(line, number);
    }
}

static void put_head(struct buf *line, enum log_level level, const char *event)
{
    char time[CLOCK_TEXT_BYTES];
    clock_format_ms(clock_wall_ms(), time);
    if ((style & LOG_WITH_PRIORITY) != 0) {
        buf_append_text(line, LEVELS[level].priority);
    }
    if (is_form(LOG_CONSOLE)) {
        /* Of the time only that of the day: 03:04:05.123Z. */
        put_colour(line, "\033[2m");
        buf_append_text(line, strchr(time, 'T') + 1);
        put_colour(line, "\033[0m");
        put_colour(line, LEVELS[level].colour);
        buf_printf(line, " %-5s", log_level_text(level));
        put_colour(line, "\033[0m");
        buf_printf(line, " %-9s ", role_text);
        put_colour(line, "\033[1m");
        buf_printf(line, "%-23s", event);
        put_colour(line, "\033[0m");
        return;
    }
    if (is_form(LOG_JSON)) {
        buf_append_char(line, '{');
        json_put_text(line, "time", slice_text(time));
    } else {
        buf_append_text(line, "time=");
        buf_append_text(line, time);
    }
    put_text(line, "level", slice_text(log_level_text(level)));
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
        } else if (fields[i].is_json && is_form(LOG_JSON)) {
            json_put_raw(line, fields[i].key, fields[i].text);
        } else if (fields[i].is_json && is_form(LOG_CONSOLE)) {
            put_key(line, fields[i].key);
            buf_append(line, fields[i].text);
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

static void build_line(struct buf *line, enum log_level level, const char *event,
                       const struct log_field *fields, size_t count)
{
    put_head(line, level, event);
    if (!put_fields(line, fields, count)) {
        put_number(line, "cut", 1);
    }
    buf_append_text(line, is_form(LOG_JSON) ? "}\n" : "\n");
}

/* Writes what waits, as whole lines, until the output has no room. */
static void write_waiting(void)
{
    size_t done = 0;
    size_t written = 1;
    while (done < waiting.length && written > 0) {
        struct slice part = slice_skip(buf_slice(&waiting), done);
        if (part.length > PIPE_BUF) {
            const char *end = memrchr(part.data, '\n', PIPE_BUF);
            assert(end != NULL);
            part.length = (size_t)(end + 1 - part.data);
        }
        written = log_output_write(part);
        done += written;
    }
    if (done == waiting.length) {
        buf_fini(&waiting);
    } else {
        buf_consume(&waiting, done);
    }
}

/* Writes what waits and reports what was lost behind it. */
static void write_behind(void)
{
    write_waiting();
    if (waiting.length == 0 && lost_count > 0) {
        const struct log_field fields[] = {LOG_INT("lines", lost_count)};
        build_line(&waiting, LOG_LEVEL_WARN, "log_lines_lost", fields, 1);
        lost_count = 0;
        write_waiting();
    }
}

int64_t log_lost_count(void)
{
    pthread_mutex_lock(&mutex);
    int64_t count = all_lost_count;
    pthread_mutex_unlock(&mutex);
    return count;
}

bool log_flush(void)
{
    int error = errno;
    pthread_mutex_lock(&mutex);
    write_behind();
    bool is_written = waiting.length == 0;
    pthread_mutex_unlock(&mutex);
    errno = error;
    return is_written;
}

void log_close(int64_t timeout_ms)
{
    const struct timespec step = {.tv_nsec = LOG_CLOSE_STEP_MS * 1000000L};
    int64_t ends_ms = clock_mono_ms() + timeout_ms;
    while (!log_flush() && clock_mono_ms() < ends_ms) {
        nanosleep(&step, NULL);
    }
}

void log_keep_recent(void)
{
    pthread_mutex_lock(&mutex);
    is_keeping_recent = true;
    pthread_mutex_unlock(&mutex);
}

void log_put_recent(struct buf *out)
{
    pthread_mutex_lock(&mutex);
    buf_append(out, buf_slice(&recent[1]));
    buf_append(out, buf_slice(&recent[0]));
    pthread_mutex_unlock(&mutex);
}

static void keep_line(struct slice line)
{
    if (recent[0].length + line.length > LOG_RECENT_BYTES) {
        struct buf older = recent[1];
        recent[1] = recent[0];
        recent[0] = older;
        buf_clear(&recent[0]);
    }
    buf_append(&recent[0], line);
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields,
                size_t count)
{
    if (!log_is_on(level)) {
        return;
    }
    int error = errno;
    struct buf line = {0};
    build_line(&line, level, event, fields, count);
    pthread_mutex_lock(&mutex);
    write_behind();
    if (is_keeping_recent) {
        keep_line(buf_slice(&line));
    }
    size_t written = waiting.length == 0 ? log_output_write(buf_slice(&line)) : 0;
    struct slice rest = slice_skip(buf_slice(&line), written);
    bool has_room = lost_count == 0 && waiting.length + rest.length <= LOG_WAITING_BYTES;
    if (rest.length > 0 && has_room) {
        buf_append(&waiting, rest);
    } else if (rest.length > 0) {
        lost_count++;
        all_lost_count++;
    }
    pthread_mutex_unlock(&mutex);
    buf_fini(&line);
    errno = error;
}

void log_lines(enum log_level level, const char *event, struct slice text)
{
    for (struct slice line; slice_take_line(&text, &line);) {
        LOG_EVENT(level, event, LOG_SLICE("why", line));
    }
}
