/*
 * The C library does the calendar: gmtime_r() to write, strptime() and timegm() to read. The digits
 * are written here, since every command has three times in its request and its reply. strptime()
 * also takes white space, missing digits and days that a month does not have, so the form is
 * checked before the call and the date after it.
 */
#include "base/clock.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define MS_PER_S 1000
#define FIRST_MS INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LAST_MS  INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static int64_t read_clock_us(clockid_t clock)
{
    struct timespec now;
    int result = clock_gettime(clock, &now);
    assert(result == 0);
    return (int64_t)now.tv_sec * MS_PER_S * 1000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_clock_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_boot_ms(void)
{
    return read_clock_us(CLOCK_BOOTTIME) / 1000;
}

/* Writes the number with leading zeros and then `after`; returns the place behind it. */
static char *put_number(char *at, int number, int digits, char after)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    at[digits] = after;
    return at + digits + 1;
}

/* Writes date and time up to the seconds and then `after`; returns the place behind it. */
static char *put_date(char *at, int64_t wall_ms, char after, int *out_ms_of_second)
{
    int64_t ms = wall_ms < FIRST_MS ? FIRST_MS : wall_ms > LAST_MS ? LAST_MS : wall_ms;
    int ms_of_second = (int)(((ms % MS_PER_S) + MS_PER_S) % MS_PER_S);
    time_t wall_s = (time_t)((ms - ms_of_second) / MS_PER_S);
    struct tm date;
    gmtime_r(&wall_s, &date);
    at = put_number(at, date.tm_year + 1900, 4, '-');
    at = put_number(at, date.tm_mon + 1, 2, '-');
    at = put_number(at, date.tm_mday, 2, 'T');
    at = put_number(at, date.tm_hour, 2, ':');
    at = put_number(at, date.tm_min, 2, ':');
    *out_ms_of_second = ms_of_second;
    return put_number(at, date.tm_sec, 2, after);
}

void clock_format_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    int ms_of_second;
    char *at = put_date(out, wall_ms, '.', &ms_of_second);
    *put_number(at, ms_of_second, 3, 'Z') = '\0';
}

void clock_format_s(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    int ms_of_second;
    *put_date(out, wall_ms, 'Z', &ms_of_second) = '\0';
}

/* strptime() reads "95" as 9 seconds and stops before the 5, so the text must be read to its end.
 */
static bool read_whole(const char *text, const char *format, struct tm *out)
{
    const char *end = strptime(text, format, out);
    return end != NULL && *end == '\0';
}

/*
 * Removes the start of the text and copies it to `out`, in upper case, if it has this form: 'd'
 * matches a digit, '+' a sign, any other character itself in either case.
 */
static bool take_form(struct slice *text, const char *form, char *out)
{
    size_t length = strlen(form);
    if (text->length < length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        int c = toupper((unsigned char)text->data[i]);
        bool fits = form[i] == 'd'   ? isdigit(c) != 0
                    : form[i] == '+' ? c == '+' || c == '-'
                                     : c == form[i];
        if (!fits) {
            return false;
        }
        out[i] = (char)c;
    }
    out[length] = '\0';
    *text = slice_skip(*text, length);
    return true;
}

/* Date and time as if they were UTC. */
static bool take_date_time(struct slice *text, int64_t *out_wall_s, bool *out_is_leap_second)
{
    char digits[CLOCK_TEXT_BYTES];
    struct tm read = {0};
    if (!take_form(text, "dddd-dd-ddTdd:dd:dd", digits) ||
        !read_whole(digits, "%Y-%m-%dT%H:%M:%S", &read) || read.tm_sec > 60) {
        return false;
    }
    struct tm date = read;
    date.tm_sec = 0;
    *out_wall_s = (int64_t)timegm(&date) + read.tm_sec;
    *out_is_leap_second = read.tm_sec == 60;
    return date.tm_mday == read.tm_mday; /* else the month has no such day */
}

/* Any number of digits; those after the millisecond are ignored. */
static bool take_fraction(struct slice *text, int *out_ms)
{
    char taken[3];
    *out_ms = 0;
    if (!take_form(text, ".", taken)) {
        return true;
    }
    int weight = 100;
    bool has_digits = false;
    for (; take_form(text, "d", taken); weight /= 10) {
        *out_ms += weight * (taken[0] - '0');
        has_digits = true;
    }
    return has_digits;
}

static bool take_offset(struct slice *text, int *out_offset_s)
{
    char taken[8];
    *out_offset_s = 0;
    if (take_form(text, "Z", taken)) {
        return true;
    }
    struct tm offset = {0};
    if (!take_form(text, "+dd:dd", taken) || !read_whole(taken + 1, "%H:%M", &offset)) {
        return false;
    }
    int offset_s = offset.tm_hour * 3600 + offset.tm_min * 60;
    *out_offset_s = taken[0] == '-' ? -offset_s : offset_s;
    return true;
}

/* A leap second ends a month of UTC (RFC 3339, section 5.7), so the second after it begins one. */
static bool begins_a_month(int64_t wall_s)
{
    time_t seconds = (time_t)wall_s;
    struct tm date;
    gmtime_r(&seconds, &date);
    return date.tm_mday == 1 && date.tm_hour == 0 && date.tm_min == 0 && date.tm_sec == 0;
}

enum status clock_parse(struct slice text, int64_t *out_wall_ms)
{
    int64_t wall_s;
    bool is_leap_second;
    int ms;
    int offset_s;
    if (!take_date_time(&text, &wall_s, &is_leap_second) || !take_fraction(&text, &ms) ||
        !take_offset(&text, &offset_s) || text.length > 0) {
        return STATUS_INVALID;
    }
    wall_s -= offset_s;
    if (is_leap_second && !begins_a_month(wall_s)) {
        return STATUS_INVALID;
    }
    *out_wall_ms = wall_s * MS_PER_S + ms;
    return STATUS_OK;
}
