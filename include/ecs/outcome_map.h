/*
 * outcome_map - what an HTTP answer of the API means: the contract's error table as data.
 *
 * Rows are tables/outcomes.def; the users' page of errors is generated from them.
 *
 * Thread: any; pure.
 */
#ifndef ECS_OUTCOME_MAP_H
#define ECS_OUTCOME_MAP_H

#include "base/buf.h"
#include "base/slice.h"
#include "http/client.h"
#include "model/command.h"
#include "model/outcome.h"

#include <stdbool.h>
#include <stdint.h>

/* What to do after an attempt. */
enum rule {
    RULE_DONE,         /* succeeded */
    RULE_REPLY,        /* a definite refusal of the command: tell it */
    RULE_REPLY_BRIDGE, /* a refusal about the bridge itself (configuration): tell it, keep nothing
                        */
    RULE_COOLDOWN,     /* a definite refusal that time cures */
    RULE_RETRY,        /* nothing was done: try again */
    RULE_THROTTLE,     /* the same, and slow the region down */
    RULE_RETRY_UNSURE, /* it may have had effect: try again with the same token */
    RULE_RESIGN_ONCE,  /* sign again with a new nonce, once */
    RULE_CLOCK_ONCE,   /* measure the clock offset, sign again, once */
    RULE_CREDENTIALS_ONCE, /* refresh the credentials, try again once; then a refusal about the
                              bridge */
};

struct attempt {
    enum rule rule;
    struct outcome outcome; /* what to tell if this was the last word */
    int64_t retry_after_ms; /* the API's own, -1 for none */
};

void attempt_fini(struct attempt *attempt);
/*
 * `rpo_s` is half the cooldown's measure. `secrets` (count of them) are cut out of messages that
 * are passed on.
 */
struct outcome_map_context {
    int64_t rpo_s;
    const struct slice *secrets;
    size_t secret_count;
};
void outcome_map(const struct http_answer *answer, const struct command *command,
                 const struct outcome_map_context *context, struct attempt *out_attempt);
const char *rule_text(enum rule rule);

#endif
