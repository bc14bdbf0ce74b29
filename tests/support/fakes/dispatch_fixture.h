/*
 * dispatch_fixture - dispatch with a ledger and an API that only record what they are asked: the
 * test gives the answers.
 */
#ifndef SUPPORT_FAKES_DISPATCH_FIXTURE_H
#define SUPPORT_FAKES_DISPATCH_FIXTURE_H

#include "dispatch/dispatch.h"

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

/* One for the whole program. */
extern struct dispatch_fixture {
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

/* A claim that is on its way. */
struct claim {
    struct command *command;
    struct dispatch_reservation reservation;
};

/* Lines. */
struct shown {
    char text[512];
};

/* cmocka's. A dispatch for two calls side by side, one route, and the regions cn-a and cn-b. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* A dispatch without commands that calls so many groups side by side. */
void fixture_begin_anew(int max_in_flight);
/* All starts asked for are recorded now. */
void fixture_record_starts(void);
/* Runs until so many calls are out or commands done, recording starts as they come; `most_ms` at
 * most. */
void fixture_run(size_t calls, size_t done, int64_t most_ms);
struct command *fixture_make_in(const char *region, const char *group, const char *token,
                                int64_t deadline_ms);
/* The region is cn-a, as in all functions without one. */
struct command *fixture_make(const char *group, const char *token, int64_t deadline_ms);
/* As found at start, after so many crashes in a row during its calls. */
void fixture_resume(const char *group, const char *token, uint32_t crashes);
struct claim fixture_reserve_in(const char *region, const char *group, const char *token,
                                int64_t deadline_ms);
struct claim fixture_reserve(const char *group, const char *token, int64_t deadline_ms);
/* It is durable. */
void fixture_confirm(struct claim claim);
/* It was a duplicate. */
void fixture_release(struct claim claim);
void fixture_claim(const char *group, const char *token, int64_t deadline_ms);
void fixture_claim_in(const char *region, const char *group, const char *token);
void fixture_answer(size_t index, enum reaction reaction, const char *code, int64_t retry_after_ms);
/* The call ends without an answer after a long time, and the command waits for its next attempt. */
void fixture_answer_hung(size_t index);
void fixture_assert_called(size_t index, const char *token);
void fixture_assert_done(size_t index, const char *token, enum outcome_status status,
                         const char *code);
/* For dispatch_each(): adds a line with token and wait to the struct shown. */
void fixture_show(void *arg, const struct command *command, enum dispatch_wait wait,
                  const struct outcome *last);
/* What all commands wait for is this text. */
void fixture_assert_waits(const char *text);
/* For dispatch_stop(): sets is_idle. */
void fixture_idle(void *arg);

#endif
