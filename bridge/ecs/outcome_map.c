/*
 * tables/outcomes.def has the meaning of each code, tables/reactions.def how long its outcome is
 * kept. Only an answer in the API's own form is taken as a refusal: with Code and RequestId, and a
 * status that fits the code. Anything else may come from a proxy or a gateway, and does not show
 * what the API did.
 */
#include "ecs/outcome_map.h"

#include "aliyun/answer.h"
#include "aliyun/redact.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct row {
    int http; /* 0: any */
    const char *code;
    enum category category;
    enum reaction reaction;
    const char *hint;
};

static const struct row rows[] = {
#define OUTCOME(http, code, category, reaction, hint) \
    {http, code, CATEGORY_##category, REACTION_##reaction, hint},
#include "tables/outcomes.def"
};

static const struct {
    const char *code;
    enum action_id action;
    const char *parameter; /* NULL: whatever the parameters are */
    const char *hint;
} action_hints[] = {
#define OUTCOME_HINT(code, action, parameter, hint) {code, ACTION_##action, parameter, hint},
#include "tables/outcomes.def"
};

struct other_row {
    int http_first;
    int http_last;
    struct row row;
};

static const struct other_row other_rows[] = {
#define OUTCOME_OTHER(http_first, http_last, category, reaction, hint) \
    {http_first, http_last, {0, "*", CATEGORY_##category, REACTION_##reaction, hint}},
#include "tables/outcomes.def"
};

/* One answer on its way to an attempt. */
struct mapping {
    const struct http_answer *answer;
    const struct command *command;
    const struct outcome_map_context *context;
    struct api_answer api;
    struct attempt *attempt;
};

void attempt_fini(struct attempt *attempt)
{
    if (attempt != NULL) {
        outcome_fini(&attempt->outcome);
    }
}

/* Whether the code is the row's, in which one '*' stands for anything. */
static bool code_fits(const char *pattern, const char *code)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL) {
        return strcmp(pattern, code) == 0;
    }
    size_t head = (size_t)(star - pattern);
    size_t tail = strlen(star + 1);
    size_t length = strlen(code);
    return length >= head + tail && strncmp(pattern, code, head) == 0 &&
           strcmp(code + length - tail, star + 1) == 0;
}

/* See tables/outcomes.def. */
static bool status_fits(int row_http, int status)
{
    if (row_http == 0) {
        return status / 100 == 4 || status == 503;
    }
    return row_http / 100 == 5 ? status == row_http : status / 100 == row_http / 100;
}

/* The row for any other code, by the status; NULL where no status of an error is. */
static const struct row *find_other_row(int status)
{
    for (size_t i = 0; i < sizeof other_rows / sizeof other_rows[0]; i++) {
        if (status >= other_rows[i].http_first && status <= other_rows[i].http_last) {
            return &other_rows[i].row;
        }
    }
    return NULL;
}

/* NULL, or a row of CATEGORY_UNKNOWN_OUTCOME: the answer is not definite. */
static const struct row *find_row(const char *code, int status)
{
    const struct row *other = find_other_row(status);
    if (other == NULL || (other->category == CATEGORY_UNKNOWN_OUTCOME && status / 100 == 4)) {
        return other; /* whatever the code is */
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!code_fits(rows[i].code, code)) {
            continue;
        }
        if (status_fits(rows[i].http, status)) {
            return &rows[i];
        }
        if (rows[i].http / 100 == 5) {
            return NULL;
        }
    }
    return other;
}

static bool is_success_code(const struct buf *code)
{
    static const char *const words[] = {"200", "OK", "Success", "success"};
    bool is_one = code->length == 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        is_one = is_one || strcmp(code->data, words[i]) == 0;
    }
    return is_one;
}

static enum retention retention_of(const struct row *row)
{
    static const enum retention retentions[] = {
#define REACTION(id, retention, text) [REACTION_##id] = RETENTION_##retention,
#include "tables/reactions.def"
    };
    /* The same command may succeed when it is sent again: do not keep this outcome for duplicates.
     */
    if (row->reaction == REACTION_REPLY && category_is_retryable(row->category)) {
        return RETENTION_GIVEN_UP;
    }
    return retentions[row->reaction];
}

static char *clean_word(const struct mapping *mapping, const struct buf *word)
{
    struct buf clean = {0};
    redact_word(buf_slice(word), mapping->context->secrets, mapping->context->secret_count, &clean);
    return buf_take(&clean);
}

static void append_message(const struct mapping *mapping, struct slice message, struct buf *out)
{
    const char *code = buf_slice(&mapping->api.code).data;
    bool is_about_signature =
        strcmp(code, "SignatureDoesNotMatch") == 0 || strcmp(code, "IncompleteSignature") == 0;
    redact_message(message, is_about_signature, mapping->context->secrets,
                   mapping->context->secret_count, out);
}

static char *request_id_of(const struct mapping *mapping)
{
    return mapping->api.request_id.length == 0 ? NULL
                                               : clean_word(mapping, &mapping->api.request_id);
}

/* Whether the word can be passed on unchanged, as nearly all request ids can. It has no '%', so it
 * cannot hold a percent-encoded secret. */
static bool is_plain(const struct mapping *mapping, const struct buf *word)
{
    const struct outcome_map_context *context = mapping->context;
    for (size_t i = 0; i < word->length; i++) {
        if (!isalnum((unsigned char)word->data[i]) && word->data[i] != '-') {
            return false;
        }
    }
    for (size_t i = 0; i < context->secret_count; i++) {
        struct slice secret = context->secrets[i];
        if (secret.length > 0 &&
            memmem(word->data, word->length, secret.data, secret.length) != NULL) {
            return false;
        }
    }
    return word->length <= ANSWER_WORD_BYTES_MAX;
}

static void map_success(struct mapping *mapping)
{
    struct buf *request_id = &mapping->api.request_id;
    mapping->attempt->reaction = REACTION_DONE;
    mapping->attempt->outcome = (struct outcome){
        .status = OUTCOME_SUCCEEDED,
        .retention = RETENTION_SUCCESS,
        .http_status = mapping->answer->status,
        .retry_after_ms = -1,
        .request_id =
            is_plain(mapping, request_id) ? buf_take(request_id) : clean_word(mapping, request_id),
    };
}

static const char *hint_of(const struct row *row, const struct command *command)
{
    for (size_t i = 0; i < sizeof action_hints / sizeof action_hints[0]; i++) {
        const char *parameter = action_hints[i].parameter;
        if (strcmp(action_hints[i].code, row->code) == 0 &&
            action_hints[i].action == command->action->id &&
            (parameter == NULL || action_params_have(slice_text(command->params), parameter))) {
            return action_hints[i].hint;
        }
    }
    return row->hint;
}

static void map_row(struct mapping *mapping, const struct row *row)
{
    struct attempt *attempt = mapping->attempt;
    struct buf message = {0};
    append_message(mapping, buf_slice(&mapping->api.message), &message);
    if (message.length == 0) {
        buf_append_text(&message, "The API gave no message.");
    }
    enum retention retention = retention_of(row);
    attempt->reaction = row->reaction;
    attempt->outcome = (struct outcome){
        .status = retention_is_unsure(retention) ? OUTCOME_UNKNOWN : OUTCOME_FAILED,
        .retention = retention,
        .request_id = request_id_of(mapping),
        .code = clean_word(mapping, &mapping->api.code),
        .message = buf_take(&message),
        .hint = hint_of(row, mapping->command),
        .action = mapping->command->action->name,
        .http_status = mapping->answer->status,
        .category = row->category,
        .retry_after_ms =
            category_is_retryable(row->category) ? mapping->answer->retry_after_ms : -1,
    };
    if (row->reaction == REACTION_COOLDOWN) {
        attempt->outcome.retry_after_ms = mapping->context->rpo_s * 1000 / 2;
    }
}

/* Frees `text`. */
static void map_bridge_error(struct mapping *mapping, enum bridge_error error,
                             enum reaction reaction, struct buf *text)
{
    struct attempt *attempt = mapping->attempt;
    struct slice prefix = utf8_prefix(buf_slice(text), ANSWER_MESSAGE_BYTES_MAX);
    text->data[prefix.length] = '\0';
    attempt->reaction = reaction;
    outcome_of_error(&attempt->outcome, error, text->data);
    attempt->outcome.http_status = mapping->answer->status;
    attempt->outcome.request_id = request_id_of(mapping);
    attempt->outcome.retry_after_ms = mapping->answer->retry_after_ms;
    buf_fini(text);
}

static void map_no_definite_answer(struct mapping *mapping)
{
    const struct api_answer *api = &mapping->api;
    struct buf text = {0};
    buf_printf(&text, "The answer with HTTP status %d ", mapping->answer->status);
    if (!api->is_readable) {
        buf_append_text(&text, "is not in the API's format: neither its JSON nor its XML.");
    } else if (api->code.length == 0 && api->says_no) {
        buf_append_text(&text, "says that Success is false, without the Code of an error.");
    } else if (api->code.length == 0) {
        buf_append_text(&text, "has neither the RequestId of a success nor the Code of an error.");
    } else {
        char *code = clean_word(mapping, &api->code);
        buf_printf(&text, "has the code %s: ", code);
        free(code);
        append_message(mapping, buf_slice(&api->message), &text);
    }
    map_bridge_error(mapping, ERROR_NO_DEFINITE_ANSWER, REACTION_RETRY_UNSURE, &text);
}

static void map_answer(struct mapping *mapping)
{
    const struct api_answer *api = &mapping->api;
    int status = mapping->answer->status;
    if (status / 100 == 2 && api->request_id.length > 0 && is_success_code(&api->code) &&
        !api->says_no) {
        map_success(mapping);
        return;
    }
    const char *code = buf_slice(&api->code).data;
    /* An older gateway reports an expired token with the code InvalidParameter, and names it only
     * in the message. */
    if (strcmp(code, "InvalidParameter") == 0 &&
        strstr(buf_slice(&api->message).data, "SecurityToken.Expired") != NULL) {
        code = "InvalidSecurityToken.Expired";
    }
    const struct row *row = api->has_error_form ? find_row(code, status) : NULL;
    if (row == NULL || row->category == CATEGORY_UNKNOWN_OUTCOME) {
        map_no_definite_answer(mapping);
    } else {
        map_row(mapping, row);
    }
}

static void map_error_of_http(struct mapping *mapping)
{
    bool was_sent = mapping->answer->result == HTTP_CUT;
    struct buf text = {0};
    buf_append_text(&text, was_sent ? "No whole answer came back: " : "Nothing was sent: ");
    append_message(mapping, slice_text(mapping->answer->error), &text);
    buf_append_char(&text, '.');
    if (was_sent) {
        map_bridge_error(mapping, ERROR_NO_DEFINITE_ANSWER, REACTION_RETRY_UNSURE, &text);
    } else {
        map_bridge_error(mapping, ERROR_UNREACHABLE, REACTION_RETRY, &text);
    }
}

void outcome_map(const struct http_answer *answer, const struct command *command,
                 const struct outcome_map_context *context, struct attempt *out_attempt)
{
    struct mapping mapping = {
        .answer = answer, .command = command, .context = context, .attempt = out_attempt};
    if (answer->result == HTTP_ANSWERED) {
        api_answer_read(answer->body, &mapping.api);
        map_answer(&mapping);
        api_answer_fini(&mapping.api);
    } else {
        map_error_of_http(&mapping);
    }
    out_attempt->body = answer->result == HTTP_ANSWERED ? answer->body : (struct slice){0};
    out_attempt->has_hung = answer->result != HTTP_ANSWERED && answer->took_ms >= HUNG_AFTER_MS;
    out_attempt->retry_after_ms = answer->result == HTTP_ANSWERED ? answer->retry_after_ms : -1;
}
