#include "model/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char *places[] = {"replies/#", "inbox/+"};

static const struct route route = {
    .name = "start",
    .action = "StartDiskReplicaGroup",
    .reply_topic = "{Instance}/replies/{RegionId}/{ClientToken}",
    .response_topics = {places, 2},
};

#define REPLY_TOPIC_BYTES 64
#define CORRELATION_BYTES 8

static const struct command_limits limits = {.reply_topic_bytes = REPLY_TOPIC_BYTES,
                                             .correlation_bytes = CORRELATION_BYTES};

struct resolved {
    struct reply_to reply_to;
    struct refusal refusal;
    enum status status;
};

static struct resolved resolve(const struct delivery *delivery, const struct request *request,
                               struct slice token)
{
    struct resolved resolved = {.refusal = {.error = ERROR_NONE}};
    resolved.status = reply_to_resolve(&route, "edge", &limits, delivery, request, token,
                                       &resolved.reply_to, &resolved.refusal);
    assert_int_equal(resolved.status == STATUS_OK, resolved.refusal.error == ERROR_NONE);
    return resolved;
}

static const char own_place[] = "edge/replies/cn-beijing/t%2F1";

static void test_the_reply_goes_where_the_sender_asked_if_the_route_allows_it(void **state)
{
    (void)state;
    static const struct {
        const char *response_topic;
        const char *reply_to;
        const char *expected;
        enum status status;
    } rows[] = {
        {NULL, NULL, own_place, STATUS_OK},
        {"replies/a", NULL, "replies/a", STATUS_OK},
        {NULL, "inbox/b", "inbox/b", STATUS_OK},
        {"replies/a", "inbox/b", "replies/a", STATUS_OK},
        {"replies/a", "elsewhere", "replies/a", STATUS_OK},
        {"elsewhere", NULL, own_place, STATUS_INVALID},
        {NULL, "elsewhere", own_place, STATUS_INVALID},
        {"elsewhere", "inbox/b", own_place, STATUS_INVALID},
        {"replies/+", NULL, own_place, STATUS_INVALID},
        {NULL, "replies/#", own_place, STATUS_INVALID},
        {"", NULL, own_place, STATUS_INVALID},
        {"replies/\x01", NULL, own_place, STATUS_INVALID},
        {"replies/\xff", NULL, own_place, STATUS_INVALID},
        {"$SYS/replies", NULL, own_place, STATUS_INVALID},
        {"inbox/a/b", NULL, own_place, STATUS_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delivery delivery = {.response_topic = slice_text(rows[i].response_topic)};
        struct request request = {.region = slice_text("cn-beijing"),
                                  .reply_to = slice_text(rows[i].reply_to)};
        struct resolved resolved = resolve(&delivery, &request, slice_text("t/1"));
        assert_int_equal(resolved.status, rows[i].status);
        assert_string_equal(resolved.reply_to.topic, rows[i].expected);
        if (rows[i].status != STATUS_OK) {
            assert_int_equal(resolved.refusal.error, ERROR_REPLY_TOPIC_NOT_ALLOWED);
        }
        reply_to_fini(&resolved.reply_to);
    }
}

static void test_a_refused_reply_topic_is_named_by_its_length_only(void **state)
{
    (void)state;
    struct delivery delivery = {.response_topic = slice_text("elsewhere")};
    struct request request = {0};
    struct resolved resolved = resolve(&delivery, &request, slice_text("t"));
    assert_non_null(strstr(resolved.refusal.message, "Response Topic of 9 bytes"));
    assert_null(strstr(resolved.refusal.message, "elsewhere"));
    reply_to_fini(&resolved.reply_to);
    delivery.response_topic = slice_text(NULL);
    request.reply_to = slice_text("x");
    resolved = resolve(&delivery, &request, slice_text("t"));
    assert_non_null(strstr(resolved.refusal.message, "ReplyTo of 1 bytes"));
    reply_to_fini(&resolved.reply_to);
}

/* The name of the field is the same for both: the limits do not depend on where the topic stands.
 */
static void test_a_reply_topic_within_the_limits_is_taken_and_a_greater_one_refused(void **state)
{
    (void)state;
    char long_topic[REPLY_TOPIC_BYTES + 2] = "replies/";
    memset(long_topic + 8, 'x', REPLY_TOPIC_BYTES - 7);
    char deep_topic[8 + 2 * REPLY_TOPIC_LEVELS_MAX] = "replies";
    for (int i = 0; i < REPLY_TOPIC_LEVELS_MAX; i++) {
        strcat(deep_topic, "/");
    }
    const struct {
        char *topic;
        const char *why;
    } rows[] = {
        {long_topic, "Response Topic has 65 bytes; limits.reply_topic_bytes is 64"},
        {deep_topic, "Response Topic has 33 levels; a reply topic may have at most 32"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delivery delivery = {.response_topic = slice_text(rows[i].topic)};
        struct request request = {.region = slice_text("cn-beijing")};
        struct resolved resolved = resolve(&delivery, &request, slice_text("t/1"));
        assert_int_equal(resolved.refusal.error, ERROR_REPLY_TOPIC_NOT_ALLOWED);
        assert_non_null(strstr(resolved.refusal.message, rows[i].why));
        assert_string_equal(resolved.reply_to.topic, own_place);
        reply_to_fini(&resolved.reply_to);
        rows[i].topic[strlen(rows[i].topic) - 1] = '\0';
        delivery.response_topic = slice_text(rows[i].topic);
        resolved = resolve(&delivery, &request, slice_text("t/1"));
        assert_int_equal(resolved.status, STATUS_OK);
        assert_string_equal(resolved.reply_to.topic, rows[i].topic);
        reply_to_fini(&resolved.reply_to);
    }
}

static void test_longer_correlation_data_is_refused_and_not_sent_back(void **state)
{
    (void)state;
    struct delivery delivery = {.response_topic = slice_text("replies/a"),
                                .correlation_data = slice_text("12345678")};
    struct request request = {0};
    struct resolved resolved = resolve(&delivery, &request, slice_text("t"));
    assert_int_equal(resolved.status, STATUS_OK);
    assert_int_equal(resolved.reply_to.correlation_data_bytes, CORRELATION_BYTES);
    reply_to_fini(&resolved.reply_to);
    delivery.correlation_data = slice_text("123456789");
    resolved = resolve(&delivery, &request, slice_text("t"));
    assert_int_equal(resolved.refusal.error, ERROR_INVALID_PARAMETER);
    assert_non_null(strstr(resolved.refusal.message,
                           "Correlation Data has 9 bytes; limits.correlation_bytes is 8"));
    assert_string_equal(resolved.reply_to.topic, "replies/a");
    assert_null(resolved.reply_to.correlation_data);
    reply_to_fini(&resolved.reply_to);
    delivery.response_topic = slice_text("elsewhere");
    resolved = resolve(&delivery, &request, slice_text("t"));
    assert_int_equal(resolved.refusal.error, ERROR_REPLY_TOPIC_NOT_ALLOWED);
    assert_null(resolved.reply_to.correlation_data);
    reply_to_fini(&resolved.reply_to);
}

static void test_without_a_token_or_a_value_of_the_template_there_is_no_reply_topic(void **state)
{
    (void)state;
    struct delivery delivery = {0};
    struct request request = {.region = slice_text("cn-beijing")};
    struct resolved resolved = resolve(&delivery, &request, slice_text(NULL));
    assert_int_equal(resolved.status, STATUS_OK);
    assert_null(resolved.reply_to.topic);
    reply_to_fini(&resolved.reply_to);
    request.region = slice_text(NULL);
    resolved = resolve(&delivery, &request, slice_text("t"));
    assert_null(resolved.reply_to.topic);
    reply_to_fini(&resolved.reply_to);
    delivery.response_topic = slice_text("elsewhere");
    resolved = resolve(&delivery, &request, slice_text(NULL));
    assert_int_equal(resolved.status, STATUS_INVALID);
    assert_null(resolved.reply_to.topic);
    reply_to_fini(&resolved.reply_to);
}

static void test_a_reply_to_owns_what_goes_back_to_the_sender(void **state)
{
    (void)state;
    char correlation_data[] = "\0\xff";
    char correlation_id[] = "c-1";
    struct delivery delivery = {.correlation_data = slice_of(correlation_data, 2)};
    struct request request = {.region = slice_text("r"),
                              .correlation_id = slice_text(correlation_id),
                              .traceparent = slice_text("tp"),
                              .tracestate = slice_text("ts"),
                              .has_body_trace = true};
    struct resolved resolved = resolve(&delivery, &request, slice_text("t"));
    memset(correlation_data, 'x', sizeof correlation_data);
    memset(correlation_id, 'x', sizeof correlation_id);
    assert_int_equal(resolved.reply_to.correlation_data_bytes, 2);
    assert_memory_equal(resolved.reply_to.correlation_data, "\0\xff", 2);
    assert_string_equal(resolved.reply_to.correlation_id, "c-1");
    assert_string_equal(resolved.reply_to.traceparent, "tp");
    assert_string_equal(resolved.reply_to.tracestate, "ts");
    assert_true(resolved.reply_to.has_body_trace);
    reply_to_fini(&resolved.reply_to);
    assert_null(resolved.reply_to.topic);
    reply_to_fini(NULL);
}

static void test_empty_correlation_data_is_there_and_absent_is_not(void **state)
{
    (void)state;
    struct delivery delivery = {.correlation_data = slice_text("")};
    struct request request = {0};
    struct resolved resolved = resolve(&delivery, &request, slice_text("t"));
    assert_non_null(resolved.reply_to.correlation_data);
    assert_int_equal(resolved.reply_to.correlation_data_bytes, 0);
    reply_to_fini(&resolved.reply_to);
    delivery.correlation_data = slice_text(NULL);
    resolved = resolve(&delivery, &request, slice_text("t"));
    assert_null(resolved.reply_to.correlation_data);
    assert_null(resolved.reply_to.correlation_id);
    assert_null(resolved.reply_to.traceparent);
    reply_to_fini(&resolved.reply_to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reply_goes_where_the_sender_asked_if_the_route_allows_it),
        cmocka_unit_test(test_a_refused_reply_topic_is_named_by_its_length_only),
        cmocka_unit_test(test_a_reply_topic_within_the_limits_is_taken_and_a_greater_one_refused),
        cmocka_unit_test(test_longer_correlation_data_is_refused_and_not_sent_back),
        cmocka_unit_test(test_without_a_token_or_a_value_of_the_template_there_is_no_reply_topic),
        cmocka_unit_test(test_a_reply_to_owns_what_goes_back_to_the_sender),
        cmocka_unit_test(test_empty_correlation_data_is_there_and_absent_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
