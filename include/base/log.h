/*
 * log - one line per event on standard error, as logfmt or JSON.
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

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
    const char *key;
    struct slice text; /* absent: the number is the value */
    int64_t number;
};

/* `role` ("bridge", "receiver", ...) is in every line; it is copied. */
void log_setup(enum log_level level, bool is_json, const char *role);
/* Replaces the level that log_setup() set. Thread: any. */
void log_set_level(enum log_level level);
/* "error", "warn", "info", "debug". */
const char *log_level_text(enum log_level level);
/* False: the text is no level. */
bool log_level_read(struct slice text, enum log_level *out_level);
bool log_is_on(enum log_level level);
enum log_level log_level(void);
bool log_is_json(void);
void log_fields(enum log_level level, const char *event, const struct log_field *fields,
                size_t count);
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
