/* The API is fake_http. */
#include "ecs/pairs.h"

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
#define REFUSAL(code) "{\"RequestId\":\"R1\",\"Code\":\"" code "\",\"Message\":\"m\"}"

struct fixture {
    struct ecs_parts api;
    struct pairs_call call;
    int answers;
    enum describe_result result;
    bool has_states;
    char states[128];
    int percent;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    ecs_parts_init(&fixture->api);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ecs_parts_fini(&fixture->api);
    pairs_call_fini(&fixture->call);
    free(fixture);
    return 0;
}

static void take(void *arg, const struct pairs_answer *answer)
{
    struct fixture *fixture = arg;
    fixture->answers++;
    fixture->result = answer->result;
    fixture->percent = answer->percent;
    fixture->has_states = slice_is_present(answer->states);
    snprintf(fixture->states, sizeof fixture->states, "%.*s", (int)answer->states.length,
             answer->states.data == NULL ? "" : answer->states.data);
}

static void ask_states(struct fixture *fixture, enum group_site site)
{
    pairs_ask_states(fixture->api.ecs, &fixture->call, "cn-beijing", "pg-a", site, take, fixture);
}

static void ask_progress(struct fixture *fixture)
{
    pairs_ask_progress(fixture->api.ecs, &fixture->call, "cn-beijing", "pair-1", take, fixture);
}

static void test_the_states_of_the_pairs_of_a_group(void **state)
{
    struct fixture *fixture = *state;
    ask_states(fixture, GROUP_SITE_PRODUCTION);
    assert_int_equal(fixture->answers, 0);
    assert_string_equal(fake_http_request(0)->url,
                        URL "MaxResults=100&RegionId=cn-beijing&ReplicaGroupId=pg-a");
    assert_string_equal(fake_http_header(0, "x-acs-action"), "DescribeDiskReplicaPairs");
    fake_http_answer_text(0, 200,
                          "{\"RequestId\":\"R\",\"ReplicaPairs\":[{\"ReplicaPairId\":\"p\"}]}");
    assert_int_equal(fixture->result, DESCRIBE_COMPLETE);
    assert_string_equal(fixture->states, "[{\"ReplicaPairId\":\"p\"}]");
    ask_states(fixture, GROUP_SITE_BACKUP); /* the place is free again */
    assert_string_equal(fake_http_request(1)->url,
                        URL "MaxResults=100&RegionId=cn-beijing&ReplicaGroupId=pg-a&Site=backup");
}

static void test_the_progress_of_a_pair(void **state)
{
    struct fixture *fixture = *state;
    ask_progress(fixture);
    assert_string_equal(fake_http_request(0)->url, URL "RegionId=cn-beijing&ReplicaPairId=pair-1");
    assert_string_equal(fake_http_header(0, "x-acs-action"), "DescribeDiskReplicaPairProgress");
    fake_http_answer_text(0, 200, "{\"RequestId\":\"R\",\"Progress\":42}");
    assert_int_equal(fixture->result, DESCRIBE_COMPLETE);
    assert_int_equal(fixture->percent, 42);
}

static void test_what_is_no_answer(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum describe_result result;
    } rows[] = {
        {404, REFUSAL("NoSuchResource"), DESCRIBE_REFUSED},
        {403, REFUSAL("Forbidden.RAM"), DESCRIBE_REFUSED},
        {400, REFUSAL("Throttling.User"), DESCRIBE_FAILED},
        {500, REFUSAL("InternalError"), DESCRIBE_FAILED},
        {200, "{\"RequestId\":\"R\"}", DESCRIBE_FAILED},
    };
    struct fixture *fixture = *state;
    size_t count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < count; i++) {
        ask_states(fixture, GROUP_SITE_PRODUCTION);
        fake_http_answer_text(2 * i, rows[i].status, rows[i].body);
        assert_int_equal(fixture->result, rows[i].result);
        assert_false(fixture->has_states);
        ask_progress(fixture);
        fake_http_answer_text(2 * i + 1, rows[i].status, rows[i].body);
        assert_int_equal(fixture->result, rows[i].result);
    }
    assert_int_equal(fixture->answers, 2 * (int)count);
}

static void test_the_end_drops_a_call(void **state)
{
    ask_progress(*state); /* freed by the end of the test, unanswered */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_states_of_the_pairs_of_a_group),
        TEST(test_the_progress_of_a_pair),
        TEST(test_what_is_no_answer),
        TEST(test_the_end_drops_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
