/*
 * The calendar is reckoned in days of years that begin in March, so that the leap day is a year's
 * last: see Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". An era is 400 years.
 */
#include "base/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define MS_PER_S      1000
#define S_PER_DAY     86400
#define DAYS_PER_ERA  146097
#define DAYS_TO_EPOCH 719468                   /* from 0000-03-01 to 1970-01-01 */
#define FIRST_MS      INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LAST_MS       INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

struct date {
    int year;
    int month;
    int day;
};

/* What is left of a text that is being read. */
struct reader {
    const char *at;
    const char *end;
};

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

static int64_t floor_divide(int64_t number, int64_t by)
{
    return number / by - (number % by < 0 ? 1 : 0);
}

static int64_t days_of_date(struct date date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
}

static struct date date_of_days(int64_t days)
{
    int64_t shifted = days + DAYS_TO_EPOCH;
    int64_t era = floor_divide(shifted, DAYS_PER_ERA);
    int64_t day_of_era = shifted - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = (month_from_march + 2) % 12 + 1;
    int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
    return (struct date){.year = (int)year,
                         .month = (int)month,
                         .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1)};
}

static char *put_number(char *at, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return at + digits;
}

static char *put_char(char *at, char c)
{
    *at = c;
    return at + 1;
}

/* Writes up to and with the seconds; returns the end. */
static char *put_date_time(char *at, int64_t wall_s)
{
    int64_t days = floor_divide(wall_s, S_PER_DAY);
    int64_t second = wall_s - days * S_PER_DAY;
    struct date date = date_of_days(days);

    at = put_char(put_number(at, date.year, 4), '-');
    at = put_char(put_number(at, date.month, 2), '-');
    at = put_char(put_number(at, date.day, 2), 'T');
    at = put_char(put_number(at, second / 3600, 2), ':');
    at = put_char(put_number(at, second / 60 % 60, 2), ':');
    return put_number(at, second % 60, 2);
}

static int64_t clamp(int64_t wall_ms)
{
    if (wall_ms < FIRST_MS) {
        return FIRST_MS;
    }
    return wall_ms > LAST_MS ? LAST_MS : wall_ms;
}

void clock_format_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    int64_t ms = clamp(wall_ms);
    int64_t wall_s = floor_divide(ms, MS_PER_S);
    char *at = put_char(put_date_time(out, wall_s), '.');
    at = put_number(at, ms - wall_s * MS_PER_S, 3);
    *put_char(at, 'Z') = '\0';
}

void clock_format_s(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    int64_t wall_s = floor_divide(clamp(wall_ms), MS_PER_S);
    *put_char(put_date_time(out, wall_s), 'Z') = '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_number(struct reader *reader, int digits, int most, int *out_number)
{
    if (reader->end - reader->at < digits) {
        return false;
    }
    int number = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit(*reader->at)) {
            return false;
        }
        number = number * 10 + (*reader->at++ - '0');
    }
    *out_number = number;
    return number <= most;
}

/* `either` holds the characters that will do. */
static bool read_char(struct reader *reader, const char *either)
{
    if (reader->at == reader->end || *reader->at == '\0' || strchr(either, *reader->at) == NULL) {
        return false;
    }
    reader->at++;
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool read_date(struct reader *reader, int64_t *out_days)
{
    struct date date;
    if (!read_number(reader, 4, 9999, &date.year) || !read_char(reader, "-") ||
        !read_number(reader, 2, 12, &date.month) || date.month == 0 || !read_char(reader, "-") ||
        !read_number(reader, 2, 31, &date.day) || date.day == 0 ||
        date.day > days_of_month(date.year, date.month)) {
        return false;
    }
    *out_days = days_of_date(date);
    return true;
}

static bool read_time(struct reader *reader, int *out_second_of_day, bool *out_is_leap_second)
{
    int hour;
    int minute;
    int second;
    if (!read_number(reader, 2, 23, &hour) || !read_char(reader, ":") ||
        !read_number(reader, 2, 59, &minute) || !read_char(reader, ":") ||
        !read_number(reader, 2, 60, &second)) {
        return false;
    }
    *out_second_of_day = hour * 3600 + minute * 60 + second;
    *out_is_leap_second = second == 60;
    return true;
}

/* Any number of digits; what is finer than a millisecond is dropped. */
static bool read_fraction(struct reader *reader, int *out_ms)
{
    *out_ms = 0;
    if (!read_char(reader, ".")) {
        return true;
    }
    if (reader->at == reader->end || !is_digit(*reader->at)) {
        return false;
    }
    for (int weight = 100; reader->at < reader->end && is_digit(*reader->at); weight /= 10) {
        *out_ms += weight * (*reader->at++ - '0');
    }
    return true;
}

static bool read_offset(struct reader *reader, int *out_offset_s)
{
    *out_offset_s = 0;
    if (read_char(reader, "Zz")) {
        return true;
    }
    bool is_negative = reader->at < reader->end && *reader->at == '-';
    int hour;
    int minute;
    if (!read_char(reader, "+-") || !read_number(reader, 2, 23, &hour) || !read_char(reader, ":") ||
        !read_number(reader, 2, 59, &minute)) {
        return false;
    }
    int offset_s = hour * 3600 + minute * 60;
    *out_offset_s = is_negative ? -offset_s : offset_s;
    return true;
}

/* A leap second ends a month of UTC (RFC 3339, section 5.7), so the second after it begins one. */
static bool begins_a_month(int64_t wall_s)
{
    return wall_s % S_PER_DAY == 0 && date_of_days(wall_s / S_PER_DAY).day == 1;
}

enum status clock_parse(struct slice text, int64_t *out_wall_ms)
{
    if (text.length == 0) {
        return STATUS_INVALID;
    }
    struct reader reader = {text.data, text.data + text.length};
    int64_t days;
    int second;
    bool is_leap_second;
    int ms;
    int offset_s;
    if (!read_date(&reader, &days) || !read_char(&reader, "Tt") ||
        !read_time(&reader, &second, &is_leap_second) || !read_fraction(&reader, &ms) ||
        !read_offset(&reader, &offset_s) || reader.at != reader.end) {
        return STATUS_INVALID;
    }
    int64_t wall_s = days * S_PER_DAY + second - offset_s;
    if (is_leap_second && !begins_a_month(wall_s)) {
        return STATUS_INVALID;
    }
    *out_wall_ms = wall_s * MS_PER_S + ms;
    return STATUS_OK;
}
