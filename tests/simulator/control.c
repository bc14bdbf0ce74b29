/* The control requests, a row each. */
#include "control.h"

#include "actions.h"
#include "answer.h"
#include "control_groups.h"
#include "control_state.h"
#include "park.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const char prefix[] = "/_sim/";

/* Handles one request; `body` is its JSON object, or NULL if it has none. */
typedef void control_fn(struct call *call, const cJSON *body);

struct route {
    const char *method;
    const char *path; /* after the prefix; a trailing '/' takes anything that follows */
    control_fn *handle;
    const char
        *fields; /* the names a body may have, with "," around each; NULL: checked elsewhere */
};

static void post_faults(struct call *call, const cJSON *body)
{
    const char *reason = "";
    const struct fault *fault = faults_add(&call->sim->faults, body, &reason);
    if (!fault) {
        control_refuse(call, 400, reason);
        return;
    }
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddNumberToObject(answer, "Id", (double)fault->id);
    answer_control(call, 200, answer);
}

static void get_faults(struct call *call, const cJSON *body)
{
    (void)body;
    answer_control(call, 200, faults_describe(&call->sim->faults));
}

static void delete_faults(struct call *call, const cJSON *body)
{
    (void)body;
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddNumberToObject(answer, "Cleared", faults_clear(&call->sim->faults));
    answer_control(call, 200, answer);
    park_resume_hanging();
}

static void get_state(struct call *call, const cJSON *body)
{
    (void)body;
    answer_control(call, 200, control_state(call->sim));
}

static void get_totals(struct call *call, const cJSON *body)
{
    (void)body;
    answer_control(call, 200, control_totals(call->sim));
}

static void get_errors(struct call *call, const cJSON *body)
{
    (void)body;
    answer_control(call, 200, control_errors());
}

static void get_token(struct call *call, const cJSON *body)
{
    (void)body;
    struct params name = {0};
    char encoded[256] = "Token=";
    const char *rest = call->target + sizeof prefix - 1 + strlen("tokens/");
    base_fill(encoded + 6, sizeof encoded - 6, rest);
    bool is_ok = params_add(&name, encoded, strlen(encoded)) && name.count == 1;
    const struct token *token = is_ok ? tokens_find(&call->sim->tokens, name.items[0].value) : NULL;
    params_fini(&name);
    if (token) {
        answer_control(call, 200, control_token(token));
    } else {
        control_refuse(call, 404, "this token was never seen");
    }
}

static void get_requests(struct call *call, const cJSON *body)
{
    (void)body;
    int64_t last = 100;
    const char *value = params_get(&call->params, "Last");
    if (value && !base_parse_integer(value, 1, JOURNAL_ROWS, &last)) {
        control_refuse(call, 400, "Last is a number from 1 to 1000");
        return;
    }
    answer_control(call, 200, journal_describe(call->sim->journal, last));
}

static void post_limits(struct call *call, const cJSON *body)
{
    double rate_per_s = control_number(body, "RatePerS", -1);
    double burst = control_number(body, "Burst", rate_per_s < 1 ? 1 : rate_per_s);
    const char *action = control_text(body, "Action");
    enum action_kind kind = actions_kind(action);
    if (rate_per_s < 0 || burst < 1 || (*action && kind == ACTION_COUNT)) {
        control_refuse(call, 400,
                       "RatePerS is needed, from 0 (no limit); Burst is 1 or more; Action is one "
                       "that is served");
        return;
    }
    call->sim->limits[kind] = (struct limits){
        .rate_per_s = rate_per_s,
        .burst = burst,
        .level = burst,
        .refilled_ms = base_monotonic_ms(),
        .has_retry_after = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "RetryAfter"))};
    control_ok(call);
}

static struct access_key *find_key(struct sim *sim, const char *id)
{
    struct access_key *free_key = NULL;
    for (int i = 0; i < ACCESS_KEY_LIMIT; i++) {
        if (strcmp(sim->keys[i].id, id) == 0) {
            return &sim->keys[i];
        }
        if (!free_key && !sim->keys[i].id[0]) {
            free_key = &sim->keys[i];
        }
    }
    return free_key;
}

static void fill_key(struct access_key *key, const cJSON *body)
{
    base_fill(key->id, sizeof key->id, control_text(body, "AccessKeyId"));
    if (cJSON_HasObjectItem(body, "AccessKeySecret")) {
        base_fill(key->secret, sizeof key->secret, control_text(body, "AccessKeySecret"));
    }
    if (cJSON_HasObjectItem(body, "SecurityToken")) {
        base_fill(key->security_token, sizeof key->security_token,
                  control_text(body, "SecurityToken"));
    }
}

static void post_keys(struct call *call, const cJSON *body)
{
    const char *id = control_text(body, "AccessKeyId");
    const char *name = control_text(body, "State");
    struct access_key *key = *id ? find_key(call->sim, id) : NULL;
    enum key_state state = KEY_ACTIVE;
    bool is_removed = strcmp(name, "removed") == 0;
    if (!key || (*name && !is_removed && !options_key_state(name, &state))) {
        control_refuse(call, 400,
                       "AccessKeyId is needed, and State is one of active, inactive, disabled, "
                       "expired, removed");
        return;
    }
    if (is_removed) {
        *key = (struct access_key){0};
    } else {
        fill_key(key, body);
        key->state = state;
    }
    control_ok(call);
}

static void post_clock(struct call *call, const cJSON *body)
{
    struct sim *sim = call->sim;
    double advance_ms = control_number(body, "AdvanceMs", 0);
    double offset_s = control_number(body, "OffsetS", (double)sim->clock_offset_ms / 1000);
    if (advance_ms < 0) {
        control_refuse(call, 400, "AdvanceMs is 0 or more");
        return;
    }
    sim->advanced_ms += (int64_t)advance_ms;
    sim->clock_offset_ms = (int64_t)(offset_s * 1000);
    control_ok(call);
}

static void post_reset(struct call *call, const cJSON *body)
{
    (void)body;
    sim_reset(call->sim);
    park_resume_all();
    control_ok(call);
}

static bool has_its_counts(const struct call *call)
{
    const struct totals *totals = &call->sim->totals;
    return totals->calls[ACTION_START] + totals->calls[ACTION_STOP] >= call->wait_changes &&
           totals->calls[ACTION_DESCRIBE_GROUPS] >= call->wait_describes &&
           totals->effects >= call->wait_effects && totals->answered >= call->wait_answered;
}

static void answer_wait(struct call *call)
{
    cJSON *answer = control_totals(call->sim);
    cJSON_AddBoolToObject(answer, "Reached", has_its_counts(call));
    answer_control(call, 200, answer);
}

static void post_wait(struct call *call, const cJSON *body)
{
    double timeout_ms = control_number(body, "TimeoutMs", 10000);
    call->wait_changes = (uint64_t)control_number(body, "Requests", 0);
    call->wait_describes = (uint64_t)control_number(body, "Describes", 0);
    call->wait_effects = (uint64_t)control_number(body, "Effects", 0);
    call->wait_answered = (uint64_t)control_number(body, "Answered", 0);
    if (has_its_counts(call) || timeout_ms <= 0) {
        answer_wait(call);
        return;
    }
    call->step = CALL_WAITING;
    DL_APPEND2(call->sim->waiters, call, wait_prev, wait_next);
    park_call(call, base_monotonic_ms() + (int64_t)timeout_ms, true);
}

void control_wake(struct sim *sim)
{
    struct call *call = NULL;
    struct call *next = NULL;
    DL_FOREACH_SAFE2(sim->waiters, call, next, wait_next)
    {
        if (has_its_counts(call)) {
            park_resume(call);
        }
    }
}

static const struct route routes[] = {
    {"POST", "faults", post_faults, NULL},
    {"GET", "faults", get_faults, NULL},
    {"DELETE", "faults", delete_faults, NULL},
    {"GET", "state", get_state, NULL},
    {"GET", "totals", get_totals, NULL},
    {"GET", "errors", get_errors, NULL},
    {"GET", "tokens/", get_token, NULL},
    {"GET", "requests", get_requests, NULL},
    {"POST", "groups", control_post_groups,
     ",RegionId,ReplicaGroupId,Status,ShownStatus,Site,StopEnds,RecoverAgeS,CooldownMs,"},
    {"POST", "pairs", control_post_pairs, ",RegionId,ReplicaPairId,Status,StatusMessage,Progress,"},
    {"POST", "times", control_post_times, ",RpoS,SyncMs,StopMs,RecoverLateMs,"},
    {"POST", "describe", control_post_describe, ",Quirks,PageLimit,Tags,DescriptionBytes,"},
    {"POST", "limits", post_limits, ",Action,RatePerS,Burst,RetryAfter,"},
    {"POST", "keys", post_keys, ",AccessKeyId,AccessKeySecret,SecurityToken,State,"},
    {"POST", "clock", post_clock, ",AdvanceMs,OffsetS,"},
    {"POST", "reset", post_reset, ","},
    {"POST", "wait", post_wait, ",Requests,Describes,Effects,Answered,TimeoutMs,"},
};

bool control_owns(const char *target)
{
    return strncmp(target, prefix, sizeof prefix - 1) == 0;
}

static const struct route *find_route(const struct call *call)
{
    const char *path = call->target + sizeof prefix - 1;
    size_t length = strcspn(path, "?");
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t route_length = strlen(routes[i].path);
        bool is_open = routes[i].path[route_length - 1] == '/';
        bool is_match = strncmp(path, routes[i].path, route_length) == 0 &&
                        (is_open ? length > route_length : length == route_length);
        if (is_match && strcmp(routes[i].method, call->method) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

/* A misspelt name is refused; otherwise it would count as absent. */
static bool has_known_fields(const struct route *route, const cJSON *body)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, body)
    {
        struct text name = {0};
        text_printf(&name, ",%s,", item->string);
        bool is_known = !route->fields || strstr(route->fields, text_string(&name));
        text_fini(&name);
        if (!is_known) {
            return false;
        }
    }
    return true;
}

static void dispatch(struct call *call, const struct route *route)
{
    cJSON *body = NULL;
    if (call->body.length > 0) {
        body = cJSON_ParseWithLength(call->body.data, call->body.length);
    }
    bool is_needed = strcmp(route->method, "POST") == 0 && strcmp(route->path, "reset") != 0;
    if ((call->body.length > 0 || is_needed) && !cJSON_IsObject(body)) {
        control_refuse(call, 400, "the body is not a JSON object");
    } else if (!has_known_fields(route, body)) {
        control_refuse(call, 400, "the body has an unknown field");
    } else {
        route->handle(call, body);
    }
    cJSON_Delete(body);
}

void control_advance(struct call *call)
{
    if (call->step == CALL_WAITING) {
        answer_wait(call);
        return;
    }
    const struct route *route = find_route(call);
    if (route) {
        dispatch(call, route);
    } else {
        control_refuse(call, 404, "no such control request");
    }
}

void control_finish(struct call *call)
{
    if (call->wait_prev) {
        DL_DELETE2(call->sim->waiters, call, wait_prev, wait_next);
        call->wait_prev = NULL;
    }
}
