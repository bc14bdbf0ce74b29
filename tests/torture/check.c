/* Checks what became of each command; check_reply.c checks the content of replies. */
#include "check.h"

#include "answer.h"
#include "check_reply.h"
#include "violation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After a pause the bridge ends its calls, and the API notes late that they have ended. */
enum { PAUSED_CALL_MS = 3000, LOST_CALL_MS = 10000 };

/* An "accepted" reply is no answer. */
static bool has_answer(const struct record_row *row)
{
    for (const struct record_reply *reply = row->replies; reply != NULL; reply = reply->next) {
        if (!tap_is_early(reply->body, strlen(reply->body))) {
            return true;
        }
    }
    return false;
}

static const struct broker_loss *loss_of_command(const struct check *check, uint32_t number)
{
    int64_t acked_ms = check->record->rows[number].acked_ms;
    uint32_t message = plan_message(check->plan, number);
    return broker_keeper_loss_of_command(check->broker, message, acked_ms);
}

/* Whether the broker had an answer from the bridge and may have lost it. */
static bool is_reply_lost(const struct check *check, uint32_t number)
{
    const struct tap_mark *mark = &check->tap->marks[number];
    return mark->answers > 0 &&
           broker_keeper_loss_of_reply(check->broker, number, mark->answer_acked_ms) != NULL;
}

/* Whether what the bridge acknowledged last of it was lost with a fail-over: the claim, its place
 * among the duplicates that wait, or its answer. */
static bool is_store_lost(const struct check *check, uint32_t number)
{
    const struct store_lost *lost = store_lost_number(check->losses, number);
    return lost != NULL &&
           (lost->writes & (WRITE_CLAIM | WRITE_JOIN | WRITE_OUTCOME | WRITE_MESSAGE)) != 0 &&
           check->tap->marks[number].taken_ms <= lost->killed_ms;
}

enum check_answer check_answer_of(const struct check *check, uint32_t number)
{
    const struct record_row *row = &check->record->rows[number];
    const struct tap_mark *mark = &check->tap->marks[number];
    if (has_answer(row)) {
        return CHECK_ANSWERED;
    }
    if (mark->taken > 0) {
        return is_reply_lost(check, number)   ? CHECK_BROKER_LOST_REPLY
               : is_store_lost(check, number) ? CHECK_STORE_LOST
                                              : CHECK_LOST;
    }
    if (row->acked_ms == 0) {
        return CHECK_NOT_ACCEPTED;
    }
    return loss_of_command(check, number) != NULL ? CHECK_BROKER_LOST : CHECK_LOST;
}

struct check_question check_question_of(const struct check *check, uint32_t number)
{
    struct check_question question = {0};
    const struct record_row *row = &check->record->rows[number];
    enum check_answer answered = check_answer_of(check, number);
    int64_t latest_ms = -1;
    question.is_open = answered == CHECK_BROKER_LOST || answered == CHECK_BROKER_LOST_REPLY ||
                       answered == CHECK_STORE_LOST;
    for (const struct record_reply *reply = row->replies; reply != NULL; reply = reply->next) {
        struct answer answer;
        answer_read(reply, &answer);
        if (answer.completed_ms > latest_ms) {
            int64_t ttl_ms = check->api->token_ttl_ms;
            bool is_forgotten =
                ttl_ms > 0 && (int64_t)time(NULL) * 1000 - answer.completed_ms > ttl_ms / 2;
            latest_ms = answer.completed_ms;
            bool is_early = answer_is(&answer, "accepted"); /* then the answer may be lost */
            question.is_open =
                is_early ? question.is_open : answer_is(&answer, "unknown") && !is_forgotten;
            snprintf(question.token, sizeof question.token, "%s", answer.token);
        }
        answer_fini(&answer);
    }
    if (check->plan->items[number].token <= TOKEN_ODD) {
        question.token[0] = '\0';
    }
    return question;
}

/* --- the history of a command, for the report --- */

static void add_replies(const struct check *check, uint32_t number, FILE *out)
{
    const struct record_reply *reply = check->record->rows[number].replies;
    for (; reply != NULL; reply = reply->next) {
        fprintf(out, "; reply x%d at %lld on %s [%s] %s", reply->count, (long long)reply->first_ms,
                reply->topic, reply->correlation, reply->body);
    }
}

char *check_story(const struct check *check, uint32_t number)
{
    static const char *const kinds[] = {"new", "duplicate", "mismatch", "invalid", "ask"};
    const struct plan_item *item = &check->plan->items[number];
    const struct record_row *row = &check->record->rows[number];
    const struct tap_mark *mark = &check->tap->marks[number];
    char token[PLAN_TOKEN_BYTES];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert(out != NULL);
    plan_token(check->plan, number, token);
    fprintf(out,
            "command %u (%s %s, origin %u, element %d of %d, token '%s', group %d%s, sender %d): "
            "posted %lld, "
            "acknowledged %lld; to the bridge x%d, taken by it x%d, the last of those came %lld; "
            "answers "
            "taken by the broker x%d, the last sent %lld, acknowledged %lld",
            number, kinds[item->kind], plan_fault_code((enum plan_fault)item->fault), item->origin,
            item->element, item->element_count, token, item->group,
            item->is_stop       ? " stop"
            : item->is_one_shot ? " once"
                                : "",
            item->sender, (long long)row->posted_ms, (long long)row->acked_ms, mark->delivered,
            mark->taken, (long long)mark->taken_ms, mark->answers, (long long)mark->answer_sent_ms,
            (long long)mark->answer_acked_ms);
    add_replies(check, number, out);
    fclose(out);
    return text;
}

/* --- every command --- */

static void note_excused(struct check *check, uint32_t number, const struct broker_loss *loss)
{
    char *story = check_story(check, number);
    fprintf(check->excused, "broker killed %lld, back %lld, saved %lld%s; %s\n",
            (long long)loss->killed_ms, (long long)loss->back_ms, (long long)loss->saved.saved_ms,
            loss->is_emptied ? ", file gone" : "", story);
    free(story);
}

/* Reports how long the broker had the command: a long time could hide a loss by the bridge. */
static void count_lost_command(struct check *check, uint32_t number)
{
    const struct broker_loss *loss = loss_of_command(check, number);
    int64_t wait_ms = loss->killed_ms - check->record->rows[number].acked_ms;
    check->broker_lost_commands++;
    check->broker_lost_saved +=
        number_list_has(&loss->saved.commands, plan_message(check->plan, number));
    check->broker_lost_delivered += check->tap->marks[number].delivered > 0;
    if (wait_ms > check->broker_lost_wait_ms) {
        check->broker_lost_wait_ms = wait_ms;
    }
    note_excused(check, number, loss);
}

static void count_lost_reply(struct check *check, uint32_t number)
{
    int64_t acked_ms = check->tap->marks[number].answer_acked_ms;
    const struct broker_loss *loss = broker_keeper_loss_of_reply(check->broker, number, acked_ms);
    int64_t wait_ms = loss->killed_ms - acked_ms;
    check->broker_lost_replies++;
    if (wait_ms > check->broker_lost_reply_wait_ms) {
        check->broker_lost_reply_wait_ms = wait_ms;
    }
    note_excused(check, number, loss);
}

static void note_store_lost(struct check *check, uint32_t number)
{
    char *story = check_story(check, number);
    check->store_lost_commands++;
    fprintf(check->excused, "database failed over, writes %x lost; %s\n",
            store_lost_number(check->losses, number)->writes, story);
    free(story);
}

bool check_excuse_token(struct check *check, const char *token, unsigned writes, int64_t *count,
                        const char *why)
{
    bool is_excused = store_lost_token(check->losses, token, writes);
    if (is_excused) {
        ++*count;
        fprintf(check->excused, "database failed over; token '%s': %s\n", token, why);
    }
    return is_excused;
}

static void report(const struct check *check, uint32_t number, enum violation violation,
                   const char *why)
{
    char *story = check_story(check, number);
    violate(violation, "%s: %s", why, story);
    free(story);
}

static void check_answered(struct check *check, uint32_t number)
{
    check->accepted_count += check->record->rows[number].acked_ms != 0;
    switch (check_answer_of(check, number)) {
    case CHECK_ANSWERED:
    case CHECK_NOT_ACCEPTED:
        break;
    case CHECK_BROKER_LOST:
        count_lost_command(check, number);
        break;
    case CHECK_BROKER_LOST_REPLY:
        count_lost_reply(check, number);
        break;
    case CHECK_STORE_LOST:
        note_store_lost(check, number);
        break;
    case CHECK_LOST:
        report(check, number, VIOLATION_LOST, "no answer");
        break;
    }
}

/* The bridge answers each arrival that it acknowledged. No loss of the broker can excuse a missing
 * answer, because the tap is on the bridge's side. */
static void check_arrivals(struct check *check, uint32_t number)
{
    const struct tap_mark *mark = &check->tap->marks[number];
    enum check_answer answered = check_answer_of(check, number);
    const struct store_lost *lost = store_lost_number(check->losses, number);
    bool is_last_lost = is_store_lost(check, number);
    if (answered == CHECK_LOST || answered == CHECK_STORE_LOST) {
        return;
    }
    if (mark->answers < mark->taken && lost != NULL && mark->taken - mark->answers <= lost->count) {
        note_store_lost(check, number);
    } else if (mark->answers < mark->taken) {
        report(check, number, VIOLATION_LOST,
               "fewer answers than arrivals that the bridge acknowledged");
    } else if (mark->taken > 0 && mark->answer_sent_ms < mark->taken_ms && is_last_lost) {
        note_store_lost(check, number);
    } else if (mark->taken > 0 && mark->answer_sent_ms < mark->taken_ms) {
        report(check, number, VIOLATION_LOST,
               "no answer after the last arrival that the bridge acknowledged");
    }
}

static bool is_planned(const struct plan *plan, const char *name)
{
    char token[PLAN_TOKEN_BYTES];
    const char *number = name + strcspn(name, "-/~");
    uint32_t origin = *number == '\0' ? plan->count : (uint32_t)strtoul(number + 1, NULL, 10);
    if (origin >= plan->count) {
        return false;
    }
    plan_token(plan, origin, token);
    return strcmp(token, name) == 0;
}

/* Whether the token is from the plan, or was made by the bridge and reported in an answer. */
static bool is_known(const struct check *check, const char *name)
{
    return is_planned(check->plan, name) || tap_has_token(check->tap, name);
}

static void check_token(struct check *check, const struct api_token *token)
{
    const unsigned any = WRITE_CLAIM | WRITE_STATE | WRITE_OUTCOME;
    int64_t *count = &check->store_lost_effects;
    if (!is_known(check, token->name) &&
        !check_excuse_token(check, token->name, any, count, "no answer has it")) {
        violate(VIOLATION_DOUBLED,
                "the API was called with a token that no command and no answer contained: '%s'",
                token->name);
    }
    if (token->effects - token->forgotten > 1) {
        violate(VIOLATION_DOUBLED, "token '%s' had %d effects", token->name, token->effects);
    }
    /* Where the API forgets tokens, nothing but the ledger prevents this one. */
    if (token->told_ms != 0 && token->effects > 1 &&
        token->told_ms < check->api->started_wall_ms + token->last_effect_ms &&
        !check_excuse_token(check, token->name, any, count, "an effect after its success")) {
        violate(VIOLATION_DOUBLED, "token '%s' had an effect after its success was recorded",
                token->name);
    }
    /* The only answer with a token made by the bridge may have been lost by the broker. Where the
     * API looks at the state first, or forgot the token, an unknown one may stay so. */
    bool may_stay_unknown =
        check->api->is_state_first || check->api->token_ttl_ms > 0 || token->is_set_aside;
    if (token->effects > 0 && !token->is_answered && !may_stay_unknown &&
        is_planned(check->plan, token->name) &&
        !check_excuse_token(check, token->name, any | WRITE_MESSAGE, count,
                            "an effect and no success")) {
        violate(VIOLATION_LIE, "token '%s' had its effect, but no reply reported a success",
                token->name);
    }
}

/* A call on the wire of a bridge that is paused cannot be fenced: the bridge that takes over may
 * call again, with the same token. */
static void check_overlaps(struct check *check)
{
    const struct api *api = check->api;
    for (int64_t i = 0; i < api->overlap_rows; i++) {
        bool is_excused = false;
        for (int j = 0; j < check->bridge_count && check->bridge_count > 1; j++) {
            is_excused |=
                bridge_keeper_was_paused(&check->bridges[j], api->overlaps_ms[i], PAUSED_CALL_MS);
        }
        bool is_lost = store_losses_cover(check->losses, api->overlaps_ms[i], LOST_CALL_MS);
        check->paused_overlaps += is_excused;
        check->store_lost_overlaps += !is_excused && is_lost;
    }
    int64_t excused = check->paused_overlaps + check->store_lost_overlaps;
    if (api->overlaps > excused) {
        violate(VIOLATION_ORDER, "%lld calls began while another of their group was in progress",
                (long long)(api->overlaps - excused));
    }
}

void check_all(struct check *check)
{
    const struct api_token *token = NULL;
    const struct api_token *next = NULL;
    for (uint32_t number = 0; number < check->plan->count; number++) {
        check_answered(check, number);
        check_arrivals(check, number);
    }
    check_replies(check);
    HASH_ITER (hh, check->api->tokens, token, next) {
        check_token(check, token);
    }
    check_overlaps(check);
    if (check->tap->strays.reused != 0) {
        violate(VIOLATION_WRONG, "%u requests on a connection with an answer to nobody",
                check->tap->strays.reused);
    }
    if (check->record->strange_count != 0) {
        violate(VIOLATION_WRONG, "%llu replies belong to no command, the first: %s",
                (unsigned long long)check->record->strange_count, check->record->strange);
    }
}
