/*
 * describe - asks for the state of many groups in one call, DescribeDiskReplicaGroups, and follows
 * its pages. It never tries again by itself, and it has no pace: that is the caller's.
 *
 * Thread: the loop's. The callback comes exactly once, never before describe_groups() has returned.
 */
#ifndef ECS_DESCRIBE_H
#define ECS_DESCRIBE_H

#include "ecs/call.h"
#include "group_list.h"
#include "model/group.h"

/* The API's limit for one call, and ours for the ids as they are in the query. */
#define DESCRIBE_IDS_MAX   100
#define DESCRIBE_IDS_BYTES 4000
/* Further pages are not asked for. */
#define DESCRIBE_PAGES_MAX 10

struct describer;

enum describe_result {
    DESCRIBE_COMPLETE, /* a group that is not listed is not there */
    DESCRIBE_PARTIAL,  /* nothing is known of groups that are not listed: too many pages, or a page
                          that cannot be read */
    DESCRIBE_REFUSED,  /* because of at least one of the groups: it does not exist, or the identity
                          may not read it; nothing is known of the others */
    DESCRIBE_FAILED,   /* no answer about the groups at all */
};

/* Of a call that was answered once: never DESCRIBE_PARTIAL. */
enum describe_result describe_result_of(const struct attempt *attempt);

/* Valid during the callback. */
struct describe_answer {
    enum describe_result result;
    int64_t at_ms;                 /* when the last answer came, on the API's clock */
    const struct group_list *list; /* also what came before a page that failed */
    const struct outcome *outcome; /* of the last call: why it was refused or failed */
    enum reaction reaction;        /* of the last call: REACTION_THROTTLE and so on */
    int64_t retry_after_ms;        /* what the API asks for, -1 for none */
};

typedef void described_fn(void *arg, const struct describe_answer *answer);

/* `ecs` must outlive the last call of describe_groups(). */
struct describer *describer_new(struct ecs *ecs);
/* To be called after ecs_free(), which drops the calls under way. Takes NULL. */
void describer_free(struct describer *describer);

/* Whether the API can be asked for this id: it separates ids by commas. */
bool describe_takes_id(const char *id);
/* How many of the first ids, each of which describe_takes_id(), fit into one call; `batch` at most.
 * At least 1 where `count` and `batch` are. */
size_t describe_fit(const char *const *ids, size_t count, size_t batch);
/*
 * Asks for the groups, as many as describe_fit() allows. The strings are copied. `site` is the one
 * whose record is read; GROUP_SITE_PRODUCTION is the API's default.
 */
void describe_groups(struct describer *describer, const char *region, enum group_site site,
                     const char *const *ids, size_t count, described_fn *done, void *arg);

#endif
