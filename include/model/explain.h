/*
 * explain - what the state of a group, read after a call, adds to the reply: a refusal because of
 * the state names it, and an unknown outcome shows what is seen of the group.
 *
 * The state says nothing about who changed the group, so it never makes an unknown outcome
 * definite.
 *
 * Source of the rules: the states of tables/group_states.def. Hints are tables/group_hints.def.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_EXPLAIN_H
#define MODEL_EXPLAIN_H

#include "command.h"
#include "group.h"
#include "outcome.h"

/* What is seen of a group whose start has an unknown outcome. */
enum conclusion {
    CONCLUSION_UNDECIDED,          /* nothing can be concluded; also of a stop */
    CONCLUSION_REPLICATING,        /* the group replicates, as the start wants it */
    CONCLUSION_SYNCHRONISED_SINCE, /* a one-time copy runs, or has ended since the call */
    CONCLUSION_NOT_SEEN,           /* no sign of the start so far */
};

/* "replicating" and so on. */
const char *conclusion_text(enum conclusion conclusion);
/* `sent_at_ms`: the first call, on the API's clock. `view` is NULL where the state is not known. */
enum conclusion explain_conclude(enum group_change change, int64_t sent_at_ms,
                                 const struct group_view *view);

/* What the command does with its group, whose action is no EFFECT_READ. */
enum group_change explain_change(const struct command *command);
/* Whether the API refused the command because of the group's state. */
bool explain_is_state_refusal(const struct outcome *outcome);
/* Adds the state found after such a refusal, with a hint for it. */
void explain_refusal(const struct command *command, const struct group_observation *seen,
                     struct outcome *outcome);
/* Adds what is seen of the group to an unknown outcome; `seen` is NULL where nothing could be read.
 */
void explain_unknown(const struct command *command, int64_t sent_at_ms,
                     const struct group_observation *seen, struct outcome *outcome);

/*
 * How long to wait after ManualSyncLimit: until `rpo_s` / 2 after the last one-shot start that the
 * bridge made (`last_ms`; 0: none is known), or that whole time where that is no later than now.
 */
int64_t explain_cooldown_ms(int64_t rpo_s, int64_t last_ms, int64_t now_ms);

#endif
