#include "answer.h"

#include "flow_message.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_time(const char *text)
{
    struct tm parts = {0};
    int ms = 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL || sscanf(rest, ".%3dZ", &ms) != 1) {
        return 0;
    }
    return (int64_t)timegm(&parts) * 1000 + ms;
}

void answer_read(const struct record_reply *reply, struct answer *out_answer)
{
    cJSON *json = cJSON_Parse(reply->body);
    *out_answer = (struct answer){
        .json = json,
        .status = json_text(json, "Status"),
        .token = json_text(json, "ClientToken"),
        .request_id = json_text(json, "RequestId"),
        .code = json_text(json, "Error.Code"),
        .source = json_text(json, "Error.Source"),
        .correlation_id = json_text(json, "CorrelationId"),
        .is_replayed = json_is_true(json, "Replayed"),
        .received_ms = read_time(json_text(json, "ReceivedAt")),
        .completed_ms = read_time(json_text(json, "CompletedAt")),
    };
}

void answer_fini(struct answer *answer)
{
    cJSON_Delete(answer->json);
    *answer = (struct answer){0};
}

bool answer_is(const struct answer *answer, const char *status)
{
    return strcmp(answer->status, status) == 0;
}

/* Bridge.Expired is not one: an accepted command may end with it, which means that no call had an
 * effect.
 */
bool answer_is_refusal(const struct answer *answer)
{
    static const char *const codes[] = {"IdempotentParameterMismatch", "Bridge.Overloaded",
                                        "Bridge.ShuttingDown"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(answer->code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}
