/* Command lines and their words. */
#include "base/buf.h"
#include "credentials/argv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The words, each in brackets. */
static void assert_splits(const char *text, const char *expected)
{
    struct argv argv;
    const char *why = NULL;
    struct buf got = {0};
    assert_int_equal(argv_init(&argv, slice_text(text), &why), STATUS_OK);
    for (size_t i = 0; i < argv.count; i++) {
        buf_printf(&got, "[%s]", argv.words[i]);
    }
    assert_null(argv.words[argv.count]);
    assert_string_equal(buf_slice(&got).data, expected);
    buf_fini(&got);
    argv_fini(&argv);
}

static void test_white_space_separates_words(void **state)
{
    (void)state;
    assert_splits("a", "[a]");
    assert_splits("  a\tbc \r\n d  ", "[a][bc][d]");
}

static void test_quotes_preserve_their_content(void **state)
{
    (void)state;
    assert_splits("'a b' \"c d\"", "[a b][c d]");
    assert_splits("a'b c'd\"e\"f", "[ab cdef]");
    assert_splits("'' \"\"", "[][]");
    assert_splits("'a\"b' \"c'd\"", "[a\"b][c'd]");
    assert_splits("'a\\' \"b\\\"c\\\\d\\e\"", "[a\\][b\"c\\d\\e]");
}

static void test_a_backslash_quotes_the_next_byte(void **state)
{
    (void)state;
    assert_splits("a\\ b \\'c \\\"d \\\\e \\f", "[a b]['c][\"d][\\e][f]");
}

static void test_nothing_is_expanded(void **state)
{
    (void)state;
    assert_splits("$(touch x) `id` $HOME ~ * #a; b|c>d &", "[$(touch][x)][`id`][$HOME][~][*][#a;]"
                                                           "[b|c>d][&]");
}

static void test_an_unclosed_quote_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"", "is empty"},
        {" \t\n", "is empty"},
        {"a 'b", "has an unclosed single quote"},
        {"a \"b\\\"", "has an unclosed double quote"},
        {"a\\", "ends with a backslash"},
        {"\"a\\", "ends with a backslash"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct argv argv;
        const char *why = NULL;
        assert_int_equal(argv_init(&argv, slice_text(rows[i].text), &why), STATUS_INVALID);
        assert_string_equal(why, rows[i].why);
        assert_null(argv.words);
    }
    struct argv argv;
    const char *why = NULL;
    assert_int_equal(argv_init(&argv, slice_of("a\0b", 3), &why), STATUS_INVALID);
    assert_string_equal(why, "holds a NUL");
}

static void test_words_are_counted_up_to_the_limit(void **state)
{
    (void)state;
    struct buf text = {0};
    struct argv argv;
    const char *why = NULL;
    for (int i = 0; i < ARGV_WORDS_MAX; i++) {
        buf_append_text(&text, "w ");
    }
    assert_int_equal(argv_init(&argv, buf_slice(&text), &why), STATUS_OK);
    assert_int_equal(argv.count, ARGV_WORDS_MAX);
    argv_fini(&argv);
    buf_append_text(&text, "w");
    assert_int_equal(argv_init(&argv, buf_slice(&text), &why), STATUS_LIMIT);
    assert_string_equal(why, "has more than 1024 words");
    buf_fini(&text);
    argv_fini(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_white_space_separates_words),
        cmocka_unit_test(test_quotes_preserve_their_content),
        cmocka_unit_test(test_a_backslash_quotes_the_next_byte),
        cmocka_unit_test(test_nothing_is_expanded),
        cmocka_unit_test(test_an_unclosed_quote_is_refused_with_a_reason),
        cmocka_unit_test(test_words_are_counted_up_to_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
