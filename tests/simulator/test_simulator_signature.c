/* Tests of the simulator's signatures: published vectors, and every way of getting one wrong. */
#include "test_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define EMPTY_HASH   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define VECTOR_NONCE "3156853299f313e23d1673dc12e1703d"
#define VECTOR_DATE  "2026-01-02T03:04:05Z"
#define PLAIN_NAMES \
    "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
#define START_QUERY                                                                              \
    "ClientToken=123e4567-e89b-12d3-a456-42665544%2A%2A%2A%2A&OneShot=false&RegionId=cn-beijing" \
    "&ReplicaGroupId=pg-myreplica%2A%2A%2A%2A"
#define GROUP_QUERY "RegionId=cn-beijing&ReplicaGroupId=pg-1"

static int start_all(void **state)
{
    static const char *const arguments[] = {
        "--access-key",     "STS.testid:testsecret", "--security-token", "CAIStoken+/=~*",
        "--access-key",     "testid:testsecret",     "--access-key",     "session:testsecret",
        "--security-token", "CAIStoken+/=~*",        "--auto-create",    NULL};
    (void)state;
    simulator_start(&simulator, arguments);
    return 0;
}

/* Let the simulator's clock show `date` now. */
static void set_clock(const char *date)
{
    struct tm parts = {0};
    char body[64];
    assert_non_null(strptime(date, "%Y-%m-%dT%H:%M:%SZ", &parts));
    snprintf(body, sizeof body, "{\"OffsetS\":%ld}", (long)(timegm(&parts) - time(NULL)));
    simulator_order(&simulator, "POST", "clock", body);
}

struct vector_v3 {
    const char *method;
    const char *host;
    const char *action;
    const char *version;
    const char *date;
    const char *query;
    const char *body;
    const char *payload_hash;
    const char *key_id;
    const char *headers[2]; /* besides the plain ones */
    const char *names;
    const char *signature;
    long http;
    const char *code;
};

static const struct vector_v3 vectors_v3[] = {
    {"POST",
     "ecs.cn-shanghai.aliyuncs.com",
     "RunInstances",
     "2014-05-26",
     "2023-10-26T10:22:32Z",
     "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
     NULL,
     EMPTY_HASH,
     TEST_KEY_ID,
     {NULL},
     PLAIN_NAMES,
     "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
     404,
     "InvalidAction.NotFound"},
    {"POST",
     "ebs.cn-beijing.aliyuncs.com",
     "StartDiskReplicaGroup",
     "2021-07-30",
     VECTOR_DATE,
     START_QUERY,
     NULL,
     EMPTY_HASH,
     TEST_KEY_ID,
     {NULL},
     PLAIN_NAMES,
     "e6fc5105aa57120cd683d95b84415a6de16e05747355eb8bb797c5d8f39ce7c5",
     200,
     ""},
    {"POST",
     "ecs.cn-beijing.aliyuncs.com",
     "StartDiskReplicaGroup",
     "2014-05-26",
     VECTOR_DATE,
     START_QUERY,
     NULL,
     EMPTY_HASH,
     TEST_KEY_ID,
     {NULL},
     PLAIN_NAMES,
     "00efc548285cf426b25bbb73e1a04c8edb5028387a33a32ceebb1e0f5626cea7",
     200,
     ""},
    {"POST",
     "ebs.cn-beijing.aliyuncs.com",
     "StartDiskReplicaGroup",
     "2021-07-30",
     VECTOR_DATE,
     START_QUERY,
     NULL,
     EMPTY_HASH,
     "STS.testid",
     {"x-acs-accesskey-id: STS.testid", "x-acs-security-token: CAIStoken+/=~*"},
     "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;"
     "x-acs-signature-nonce;x-acs-version",
     "228c90cc796fcbc7f862a56cf59541d2afba868cbb9179154a5d2a020f0f3cf7",
     200,
     ""},
    {"POST",
     "ebs.cn-beijing.aliyuncs.com",
     "StartDiskReplicaGroup",
     "2021-07-30",
     VECTOR_DATE,
     START_QUERY,
     NULL,
     EMPTY_HASH,
     "STS.testid",
     {"x-acs-security-token: CAIStoken+/=~*"},
     "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;"
     "x-acs-signature-nonce;x-acs-version",
     "d4022e09fc04074d327ac7c357edd583be02e8ead0878ca24ec75d5dc3649a61",
     200,
     ""},
    {"POST",
     "ebs.cn-beijing.aliyuncs.com",
     "DescribeDiskReplicaGroups",
     "2021-07-30",
     VECTOR_DATE,
     "GroupIds=pg-myreplica%2A%2A%2A%2A&MaxResults=10&RegionId=cn-beijing",
     NULL,
     EMPTY_HASH,
     TEST_KEY_ID,
     {NULL},
     PLAIN_NAMES,
     "21ec6b0986796fb9047c14f6a163319f8b4ceed08e8878c3f96cc011b20718db",
     200,
     ""},
    {"GET",
     "ebs.cn-beijing.aliyuncs.com",
     "StartDiskReplicaGroup",
     "2021-07-30",
     VECTOR_DATE,
     "A=a%20b%2Ac~d%21%27%28%29&B=%E7%A3%81%E7%9B%98%2F%2B%25%26%3D&C=",
     NULL,
     EMPTY_HASH,
     TEST_KEY_ID,
     {NULL},
     PLAIN_NAMES,
     "ece0b03ceef10807fef0baabc81bf396b5072dbe15427836882477eadc66f8a1",
     400,
     "MissingRegionId"},
    {"POST",
     "ebs.cn-beijing.aliyuncs.com",
     "StartDiskReplicaGroup",
     "2021-07-30",
     VECTOR_DATE,
     NULL,
     START_QUERY,
     "6a0f446759e1001ad532ac4794982329ba45f1807b98704056568fd114f0d56e",
     TEST_KEY_ID,
     {NULL},
     "content-type;" PLAIN_NAMES,
     "e3ffcaa0cef64e3511995ca1d6db270be41f47ff783934e2dbbf900b35f30630",
     200,
     ""},
};

static void send_vector_v3(const struct vector_v3 *vector, const char *signature,
                           struct reply *out_reply)
{
    char lines[7][512];
    snprintf(lines[0], 512, "Host: %s", vector->host);
    snprintf(lines[1], 512, "x-acs-action: %s", vector->action);
    snprintf(lines[2], 512, "x-acs-version: %s", vector->version);
    snprintf(lines[3], 512, "x-acs-date: %s", vector->date);
    snprintf(lines[4], 512, "x-acs-signature-nonce: %s", VECTOR_NONCE);
    snprintf(lines[5], 512, "x-acs-content-sha256: %s", vector->payload_hash);
    snprintf(lines[6], 512,
             "Authorization: ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%s",
             vector->key_id, vector->names, signature);
    struct request request = {.method = vector->method,
                              .query = vector->query,
                              .body = vector->body,
                              .headers = {lines[0], lines[1], lines[2], lines[3], lines[4],
                                          lines[5], lines[6], "Accept: application/json",
                                          vector->headers[0], vector->headers[1]}};
    simulator_send(&simulator, &request, out_reply);
}

static void test_published_v3_signatures_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors_v3 / sizeof vectors_v3[0]; i++) {
        struct reply reply;
        fixture_reset(NULL);
        set_clock(vectors_v3[i].date);
        send_vector_v3(&vectors_v3[i], vectors_v3[i].signature, &reply);
        assert_string_equal(reply_text(&reply, "Code"), vectors_v3[i].code);
        assert_int_equal(reply.http, vectors_v3[i].http);
        assert_int_equal(simulator_total(&simulator, "SignatureV3"), 1);
        reply_fini(&reply);
    }
}

static void test_a_v3_signature_of_another_request_is_refused(void **state)
{
    (void)state;
    size_t count = sizeof vectors_v3 / sizeof vectors_v3[0];
    for (size_t i = 0; i < count; i++) {
        struct reply reply;
        fixture_reset(NULL);
        set_clock(vectors_v3[i].date);
        send_vector_v3(&vectors_v3[i], vectors_v3[(i + 1) % count].signature, &reply);
        assert_string_equal(reply_text(&reply, "Code"), "SignatureDoesNotMatch");
        assert_int_equal(reply.http, 400);
        assert_int_equal(simulator_total(&simulator, "SignatureErrors"), 1);
        reply_fini(&reply);
    }
}

#define V1_TAIL "&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0"

struct vector_v1 {
    const char *method;
    bool is_form;
    const char *date;
    const char *params;    /* without the signature */
    const char *signature; /* encoded */
    long http;
    const char *code; /* "" is a success; NULL: the answer is XML */
};

#define REGIONS                                                               \
    "AccessKeyId=testid&Action=DescribeRegions&Format=XML&SignatureNonce="    \
    "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Timestamp=2016-02-23T12%3A46%3A24Z" \
    "&Version=2014-05-26" V1_TAIL
#define HOSTS                                                                             \
    "AccessKeyId=testid&Action=DescribeDedicatedHosts&Format=JSON&RegionId=cn-beijing"    \
    "&SignatureNonce=edb2b34af0af9a6d14deaf7c1a5315eb&Timestamp=2023-03-13T08%3A34%3A30Z" \
    "&Version=2014-05-26" V1_TAIL
#define START                                                                       \
    "AccessKeyId=testid&Action=StartDiskReplicaGroup&" START_QUERY                  \
    "&Format=JSON&SignatureNonce=15215528852396&Timestamp=2026-01-02T03%3A04%3A05Z" \
    "&Version=2021-07-30" V1_TAIL
#define START_SESSION START "&SecurityToken=CAIStoken%2B%2F%3D~%2A"
#define ASSUME                                                                         \
    "AccessKeyId=testid&Action=AssumeRole&DurationSeconds=3600&Format=JSON"            \
    "&RoleArn=acs%3Aram%3A%3A123456789012%3Arole%2Fbridge&RoleSessionName=mqtt-bridge" \
    "&SignatureNonce=15215528852396&Timestamp=2026-01-02T03%3A04%3A05Z&Version=2015-04-01" V1_TAIL

static const struct vector_v1 vectors_v1[] = {
    {"GET", false, "2016-02-23T12:46:24Z", REGIONS, "OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D", 404, NULL},
    {"POST", true, "2016-02-23T12:46:24Z", REGIONS, "MxbnVAM4w6sft9xjVpe%2FGCKueuk%3D", 404, NULL},
    {"GET", false, "2023-03-13T08:34:30Z", HOSTS, "9NaGiOspFP5UPcwX8Iwt2YJXXuk%3D", 404,
     "InvalidAction.NotFound"},
    {"GET", false, VECTOR_DATE, START, "oobcoR1jqvUt9AXtCIBkRsWNdMY%3D", 200, ""},
    {"POST", true, VECTOR_DATE, START, "4iszrgSMfBp71TKhw3BYyG758Ps%3D", 200, ""},
    {"POST", false, VECTOR_DATE, START, "4iszrgSMfBp71TKhw3BYyG758Ps%3D", 200, ""},
    {"GET", false, VECTOR_DATE, START_SESSION, "DAykdEhkV1d0rMNFlIibKYy%2FFP4%3D", 200, ""},
    {"POST", true, VECTOR_DATE, START_SESSION, "%2F5AHczJaMq3Pkj4xB2Gtvnpy4lQ%3D", 200, ""},
    {"POST", true, VECTOR_DATE, ASSUME, "Le9FrQ6syviXKZKwUSNYFs%2FPdxg%3D", 400, "InvalidVersion"},
};

static void send_vector_v1(const struct vector_v1 *vector, const char *signature,
                           struct reply *out_reply)
{
    char params[1024];
    snprintf(params, sizeof params, "%s&Signature=%s", vector->params, signature);
    if (strstr(vector->params, "SecurityToken")) {
        simulator_order(&simulator, "POST", "keys",
                        "{\"AccessKeyId\":\"testid\",\"SecurityToken\":\"CAIStoken+/=~*\"}");
    }
    struct request request = {.method = vector->method};
    if (vector->is_form) {
        request.body = params;
    } else {
        request.query = params;
    }
    simulator_send(&simulator, &request, out_reply);
}

static void test_published_v1_signatures_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors_v1 / sizeof vectors_v1[0]; i++) {
        struct reply reply;
        fixture_reset(NULL);
        set_clock(vectors_v1[i].date);
        send_vector_v1(&vectors_v1[i], vectors_v1[i].signature, &reply);
        if (vectors_v1[i].code) {
            assert_string_equal(reply_text(&reply, "Code"), vectors_v1[i].code);
        } else {
            assert_non_null(strstr(reply.body, "<Error>"));
        }
        assert_int_equal(reply.http, vectors_v1[i].http);
        assert_int_equal(simulator_total(&simulator, "SignatureV1"), 1);
        reply_fini(&reply);
    }
}

static void test_a_wrong_v1_signature_is_refused_with_the_string_to_sign(void **state)
{
    struct reply reply;
    (void)state;
    set_clock(VECTOR_DATE);
    send_vector_v1(&vectors_v1[3], "4iszrgSMfBp71TKhw3BYyG758Ps%3D", &reply);
    assert_int_equal(reply.http, 400);
    assert_string_equal(reply_text(&reply, "Code"), "SignatureDoesNotMatch");
    assert_non_null(strstr(reply_text(&reply, "Message"),
                           "server string to sign is:GET&%2F&AccessKeyId%3Dtestid%26Action%3D"));
    reply_fini(&reply);
}

static void test_v1_answers_in_xml_unless_asked_otherwise(void **state)
{
    struct reply reply;
    struct request request = {.method = "GET", .query = "AccessKeyId=testid&Action=X"};
    (void)state;
    simulator_send(&simulator, &request, &reply);
    assert_string_equal(reply.content_type, "text/xml;charset=utf-8");
    assert_non_null(strstr(reply.body, "<Code>IncompleteSignature</Code>"));
    reply_fini(&reply);
}

/* A mistake in the signature, and the gateway's answer to it. */
struct mistake {
    struct call_options options;
    long http;
    const char *code;
};

static const struct mistake mistakes[] = {
    {{.secret = "wrong"}, 400, "SignatureDoesNotMatch"},
    {{.payload_hash = "00"}, 400, "SignatureDoesNotMatch"},
    {{.unsigned_header = "x-acs-extra: 1"}, 400, "IncompleteSignature"},
    {{.unsigned_header = "content-type: text/plain"}, 400, "IncompleteSignature"},
    {{.unsigned_header = "x-acs-date: 2026-01-02T03:04:05Z"}, 400, "IncompleteSignature"},
    {{.key_id = "nobody"}, 404, "InvalidAccessKeyId.NotFound"},
    {{.key_id = "session", .secret = "testsecret"}, 400, "MissingSecurityToken"},
    {{.key_id = "session", .secret = "testsecret", .security_token = "other"},
     400,
     "InvalidSecurityToken.MismatchWithAccessKey"},
    {{.security_token = "any"}, 400, "InvalidSecurityToken.MismatchWithAccessKey"},
    {{.date = "2026-01-02 03:04:05"}, 400, "InvalidTimeStamp.Format"},
    {{.date = "2026-02-30T03:04:05Z"}, 400, "InvalidTimeStamp.Format"},
    {{.date_offset_s = 16 * 60}, 400, "InvalidTimeStamp.Expired"},
    {{.date_offset_s = -16 * 60}, 400, "InvalidTimeStamp.Expired"},
};

static void test_each_mistake_in_signing_has_its_own_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct reply reply;
        simulator_call(&simulator, GROUP_QUERY, &mistakes[i].options, &reply);
        assert_string_equal(reply_text(&reply, "Code"), mistakes[i].code);
        assert_int_equal(reply.http, mistakes[i].http);
        assert_true(strlen(reply.date) > 20);
        reply_fini(&reply);
    }
    assert_int_equal(simulator_total(&simulator, "Effects"), 0);
    assert_int_equal(simulator_total(&simulator, "SignatureErrors"),
                     sizeof mistakes / sizeof mistakes[0]);
}

static void test_a_date_within_fifteen_minutes_is_accepted(void **state)
{
    struct call_options options = {.date_offset_s = -14 * 60};
    struct reply reply;
    (void)state;
    simulator_call(&simulator, GROUP_QUERY, &options, &reply);
    assert_int_equal(reply.http, 200);
    reply_fini(&reply);
}

static void test_a_request_without_a_signature_is_refused(void **state)
{
    struct reply reply;
    struct request request = {
        .query = GROUP_QUERY,
        .headers = {"Accept: application/json", "x-acs-action: StartDiskReplicaGroup"}};
    (void)state;
    simulator_send(&simulator, &request, &reply);
    assert_string_equal(reply_text(&reply, "Code"), "IncompleteSignature");
    reply_fini(&reply);
}

static void test_a_nonce_is_accepted_once_and_not_used_up_by_a_bad_signature(void **state)
{
    struct call_options options = {.nonce = "one", .secret = "wrong"};
    struct reply reply;
    (void)state;
    simulator_call(&simulator, GROUP_QUERY, &options, &reply);
    assert_string_equal(reply_text(&reply, "Code"), "SignatureDoesNotMatch");
    reply_fini(&reply);
    options.secret = NULL;
    simulator_call(&simulator, GROUP_QUERY, &options, &reply);
    assert_int_equal(reply.http, 200);
    reply_fini(&reply);
    simulator_call(&simulator, GROUP_QUERY, &options, &reply);
    assert_string_equal(reply_text(&reply, "Code"), "SignatureNonceUsed");
    assert_int_equal(reply.http, 400);
    reply_fini(&reply);
    assert_int_equal(simulator_total(&simulator, "NonceReuse"), 1);
}

static void test_a_key_is_refused_according_to_its_state(void **state)
{
    static const struct {
        const char *state;
        const char *code;
    } rows[] = {{"inactive", "InvalidAccessKeyId.Inactive"},
                {"disabled", "Forbidden.AccessKeyDisabled"},
                {"expired", "InvalidSecurityToken.Expired"},
                {"active", ""},
                {"removed", "InvalidAccessKeyId.NotFound"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[128];
        struct reply reply;
        snprintf(body, sizeof body, "{\"AccessKeyId\":\"" TEST_KEY_ID "\",\"State\":\"%s\"}",
                 rows[i].state);
        simulator_order(&simulator, "POST", "keys", body);
        simulator_call(&simulator, "GroupIds=none&RegionId=cn-beijing",
                       &(struct call_options){.action = "DescribeDiskReplicaGroups"}, &reply);
        assert_string_equal(reply_text(&reply, "Code"), rows[i].code);
        reply_fini(&reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_published_v3_signatures_are_accepted, fixture_reset),
        cmocka_unit_test_setup(test_a_v3_signature_of_another_request_is_refused, fixture_reset),
        cmocka_unit_test_setup(test_published_v1_signatures_are_accepted, fixture_reset),
        cmocka_unit_test_setup(test_a_wrong_v1_signature_is_refused_with_the_string_to_sign,
                               fixture_reset),
        cmocka_unit_test_setup(test_v1_answers_in_xml_unless_asked_otherwise, fixture_reset),
        cmocka_unit_test_setup(test_each_mistake_in_signing_has_its_own_answer, fixture_reset),
        cmocka_unit_test_setup(test_a_date_within_fifteen_minutes_is_accepted, fixture_reset),
        cmocka_unit_test_setup(test_a_request_without_a_signature_is_refused, fixture_reset),
        cmocka_unit_test_setup(test_a_nonce_is_accepted_once_and_not_used_up_by_a_bad_signature,
                               fixture_reset),
        cmocka_unit_test_setup(test_a_key_is_refused_according_to_its_state, fixture_reset),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests_name("simulator signatures", tests, start_all, fixture_stop);
}
