/*
 * queue - the containers of dispatch: groups with their commands in order of arrival, and the
 * queues of regions.
 *
 * A group is known by its ReplicaGroupId alone, whatever the RegionId of its commands. It is in one
 * place: running (it has a slot of api.max_in_flight), in backoff (its first command waits until it
 * may be tried again), or in the queue of the region of its first command. It exists while it runs,
 * has commands, or has claims on their way through the ledger.
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_QUEUE_H
#define DISPATCH_QUEUE_H

#include "base/heap.h"
#include "base/loop.h"
#include "model/command.h"
#include "model/outcome.h"
#include "region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct dispatch;
struct reading;

enum { TASK_RESIGNED = 1, TASK_CLOCK_SET = 2, TASK_CREDENTIALS_RENEWED = 4 };

/* One unfinished command. */
struct task {
    struct task *prev; /* in its group, in order of arrival */
    struct task *next;
    struct task *all_prev; /* in dispatch, in order of arrival */
    struct task *all_next;
    struct dispatch *dispatch;
    struct group *group;
    struct region *region;
    struct command *command;
    int64_t deadline_ms;     /* monotonic */
    int64_t not_before_ms;   /* monotonic: the next attempt waits until then; 0: for nothing */
    int64_t claimed_us;      /* monotonic; 0: it was resumed */
    int64_t called_us;       /* monotonic: the first attempt of this run; 0: none yet */
    int64_t attempt_us;      /* monotonic: the last attempt */
    int64_t first_ms;        /* wall clock: the first attempt of this run; 0: none yet */
    int64_t answered_ms;     /* the last answer, on the API's clock; 0: none yet */
    int64_t clock_ahead_ms;  /* the API's clock before the wall clock, as of that answer */
    bool is_running;         /* from before an attempt is recorded until its answer was handled */
    struct heap_item due;    /* by its deadline, while it is not being called */
    uint32_t failures;       /* attempts that must be made again */
    unsigned remedies;       /* TASK_*: those already tried, each is tried once */
    struct outcome *last;    /* of the last attempt that had no effect; NULL for none */
    struct outcome *unsure;  /* of the last attempt that may have had effect; NULL for none known */
    struct reading *reading; /* of the group's state, after the last attempt; NULL: none */
};

enum group_place { GROUP_QUEUED, GROUP_BACKOFF, GROUP_RUNNING };

struct group {
    UT_hash_handle hh;
    struct group *prev; /* in the queue */
    struct group *next;
    struct region *region; /* while it is queued or runs: of that command */
    enum group_place place;
    struct task *tasks;
    size_t reserved_count;      /* claims on their way */
    struct loop_timer *backoff; /* made when first needed */
    char id[];
};

/* Finds or makes; a new one is in backoff, without tasks. */
struct group *group_of_id(struct group **groups, const char *id);
/* Puts the group at the end of its region's queue, or in front where its first command must be
 * called alone: fewest crashes first. It must not be there. */
void group_enqueue(struct group *group);
/* Takes the group out of the queue; it is in backoff then. */
void group_dequeue(struct group *group);
/* A group that has no tasks and does not run leaves the queue, and is freed unless claims for it
 * are on their way. */
void group_free_if_empty(struct group **groups, struct group *group);
/* All of them, with their tasks. */
void groups_free(struct group **groups);

/* Frees the task and its command. */
void task_free(struct task *task);
/* Whether it must be called alone: crash_limit.h. */
bool task_has_crashed(const struct task *task);

#endif
