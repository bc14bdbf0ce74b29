/* Which groups are asked for, when, and at which site. The API and the ledger are played here. */
#include "watch/watcher.h"

#include "base/clock.h"
#include "base/mem.h"
#include "ecs/describe.h"
#include "ecs/pairs.h"
#include "support/fakes/fake_timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POLL_MS INT64_C(6000) /* more than poll_min_s with its jitter */

/* The last call, which the test answers. */
static struct {
    int count; /* of calls */
    enum group_site site;
    char ids[512]; /* each with a blank behind it */
    size_t id_count;
    described_fn *done;
    void *arg;
    bool may_call;
    int64_t clock_ahead_ms;
    size_t fitting_max;   /* names in a call; 0: as many as are allowed */
    char asked_pairs[64]; /* the last call about pairs, until it is answered */
    int progress_count;
    pairs_answered_fn *pairs_done;
    void *pairs_arg;
    /* The ledger. */
    char payload[2048]; /* of the last event, encoded */
    enum status stored;
    bool is_slow; /* it answers when the test says so */
    ledger_watched_fn *stored_done;
    void *stored_arg;
    char messages[1024];
    int steps;
} api;

struct fixture {
    struct settings settings;
    struct counters counters;
    struct health *health;
    struct watcher *watcher;
};

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

/* Answers with these groups, separated by blanks, in this state. */
static void answer(const char *ids, const char *status)
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

static void answer_without_groups(enum describe_result result, enum category category,
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

/* The last call about pairs is one about this pair, or "of " the group; it is answered. */
static void answer_pairs(const char *asked, enum describe_result result, const char *states,
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

/* The events since the last call, as object:event:seq. */
static void expect_events(const char *events)
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

static int set_up(void **state)
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

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    watcher_free(fixture->watcher);
    health_free(fixture->health);
    free(fixture);
    return 0;
}

static struct watch watch_of(int64_t id, const char *object)
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

static void add(struct fixture *fixture, int64_t id, const char *object)
{
    const struct watch watch = watch_of(id, object);
    watcher_add(fixture->watcher, &watch);
}

static void expect_call(int count, const char *ids, enum group_site site)
{
    assert_int_equal(api.count, count);
    assert_string_equal(api.ids, ids);
    assert_int_equal(api.site, site);
}

/* ---- tests ---- */

static void test_groups_are_asked_for_together_and_in_order(void **state)
{
    add(*state, 1, "pg-c");
    add(*state, 2, "pg-a");
    add(*state, 3, "pg-b");
    assert_int_equal(api.count, 0);
    fake_timers_advance(POLL_MS);
    expect_call(1, "pg-a pg-b pg-c ", GROUP_SITE_PRODUCTION);
    answer("pg-a pg-b pg-c", "initial_syncing");
    expect_events("pg-a:watching:1 pg-b:watching:1 pg-c:watching:1 ");
}

static void test_no_call_has_more_groups_than_the_setting_says(void **state)
{
    static const char *const ids[] = {"pg-1", "pg-2", "pg-3", "pg-4", "pg-5"};
    for (int i = 0; i < 5; i++) {
        add(*state, i + 1, ids[i]);
    }
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 1); /* one call at a time */
    assert_int_equal(api.id_count, 4);
    answer(api.ids, "normal");
    fake_timers_advance(1);
    assert_int_equal(api.count, 2);
}

static void test_groups_whose_names_do_not_fit_into_a_call_are_in_the_next_one(void **state)
{
    char first[sizeof api.ids];
    api.fitting_max = 2;
    add(*state, 1, "pg-1");
    add(*state, 2, "pg-2");
    add(*state, 3, "pg-3");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.id_count, 2);
    memcpy(first, api.ids, sizeof first);
    answer(api.ids, "normal");
    fake_timers_advance(1);
    assert_int_equal(api.count, 2);
    for (int i = 1; i <= 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "pg-%d ", i);
        assert_true(strstr(first, id) != NULL || strstr(api.ids, id) != NULL);
    }
}

static void test_a_group_whose_step_is_being_stored_is_asked_for_afterwards(void **state)
{
    add(*state, 1, "pg-a");
    api.is_slow = true;
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    fake_timers_advance(10 * POLL_MS);
    assert_int_equal(api.count, 1);
    api.stored_done(api.stored_arg, STATUS_OK);
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 2);
}

static void test_commands_go_first(void **state)
{
    add(*state, 1, "pg-a");
    api.may_call = false;
    fake_timers_advance(10 * POLL_MS);
    assert_int_equal(api.count, 0);
    api.may_call = true;
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 1);
}

static void test_the_time_between_calls_grows_until_something_changes(void **state)
{
    add(*state, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 2);
    answer("pg-a", "initial_syncing"); /* 7.5 s, then 11.25, 16.875 and 20 */
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 2);
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 3);
    answer("pg-a", "normal");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 4);
}

static void test_an_absent_group_is_asked_for_alone_and_at_the_other_site(void **state)
{
    add(*state, 1, "pg-a");
    add(*state, 2, "pg-b");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "normal");
    fake_timers_advance(1);
    expect_call(2, "pg-b ", GROUP_SITE_PRODUCTION);
    answer("", "");
    fake_timers_advance(1);
    expect_call(3, "pg-b ", GROUP_SITE_BACKUP);
    answer("pg-b", "normal");
    expect_events("pg-a:watching:1 pg-b:watching:1 ");
    fake_timers_advance(POLL_MS); /* its site is remembered */
    answer(api.ids, "normal");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.id_count, 1);
}

static void test_a_refused_batch_is_halved_until_the_guilty_group_is_alone(void **state)
{
    add(*state, 1, "pg-1");
    add(*state, 2, "pg-2");
    add(*state, 3, "pg-3");
    add(*state, 4, "pg-4");
    fake_timers_advance(POLL_MS);
    answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fake_timers_advance(1);
    expect_call(2, "pg-1 pg-2 ", GROUP_SITE_PRODUCTION);
    answer("pg-1 pg-2", "normal");
    fake_timers_advance(1);
    expect_call(3, "pg-3 pg-4 ", GROUP_SITE_PRODUCTION);
    answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fake_timers_advance(1);
    expect_call(4, "pg-3 ", GROUP_SITE_PRODUCTION);
    answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fake_timers_advance(1);
    expect_call(5, "pg-4 ", GROUP_SITE_PRODUCTION);
    answer("pg-4", "normal");
    fake_timers_advance(POLL_MS); /* the guilty one is left out */
    expect_call(6, "pg-1 pg-2 pg-4 ", GROUP_SITE_PRODUCTION);
}

static void test_a_watch_of_a_route_that_is_off_ends_without_a_call(void **state)
{
    struct fixture *fixture = *state;
    struct route route = {.name = (char *)"start", .watch = (char *)"until_done"};
    fixture->settings.routes = &route;
    fixture->settings.route_count = 1;
    add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    expect_events("pg-a:watching:1 ");
    route.watch = (char *)"off";
    watcher_settings_changed(fixture->watcher);
    expect_events("pg-a:gave_up:2 ");
    add(fixture, 2, "pg-b"); /* of the last run */
    expect_events("pg-b:gave_up:1 ");
    fake_timers_advance(100 * POLL_MS);
    assert_int_equal(api.count, 1);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 0);
}

#define STATES "[{\"ReplicaPairId\":\"pair-1\",\"Status\":\"invalid\"}]"

static void test_blindness_counts_from_the_first_call_by_the_clock_of_the_api(void **state)
{
    add(*state, 1, "pg-a");
    api.clock_ahead_ms = 600000;
    fake_timers_advance(POLL_MS);
    answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    expect_events("");
    api.clock_ahead_ms += 301000; /* the time passes in the test only */
    fake_timers_advance(120000);
    assert_int_equal(api.count, 2);
    answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    expect_events("pg-a:blind:1 ");
}

static void test_a_failed_group_is_told_with_the_states_of_its_pairs(void **state)
{
    add(*state, 1, "pg-a");
    add(*state, 2, "pg-b");
    fake_timers_advance(POLL_MS);
    answer("pg-a pg-b", "invalid");
    expect_events("");
    fake_timers_advance(1);
    answer_pairs("of pg-a", DESCRIBE_COMPLETE, STATES, 0);
    expect_events("pg-a:watching:1 pg-a:failed:2 ");
    assert_non_null(strstr(api.payload, ",\"Pairs\":" STATES ","));
    fake_timers_advance(1); /* one call after the other */
    answer_pairs("of pg-b", DESCRIBE_COMPLETE, STATES, 0);
    expect_events("pg-b:watching:1 pg-b:failed:2 ");
    fake_timers_advance(100 * POLL_MS);
    assert_int_equal(api.count, 1);
}

static void test_a_failed_group_is_told_also_where_its_pairs_cannot_be_read(void **state)
{
    add(*state, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "invalid");
    fake_timers_advance(1);
    answer_pairs("of pg-a", DESCRIBE_REFUSED, NULL, 0);
    expect_events("pg-a:watching:1 pg-a:failed:2 ");
    assert_null(strstr(api.payload, "Pairs"));
    add(*state, 2, "pg-b");
    add(*state, 3, "pg-c");
    fake_timers_advance(POLL_MS);
    answer("pg-b pg-c", "invalid");
    fake_timers_advance(1);
    answer_pairs("of pg-b", DESCRIBE_FAILED, NULL, 0); /* the other one does not wait */
    expect_events("pg-b:watching:1 pg-b:failed:2 pg-c:watching:1 pg-c:failed:2 ");
    assert_string_equal(api.asked_pairs, "");
}

static void test_a_watch_may_be_replaced_while_its_pairs_are_read(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "invalid");
    watcher_remove(fixture->watcher, 1);
    add(fixture, 2, "pg-a");
    api.stored = STATUS_NOT_FOUND;
    fake_timers_advance(1);
    answer_pairs("of pg-a", DESCRIBE_COMPLETE, STATES, 0);
    api.stored = STATUS_OK;
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 1);
}

/* Two groups that are copied, whose progress is read every 30 s. */
static void begin_progress(struct fixture *fixture)
{
    fixture->settings.watch.progress_s = 30;
    add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "manual_syncing");
    expect_events("pg-a:watching:1 ");
}

/* Time passes, in which nothing changes but the progress; at most until a pair is asked for. */
static void pass(int64_t ms)
{
    for (int64_t i = 0; i < ms / 500 && api.asked_pairs[0] == '\0'; i++) {
        int count = api.count;
        fake_timers_advance(500);
        if (api.count != count) {
            answer("pg-a", "manual_syncing");
        }
    }
}

/* The next call about a pair, within 40 s, is about this one. */
static void answer_progress(const char *pair, enum describe_result result, int percent)
{
    pass(40000);
    answer_pairs(pair, result, NULL, percent);
}

static void test_the_lowest_progress_of_the_pairs_counts(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    pass(29000);
    assert_int_equal(api.progress_count, 0);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 50);
    expect_events("");
    answer_progress("pg-a-2", DESCRIBE_COMPLETE, 40);
    expect_events("pg-a:progress:2 ");
    assert_non_null(strstr(api.payload, "\"ProgressPercent\":40,"));
    int count = api.count;
    pass(25000);
    assert_true(api.count > count); /* reads of the state go on meanwhile */
    assert_int_equal(api.progress_count, 2);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 60);
    answer_progress("pg-a-2", DESCRIBE_COMPLETE, 40);
    expect_events(""); /* it has not grown */
}

static void test_progress_is_read_only_while_a_copy_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    add(fixture, 2, "pg-b");
    fake_timers_advance(POLL_MS);
    answer("pg-a pg-b", "stopped");
    fake_timers_advance(1000 * POLL_MS);
    assert_int_equal(api.progress_count, 0);
}

static void test_a_refused_pair_ends_the_round_without_an_event(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    answer_progress("pg-a-1", DESCRIBE_REFUSED, 0);
    pass(25000);
    assert_int_equal(api.progress_count, 1);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 5);
    answer_progress("pg-a-2", DESCRIBE_COMPLETE, 6);
    expect_events("pg-a:progress:2 ");
}

static void test_a_group_is_read_again_after_a_slow_step_about_its_progress(void **state)
{
    begin_progress(*state);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 50);
    pass(40000);
    api.is_slow = true;
    answer_pairs("pg-a-2", DESCRIBE_COMPLETE, NULL, 50);
    int count = api.count;
    fake_timers_advance(25000); /* its next read is due meanwhile */
    assert_int_equal(api.count, count);
    api.is_slow = false;
    api.stored_done(api.stored_arg, STATUS_OK);
    fake_timers_advance(1000);
    assert_int_equal(api.count, count + 1);
}

static void test_progress_comes_after_the_states_of_groups(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    api.may_call = false;
    fake_timers_advance(40000);
    api.may_call = true;
    fake_timers_advance(1000);
    assert_int_equal(api.count, 2);
    assert_int_equal(api.progress_count, 0);
    answer("pg-a", "manual_syncing");
    fake_timers_advance(1);
    assert_int_equal(api.progress_count, 1);
}

static void test_progress_ends_with_its_setting_and_with_its_watch(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    pass(40000);
    assert_int_equal(api.progress_count, 1);
    watcher_remove(fixture->watcher, 1);
    answer_pairs("pg-a-1", DESCRIBE_COMPLETE, NULL, 5);
    fake_timers_advance(1000);
    assert_int_equal(api.progress_count, 1);
    add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "manual_syncing");
    fixture->settings.watch.progress_s = 0;
    watcher_settings_changed(fixture->watcher);
    pass(100000);
    assert_int_equal(api.progress_count, 1);
}

static void test_a_failure_concludes_nothing_and_makes_the_region_wait_longer(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    answer_without_groups(DESCRIBE_FAILED, CATEGORY_THROTTLED, 60000);
    fake_timers_advance(59000);
    assert_int_equal(api.count, 1); /* the API's own time */
    fake_timers_advance(2000);
    assert_int_equal(api.count, 2);
    answer_without_groups(DESCRIBE_FAILED, CATEGORY_THROTTLED, -1);
    fake_timers_advance(9000);
    assert_int_equal(api.count, 2); /* twice poll_min_s */
    fake_timers_advance(30000);
    assert_int_equal(api.count, 3);
    expect_events("");
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCH_FAILED), 2);
}

static void test_what_could_not_be_stored_is_seen_again(void **state)
{
    add(*state, 1, "pg-a");
    api.stored = STATUS_STORE;
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    expect_events("pg-a:watching:1 ");
    api.stored = STATUS_OK;
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    expect_events("pg-a:watching:1 ");
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    expect_events("");
}

static void test_a_final_event_or_a_replaced_watch_ends_the_calls(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 1, "pg-a");
    add(fixture, 2, "pg-b");
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 2);
    watcher_remove(fixture->watcher, 2);
    fake_timers_advance(POLL_MS);
    expect_call(1, "pg-a ", GROUP_SITE_PRODUCTION);
    answer("pg-a", "deleted");
    expect_events("pg-a:watching:1 pg-a:gone:2 ");
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 0);
    fake_timers_advance(100 * POLL_MS);
    assert_int_equal(api.count, 1);
}

static void test_a_watch_may_end_while_the_api_is_asked_for_it(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    watcher_remove(fixture->watcher, 1);
    answer("pg-a", "normal");
    expect_events("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The list as text. */
static const char *list(struct fixture *fixture, size_t max)
{
    static char text[4096];
    struct buf out = {0};
    watcher_put_list(fixture->watcher, max, &out);
    snprintf(text, sizeof text, "%s", out.data);
    buf_fini(&out);
    return text;
}

static void assert_listed(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }
}

static void test_the_list_is_empty_where_nothing_is_watched(void **state)
{
    const char *text = list(*state, 5);
    assert_listed(text, "\"Count\":0,\"Watches\":[]}");
}

static void test_the_list_is_sorted_and_limited(void **state)
{
    add(*state, 1, "pg-c");
    add(*state, 2, "pg-a");
    add(*state, 3, "pg-d");
    add(*state, 4, "pg-b");
    const char *text = list(*state, 2);
    assert_listed(text, "\"Count\":4,");
    assert_true(strstr(text, "pg-a") < strstr(text, "pg-b"));
    assert_listed(text, "pg-b");
    assert_null(strstr(text, "pg-c"));
    assert_null(strstr(text, "pg-d"));
}

static void test_the_list_has_what_is_known_of_a_group(void **state)
{
    add(*state, 1, "pg-a");
    const char *before = list(*state, 5);
    assert_listed(before,
                  "\"Goal\":\"synchronised\",\"Outcome\":\"succeeded\",\"InTrouble\":false");
    assert_null(strstr(before, "GroupStatus"));
    assert_null(strstr(before, "LastEvent"));
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    const char *after = list(*state, 5);
    assert_listed(after, "\"GroupStatus\":\"initial_syncing\",\"Class\":\"moving\",\"ChangedAt\":");
    assert_listed(after, "\"RpoS\":900,");
    assert_listed(after, "\"Seq\":1,\"LastEvent\":\"watching\",\"LastEventAt\":");
    assert_null(strstr(after, "LastRecoverPoint"));
}

static void test_a_watch_is_found_by_its_group_and_token(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, 1, "pg-a");
    add(fixture, 2, "pg-b");
    const struct watch *watch = watcher_find(fixture->watcher, slice_text("pg-b"), slice_text("t"));
    assert_non_null(watch);
    assert_string_equal(watch->object, "pg-b");
    assert_null(watcher_find(fixture->watcher, slice_text("pg-b"), slice_text("later")));
    assert_null(watcher_find(fixture->watcher, slice_text("pg-c"), slice_text("t")));
}

static void test_the_list_begins_with_groups_in_trouble(void **state)
{
    struct fixture *fixture = *state;
    const struct watch behind = {
        .id = 9,
        .action = &action_rows[ACTION_StartDiskReplicaGroup],
        .route = "start",
        .region = "cn-beijing",
        .object = "pg-z",
        .token = "t",
        .started_at_ms = clock_wall_ms(),
        .ends_at_ms = clock_wall_ms() + 604800000,
        .state = {.seq = 4,
                  .view = {.status = "normal",
                           .recover_point_s = clock_wall_ms() / 1000 - 5000,
                           .rpo_s = 60,
                           .progress_percent = -1},
                  .flags = (unsigned)WATCH_IS_LAGGING | (unsigned)WATCH_HAS_MOVED}};
    add(fixture, 1, "pg-a");
    watcher_add(fixture->watcher, &behind);
    const char *text = list(fixture, 5);
    assert_true(strstr(text, "pg-z") < strstr(text, "pg-a"));
    assert_listed(text, "\"InTrouble\":true,\"Synchronised\":false,\"Lagging\":true,");
    assert_listed(text, "\"RpoExceeded\":true");
    assert_listed(text, "\"RpoS\":60,");
}

/* ---- watches that bridges share ---- */

static void set_region(struct fixture *fixture, const struct watch *a, const struct watch *b)
{
    const struct watch *const watches[] = {a, b};
    watcher_set_region(fixture->watcher, "cn-beijing", watches, b == NULL ? 1 : 2);
}

static void test_the_watches_of_a_region_are_those_of_its_list(void **state)
{
    const struct watch first = watch_of(1, "pg-a");
    const struct watch second = watch_of(2, "pg-b");
    const struct watch replacing = watch_of(3, "pg-a");
    set_region(*state, &first, &second);
    fake_timers_advance(POLL_MS);
    expect_call(1, "pg-a pg-b ", GROUP_SITE_PRODUCTION);
    answer("pg-a pg-b", "initial_syncing");
    expect_events("pg-a:watching:1 pg-b:watching:1 ");
    /* One that is known goes on where it is; one that is not listed has ended. */
    set_region(*state, &second, &replacing);
    fake_timers_advance(POLL_MS);
    answer("pg-a pg-b", "normal");
    expect_events("pg-a:watching:1 pg-b:status:2 ");
    set_region(*state, &second, NULL);
    assert_null(
        watcher_find(((struct fixture *)*state)->watcher, slice_text("pg-a"), (struct slice){0}));
}

/* The list may be older than the step whose answer comes behind it. */
static void test_a_list_that_comes_before_the_answer_of_a_step_changes_nothing(void **state)
{
    const struct watch first = watch_of(1, "pg-a");
    set_region(*state, &first, NULL);
    api.is_slow = true;
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    expect_events("pg-a:watching:1 ");
    set_region(*state, &first, NULL);
    api.stored_done(api.stored_arg, STATUS_OK);
    api.is_slow = false;
    fake_timers_advance(POLL_MS);
    answer("pg-a", "normal");
    expect_events("pg-a:status:2 ");
}

static void test_a_command_that_was_sent_once_more_changes_its_watch(void **state)
{
    struct watch watch = watch_of(1, "pg-a");
    watch.is_outcome_unknown = true;
    set_region(*state, &watch, NULL);
    watch.is_outcome_unknown = false;
    watch.state.seq = 7;
    set_region(*state, &watch, NULL);
    fake_timers_advance(POLL_MS);
    answer("pg-a", "initial_syncing");
    assert_non_null(strstr(api.messages, ":8 "));
    assert_non_null(strstr(api.payload, "\"Outcome\":\"succeeded\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_groups_are_asked_for_together_and_in_order),
        TEST(test_no_call_has_more_groups_than_the_setting_says),
        TEST(test_groups_whose_names_do_not_fit_into_a_call_are_in_the_next_one),
        TEST(test_a_group_whose_step_is_being_stored_is_asked_for_afterwards),
        TEST(test_commands_go_first),
        TEST(test_the_time_between_calls_grows_until_something_changes),
        TEST(test_an_absent_group_is_asked_for_alone_and_at_the_other_site),
        TEST(test_a_refused_batch_is_halved_until_the_guilty_group_is_alone),
        TEST(test_blindness_counts_from_the_first_call_by_the_clock_of_the_api),
        TEST(test_a_failed_group_is_told_with_the_states_of_its_pairs),
        TEST(test_a_failed_group_is_told_also_where_its_pairs_cannot_be_read),
        TEST(test_a_watch_may_be_replaced_while_its_pairs_are_read),
        TEST(test_the_lowest_progress_of_the_pairs_counts),
        TEST(test_progress_is_read_only_while_a_copy_is_under_way),
        TEST(test_a_refused_pair_ends_the_round_without_an_event),
        TEST(test_a_group_is_read_again_after_a_slow_step_about_its_progress),
        TEST(test_progress_comes_after_the_states_of_groups),
        TEST(test_progress_ends_with_its_setting_and_with_its_watch),
        TEST(test_a_watch_of_a_route_that_is_off_ends_without_a_call),
        TEST(test_a_failure_concludes_nothing_and_makes_the_region_wait_longer),
        TEST(test_what_could_not_be_stored_is_seen_again),
        TEST(test_a_final_event_or_a_replaced_watch_ends_the_calls),
        TEST(test_a_watch_may_end_while_the_api_is_asked_for_it),
        TEST(test_the_list_is_empty_where_nothing_is_watched),
        TEST(test_the_list_is_sorted_and_limited),
        TEST(test_the_list_has_what_is_known_of_a_group),
        TEST(test_a_watch_is_found_by_its_group_and_token),
        TEST(test_the_list_begins_with_groups_in_trouble),
        TEST(test_the_watches_of_a_region_are_those_of_its_list),
        TEST(test_a_list_that_comes_before_the_answer_of_a_step_changes_nothing),
        TEST(test_a_command_that_was_sent_once_more_changes_its_watch),
    };
    return cmocka_run_group_tests_name("watcher", tests, NULL, NULL);
}
