/*
 * An answer first becomes the new state; then each row of the table compares it with the state
 * before. A row may set or clear flags, which the rows after it see. The first final event ends the
 * step.
 */
#include "model/watch_rules.h"

#include <assert.h>
#include <string.h>

/* One answer, or none, on its way through the rows. */
struct turn {
    const struct watch *watch;
    const struct watch_policy *policy;
    const struct watch_state *before;
    struct watch_step *step; /* its state is the one after */
    int64_t now_ms;
    enum watch_event_kind confirmed; /* suggested by this answer and by the one before */
};

enum finality { NOT_FINAL, FINAL, FINAL_UNLESS_CONTINUOUS };

/* The goals for which a row holds. */
enum { FOR_COPY = 1, FOR_STATE = 2, FOR_ALL = FOR_COPY | FOR_STATE };

struct row {
    unsigned goals;
    bool (*is_due)(const struct turn *turn);
    enum watch_event_kind event;
    enum finality finality;
    enum watch_basis basis;
    unsigned sets; /* enum watch_flag */
    unsigned clears;
};

static bool has_flag(const struct watch_state *state, enum watch_flag flag)
{
    return (state->flags & (unsigned)flag) != 0;
}

static const struct group_view *view_of(const struct turn *turn)
{
    return &turn->step->state.view;
}

static bool is_status(const struct turn *turn, const char *status)
{
    return strcmp(view_of(turn)->status, status) == 0;
}

static enum group_class class_of(const struct turn *turn)
{
    return group_class(view_of(turn)->status);
}

/* The state that ends a watch whose goal is a state; NULL where the goal is a copy of the data. */
static const char *status_of_goal(enum action_goal goal)
{
    return goal == GOAL_STOPPED ? "stopped" : goal == GOAL_FAILOVERED ? "failovered" : NULL;
}

/* --- the conditions of the rows --- */

static bool is_first(const struct turn *turn)
{
    return turn->before->view.status[0] == '\0';
}

static bool has_new_status(const struct turn *turn)
{
    return !is_first(turn) && strcmp(turn->before->view.status, view_of(turn)->status) != 0;
}

static bool is_deleted(const struct turn *turn)
{
    return class_of(turn) == GROUP_GONE;
}

static bool is_failed(const struct turn *turn)
{
    return class_of(turn) == GROUP_FAILED;
}

static bool is_where_a_copy_ends(const struct turn *turn)
{
    return turn->watch->is_one_shot ? is_status(turn, "stopped") || is_status(turn, "created")
                                    : group_is_replicating(view_of(turn));
}

/* The API's time of the start has milliseconds, or none: compare seconds. */
static bool has_recover_point(const struct turn *turn)
{
    int64_t recover_point_s = view_of(turn)->recover_point_s;
    return !has_flag(&turn->step->state, WATCH_IS_SYNCHRONISED) && recover_point_s > 0 &&
           recover_point_s >= turn->watch->started_at_ms / 1000 && is_where_a_copy_ends(turn);
}

static bool is_confirmed_copy(const struct turn *turn)
{
    return turn->confirmed == WATCH_SYNCHRONISED;
}

static bool is_confirmed_stop(const struct turn *turn)
{
    return turn->confirmed == WATCH_STOPPED;
}

static bool is_at_goal(const struct turn *turn)
{
    return is_status(turn, status_of_goal(turn->watch->action->goal));
}

static bool has_not_begun(const struct turn *turn)
{
    unsigned any = WATCH_HAS_MOVED | WATCH_NOT_BEGUN_SENT;
    return (turn->step->state.flags & any) == 0 &&
           turn->now_ms >= turn->watch->started_at_ms + turn->policy->begin_s * 1000;
}

static bool is_behind(const struct turn *turn)
{
    const struct group_view *view = view_of(turn);
    int64_t rpo_s = view->rpo_s > 0 ? view->rpo_s : turn->policy->rpo_s;
    return group_is_behind(view, turn->now_ms, rpo_s, turn->policy->lag_factor);
}

static bool has_fallen_behind(const struct turn *turn)
{
    return !has_flag(&turn->step->state, WATCH_IS_LAGGING) && group_is_replicating(view_of(turn)) &&
           is_behind(turn);
}

static bool has_caught_up(const struct turn *turn)
{
    return has_flag(turn->before, WATCH_IS_LAGGING) && group_is_replicating(view_of(turn)) &&
           !is_behind(turn);
}

static bool has_stalled(const struct turn *turn)
{
    const struct watch_state *state = &turn->step->state;
    return !has_flag(state, WATCH_STALLED_SENT) && class_of(turn) == GROUP_MOVING &&
           turn->now_ms >= state->changed_at_ms + turn->policy->stall_s * 1000;
}

static bool has_progressed(const struct turn *turn)
{
    int before = turn->before->view.progress_percent;
    return view_of(turn)->progress_percent > (before < 0 ? 0 : before);
}

/* The settings may have changed since the watch began. */
static bool is_time_over(const struct turn *turn)
{
    bool is_wanted =
        !turn->policy->is_off &&
        (turn->policy->is_continuous || !has_flag(&turn->step->state, WATCH_IS_SYNCHRONISED));
    return !is_wanted || turn->now_ms >= turn->watch->ends_at_ms;
}

static bool sees_again(const struct turn *turn)
{
    return has_flag(turn->before, WATCH_IS_BLIND) && turn->step->event_count == 0;
}

static bool is_gone(const struct turn *turn)
{
    const struct watch_state *state = &turn->step->state;
    return state->absent_count >= WATCH_ABSENT_COUNT &&
           turn->now_ms - state->absent_since_ms >= WATCH_ABSENT_MS;
}

static bool is_blind(const struct turn *turn)
{
    const struct watch_state *state = &turn->step->state;
    return !has_flag(state, WATCH_IS_BLIND) &&
           turn->now_ms - state->observed_at_ms >= turn->policy->blind_s * 1000;
}

static bool is_always(const struct turn *turn)
{
    (void)turn;
    return true;
}

/* --- the rows --- */

#define RECOVER_POINT WATCH_BASIS_RECOVER_POINT
#define BY_STATUS     WATCH_BASIS_STATUS
/* A copy after the start shows that replication has begun, even if the group never seemed to move:
 * it may have been running before. */
#define COPIED ((unsigned)WATCH_IS_SYNCHRONISED | (unsigned)WATCH_HAS_MOVED)

/* clang-format off */
static const struct row seen_rows[] = {
    {FOR_ALL,   is_first,          WATCH_WATCHING,     NOT_FINAL,               0,             0,                    0},
    {FOR_ALL,   is_deleted,        WATCH_GONE,         FINAL,                   0,             0,                    0},
    {FOR_ALL,   is_failed,         WATCH_FAILED,       FINAL,                   0,             0,                    0},
    {FOR_ALL,   has_new_status,    WATCH_STATUS,       NOT_FINAL,               0,             0,                    0},
    {FOR_COPY,  has_recover_point, WATCH_SYNCHRONISED, FINAL_UNLESS_CONTINUOUS, RECOVER_POINT, COPIED,               0},
    {FOR_COPY,  is_confirmed_copy, WATCH_SYNCHRONISED, FINAL_UNLESS_CONTINUOUS, BY_STATUS,     COPIED,               0},
    {FOR_COPY,  is_confirmed_stop, WATCH_STOPPED,      FINAL,                   0,             0,                    0},
    {FOR_STATE, is_at_goal,        WATCH_DONE,         FINAL,                   0,             0,                    0},
    {FOR_COPY,  has_not_begun,     WATCH_NOT_BEGUN,    NOT_FINAL,               0,             WATCH_NOT_BEGUN_SENT, 0},
    {FOR_COPY,  has_fallen_behind, WATCH_LAGGING,      NOT_FINAL,               0,             WATCH_IS_LAGGING,     0},
    {FOR_COPY,  has_caught_up,     WATCH_CAUGHT_UP,    NOT_FINAL,               0,             0,                    WATCH_IS_LAGGING},
    {FOR_ALL,   has_stalled,       WATCH_STALLED,      NOT_FINAL,               0,             WATCH_STALLED_SENT,   0},
    {FOR_ALL,   is_time_over,      WATCH_GAVE_UP,      FINAL,                   0,             0,                    0},
    {FOR_ALL,   sees_again,        WATCH_SEEN,         NOT_FINAL,               0,             0,                    0},
};

static const struct row progress_rows[] = {
    {FOR_ALL,   has_progressed,    WATCH_PROGRESS,     NOT_FINAL,               0,             0,                    0},
};

/* Where a complete answer does not list the group. */
static const struct row missing_rows[] = {
    {FOR_ALL,   is_gone,           WATCH_GONE,         FINAL,                   0,             0,                    0},
    {FOR_ALL,   is_time_over,      WATCH_GAVE_UP,      FINAL,                   0,             0,                    0},
};

/* Where no answer has come. */
static const struct row waiting_rows[] = {
    {FOR_ALL,   is_time_over,      WATCH_GAVE_UP,      FINAL,                   0,             0,                    0},
    {FOR_ALL,   is_blind,          WATCH_BLIND,        NOT_FINAL,               0,             WATCH_IS_BLIND,       0},
};

static const struct row superseding_rows[] = {
    {FOR_ALL,   is_always,         WATCH_SUPERSEDED,   FINAL,                   0,             0,                    0},
};
/* clang-format on */

static void emit(struct turn *turn, const struct row *row, bool is_final)
{
    struct watch_step *step = turn->step;
    assert(step->event_count < WATCH_EVENTS_MAX);
    struct watch_event *event = &step->events[step->event_count];
    *event = (struct watch_event){.kind = row->event,
                                  .seq = ++step->state.seq,
                                  .at_ms = turn->now_ms,
                                  .is_final = is_final,
                                  .basis = row->basis};
    /* What happened in between is told once, with the first event. */
    if (step->event_count == 0) {
        event->ends_blindness =
            has_flag(turn->before, WATCH_IS_BLIND) && !has_flag(&step->state, WATCH_IS_BLIND);
        if (has_new_status(turn)) {
            memcpy(event->previous_status, turn->before->view.status,
                   sizeof event->previous_status);
        }
    }
    step->event_count++;
    step->state.last_event = row->event;
    step->state.last_event_at_ms = turn->now_ms;
    step->state.flags = (step->state.flags | row->sets) & ~row->clears;
}

/* Whether a restart would lose something of the new state. */
static bool must_store(const struct turn *turn)
{
    const struct watch_state *a = turn->before;
    const struct watch_state *b = &turn->step->state;
    return a->seq != b->seq || a->site != b->site || a->flags != b->flags ||
           a->changed_at_ms != b->changed_at_ms || strcmp(a->view.status, b->view.status) != 0 ||
           a->view.recover_point_s != b->view.recover_point_s || a->view.rpo_s != b->view.rpo_s ||
           a->view.progress_percent != b->view.progress_percent;
}

static void apply_rows(struct turn *turn, const struct row *rows, size_t count)
{
    const struct watch *watch = turn->watch;
    unsigned goal = status_of_goal(watch->action->goal) == NULL ? FOR_COPY : FOR_STATE;
    bool is_over = false;
    for (size_t i = 0; i < count && !is_over; i++) {
        const struct row *row = &rows[i];
        if ((row->goals & goal) != 0 && row->is_due(turn)) {
            bool goes_on = row->finality == FINAL_UNLESS_CONTINUOUS &&
                           turn->policy->is_continuous && !watch->is_one_shot;
            is_over = row->finality != NOT_FINAL && !goes_on;
            emit(turn, row, is_over);
        }
    }
    turn->step->must_store = must_store(turn);
}

/* --- the state after an answer --- */

static struct turn begin(const struct watch *watch, int64_t now_ms,
                         const struct watch_policy *policy, struct watch_step *out_step)
{
    *out_step = (struct watch_step){.state = watch->state};
    return (struct turn){.watch = watch,
                         .policy = policy,
                         .before = &watch->state,
                         .step = out_step,
                         .now_ms = now_ms};
}

static void note_change(struct turn *turn)
{
    turn->step->state.changed_at_ms = turn->now_ms;
    turn->step->state.flags &= ~(unsigned)WATCH_STALLED_SENT;
}

static void take_view(struct turn *turn, const struct group_view *seen)
{
    const struct group_view *before = &turn->before->view;
    struct watch_state *state = &turn->step->state;
    state->view = *seen;
    /* An answer without them says nothing new. */
    if (seen->rpo_s == 0) {
        state->view.rpo_s = before->rpo_s;
    }
    bool is_same_copy = !is_first(turn) && !has_new_status(turn) && group_is_copying(seen);
    state->view.progress_percent = is_same_copy ? before->progress_percent : -1;
    if (is_first(turn) || has_new_status(turn) ||
        state->view.recover_point_s != before->recover_point_s) {
        note_change(turn);
    }
    /* What is good at first may have been so before the start. */
    if ((class_of(turn) == GROUP_MOVING && (is_first(turn) || has_new_status(turn))) ||
        (class_of(turn) == GROUP_GOOD && has_new_status(turn))) {
        state->flags |= (unsigned)WATCH_HAS_MOVED;
    }
}

/* What this answer shows, if the next one shows it too: status and recovery point may not change in
 * the same moment. */
static enum watch_event_kind suggestion_of(const struct turn *turn)
{
    const struct watch_state *state = &turn->step->state;
    bool is_shot = turn->watch->is_one_shot;
    if (!has_flag(state, WATCH_HAS_MOVED)) {
        return WATCH_NOTHING;
    }
    if (!has_flag(state, WATCH_IS_SYNCHRONISED) && state->view.recover_point_s == 0 &&
        is_status(turn, is_shot ? "stopped" : "normal")) {
        return WATCH_SYNCHRONISED;
    }
    /* With a new recovery point, a one-shot start that has stopped is synchronised: the row for
     * that comes first. */
    bool has_failed_over = is_status(turn, "failovering") || is_status(turn, "failovered");
    return is_status(turn, "stopped") || (has_failed_over && !is_shot) ? WATCH_STOPPED
                                                                       : WATCH_NOTHING;
}

void watch_observe(const struct watch *watch, const struct group_observation *seen,
                   const struct watch_policy *policy, struct watch_step *out_step)
{
    assert(seen->view.status[0] != '\0');
    struct turn turn = begin(watch, seen->at_ms, policy, out_step);
    struct watch_state *state = &out_step->state;
    take_view(&turn, &seen->view);
    state->flags &= ~(unsigned)WATCH_IS_BLIND;
    state->observed_at_ms = seen->at_ms;
    state->absent_count = 0;
    state->suggested = suggestion_of(&turn);
    turn.confirmed = state->suggested == turn.before->suggested ? state->suggested : WATCH_NOTHING;
    apply_rows(&turn, seen_rows, sizeof seen_rows / sizeof seen_rows[0]);
}

void watch_progress(const struct watch *watch, int percent, int64_t now_ms,
                    const struct watch_policy *policy, struct watch_step *out_step)
{
    struct turn turn = begin(watch, now_ms, policy, out_step);
    if (percent != watch->state.view.progress_percent) {
        out_step->state.view.progress_percent = percent;
        note_change(&turn);
    }
    apply_rows(&turn, progress_rows, sizeof progress_rows / sizeof progress_rows[0]);
}

void watch_miss(const struct watch *watch, int64_t now_ms, const struct watch_policy *policy,
                struct watch_step *out_step)
{
    struct turn turn = begin(watch, now_ms, policy, out_step);
    struct watch_state *state = &out_step->state;
    state->observed_at_ms = now_ms;
    if (state->absent_count++ == 0) {
        state->absent_since_ms = now_ms;
    }
    apply_rows(&turn, missing_rows, sizeof missing_rows / sizeof missing_rows[0]);
}

void watch_wait(const struct watch *watch, int64_t now_ms, const struct watch_policy *policy,
                struct watch_step *out_step)
{
    struct turn turn = begin(watch, now_ms, policy, out_step);
    apply_rows(&turn, waiting_rows, sizeof waiting_rows / sizeof waiting_rows[0]);
}

void watch_supersede(const struct watch *watch, int64_t now_ms, struct watch_step *out_step)
{
    struct turn turn = begin(watch, now_ms, NULL, out_step);
    apply_rows(&turn, superseding_rows, 1);
}

bool watch_step_is_final(const struct watch_step *step)
{
    return step->event_count > 0 && step->events[step->event_count - 1].is_final;
}
