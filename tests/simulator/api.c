/* One API request, from arrival to answer. */
#include "api.h"

#include "actions.h"
#include "answer.h"
#include "control.h"
#include "park.h"
#include "signature.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

static void log_params(const struct call *call, struct journal_row *row)
{
    struct params view = {0};
    for (size_t i = 0; i < call->params.count; i++) {
        if (call->signing != SIGNING_V1 || !signature_is_common_param(call->params.items[i].name)) {
            view.items[view.count++] = call->params.items[i];
        }
    }
    struct text text = {0};
    params_canonical(&view, NULL, &text);
    base_fill(row->params, sizeof row->params, text_string(&text));
    text_fini(&text);
}

static void log_arrival(struct call *call)
{
    static const char *const signatures[] = {"", "V1", "V3"};
    bool is_v1 = call->signing == SIGNING_V1;
    struct journal_row *row = journal_add(call->sim->journal);
    call->row = row->number;
    row->arrival_ms = base_monotonic_ms() - call->sim->started_ms;
    base_fill(row->signature, sizeof row->signature, signatures[call->signing]);
    base_fill(row->method, sizeof row->method, call->method);
    base_fill(row->action, sizeof row->action, call->action);
    base_fill(row->version, sizeof row->version, call->version);
    base_fill(row->host, sizeof row->host, call_header(call, "Host"));
    base_fill(row->agent, sizeof row->agent, call_header(call, "User-Agent"));
    base_fill(row->date, sizeof row->date,
              is_v1 ? params_get(&call->params, "Timestamp") : call_header(call, "x-acs-date"));
    base_fill(row->nonce, sizeof row->nonce,
              is_v1 ? params_get(&call->params, "SignatureNonce")
                    : call_header(call, "x-acs-signature-nonce"));
    row->has_security_token = is_v1 ? params_get(&call->params, "SecurityToken") != NULL
                                    : call_header(call, "x-acs-security-token") != NULL;
    log_params(call, row);
}

static bool check_form(struct call *call)
{
    if (strncmp(call->target, "/?", 2) != 0 && strcmp(call->target, "/") != 0) {
        return problem_set(&call->problem, "InvalidApi.NotFound", NULL);
    }
    if (strcmp(call->method, "GET") != 0 && strcmp(call->method, "POST") != 0) {
        return problem_set(&call->problem, "UnsupportedHTTPMethod", NULL);
    }
    if (call->is_body_too_large || call->is_malformed) {
        return problem_set(&call->problem, "InvalidParameter",
                           "The query or form could not be decoded, or repeats a name.");
    }
    return true;
}

static bool check_limit(struct call *call, struct limits *limits)
{
    if (limits->rate_per_s <= 0) {
        return true;
    }
    int64_t now_ms = base_monotonic_ms();
    limits->level += (double)(now_ms - limits->refilled_ms) * limits->rate_per_s / 1000;
    limits->level = limits->level < limits->burst ? limits->level : limits->burst;
    limits->refilled_ms = now_ms;
    if (limits->level >= 1) {
        limits->level -= 1;
        return true;
    }
    if (limits->has_retry_after) {
        call->retry_after_ms = 1 + (int64_t)((1 - limits->level) * 1000 / limits->rate_per_s);
    }
    call->sim->totals.throttled++;
    return problem_set(&call->problem, "Throttling.User", NULL);
}

static bool check_limits(struct call *call)
{
    struct limits *limits = call->sim->limits;
    bool is_limited_alone = call->kind != ACTION_COUNT;
    return check_limit(call, &limits[ACTION_COUNT]) &&
           (!is_limited_alone || check_limit(call, &limits[call->kind]));
}

static bool is_peer_gone(int socket)
{
    struct pollfd entry = {.fd = socket, .events = POLLRDHUP};
    return poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/*
 * Note that a start or stop is in progress. One whose client has closed is not: the client has
 * ended it and may rightly try again.
 */
static void begin_change(struct call *call)
{
    struct sim *sim = call->sim;
    call->group = groups_get(&sim->groups, params_get(&call->params, "RegionId"),
                             params_get(&call->params, "ReplicaGroupId"), sim_now_ms(sim));
    const struct call *other = NULL;
    DL_FOREACH2(call->group->active, other, group_next)
    {
        if (other->reset_count == sim->reset_count && !is_peer_gone(other->socket)) {
            call->group->overlaps++;
            sim->totals.overlaps++;
            struct journal_row *row = journal_get(sim->journal, call->row);
            if (row) {
                row->has_overlap = true;
            }
            break;
        }
    }
    DL_APPEND2(call->group->active, call, group_prev, group_next);
}

static void count_token(struct call *call)
{
    const char *name = params_get(&call->params, "ClientToken");
    if (!name) {
        return;
    }
    bool is_new = false;
    struct token *token = tokens_get(&call->sim->tokens, name, &is_new);
    if (is_new) {
        token->group = call->group;
        const char *one_shot = params_get(&call->params, "OneShot");
        token->is_one_shot = one_shot && strcmp(one_shot, "true") == 0;
        token->action = (uint8_t)call->kind;
    }
    token->calls++;
}

static bool check_request(struct call *call)
{
    struct sim *sim = call->sim;
    struct fault clock;
    int64_t now_ms = sim_wall_ms(sim);
    if (!check_form(call)) {
        sim->totals.signature_errors++;
        return false;
    }
    if (faults_take(&sim->faults, true, call->action, &call->params, &clock)) {
        call->clock_offset_ms = clock.offset_s * 1000;
    }
    if (!signature_check(call, now_ms + call->clock_offset_ms)) {
        return false;
    }
    if (call->kind != ACTION_COUNT) {
        call->is_change = call->kind == ACTION_START || call->kind == ACTION_STOP;
        sim->totals.calls[call->kind]++;
        control_wake(sim);
    }
    return check_limits(call) && actions_check(call);
}

static void take_fault(struct call *call)
{
    struct fault fault;
    if (!faults_take(&call->sim->faults, false, call->action, &call->params, &fault)) {
        return;
    }
    call->has_fault = true;
    call->fault = fault;
    struct journal_row *row = journal_get(call->sim->journal, call->row);
    base_fill(row->fault, sizeof row->fault, fault.kind->name);
}

static void arrive(struct call *call)
{
    call->sim->totals.requests++;
    request_id_new(call->request_id);
    signature_identify(call);
    call->kind = actions_kind(call->action);
    log_arrival(call);
    call->step = CALL_READY;
    if (!check_request(call)) {
        return;
    }
    if (call->is_change) {
        begin_change(call);
        count_token(call);
    }
    take_fault(call);
    if (call->has_fault && call->fault.delay_ms > 0) {
        call->step = CALL_DELAYED;
        park_call(call, base_monotonic_ms() + call->fault.delay_ms, false);
    }
}

static void perform(struct call *call)
{
    if (call->problem.code[0]) {
        return;
    }
    if (!call->has_fault || call->fault.has_effect) {
        actions_perform(call);
    }
    if (call->has_fault && call->fault.kind->is_error) {
        problem_set_free(&call->problem, call->fault.http, call->fault.code, call->fault.message);
    }
    if (call->has_fault && call->fault.retry_after_ms > 0) {
        call->retry_after_ms = call->fault.retry_after_ms;
    }
}

static void count_outcome(struct call *call)
{
    const char *name = call->group ? params_get(&call->params, "ClientToken") : NULL;
    struct token *token = name ? tokens_find(&call->sim->tokens, name) : NULL;
    if (!token) {
        return;
    }
    if (call->has_fault && call->fault.kind->is_indefinite) {
        token->lost++;
    } else if (call->problem.code[0]) {
        token->errors++;
    } else {
        token->succeeded++;
    }
}

static void render(struct call *call)
{
    enum delivery delivery = call->has_fault ? call->fault.kind->delivery : DELIVERY_NORMAL;
    if (call->has_fault && call->fault.is_xml) {
        call->wants_json = false;
    }
    call->step = CALL_ANSWERED;
    switch (delivery) {
    case DELIVERY_RESET:
        call->step = CALL_DROPPED;
        break;
    case DELIVERY_HANG:
        call->step = CALL_HANGING;
        park_call(call, PARK_FOREVER, true);
        break;
    case DELIVERY_HTML:
    case DELIVERY_EMPTY:
    case DELIVERY_GARBAGE:
        answer_render_fault(call);
        break;
    default:
        answer_render(call);
    }
}

static void log_answer(struct call *call)
{
    struct journal_row *row = journal_get(call->sim->journal, call->row);
    if (row) {
        row->http = call->http;
        base_fill(row->code, sizeof row->code, call->problem.code);
        request_id_format(call->request_id, row->request_id);
    }
    if (!call->sim->options.is_quiet && row) {
        fprintf(stderr, "%s %s -> %u %s%s%s%s\n", row->action, row->params, row->http,
                row->code[0] ? row->code : row->request_id, row->fault[0] ? " fault=" : "",
                row->fault, row->has_effect ? " effect" : "");
    }
}

void api_advance(struct call *call)
{
    if (call->step == CALL_ARRIVED) {
        arrive(call);
    } else if (call->step == CALL_DELAYED) {
        call->step = CALL_READY;
    } else if (call->step == CALL_HANGING) {
        call->step = CALL_DROPPED;
    }
    if (call->step == CALL_READY) {
        perform(call);
        count_outcome(call);
        render(call);
        log_answer(call);
        control_wake(call->sim);
    }
}

void api_finish(struct call *call, bool is_sent)
{
    if (call->group) {
        DL_DELETE2(call->group->active, call, group_prev, group_next);
        call->group = NULL;
    }
    struct journal_row *row = journal_get(call->sim->journal, call->row);
    if (row && is_sent) {
        row->answer_ms = base_monotonic_ms() - call->sim->started_ms;
    }
    if (call->is_change && is_sent && call->reset_count == call->sim->reset_count) {
        call->sim->totals.answered++;
        control_wake(call->sim);
    }
}
