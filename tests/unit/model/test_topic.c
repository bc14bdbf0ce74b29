#include "model/topic.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

struct judged {
    const char *text;
    bool is_good;
};

static void test_topic_names_contain_no_wildcards_and_no_control_characters(void **state)
{
    (void)state;
    static const struct judged rows[] = {
        {"a", true},   {"/", true},        {"a/b/c", true}, {"a//b", true},  {"$SYS/x", true},
        {"a b", true}, {"\xc3\xa9", true}, {"", false},     {"a/+", false},  {"a/#", false},
        {"a+", false}, {"a\x01", false},   {"\x7f", false}, {"\xff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(topic_is_name(slice_text(rows[i].text)), rows[i].is_good);
    }
    assert_false(topic_is_name(slice_text(NULL)));
    assert_false(topic_is_name(slice_of("a\0b", 3)));
}

static void test_topics_have_at_most_65535_bytes(void **state)
{
    (void)state;
    char *text = mem_alloc(TOPIC_BYTES_MAX + 1);
    memset(text, 'a', TOPIC_BYTES_MAX + 1);
    assert_true(topic_is_name(slice_of(text, TOPIC_BYTES_MAX)));
    assert_true(topic_is_filter(slice_of(text, TOPIC_BYTES_MAX)));
    assert_false(topic_is_name(slice_of(text, TOPIC_BYTES_MAX + 1)));
    assert_false(topic_is_filter(slice_of(text, TOPIC_BYTES_MAX + 1)));
    free(text);
}

static void test_wildcards_in_filters_are_whole_levels_and_hash_is_last(void **state)
{
    (void)state;
    static const struct judged rows[] = {
        {"#", true},         {"+", true},     {"a/#", true},         {"+/+/#", true},
        {"a/+/b", true},     {"/", true},     {"$SYS/#", true},      {"a#", false},
        {"a/b#", false},     {"#/a", false},  {"a/#/b", false},      {"a+/b", false},
        {"++", false},       {"a/+b", false}, {"", false},           {"$share/g/a", false},
        {"$shared/a", true}, {"a\n", false},  {"+/\xc0\x80", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(topic_is_filter(slice_text(rows[i].text)), rows[i].is_good);
    }
}

struct pair {
    const char *a;
    const char *b;
    bool is_true;
};

/* The examples of MQTT 5, section 4.7, and a few more. */
static void test_filters_match_names_as_the_standard_says(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/#", "sport", true},
        {"sport/#", "sports", false},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"#", "$SYS/a", false},
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"$SYS/#", "$SYS/a", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"a/+", "a/$b", true},
        {"a/#", "a/$b/c", true},
        {"A", "a", false},
        {"a/b", "a", false},
        {"a", "a/b", false},
        {"#", "/", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(topic_matches(slice_text(rows[i].a), slice_text(rows[i].b)),
                         rows[i].is_true);
    }
}

static void test_overlapping_filters_are_found(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        {"a/+", "+/b", true},   {"a/#", "a", true},        {"a/#", "b/#", false},
        {"#", "$SYS/#", false}, {"+/x", "$SYS/x", false},  {"$SYS/+", "$SYS/#", true},
        {"a/b", "a/b", true},   {"a/+/c", "a/b/d", false}, {"a/+/#", "a", false},
        {"a/+/#", "a/b", true}, {"#", "+", true},          {"a/#", "a/$b", true},
        {"+/+", "a", false},    {"/#", "+", false},        {"a/b/#", "a/+", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice a = slice_text(rows[i].a);
        struct slice b = slice_text(rows[i].b);
        assert_int_equal(topic_filters_overlap(a, b), rows[i].is_true);
        assert_int_equal(topic_filters_overlap(b, a), rows[i].is_true);
    }
}

/* Every text of up to `levels_max` levels from the alphabet; `count` of them. */
struct texts {
    char items[800][24];
    size_t count;
};

static void spell(struct texts *texts, const char *const *alphabet, size_t size,
                  unsigned levels_max)
{
    size_t first = 0;
    for (size_t i = 0; i < size; i++) {
        strcpy(texts->items[texts->count++], alphabet[i]);
    }
    for (unsigned level = 2; level <= levels_max; level++) {
        size_t end = texts->count;
        for (size_t i = first; i < end; i++) {
            for (size_t k = 0; k < size; k++) {
                assert_true(texts->count < 800);
                char *text = texts->items[texts->count++];
                assert_true(strlen(texts->items[i]) + 1 + strlen(alphabet[k]) <
                            sizeof texts->items[0]);
                strcpy(text, texts->items[i]);
                strcat(text, "/");
                strcat(text, alphabet[k]);
            }
        }
        first = end;
    }
}

/* A second implementation of the standard's rules, character by character from the left. */
static bool matches_by_the_book(const char *filter, const char *name)
{
    if (strcmp(filter, "#") == 0 || (strcmp(filter, "/#") == 0 && *name == '\0')) {
        return true;
    }
    if (*filter == '+') {
        return matches_by_the_book(filter + 1, name + strcspn(name, "/"));
    }
    if (*filter == '\0' || *name == '\0') {
        return *filter == *name;
    }
    return *filter == *name && matches_by_the_book(filter + 1, name + 1);
}

static bool is_match(const char *filter, const char *name)
{
    if (*name == '$' && (*filter == '+' || *filter == '#')) {
        return false;
    }
    return matches_by_the_book(filter, name);
}

static void test_filters_overlap_exactly_where_some_name_matches_both(void **state)
{
    (void)state;
    static const char *const filter_levels[] = {"a", "b", "$x", "", "+", "#"};
    static const char *const name_levels[] = {"a", "b", "c", "$x", ""};
    static struct texts filters;
    static struct texts names;
    static bool matches[800][800];
    spell(&filters, filter_levels, 6, 3);
    spell(&names, name_levels, 5, 4);
    for (size_t f = 0; f < filters.count; f++) {
        struct slice filter = slice_text(filters.items[f]);
        for (size_t n = 0; n < names.count && topic_is_filter(filter); n++) {
            struct slice name = slice_text(names.items[n]);
            matches[f][n] = topic_is_name(name) && is_match(filter.data, name.data);
            assert_int_equal(topic_is_name(name) && topic_matches(filter, name), matches[f][n]);
        }
    }
    for (size_t f = 0; f < filters.count; f++) {
        for (size_t g = f; g < filters.count; g++) {
            struct slice a = slice_text(filters.items[f]);
            struct slice b = slice_text(filters.items[g]);
            bool has_common_name = false;
            for (size_t n = 0; n < names.count && !has_common_name; n++) {
                has_common_name = matches[f][n] && matches[g][n];
            }
            if (topic_is_filter(a) && topic_is_filter(b)) {
                assert_int_equal(topic_filters_overlap(a, b), has_common_name);
            }
        }
    }
}

static void test_templates_with_unknown_or_open_placeholders_are_refused(void **state)
{
    (void)state;
    static const struct judged rows[] = {
        {"a/{ClientToken}", true},
        {"{Instance}/{Route}/{RegionId}/{ReplicaGroupId}/{ClientToken}", true},
        {"plain", true},
        {"$x/{Route}{Route}", true},
        {"", false},
        {"a/{Token}", false},
        {"a/{clienttoken}", false},
        {"a/{ClientToken", false},
        {"a/ClientToken}", false},
        {"{}", false},
        {"{{Route}}", false},
        {"{Route}}", false},
        {"a/+", false},
        {"a/#/{Route}", false},
        {"a\t{Route}", false},
        {"\xff{Route}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = NULL;
        assert_int_equal(topic_template_is_valid(rows[i].text, &why), rows[i].is_good);
        assert_int_equal(why == NULL, rows[i].is_good);
    }
}

static struct topic_values values_of(struct slice token)
{
    return (struct topic_values){
        .instance = "edge 1",
        .route = "start",
        .region = slice_text("cn-beijing"),
        .group = slice_text("pg-1"),
        .token = token,
    };
}

static void assert_expands(const char *text, struct slice token, const char *expected)
{
    struct topic_values values = values_of(token);
    struct buf out = {0};
    assert_int_equal(topic_expand(text, &values, &out), STATUS_OK);
    assert_string_equal(out.data, expected);
    buf_fini(&out);
}

static void test_templates_are_filled_with_the_values(void **state)
{
    (void)state;
    assert_expands("{Instance}/{Route}/{RegionId}/{ReplicaGroupId}/{ClientToken}",
                   slice_text("t-1"), "edge 1/start/cn-beijing/pg-1/t-1");
    assert_expands("a", slice_text("t"), "a");
    assert_expands("{ClientToken}{ClientToken}", slice_text("t"), "tt");
}

static void test_a_template_may_become_what_its_placeholders_leave_open(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *filter;
        bool may_match;
    } samples[] = {
        {"a/{Route}", "a/b", true},
        {"a/{Route}", "a/+", true},
        {"a/{Route}", "a/#", true},
        {"a/{Route}", "a/b/c", false},
        {"a/{Route}", "#", true},
        {"a/{Route}", "b/#", false},
        {"a/x-{Route}-y", "a/x-1-y", true},
        {"a/x-{Route}-y", "a/x-1-z", false},
        {"a/xx{Route}", "a/x", false},
        {"a", "a/#", true},
        {"$s/{Route}", "#", false},
        {"$s/{Route}", "+/b", false},
        {"$s/{Route}", "$s/b", true},
        {"{Route}", "+", true},
        {"a/", "a", false},
        {"a/", "a/+", true},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        bool may_match = topic_template_may_match(samples[i].text, slice_text(samples[i].filter));
        if (may_match != samples[i].may_match) {
            fail_msg("%s and %s: %d", samples[i].text, samples[i].filter, may_match);
        }
    }
}

static void test_values_are_percent_encoded_where_they_could_reach_another_level(void **state)
{
    (void)state;
    assert_expands("r/{ClientToken}", slice_text("a/b+c#d%e"), "r/a%2Fb%2Bc%23d%25e");
    assert_expands("r/{ClientToken}", slice_of("\0\x1f\x7f~ ", 5), "r/%00%1F%7F~ ");
    assert_expands("r/{ClientToken}", slice_text("$SYS"), "r/$SYS");
    assert_expands("{ClientToken}/r", slice_text("$SYS$"), "%24SYS$/r");
    assert_expands("r/{ClientToken}", slice_text("{Route}"), "r/{Route}");
    assert_expands("r/{ClientToken}", slice_text("\xc3\xa9"), "r/\xc3\xa9");
    assert_expands("r/{ClientToken}", slice_text("\xc3"), "r/%C3");
    assert_expands("r/{ClientToken}", slice_text("\xc2\x85"), "r/%C2%85");
}

static void test_what_is_missing_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    struct topic_values values = values_of(slice_text(NULL));
    struct buf out = {0};
    assert_int_equal(topic_expand("{ClientToken}", &values, &out), STATUS_NOT_FOUND);
    assert_int_equal(out.length, 0);
    buf_append_text(&out, "before");
    assert_int_equal(topic_expand("r/{ClientToken}/x", &values, &out), STATUS_NOT_FOUND);
    assert_string_equal(out.data, "before");
    values.token = slice_text("");
    assert_int_equal(topic_expand("{ClientToken}", &values, &out), STATUS_NOT_FOUND);
    assert_int_equal(topic_expand("r/{ClientToken}", &values, &out), STATUS_OK);
    assert_string_equal(out.data, "beforer/");
    buf_fini(&out);
}

static void test_a_topic_that_grows_too_long_is_refused(void **state)
{
    (void)state;
    char *text = mem_alloc(TOPIC_BYTES_MAX);
    memset(text, 'a', TOPIC_BYTES_MAX);
    struct topic_values values = values_of(slice_of(text, TOPIC_BYTES_MAX - 2));
    struct buf out = {0};
    assert_int_equal(topic_expand("r/{ClientToken}", &values, &out), STATUS_OK);
    assert_int_equal(out.length, TOPIC_BYTES_MAX);
    buf_clear(&out);
    values.token.length++;
    assert_int_equal(topic_expand("r/{ClientToken}", &values, &out), STATUS_LIMIT);
    assert_int_equal(out.length, 0);
    buf_fini(&out);
    free(text);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '%') {
            char digits[3] = {text.data[i + 1], text.data[i + 2], '\0'};
            buf_append_char(out, (char)strtol(digits, NULL, 16));
            i += 2;
        } else {
            buf_append_char(out, text.data[i]);
        }
    }
}

static void test_no_bytes_as_a_value_change_the_levels_of_a_topic(void **state)
{
    (void)state;
    uint32_t seed = 20260102;
    struct buf out = {0};
    struct buf back = {0};
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        size_t length = next_random(&seed) % sizeof bytes;
        for (size_t i = 0; i < length; i++) {
            static const char odd[] = "/+#%$\0\x7f";
            uint32_t random = next_random(&seed);
            bytes[i] = random % 3 == 0 ? odd[random / 3 % 7] : (char)(random >> 4);
        }
        struct topic_values values = values_of(slice_of(bytes, length));
        buf_clear(&out);
        buf_clear(&back);
        assert_int_equal(topic_expand("{ClientToken}/x", &values, &out), STATUS_OK);
        assert_true(topic_is_name(buf_slice(&out)));
        assert_true(topic_matches(slice_text("+/x"), buf_slice(&out)));
        decode(slice_of(out.data, out.length - 2), &back);
        assert_true(slice_equals(buf_slice(&back), slice_of(bytes, length)));
    }
    buf_fini(&out);
    buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_names_contain_no_wildcards_and_no_control_characters),
        cmocka_unit_test(test_topics_have_at_most_65535_bytes),
        cmocka_unit_test(test_wildcards_in_filters_are_whole_levels_and_hash_is_last),
        cmocka_unit_test(test_filters_match_names_as_the_standard_says),
        cmocka_unit_test(test_overlapping_filters_are_found),
        cmocka_unit_test(test_filters_overlap_exactly_where_some_name_matches_both),
        cmocka_unit_test(test_templates_with_unknown_or_open_placeholders_are_refused),
        cmocka_unit_test(test_templates_are_filled_with_the_values),
        cmocka_unit_test(test_a_template_may_become_what_its_placeholders_leave_open),
        cmocka_unit_test(test_values_are_percent_encoded_where_they_could_reach_another_level),
        cmocka_unit_test(test_what_is_missing_leaves_the_buffer_as_it_was),
        cmocka_unit_test(test_a_topic_that_grows_too_long_is_refused),
        cmocka_unit_test(test_no_bytes_as_a_value_change_the_levels_of_a_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
