#include "aliyun/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    const char *body;
    const char *request_id;
    const char *code;
    const char *message;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct api_answer answer;
        print_message("%s\n", rows[i].body);
        api_answer_read(slice_text(rows[i].body), &answer);
        assert_true(answer.is_readable);
        assert_string_equal(buf_slice(&answer.request_id).data, rows[i].request_id);
        assert_string_equal(buf_slice(&answer.code).data, rows[i].code);
        assert_string_equal(buf_slice(&answer.message).data, rows[i].message);
        api_answer_fini(&answer);
    }
}

static void test_json_answers_are_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"RequestId\":\"C123\"}", "C123", "", ""},
        {" \r\n\t{\"RequestId\" : \"C123\"}\n", "C123", "", ""},
        {"\xEF\xBB\xBF{\"RequestId\":\"C123\"}", "C123", "", ""},
        {"{\"RequestId\":\"4\",\"HostId\":\"h\",\"Code\":\"NoSuchResource\",\"Message\":\"m "
         "\\u78c1\","
         "\"Recommend\":\"https://x\"}",
         "4", "NoSuchResource", "m \xE7\xA3\x81"},
        {"{\"requestId\":\"4\",\"code\":\"Forbidden\",\"message\":\"no\"}", "4", "Forbidden", "no"},
        {"{\"RequestId\":\"4\",\"requestId\":\"5\"}", "4", "", ""},
        {"{\"AccessDeniedDetail\":{\"a\":{\"b\":[1]}},\"Code\":\"Forbidden\"}", "", "Forbidden",
         ""},
        {"{\"Code\":200,\"RequestId\":\"4\"}", "4", "200", ""},
        {"{\"Code\":null,\"RequestId\":7,\"Message\":{}}", "7", "", ""},
        {"{}", "", "", ""},
    };
    check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void test_an_error_of_the_api_has_code_and_request_id_so_spelt(void **state)
{
    static const struct {
        const char *body;
        bool has_error_form;
        bool says_no;
    } cases[] = {
        {"{\"Code\":\"C\",\"RequestId\":\"4\"}", true, false},
        {"{\"Code\":\"C\",\"requestId\":\"4\"}", false, false},
        {"{\"code\":\"C\",\"RequestId\":\"4\"}", false, false},
        {"{\"Code\":\"\",\"RequestId\":\"4\"}", false, false},
        {"{\"Code\":\"C\",\"RequestId\":null}", false, false},
        {"{\"Code\":\"C\",\"RequestId\":\"4\",\"Success\":false}", true, true},
        {"{\"RequestId\":\"4\",\"success\":\"false\"}", false, true},
        {"{\"RequestId\":\"4\",\"Success\":true}", false, false},
        {"<Error><Code>C</Code><RequestId>4</RequestId></Error>", true, false},
        {"<Error><Code>C</Code></Error>", false, false},
        {"<Error><Success>false</Success><RequestId>4</RequestId></Error>", false, true},
        {"nothing of the API's", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_answer answer;
        print_message("%s\n", cases[i].body);
        api_answer_read(slice_text(cases[i].body), &answer);
        assert_int_equal(answer.has_error_form, cases[i].has_error_form);
        assert_int_equal(answer.says_no, cases[i].says_no);
        api_answer_fini(&answer);
    }
}

static void test_xml_answers_are_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"<StartDiskReplicaGroupResponse><RequestId>C123</RequestId></"
         "StartDiskReplicaGroupResponse>",
         "C123", "", ""},
        {"<?xml version='1.0' encoding='UTF-8'?>\n<Error>\n <RequestId>4</RequestId>\n"
         " <HostId>h</HostId><Code>NoSuchResource</Code><Message>a &lt; b &#x78c1;</Message>"
         "<Recommend><![CDATA[https://x?a&b]]></Recommend></Error>\n",
         "4", "NoSuchResource", "a < b \xE7\xA3\x81"},
        {"<Error><Message>one <![CDATA[<two>]]> three</Message><Code>C</Code></Error>", "", "C",
         "one <two> three"},
        {"<Error><Detail><Code>inner</Code></Detail><Code>outer</Code><Code>again</Code></Error>",
         "", "outer", ""},
        {"<Error/>", "", "", ""},
    };
    check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void test_anything_else_is_unreadable_and_leaves_nothing(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "   ",
        "null",
        "[{\"RequestId\":\"4\"}]",
        "\"RequestId\"",
        "Bad Gateway",
        "{\"RequestId\":\"4\"",
        "{\"RequestId\":\"4\"} x",
        "{\"RequestId\":\"\xFF\"}",
        "<html><head><title>502 Bad Gateway</title></head><body>x</body></html>",
        "<!DOCTYPE html><html><body>x</body></html>",
        "<Error><RequestId>4</RequestId>",
        "<Response><RequestId>4</RequestId></Response>",
        "<Error><RequestId>4</RequestId></Error><Error/>",
        "<!DOCTYPE Error [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>",
        "<!DOCTYPE Error SYSTEM \"file:///etc/passwd\"><Error><Code>c</Code></Error>",
        "<Error><Code>&nope;</Code></Error>",
        "<Error><Code>\xFF</Code></Error>",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct api_answer answer;
        print_message("%s\n", bodies[i]);
        api_answer_read(slice_text(bodies[i]), &answer);
        assert_false(answer.is_readable);
        assert_null(answer.request_id.data);
        assert_null(answer.code.data);
        assert_null(answer.message.data);
        api_answer_fini(&answer);
    }
    api_answer_fini(NULL);
}

static void check_nested(const char *head, const char *open, const char *close, const char *tail,
                         int depth, bool is_readable)
{
    struct buf body = {0};
    struct api_answer answer;
    buf_append_text(&body, head);
    for (int i = 0; i < depth; i++) {
        buf_append_text(&body, open);
    }
    for (int i = 0; i < depth; i++) {
        buf_append_text(&body, close);
    }
    buf_append_text(&body, tail);
    api_answer_read(buf_slice(&body), &answer);
    assert_true(answer.is_readable == is_readable);
    api_answer_fini(&answer);
    buf_fini(&body);
}

static void test_deep_answers_are_refused(void **state)
{
    (void)state;
    check_nested("<Error>", "<a>", "</a>", "</Error>", 15, true);
    check_nested("<Error>", "<a>", "</a>", "</Error>", 16, false);
    check_nested("<Error>", "<a>", "</a>", "</Error>", 10000, false);
    check_nested("{\"Detail\":", "[", "]", "}", 15, true);
    check_nested("{\"Detail\":", "[", "]", "}", 16, false);
    check_nested("{\"Detail\":", "[", "]", "}", 30000, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_answers_are_read),
        cmocka_unit_test(test_an_error_of_the_api_has_code_and_request_id_so_spelt),
        cmocka_unit_test(test_xml_answers_are_read),
        cmocka_unit_test(test_anything_else_is_unreadable_and_leaves_nothing),
        cmocka_unit_test(test_deep_answers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
