#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define DAY_MS       INT64_C(86400000)
#define FIRST_MS     INT64_C(-62167219200000)
#define LAST_MS      INT64_C(253402300799999)
#define YEAR_1800_MS INT64_C(-5364662400000)
#define YEAR_2200_MS INT64_C(7258118400000)

struct reading {
    const char *text;
    int64_t wall_ms;
};

static void assert_reads(const char *text, int64_t wall_ms)
{
    int64_t read_ms = -1;
    if (clock_parse(slice_text(text), &read_ms) != STATUS_OK || read_ms != wall_ms) {
        fail_msg("%s was read as %lld, not %lld", text, (long long)read_ms, (long long)wall_ms);
    }
}

static void assert_refused(struct slice text)
{
    int64_t read_ms = 4711;
    if (clock_parse(text, &read_ms) != STATUS_INVALID) {
        fail_msg("%.*s was accepted", (int)text.length, text.length > 0 ? text.data : "");
    }
    assert_int_equal(read_ms, 4711);
}

static void test_known_times_are_read(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2000-02-29T12:00:00Z", 951825600000},
        {"2026-01-02T03:04:05.123Z", 1767323045123},
        {"0000-01-01T00:00:00Z", FIRST_MS},
        {"9999-12-31T23:59:59.999Z", LAST_MS},
    };
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        assert_reads(readings[i].text, readings[i].wall_ms);
    }
}

static void test_both_cases_of_t_and_z_are_read(void **state)
{
    (void)state;
    assert_reads("1970-01-01t00:00:01z", 1000);
}

static void test_a_fraction_may_have_any_digits_and_is_cut_at_milliseconds(void **state)
{
    (void)state;
    assert_reads("1970-01-01T00:00:00.5Z", 500);
    assert_reads("1970-01-01T00:00:00.05Z", 50);
    assert_reads("1970-01-01T00:00:00.1239Z", 123);
    assert_reads("1970-01-01T00:00:00.000999999999999999999999999999Z", 0);
    assert_reads("1970-01-01T00:00:00.99999999999999999999999999999999999999+00:00", 999);
}

static void test_an_offset_is_taken_away(void **state)
{
    (void)state;
    assert_reads("1970-01-01T08:00:00+08:00", 0);
    assert_reads("1969-12-31T18:30:00-05:30", 0);
    assert_reads("1970-01-01T00:00:00-00:00", 0);
    assert_reads("1970-01-01T23:59:00+23:59", 0);
    assert_reads("1985-04-12T23:20:50.52Z", 482196050520);
    assert_reads("1996-12-19T16:39:57-08:00", 851042397000);
}

static void test_a_leap_second_is_the_next_second(void **state)
{
    (void)state;
    assert_reads("1990-12-31T23:59:60Z", 662688000000);
    assert_reads("1990-12-31T15:59:60-08:00", 662688000000);
    assert_reads("1990-12-31T23:59:60.5Z", 662688000500);
}

static void test_a_leap_second_elsewhere_than_at_the_end_of_a_month_is_refused(void **state)
{
    (void)state;
    assert_refused(slice_text("1990-12-31T23:58:60Z"));
    assert_refused(slice_text("1990-12-30T23:59:60Z"));
    assert_refused(slice_text("1990-12-31T23:59:60+01:00"));
    assert_refused(slice_text("1990-12-31T12:00:60Z"));
}

static void test_days_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2024-02-30T00:00:00Z", "2024-04-31T00:00:00Z", "2024-06-31T00:00:00Z",
        "2024-09-31T00:00:00Z", "2024-11-31T00:00:00Z", "2024-01-32T00:00:00Z",
        "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-00T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
}

static void test_leap_days_are_read(void **state)
{
    (void)state;
    assert_reads("2024-02-29T00:00:00Z", 1709164800000);
    assert_reads("2400-02-29T00:00:00Z", 13574563200000);
    assert_reads("0000-02-29T00:00:00Z", FIRST_MS + 59 * DAY_MS);
}

static void test_other_forms_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "now",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00Z",
        "2024-1-01T00:00:00Z",
        "02024-01-01T00:00:00Z",
        "-2024-01-01T00:00:00Z",
        "+024-01-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T00:00:00.5",
        "2024-01-01T00:00:00.5.5Z",
        "2024-01-01T00:00:00+08",
        "2024-01-01T00:00:00+0800",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+00:60",
        "2024-01-01T00:00:00Z ",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z+00:00",
        "2024-01-01T 0:00:00Z",
        "20240101T000000Z",
        "2024-W01-1T00:00:00Z",
        "2024-01-01T00:00:0\xd9\xa1Z",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_refused(slice_text(texts[i]));
    }
    assert_refused(slice_text(NULL));
    assert_refused(slice_of("2024-01-01T00:00:00Z\0", 21));
    assert_refused(slice_of("2024-01-01T00:00:00\0", 20));
    assert_refused(slice_of("2024-01-01\0"
                            "00:00:00Z",
                            20));
}

static void test_every_truncated_time_is_refused(void **state)
{
    (void)state;
    static const char text[] = "2026-01-02T03:04:05.123+08:00";
    for (size_t length = 0; length < sizeof text - 1; length++) {
        assert_refused(slice_of(text, length));
    }
}

static void test_every_day_of_four_centuries_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t ms = YEAR_1800_MS; ms <= YEAR_2200_MS; ms += DAY_MS) {
        char text[CLOCK_TEXT_BYTES];
        char expected[64];
        struct tm date;
        time_t seconds = (time_t)(ms / 1000);
        clock_format_s(ms, text);
        gmtime_r(&seconds, &date);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00Z", date.tm_year + 1900,
                 date.tm_mon + 1, date.tm_mday);
        assert_string_equal(text, expected);
        int64_t read_ms;
        assert_int_equal(clock_parse(slice_text(text), &read_ms), STATUS_OK);
        assert_true(read_ms == ms);
    }
}

static void test_a_written_time_reads_as_itself(void **state)
{
    (void)state;
    /* The step is not a multiple of a second, a minute or a day, so that all fields vary. */
    for (int64_t ms = FIRST_MS; ms <= LAST_MS; ms += INT64_C(3600123457)) {
        char text[CLOCK_TEXT_BYTES];
        int64_t read_ms;
        clock_format_ms(ms, text);
        assert_int_equal(strlen(text), CLOCK_TEXT_BYTES - 1);
        assert_int_equal(clock_parse(slice_text(text), &read_ms), STATUS_OK);
        assert_true(read_ms == ms);
        clock_format_s(ms, text);
        assert_int_equal(clock_parse(slice_text(text), &read_ms), STATUS_OK);
        assert_true(read_ms <= ms && ms - read_ms < 1000);
    }
}

static void test_every_offset_reads_as_the_same_moment(void **state)
{
    (void)state;
    for (int minutes = -1439; minutes <= 1439; minutes++) {
        char local[CLOCK_TEXT_BYTES];
        char text[64];
        int64_t moment = INT64_C(1767323045123);
        int size = minutes < 0 ? -minutes : minutes;
        clock_format_ms(moment + minutes * INT64_C(60000), local);
        snprintf(text, sizeof text, "%.23s%c%02d:%02d", local, minutes < 0 ? '-' : '+', size / 60,
                 size % 60);
        assert_reads(text, moment);
    }
}

static void test_times_outside_four_digit_years_are_clamped(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    clock_format_ms(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    clock_format_ms(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format_s(LAST_MS + 1, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
}

static void test_the_wall_clock_agrees_with_the_c_library(void **state)
{
    (void)state;
    int64_t before_ms = (int64_t)time(NULL) * 1000;
    int64_t now_ms = clock_wall_ms();
    int64_t after_ms = ((int64_t)time(NULL) + 1) * 1000;
    /* time() may lag behind by a tick of the kernel. */
    assert_true(now_ms >= before_ms && now_ms <= after_ms + 100);
}

static void test_the_monotonic_clock_does_not_run_back(void **state)
{
    (void)state;
    int64_t last_ms = clock_mono_ms();
    for (int i = 0; i < 1000; i++) {
        int64_t now_ms = clock_mono_ms();
        assert_true(now_ms >= last_ms);
        last_ms = now_ms;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_times_are_read),
        cmocka_unit_test(test_both_cases_of_t_and_z_are_read),
        cmocka_unit_test(test_a_fraction_may_have_any_digits_and_is_cut_at_milliseconds),
        cmocka_unit_test(test_an_offset_is_taken_away),
        cmocka_unit_test(test_a_leap_second_is_the_next_second),
        cmocka_unit_test(test_a_leap_second_elsewhere_than_at_the_end_of_a_month_is_refused),
        cmocka_unit_test(test_days_that_do_not_exist_are_refused),
        cmocka_unit_test(test_leap_days_are_read),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_every_truncated_time_is_refused),
        cmocka_unit_test(test_every_day_of_four_centuries_agrees_with_the_c_library),
        cmocka_unit_test(test_a_written_time_reads_as_itself),
        cmocka_unit_test(test_every_offset_reads_as_the_same_moment),
        cmocka_unit_test(test_times_outside_four_digit_years_are_clamped),
        cmocka_unit_test(test_the_wall_clock_agrees_with_the_c_library),
        cmocka_unit_test(test_the_monotonic_clock_does_not_run_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
