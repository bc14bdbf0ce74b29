/* One simulator and its group pg-1. */
#include "test_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

const char groups_action[] = "DescribeDiskReplicaGroups";
const char pairs_action[] = "DescribeDiskReplicaPairs";
const char progress_action[] = "DescribeDiskReplicaPairProgress";
const char stop_action[] = "StopDiskReplicaGroup";

struct simulator simulator;

int fixture_start(void **state)
{
    static const char *const arguments[] = {"--group", "cn-beijing/pg-1", NULL};
    (void)state;
    simulator_start(&simulator, arguments);
    return 0;
}

int fixture_start_both(void **state)
{
    static const char *const arguments[] = {"--group", "cn-beijing/pg-1", "--group",
                                            "cn-beijing/pg-stopped=stopped", NULL};
    (void)state;
    simulator_start(&simulator, arguments);
    return 0;
}

int fixture_stop(void **state)
{
    (void)state;
    assert_int_equal(simulator_stop(&simulator, SIGTERM), 0);
    return 0;
}

int fixture_reset(void **state)
{
    (void)state;
    simulator_order(&simulator, "POST", "reset", NULL);
    return 0;
}

void expect_start(const char *group, const char *token, const char *one_shot, const char *code)
{
    struct reply reply;
    long http = simulator_start_group(&simulator, group, token, one_shot, &reply);
    assert_int_equal(reply.curl, CURLE_OK);
    assert_string_equal(reply_text(&reply, "Code"), code);
    assert_true((http == 200) == (code[0] == '\0'));
    reply_fini(&reply);
}

void set_group(const char *id, const char *fields)
{
    char body[256];
    snprintf(body, sizeof body, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",%s}", id,
             fields);
    simulator_order(&simulator, "POST", "groups", body);
}

void make_groups(int count)
{
    for (int i = 1; i <= count; i++) {
        char id[16];
        snprintf(id, sizeof id, "pg-%d", i);
        set_group(id, "\"Status\":\"created\"");
    }
}

void advance(int64_t ms)
{
    char body[64];
    snprintf(body, sizeof body, "{\"AdvanceMs\":%lld}", (long long)ms);
    simulator_order(&simulator, "POST", "clock", body);
}

void ask(const char *action, const char *query, const char *code, struct reply *out_reply)
{
    simulator_call(&simulator, query, &(struct call_options){.action = action}, out_reply);
    assert_int_equal(out_reply->curl, CURLE_OK);
    assert_string_equal(reply_text(out_reply, "Code"), code);
}

void expect(const char *action, const char *query, const char *code)
{
    struct reply reply;
    ask(action, query, code, &reply);
    reply_fini(&reply);
}

const cJSON *list_of(const struct reply *reply)
{
    const cJSON *groups = cJSON_GetObjectItem(reply->json, "ReplicaGroups");
    const cJSON *list = groups ? groups : cJSON_GetObjectItem(reply->json, "ReplicaPairs");
    assert_true(cJSON_IsArray(list));
    return list;
}

int64_t number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    assert_true(cJSON_IsNumber(item));
    return (int64_t)item->valuedouble;
}

const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    return text ? text : "";
}

void expect_count(const char *action, const char *query, int count)
{
    struct reply reply;
    ask(action, query, "", &reply);
    assert_int_equal(cJSON_GetArraySize(list_of(&reply)), count);
    reply_fini(&reply);
}

const cJSON *ask_group(struct reply *out_reply)
{
    ask(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", "", out_reply);
    assert_int_equal(cJSON_GetArraySize(list_of(out_reply)), 1);
    return cJSON_GetArrayItem(list_of(out_reply), 0);
}

void expect_status(const char *status)
{
    struct reply reply;
    assert_string_equal(text_of(ask_group(&reply), "Status"), status);
    reply_fini(&reply);
}

int64_t recover_age_s(void)
{
    struct reply reply;
    const cJSON *group = ask_group(&reply);
    int64_t age_s = cJSON_HasObjectItem(group, "LastRecoverPoint")
                        ? time(NULL) - number_of(group, "LastRecoverPoint")
                        : -1;
    reply_fini(&reply);
    return age_s;
}
