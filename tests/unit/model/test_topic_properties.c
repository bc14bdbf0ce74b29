/*
 * Properties that are true for every value a sender can choose. Values are random, from a seed that
 * is printed and is the same each time; TOPIC_SEED=number sets another one and TOPIC_ROUNDS=number
 * the count of values.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "model/command.h"
#include "model/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define SEED   20260102
#define ROUNDS 3000

static const struct command_limits LIMITS = {.reply_topic_bytes = 24, .correlation_bytes = 8};

static uint64_t seed;
static long rounds;

/* ---- random values ---- */

static uint32_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

static uint32_t below(uint32_t limit)
{
    return next_random() % limit;
}

static void add_code_point(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_append_char(out, (char)point);
    } else if (point < 0x800) {
        buf_append_char(out, (char)(0xc0 | point >> 6));
        buf_append_char(out, (char)(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        buf_append_char(out, (char)(0xe0 | point >> 12));
        buf_append_char(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (point & 0x3f)));
    } else {
        buf_append_char(out, (char)(0xf0 | point >> 18));
        buf_append_char(out, (char)(0x80 | (point >> 12 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (point & 0x3f)));
    }
}

static void add_piece(struct buf *out)
{
    static const char odd[] = "/+#%$\0.\x7f\n {}2F";
    static const char *const words[] = {"..", "$SYS", "$share/g/", "%2F", "%00", "../../", "#"};
    switch (below(5)) {
    case 0:
        buf_append_char(out, odd[below(sizeof odd - 1)]);
        break;
    case 1:
        buf_append_text(out, words[below(sizeof words / sizeof words[0])]);
        break;
    case 2:
        buf_append_char(out, (char)below(256));
        break;
    case 3:
        add_code_point(out, below(0x110000)); /* surrogates too */
        break;
    default:
        buf_append_char(out, (char)('a' + below(26)));
        break;
    }
}

static void random_value(struct buf *out)
{
    static const uint32_t sizes[] = {1, 2, 4, 30, 30, 30, 300};
    uint32_t count = below(sizes[below(sizeof sizes / sizeof sizes[0])] + 1);
    buf_clear(out);
    for (uint32_t i = 0; i < count; i++) {
        add_piece(out);
    }
}

/* ---- the results ---- */

static size_t count_of(struct slice text, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == c;
    }
    return count;
}

static void decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '%') {
            assert_true(i + 2 < text.length);
            char digits[3] = {text.data[i + 1], text.data[i + 2], '\0'};
            assert_true(strspn(digits, "0123456789ABCDEF") == 2);
            buf_append_char(out, (char)strtol(digits, NULL, 16));
            i += 2;
        } else {
            buf_append_char(out, text.data[i]);
        }
    }
}

static struct topic_values values_of(const struct buf *value)
{
    return (struct topic_values){.instance = "edge",
                                 .route = "start",
                                 .region = slice_text("cn-beijing"),
                                 .group = slice_text("pg-1"),
                                 .token = buf_slice(value)};
}

/* A template of one {ClientToken}, by its parts. */
struct template
{
    const char *before;
    const char *behind;
};

static const struct template TEMPLATES[] = {
    {"r/", ""},  {"r/", "/x"}, {"", "/r"},        {"", ""},      {"a", "b"},  {"/", "/"},
    {"$r/", ""}, {"", "$x"},   {"r/a%2F", "/b%"}, {"//", "//x"}, {"", "$/$"}, {"r/$", "$"},
};

static enum status expand(const struct template *template, const struct buf *value, struct buf *out)
{
    const char *why = NULL;
    struct buf text = {0};
    struct topic_values values = values_of(value);
    buf_printf(&text, "%s{ClientToken}%s", template->before, template->behind);
    assert_true(topic_template_is_valid(text.data, &why));
    buf_clear(out);
    enum status status = topic_expand(text.data, &values, out);
    buf_fini(&text);
    return status;
}

/* As a broker sees it: a filter with '+' for the value's level matches, one with one more level
 * does not. */
static void check_level(const struct template *template, struct slice topic)
{
    if (strcmp(template->before, "r/") != 0 || template->behind[0] != '\0') {
        return;
    }
    assert_true(topic_matches(slice_text("r/+"), topic));
    assert_false(topic_matches(slice_text("r/+/#"), topic) && count_of(topic, '/') > 1);
    assert_false(topic_matches(slice_text("r/+/+"), topic));
}

static void check_topic(const struct template *template, const struct buf *value,
                        struct slice topic)
{
    struct buf back = {0};
    size_t before = strlen(template->before);
    size_t behind = strlen(template->behind);
    assert_true(topic_is_name(topic));
    assert_int_equal(count_of(topic, '/'), count_of(slice_text(template->before), '/') +
                                               count_of(slice_text(template->behind), '/'));
    assert_int_equal(topic.data[0] == '$', template->before[0] == '$');
    assert_true(topic.length >= before + behind);
    assert_memory_equal(topic.data, template->before, before);
    if (value->length > 0 || template->behind[0] != '$') {
        assert_memory_equal(topic.data + topic.length - behind, template->behind, behind);
        decode(slice_of(topic.data + before, topic.length - before - behind), &back);
        assert_true(slice_equals(buf_slice(&back), buf_slice(value)));
    }
    check_level(template, topic);
    buf_fini(&back);
}

static void test_every_value_stays_on_its_level_and_can_be_read_back(void **state)
{
    (void)state;
    struct buf value = {0};
    struct buf topic = {0};
    for (long round = 0; round < rounds; round++) {
        random_value(&value);
        for (size_t i = 0; i < sizeof TEMPLATES / sizeof TEMPLATES[0]; i++) {
            enum status status = expand(&TEMPLATES[i], &value, &topic);
            bool is_nothing = value.length == 0 && TEMPLATES[i].before[0] == '\0' &&
                              TEMPLATES[i].behind[0] == '\0';
            assert_int_equal(status, is_nothing ? STATUS_NOT_FOUND : STATUS_OK);
            if (status == STATUS_OK) {
                check_topic(&TEMPLATES[i], &value, buf_slice(&topic));
            }
        }
    }
    buf_fini(&value);
    buf_fini(&topic);
}

/* One byte more, less or different: similar values are the most likely to give the same topic. */
static void change_a_little(const struct buf *value, struct buf *out)
{
    buf_clear(out);
    buf_append(out, buf_slice(value));
    uint32_t at = below((uint32_t)value->length + 1);
    if (at == value->length || below(3) == 0) {
        add_piece(out);
    } else if (below(2) == 0) {
        out->data[at] = (char)(out->data[at] ^ (1 << below(8)));
    } else {
        out->length = at;
    }
}

/* A value and one that looks like its encoded form. */
static void encode_all(const struct buf *value, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < value->length; i++) {
        buf_printf(out, "%%%02X", (unsigned)(unsigned char)value->data[i]);
    }
}

static void check_apart(const struct buf *a, const struct buf *b)
{
    struct buf topic_a = {0};
    struct buf topic_b = {0};
    for (size_t i = 0; i < sizeof TEMPLATES / sizeof TEMPLATES[0]; i++) {
        if (expand(&TEMPLATES[i], a, &topic_a) == STATUS_OK &&
            expand(&TEMPLATES[i], b, &topic_b) == STATUS_OK) {
            assert_int_equal(slice_equals(buf_slice(&topic_a), buf_slice(&topic_b)),
                             slice_equals(buf_slice(a), buf_slice(b)));
        }
    }
    buf_fini(&topic_a);
    buf_fini(&topic_b);
}

static void test_two_values_never_give_the_same_topic(void **state)
{
    (void)state;
    struct buf value = {0};
    struct buf other = {0};
    for (long round = 0; round < rounds; round++) {
        random_value(&value);
        change_a_little(&value, &other);
        check_apart(&value, &other);
        encode_all(&value, &other);
        check_apart(&value, &other);
        random_value(&other);
        check_apart(&value, &other);
    }
    buf_fini(&value);
    buf_fini(&other);
}

static void test_any_bytes_in_all_placeholders_keep_the_levels(void **state)
{
    (void)state;
    struct buf values[3] = {{0}};
    struct buf topic = {0};
    static const char text[] = "{Instance}/{RegionId}/{ReplicaGroupId}/{Route}/{ClientToken}";
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < 3; i++) {
            random_value(&values[i]);
        }
        const struct topic_values all = {.instance = "$edge",
                                         .route = "start",
                                         .region = buf_slice(&values[0]),
                                         .group = buf_slice(&values[1]),
                                         .token = buf_slice(&values[2])};
        buf_clear(&topic);
        assert_int_equal(topic_expand(text, &all, &topic), STATUS_OK);
        assert_true(topic_is_name(buf_slice(&topic)));
        assert_int_equal(count_of(buf_slice(&topic), '/'), 4);
        assert_memory_equal(topic.data, "%24edge/", 8);
    }
    for (int i = 0; i < 3; i++) {
        buf_fini(&values[i]);
    }
    buf_fini(&topic);
}

/* Each of the 256 bytes, once and repeated: 65,535 of them, or a third where it is encoded, fill a
 * topic; one more is refused, and the buffer is unchanged. */
static void test_every_byte_fits_up_to_the_limit_of_a_topic(void **state)
{
    (void)state;
    static const struct template alone = {"", ""};
    struct buf value = {0};
    struct buf topic = {0};
    for (int byte = 0; byte < 256; byte++) {
        buf_clear(&value);
        buf_append_char(&value, (char)byte);
        assert_int_equal(expand(&alone, &value, &topic), STATUS_OK);
        check_topic(&alone, &value, buf_slice(&topic));
        memset(buf_reserve(&value, TOPIC_BYTES_MAX), byte, TOPIC_BYTES_MAX);
        value.length = TOPIC_BYTES_MAX;
        bool is_encoded = byte < 0x20 || byte >= 0x7f || strchr("/+#%", byte) != NULL;
        bool is_too_long = is_encoded || byte == '$';
        assert_int_equal(expand(&alone, &value, &topic), is_too_long ? STATUS_LIMIT : STATUS_OK);
        assert_int_equal(topic.length, is_too_long ? 0 : TOPIC_BYTES_MAX);
        value.length = is_encoded ? TOPIC_BYTES_MAX / 3 : TOPIC_BYTES_MAX - 2;
        assert_int_equal(expand(&alone, &value, &topic), STATUS_OK);
        check_topic(&alone, &value, buf_slice(&topic));
    }
    buf_fini(&value);
    buf_fini(&topic);
}

/* ---- reply topics ---- */

static bool begins_with(struct slice text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

/* The filters "replies/#" and "inbox/+", and the limits, as code. */
static bool is_wanted(struct slice topic)
{
    if (topic.length > LIMITS.reply_topic_bytes ||
        count_of(topic, '/') + 1 > REPLY_TOPIC_LEVELS_MAX) {
        return false;
    }
    if (!utf8_is_mqtt_text(topic) || count_of(topic, '+') + count_of(topic, '#') > 0) {
        return false;
    }
    return slice_equals_text(topic, "replies") || begins_with(topic, "replies/") ||
           (begins_with(topic, "inbox/") && count_of(topic, '/') == 1);
}

static void random_reply_topic(struct buf *out)
{
    static const char *const begins[] = {"replies/", "replies", "inbox/", "inbox/a/", "", "$SYS/"};
    struct buf rest = {0};
    random_value(&rest);
    buf_clear(out);
    buf_append_text(out, begins[below(sizeof begins / sizeof begins[0])]);
    if (below(4) > 0) {
        buf_append(out, buf_slice(&rest));
    }
    buf_fini(&rest);
}

static void test_a_reply_goes_to_an_allowed_topic_or_to_that_of_the_route(void **state)
{
    (void)state;
    char *places[] = {(char *)"replies/#", (char *)"inbox/+"};
    const struct route route = {.name = (char *)"start",
                                .reply_topic = (char *)"own/{ClientToken}",
                                .response_topics = {places, 2}};
    struct buf wanted = {0};
    long allowed_count = 0;
    for (long round = 0; round < rounds; round++) {
        random_reply_topic(&wanted);
        struct reply_to reply_to;
        struct refusal refusal;
        struct delivery delivery = {.response_topic = buf_slice(&wanted)};
        struct request request = {0};
        if (round % 2 == 0) { /* in the body instead */
            delivery.response_topic = (struct slice){0};
            request.reply_to = buf_slice(&wanted);
        }
        bool is_allowed = is_wanted(buf_slice(&wanted));
        enum status status = reply_to_resolve(&route, "edge", &LIMITS, &delivery, &request,
                                              slice_text("t"), &reply_to, &refusal);
        assert_int_equal(status, is_allowed ? STATUS_OK : STATUS_INVALID);
        assert_true(slice_equals(slice_text(reply_to.topic),
                                 is_allowed ? buf_slice(&wanted) : slice_text("own/t")));
        assert_true(topic_is_name(slice_text(reply_to.topic)));
        allowed_count += is_allowed;
        reply_to_fini(&reply_to);
    }
    assert_true(allowed_count > rounds / 50);
    buf_fini(&wanted);
}

static void test_a_list_that_allows_all_topics_does_not_allow_those_of_the_broker(void **state)
{
    (void)state;
    char *everything[] = {(char *)"#"};
    const struct route route = {.response_topics = {everything, 1}};
    struct buf wanted = {0};
    for (long round = 0; round < rounds; round++) {
        random_reply_topic(&wanted);
        if (route_allows_reply_topic(&route, buf_slice(&wanted))) {
            assert_true(topic_is_name(buf_slice(&wanted)));
            assert_true(wanted.data[0] != '$');
        }
    }
    buf_fini(&wanted);
}

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_stays_on_its_level_and_can_be_read_back),
        cmocka_unit_test(test_two_values_never_give_the_same_topic),
        cmocka_unit_test(test_any_bytes_in_all_placeholders_keep_the_levels),
        cmocka_unit_test(test_every_byte_fits_up_to_the_limit_of_a_topic),
        cmocka_unit_test(test_a_reply_goes_to_an_allowed_topic_or_to_that_of_the_route),
        cmocka_unit_test(test_a_list_that_allows_all_topics_does_not_allow_those_of_the_broker),
    };
    seed = (uint64_t)number_of("TOPIC_SEED", SEED);
    rounds = number_of("TOPIC_ROUNDS", ROUNDS);
    printf("TOPIC_SEED=%llu TOPIC_ROUNDS=%ld\n", (unsigned long long)seed, rounds);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
