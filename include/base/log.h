/*
 * log - one line per event on standard error, as logfmt, JSON, or columns for a terminal.
 *
 * A line has the time, the level, the role, the event's name and its fields. Values are escaped, so
 * that no input can forge or disguise a line or a field: control characters, bytes that are not
 * UTF-8, and characters that are invisible or change the direction (utf8_is_hidden()). A value is
 * cut after 1 KiB; a line has at most 4 KiB (PIPE_BUF): fields that do not fit are left out, and
 * the line has cut=1. Secrets are never passed to it.
 *
 * Logging never waits for the reader of standard error. Up to 256 KiB of lines wait for it in
 * memory; they are written with a later line or by log_flush(). Further lines are lost, and their
 * count is logged (log_lines_lost) once the reader goes on.
 *
 * Thread: any; a line is one write(2), so lines do not mix. log_setup() is called before threads
 * start. Not in a signal handler. Fails with: nothing.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* How a line looks: one of the forms, and what is added to it. */
enum log_style {
    LOG_LOGFMT = 0,
    LOG_JSON = 1,
    LOG_CONSOLE = 2, /* aligned columns, for people */
    LOG_FORM_MASK = 3,
    LOG_WITH_PRIORITY = 4, /* begins with the priority that journald reads: "<6>" (sd-daemon(3)) */
    LOG_WITH_COLOUR = 8,   /* of the console form */
    LOG_STYLE_MASK = 15
};

struct log_field {
    const char *key;
    struct slice text; /* absent: the number is the value */
    int64_t number;
    bool is_json; /* the text is JSON of ours: it is written as it is, but not as logfmt */
};

/*
 * The style for a value of the setting log.format ("auto", "console", "logfmt", "json") and for
 * what standard error is now: a terminal (without colours where NO_COLOR is set, see no-color.org),
 * the journal (JOURNAL_STREAM, see systemd.exec(5)), or anything else.
 */
enum log_style log_style_for(const char *format);
/* `role` ("bridge", "receiver", ...) is in every line; it is copied. */
void log_setup(enum log_level level, enum log_style style, const char *role);
/* Replaces the level that log_setup() set. Thread: any. */
void log_set_level(enum log_level level);
/* "error", "warn", "info", "debug". */
const char *log_level_text(enum log_level level);
/* False: the text is no level. */
bool log_level_read(struct slice text, enum log_level *out_level);
bool log_is_on(enum log_level level);
enum log_level log_level(void);
enum log_style log_style(void);
void log_fields(enum log_level level, const char *event, const struct log_field *fields,
                size_t count);
/* Keeps the last lines in memory from now on, 32 to 64 KiB of them, for log_put_recent(). */
void log_keep_recent(void);
/* Appends the last lines, the oldest first; those of this process only. */
void log_put_recent(struct buf *out);
/* Logs the event once for each line of the text, which is its field "why". */
void log_lines(enum log_level level, const char *event, struct slice text);
/* How many lines were lost since the start. */
int64_t log_lost_count(void);
/* Writes lines that wait, as far as that is possible at once. Returns whether none waits. To be
 * called now and then: the next line may be hours away. */
bool log_flush(void);
/* Waits for the reader of the log, `timeout_ms` at most: before the end of the process. */
void log_close(int64_t timeout_ms);

/* The value of a text field: never the absent slice, which would make it a number. */
static inline struct slice log_value(struct slice value)
{
    return slice_is_present(value) ? value : slice_text("");
}

/* Fields: a C string, a slice, a number. A text that is NULL, absent or empty is left out. */
#define LOG_TEXT(field_key, value)                               \
    {                                                            \
        .key = (field_key), .text = log_value(slice_text(value)) \
    }
#define LOG_SLICE(field_key, value)                  \
    {                                                \
        .key = (field_key), .text = log_value(value) \
    }
/* The value is the text of a JSON list or object. */
#define LOG_AS_JSON(field_key, value)                                 \
    {                                                                 \
        .key = (field_key), .text = log_value(value), .is_json = true \
    }
#define LOG_INT(field_key, value)                      \
    {                                                  \
        .key = (field_key), .number = (int64_t)(value) \
    }

#define LOG_EVENT(level, event, ...)                                                   \
    do {                                                                               \
        if (log_is_on(level)) {                                                        \
            const struct log_field fields_[] = {__VA_ARGS__};                          \
            log_fields((level), (event), fields_, sizeof fields_ / sizeof fields_[0]); \
        }                                                                              \
    } while (0)
#define LOG_ERROR(event, ...) LOG_EVENT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define LOG_WARN(event, ...)  LOG_EVENT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_INFO(event, ...)  LOG_EVENT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_DEBUG(event, ...) LOG_EVENT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
