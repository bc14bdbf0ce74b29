/* The first byte decides between JSON and XML: content types are not reliable here. */
#include "aliyun/answer.h"

#include "answer_xml.h"
#include "base/json.h"

#include <math.h>

/* AccessDeniedDetail is an object in the answer; no documented answer is nested deeper. */
#define DEPTH_MAX 16

/* A larger number is ignored: codes and ids are smaller. */
#define WHOLE_NUMBER_MAX 1e9
#define BYTE_ORDER_MARK  "\xEF\xBB\xBF"

/* The vendor's clients accept both spellings; the second one counts where the first is missing. */
static void read_member(const struct json *object, const char *name, const char *other_name,
                        struct buf *out)
{
    const struct json *value = json_member(object, name);
    if (value == NULL) {
        value = json_member(object, other_name);
    }
    if (value == NULL) {
        return;
    }
    if (json_kind(value) == JSON_TEXT) {
        buf_append(out, json_text(value));
        return;
    }
    double number = json_number(value);
    if (json_kind(value) == JSON_NUMBER && fabs(number) <= WHOLE_NUMBER_MAX) {
        buf_append_int(out, (int64_t)number);
    }
}

/* Success is false, or the text "false". */
static bool says_no(const struct json *object)
{
    const struct json *success = json_member(object, "Success");
    if (success == NULL) {
        success = json_member(object, "success");
    }
    return success != NULL &&
           (json_kind(success) == JSON_FALSE || slice_equals_text(json_text(success), "false"));
}

static bool read_json(struct slice body, struct api_answer *answer)
{
    struct json_fault fault;
    struct json *root = json_parse(body, DEPTH_MAX, &fault);
    if (root == NULL) {
        return false;
    }
    bool is_object = json_kind(root) == JSON_OBJECT;
    if (is_object) {
        read_member(root, "RequestId", "requestId", &answer->request_id);
        read_member(root, "Code", "code", &answer->code);
        read_member(root, "Message", "message", &answer->message);
        answer->has_error_form =
            json_member(root, "Code") != NULL && json_member(root, "RequestId") != NULL;
        answer->says_no = says_no(root);
    }
    json_free(root);
    return is_object;
}

void api_answer_read(struct slice body, struct api_answer *out_answer)
{
    *out_answer = (struct api_answer){0};
    if (body.length >= 3 && memcmp(body.data, BYTE_ORDER_MARK, 3) == 0) {
        body = slice_skip(body, 3);
    }
    body = slice_trim(body, " \t\r\n");
    if (body.length == 0) {
        return;
    }
    if (body.data[0] == '{') {
        out_answer->is_readable = read_json(body, out_answer);
    } else if (body.data[0] == '<') {
        struct buf success = {0};
        const struct answer_xml_field fields[] = {{"RequestId", &out_answer->request_id},
                                                  {"Code", &out_answer->code},
                                                  {"Message", &out_answer->message},
                                                  {"Success", &success}};
        out_answer->is_readable = answer_xml_read(body, fields, 4) == STATUS_OK;
        out_answer->has_error_form = true;
        out_answer->says_no = slice_equals_text(buf_slice(&success), "false");
        buf_fini(&success);
    }
    out_answer->has_error_form = out_answer->has_error_form && out_answer->code.length > 0 &&
                                 out_answer->request_id.length > 0;
    if (!out_answer->is_readable) {
        api_answer_fini(out_answer);
    }
}

void api_answer_fini(struct api_answer *answer)
{
    if (answer == NULL) {
        return;
    }
    buf_fini(&answer->request_id);
    buf_fini(&answer->code);
    buf_fini(&answer->message);
    *answer = (struct api_answer){0};
}
