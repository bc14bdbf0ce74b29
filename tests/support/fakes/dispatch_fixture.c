#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatch_fixture.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct dispatch_fixture fixture;

/* ---- the ledger and the API ---- */

static void stop_when_wanted(void)
{
    if ((fixture.wanted_calls != 0 && fixture.call_count >= fixture.wanted_calls) ||
        (fixture.wanted_done != 0 && fixture.done_count >= fixture.wanted_done)) {
        loop_stop(fixture.loop);
    }
}

const struct watch *watcher_find(const struct watcher *watcher, struct slice group,
                                 struct slice token)
{
    (void)watcher;
    (void)group;
    assert_false(slice_is_present(token));
    return fixture.watch.state.view.rpo_s == 0 ? NULL : &fixture.watch;
}

void ledger_find_success(struct ledger *ledger, const struct command *command, int64_t since_ms,
                         ledger_records_fn *done, void *arg)
{
    (void)ledger;
    (void)command;
    (void)since_ms;
    (void)done;
    (void)arg;
    fail_msg("no route of this test coalesces");
}

void ledger_ask_allowance(struct ledger *ledger, const struct allowance_ask *ask,
                          ledger_granted_fn *done, void *arg)
{
    (void)ledger;
    assert_int_equal(ask->wanted_count, 250); /* a quarter of a second */
    assert_true(strlen(ask->name) < sizeof fixture.asked_name);
    strcpy(fixture.asked_name, ask->name);
    fixture.granted = done;
    fixture.granted_arg = arg;
    fixture.ask_count++;
}

void ledger_begin(struct ledger *ledger, struct command *command, ledger_done_fn *done, void *arg)
{
    (void)ledger;
    command->state = state_after(command->state, MOVE_START);
    fixture.begun[fixture.begun_count] = command;
    fixture.begun_done[fixture.begun_count] = done;
    fixture.begun_arg[fixture.begun_count++] = arg;
}

void ledger_pause(struct ledger *ledger, struct command *command, enum move move,
                  const struct outcome *answer)
{
    (void)ledger;
    (void)answer;
    command->state = state_after(command->state, move);
    fixture.pause_count++;
    fixture.last_pause = move;
    fixture.pause_attempts = command->attempts;
}

void ledger_finish_watched(struct ledger *ledger, struct command *command_take,
                           const struct outcome *outcome, const struct outcome *answer,
                           struct watch_start watch)
{
    (void)watch;
    (void)ledger;
    (void)answer;
    struct done *done = &fixture.done[fixture.done_count++];
    assert_true(state_may(command_take->state, MOVE_FINISH));
    strcpy(done->token, command_take->token);
    done->status = outcome->status;
    done->retention = outcome->retention;
    done->attempts = command_take->attempts;
    strcpy(done->code, outcome->code == NULL ? "" : outcome->code);
    strcpy(done->group_status, outcome->group_status == NULL ? "" : outcome->group_status);
    strcpy(done->observed, outcome->observed == NULL ? "" : outcome->observed);
    done->retry_after_ms = outcome->retry_after_ms;
    command_free(command_take);
    stop_when_wanted();
}

void ecs_call(struct ecs *ecs, const struct command *command, ecs_answered_fn *answered, void *arg)
{
    (void)ecs;
    fixture.calls[fixture.call_count++] = (struct pending){command, answered, arg};
    stop_when_wanted();
}

/* ---- steps of a test ---- */

void fixture_record_starts(void)
{
    size_t count = fixture.begun_count;
    fixture.begun_count = 0;
    for (size_t i = 0; i < count; i++) {
        fixture.begun_done[i](fixture.begun_arg[i], STATUS_OK);
    }
}

static void time_is_up(void *arg)
{
    (void)arg;
    loop_stop(fixture.loop);
}

void fixture_run(size_t calls, size_t done, int64_t most_ms)
{
    struct loop_timer *limit = loop_timer_new(fixture.loop, time_is_up, NULL);
    loop_timer_start(limit, most_ms);
    int64_t end_ms = clock_mono_ms() + most_ms;
    fixture.wanted_calls = calls;
    fixture.wanted_done = done;
    fixture_record_starts();
    while ((calls == 0 || fixture.call_count < calls) && (done == 0 || fixture.done_count < done) &&
           clock_mono_ms() < end_ms) {
        struct loop_timer *next = loop_timer_new(fixture.loop, time_is_up, NULL);
        loop_timer_start(next, 5);
        loop_run(fixture.loop);
        loop_timer_free(next);
        fixture_record_starts();
    }
    loop_timer_free(limit);
}

struct command *fixture_make_in(const char *region, const char *group, const char *token,
                                int64_t deadline_ms)
{
    struct command *command = command_of_record(
        &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text(region),
        slice_text(group), slice_text(token), slice_text("{\"OneShot\":false}"));
    command->state = STATE_READY;
    command->received_at_ms = clock_wall_ms();
    command->deadline_at_ms = command->received_at_ms + deadline_ms;
    return command;
}

struct command *fixture_make(const char *group, const char *token, int64_t deadline_ms)
{
    return fixture_make_in("cn-a", group, token, deadline_ms);
}

void fixture_resume(const char *group, const char *token, uint32_t crashes)
{
    struct command *command = fixture_make(group, token, 10000);
    command->state = STATE_UNSURE;
    command->crashes = crashes;
    dispatch_resume(fixture.dispatch, command, true);
    fixture_record_starts();
}

struct claim fixture_reserve_in(const char *region, const char *group, const char *token,
                                int64_t deadline_ms)
{
    struct command *command = fixture_make_in(region, group, token, deadline_ms);
    return (struct claim){command, dispatch_reserve(fixture.dispatch, command)};
}

struct claim fixture_reserve(const char *group, const char *token, int64_t deadline_ms)
{
    return fixture_reserve_in("cn-a", group, token, deadline_ms);
}

void fixture_confirm(struct claim claim)
{
    if (claim.reservation.is_called_at_once) {
        claim.command->state = STATE_CALLING;
        claim.command->attempts = 1;
    }
    dispatch_claimed(fixture.dispatch, claim.reservation, claim.command);
    fixture_record_starts();
}

void fixture_release(struct claim claim)
{
    dispatch_release(fixture.dispatch, claim.reservation);
    command_free(claim.command);
    fixture_record_starts();
}

void fixture_claim(const char *group, const char *token, int64_t deadline_ms)
{
    fixture_confirm(fixture_reserve(group, token, deadline_ms));
}

void fixture_claim_in(const char *region, const char *group, const char *token)
{
    fixture_confirm(fixture_reserve_in(region, group, token, 10000));
}

void fixture_answer_hung(size_t index)
{
    struct attempt attempt = {
        .reaction = REACTION_RETRY_UNSURE, .retry_after_ms = 5000, .has_hung = true};
    outcome_of_error(&attempt.outcome, ERROR_NO_DEFINITE_ANSWER, "nothing came");
    fixture.calls[index].answered(fixture.calls[index].arg, &attempt);
    outcome_fini(&attempt.outcome);
    fixture_record_starts();
}

void fixture_answer(size_t index, enum reaction reaction, const char *code, int64_t retry_after_ms)
{
    struct attempt attempt = {
        .reaction = reaction, .at_ms = clock_wall_ms(), .retry_after_ms = retry_after_ms};
    bool is_unsure = reaction == REACTION_RETRY_UNSURE || reaction == REACTION_RESIGN_ONCE;
    attempt.outcome.status = reaction == REACTION_DONE ? OUTCOME_SUCCEEDED
                             : is_unsure               ? OUTCOME_UNKNOWN
                                                       : OUTCOME_FAILED;
    attempt.outcome.retention = reaction == REACTION_REPLY          ? RETENTION_REFUSAL
                                : reaction == REACTION_REPLY_BRIDGE ? RETENTION_NOT
                                : reaction == REACTION_DONE         ? RETENTION_SUCCESS
                                : is_unsure                         ? RETENTION_UNSURE
                                                                    : RETENTION_GIVEN_UP;
    attempt.outcome.is_from_bridge = code != NULL && strncmp(code, "Bridge.", 7) == 0;
    attempt.outcome.category = reaction == REACTION_COOLDOWN ? CATEGORY_COOLDOWN
                               : strcmp(code == NULL ? "" : code, "TooMany") == 0
                                   ? CATEGORY_THROTTLED
                                   : CATEGORY_INVALID;
    attempt.outcome.code = mem_strdup(code);
    attempt.outcome.retry_after_ms = reaction == REACTION_COOLDOWN ? retry_after_ms : -1;
    fixture.calls[index].answered(fixture.calls[index].arg, &attempt);
    outcome_fini(&attempt.outcome);
    fixture_record_starts();
}

void fixture_begin_anew(int max_in_flight)
{
    fixture.settings.api.max_in_flight = max_in_flight;
    dispatch_free(fixture.dispatch);
    fixture.call_count = 0;
    fixture.begun_count = 0;
    fixture.dispatch =
        dispatch_new(fixture.loop, &fixture.settings, fixture.health, &fixture.counters);
    dispatch_connect(fixture.dispatch, NULL, NULL, NULL);
}

int fixture_set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.settings.ledger.store = (char *)"sqlite:ledger.db";
    fixture.settings.api.rate_per_s = 1000;
    fixture.settings.api.rate_burst = 1000;
    fixture.settings.api.max_in_flight_per_region = 1000;
    fixture.settings.limits.deadline_s = 300;
    static char *named[] = {"cn-a", "cn-b"};
    fixture.route.regions = (struct text_list){.items = named, .count = 2};
    fixture.settings.routes = &fixture.route;
    fixture.settings.route_count = 1;
    fixture.loop = loop_new();
    fixture.health = health_new(fixture.loop);
    fixture_begin_anew(2);
    return 0;
}

int fixture_tear_down(void **state)
{
    (void)state;
    dispatch_free(fixture.dispatch);
    health_free(fixture.health);
    loop_free(fixture.loop);
    return 0;
}

void fixture_assert_called(size_t index, const char *token)
{
    assert_true(fixture.call_count > index);
    assert_string_equal(fixture.calls[index].command->token, token);
}

void fixture_assert_done(size_t index, const char *token, enum outcome_status status,
                         const char *code)
{
    assert_true(fixture.done_count > index);
    assert_string_equal(fixture.done[index].token, token);
    assert_int_equal(fixture.done[index].status, status);
    assert_string_equal(fixture.done[index].code, code);
}

void fixture_idle(void *arg)
{
    (void)arg;
    fixture.is_idle = true;
    loop_stop(fixture.loop);
}

void fixture_show(void *arg, const struct command *command, enum dispatch_wait wait,
                  const struct outcome *last)
{
    struct shown *shown = arg;
    size_t length = strlen(shown->text);
    snprintf(shown->text + length, sizeof shown->text - length, "%s %s%s%s\n", command->token,
             dispatch_wait_name(wait), last == NULL ? "" : " ", last == NULL ? "" : last->code);
}

void fixture_assert_waits(const char *text)
{
    struct shown shown = {""};
    dispatch_each(fixture.dispatch, 100, fixture_show, &shown);
    assert_string_equal(shown.text, text);
}
