/* What STS and CloudSSO have in common: requests, and answers that refuse. */
#include "aliyun/answer.h"
#include "aliyun/redact.h"
#include "common.h"

#define HEADER_COUNT 3

static void append_refusal(const struct http_answer *answer, const char *service,
                           const struct credentials *caller, struct buf *out_why)
{
    struct slice secrets[3];
    size_t count = 0;
    struct api_answer refusal;
    if (caller != NULL) {
        secrets[count++] = secret_slice(&caller->access_key_id);
        secrets[count++] = secret_slice(&caller->access_key_secret);
        secrets[count++] = secret_slice(&caller->security_token);
    }
    buf_printf(out_why, "%s answered with HTTP status %d", service, answer->status);
    api_answer_read(answer->body, &refusal);
    if (refusal.code.length > 0) {
        buf_append_text(out_why, ", ");
        redact_word(buf_slice(&refusal.code), secrets, count, out_why);
        buf_append_text(out_why, ": ");
        redact_message(buf_slice(&refusal.message), true, secrets, count, out_why);
    }
    if (refusal.request_id.length > 0) {
        buf_append_text(out_why, " (request ");
        redact_word(buf_slice(&refusal.request_id), secrets, count, out_why);
        buf_append_char(out_why, ')');
    }
    api_answer_fini(&refusal);
}

enum status service_answer_read(const struct http_answer *answer, const char *service,
                                const struct credential_form *form,
                                const struct credentials *caller, struct credentials *out,
                                struct buf *out_why)
{
    if (answer->result == HTTP_NOT_SENT) {
        buf_printf(out_why, "%s cannot be reached: %s", service, answer->error);
        return STATUS_INVALID;
    }
    if (answer->result == HTTP_CUT) {
        buf_printf(out_why, "%s gave no complete answer: %s", service, answer->error);
        return STATUS_INVALID;
    }
    if (answer->status != 200) {
        append_refusal(answer, service, caller, out_why);
        return STATUS_INVALID;
    }
    struct buf why = {0};
    enum status status = credentials_read_document(answer->body, form, out, &why);
    if (status != STATUS_OK) {
        buf_printf(out_why, "the answer of %s: %s", service, why.data);
    }
    buf_fini(&why);
    return status;
}

static const char *given(const char *first, const char *second)
{
    return first != NULL && first[0] != '\0' ? first : second;
}

enum status service_sts_endpoint(const struct credential_context *context, const char *endpoint,
                                 const char *region, bool is_vpc, struct buf *out_url,
                                 struct buf *out_why)
{
    const struct credential_settings *settings = context->settings;
    const char *why = NULL;
    const char *common =
        credential_value(context, settings->sts_region, "ALIBABA_CLOUD_STS_REGION");
    is_vpc = is_vpc || settings->sts_vpc ||
             credential_env_is_true(context, "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED");
    enum status status = sts_endpoint(given(settings->sts_endpoint, endpoint),
                                      given(region, common), is_vpc, out_url, &why);
    if (status != STATUS_OK) {
        buf_append_text(out_why, why);
    }
    return status;
}

void service_sts_send(const struct credential_context *context, struct sts_request *request,
                      http_done_fn *done, void *arg)
{
    static const char *const headers[HEADER_COUNT] = {
        "content-type: application/x-www-form-urlencoded",
        "accept: application/json",
        HTTP_USER_AGENT,
    };
    struct http_request post = {
        .method = "POST",
        .url = request->url.data,
        .headers = headers,
        .header_count = HEADER_COUNT,
        .body = buf_slice(&request->form),
    };
    http_send(context->http, &post, done, arg);
    sts_request_fini(request);
}
