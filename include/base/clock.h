/*
 * clock - the clocks, and how times are written and read.
 *
 * Durations are measured with the monotonic clock; records have wall-clock times. Pure code does
 * not read a clock: it gets the time as an argument.
 *
 * Thread: any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/slice.h"
#include "base/status.h"

#include <stdint.h>

/* "2026-01-02T03:04:05.123Z" and its NUL. */
#define CLOCK_TEXT_BYTES 25

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t clock_wall_ms(void);
/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_mono_ms(void);
/* The same in microseconds. */
int64_t clock_mono_us(void);
/* Milliseconds of CLOCK_BOOTTIME, which also counts while the machine sleeps. */
int64_t clock_boot_ms(void);
/* Writes RFC 3339 in UTC with milliseconds; times outside the years 0000..9999 are clamped. */
void clock_format_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES]);
/* Writes "2026-01-02T03:04:05Z", the form of x-acs-date and Timestamp. */
void clock_format_s(int64_t wall_ms, char out[CLOCK_TEXT_BYTES]);
/*
 * Reads an RFC 3339 date-time (section 5.6): "T" or "t", any fraction, "Z", "z" or an offset. A
 * leap second (:60) is read as the next second. STATUS_INVALID for anything else, also for days
 * that do not exist.
 */
enum status clock_parse(struct slice text, int64_t *out_wall_ms);

#endif
