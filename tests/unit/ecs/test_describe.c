/* The API is fake_http. */
#include "ecs/describe.h"

#include "support/fakes/ecs_parts.h"
#include "support/fakes/fake_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define URL           "https://ebs.cn-beijing.aliyuncs.com/?"
#define AREA          "&RegionId=cn-beijing"
#define REFUSAL(code) "{\"RequestId\":\"R1\",\"Code\":\"" code "\",\"Message\":\"m\"}"

struct fixture {
    struct ecs_parts api;
    struct describer *describer;
    int answers;
    enum describe_result result;
    enum reaction reaction;
    int64_t at_ms;
    int64_t retry_after_ms;
    char ids[64]; /* those that are listed, each with a blank behind it */
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    ecs_parts_init(&fixture->api);
    fixture->describer = describer_new(fixture->api.ecs);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ecs_parts_fini(&fixture->api);
    describer_free(fixture->describer);
    free(fixture);
    return 0;
}

static void take(void *arg, const struct describe_answer *answer)
{
    struct fixture *fixture = arg;
    struct buf ids = {0};
    fixture->answers++;
    fixture->result = answer->result;
    fixture->reaction = answer->reaction;
    fixture->at_ms = answer->at_ms;
    fixture->retry_after_ms = answer->retry_after_ms;
    for (size_t i = 0; i < answer->list->count; i++) {
        buf_printf(&ids, "%s ", answer->list->groups[i].id);
    }
    snprintf(fixture->ids, sizeof fixture->ids, "%s", buf_slice(&ids).data);
    buf_fini(&ids);
}

/* Asks for pg-a and pg-b. */
static void ask(struct fixture *fixture)
{
    static const char *const ids[] = {"pg-a", "pg-b"};
    describe_groups(fixture->describer, "cn-beijing", GROUP_SITE_PRODUCTION, ids, 2, take, fixture);
}

static void answer_page(size_t index, const char *groups, const char *next_token)
{
    struct buf body = {0};
    buf_printf(&body, "{\"RequestId\":\"R\",\"NextToken\":\"%s\",\"ReplicaGroups\":[%s]}",
               next_token, groups);
    fake_http_answer_text(index, 200, body.data);
    buf_fini(&body);
}

#define GROUP(id) "{\"ReplicaGroupId\":\"" id "\",\"Status\":\"normal\"}"

static void check(const struct fixture *fixture, enum describe_result result, const char *ids)
{
    assert_int_equal(fixture->answers, 1);
    assert_int_equal(fixture->result, result);
    assert_string_equal(fixture->ids, ids);
}

static void test_one_call_asks_for_all_and_for_as_many_results(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    assert_int_equal(fixture->answers, 0);
    assert_string_equal(fake_http_request(0)->url, URL "GroupIds=pg-a%2Cpg-b&MaxResults=2" AREA);
    assert_string_equal(fake_http_header(0, "x-acs-action"), "DescribeDiskReplicaGroups");
    assert_int_equal(fake_http_request(0)->answer_bytes_max, 1048576);
    answer_page(0, GROUP("pg-b") "," GROUP("pg-a"), "");
    check(fixture, DESCRIBE_COMPLETE, "pg-b pg-a ");
}

static void test_the_other_site_is_asked_by_name(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"pg-a"};
    describe_groups(fixture->describer, "cn-beijing", GROUP_SITE_BACKUP, ids, 1, take, fixture);
    assert_string_equal(fake_http_request(0)->url,
                        URL "GroupIds=pg-a&MaxResults=1" AREA "&Site=backup");
    answer_page(0, GROUP("pg-a"), "");
    check(fixture, DESCRIBE_COMPLETE, "pg-a ");
}

static void test_pages_are_followed(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    answer_page(0, GROUP("pg-a"), "a/b");
    assert_string_equal(fake_http_request(1)->url,
                        URL "GroupIds=pg-a%2Cpg-b&MaxResults=2&NextToken=a%2Fb" AREA);
    answer_page(1, "", "c"); /* an empty page may have a next one */
    assert_int_equal(fixture->answers, 0);
    answer_page(2, GROUP("pg-b"), "");
    check(fixture, DESCRIBE_COMPLETE, "pg-a pg-b ");
}

static void test_a_group_that_is_not_listed_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    answer_page(0, GROUP("pg-b"), "");
    check(fixture, DESCRIBE_COMPLETE, "pg-b ");
}

static void test_when_all_are_there_no_further_page_is_asked_for(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    answer_page(0, GROUP("pg-a") "," GROUP("pg-b"), "more");
    assert_int_equal(fake_http_count(), 1);
    check(fixture, DESCRIBE_COMPLETE, "pg-a pg-b ");
}

static void test_after_ten_pages_the_answer_is_not_complete(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    for (size_t i = 0; i < DESCRIBE_PAGES_MAX; i++) {
        assert_int_equal(fixture->answers, 0);
        answer_page(i, i == 0 ? GROUP("pg-a") : "", "again");
    }
    assert_int_equal(fake_http_count(), DESCRIBE_PAGES_MAX);
    check(fixture, DESCRIBE_PARTIAL, "pg-a ");
}

static void test_a_token_that_cannot_be_sent_ends_the_pages(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    answer_page(0, GROUP("pg-a"), "\xc3\xa4");
    check(fixture, DESCRIBE_PARTIAL, "pg-a ");
}

static void test_what_came_before_a_page_that_failed_is_told(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    answer_page(0, GROUP("pg-a"), "t");
    fake_http_answer_text(1, 200, "{\"RequestId\":\"R\"}");
    check(fixture, DESCRIBE_PARTIAL, "pg-a ");
}

static void test_a_page_after_the_first_may_be_throttled(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    answer_page(0, GROUP("pg-a"), "t");
    fake_http_answer_text(1, 400, REFUSAL("Throttling.User"));
    check(fixture, DESCRIBE_FAILED, "pg-a ");
    assert_int_equal(fixture->reaction, REACTION_THROTTLE);
}

static void test_what_a_refusal_says_of_the_groups(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum describe_result result;
    } rows[] = {
        {404, REFUSAL("NoSuchResource"), DESCRIBE_REFUSED},
        {403, REFUSAL("Forbidden"), DESCRIBE_REFUSED},
        {403, REFUSAL("Forbidden.Action"), DESCRIBE_REFUSED},
        {403, REFUSAL("Forbidden.RAM"), DESCRIBE_REFUSED},
        {403, REFUSAL("Forbidden.AccessKeyDisabled"), DESCRIBE_FAILED},
        {403, REFUSAL("ForbiddenX"), DESCRIBE_FAILED},
        {403, REFUSAL("OperationDenied"), DESCRIBE_FAILED},
        {403, "Forbidden", DESCRIBE_FAILED},
        {404, "<html></html>", DESCRIBE_FAILED},
        {400, REFUSAL("Throttling"), DESCRIBE_FAILED},
        {429, REFUSAL("BLOCK.LimitedRequest"), DESCRIBE_FAILED},
        {500, REFUSAL("InternalError"), DESCRIBE_FAILED},
        {503, REFUSAL("ServiceUnavailable"), DESCRIBE_FAILED},
        {502, "", DESCRIBE_FAILED},
        {200, "{\"RequestId\":\"R\"}", DESCRIBE_FAILED},
        {200, "{\"ReplicaGroups\":[]}", DESCRIBE_FAILED},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->answers = 0;
        ask(fixture);
        fake_http_answer_text(i, rows[i].status, rows[i].body);
        check(fixture, rows[i].result, "");
    }
}

static void test_no_answer_is_a_failure(void **state)
{
    struct fixture *fixture = *state;
    struct http_answer cut = {.result = HTTP_CUT,
                              .retry_after_ms = -1,
                              .date_ms = -1,
                              .error = "x",
                              .body = slice_text("{\"RequestId\":\"R\",\"ReplicaGroups\":[]}")};
    ask(fixture);
    fake_http_answer(0, &cut);
    check(fixture, DESCRIBE_FAILED, "");
}

static void test_the_apis_clock_and_its_pause_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct http_answer answer = {.result = HTTP_ANSWERED,
                                 .status = 503,
                                 .body = slice_text(REFUSAL("ServiceUnavailable")),
                                 .retry_after_ms = 2500,
                                 .date_ms = 1700000000000,
                                 .error = ""};
    ask(fixture);
    fake_http_answer(0, &answer);
    assert_int_equal(fixture->at_ms, 1700000000000);
    assert_int_equal(fixture->retry_after_ms, 2500);
}

static void test_several_run_at_the_same_time(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    ask(fixture);
    answer_page(1, GROUP("pg-a"), "");
    answer_page(0, GROUP("pg-b"), "");
    assert_int_equal(fixture->answers, 2);
    ask(fixture);
    ask(fixture); /* these are freed without an answer */
}

static void test_ids_that_cannot_be_asked_for(void **state)
{
    (void)state;
    char longest[COMMAND_GROUP_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[COMMAND_GROUP_BYTES_MAX] = '\0';
    assert_true(describe_takes_id(longest));
    longest[COMMAND_GROUP_BYTES_MAX] = 'x';
    longest[COMMAND_GROUP_BYTES_MAX + 1] = '\0';
    assert_false(describe_takes_id(longest));
    assert_true(describe_takes_id("pg-\"\\*"));
    assert_false(describe_takes_id(""));
    assert_false(describe_takes_id("pg-a,pg-b"));
    assert_false(describe_takes_id("pg a"));
    assert_false(describe_takes_id("pg-\xc3\xa4"));
}

static void test_a_call_has_a_limit_in_ids_and_in_bytes(void **state)
{
    (void)state;
    const char *ids[200];
    char longest[COMMAND_GROUP_BYTES_MAX + 1];
    memset(longest, '*', COMMAND_GROUP_BYTES_MAX);
    longest[COMMAND_GROUP_BYTES_MAX] = '\0';
    for (size_t i = 0; i < 200; i++) {
        ids[i] = "pg-a";
    }
    assert_int_equal(describe_fit(ids, 0, 100), 0);
    assert_int_equal(describe_fit(ids, 1, 100), 1);
    assert_int_equal(describe_fit(ids, 200, 100), 100);
    assert_int_equal(describe_fit(ids, 200, 1000), DESCRIBE_IDS_MAX);
    assert_int_equal(describe_fit(ids, 200, 7), 7);
    for (size_t i = 0; i < 200; i++) {
        ids[i] = "0123456789abcdef0123456789abcdef01234567"; /* 40 bytes, and 3 of a comma */
    }
    assert_int_equal(describe_fit(ids, 200, 100), 93);
    for (size_t i = 0; i < 200; i++) {
        ids[i] = longest; /* 384 bytes in a query, and 3 of a comma */
    }
    assert_int_equal(describe_fit(ids, 200, 100), 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_call_asks_for_all_and_for_as_many_results),
        TEST(test_the_other_site_is_asked_by_name),
        TEST(test_pages_are_followed),
        TEST(test_a_group_that_is_not_listed_is_not_there),
        TEST(test_when_all_are_there_no_further_page_is_asked_for),
        TEST(test_after_ten_pages_the_answer_is_not_complete),
        TEST(test_a_token_that_cannot_be_sent_ends_the_pages),
        TEST(test_what_came_before_a_page_that_failed_is_told),
        TEST(test_a_page_after_the_first_may_be_throttled),
        TEST(test_what_a_refusal_says_of_the_groups),
        TEST(test_no_answer_is_a_failure),
        TEST(test_the_apis_clock_and_its_pause_are_told),
        TEST(test_several_run_at_the_same_time),
        TEST(test_ids_that_cannot_be_asked_for),
        TEST(test_a_call_has_a_limit_in_ids_and_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
