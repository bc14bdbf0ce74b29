#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_rules_fixture.h"

#include <stdio.h>
#include <stdlib.h>

int rules_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->watch = (struct watch){.action = &action_rows[ACTION_StartDiskReplicaGroup],
                                    .route = "start",
                                    .region = "cn-beijing",
                                    .object = "pg-a",
                                    .token = "nightly-1",
                                    .started_at_ms = START_S * INT64_C(1000) + 999,
                                    .ends_at_ms = (START_S + 100000) * INT64_C(1000),
                                    .state = {.observed_at_ms = START_S * INT64_C(1000)}};
    fixture->policy = (struct watch_policy){
        .rpo_s = RPO_S, .begin_s = 600, .stall_s = 3600, .blind_s = 300, .lag_factor = 2.0};
    *state = fixture;
    return 0;
}

int rules_tear_down(void **state)
{
    struct fixture *fixture = *state;
    buf_fini(&fixture->events);
    free(fixture);
    return 0;
}

int64_t rules_at_ms(int second)
{
    return (START_S + second) * INT64_C(1000);
}

void rules_take_step(struct fixture *fixture, const char *expected)
{
    const struct watch_step *step = &fixture->step;
    buf_clear(&fixture->events);
    for (size_t i = 0; i < step->event_count; i++) {
        const struct watch_event *event = &step->events[i];
        assert_int_equal(event->seq, fixture->watch.state.seq + (int64_t)i + 1);
        assert_true(!event->is_final || i + 1 == step->event_count);
        buf_printf(&fixture->events, "%s%s%s", i == 0 ? "" : " ", watch_event_name(event->kind),
                   event->is_final ? "!" : "");
    }
    assert_string_equal(buf_slice(&fixture->events).data, expected);
    assert_int_equal(step->state.seq, fixture->watch.state.seq + (int64_t)step->event_count);
    assert_true(step->event_count == 0 || step->must_store);
    fixture->watch.state = step->state;
}

void rules_see(struct fixture *fixture, int second, const char *status, int recover_point,
               const char *expected)
{
    struct group_observation seen = {.at_ms = rules_at_ms(second),
                                     .view = {.progress_percent = -1}};
    snprintf(seen.view.status, sizeof seen.view.status, "%s", status);
    seen.view.recover_point_s = recover_point == NO_POINT ? 0 : START_S + recover_point;
    watch_observe(&fixture->watch, &seen, &fixture->policy, &fixture->step);
    rules_take_step(fixture, expected);
}

void rules_see_progress(struct fixture *fixture, int second, int percent, const char *expected)
{
    watch_progress(&fixture->watch, percent, rules_at_ms(second), &fixture->policy, &fixture->step);
    rules_take_step(fixture, expected);
}

void rules_miss(struct fixture *fixture, int second, const char *expected)
{
    watch_miss(&fixture->watch, rules_at_ms(second), &fixture->policy, &fixture->step);
    rules_take_step(fixture, expected);
}

void rules_wait_until(struct fixture *fixture, int second, const char *expected)
{
    watch_wait(&fixture->watch, rules_at_ms(second), &fixture->policy, &fixture->step);
    rules_take_step(fixture, expected);
}
