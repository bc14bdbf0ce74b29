#include "model/outcome.h"

#include "base/json.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

static const struct bridge_error_row errors[ERROR_COUNT] = {
#define BRIDGE_ERROR(id, code, category, retention, hint) \
    [ERROR_##id] = {code, CATEGORY_##category, RETENTION_##retention, hint},
#include "tables/errors.def"
#undef BRIDGE_ERROR
};

struct category_row {
    const char *text;
    bool is_retryable;
};

static const struct category_row categories[] = {
    [CATEGORY_INVALID] = {"invalid", false},
    [CATEGORY_DENIED] = {"denied", false},
    [CATEGORY_NOT_FOUND] = {"not_found", false},
    [CATEGORY_CONFLICT] = {"conflict", false},
    [CATEGORY_COOLDOWN] = {"cooldown", true},
    [CATEGORY_THROTTLED] = {"throttled", true},
    [CATEGORY_EXPIRED] = {"expired", false},
    [CATEGORY_OVERLOADED] = {"overloaded", true},
    [CATEGORY_UNAVAILABLE] = {"unavailable", true},
    [CATEGORY_UNKNOWN_OUTCOME] = {"unknown_outcome", true},
    [CATEGORY_CONFIGURATION] = {"configuration", false},
    [CATEGORY_INTERNAL] = {"internal", false},
};

static const struct category_row *category_row(enum category category)
{
    assert((unsigned)category < sizeof categories / sizeof categories[0]);
    return &categories[category];
}

const struct bridge_error_row *bridge_error_row(enum bridge_error error)
{
    assert(error > ERROR_NONE && error < ERROR_COUNT);
    return &errors[error];
}

bool outcome_is_retryable(const struct outcome *outcome)
{
    return outcome->status == OUTCOME_UNKNOWN || category_is_retryable(outcome->category);
}

const char *category_text(enum category category)
{
    return category_row(category)->text;
}

bool category_is_retryable(enum category category)
{
    return category_row(category)->is_retryable;
}

static const char *const STATUS_TEXTS[] = {
    [OUTCOME_SUCCEEDED] = "succeeded",
    [OUTCOME_FAILED] = "failed",
    [OUTCOME_UNKNOWN] = "unknown",
};

const char *outcome_status_text(enum outcome_status status)
{
    assert((unsigned)status < sizeof STATUS_TEXTS / sizeof STATUS_TEXTS[0]);
    return STATUS_TEXTS[status];
}

bool outcome_status_read(struct slice text, enum outcome_status *out_status)
{
    for (size_t i = 0; i < sizeof STATUS_TEXTS / sizeof STATUS_TEXTS[0]; i++) {
        if (slice_equals_text(text, STATUS_TEXTS[i])) {
            *out_status = (enum outcome_status)i;
            return true;
        }
    }
    return false;
}

void outcome_fini(struct outcome *outcome)
{
    if (outcome == NULL) {
        return;
    }
    free(outcome->request_id);
    free(outcome->code);
    free(outcome->message);
    free(outcome->own_hint);
    free(outcome->group_status);
    free(outcome->observed);
    *outcome = (struct outcome){0};
}

void outcome_copy(struct outcome *out, const struct outcome *from)
{
    *out = *from;
    out->request_id = mem_strdup(from->request_id);
    out->code = mem_strdup(from->code);
    out->message = mem_strdup(from->message);
    out->own_hint = mem_strdup(from->own_hint);
    out->group_status = mem_strdup(from->group_status);
    out->observed = mem_strdup(from->observed);
}

/* What is known of each way to keep an outcome. */
static const struct retention_row {
    enum { TTL_NONE, TTL_SUCCESS, TTL_FAILURE, TTL_COOLDOWN, TTL_LONGER } ttl;
    enum { NEVER, ALWAYS, BEFORE_TIME } replayed; /* to duplicates */
    bool is_unsure;
} retentions[] = {
    [RETENTION_SUCCESS] = {TTL_SUCCESS, ALWAYS, false},
    [RETENTION_REFUSAL] = {TTL_FAILURE, ALWAYS, false},
    [RETENTION_COOLDOWN] = {TTL_COOLDOWN, ALWAYS, false},
    [RETENTION_UNSURE] = {TTL_SUCCESS, NEVER, true},
    [RETENTION_GIVEN_UP] = {TTL_FAILURE, NEVER, false},
    [RETENTION_NOT] = {TTL_NONE, NEVER, false},
    [RETENTION_SET_ASIDE] = {TTL_LONGER, BEFORE_TIME, true},
};

bool retention_is_unsure(enum retention retention)
{
    return retentions[retention].is_unsure;
}

bool retention_is_replayed(enum retention retention, bool is_before_time)
{
    return retentions[retention].replayed == ALWAYS ||
           (retentions[retention].replayed == BEFORE_TIME && is_before_time);
}

enum outcome_status bridge_error_status(enum bridge_error error)
{
    return retention_is_unsure(bridge_error_row(error)->retention) ? OUTCOME_UNKNOWN
                                                                   : OUTCOME_FAILED;
}

void outcome_of_error(struct outcome *out, enum bridge_error error, const char *message)
{
    const struct bridge_error_row *row = bridge_error_row(error);
    *out = (struct outcome){
        .status = bridge_error_status(error),
        .retention = row->retention,
        .code = mem_strdup(row->code),
        .message = mem_strdup(message),
        .hint = row->hint,
        .is_from_bridge = true,
        .category = row->category,
        .retry_after_ms = -1,
    };
}

void outcome_put_hint(const struct outcome *outcome, struct buf *out)
{
    static const char mark[] = "{Action}";
    const char *text = outcome->hint == NULL ? "" : outcome->hint;
    const char *at;
    if (outcome->own_hint != NULL) {
        buf_append_text(out, outcome->own_hint);
        return;
    }
    while (outcome->action != NULL && (at = strstr(text, mark)) != NULL) {
        buf_append(out, slice_of(text, (size_t)(at - text)));
        buf_append_text(out, outcome->action);
        text = at + strlen(mark);
    }
    buf_append_text(out, text);
}

void outcome_put_error(const struct outcome *outcome, struct buf *out)
{
    if (outcome->status == OUTCOME_SUCCEEDED) {
        return;
    }
    json_put_open(out, '{');
    json_put_text_if(out, "Code", slice_text(outcome->code));
    json_put_text_if(out, "Message", slice_text(outcome->message));
    json_put_int_if(out, "HttpStatus", outcome->http_status);
    json_put_text(out, "Source", slice_text(outcome->is_from_bridge ? "bridge" : "ecs"));
    json_put_text(out, "Category", slice_text(category_text(outcome->category)));
    json_put_bool(out, "Retryable", outcome_is_retryable(outcome));
    if (outcome->retry_after_ms >= 0) {
        json_put_int(out, "RetryAfterMs", outcome->retry_after_ms);
    }
    json_put_text_if(out, "GroupStatus", slice_text(outcome->group_status));
    json_put_time_if(out, "ObservedAt", outcome->observed_at_ms);
    if (outcome->hint != NULL || outcome->own_hint != NULL) {
        struct buf hint = {0};
        outcome_put_hint(outcome, &hint);
        json_put_text(out, "Hint", buf_slice(&hint));
        buf_fini(&hint);
    }
    json_put_close(out, '}');
}

static int64_t ms_of_s(int64_t seconds)
{
    return seconds > INT64_MAX / 1000 ? INT64_MAX : seconds * 1000;
}

int64_t outcome_ttl_ms(const struct outcome *outcome, int64_t success_ttl_s, int64_t failure_ttl_s)
{
    int64_t success_ms = ms_of_s(success_ttl_s);
    int64_t failure_ms = ms_of_s(failure_ttl_s);
    bool is_short = outcome->retry_after_ms >= 0 && outcome->retry_after_ms < failure_ms;
    const int64_t ttls_ms[] = {
        [TTL_NONE] = 0,
        [TTL_SUCCESS] = success_ms,
        [TTL_FAILURE] = failure_ms,
        [TTL_COOLDOWN] = is_short ? outcome->retry_after_ms : failure_ms,
        [TTL_LONGER] = success_ms > failure_ms ? success_ms : failure_ms,
    };
    return ttls_ms[retentions[outcome->retention].ttl];
}
