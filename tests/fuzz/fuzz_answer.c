/*
 * Any bytes are an answer, with any status (the first byte selects it). Reported texts must be
 * UTF-8, bounded, and free of secrets; only an answer with a RequestId is a success.
 */
#include "aliyun/answer.h"
#include "base/utf8.h"
#include "ecs/outcome_map.h"

#include <assert.h>
#include <stdint.h>

static const char secret_text[] = "LTAIsecret+/=";

static void check_text(const char *text, size_t limit_bytes)
{
    struct slice slice = slice_text(text);
    if (text == NULL) {
        return;
    }
    assert(slice.length <= limit_bytes);
    assert(utf8_is_valid(slice));
    assert(strstr(text, secret_text) == NULL);
}

static void check_attempt(const struct attempt *attempt)
{
    const struct outcome *outcome = &attempt->outcome;
    check_text(outcome->request_id, 128);
    check_text(outcome->code, 128);
    check_text(outcome->message, 1024);
    if (attempt->reaction == REACTION_DONE) {
        assert(outcome->status == OUTCOME_SUCCEEDED && outcome->request_id != NULL);
        assert(outcome->request_id[0] != '\0' && outcome->http_status / 100 == 2);
        return;
    }
    assert(outcome->status != OUTCOME_SUCCEEDED);
    assert(outcome->code != NULL && outcome->message != NULL && outcome->hint != NULL);
    assert((outcome->status == OUTCOME_UNKNOWN) == (attempt->reaction == REACTION_RETRY_UNSURE));
    assert((outcome->status == OUTCOME_UNKNOWN) == (outcome->retention == RETENTION_UNSURE));
}

static void check_reading(struct slice body)
{
    struct api_answer answer;
    api_answer_read(body, &answer);
    assert(utf8_is_valid(buf_slice(&answer.request_id)));
    assert(utf8_is_valid(buf_slice(&answer.code)));
    assert(utf8_is_valid(buf_slice(&answer.message)));
    assert(answer.is_readable || answer.code.length == 0);
    api_answer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 400, 401, 403, 404, 409, 429, 500, 503, 504, 302};
    const struct slice secrets[] = {slice_text(secret_text)};
    const struct outcome_map_context context = {900, secrets, 1};
    const struct command command = {.action = &action_rows[ACTION_StartDiskReplicaGroup],
                                    .params = "{\"OneShot\":true}"};
    if (size == 0) {
        return 0;
    }
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = statuses[data[0] % (sizeof statuses / sizeof statuses[0])],
        .body = slice_of(data + 1, size - 1),
        .retry_after_ms = -1,
        .date_ms = -1,
        .error = "",
    };
    struct attempt attempt;
    check_reading(answer.body);
    outcome_map(&answer, &command, &context, &attempt);
    check_attempt(&attempt);
    attempt_fini(&attempt);
    return 0;
}
