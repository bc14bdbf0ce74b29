#include "check_reply.h"

#include "answer.h"
#include "flow_message.h"
#include "violation.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One reply and its context. */
struct view {
    struct check *check;
    uint32_t number;
    const struct plan_item *item;
    const struct record_reply *reply;
    struct answer answer;
    char token[PLAN_TOKEN_BYTES]; /* the token of the command; "" for none */
};

static bool *contradicted; /* indexed by the number of the origin: commands with its token
                              contradict each other */
static int64_t offset_ms; /* upper bound of the wall-clock time of the simulator's start; INT64_MAX:
                             not known */

static void report(const struct view *view, enum violation violation, const char *why)
{
    char *story = check_story(view->check, view->number);
    violate(violation, "%s: %s | %s", why, view->reply->body, story);
    free(story);
}

/* --- the command it belongs to --- */

static void check_address(const struct view *view)
{
    char topic[PLAN_TOPIC_BYTES];
    char correlation[64];
    bool is_v5 = plan_is_v5(view->item);
    const char *token = view->answer.token;
    plan_reply_topic(view->check->plan, view->number, token, topic, sizeof topic);
    plan_correlation(view->check->plan, view->number, correlation);
    if (strcmp(view->reply->topic, topic) != 0) {
        report(view, VIOLATION_WRONG, "the reply is on another topic");
    }
    if (strcmp(view->reply->correlation, is_v5 ? correlation : "") != 0 ||
        strcmp(view->answer.correlation_id, is_v5 ? "" : correlation) != 0) {
        report(view, VIOLATION_WRONG, "the reply has another correlation");
    }
    if (strcmp(json_text(view->answer.json, "Action"), plan_action(view->item)) != 0) {
        report(view, VIOLATION_WRONG, "the reply has another action");
    }
    if (view->item->element_count > 0 &&
        (int)json_number(view->answer.json, "Element") != view->item->element) {
        report(view, VIOLATION_WRONG, "the reply is about another element");
    }
    if (view->token[0] != '\0' && token[0] != '\0' && strcmp(token, view->token) != 0) {
        report(view, VIOLATION_WRONG, "the reply is about another token");
    }
}

static void check_dead_letter(const struct view *view)
{
    char topic[PLAN_COMMAND_TOPIC_BYTES];
    view->check->dead_letter_count++;
    plan_topic(view->check->plan, view->number, topic);
    if (!plan_is_unanswerable(view->check->plan, view->number)) {
        report(view, VIOLATION_WRONG, "a command that can be answered became a dead letter");
    }
    if (strcmp(view->answer.code, plan_fault_code((enum plan_fault)view->item->fault)) != 0 ||
        strcmp(json_text(view->answer.json, "Topic"), topic) != 0) {
        report(view, VIOLATION_WRONG, "the dead letter has another content");
    }
}

/* --- its content --- */

static void check_invalid(const struct view *view)
{
    const char *code = plan_fault_code((enum plan_fault)view->item->fault);
    view->check->refused_count++;
    if (!answer_is(&view->answer, "failed") || strcmp(view->answer.code, code) != 0 ||
        strcmp(view->answer.source, "bridge") != 0) {
        report(view, VIOLATION_WRONG, "an invalid command was not refused as such");
    }
}

static bool is_same_call(const struct view *view, const struct api_token *token)
{
    char group[16];
    plan_group(view->item->group, group);
    return strcmp(token->group, group) == 0 &&
           strcmp(token->region, plan_region(view->item->group)) == 0 &&
           token->is_one_shot == view->item->is_one_shot && token->is_stop == view->item->is_stop;
}

/* It has the RequestId of another command's call, and made none itself. */
static void check_coalesced(const struct view *view)
{
    const struct api_token *own = api_find(view->check->api, view->answer.token);
    const struct api_token *token = NULL;
    const struct api_token *next = NULL;
    bool is_found = false;
    HASH_ITER (hh, view->check->api->tokens, token, next) {
        is_found |= token->effects > 0 && is_same_call(view, token) &&
                    strcmp(token->request_id, view->answer.request_id) == 0;
    }
    view->check->coalesced_count++;
    if (view->item->token != TOKEN_MAPPED) {
        report(view, VIOLATION_WRONG, "coalesced, but its route does not");
    }
    if (!is_found) {
        report(view, VIOLATION_LIE, "coalesced, but no call had this effect");
    }
    if (own != NULL && own->effects > 0) {
        report(view, VIOLATION_DOUBLED, "coalesced, but it had an effect itself");
    }
}

/* Whether the outcome was lost with a fail-over, and the API forgets tokens: the command that comes
 * again has another effect. */
static bool may_be_done_again(const struct view *view)
{
    return view->check->api->token_ttl_ms > 0 &&
           check_excuse_token(view->check, view->answer.token, WRITE_CLAIM | WRITE_OUTCOME,
                              &view->check->store_lost_effects, "another call after the success");
}

static void check_success(const struct view *view)
{
    struct api_token *token = api_find(view->check->api, view->answer.token);
    view->check->succeeded_count++;
    view->check->stopped_count += view->item->is_stop;
    if (json_is_true(view->answer.json, "Coalesced")) {
        check_coalesced(view);
        return;
    }
    if (token != NULL) {
        token->is_answered = true;
        if (token->told_ms == 0 || view->answer.completed_ms < token->told_ms) {
            token->told_ms = view->answer.completed_ms;
        }
    }
    if (token == NULL || token->effects == 0) {
        report(view, VIOLATION_LIE, "succeeded, but the API saw no effect");
    } else if (strcmp(token->request_id, view->answer.request_id) != 0 &&
               !may_be_done_again(view)) {
        report(view, VIOLATION_WRONG, "another RequestId than the API gave the token");
    } else if (!is_same_call(view, token) && !may_be_done_again(view)) {
        report(view, VIOLATION_WRONG, "a success for other parameters");
    }
}

static bool is_expected_failure(const struct view *view)
{
    static const char *const codes[] = {"OperationDenied.InvalidStatus",
                                        "OperationDenied.ManualSyncLimit",
                                        "NoSuchResource",
                                        "Throttling.User",
                                        "Throttling",
                                        "ServiceUnavailable",
                                        "Bridge.Unreachable",
                                        "Bridge.Expired",
                                        "Bridge.Overloaded"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(view->answer.code, codes[i]) == 0) {
            return true;
        }
    }
    return strcmp(view->answer.code, "IdempotentParameterMismatch") == 0 &&
           contradicted[view->item->origin];
}

/* A `failed` reply means no effect: no earlier call may have had one. */
static void check_failure(const struct view *view)
{
    const struct api_token *token = api_find(view->check->api, view->answer.token);
    bool is_refusal = answer_is_refusal(&view->answer);
    view->check->failed_count += !is_refusal;
    view->check->refused_count += is_refusal;
    if (!is_expected_failure(view)) {
        report(view, VIOLATION_WRONG, "failed for a reason that did not exist");
    }
    /* Of a mismatch, the effect is that of another command. */
    bool is_mismatch = strcmp(view->answer.code, "IdempotentParameterMismatch") == 0;
    if (is_mismatch || token == NULL || token->effects == 0) {
        return;
    }
    if (token->effect_ms < 0 || offset_ms == INT64_MAX ||
        offset_ms + token->effect_ms > view->answer.completed_ms) {
        view->check->late_effects++;
    } else if (!check_excuse_token(
                   view->check, view->answer.token, WRITE_CLAIM | WRITE_STATE | WRITE_OUTCOME,
                   &view->check->store_lost_effects, "failed, and there was an effect before")) {
        report(view, VIOLATION_LIE, "failed, but there was an effect before");
    }
}

/* Whether the bridge was killed often enough since the command was first sent to set it aside. */
static bool may_be_set_aside(const struct view *view)
{
    int64_t sent_ms = view->check->record->rows[view->item->origin].posted_ms;
    size_t kills = 0;
    for (int i = 0; i < view->check->bridge_count; i++) {
        kills += bridge_keeper_kills(&view->check->bridges[i], sent_ms, view->reply->first_ms);
    }
    return strcmp(view->answer.code, "Bridge.SetAside") == 0 && kills >= 3;
}

/* Once a call may have had an effect, a refusal of the API cannot show that it had none: unknown
 * with the code of the refusal is then the last word. So is a command that was set aside. */
static void check_unknown(const struct view *view)
{
    struct api_token *token = api_find(view->check->api, view->answer.token);
    bool is_set_aside = may_be_set_aside(view);
    view->check->unknown_count++;
    if (token != NULL && is_set_aside) {
        token->is_set_aside = true;
    }
    if (view->item->kind == PLAN_ASK && !is_set_aside &&
        (strcmp(view->answer.source, "ecs") != 0 || !is_expected_failure(view))) {
        report(view, VIOLATION_LOST, "sent again without any fault, and still unknown");
    }
}

static void check_one(const struct view *view)
{
    if (view->answer.json == NULL) {
        report(view, VIOLATION_WRONG, "the reply is no JSON");
    } else if (view->reply->is_dead_letter) {
        check_dead_letter(view);
    } else if (plan_is_unanswerable(view->check->plan, view->number)) {
        report(view, VIOLATION_WRONG, "a reply to a command without a reply topic");
    } else {
        check_address(view);
        view->check->replayed_count += view->answer.is_replayed;
        if (answer_is(&view->answer, "accepted")) {
            return;
        }
        if (view->item->kind == PLAN_INVALID) {
            check_invalid(view);
        } else if (answer_is(&view->answer, "succeeded")) {
            check_success(view);
        } else if (answer_is(&view->answer, "failed")) {
            check_failure(view);
        } else if (answer_is(&view->answer, "unknown")) {
            check_unknown(view);
        } else {
            report(view, VIOLATION_WRONG, "an unknown status");
        }
    }
}

/* --- the replies to one command compared --- */

/* Whether two replies that differ in their bytes are the same answer; a repeated answer must have
 * the same bytes. Answers to two arrivals may have been completed in the same millisecond; they
 * differ in the time of arrival, or in the token that the bridge made. check_count() finds answers
 * without an arrival. */
static bool is_same_answer(const struct answer *one, const struct answer *other)
{
    return strcmp(one->status, other->status) == 0 && one->is_replayed == other->is_replayed &&
           one->completed_ms == other->completed_ms && one->received_ms == other->received_ms &&
           strcmp(one->token, other->token) == 0;
}

static void check_repeats(const struct view *view)
{
    for (const struct record_reply *other = view->reply->next; other != NULL; other = other->next) {
        struct answer answer;
        answer_read(other, &answer);
        if (!other->is_dead_letter && is_same_answer(&answer, &view->answer)) {
            report(view, VIOLATION_WRONG, "the same reply twice with different bytes");
        }
        answer_fini(&answer);
    }
}

/* A command without token and correlation is a new one at each arrival; several effects are only
 * counted. */
static void count_anonymous(const struct view *view)
{
    char first[40] = "";
    bool is_twice = false;
    for (const struct record_reply *reply = view->reply; reply != NULL; reply = reply->next) {
        struct answer answer;
        answer_read(reply, &answer);
        if (answer_is(&answer, "succeeded") && first[0] == '\0') {
            snprintf(first, sizeof first, "%s", answer.request_id);
        } else if (answer_is(&answer, "succeeded")) {
            is_twice |= strcmp(first, answer.request_id) != 0;
        }
        answer_fini(&answer);
    }
    view->check->anonymous_twice += is_twice;
}

/* Every arrival of a command has one answer; an answer may arrive more than once. */
static void check_count(const struct view *view)
{
    int count = 0;
    for (const struct record_reply *reply = view->reply; reply != NULL; reply = reply->next) {
        count += strstr(reply->body, "\"Status\":\"accepted\"") == NULL;
    }
    int most = view->check->tap->marks[view->number].delivered;
    const struct store_lost *lost = store_lost_number(view->check->losses, view->number);
    if (count > most && lost != NULL && count <= most + lost->count) {
        view->check->store_lost_answers++;
        fprintf(view->check->excused,
                "database failed over, writes %x lost; command %u: %d answers\n", lost->writes,
                view->number, count);
    } else if (count > most) {
        report(view, VIOLATION_WRONG, "more answers than arrivals");
    }
}

/* --- all of them --- */

static void find_contradictions(const struct plan *plan)
{
    contradicted = calloc(plan->count + 1, sizeof *contradicted);
    assert(contradicted != NULL);
    for (uint32_t number = 0; number < plan->count; number++) {
        uint32_t origin = plan->items[number].origin;
        contradicted[origin] |= !plan_is_same(plan, number, origin);
    }
}

/* A call arrives before its outcome is recorded; this gives an upper bound for the simulator's
 * start on the wall clock. */
static void learn_offset(const struct check *check, const struct record_reply *reply)
{
    struct answer answer;
    answer_read(reply, &answer);
    if (answer_is(&answer, "succeeded")) {
        const struct api_token *token = api_find(check->api, answer.token);
        if (token != NULL && token->effect_ms >= 0 &&
            answer.completed_ms - token->effect_ms < offset_ms) {
            offset_ms = answer.completed_ms - token->effect_ms;
        }
    }
    answer_fini(&answer);
}

static void check_replies_of(struct check *check, uint32_t number)
{
    struct view view = {.check = check, .number = number, .item = &check->plan->items[number]};
    const struct record_reply *first = check->record->rows[number].replies;
    plan_token(check->plan, number, view.token);
    for (view.reply = first; view.reply != NULL; view.reply = view.reply->next) {
        answer_read(view.reply, &view.answer);
        check_one(&view);
        check_repeats(&view);
        if (view.reply == first) {
            check_count(&view);
            count_anonymous(&view);
        }
        answer_fini(&view.answer);
    }
}

void check_replies(struct check *check)
{
    find_contradictions(check->plan);
    offset_ms = INT64_MAX;
    for (uint32_t number = 0; number < check->plan->count; number++) {
        const struct record_reply *reply = check->record->rows[number].replies;
        for (; reply != NULL; reply = reply->next) {
            learn_offset(check, reply);
        }
    }
    for (uint32_t number = 0; number < check->plan->count; number++) {
        check_replies_of(check, number);
    }
    free(contradicted);
    contradicted = NULL;
}
