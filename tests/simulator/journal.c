/* The ring of requests. */
#include "journal.h"

#include "params.h"

#include <string.h>

struct journal_row *journal_add(struct journal *journal)
{
    struct journal_row *row = &journal->rows[journal->last_number++ % JOURNAL_ROWS];
    *row = (struct journal_row){.number = journal->last_number};
    return row;
}

struct journal_row *journal_get(struct journal *journal, uint64_t number)
{
    struct journal_row *row = &journal->rows[(number + JOURNAL_ROWS - 1) % JOURNAL_ROWS];
    return number > journal->forgotten_number && row->number == number ? row : NULL;
}

void journal_forget(struct journal *journal)
{
    journal->forgotten_number = journal->last_number;
}

static cJSON *describe_params(const char *encoded)
{
    cJSON *object = cJSON_CreateObject();
    struct params params = {0};
    params_add(&params, encoded, strlen(encoded));
    for (size_t i = 0; i < params.count; i++) {
        cJSON_AddStringToObject(object, params.items[i].name, params.items[i].value);
    }
    params_fini(&params);
    return object;
}

static cJSON *describe_row(const struct journal_row *row)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "Number", (double)row->number);
    cJSON_AddNumberToObject(item, "ArrivalMs", (double)row->arrival_ms);
    cJSON_AddNumberToObject(item, "AnswerMs", (double)row->answer_ms);
    cJSON_AddStringToObject(item, "Method", row->method);
    cJSON_AddStringToObject(item, "Action", row->action);
    cJSON_AddStringToObject(item, "Version", row->version);
    cJSON_AddStringToObject(item, "Signature", row->signature);
    cJSON_AddStringToObject(item, "Date", row->date);
    cJSON_AddStringToObject(item, "Nonce", row->nonce);
    cJSON_AddStringToObject(item, "Host", row->host);
    cJSON_AddStringToObject(item, "UserAgent", row->agent);
    cJSON_AddBoolToObject(item, "HasSecurityToken", row->has_security_token);
    cJSON_AddItemToObject(item, "Params", describe_params(row->params));
    cJSON_AddNumberToObject(item, "HttpStatus", row->http);
    cJSON_AddStringToObject(item, "Code", row->code);
    cJSON_AddStringToObject(item, "Fault", row->fault);
    cJSON_AddStringToObject(item, "RequestId", row->request_id);
    cJSON_AddBoolToObject(item, "Effect", row->has_effect);
    cJSON_AddBoolToObject(item, "Overlap", row->has_overlap);
    cJSON_AddBoolToObject(item, "Replay", row->is_replay);
    return item;
}

cJSON *journal_describe(struct journal *journal, int64_t count)
{
    cJSON *list = cJSON_CreateArray();
    uint64_t known = journal->last_number - journal->forgotten_number;
    uint64_t limit = known < JOURNAL_ROWS ? known : JOURNAL_ROWS;
    uint64_t wanted = (uint64_t)count < limit ? (uint64_t)count : limit;
    for (uint64_t i = wanted; i > 0; i--) {
        cJSON_AddItemToArray(list,
                             describe_row(journal_get(journal, journal->last_number - i + 1)));
    }
    return list;
}
