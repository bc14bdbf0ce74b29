/*
 * dispatch_private - what the files of dispatch share.
 *
 *   dispatch.c        a command's way from its claim to its outcome
 *   dispatch_turn.c   which command begins next
 *   dispatch_queue.c  regions, groups and tasks as containers
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_DISPATCH_PRIVATE_H
#define DISPATCH_DISPATCH_PRIVATE_H

#include "dispatch/dispatch.h"
#include "queue.h"

struct dispatch {
    struct loop *loop;
    const struct settings *settings;
    struct counters *counters;
    struct ledger *ledger;
    struct ecs *ecs;
    struct region *regions;
    size_t in_flight;
    size_t crashed_count; /* commands that must be called alone: crash_limit.h */
    bool is_alone;        /* one of them is being called, and nothing beside it */
    struct wheel wheel;
    struct loop_timer *deadlines; /* runs while the wheel holds anything */
    struct loop_timer *refill;    /* the next token of a region whose line waits for one */
    struct loop_timer *sweep;
    struct loop_timer *idle_due;
    loop_fn *idle;
    void *idle_arg;
    bool is_held;
    bool is_stopping;
};

/* Records the start of an attempt and makes it. The group has a slot. */
void dispatch_begin(struct task *task);
void dispatch_take_slot(struct dispatch *dispatch, struct group *group);
/* Begins whatever may begin. */
void dispatch_pump(struct dispatch *dispatch);

#endif
