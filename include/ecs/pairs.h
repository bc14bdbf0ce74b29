/*
 * pairs - one call about the pairs of a group: their states, DescribeDiskReplicaPairs, or the
 * progress of one, DescribeDiskReplicaPairProgress. It never tries again by itself, and it has no
 * pace: that is the caller's.
 *
 * Thread: the loop's. The callback comes exactly once, never before the function has returned; not
 * at all where ecs_free() comes before.
 */
#ifndef ECS_PAIRS_H
#define ECS_PAIRS_H

#include "base/slice.h"
#include "ecs/describe.h"

/* Valid during the callback. */
struct pairs_answer {
    enum describe_result result;   /* COMPLETE, REFUSED or FAILED */
    int64_t at_ms;                 /* when the answer came, on the API's clock */
    struct slice states;           /* of pairs_ask_states(): see pair_states_read(); or absent */
    int percent;                   /* of pairs_ask_progress(): 0 to 100 */
    const struct outcome *outcome; /* why it was refused or failed */
    int64_t retry_after_ms;        /* what the API asks for, -1 for none */
};

typedef void pairs_answered_fn(void *arg, const struct pairs_answer *answer);

/* A call. Its place is the caller's, {0} at first, and stays until the callback; then it may be
 * used again. */
struct pairs_call {
    struct command command; /* with texts of its own */
    pairs_answered_fn *done;
    void *arg;
};

/* The strings are copied. `site` is the one whose record is read. */
void pairs_ask_states(struct ecs *ecs, struct pairs_call *call, const char *region,
                      const char *group, enum group_site site, pairs_answered_fn *done, void *arg);
void pairs_ask_progress(struct ecs *ecs, struct pairs_call *call, const char *region,
                        const char *pair, pairs_answered_fn *done, void *arg);
/* Not while the call is under way. */
void pairs_call_fini(struct pairs_call *call);

#endif
