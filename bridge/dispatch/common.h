/*
 * common - what the files of dispatch share: its state, and their functions for each other.
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_COMMON_H
#define DISPATCH_COMMON_H

#include "dispatch/dispatch.h"
#include "ecs/describe.h"
#include "schedule.h"

struct dispatch {
    struct loop *loop;
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct ledger *ledger;
    struct ecs *ecs;
    const struct watcher *watcher; /* NULL: nothing is watched */
    struct describer *describer;
    struct reading *readings; /* calls for the state of a group that are under way */
    struct last_start *last_starts;
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
/* The command whose group has a slot ends; `outcome` is NULL to give up. `answer` is what its
 * attempt ended with; NULL: it was not made. Where the route explains the outcome, the state of the
 * group is read before it is recorded. */
void call_end(struct task *task, const struct outcome *outcome, const struct outcome *answer);

/* An answer came, or no further call will be made. */
void task_forget_crashes(struct task *task);
/* Whether an attempt is recorded as being made. */
bool task_is_called(const struct task *task);
/* When the command was first called, as far as that is known, on the API's clock. */
int64_t task_first_call_ms(const struct task *task);
/* Whether an attempt before the present one, or that one as answered, may have had effect. */
bool task_is_unsure(const struct task *task);
/* The command leaves dispatch with this error as its outcome. Its group keeps its slot, if it has
 * one. `answer` is as in ledger_finish(). */
void task_finish_with_error(struct task *task, enum bridge_error error, const char *message,
                            const struct outcome *answer);
/* No further attempt may be made: ends with what the earlier ones came to. Its group has no slot.
 */
void task_give_up(struct task *task);

/* --- answers.c: what an answer means --- */

/* Ends the command or tries it again. `arg` is the task. */
void call_answered(void *arg, struct attempt *attempt);
/* After a refusal that time cures: ends the command, or puts it back for the outcome's
 * `retry_after_ms`. The group has a slot. */
void task_cool_down(struct task *task, struct outcome *refusal);

/* --- explain.c: the state of the group for the reply --- */

/* Whether the state of the command's group may be read now: the route wants it, and it was not read
 * after this attempt yet. */
bool task_may_read_state(const struct task *task);
/* Begins to read the state where the outcome is explained by it; then call_end() comes again, with
 * the same outcome. False: there is nothing to wait for. */
bool task_explain(struct task *task, const struct outcome *outcome, const struct outcome *answer);
/* Makes the outcome with what is known of the group, for outcome_fini(). False: nothing is added.
 */
bool task_add_explanation(const struct task *task, const struct outcome *outcome,
                          struct outcome *out_explained);
/* Finds out how long the cooldown is, where the group's recovery point objective is known or can be
 * read. True: task_cool_down() comes later. False: `refusal` has the time. */
bool task_find_cooldown(struct task *task, struct outcome *refusal);
/* The API has accepted the command. */
void task_note_start(const struct task *task);
void last_starts_free(struct dispatch *dispatch);
/* The state that was read counts no more; one that is being read is not waited for. */
void task_drop_reading(struct task *task);
/* Ends the commands that wait for a state, without it. */
void readings_stop(struct dispatch *dispatch);
/* After all commands are gone. */
void readings_free(struct dispatch *dispatch);

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
