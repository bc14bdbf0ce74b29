/*
 * Dispatch with a ledger and an API that only record what they are asked: the test gives the
 * answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dispatch/dispatch.h"
#include "model/crash_limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 32

/* A call that went out and was not answered yet. */
struct pending {
    const struct command *command;
    ecs_answered_fn *answered;
    void *arg;
};

struct done {
    char token[65];
    enum outcome_status status;
    enum retention retention;
    char code[64];
    uint32_t attempts;
    char group_status[64];
    char observed[256];
    int64_t retry_after_ms;
};

static struct {
    struct loop *loop;
    struct dispatch *dispatch;
    struct settings settings;
    struct health *health;
    struct counters counters;
    struct route route;
    struct pending calls[CALLS_MAX];
    size_t call_count;
    struct done done[CALLS_MAX];
    size_t done_count;
    size_t pause_count;
    enum move last_pause;
    uint32_t pause_attempts;          /* as recorded with the last pause */
    struct command *begun[CALLS_MAX]; /* starts that are being recorded */
    ledger_done_fn *begun_done[CALLS_MAX];
    void *begun_arg[CALLS_MAX];
    size_t begun_count;
    /* the shared rate */
    size_t ask_count;
    char asked_name[64];
    ledger_granted_fn *granted;
    void *granted_arg;
    size_t wanted_calls; /* the loop stops when so many are out, or done */
    size_t wanted_done;
    struct watch watch; /* of every group, where it has an objective */
    bool is_idle;
} fixture;

/* ---- the ledger and the API of this test ---- */

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

/* All starts asked for are recorded now. */
static void record_starts(void)
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

/* Runs until so many calls are out or commands done, recording starts as they come; `most_ms` at
 * most. */
static void run(size_t calls, size_t done, int64_t most_ms)
{
    struct loop_timer *limit = loop_timer_new(fixture.loop, time_is_up, NULL);
    loop_timer_start(limit, most_ms);
    int64_t end_ms = clock_mono_ms() + most_ms;
    fixture.wanted_calls = calls;
    fixture.wanted_done = done;
    record_starts();
    while ((calls == 0 || fixture.call_count < calls) && (done == 0 || fixture.done_count < done) &&
           clock_mono_ms() < end_ms) {
        struct loop_timer *next = loop_timer_new(fixture.loop, time_is_up, NULL);
        loop_timer_start(next, 5);
        loop_run(fixture.loop);
        loop_timer_free(next);
        record_starts();
    }
    loop_timer_free(limit);
}

static struct command *make_in(const char *region, const char *group, const char *token,
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

static struct command *make(const char *group, const char *token, int64_t deadline_ms)
{
    return make_in("cn-a", group, token, deadline_ms);
}

/* As found at start, after so many crashes in a row during its calls. */
static void resume(const char *group, const char *token, uint32_t crashes)
{
    struct command *command = make(group, token, 10000);
    command->state = STATE_UNSURE;
    command->crashes = crashes;
    dispatch_resume(fixture.dispatch, command, true);
    record_starts();
}

/* A claim that is on its way. */
struct claim {
    struct command *command;
    struct dispatch_reservation reservation;
};

static struct claim reserve_in(const char *region, const char *group, const char *token,
                               int64_t deadline_ms)
{
    struct command *command = make_in(region, group, token, deadline_ms);
    return (struct claim){command, dispatch_reserve(fixture.dispatch, command)};
}

static struct claim reserve(const char *group, const char *token, int64_t deadline_ms)
{
    return reserve_in("cn-a", group, token, deadline_ms);
}

/* It is durable. */
static void confirm(struct claim claim)
{
    if (claim.reservation.is_called_at_once) {
        claim.command->state = STATE_CALLING;
        claim.command->attempts = 1;
    }
    dispatch_claimed(fixture.dispatch, claim.reservation, claim.command);
    record_starts();
}

/* It was a duplicate. */
static void release(struct claim claim)
{
    dispatch_release(fixture.dispatch, claim.reservation);
    command_free(claim.command);
    record_starts();
}

static void claim(const char *group, const char *token, int64_t deadline_ms)
{
    confirm(reserve(group, token, deadline_ms));
}

static void claim_in(const char *region, const char *group, const char *token)
{
    confirm(reserve_in(region, group, token, 10000));
}

/* The call ends without an answer after a long time, and the command waits for its next attempt. */
static void answer_hung(size_t index)
{
    struct attempt attempt = {
        .reaction = REACTION_RETRY_UNSURE, .retry_after_ms = 5000, .has_hung = true};
    outcome_of_error(&attempt.outcome, ERROR_NO_DEFINITE_ANSWER, "nothing came");
    fixture.calls[index].answered(fixture.calls[index].arg, &attempt);
    outcome_fini(&attempt.outcome);
    record_starts();
}

static void answer(size_t index, enum reaction reaction, const char *code, int64_t retry_after_ms)
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
    record_starts();
}

/* A dispatch without commands that calls so many groups side by side. */
static void begin_anew(int max_in_flight)
{
    fixture.settings.api.max_in_flight = max_in_flight;
    dispatch_free(fixture.dispatch);
    fixture.call_count = 0;
    fixture.begun_count = 0;
    fixture.dispatch =
        dispatch_new(fixture.loop, &fixture.settings, fixture.health, &fixture.counters);
    dispatch_connect(fixture.dispatch, NULL, NULL, NULL);
}

static int set_up(void **state)
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
    begin_anew(2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dispatch_free(fixture.dispatch);
    health_free(fixture.health);
    loop_free(fixture.loop);
    return 0;
}

static void assert_called(size_t index, const char *token)
{
    assert_true(fixture.call_count > index);
    assert_string_equal(fixture.calls[index].command->token, token);
}

static void assert_done(size_t index, const char *token, enum outcome_status status,
                        const char *code)
{
    assert_true(fixture.done_count > index);
    assert_string_equal(fixture.done[index].token, token);
    assert_int_equal(fixture.done[index].status, status);
    assert_string_equal(fixture.done[index].code, code);
}

static void idle(void *arg)
{
    (void)arg;
    fixture.is_idle = true;
    loop_stop(fixture.loop);
}

/* ---- tests ---- */

static void test_a_reserved_command_is_called_at_once(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    assert_called(0, "t1");
    answer(0, REACTION_DONE, NULL, -1);
    assert_done(0, "t1", OUTCOME_SUCCEEDED, "");
    assert_int_equal(fixture.done[0].attempts, 1);
}

static void test_commands_of_a_group_are_called_one_at_a_time_in_order(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    claim("g1", "t3", 10000);
    assert_int_equal(fixture.call_count, 1);
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "t2");
    answer(1, REACTION_REPLY, "X", -1);
    assert_called(2, "t3");
    answer(2, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 3);
}

/* ---- why a command waits ---- */

struct shown {
    char text[512];
};

static void show(void *arg, const struct command *command, enum dispatch_wait wait,
                 const struct outcome *last)
{
    struct shown *shown = arg;
    size_t length = strlen(shown->text);
    snprintf(shown->text + length, sizeof shown->text - length, "%s %s%s%s\n", command->token,
             dispatch_wait_name(wait), last == NULL ? "" : " ", last == NULL ? "" : last->code);
}

static void assert_waits(const char *text)
{
    struct shown shown = {""};
    dispatch_each(fixture.dispatch, 100, show, &shown);
    assert_string_equal(shown.text, text);
}

static void test_each_command_is_shown_with_why_it_waits(void **state)
{
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 2;
    begin_anew(3);
    claim_in("cn-a", "g1", "t1");
    claim_in("cn-a", "g1", "t2");
    claim_in("cn-a", "g2", "t3");
    claim_in("cn-a", "g3", "t4");
    assert_waits("t1 calling\nt2 group\nt3 calling\nt4 region_calls\n");
    claim_in("cn-b", "g4", "t5");
    claim_in("cn-b", "g5", "t6");
    assert_waits("t1 calling\nt2 group\nt3 calling\nt4 calls\nt5 calling\nt6 calls\n");
    answer(0, REACTION_RETRY, "Busy", 5000);
    assert_waits("t1 retry Busy\nt2 group\nt3 calling\nt4 calling\nt5 calling\nt6 calls\n");
}

static void test_a_command_that_waits_for_the_rate_is_shown_so(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_THROTTLE, "Throttling", 5000);
    claim("g2", "t2", 10000);
    assert_waits("t1 retry Throttling\nt2 rate\n");
}

static void test_what_is_shown_of_the_commands_is_limited(void **state)
{
    (void)state;
    struct shown shown = {""};
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    claim("g2", "t3", 10000);
    dispatch_each(fixture.dispatch, 2, show, &shown);
    assert_string_equal(shown.text, "t1 calling\nt2 group\n");
    dispatch_stop(fixture.dispatch, idle, NULL);
    assert_waits("t1 calling\nt2 stopping\nt3 calling\n");
}

/* ---- the crash limit ---- */

static void test_a_command_with_a_crash_is_called_alone_and_first(void **state)
{
    (void)state;
    begin_anew(8);
    resume("g1", "t1", 0);
    resume("g2", "t2", 0);
    resume("g3", "crashed", 1);
    resume("g4", "t4", 0);
    claim("g5", "t5", 10000);
    assert_int_equal(fixture.call_count, 2); /* those that had begun before */
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    answer(1, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 3);
    assert_called(2, "crashed");
    claim("g6", "t6", 10000);
    assert_int_equal(fixture.call_count, 3);
    answer(2, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 6);
}

static void test_a_new_command_waits_while_one_with_a_crash_is_called(void **state)
{
    (void)state;
    resume("g1", "crashed", 1);
    assert_called(0, "crashed");
    claim("g2", "t2", 10000); /* nothing is queued before it */
    assert_int_equal(fixture.call_count, 1);
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "t2");
}

static void test_commands_with_crashes_are_called_one_after_the_other(void **state)
{
    (void)state;
    resume("g1", "c1", 1);
    resume("g2", "c2", 1);
    resume("g3", "t3", 0);
    assert_int_equal(fixture.call_count, 1);
    assert_called(0, "c1");
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "c2");
    answer(1, REACTION_DONE, NULL, -1);
    assert_called(2, "t3");
}

static void test_the_fewest_crashes_are_called_first_in_all_regions(void **state)
{
    (void)state;
    dispatch_hold(fixture.dispatch, true);
    resume("g1", "c2", 2);
    resume("g2", "t4", 0);
    resume("g3", "c1", 1);
    struct command *elsewhere = command_of_record(
        &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-b"),
        slice_text("g5"), slice_text("b1"), slice_text("{\"OneShot\":false}"));
    elsewhere->state = STATE_UNSURE;
    elsewhere->crashes = 1;
    elsewhere->deadline_at_ms = clock_wall_ms() + 10000;
    dispatch_resume(fixture.dispatch, elsewhere, true);
    resume("g4", "c1b", 1);
    assert_int_equal(fixture.call_count, 0);
    dispatch_hold(fixture.dispatch, false);
    record_starts();
    for (size_t i = 0; i < 5; i++) {
        static const char *const ORDER[] = {"c1", "c1b", "b1", "c2", "t4"};
        assert_int_equal(fixture.call_count, i + 1);
        assert_called(i, ORDER[i]);
        answer(i, REACTION_DONE, NULL, -1);
    }
}

static void test_any_answer_sets_the_crashes_back(void **state)
{
    (void)state;
    resume("g1", "c1", 2);
    answer(0, REACTION_RETRY_UNSURE, "InternalError", 10);
    assert_int_equal(fixture.calls[0].command->crashes, 0);
    claim("g2", "t2", 10000);
    run(3, 0, 5000);
    assert_int_equal(fixture.call_count, 3); /* side by side */
}

static void test_a_command_with_three_crashes_is_set_aside_uncalled(void **state)
{
    (void)state;
    resume("g1", "poison", 3);
    resume("g1", "t2", 0);
    assert_done(0, "poison", OUTCOME_UNKNOWN, "Bridge.SetAside");
    assert_int_equal(counter_get(&fixture.counters, COUNTER_SET_ASIDE), 1);
    assert_true(health_is_on(fixture.health, HEALTH_COMMAND_SET_ASIDE));
    assert_int_equal(fixture.call_count, 1);
    assert_called(0, "t2");
}

static void test_a_command_that_the_settings_no_longer_allow_ends_uncalled(void **state)
{
    (void)state;
    struct command *unsure = make("g1", "unsure", 10000);
    struct command *ready = make("g2", "ready", 10000);
    unsure->state = STATE_UNSURE;
    unsure->attempts = 1;
    unsure->crashes = 3;
    dispatch_resume(fixture.dispatch, unsure, false);
    dispatch_resume(fixture.dispatch, ready, false);
    dispatch_resume(fixture.dispatch, make("g3", "late", 0), false);
    resume("g1", "t3", 0);
    assert_done(0, "unsure", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    assert_done(1, "ready", OUTCOME_FAILED, "Bridge.NotAllowed");
    assert_done(2, "late", OUTCOME_FAILED, "Bridge.Expired");
    assert_int_equal(counter_get(&fixture.counters, COUNTER_SET_ASIDE), 0);
    assert_int_equal(fixture.call_count, 1);
    assert_called(0, "t3");
}

/* Other settings, while commands are called, wait in the queue, in their group and in backoff. */
static void test_settings_that_change_end_what_waits_and_is_not_allowed_any_more(void **state)
{
    (void)state;
    static char *allowed[] = {"g1", "g3"};
    static char name[] = "start";
    struct route next = fixture.route;
    fixture.route.name = name;
    claim("g2", "called", 10000);
    claim("g1", "backoff", 10000);
    answer(1, REACTION_RETRY_UNSURE, NULL, 5000);
    claim("g4", "unsure", 10000);
    answer(2, REACTION_RETRY_UNSURE, NULL, 5000);
    claim("g1", "t1", 10000);
    claim("g5", "other", 10000);
    claim("g2", "behind", 10000);
    claim("g6", "queued", 10000);
    claim("g3", "allowed", 10000);
    assert_int_equal(fixture.call_count, 4);
    next.name = name;
    next.action = "StartDiskReplicaGroup";
    next.groups = (struct text_list){allowed, 2};
    fixture.settings.routes = &next;
    dispatch_settings_changed(fixture.dispatch);
    assert_int_equal(fixture.done_count, 3);
    for (size_t i = 0; i < fixture.done_count; i++) {
        bool is_unsure = strcmp(fixture.done[i].token, "unsure") == 0;
        assert_true(is_unsure || strcmp(fixture.done[i].token, "behind") == 0 ||
                    strcmp(fixture.done[i].token, "queued") == 0);
        assert_int_equal(fixture.done[i].status, is_unsure ? OUTCOME_UNKNOWN : OUTCOME_FAILED);
    }
    /* What is being called goes on, and so does what is allowed. */
    assert_ptr_equal(fixture.calls[0].command->route, &next);
    answer(0, REACTION_DONE, NULL, -1);
    answer(3, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 5);
    assert_called(4, "allowed");
    assert_int_equal(fixture.call_count, 5);
}

static void test_settings_that_change_take_effect_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        char group[8];
        snprintf(group, sizeof group, "g%d", i);
        claim(group, group, 10000);
    }
    assert_int_equal(fixture.call_count, 2);
    fixture.settings.api.max_in_flight = 5;
    fixture.settings.api.max_in_flight_per_region = 4;
    fixture.route.name = (char[]){"start"};
    static char *all[] = {"*"};
    fixture.route.action = (char[]){"StartDiskReplicaGroup"};
    fixture.route.groups = (struct text_list){all, 1};
    dispatch_settings_changed(fixture.dispatch);
    record_starts();
    assert_int_equal(fixture.call_count, 4);
}

/* An operator orders a command of the same group while a claim that is called at once is on its
 * way.
 */
static void test_a_command_that_is_ordered_again_waits_behind_a_claim_on_its_way(void **state)
{
    (void)state;
    struct claim on_its_way = reserve("g1", "t1", 10000);
    assert_true(on_its_way.reservation.is_called_at_once);
    resume("g1", "ordered", 0);
    assert_int_equal(fixture.call_count, 0);
    confirm(on_its_way);
    assert_int_equal(fixture.call_count, 1);
    assert_called(0, "t1");
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "ordered");
    on_its_way = reserve("g2", "t2", 10000);
    resume("g2", "again", 0);
    release(on_its_way);
    assert_int_equal(fixture.call_count, 3);
    assert_called(2, "again");
}

/* What the ledger has of a command, for tests that crash. */
struct row {
    char token[24];
    uint32_t crashes;
    bool is_done;
};

static struct row *row_of(struct row *rows, size_t count, const char *token)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].token, token) == 0) {
            return &rows[i];
        }
    }
    fail_msg("no command %s", token);
    return NULL;
}

static void make_rows(struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct row){0};
        snprintf(rows[i].token, sizeof rows[i].token, "t%zu", i);
    }
}

/* A dispatch begins with all unfinished rows, each in a group of its own. */
static void restart(struct row *rows, size_t count)
{
    begin_anew((int)fixture.settings.api.max_in_flight);
    dispatch_hold(fixture.dispatch, true);
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].is_done) {
            resume(rows[i].token, rows[i].token, rows[i].crashes);
        }
    }
    dispatch_hold(fixture.dispatch, false);
    record_starts();
}

/* All calls from `first` on are under way now. */
static void crash(struct row *rows, size_t count, size_t first)
{
    for (size_t i = first; i < fixture.call_count; i++) {
        row_of(rows, count, fixture.calls[i].command->token)->crashes++;
    }
    restart(rows, count);
}

/* Each call is answered, but for the poison's, which crashes the bridge. */
static void test_neighbours_of_a_command_that_crashes_the_bridge_are_not_set_aside(void **state)
{
    enum { COUNT = 20, POISON = 7 };
    struct row rows[COUNT];
    (void)state;
    begin_anew(COUNT);
    make_rows(rows, COUNT);
    restart(rows, COUNT);
    assert_int_equal(fixture.call_count, COUNT);
    int crashes = 1;
    crash(rows, COUNT, 0);
    for (size_t i = 0; i < fixture.call_count;) {
        struct row *row = row_of(rows, COUNT, fixture.calls[i].command->token);
        if (row == &rows[POISON]) {
            crashes++;
            crash(rows, COUNT, i);
            i = 0;
        } else {
            assert_int_equal(fixture.call_count, i + 1); /* alone */
            assert_in_range(row->crashes, 0, 1);
            row->is_done = true;
            answer(i++, REACTION_DONE, NULL, -1);
        }
    }
    assert_int_equal(crashes, CRASH_LIMIT);
    assert_int_equal(fixture.done_count, COUNT);
    assert_done(COUNT - 1, rows[POISON].token, OUTCOME_UNKNOWN, "Bridge.SetAside");
}

/* Nothing is ever answered, and the bridge is killed again and again. */
static void test_kills_hit_each_command_before_any_reaches_the_limit(void **state)
{
    enum { COUNT = 20 };
    struct row rows[COUNT];
    (void)state;
    begin_anew(COUNT);
    make_rows(rows, COUNT);
    restart(rows, COUNT);
    for (int kills = 0; kills < COUNT + 1; kills++) {
        crash(rows, COUNT, 0);
        assert_int_equal(fixture.call_count, 1);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(rows[i].crashes, 2);
    }
    assert_int_equal(fixture.done_count, 0);
}

/* ---- order, slots, deadlines ---- */

static void test_groups_run_side_by_side_up_to_the_limit(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    claim("g2", "t2", 10000);
    claim("g3", "t3", 10000);
    assert_int_equal(fixture.call_count, 2);
    answer(1, REACTION_DONE, NULL, -1);
    assert_called(2, "t3");
}

static void test_a_command_that_is_tried_again_stays_first_in_its_group(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    answer(0, REACTION_RETRY, "Bridge.Unreachable", 30);
    assert_int_equal(fixture.call_count, 1);
    run(2, 0, 5000);
    assert_called(1, "t1");
    answer(1, REACTION_DONE, NULL, -1);
    assert_called(2, "t2");
    assert_int_equal(fixture.done[0].attempts, 2);
}

static void test_nothing_done_until_the_deadline_is_a_failure_with_the_last_code(void **state)
{
    (void)state;
    claim("g1", "t1", 1000);
    answer(0, REACTION_THROTTLE, "Throttling.User", 5000);
    assert_done(0, "t1", OUTCOME_FAILED, "Throttling.User");
}

static void test_once_unsure_a_later_throttling_cannot_make_it_a_failure(void **state)
{
    (void)state;
    claim("g1", "t1", 2000);
    answer(0, REACTION_RETRY_UNSURE, "InternalError", 10);
    assert_int_equal(fixture.last_pause, MOVE_NO_ANSWER);
    run(2, 0, 5000);
    answer(1, REACTION_THROTTLE, "Throttling", 60000);
    assert_done(0, "t1", OUTCOME_UNKNOWN, "InternalError");
}

/* The state of a command after an attempt without a definite answer, and after a restart. */
static void begin_unsure(void)
{
    claim("g1", "t1", 2000);
    answer(0, REACTION_RETRY_UNSURE, "Bridge.NoDefiniteAnswer", 10);
    run(2, 0, 5000);
    assert_int_equal(fixture.call_count, 2);
}

static void resume_unsure(void)
{
    resume("g1", "t1", 0);
    assert_int_equal(fixture.call_count, 1);
}

static void test_once_unsure_any_refusal_is_unknown_with_its_code(void **state)
{
    static const struct {
        enum reaction reaction;
        const char *code;
        const char *expected;
    } cases[] = {
        {REACTION_REPLY, "NoSuchResource", "NoSuchResource"},
        {REACTION_REPLY, "OperationDenied.InvalidStatus", "OperationDenied.InvalidStatus"},
        {REACTION_REPLY_BRIDGE, "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.NotFound"},
        {REACTION_REPLY_BRIDGE, "Bridge.NoCredentials", "Bridge.NoDefiniteAnswer"},
        {REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", "OperationDenied.ManualSyncLimit"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_resumed = 0; is_resumed < 2; is_resumed++) {
            print_message("%s\n", cases[i].code);
            begin_anew(2);
            fixture.done_count = 0;
            if (is_resumed) {
                resume_unsure();
            } else {
                begin_unsure();
            }
            answer(fixture.call_count - 1, cases[i].reaction, cases[i].code, 50);
            assert_done(0, "t1", OUTCOME_UNKNOWN, cases[i].expected);
            assert_int_equal(fixture.done[0].retention, RETENTION_UNSURE);
        }
    }
}

static void test_once_unsure_a_cooldown_is_not_waited_for(void **state)
{
    (void)state;
    fixture.route.may_defer_cooldown = true;
    begin_unsure();
    answer(1, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 50);
    assert_done(0, "t1", OUTCOME_UNKNOWN, "OperationDenied.ManualSyncLimit");
}

static void test_once_unsure_a_remedy_is_tried_and_its_refusal_is_unknown(void **state)
{
    static const enum reaction remedies[] = {REACTION_CREDENTIALS_ONCE, REACTION_CLOCK_ONCE,
                                             REACTION_RESIGN_ONCE};
    (void)state;
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++) {
        begin_anew(2);
        fixture.done_count = 0;
        begin_unsure();
        answer(1, remedies[i], "Refused.First", -1);
        assert_int_equal(fixture.call_count, 3);
        answer(2, remedies[i], "Refused.Again", -1);
        assert_done(0, "t1", OUTCOME_UNKNOWN, "Refused.Again");
        assert_int_equal(fixture.done[0].retention, RETENTION_UNSURE);
    }
}

static void test_a_429_is_the_reply_but_once_unsure_it_is_tried_again(void **state)
{
    (void)state;
    claim("g0", "t0", 2000);
    answer(0, REACTION_REPLY, "TooMany", -1);
    assert_done(0, "t0", OUTCOME_FAILED, "TooMany");
    begin_anew(2);
    fixture.done_count = 0;
    begin_unsure();
    answer(1, REACTION_REPLY, "TooMany", 10);
    assert_int_equal(fixture.done_count, 0);
    run(3, 0, 5000);
    answer(2, REACTION_DONE, NULL, -1);
    assert_done(0, "t1", OUTCOME_SUCCEEDED, "");
}

static void test_a_backoff_beyond_the_deadline_leaves_a_last_attempt_before_it(void **state)
{
    (void)state;
    int64_t begin_ms = clock_mono_ms();
    claim("g1", "t1", 700);
    for (size_t i = 0; fixture.done_count == 0; i++) {
        answer(i, REACTION_RETRY, "Bridge.Unreachable", -1);
        run(i + 2, 1, 5000);
    }
    assert_true(clock_mono_ms() - begin_ms >= 450);
    assert_done(0, "t1", OUTCOME_FAILED, "Bridge.Unreachable");
}

static void test_a_command_resumed_as_unsure_and_given_up_is_unknown(void **state)
{
    (void)state;
    struct command *command = make("g1", "t1", 300);
    command->state = STATE_UNSURE;
    dispatch_resume(fixture.dispatch, command, true);
    run(1, 0, 5000);
    assert_int_equal(fixture.calls[0].command->state, STATE_RECALLING);
    answer(0, REACTION_RETRY, "Bridge.Unreachable", 60000);
    assert_done(0, "t1", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
}

static void test_the_backoff_of_a_resumed_command_ends_before_its_deadline(void **state)
{
    (void)state;
    struct command *command = make("g1", "t1", 10000);
    command->not_before_ms = clock_wall_ms() + 3600000;
    dispatch_resume(fixture.dispatch, command, true);
    run(1, 0, 2000);
    assert_called(0, "t1");
    answer(0, REACTION_DONE, NULL, -1);
}

static void test_a_deadline_that_passes_in_the_queue_ends_the_command(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    claim("g1", "t2", 100);
    run(0, 1, 5000);
    assert_done(0, "t2", OUTCOME_FAILED, "Bridge.Expired");
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 1);
}

static void test_a_claim_that_becomes_durable_after_its_deadline_is_not_called(void **state)
{
    (void)state;
    struct claim late = reserve("g1", "t1", 50);
    assert_true(late.reservation.is_called_at_once);
    run(0, 0, 100);
    confirm(late);
    assert_int_equal(fixture.call_count, 0);
    assert_done(0, "t1", OUTCOME_FAILED, "Bridge.Expired");
    assert_int_equal(fixture.done[0].attempts, 0);
    /* The attempt that was recorded has its end, too. */
    assert_int_equal(fixture.pause_count, 1);
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
}

static void test_the_earliest_deadline_comes_first_whatever_the_order_of_arrival(void **state)
{
    (void)state;
    int64_t begin_ms = clock_mono_ms();
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    claim("g1", "t3", 300);
    claim("g1", "t4", 100);
    run(0, 2, 5000);
    assert_done(0, "t4", OUTCOME_FAILED, "Bridge.Expired");
    assert_done(1, "t3", OUTCOME_FAILED, "Bridge.Expired");
    /* Deadlines are of another clock than this one: both are rounded to a millisecond. */
    assert_true(clock_mono_ms() - begin_ms >= 290);
    answer(0, REACTION_DONE, NULL, -1);
    assert_called(1, "t2");
    answer(1, REACTION_DONE, NULL, -1);
}

static void test_regions_are_served_in_turn(void **state)
{
    static const char *const ORDER[] = {"a1", "b1", "a2", "b2", "a3"};
    (void)state;
    begin_anew(1);
    dispatch_hold(fixture.dispatch, true);
    for (size_t i = 0; i < 5; i++) {
        static const char *const ARRIVAL[] = {"a1", "a2", "a3", "b1", "b2"};
        struct command *command = command_of_record(
            &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup],
            slice_text(ARRIVAL[i][0] == 'a' ? "cn-a" : "cn-b"), slice_text(ARRIVAL[i]),
            slice_text(ARRIVAL[i]), slice_text("{\"OneShot\":false}"));
        command->state = STATE_READY;
        command->deadline_at_ms = clock_wall_ms() + 10000;
        dispatch_resume(fixture.dispatch, command, true);
    }
    dispatch_hold(fixture.dispatch, false);
    record_starts();
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(fixture.call_count, i + 1);
        assert_called(i, ORDER[i]);
        answer(i, REACTION_DONE, NULL, -1);
    }
}

/* ---- figures ---- */

static int64_t count_of(enum histogram histogram)
{
    int64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        count += fixture.counters.histograms[histogram].buckets[i];
    }
    return count;
}

static void test_each_result_of_an_attempt_has_its_counter(void **state)
{
    static const struct {
        enum category category;
        enum counter counter;
    } rows[] = {
        {CATEGORY_INVALID, COUNTER_ATTEMPTS_INVALID},
        {CATEGORY_DENIED, COUNTER_ATTEMPTS_DENIED},
        {CATEGORY_NOT_FOUND, COUNTER_ATTEMPTS_NOT_FOUND},
        {CATEGORY_CONFLICT, COUNTER_ATTEMPTS_CONFLICT},
        {CATEGORY_COOLDOWN, COUNTER_ATTEMPTS_COOLDOWN},
        {CATEGORY_THROTTLED, COUNTER_ATTEMPTS_THROTTLED},
        {CATEGORY_UNAVAILABLE, COUNTER_ATTEMPTS_UNAVAILABLE},
        {CATEGORY_UNKNOWN_OUTCOME, COUNTER_ATTEMPTS_UNKNOWN},
        {CATEGORY_CONFIGURATION, COUNTER_ATTEMPTS_CONFIGURATION},
        {CATEGORY_INTERNAL, COUNTER_ATTEMPTS_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char token[16];
        struct attempt attempt = {.reaction = REACTION_REPLY, .retry_after_ms = -1};
        snprintf(token, sizeof token, "t%zu", i);
        attempt.outcome.status = OUTCOME_FAILED;
        attempt.outcome.category = rows[i].category;
        claim(token, token, 10000);
        fixture.calls[i].answered(fixture.calls[i].arg, &attempt);
        assert_int_equal(counter_get(&fixture.counters, rows[i].counter), 1);
    }
    assert_int_equal(count_of(HISTOGRAM_ATTEMPT), sizeof rows / sizeof rows[0]);
}

static void test_the_times_of_a_command_are_observed_once(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    assert_int_equal(count_of(HISTOGRAM_QUEUE), 1);
    answer(0, REACTION_RETRY, "Bridge.Unreachable", 1);
    run(2, 0, 5000);
    answer(1, REACTION_DONE, NULL, -1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_ATTEMPTS_SUCCEEDED), 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_RETRIES), 1);
    assert_int_equal(count_of(HISTOGRAM_ATTEMPT), 2);
    assert_int_equal(count_of(HISTOGRAM_QUEUE), 1);
    assert_int_equal(count_of(HISTOGRAM_CALL), 1);
    assert_int_equal(count_of(HISTOGRAM_COMMAND), 1);
}

static void test_what_waits_and_the_oldest_command_are_known(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    claim("g2", "t3", 10000);
    claim("g3", "t4", 10000); /* two calls are under way */
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 2);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_OLDEST_COMMAND),
                     fixture.calls[0].command->received_at_ms);
    answer(0, REACTION_RETRY, "Bridge.Unreachable", 60000); /* after its deadline */
    assert_int_equal(fixture.done_count, 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 1);
    answer(1, REACTION_RETRY, "Bridge.Unreachable", 5000);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 1);
    answer(2, REACTION_DONE, NULL, -1);
    answer(3, REACTION_DONE, NULL, -1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 1);
    assert_true(counter_get(&fixture.counters, COUNTER_OLDEST_COMMAND) > 0);
    run(5, 0, 9000);
    answer(4, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 4);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_OLDEST_COMMAND), 0);
}

static void test_a_region_has_its_own_counters_once_it_is_known(void **state)
{
    (void)state;
    claim_in("cn-a", "g1", "t1");
    answer(0, REACTION_THROTTLE, "Throttling", 1);
    run(2, 0, 5000);
    answer(1, REACTION_DONE, NULL, -1);
    claim_in("cn-invented", "g2", "t2");
    answer(2, REACTION_DONE, NULL, -1);
    claim_in("cn-invented", "g3", "t3");
    answer(3, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.counters.region_count, 2);
    assert_string_equal(fixture.counters.regions[0].name, "cn-a");
    assert_int_equal(fixture.counters.regions[0].values[REGIONAL_CALLS], 1);
    assert_int_equal(fixture.counters.regions[0].values[REGIONAL_THROTTLED], 1);
    assert_string_equal(fixture.counters.regions[1].name, "cn-invented");
    assert_int_equal(fixture.counters.regions[1].values[REGIONAL_CALLS], 1);
    assert_int_equal(fixture.counters.regions[COUNTER_REGION_OTHER].values[REGIONAL_CALLS], 1);
}

/* ---- regions ---- */

static void test_the_same_group_in_two_regions_is_called_one_at_a_time(void **state)
{
    (void)state;
    claim_in("cn-a", "g1", "t1");
    claim_in("cn-b", "g1", "t2");
    claim_in("cn-b", "g2", "t3");
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "t3");
    answer(0, REACTION_DONE, NULL, -1);
    assert_called(2, "t2");
    answer(2, REACTION_DONE, NULL, -1);
    answer(1, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 3);
}

static void test_a_group_waits_in_the_region_of_its_first_command(void **state)
{
    (void)state;
    begin_anew(2);
    fixture.settings.api.max_in_flight_per_region = 1;
    begin_anew(2);
    claim_in("cn-a", "g1", "t1");
    confirm(reserve_in("cn-a", "g2", "t2", 100));
    claim_in("cn-b", "g2", "t3");
    assert_int_equal(fixture.call_count, 1);
    run(0, 1, 5000);
    assert_done(0, "t2", OUTCOME_FAILED, "Bridge.Expired");
    record_starts();
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "t3");
    answer(1, REACTION_DONE, NULL, -1);
    answer(0, REACTION_DONE, NULL, -1);
    claim_in("cn-b", "g3", "t4");
    assert_called(2, "t4");
}

static void test_a_region_that_is_full_leaves_room_for_the_others(void **state)
{
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 2;
    begin_anew(4);
    claim_in("cn-a", "g1", "t1");
    claim_in("cn-a", "g2", "t2");
    claim_in("cn-a", "g3", "t3");
    assert_int_equal(fixture.call_count, 2);
    claim_in("cn-b", "g4", "t4");
    claim_in("cn-b", "g5", "t5");
    assert_int_equal(fixture.call_count, 4);
    answer(0, REACTION_DONE, NULL, -1);
    assert_called(4, "t3");
}

static void test_a_region_that_hangs_gets_one_call_at_a_time_until_it_answers(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 4;
    begin_anew(16);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        claim_in("cn-a", name, name);
    }
    assert_int_equal(fixture.call_count, 4);
    answer_hung(0); /* n4 begins */
    answer_hung(1); /* n5 begins */
    assert_int_equal(fixture.call_count, 6);
    for (size_t i = 2; i < 5; i++) {
        answer_hung(i);
        assert_int_equal(fixture.call_count, 6);
    }
    answer_hung(5);
    assert_int_equal(fixture.call_count, 7); /* one, to find out */
    claim_in("cn-b", "g1", "other");
    assert_called(7, "other");
    answer(6, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 9);
    claim_in("cn-a", "g2", "again");
    assert_called(9, "again");
}

static void test_a_hanging_call_among_answered_ones_changes_nothing(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 2;
    begin_anew(16);
    for (size_t i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "n%zu", i);
        claim_in("cn-a", name, name);
        if (i % 2 == 0) {
            answer_hung(i);
        } else {
            answer(i, REACTION_DONE, NULL, -1);
        }
    }
    claim_in("cn-a", "x", "x");
    claim_in("cn-a", "y", "y");
    assert_int_equal(fixture.call_count, 12);
}

static void test_invented_regions_have_the_slots_of_one_region(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 4;
    begin_anew(64);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "g%d", i);
        claim_in("invented", name, name);
    }
    assert_int_equal(fixture.call_count, 2);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "x%d", i);
        claim_in(name, name, name);
    }
    assert_int_equal(fixture.call_count, 4);
    claim_in("cn-a", "named", "named");
    assert_called(4, "named");
    answer(0, REACTION_REPLY, "NoSuchResource", -1);
    assert_int_equal(fixture.call_count, 6); /* still one region's slots, and served in turn */
    assert_called(5, "g2");
    answer(1, REACTION_REPLY, "NoSuchResource", -1);
    assert_int_equal(fixture.call_count, 7);
    assert_called(6, "x2");
}

static void test_invented_regions_have_the_rate_of_one_region(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.rate_per_s = 0.01;
    fixture.settings.api.rate_burst = 3;
    begin_anew(64);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "x%d", i);
        claim_in(name, name, name);
    }
    assert_int_equal(fixture.call_count, 3);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "a%d", i);
        claim_in("cn-a", name, name);
    }
    assert_int_equal(fixture.call_count, 6);
}

static void test_a_success_or_a_word_about_the_group_proves_a_region(void **state)
{
    static const struct {
        enum reaction reaction;
        const char *code;
        size_t calls;
    } cases[] = {
        {REACTION_REPLY, "NoSuchResource", 3},
        {REACTION_DONE, NULL, 5},
        {REACTION_COOLDOWN, "InCooldown", 5},
    };
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 4;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_anew(64);
        for (int k = 0; k < 9; k++) {
            char name[16];
            snprintf(name, sizeof name, "g%d", k);
            claim_in("x1", name, name);
        }
        assert_int_equal(fixture.call_count, 2);
        answer(0, cases[i].reaction, cases[i].code, 10);
        assert_int_equal(fixture.call_count, cases[i].calls);
    }
}

static void test_a_region_that_is_proven_gets_no_second_burst(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.rate_per_s = 0.01;
    fixture.settings.api.rate_burst = 3;
    begin_anew(64);
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "g%d", i);
        claim_in("x1", name, name);
    }
    assert_int_equal(fixture.call_count, 2);
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 3);
}

static void test_a_new_signature_is_tried_once(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    assert_int_equal(fixture.call_count, 2);
    answer(1, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    assert_done(0, "t1", OUTCOME_UNKNOWN, "SignatureNonceUsed");
    assert_int_equal(fixture.done[0].attempts, 2);
}

static void test_a_used_nonce_means_that_another_copy_may_have_had_effect(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    assert_int_equal(fixture.last_pause, MOVE_NO_ANSWER);
    answer(1, REACTION_REPLY, "OperationDenied.InvalidStatus", -1);
    assert_done(0, "t1", OUTCOME_UNKNOWN, "OperationDenied.InvalidStatus");
    claim("g2", "t2", 1000);
    answer(2, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    answer(3, REACTION_RETRY, "ServiceUnavailable", 5000);
    assert_done(1, "t2", OUTCOME_UNKNOWN, "SignatureNonceUsed");
}

static void test_a_cooldown_is_the_reply_or_waited_for_as_the_route_says(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 50);
    assert_done(0, "t1", OUTCOME_FAILED, "OperationDenied.ManualSyncLimit");
    fixture.route.may_defer_cooldown = true;
    claim("g1", "t2", 10000);
    answer(1, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 50);
    assert_int_equal(fixture.done_count, 1);
    run(3, 0, 5000);
    answer(2, REACTION_DONE, NULL, -1);
    assert_done(1, "t2", OUTCOME_SUCCEEDED, "");
    claim("g1", "t3", 1000);
    answer(3, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 60000);
    assert_done(2, "t3", OUTCOME_FAILED, "OperationDenied.ManualSyncLimit");
}

/* ---- the state of the group ---- */

#define INVALID_STATUS "OperationDenied.InvalidStatus"
#define SYNC_LIMIT     "OperationDenied.ManualSyncLimit"

/* The answer to the call for the state of a group; `status` is NULL where it cannot be read. */
static void answer_state_with(size_t index, const char *group, const char *status, int rpo_s)
{
    struct buf body = {0};
    struct attempt attempt = {.reaction = status == NULL ? REACTION_RETRY : REACTION_DONE,
                              .at_ms = clock_wall_ms(),
                              .retry_after_ms = -1};
    assert_true(index < fixture.call_count);
    assert_int_equal(fixture.calls[index].command->action->id, ACTION_DescribeDiskReplicaGroups);
    if (status == NULL) {
        outcome_of_error(&attempt.outcome, ERROR_UNREACHABLE, "nothing was sent");
    } else {
        buf_printf(&body,
                   "{\"ReplicaGroups\":[{\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\","
                   "\"RPO\":%d}]}",
                   group, status, rpo_s);
        attempt.body = buf_slice(&body);
    }
    fixture.calls[index].answered(fixture.calls[index].arg, &attempt);
    outcome_fini(&attempt.outcome);
    buf_fini(&body);
    record_starts();
}

static void answer_state(size_t index, const char *group, const char *status)
{
    answer_state_with(index, group, status, 100);
}

static struct command *one_shot(const char *group, const char *token)
{
    struct command *command = command_of_record(
        &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-a"),
        slice_text(group), slice_text(token), slice_text("{\"OneShot\":true}"));
    command->received_at_ms = clock_wall_ms();
    command->deadline_at_ms = command->received_at_ms + 10000;
    return command;
}

static void claim_one_shot(const char *group, const char *token)
{
    struct command *command = one_shot(group, token);
    command->state = STATE_READY;
    confirm((struct claim){command, dispatch_reserve(fixture.dispatch, command)});
}

static void test_the_state_is_read_before_a_refusal_by_state_is_recorded(void **state)
{
    (void)state;
    fixture.route.explain = true;
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    assert_int_equal(fixture.done_count, 0);
    assert_int_equal(fixture.pause_count, 1); /* the attempt has ended, without effect */
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
    assert_waits("t1 reading\nt2 group\n");
    answer_state(1, "g1", "failovered");
    assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    assert_string_equal(fixture.done[0].group_status, "failovered");
    assert_string_equal(fixture.done[0].observed, "");
    assert_called(2, "t2");
    answer(2, REACTION_REPLY, "OperationDenied.NoPairInGroup", -1);
    assert_done(1, "t2", OUTCOME_FAILED, "OperationDenied.NoPairInGroup");
}

static void test_a_refusal_is_as_ever_where_no_state_can_be_read(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    fixture.route.explain = true;
    claim("an id, with a comma", "t2", 10000);
    answer(1, REACTION_REPLY, INVALID_STATUS, -1);
    assert_done(1, "t2", OUTCOME_FAILED, INVALID_STATUS);
    claim("g1", "t3", 10000);
    answer(2, REACTION_REPLY, INVALID_STATUS, -1);
    answer_state(3, "another group", "normal");
    assert_done(2, "t3", OUTCOME_FAILED, INVALID_STATUS);
    claim("g1", "t4", 10000);
    answer(4, REACTION_REPLY, INVALID_STATUS, -1);
    answer_state(5, "g1", NULL);
    assert_done(3, "t4", OUTCOME_FAILED, INVALID_STATUS);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(fixture.done[i].group_status, "");
    }
}

static void test_a_state_that_comes_too_late_changes_nothing(void **state)
{
    (void)state;
    fixture.route.explain = true;
    claim("g1", "t1", 10000);
    answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    run(0, 1, 30000);
    assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    assert_string_equal(fixture.done[0].group_status, "");
    answer_state(1, "g1", "failovered");
    assert_int_equal(fixture.done_count, 1);
}

static void test_an_unknown_outcome_shows_what_is_seen_of_the_group(void **state)
{
    (void)state;
    fixture.route.explain = true;
    claim("g1", "t1", 10000);
    answer(0, REACTION_RETRY_UNSURE, "InternalError", 60000);
    assert_int_equal(fixture.last_pause, MOVE_NO_ANSWER);
    answer_state(1, "g1", "normal");
    assert_done(0, "t1", OUTCOME_UNKNOWN, "InternalError");
    assert_non_null(strstr(fixture.done[0].observed, "\"GroupStatus\":\"normal\""));
    assert_non_null(strstr(fixture.done[0].observed, "\"Conclusion\":\"replicating\""));
    claim("g1", "t2", 10000);
    answer(2, REACTION_RETRY_UNSURE, "InternalError", 10);
    run(4, 0, 5000);
    answer(3, REACTION_REPLY, INVALID_STATUS, -1);
    answer_state(4, "g1", NULL);
    assert_done(1, "t2", OUTCOME_UNKNOWN, INVALID_STATUS);
    assert_string_equal(fixture.done[1].observed, "{\"Conclusion\":\"undecided\"}");
    assert_string_equal(fixture.done[1].group_status, "");
}

/* Of an earlier run: an attempt may have had effect. */
static void resume_late(const char *group, const char *token, int64_t deadline_ms)
{
    struct command *command = make(group, token, deadline_ms);
    command->state = STATE_UNSURE;
    dispatch_resume(fixture.dispatch, command, true);
}

static void test_a_deadline_in_the_queue_waits_for_the_state_where_there_is_a_slot(void **state)
{
    (void)state;
    fixture.route.explain = true;
    begin_anew(1);
    dispatch_hold(fixture.dispatch, true);
    resume_late("g1", "t1", 50);
    resume_late("g2", "t2", 60);
    resume_late("g1", "t3", 70);
    run(1, 0, 5000);
    run(0, 2, 5000);
    assert_done(0, "t2", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    assert_done(1, "t3", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    assert_string_equal(fixture.done[0].observed, "{\"Conclusion\":\"undecided\"}");
    assert_string_equal(fixture.done[1].observed, "{\"Conclusion\":\"undecided\"}");
    answer_state(0, "g1", "created");
    assert_done(2, "t1", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    assert_non_null(strstr(fixture.done[2].observed, "\"Conclusion\":\"not_seen\""));
    assert_int_equal(fixture.call_count, 1);
}

/* The bridge may have crashed because of an answer. */
static void test_no_state_is_read_for_a_command_that_is_set_aside(void **state)
{
    (void)state;
    fixture.route.explain = true;
    resume("g1", "poison", 3);
    assert_done(0, "poison", OUTCOME_UNKNOWN, "Bridge.SetAside");
    assert_int_equal(fixture.call_count, 0);
}

static void test_a_stop_ends_commands_that_wait_for_a_state(void **state)
{
    (void)state;
    fixture.route.explain = true;
    claim("g1", "t1", 10000);
    claim("g2", "t2", 10000);
    answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    dispatch_stop(fixture.dispatch, idle, NULL);
    assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    answer(1, REACTION_RETRY_UNSURE, "InternalError", 60000);
    assert_done(1, "t2", OUTCOME_UNKNOWN, "InternalError");
    run(0, 0, 50);
    assert_true(fixture.is_idle);
    assert_int_equal(fixture.call_count, 3);
    answer_state(2, "g1", "normal");
    assert_int_equal(fixture.done_count, 2);
}

static void test_a_cooldown_is_half_the_objective_of_a_watched_group(void **state)
{
    (void)state;
    fixture.watch.state.view.rpo_s = 1000;
    claim_one_shot("g1", "t1");
    answer(0, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    assert_done(0, "t1", OUTCOME_FAILED, SYNC_LIMIT);
    assert_int_equal(fixture.done[0].retry_after_ms, 500000);
    /* What the watched command may have done does not count, what it has done does. */
    fixture.watch.is_one_shot = true;
    fixture.watch.is_outcome_unknown = true;
    fixture.watch.started_at_ms = clock_wall_ms() - 200000;
    claim_one_shot("g1", "t2");
    answer(1, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    assert_int_equal(fixture.done[1].retry_after_ms, 500000);
    fixture.watch.is_outcome_unknown = false;
    claim_one_shot("g1", "t3");
    answer(2, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    assert_true(fixture.done[2].retry_after_ms > 200000);
    assert_true(fixture.done[2].retry_after_ms <= 300000);
    assert_int_equal(fixture.call_count, 3);
}

static void test_a_cooldown_ends_after_the_last_start_that_was_accepted(void **state)
{
    (void)state;
    fixture.route.explain = true;
    claim_one_shot("g1", "t1");
    answer(0, REACTION_DONE, NULL, -1);
    claim("g2", "t2", 10000); /* no one-time copy */
    answer(1, REACTION_DONE, NULL, -1);
    run(0, 0, 20);
    claim_one_shot("g1", "t3");
    answer(2, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state(3, "g1", "stopped");
    assert_done(2, "t3", OUTCOME_FAILED, SYNC_LIMIT);
    assert_true(fixture.done[2].retry_after_ms > 0);
    assert_true(fixture.done[2].retry_after_ms < 50000);
    claim_one_shot("g2", "t4");
    answer(4, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state(5, "g2", "stopped");
    assert_int_equal(fixture.done[3].retry_after_ms, 50000);
}

static void test_a_cooldown_that_is_waited_for_is_that_of_the_group(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture.route.may_defer_cooldown = true;
    claim_one_shot("g1", "t1");
    answer(0, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state_with(1, "g1", "stopped", 1);
    assert_int_equal(fixture.done_count, 0);
    assert_waits("t1 retry OperationDenied.ManualSyncLimit\n");
    run(3, 0, 30000);
    assert_called(2, "t1");
    /* Each refusal asks for itself. */
    answer(2, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state(3, "g1", NULL);
    assert_done(0, "t1", OUTCOME_FAILED, SYNC_LIMIT);
    assert_int_equal(fixture.done[0].retry_after_ms, 450000);
}

static void test_a_throttled_region_pauses_for_its_other_groups_too(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_THROTTLE, "Throttling", 300);
    int64_t begin_ms = clock_mono_ms();
    claim("g2", "t2", 10000);
    assert_int_equal(fixture.call_count, 1);
    run(2, 0, 5000);
    assert_true(clock_mono_ms() - begin_ms >= 200);
}

static void test_a_slot_that_is_given_back_goes_to_the_next_command(void **state)
{
    (void)state;
    struct claim duplicate = reserve("g1", "t0", 10000);
    struct claim next = reserve("g1", "t1", 10000);
    assert_true(duplicate.reservation.is_called_at_once);
    assert_false(next.reservation.is_called_at_once);
    release(duplicate);
    confirm(next);
    assert_called(0, "t1");
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_CALLS_IN_FLIGHT), 0);
}

static void test_a_reservation_that_is_released_gives_its_part_of_the_rate_back(void **state)
{
    (void)state;
    fixture.settings.api.rate_per_s = 0.001;
    fixture.settings.api.rate_burst = 1;
    begin_anew(2);
    struct claim duplicate = reserve("g1", "t1", 10000);
    assert_true(duplicate.reservation.is_called_at_once);
    release(duplicate);
    claim("g2", "t2", 10000);
    assert_called(0, "t2");
    answer(0, REACTION_DONE, NULL, -1);
    claim("g3", "t3", 10000);
    assert_int_equal(fixture.call_count, 1);
}

static void test_a_new_command_does_not_overtake_one_of_its_group_in_backoff(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    answer(0, REACTION_RETRY, "Bridge.Unreachable", 200);
    struct claim second = reserve("g1", "t2", 10000);
    assert_false(second.reservation.is_called_at_once);
    confirm(second);
    run(2, 0, 5000);
    assert_called(1, "t1");
    answer(1, REACTION_DONE, NULL, -1);
    assert_called(2, "t2");
}

static void test_a_new_command_does_not_overtake_the_queue_of_its_region(void **state)
{
    (void)state;
    dispatch_hold(fixture.dispatch, true);
    resume("g1", "t1", 0);
    struct claim second = reserve("g2", "t2", 10000);
    assert_false(second.reservation.is_called_at_once);
    confirm(second);
    dispatch_hold(fixture.dispatch, false);
    record_starts();
    assert_called(0, "t1");
    assert_called(1, "t2");
}

static void test_a_command_does_not_overtake_a_claim_of_its_group_that_is_on_its_way(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    struct claim second = reserve("g1", "t2", 10000);
    answer(0, REACTION_DONE, NULL, -1);
    struct claim third = reserve("g1", "t3", 10000); /* the group has no command now */
    struct claim other = reserve("g2", "t4", 10000);
    assert_false(second.reservation.is_called_at_once);
    assert_false(third.reservation.is_called_at_once);
    assert_true(other.reservation.is_called_at_once);
    confirm(second);
    confirm(third);
    assert_int_equal(fixture.call_count, 2);
    assert_called(1, "t2");
    answer(1, REACTION_DONE, NULL, -1);
    assert_called(2, "t3");
    release(other);
}

static void test_claims_on_their_way_that_come_to_nothing_leave_no_trace(void **state)
{
    (void)state;
    struct claim first = reserve("g1", "t1", 10000);
    struct claim second = reserve("g1", "t2", 10000);
    release(first);
    release(second);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_CALLS_IN_FLIGHT), 0);
    struct claim third = reserve("g1", "t3", 10000);
    assert_true(third.reservation.is_called_at_once);
    release(third);
    assert_int_equal(fixture.call_count, 0);
}

static void test_a_reservation_outlives_the_last_command_of_its_group(void **state)
{
    (void)state;
    begin_anew(1);
    claim("g1", "t1", 10000);
    claim("g2", "t2", 100);
    struct claim next = reserve("g2", "t3", 10000);
    run(0, 1, 5000);
    assert_done(0, "t2", OUTCOME_FAILED, "Bridge.Expired");
    answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 1);
    confirm(next);
    assert_called(1, "t3");
    answer(1, REACTION_DONE, NULL, -1);
}

static void test_a_claim_that_becomes_durable_after_the_stop_is_not_called(void **state)
{
    (void)state;
    struct claim claim = reserve("g1", "t1", 10000);
    dispatch_stop(fixture.dispatch, idle, NULL);
    run(0, 0, 50);
    assert_false(fixture.is_idle);
    confirm(claim);
    assert_int_equal(fixture.call_count, 0);
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
    assert_int_equal(fixture.pause_attempts, 0);
    run(0, 0, 50);
    assert_true(fixture.is_idle);
}

static void test_what_becomes_durable_while_dispatch_is_held_is_called_afterwards(void **state)
{
    (void)state;
    struct claim claim = reserve("g1", "t1", 10000);
    assert_true(claim.reservation.is_called_at_once);
    dispatch_hold(fixture.dispatch, true);
    struct claim later = reserve("g2", "t2", 10000);
    assert_false(later.reservation.is_called_at_once);
    release(later);
    confirm(claim);
    assert_int_equal(fixture.call_count, 0);
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
    assert_int_equal(fixture.pause_attempts, 0);
    dispatch_hold(fixture.dispatch, false);
    record_starts();
    assert_called(0, "t1");
    answer(0, REACTION_DONE, NULL, -1);
}

static void test_with_a_shared_ledger_calls_wait_for_tokens_of_the_shared_rate(void **state)
{
    (void)state;
    fixture.settings.ledger.store = (char *)"postgresql:///bridge";
    begin_anew(10);
    struct claim claim = reserve("g1", "t1", 10000);
    assert_false(claim.reservation.is_called_at_once);
    assert_int_equal(fixture.ask_count, 1);
    confirm(claim);
    record_starts();
    assert_int_equal(fixture.call_count, 0);
    assert_int_equal(fixture.ask_count, 1);
    const struct allowance_grant grant = {.count = 250};
    fixture.granted(fixture.granted_arg, fixture.asked_name, &grant);
    record_starts();
    assert_called(0, "t1");
    /* The next one has a token. */
    claim = reserve("g2", "t2", 10000);
    assert_true(claim.reservation.is_called_at_once);
    confirm(claim);
    assert_called(1, "t2");
    answer(0, REACTION_DONE, NULL, -1);
    answer(1, REACTION_DONE, NULL, -1);
    /* The answer for a region that is gone. */
    fixture.granted(fixture.granted_arg, "cn-gone", &grant);
}

static void test_a_stop_waits_for_calls_in_flight_and_begins_none(void **state)
{
    (void)state;
    claim("g1", "t1", 10000);
    claim("g1", "t2", 10000);
    dispatch_stop(fixture.dispatch, idle, NULL);
    run(0, 0, 50);
    assert_false(fixture.is_idle);
    answer(0, REACTION_DONE, NULL, -1);
    run(0, 0, 50);
    assert_true(fixture.is_idle);
    assert_int_equal(fixture.call_count, 1);
    assert_int_equal(fixture.done_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_reserved_command_is_called_at_once),
        TEST(test_commands_of_a_group_are_called_one_at_a_time_in_order),
        TEST(test_groups_run_side_by_side_up_to_the_limit),
        TEST(test_each_command_is_shown_with_why_it_waits),
        TEST(test_a_command_that_waits_for_the_rate_is_shown_so),
        TEST(test_what_is_shown_of_the_commands_is_limited),
        TEST(test_a_command_with_a_crash_is_called_alone_and_first),
        TEST(test_a_new_command_waits_while_one_with_a_crash_is_called),
        TEST(test_commands_with_crashes_are_called_one_after_the_other),
        TEST(test_the_fewest_crashes_are_called_first_in_all_regions),
        TEST(test_any_answer_sets_the_crashes_back),
        TEST(test_a_command_with_three_crashes_is_set_aside_uncalled),
        TEST(test_a_command_that_the_settings_no_longer_allow_ends_uncalled),
        TEST(test_settings_that_change_end_what_waits_and_is_not_allowed_any_more),
        TEST(test_settings_that_change_take_effect_at_once),
        TEST(test_a_command_that_is_ordered_again_waits_behind_a_claim_on_its_way),
        TEST(test_neighbours_of_a_command_that_crashes_the_bridge_are_not_set_aside),
        TEST(test_kills_hit_each_command_before_any_reaches_the_limit),
        TEST(test_a_command_that_is_tried_again_stays_first_in_its_group),
        TEST(test_nothing_done_until_the_deadline_is_a_failure_with_the_last_code),
        TEST(test_once_unsure_a_later_throttling_cannot_make_it_a_failure),
        TEST(test_once_unsure_any_refusal_is_unknown_with_its_code),
        TEST(test_once_unsure_a_cooldown_is_not_waited_for),
        TEST(test_once_unsure_a_remedy_is_tried_and_its_refusal_is_unknown),
        TEST(test_a_429_is_the_reply_but_once_unsure_it_is_tried_again),
        TEST(test_a_backoff_beyond_the_deadline_leaves_a_last_attempt_before_it),
        TEST(test_a_command_resumed_as_unsure_and_given_up_is_unknown),
        TEST(test_the_backoff_of_a_resumed_command_ends_before_its_deadline),
        TEST(test_a_deadline_that_passes_in_the_queue_ends_the_command),
        TEST(test_a_claim_that_becomes_durable_after_its_deadline_is_not_called),
        TEST(test_the_earliest_deadline_comes_first_whatever_the_order_of_arrival),
        TEST(test_regions_are_served_in_turn),
        TEST(test_each_result_of_an_attempt_has_its_counter),
        TEST(test_the_times_of_a_command_are_observed_once),
        TEST(test_what_waits_and_the_oldest_command_are_known),
        TEST(test_a_region_has_its_own_counters_once_it_is_known),
        TEST(test_the_same_group_in_two_regions_is_called_one_at_a_time),
        TEST(test_a_group_waits_in_the_region_of_its_first_command),
        TEST(test_a_region_that_is_full_leaves_room_for_the_others),
        TEST(test_a_region_that_hangs_gets_one_call_at_a_time_until_it_answers),
        TEST(test_a_hanging_call_among_answered_ones_changes_nothing),
        TEST(test_invented_regions_have_the_slots_of_one_region),
        TEST(test_invented_regions_have_the_rate_of_one_region),
        TEST(test_a_success_or_a_word_about_the_group_proves_a_region),
        TEST(test_a_region_that_is_proven_gets_no_second_burst),
        TEST(test_a_new_signature_is_tried_once),
        TEST(test_a_used_nonce_means_that_another_copy_may_have_had_effect),
        TEST(test_a_cooldown_is_the_reply_or_waited_for_as_the_route_says),
        TEST(test_the_state_is_read_before_a_refusal_by_state_is_recorded),
        TEST(test_a_refusal_is_as_ever_where_no_state_can_be_read),
        TEST(test_a_state_that_comes_too_late_changes_nothing),
        TEST(test_an_unknown_outcome_shows_what_is_seen_of_the_group),
        TEST(test_a_deadline_in_the_queue_waits_for_the_state_where_there_is_a_slot),
        TEST(test_no_state_is_read_for_a_command_that_is_set_aside),
        TEST(test_a_stop_ends_commands_that_wait_for_a_state),
        TEST(test_a_cooldown_is_half_the_objective_of_a_watched_group),
        TEST(test_a_cooldown_ends_after_the_last_start_that_was_accepted),
        TEST(test_a_cooldown_that_is_waited_for_is_that_of_the_group),
        TEST(test_a_throttled_region_pauses_for_its_other_groups_too),
        TEST(test_a_slot_that_is_given_back_goes_to_the_next_command),
        TEST(test_a_reservation_that_is_released_gives_its_part_of_the_rate_back),
        TEST(test_a_new_command_does_not_overtake_one_of_its_group_in_backoff),
        TEST(test_a_new_command_does_not_overtake_the_queue_of_its_region),
        TEST(test_a_command_does_not_overtake_a_claim_of_its_group_that_is_on_its_way),
        TEST(test_claims_on_their_way_that_come_to_nothing_leave_no_trace),
        TEST(test_a_reservation_outlives_the_last_command_of_its_group),
        TEST(test_a_claim_that_becomes_durable_after_the_stop_is_not_called),
        TEST(test_with_a_shared_ledger_calls_wait_for_tokens_of_the_shared_rate),
        TEST(test_what_becomes_durable_while_dispatch_is_held_is_called_afterwards),
        TEST(test_a_stop_waits_for_calls_in_flight_and_begins_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
