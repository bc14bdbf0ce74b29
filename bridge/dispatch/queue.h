/*
 * dispatch_queue - the waiting line of dispatch: regions with their buckets, groups with their
 * commands in order of arrival.
 *
 * A group is in one place: running (one of its commands has the group's slot), resting (its first
 * command waits to be tried again), or in line in its region. It exists while it runs, has
 * commands, or has claims on their way. Private to dispatch. Thread: the loop's.
 */
#ifndef DISPATCH_QUEUE_H
#define DISPATCH_QUEUE_H

#include "base/loop.h"
#include "bucket.h"
#include "model/command.h"
#include "model/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct dispatch;

enum { TASK_RESIGNED = 1, TASK_CLOCK_SET = 2, TASK_CREDENTIALS_RENEWED = 4 };

/* One unfinished command. */
struct task {
    struct task *prev; /* in its group, in order of arrival */
    struct task *next;
    struct task *due_prev; /* in the deadline wheel, while it waits in line */
    struct task *due_next;
    int64_t due_slot; /* in the wheel, or WHEEL_NOT_LISTED */
    struct dispatch *dispatch;
    struct group *group;
    struct command *command;
    int64_t deadline_ms;  /* monotonic */
    uint32_t failures;    /* attempts that must be made again */
    unsigned once;        /* which of the remedies that are tried once were: TASK_* */
    struct outcome *last; /* what the last attempt said; NULL before one */
    struct outcome
        *unsure; /* what the last attempt that may have had effect said, as far as known */
};

enum group_place { GROUP_QUEUED, GROUP_BACKOFF, GROUP_RUNNING };

struct group {
    UT_hash_handle hh;
    struct group *prev; /* in line */
    struct group *next;
    struct region *region;
    enum group_place place;
    struct task *tasks;
    size_t reserved_count;   /* claims on their way */
    struct loop_timer *rest; /* made when first needed */
    char id[];
};

struct region {
    UT_hash_handle hh;
    struct bucket bucket;
    struct group *groups; /* by id */
    struct group *line;   /* those that may go, in turn */
    char name[];
};

/* Finds or makes. */
struct region *region_of_name(struct region **regions, const char *name, double rate_per_s,
                              double burst, int64_t now_ms);
struct group *group_find(struct region *region, const char *id);
struct group *group_of_id(struct region *region, const char *id);
/* Puts the group at the end of its region's line, or in front where its first command must be
 * called alone: fewest crashes first. It must not be there. */
void group_enter_line(struct group *group);
/* Takes the group out of the line it is in. */
void group_leave_line(struct group *group);
/* A group that has no tasks and does not run leaves the line, and is freed unless claims for it are
 * on their way. */
void group_free_if_empty(struct group *group);
void group_free(struct group *group);
/* Frees regions without groups whose bucket has nothing to remember; with `all`, everything. */
void regions_sweep(struct region **regions, bool all, int64_t now_ms);

/* A task at the end of its group's commands. Takes the command. */
struct task *task_new(struct dispatch *dispatch, struct group *group, struct command *command_take,
                      int64_t deadline_ms);
/* Frees the task and its command. */
void task_free(struct task *task);
/* Whether it must be called alone: crash_limit.h. */
bool task_has_crashed(const struct task *task);

/*
 * The deadlines of tasks that wait in line, in slots of WHEEL_SLOT_MS. Reports a task at most
 * WHEEL_SLOT_MS late.
 */
#define WHEEL_SLOT_MS    250
#define WHEEL_SLOTS      1024
#define WHEEL_NOT_LISTED (-1)

struct wheel {
    struct task *slots[WHEEL_SLOTS];
    int64_t turned_to; /* slots before this one were emptied of what was due */
    size_t count;
};

void wheel_add(struct wheel *wheel, struct task *task);
void wheel_remove(struct wheel *wheel, struct task *task);
/* The next task whose deadline is over, taken off the wheel; NULL for none. */
struct task *wheel_take_due(struct wheel *wheel, int64_t now_ms);

#endif
