/*
 * outcome_map - what an HTTP answer of the API means for the command: outcome and reaction.
 *
 * Rows are tables/outcomes.def; the users' page of errors is generated from them.
 *
 * Thread: any; pure.
 */
#ifndef ECS_OUTCOME_MAP_H
#define ECS_OUTCOME_MAP_H

#include "base/buf.h"
#include "base/slice.h"
#include "http/message.h"
#include "model/command.h"
#include "model/outcome.h"

#include <stdbool.h>
#include <stdint.h>

/* What to do after an attempt: REACTION_DONE and so on, see the table. */
enum reaction {
#define REACTION(id, retention, text) REACTION_##id,
#include "tables/reactions.def"
};

/* An attempt without an answer that takes so long keeps its slot from others. */
#define HUNG_AFTER_MS 1000

struct attempt {
    enum reaction reaction;
    struct outcome outcome; /* what to reply if no other attempt follows */
    int64_t retry_after_ms; /* what the API asks for, -1 for none */
    bool has_hung;          /* no answer came, and that took HUNG_AFTER_MS or longer */
    int64_t at_ms;          /* when it ended, on the API's clock; set by ecs_call() */
    struct slice
        body; /* of the answer, valid during the callback of ecs_call(); absent where none came */
};

/* Takes NULL. */
void attempt_fini(struct attempt *attempt);
/*
 * `rpo_s`: the cooldown is half of it. `secrets` (secret_count of them) are removed from the API's
 * messages.
 */
struct outcome_map_context {
    int64_t rpo_s;
    const struct slice *secrets;
    size_t secret_count;
};
/* Fills *out_attempt; free it with attempt_fini(). */
void outcome_map(const struct http_answer *answer, const struct command *command,
                 const struct outcome_map_context *context, struct attempt *out_attempt);

#endif
