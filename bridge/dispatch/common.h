/*
 * common - what the files of dispatch share: its state, and their functions for each other.
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_COMMON_H
#define DISPATCH_COMMON_H

#include "dispatch/dispatch.h"
#include "schedule.h"

struct dispatch {
    struct loop *loop;
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct ledger *ledger;
    struct ecs *ecs;
    struct schedule schedule;
    struct allowance_source source; /* of rates that are shared */
    struct task *tasks;             /* all of them, in order of arrival */
    struct heap deadlines;          /* of the commands that are not being called */
    int64_t deadline_due_ms;        /* when deadline_timer ends, while it runs */
    struct loop_timer *deadline_timer;
    struct loop_timer *token_timer; /* until a region has a token for its queue */
    struct loop_timer *sweep;
    struct loop_timer *idle_due;
    loop_fn *idle;
    void *idle_arg;
    bool is_held;
    bool is_stopping;
};

/* --- choose.c: which command is called next --- */

/* Begins all calls that may begin now. `arg` is the dispatch. */
void dispatch_pump(void *arg);
/* Puts a group in backoff into the queue, now or when its first command may be tried again; a group
 * without commands goes. */
void dispatch_place_group(struct dispatch *dispatch, struct group *group);
/* The group's call is over; its next command may be called after the other groups. */
void dispatch_release_slot(struct dispatch *dispatch, struct group *group);
/* Calls `idle` in the next turn of the loop, if dispatch stops and no call is in flight. */
void dispatch_report_when_idle(struct dispatch *dispatch);
/* The group's first command has ended without being called. */
void dispatch_first_gone(struct dispatch *dispatch, struct group *group);

/* The command is not being called: it ends when its deadline is over. */
void dispatch_watch_deadline(struct task *task);
/* Sets the timer to the first deadline. */
void dispatch_start_deadline_timer(struct dispatch *dispatch);
/* The timer's function; `arg` is the dispatch. */
void dispatch_deadlines_due(void *arg);

/* --- calls.c: how a call begins and ends, and how a command ends --- */

/* Records the start of an attempt, then makes it. The group has a slot. A command that may be
 * coalesced ends instead, if the ledger has a success for it. */
void call_begin(struct task *task);
/* Whether the route wants it; no action that a route may have destroys or bills something. */
bool command_may_coalesce(const struct command *command);
/* The start is recorded, or (another status) the ledger does not accept it. `arg` is the task. */
void call_begun(void *arg, enum status status);
/* Records what the attempt came to (`answer`; NULL: it was not made). The command stays first in
 * its group and is tried again after `delay_ms`. */
void call_put_back(struct task *task, enum move move, int64_t delay_ms,
                   const struct outcome *answer);
/* The command that is being called ends; `outcome` is NULL to give up. `answer` is what its attempt
 * ended with; NULL: it was not made. */
void call_end(struct task *task, const struct outcome *outcome, const struct outcome *answer);

/* An answer came, or no further call will be made. */
void task_forget_crashes(struct task *task);
/* Whether an attempt before the present one, or that one as answered, may have had effect. */
bool task_is_unsure(const struct task *task);
/* The command leaves dispatch with this error as its outcome. Its group keeps its slot, if it has
 * one. `answer` is as in ledger_finish(). */
void task_finish_with_error(struct task *task, enum bridge_error error, const char *message,
                            const struct outcome *answer);
/* No further attempt may be made: ends with what the earlier ones came to. */
void task_give_up(struct task *task, const struct outcome *answer);

/* --- answers.c: what an answer means --- */

/* Ends the command or tries it again. `arg` is the task. */
void call_answered(void *arg, struct attempt *attempt);

/* --- figures.c --- */

/* The command is in the queue, or is not. */
void task_set_running(struct task *task, bool is_running);
/* Tells when the oldest unfinished command arrived. */
void figures_publish_oldest(struct dispatch *dispatch);
/* Regions that a sender may have invented do not take the places of others. */
void figures_count_in_region(const struct task *task, enum regional regional);
/* An attempt begins. */
void figures_observe_start(struct task *task);
/* The attempt has ended. */
void figures_observe_answer(const struct task *task, const struct attempt *attempt);
/* The command has its outcome, `took_ms` after it arrived. */
void figures_observe_outcome(const struct task *task, int64_t took_ms);

#endif
