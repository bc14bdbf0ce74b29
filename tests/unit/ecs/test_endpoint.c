#include "ecs/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    const char *preset;
    const char *network;
    const char *override;
    const char *version;
    const char *region;
    const char *url;
    const char *host;
    const char *used_version;
};

static void check_row(const struct row *row)
{
    const char *why = NULL;
    struct endpoint endpoint;
    struct buf url = {0};
    struct buf host = {0};
    assert_int_equal(endpoint_init(&endpoint, row->preset, row->network, row->override,
                                   row->version, false, &why),
                     STATUS_OK);
    endpoint_of_region(&endpoint, row->region, &url, &host);
    assert_string_equal(url.data, row->url);
    assert_string_equal(host.data, row->host);
    assert_string_equal(endpoint.version, row->used_version);
    buf_fini(&url);
    buf_fini(&host);
    endpoint_fini(&endpoint);
    assert_null(endpoint.version);
}

static void test_presets_networks_and_overrides_give_the_documented_hosts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"ebs", "public", "", "", "cn-beijing", "https://ebs.cn-beijing.aliyuncs.com",
         "ebs.cn-beijing.aliyuncs.com", "2021-07-30"},
        {"ebs", "vpc", "", "", "me-central-1", "https://ebs-vpc.me-central-1.aliyuncs.com",
         "ebs-vpc.me-central-1.aliyuncs.com", "2021-07-30"},
        {"ecs", "public", "", "", "cn-beijing", "https://ecs.aliyuncs.com", "ecs.aliyuncs.com",
         "2014-05-26"},
        {"ecs", "vpc", "", "", "cn-beijing", "https://ecs-vpc.cn-beijing.aliyuncs.com",
         "ecs-vpc.cn-beijing.aliyuncs.com", "2014-05-26"},
        {"ebs", "vpc", "https://{RegionId}.cloud.example:8443", "2030-01-01", "r-1",
         "https://r-1.cloud.example:8443", "r-1.cloud.example:8443", "2030-01-01"},
        {"ecs", "public", "http://127.0.0.1:8080", "", "cn-beijing", "http://127.0.0.1:8080",
         "127.0.0.1:8080", "2014-05-26"},
        {"ebs", "public", "https://{RegionId}.{RegionId}.example", "", "a", "https://a.a.example",
         "a.a.example", "2021-07-30"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i]);
    }
}

static void test_what_cannot_be_an_endpoint_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "ebs.cn-beijing.aliyuncs.com",
        "ftp://host",
        "https://",
        "http://cloud.example",
        "https://host/path",
        "https://user@host",
        "https://{Region}.example",
        "https://{RegionId.example",
        "https://h:99999",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        const char *why = NULL;
        struct endpoint endpoint = {0};
        assert_int_equal(endpoint_init(&endpoint, "ebs", "public", urls[i], "", false, &why),
                         STATUS_INVALID);
        assert_non_null(why);
        assert_null(endpoint.url_template);
    }
}

static enum status init(const char *url, bool allow_http)
{
    const char *why = NULL;
    struct endpoint endpoint = {0};
    enum status status = endpoint_init(&endpoint, "ebs", "public", url, "", allow_http, &why);
    assert_int_equal(why == NULL, status == STATUS_OK);
    endpoint_fini(&endpoint);
    return status;
}

static void test_plain_http_is_for_loopback_or_where_it_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(init("http://cloud.example", true), STATUS_OK);
    assert_int_equal(init("http://localhost:1", false), STATUS_OK);
    assert_int_equal(init("http://cloud.example", false), STATUS_INVALID);
    assert_int_equal(init("http://{RegionId}.example", false), STATUS_INVALID);
}

static void test_an_unknown_preset_is_refused(void **state)
{
    (void)state;
    const char *why = NULL;
    struct endpoint endpoint = {0};
    assert_int_equal(endpoint_init(&endpoint, "oss", "public", "", "", false, &why),
                     STATUS_INVALID);
    assert_non_null(strstr(why, "preset"));
    endpoint_fini(&endpoint);
    endpoint_fini(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets_networks_and_overrides_give_the_documented_hosts),
        cmocka_unit_test(test_what_cannot_be_an_endpoint_is_refused_with_a_reason),
        cmocka_unit_test(test_plain_http_is_for_loopback_or_where_it_is_allowed),
        cmocka_unit_test(test_an_unknown_preset_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
