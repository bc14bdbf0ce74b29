/* The list of faults and the table of their kinds. */
#include "faults.h"

#include "errors.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const struct fault_kind kinds[] = {
    {.name = "error", .is_error = true, .code = "InternalError"},
    {.name = "error_after",
     .is_error = true,
     .has_effect = true,
     .is_indefinite = true,
     .code = "InternalError"},
    {.name = "latency", .has_effect = true},
    {.name = "reset_before", .delivery = DELIVERY_RESET, .is_indefinite = true},
    {.name = "reset_after", .delivery = DELIVERY_RESET, .has_effect = true, .is_indefinite = true},
    {.name = "cut_body", .delivery = DELIVERY_CUT, .has_effect = true, .is_indefinite = true},
    {.name = "html_502", .delivery = DELIVERY_HTML, .is_indefinite = true},
    {.name = "empty_200", .delivery = DELIVERY_EMPTY, .has_effect = true, .is_indefinite = true},
    {.name = "garbage_200",
     .delivery = DELIVERY_GARBAGE,
     .has_effect = true,
     .is_indefinite = true},
    {.name = "huge_body", .delivery = DELIVERY_HUGE, .has_effect = true, .is_indefinite = true},
    {.name = "answer_twice", .delivery = DELIVERY_TWICE, .has_effect = true},
    {.name = "slow_bytes", .delivery = DELIVERY_SLOW, .has_effect = true},
    {.name = "hang", .delivery = DELIVERY_HANG, .is_indefinite = true},
    {.name = "xml", .has_effect = true, .is_xml = true},
    {.name = "omit",
     .has_effect = true,
     .is_omitting = true,
     .action = "DescribeDiskReplicaGroups"},
    {.name = "wrong_clock", .is_clock = true, .has_effect = true, .action = "*"},
};

static const struct fault_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* One field of a fault: its name in JSON and where it goes. */
struct field {
    const char *name;
    size_t offset;
    size_t size_bytes; /* of text; 0 for a number */
    int64_t minimum;
    int64_t maximum;
};

#define NUMBER(json_name, member, low, high)                                             \
    {                                                                                    \
        .name = (json_name), .offset = offsetof(struct fault, member), .minimum = (low), \
        .maximum = (high)                                                                \
    }
#define TEXT(json_name, member)                                        \
    {                                                                  \
        .name = (json_name), .offset = offsetof(struct fault, member), \
        .size_bytes = sizeof((struct fault *)0)->member                \
    }

static const struct field fields[] = {
    NUMBER("Count", count, -1, INT32_MAX),
    NUMBER("DelayMs", delay_ms, 0, INT32_MAX),
    NUMBER("Bytes", size_bytes, 64, INT64_C(1) << 40),
    NUMBER("OffsetS", offset_s, INT32_MIN, INT32_MAX),
    NUMBER("RetryAfterMs", retry_after_ms, 0, INT32_MAX),
    TEXT("Code", code),
    TEXT("Message", message),
};

static const struct field match_fields[] = {
    TEXT("Action", action),      TEXT("RegionId", region), TEXT("ReplicaGroupId", group),
    TEXT("ReplicaPairId", pair), TEXT("Site", site),       TEXT("ClientToken", token),
};

static bool fill_number(int64_t *target, const cJSON *value, int64_t minimum, int64_t maximum)
{
    double number = cJSON_IsNumber(value) ? value->valuedouble : -1e300;
    if (!(number >= (double)minimum && number <= (double)maximum)) {
        return false;
    }
    *target = (int64_t)number;
    return true;
}

static bool fill_field(struct fault *fault, const struct field *field, const cJSON *value)
{
    char *target = (char *)fault + field->offset;
    if (field->size_bytes == 0) {
        return fill_number((int64_t *)(void *)target, value, field->minimum, field->maximum);
    }
    if (!cJSON_IsString(value) || strlen(value->valuestring) >= field->size_bytes) {
        return false;
    }
    base_fill(target, field->size_bytes, value->valuestring);
    return true;
}

static bool fill_named(struct fault *fault, const struct field *table, size_t count,
                       const cJSON *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, value->string) == 0) {
            return fill_field(fault, &table[i], value);
        }
    }
    return false;
}

static bool fill_match(struct fault *fault, const cJSON *match)
{
    const cJSON *value = NULL;
    cJSON_ArrayForEach(value, match)
    {
        size_t count = sizeof match_fields / sizeof match_fields[0];
        if (!fill_named(fault, match_fields, count, value)) {
            return false;
        }
    }
    return cJSON_IsObject(match);
}

/* Fields whose meaning depends on more than their name. */
static bool fill_special(struct fault *fault, const cJSON *value, bool *out_is_valid)
{
    int64_t number = 0;
    if (strcmp(value->string, "Fault") == 0) {
        *out_is_valid = true;
    } else if (strcmp(value->string, "Match") == 0) {
        *out_is_valid = fill_match(fault, value);
    } else if (strcmp(value->string, "Effect") == 0) {
        *out_is_valid = cJSON_IsBool(value);
        fault->has_effect = cJSON_IsTrue(value);
    } else if (strcmp(value->string, "Xml") == 0) {
        *out_is_valid = cJSON_IsBool(value);
        fault->is_xml = cJSON_IsTrue(value);
    } else if (strcmp(value->string, "Http") == 0) {
        *out_is_valid = fill_number(&number, value, 200, 599);
        fault->http = (unsigned)number;
    } else if (strcmp(value->string, "Ms") == 0) {
        bool is_slow = fault->kind->delivery == DELIVERY_SLOW;
        int64_t *target = is_slow ? &fault->byte_ms : &fault->delay_ms;
        *out_is_valid = fill_number(target, value, 0, INT32_MAX);
    } else {
        return false;
    }
    return true;
}

static bool fill_fault(struct fault *fault, const cJSON *body)
{
    const cJSON *value = NULL;
    cJSON_ArrayForEach(value, body)
    {
        bool is_valid = false;
        if (!fill_special(fault, value, &is_valid)) {
            is_valid = fill_named(fault, fields, sizeof fields / sizeof fields[0], value);
        }
        if (!is_valid) {
            return false;
        }
    }
    return true;
}

/* Completes an error from the table; a code that is not in the table needs its own status. */
static bool complete_error(struct fault *fault)
{
    if (!fault->code[0]) {
        base_fill(fault->code, sizeof fault->code, fault->kind->code);
    }
    const struct error_row *row = error_find(fault->code);
    if (!fault->http) {
        fault->http = row ? row->http : 0;
    }
    if (!fault->message[0] && row) {
        base_fill(fault->message, sizeof fault->message, row->message);
    }
    return fault->http != 0;
}

const struct fault *faults_add(struct faults *faults, const cJSON *body, const char **out_reason)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "Fault"));
    const struct fault_kind *kind = name ? find_kind(name) : NULL;
    if (!kind) {
        *out_reason = "Fault is missing or not a known kind";
        return NULL;
    }
    struct fault *fault = base_alloc(sizeof *fault);
    fault->kind = kind;
    fault->count = kind->is_clock ? -1 : 1;
    fault->has_effect = kind->has_effect;
    fault->is_xml = kind->is_xml;
    fault->size_bytes = 16 * 1024 * 1024;
    fault->byte_ms = 10;
    base_fill(fault->action, sizeof fault->action,
              kind->action ? kind->action : "StartDiskReplicaGroup");
    if (!fill_fault(fault, body)) {
        *out_reason = "a field is unknown, of the wrong type or out of range";
        free(fault);
        return NULL;
    }
    if (kind->is_error && !complete_error(fault)) {
        *out_reason = "Code is not in the table, so Http is needed";
        free(fault);
        return NULL;
    }
    fault->id = ++faults->last_id;
    DL_APPEND(faults->list, fault);
    return fault;
}

static bool is_match(const char *wanted, const char *value)
{
    return !wanted[0] || strcmp(wanted, "*") == 0 || (value && strcmp(wanted, value) == 0);
}

/* The same for an id that a request may name alone or in a list. */
static bool is_named(const char *wanted, const struct params *params, const char *name,
                     const char *list_name)
{
    const char *list = params_get(params, list_name);
    return is_match(wanted, params_get(params, name)) || (list && params_lists(list, wanted));
}

static bool applies(const struct fault *fault, bool is_clock, const char *action,
                    const struct params *params)
{
    return fault->kind->is_clock == is_clock && fault->count != 0 &&
           is_match(fault->action, action) &&
           is_match(fault->region, params_get(params, "RegionId")) &&
           is_match(fault->site, params_get(params, "Site")) &&
           is_named(fault->group, params, "ReplicaGroupId", "GroupIds") &&
           is_named(fault->pair, params, "ReplicaPairId", "PairIds") &&
           is_match(fault->token, params_get(params, "ClientToken"));
}

bool faults_take(struct faults *faults, bool is_clock, const char *action,
                 const struct params *params, struct fault *out)
{
    struct fault *fault = NULL;
    DL_FOREACH (faults->list, fault) {
        if (!applies(fault, is_clock, action, params)) {
            continue;
        }
        fault->taken++;
        faults->taken_total++;
        fault->count -= fault->count > 0;
        *out = *fault;
        if (fault->count == 0) {
            DL_DELETE(faults->list, fault);
            free(fault);
        }
        return true;
    }
    return false;
}

cJSON *faults_describe(const struct faults *faults)
{
    cJSON *list = cJSON_CreateArray();
    const struct fault *fault = NULL;
    DL_FOREACH (faults->list, fault) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "Id", (double)fault->id);
        cJSON_AddStringToObject(item, "Fault", fault->kind->name);
        cJSON_AddNumberToObject(item, "Count", (double)fault->count);
        cJSON_AddNumberToObject(item, "Taken", (double)fault->taken);
        if (fault->kind->is_error) {
            cJSON_AddStringToObject(item, "Code", fault->code);
            cJSON_AddNumberToObject(item, "Http", fault->http);
        }
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

int faults_clear(struct faults *faults)
{
    int count = 0;
    struct fault *fault = NULL;
    struct fault *next = NULL;
    DL_FOREACH_SAFE (faults->list, fault, next) {
        DL_DELETE(faults->list, fault);
        free(fault);
        count++;
    }
    return count;
}
