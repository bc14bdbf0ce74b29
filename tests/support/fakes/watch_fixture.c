#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_fixture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "support/fakes/fake_timers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct watch_api api;

/* ---- the API ---- */

struct describer *describer_new(struct ecs *ecs)
{
    (void)ecs;
    return NULL;
}

void describer_free(struct describer *describer)
{
    (void)describer;
}

bool describe_takes_id(const char *id)
{
    return id[0] != '\0';
}

size_t describe_fit(const char *const *ids, size_t count, size_t batch)
{
    (void)ids;
    size_t max = api.fitting_max > 0 && api.fitting_max < batch ? api.fitting_max : batch;
    return count < max ? count : max;
}

void describe_groups(struct describer *describer, const char *region, enum group_site site,
                     const char *const *ids, size_t count, described_fn *done, void *arg)
{
    (void)describer;
    assert_string_equal(region, "cn-beijing");
    api.count++;
    api.site = site;
    api.done = done;
    api.arg = arg;
    api.id_count = count;
    api.ids[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(api.ids);
        snprintf(api.ids + length, sizeof api.ids - length, "%s ", ids[i]);
    }
}

void fixture_answer(const char *ids, const char *status)
{
    struct buf body = {0};
    struct group_list list = {0};
    char *copy = mem_strdup(ids);
    char *rest = copy;
    const char *id;
    buf_append_text(&body, "{\"RequestId\":\"R\",\"ReplicaGroups\":[");
    for (int i = 0; (id = strsep(&rest, " ")) != NULL; i++) {
        if (id[0] != '\0') {
            buf_printf(
                &body,
                "%s{\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\",\"PairIds\":[\"%s-1,%s-2\"]}",
                i == 0 ? "" : ",", id, status, id, id);
        }
    }
    buf_append_text(&body, "]}");
    assert_int_equal(group_list_read(&list, buf_slice(&body)), STATUS_OK);
    const struct outcome outcome = {0};
    const struct describe_answer answer = {.result = DESCRIBE_COMPLETE,
                                           .at_ms = clock_wall_ms(),
                                           .list = &list,
                                           .outcome = &outcome,
                                           .retry_after_ms = -1};
    api.done(api.arg, &answer);
    group_list_fini(&list);
    buf_fini(&body);
    free(copy);
}

void fixture_answer_without_groups(enum describe_result result, enum category category,
                                   int64_t retry_after_ms)
{
    const struct group_list list = {0};
    const struct outcome outcome = {
        .category = category, .code = (char *)"Forbidden", .message = (char *)"no"};
    const struct describe_answer answer = {.result = result,
                                           .at_ms = clock_wall_ms() + api.clock_ahead_ms,
                                           .list = &list,
                                           .outcome = &outcome,
                                           .retry_after_ms = retry_after_ms};
    api.done(api.arg, &answer);
}

void pairs_ask_states(struct ecs *ecs, struct pairs_call *call, const char *region,
                      const char *group, enum group_site site, pairs_answered_fn *done, void *arg)
{
    (void)ecs;
    (void)call;
    assert_string_equal(region, "cn-beijing");
    api.site = site;
    api.pairs_done = done;
    api.pairs_arg = arg;
    snprintf(api.asked_pairs, sizeof api.asked_pairs, "of %s", group);
}

void pairs_ask_progress(struct ecs *ecs, struct pairs_call *call, const char *region,
                        const char *pair, pairs_answered_fn *done, void *arg)
{
    (void)ecs;
    (void)call;
    assert_string_equal(region, "cn-beijing");
    api.progress_count++;
    api.pairs_done = done;
    api.pairs_arg = arg;
    snprintf(api.asked_pairs, sizeof api.asked_pairs, "%s", pair);
}

void pairs_call_fini(struct pairs_call *call)
{
    (void)call;
}

void fixture_answer_pairs(const char *asked, enum describe_result result, const char *states,
                          int percent)
{
    const struct outcome outcome = {
        .category = CATEGORY_DENIED, .code = (char *)"Forbidden", .message = (char *)"no"};
    const struct pairs_answer answer = {.result = result,
                                        .at_ms = clock_wall_ms(),
                                        .states = slice_text(states),
                                        .percent = percent,
                                        .outcome = &outcome,
                                        .retry_after_ms = -1};
    assert_string_equal(api.asked_pairs, asked);
    api.asked_pairs[0] = '\0';
    api.pairs_done(api.pairs_arg, &answer);
}

/* ---- the ledger ---- */

void ledger_watch(struct ledger *ledger, const struct watch *watch, const struct watch_step *step,
                  struct buf *messages_take, size_t count, ledger_watched_fn *done, void *arg)
{
    (void)ledger;
    api.steps++;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(api.messages);
        snprintf(api.messages + length, sizeof api.messages - length, "%s:%s:%d ", watch->object,
                 watch_event_name(step->events[i].kind), (int)step->events[i].seq);
        memset(api.payload, 0, sizeof api.payload);
        for (size_t k = 0; k < messages_take[i].length && k + 1 < sizeof api.payload; k++) {
            api.payload[k] = messages_take[i].data[k] == '\0' ? ' ' : messages_take[i].data[k];
        }
        buf_fini(&messages_take[i]);
    }
    api.stored_done = done;
    api.stored_arg = arg;
    if (!api.is_slow) {
        done(arg, api.stored);
    }
}

void fixture_expect_events(const char *events)
{
    assert_string_equal(api.messages, events);
    api.messages[0] = '\0';
}

/* ---- the fixture ---- */

static bool may_call(void *arg)
{
    (void)arg;
    return api.may_call;
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    memset(&api, 0, sizeof api);
    api.may_call = true;
    fixture->settings.topics.events = (char *)"e/{ReplicaGroupId}";
    fixture->settings.instance = (char *)"i";
    fixture->settings.watch.poll_min_s = 5;
    fixture->settings.watch.poll_max_s = 20;
    fixture->settings.watch.rate_per_s = 1000;
    fixture->settings.watch.batch = 4;
    fixture->settings.watch.begin_s = 600;
    fixture->settings.watch.stall_s = 3600;
    fixture->settings.watch.blind_s = 300;
    fixture->settings.watch.lag_factor = 2;
    fixture->settings.api.rpo_s = 900;
    fixture->health = health_new(NULL);
    fixture->watcher = watcher_new(NULL, &fixture->settings, fixture->health, &fixture->counters);
    watcher_connect(fixture->watcher, NULL, NULL, may_call, NULL);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    watcher_free(fixture->watcher);
    health_free(fixture->health);
    free(fixture);
    return 0;
}

struct watch fixture_watch_of(int64_t id, const char *object)
{
    return (struct watch){.id = id,
                          .action = &action_rows[ACTION_StartDiskReplicaGroup],
                          .route = "start",
                          .region = "cn-beijing",
                          .object = object,
                          .token = "t",
                          .started_at_ms = clock_wall_ms(),
                          .ends_at_ms = clock_wall_ms() + 604800000,
                          .state.view.progress_percent = -1};
}

void fixture_add(struct fixture *fixture, int64_t id, const char *object)
{
    const struct watch watch = fixture_watch_of(id, object);
    watcher_add(fixture->watcher, &watch);
}

void fixture_expect_call(int count, const char *ids, enum group_site site)
{
    assert_int_equal(api.count, count);
    assert_string_equal(api.ids, ids);
    assert_int_equal(api.site, site);
}
