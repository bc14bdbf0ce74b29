/*
 * outcome - how a command ended, as its reply says it.
 *
 * Values and categories are those of the wire contract; the bridge's own errors are
 * tables/errors.def.
 *
 * Thread: any; plain data.
 */
#ifndef MODEL_OUTCOME_H
#define MODEL_OUTCOME_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum outcome_status { OUTCOME_SUCCEEDED, OUTCOME_FAILED, OUTCOME_UNKNOWN };

enum category {
    CATEGORY_INVALID,
    CATEGORY_DENIED,
    CATEGORY_NOT_FOUND,
    CATEGORY_CONFLICT,
    CATEGORY_COOLDOWN,
    CATEGORY_THROTTLED,
    CATEGORY_EXPIRED,
    CATEGORY_OVERLOADED,
    CATEGORY_UNAVAILABLE,
    CATEGORY_UNKNOWN_OUTCOME,
    CATEGORY_CONFIGURATION,
    CATEGORY_INTERNAL,
};

/* How long the ledger keeps an outcome and what a duplicate finds. Numbers are stored in ledgers:
 * never renumber. */
enum retention {
    RETENTION_SUCCESS,   /* dedup.success_ttl_s; duplicates get it as their reply */
    RETENTION_REFUSAL,   /* dedup.failure_ttl_s; duplicates get it as their reply */
    RETENTION_COOLDOWN,  /* as a refusal, but not past its RetryAfterMs */
    RETENTION_UNSURE,    /* not definite: kept for dedup.success_ttl_s; a duplicate goes upstream */
    RETENTION_GIVEN_UP,  /* no effect: kept for dedup.failure_ttl_s; a duplicate goes upstream */
    RETENTION_NOT,       /* about the bridge itself, or never tried: the token is not used up */
    RETENTION_SET_ASIDE, /* duplicates get it for dedup.failure_ttl_s; then as RETENTION_UNSURE */
};

/* The bridge's own errors: ERROR_MALFORMED_PAYLOAD and so on. */
enum bridge_error {
    ERROR_NONE,
#define BRIDGE_ERROR(id, code, category, retention, hint) ERROR_##id,
#include "tables/errors.def"
#undef BRIDGE_ERROR
    ERROR_COUNT
};

/* A row of tables/errors.def. */
struct bridge_error_row {
    const char *code;
    enum category category;
    enum retention retention;
    const char *hint;
};

struct outcome {
    enum outcome_status status;
    enum retention retention;
    char *request_id; /* owned; NULL where none is known */
    /* The rest is for failed and unknown. */
    char *code;         /* owned */
    char *message;      /* owned */
    const char *hint;   /* static, or NULL; {Action} in it stands for `action` */
    const char *action; /* static; the name of the action that was called, or NULL */
    int http_status;    /* 0: none */
    bool is_from_bridge;
    enum category category;
    int64_t retry_after_ms; /* -1: not known */
    /* What explain.h adds, on routes with `explain`; NULL and 0: nothing. */
    char *own_hint;         /* owned; in place of `hint` */
    char *group_status;     /* owned: the state in which the group was found after a refusal */
    int64_t observed_at_ms; /* when that was, on the API's clock */
    char *observed;         /* owned: of an unknown, the Observed object of the reply as JSON */
};

/* Frees what it owns; {0} again. Takes NULL. */
void outcome_fini(struct outcome *outcome);
void outcome_copy(struct outcome *out, const struct outcome *from);
/* Whether the call may have had an effect. */
bool retention_is_unsure(enum retention retention);
/* Whether duplicates get the outcome: always, never, or only before a time (struct claim_found,
 * replay_until_ms). */
bool retention_is_replayed(enum retention retention, bool is_before_time);
/* An outcome of the bridge's own: code, category and hint from the table, status failed (unknown
 * for NoDefiniteAnswer and SetAside). */
void outcome_of_error(struct outcome *out, enum bridge_error error, const char *message);
/* The `Error` object of a reply; nothing is appended for a success. */
void outcome_put_error(const struct outcome *outcome, struct buf *out);
/* Appends the hint with {Action} filled in; nothing where there is no hint. */
void outcome_put_hint(const struct outcome *outcome, struct buf *out);
/* How long the ledger keeps it, in ms; 0 for not at all. */
int64_t outcome_ttl_ms(const struct outcome *outcome, int64_t success_ttl_s, int64_t failure_ttl_s);

const char *outcome_status_text(enum outcome_status status);
/* False: the text is no status. */
bool outcome_status_read(struct slice text, enum outcome_status *out_status);
const char *category_text(enum category category);
/* The contract's rule for a command that failed: cooldown, throttled, overloaded, unavailable and
 * unknown_outcome may succeed when it is sent again. */
bool category_is_retryable(enum category category);
/* The same for an outcome: the same command may be sent again after each unknown one, too. */
bool outcome_is_retryable(const struct outcome *outcome);
enum outcome_status bridge_error_status(enum bridge_error error);
/* Not of ERROR_NONE. */
const struct bridge_error_row *bridge_error_row(enum bridge_error error);

#endif
