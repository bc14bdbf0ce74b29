/* What became of each command. What its replies say is check_reply.c's. */
#include "check.h"

#include "answer.h"
#include "check_reply.h"
#include "violation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An unsaved broker falls back to what it saved at most 10 s ago; a reply is with the witness at
 * once. */
enum { IN_BROKER_MS = 12000, TO_WITNESS_MS = 3000 };

/* The first kill that may have made the broker forget a command it acknowledged then, or NULL. */
static const struct broker_loss *loss_of(const struct check *check, int64_t acked_ms)
{
    for (int i = 0; i < check->broker->loss_count; i++) {
        const struct broker_loss *loss = &check->broker->losses[i];
        if (acked_ms >= loss->killed_ms - IN_BROKER_MS && acked_ms <= loss->back_ms) {
            return loss;
        }
    }
    return NULL;
}

/* The same of a reply: it had a moment to get from the broker to the witness. */
static bool may_be_dropped(const struct check *check, int64_t acked_ms)
{
    for (int i = 0; i < check->broker->loss_count; i++) {
        const struct broker_loss *loss = &check->broker->losses[i];
        if (acked_ms >= loss->killed_ms - TO_WITNESS_MS && acked_ms <= loss->killed_ms) {
            return true;
        }
    }
    return false;
}

/* An early "accepted" is no answer. */
static bool has_answer(const struct record_row *row)
{
    for (const struct record_reply *reply = row->replies; reply != NULL; reply = reply->next) {
        if (strstr(reply->body, "\"Status\":\"accepted\"") == NULL) {
            return true;
        }
    }
    return false;
}

enum check_answer check_answer_of(const struct check *check, uint32_t number)
{
    const struct record_row *row = &check->record->rows[number];
    const struct tap_mark *mark = &check->tap->marks[number];
    if (has_answer(row)) {
        return CHECK_ANSWERED;
    }
    if (mark->acked_ms != 0) {
        bool is_dropped = mark->reply_acked_ms != 0 && may_be_dropped(check, mark->reply_acked_ms);
        return is_dropped ? CHECK_BROKER_LOST_REPLY : CHECK_LOST;
    }
    if (row->acked_ms == 0) {
        return CHECK_NOT_ACCEPTED;
    }
    return loss_of(check, row->acked_ms) != NULL ? CHECK_BROKER_LOST : CHECK_LOST;
}

struct check_question check_question_of(const struct check *check, uint32_t number)
{
    struct check_question question = {0};
    const struct record_row *row = &check->record->rows[number];
    enum check_answer answered = check_answer_of(check, number);
    int64_t latest_ms = -1;
    question.is_open = answered == CHECK_BROKER_LOST || answered == CHECK_BROKER_LOST_REPLY;
    for (const struct record_reply *reply = row->replies; reply != NULL; reply = reply->next) {
        struct answer answer;
        answer_read(reply, &answer);
        if (answer.completed_ms > latest_ms) {
            latest_ms = answer.completed_ms;
            question.is_open = answer_is(&answer, "unknown");
            snprintf(question.token, sizeof question.token, "%s", answer.token);
        }
        answer_fini(&answer);
    }
    if (check->plan->items[number].token <= TOKEN_ODD) {
        question.token[0] = '\0';
    }
    return question;
}

/* --- the story of a command, for people --- */

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
            "command %u (%s %s, origin %u, token '%s', group %d%s, sender %d): posted %lld, "
            "acknowledged %lld; to the bridge x%d, acknowledged by it %lld; replies to the broker "
            "x%d, acknowledged %lld",
            number, kinds[item->kind], plan_fault_code((enum plan_fault)item->fault), item->origin,
            token, item->group, item->is_one_shot ? " once" : "", item->sender,
            (long long)row->posted_ms, (long long)row->acked_ms, mark->delivered,
            (long long)mark->acked_ms, mark->replied, (long long)mark->reply_acked_ms);
    add_replies(check, number, out);
    fclose(out);
    return text;
}

/* --- every command --- */

/* How long the broker had it is told, since a wide excuse could hide what the bridge lost. */
static void count_loss(struct check *check, uint32_t number)
{
    int64_t acked_ms = check->record->rows[number].acked_ms;
    int64_t wait_ms = loss_of(check, acked_ms)->killed_ms - acked_ms;
    check->broker_lost_commands++;
    check->broker_lost_waiting += wait_ms > 0;
    if (wait_ms > check->broker_lost_wait_ms) {
        check->broker_lost_wait_ms = wait_ms;
    }
}

static void check_command(struct check *check, uint32_t number)
{
    char *story = NULL;
    check->accepted_count += check->record->rows[number].acked_ms != 0;
    switch (check_answer_of(check, number)) {
    case CHECK_ANSWERED:
    case CHECK_NOT_ACCEPTED:
        break;
    case CHECK_BROKER_LOST:
        count_loss(check, number);
        break;
    case CHECK_BROKER_LOST_REPLY:
        check->broker_lost_replies++;
        break;
    case CHECK_LOST:
        story = check_story(check, number);
        violate(VIOLATION_LOST, "%s", story);
        free(story);
        break;
    }
}

/* The plan's own, or one of those that the bridge makes: 64 hexadecimal digits. */
static bool is_known_name(const char *name)
{
    return name[0] == 't' || (strspn(name, "0123456789abcdef") == 64 && name[64] == '\0');
}

static void check_tokens(const struct check *check)
{
    const struct far_token *token = NULL;
    const struct far_token *next = NULL;
    HASH_ITER (hh, check->far->tokens, token, next) {
        if (!is_known_name(token->name)) {
            violate(VIOLATION_DOUBLED, "the API was called with a token nobody sent: '%s'",
                    token->name);
        }
        if (token->effects > 1) {
            violate(VIOLATION_DOUBLED, "token '%s' had %d effects", token->name, token->effects);
        }
        /* The bridge's own tokens are known from replies alone, which the broker may have lost. */
        if (token->effects > 0 && !token->is_told && token->name[0] == 't') {
            violate(VIOLATION_LIE, "token '%s' had its effect, and nobody was told a success",
                    token->name);
        }
    }
}

void check_all(struct check *check)
{
    for (uint32_t number = 0; number < check->plan->count; number++) {
        check_command(check, number);
    }
    check_replies(check);
    check_tokens(check);
    if (check->far->overlaps != 0) {
        violate(VIOLATION_ORDER, "%lld calls began while another of their group was in progress",
                (long long)check->far->overlaps);
    }
    if (check->record->strange_count != 0) {
        violate(VIOLATION_WRONG, "%llu replies belong to no command, the first: %s",
                (unsigned long long)check->record->strange_count, check->record->strange);
    }
}
