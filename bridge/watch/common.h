/*
 * common - what the files of watch share: poll.c decides which groups are asked for and when,
 * pairs.c when their pairs are, and watcher.c has the watches and stores what becomes of them.
 *
 * Thread: the loop's.
 */
#ifndef WATCH_COMMON_H
#define WATCH_COMMON_H

#include "base/bucket.h"
#include "base/heap.h"
#include "ecs/describe.h"
#include "ecs/pairs.h"
#include "watch/watcher.h"

#include <uthash.h>

/* A group that is refused by itself is asked for only so often: poll_max_s times this. */
#define WATCH_REFUSED_FACTOR 5

struct watch_region;

struct watched {
    UT_hash_handle hh;    /* in the watcher, by the id of its watch */
    struct watched *prev; /* in its region */
    struct watched *next;
    struct watcher *watcher;
    struct watch_region *region;
    struct watch *watch; /* owned */
    /* By the monotonic time when it is asked for; in none of the region's heaps while it is asked
     * for or a step is on its way. */
    struct heap_item due;
    int64_t interval_ms;
    bool is_refused;         /* the API refused the last call that asked for it alone */
    bool is_denied;          /* with a 403 */
    bool is_denied_long;     /* counted by the watcher: denied, and `blind` was published */
    bool is_removed;         /* while a step is on its way; it is freed with the answer */
    bool is_listed;          /* for watcher_set_region() */
    struct watch_step *step; /* owned; on its way to the ledger, NULL: none is */
    /* Of the calls about its pairs. */
    struct watched *pairs_prev; /* in one of the region's two lists */
    struct watched *pairs_next;
    struct watched **pairs_list; /* which one; NULL: none */
    struct text_list pairs;      /* while it is copied: their ids */
    int64_t progress_at_ms;      /* monotonic: when its progress is read next */
    bool is_progress_refused;    /* the API refused to tell it */
    bool is_progress_step; /* the step on its way does not come from an answer about the group */
};

/* The progress of a copy is read one pair after the other. */
struct watch_round {
    int64_t id;             /* of the watch */
    struct text_list pairs; /* ids; none: no round is under way */
    size_t next;
    int lowest; /* percent, of the pairs before `next` */
};

/* Groups that are asked for before any other: by themselves, or as one half of a call that was
 * refused. */
struct watch_batch {
    struct watch_batch *prev;
    struct watch_batch *next;
    enum group_site site;
    bool is_second; /* one group, and the other site does not list it */
    size_t count;
    int64_t ids[]; /* of the watches */
};

struct watch_region {
    struct watch_region *prev;
    struct watch_region *next;
    struct watcher *watcher;
    struct watched *watches;
    /* Those that may be asked for together: of each site, and the refused ones, each by itself. */
    struct heap due[GROUP_SITE_BACKUP + 1];
    struct heap due_alone;
    struct watch_batch *batches;
    struct watch_batch *asked; /* the call under way; NULL: none */
    bool is_asking_pairs;      /* a call about pairs is under way instead */
    struct watched *failed;    /* their event waits for a call about the pairs */
    struct watched *copying;   /* whose progress is read, the next one first */
    struct watch_round round;
    struct pairs_call pairs_call;
    struct bucket bucket;
    int64_t backoff_ms; /* 0: the last call was answered */
    int64_t paused_until_ms;
    struct loop_timer *timer;
    char name[];
};

struct watcher {
    struct loop *loop;
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct ledger *ledger;
    struct ecs *ecs;
    struct describer *describer;
    watcher_may_call_fn *may_call;
    void *arg;
    struct watched *watches; /* by id */
    size_t denied_count;     /* of those that are denied for long */
    struct watch_region *regions;
    int64_t clock_ahead_ms; /* the API's clock, as of the last answer */
    bool is_stopped;
};

/* --- watcher.c --- */

/* The time on the API's clock. */
int64_t watched_now_ms(const struct watcher *watcher);
struct watched *watched_find(const struct watcher *watcher, int64_t id);
/* What an answer, or none, means: stores and publishes it. Each does nothing while a step is on its
 * way. */
void watched_seen(struct watched *watched, const struct listed_group *group, enum group_site site,
                  int64_t at_ms);
void watched_progressed(struct watched *watched, int percent, int64_t at_ms);
void watched_missed(struct watched *watched, int64_t at_ms);
void watched_waits(struct watched *watched);
/* Stores the step. `pairs` is what its event `failed` says of them, or absent. */
void watched_store(struct watched *watched, struct slice pairs);
/* Removes it from its region and frees it. */
void watched_free(struct watched *watched);

/* --- poll.c --- */

/* The region of this name, which is made if there is none. */
struct watch_region *watch_region_of(struct watcher *watcher, const char *name);
void watch_region_free(struct watch_region *region);
/* Sets the time of the next call for it, after its interval; `has_changed`: the shortest one. To be
 * called again when what chooses its heap has changed: site and refusal. */
void watched_schedule(struct watched *watched, bool has_changed);
/* Into the heap of those that may be asked for together with it, where it is in none. */
void watched_put_back(struct watched *watched);
/* Sets the region's timer to the next call. */
void watch_region_wait(struct watch_region *region);
/* To be called with each answer of a call. */
void watch_answered(struct watch_region *region, enum describe_result result, int64_t at_ms);
/* No answer that says anything: the region waits, longer each time. */
void watch_region_failed(struct watch_region *region, const struct outcome *outcome,
                         int64_t retry_after_ms);

/* --- pairs.c --- */

/* An answer lists the group: whether its progress is read. */
void watched_set_pairs(struct watched *watched, const struct listed_group *group);
/* Its step waits for the states of its pairs; watched_store() follows. */
void watched_read_states(struct watched *watched);
/* Its progress is not read any more; the other one: nor are the states. */
void watched_end_progress(struct watched *watched);
void watched_leave_pairs(struct watched *watched);
/* Stores without the states what waits for them. */
void watch_pairs_give_up(struct watch_region *region);
/* The settings have changed. */
void watch_pairs_changed(struct watch_region *region);
/* When the next call about pairs is due, monotonic; INT64_MAX: none. */
int64_t watch_pairs_due_ms(const struct watch_region *region);
/* Makes a call that is due; false: none is. */
bool watch_pairs_ask_states(struct watch_region *region);
bool watch_pairs_ask_progress(struct watch_region *region);
void watch_pairs_fini(struct watch_region *region);

#endif
