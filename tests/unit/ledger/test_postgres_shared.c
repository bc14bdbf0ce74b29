/*
 * Two bridges on one PostgreSQL ledger, as stores in one process: what one leaves, the other one
 * takes over. They are runs of their own, with leases of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ledger/common.h"
#include "ledger/postgres/postgres.h"
#include "ledger/postgres/store_private.h"
#include "ledger/view.h"
#include "support/postgres_server.h"
#include "support/store_batch.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEASE_MS 5000
#define WAIT_S   30

struct bridge {
    struct store *store;
    struct store_batch batch;
    struct lease lease;
    struct counters counters;
    sem_t calls; /* of the store's wake */
};

static struct bridge bridges[2];

static void wake(void *arg)
{
    sem_post(&((struct bridge *)arg)->calls);
}

static enum status open_bridge(struct bridge *bridge, const char *instance)
{
    struct buf why = {0};
    const struct store_place place = {.location = postgres_server_uri(),
                                      .instance = instance,
                                      .lease = &bridge->lease,
                                      .counters = &bridge->counters,
                                      .lease_ms = LEASE_MS,
                                      .wake = wake,
                                      .wake_arg = bridge};
    lease_init(&bridge->lease);
    bridge->counters = (struct counters){0};
    sem_init(&bridge->calls, 0, 0);
    enum status status = store_postgres_ops.open(&place, false, &bridge->store, &why);
    if (status == STATUS_OK) {
        store_batch_init(&bridge->batch, &store_postgres_ops, bridge->store);
        bridge->batch.group = "pg-1";
    }
    buf_fini(&why);
    return status;
}

static void close_bridge(struct bridge *bridge)
{
    if (bridge->store != NULL) {
        store_batch_fini(&bridge->batch);
        store_postgres_ops.close(bridge->store);
        bridge->store = NULL;
    }
    sem_destroy(&bridge->calls);
}

static int set_up(void **state)
{
    (void)state;
    postgres_server_clear(postgres_server_uri(), false);
    assert_int_equal(open_bridge(&bridges[0], "a"), STATUS_OK);
    assert_int_equal(open_bridge(&bridges[1], "b"), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_bridge(&bridges[0]);
    close_bridge(&bridges[1]);
    return 0;
}

/* It shows no sign of life any more, as if its process were stopped. */
static void pause_bridge(struct bridge *bridge)
{
    postgres_lease_free(bridge->store->lease);
    bridge->store->lease = NULL;
}

static bool has_commands(const struct ledger_batch *batch)
{
    return batch->command_count > 0;
}

static bool has_regions(const struct ledger_batch *batch)
{
    return batch->region_count > 0;
}

/* The bridge's turns, until one has brought it something. */
static void wait_until(struct bridge *bridge, bool (*has_it)(const struct ledger_batch *batch))
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    do {
        if (sem_timedwait(&bridge->calls, &until) != 0 && errno != EINTR) {
            fail_msg("nothing was taken over within %d s", WAIT_S);
        }
        store_batch_begin(&bridge->batch);
        assert_int_equal(store_batch_run(&bridge->batch), STATUS_OK);
    } while (!has_it(&bridge->batch.batch));
}

/* The bridge's turns, until this is the number of unfinished commands: it is as of a second ago. */
static void wait_for_unfinished(struct bridge *bridge, int64_t count)
{
    int64_t end_ms = clock_boot_ms() + WAIT_S * 1000;
    while (bridge->batch.batch.unfinished != count) {
        assert_true(clock_boot_ms() < end_ms);
        store_batch_begin(&bridge->batch);
        assert_int_equal(store_batch_run(&bridge->batch), STATUS_OK);
    }
}

/* A command that is being called, another one that waits behind it, and a message. */
static void give_work(struct bridge *bridge)
{
    struct store_batch *batch = &bridge->batch;
    int64_t id = store_batch_claim(batch, "t-1")->claim.id;
    store_batch_post(batch, slice_text("message"));
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    store_batch_begin(batch);
    store_batch_move(batch, "t-1", id, STATE_CALLING);
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    store_batch_begin(batch);
    struct ledger_request *second = store_batch_claim(batch, "t-2");
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    assert_true(second->claim.is_lined_up);
    store_batch_begin(batch);
}

/* What the bridge has adopted from give_work(). */
static void assert_work(const struct bridge *bridge, uint32_t crashes)
{
    const struct ledger_batch *batch = &bridge->batch.batch;
    assert_int_equal(batch->command_count, 1);
    assert_string_equal(batch->commands[0]->token, "t-1");
    assert_int_equal(batch->commands[0]->state, STATE_UNSURE);
    assert_int_equal(batch->commands[0]->crashes, crashes);
    assert_int_equal(batch->adopted_count, 1);
    assert_true(slice_equals_text(ledger_batch_text(batch, batch->messages[0].text), "message"));
}

static void put(void *arg, struct slice text)
{
    buf_append(arg, text);
}

static const char *const SHOWN_IN_WORK =
    "{\"ClientToken\":\"t-1\",\"State\":\"calling\",\"Instance\":\"a\",\"Route\":";
static const char *const SHOWN_IN_LINE = "{\"ClientToken\":\"t-2\",\"State\":\"ready\",\"Route\":";

static void test_what_is_shown_of_a_command_names_the_bridge_that_holds_it(void **state)
{
    const struct ledger_source source = {.store = postgres_server_uri(), .instance = "b"};
    struct ledger_filter filter;
    struct buf list = {0};
    struct buf record = {0};
    struct buf why = {0};
    (void)state;
    give_work(&bridges[0]);
    ledger_filter_init(&filter);
    assert_int_equal(ledger_list(&source, &filter, put, &list, &why), STATUS_OK);
    assert_non_null(strstr(list.data, SHOWN_IN_WORK));
    assert_non_null(strstr(list.data, SHOWN_IN_LINE));
    assert_int_equal(ledger_show(&source, slice_text("t-1"), &record, &why), STATUS_OK);
    assert_non_null(strstr(record.data, SHOWN_IN_WORK));
    store_batch_finish(&bridges[0].batch, "t-1", 1, INT64_MAX);
    assert_int_equal(store_batch_run(&bridges[0].batch), STATUS_OK);
    buf_clear(&record);
    assert_int_equal(ledger_show(&source, slice_text("t-1"), &record, &why), STATUS_OK);
    assert_non_null(strstr(record.data, "\"State\":\"done\""));
    assert_null(strstr(record.data, "\"Instance\""));
    buf_fini(&list);
    buf_fini(&record);
    buf_fini(&why);
}

static void test_what_a_paused_bridge_held_is_taken_over_and_it_writes_nothing_more(void **state)
{
    (void)state;
    give_work(&bridges[0]);
    int64_t begin_ms = clock_boot_ms();
    pause_bridge(&bridges[0]);
    wait_until(&bridges[1], has_commands);
    assert_work(&bridges[1], 1);
    assert_int_equal(counter_get(&bridges[1].counters, COUNTER_EXPELLED), 1);
    assert_int_equal(counter_get(&bridges[1].counters, COUNTER_ADOPTED), 1);
    assert_in_range(counter_get(&bridges[1].counters, COUNTER_BRIDGES), 1, 2);
    assert_true(bridges[1].counters.histograms[HISTOGRAM_LEDGER_ROUND_TRIP].sum_us > 0);
    assert_true(clock_boot_ms() - begin_ms >= LEASE_MS - 1500);
    wait_for_unfinished(&bridges[1], 2); /* with the one in line */
    assert_int_equal(lease_check(&bridges[1].lease, clock_boot_ms()), LEASE_REGAINED);
    /* It comes back. */
    store_batch_post(&bridges[0].batch, slice_text("late"));
    assert_int_equal(store_batch_run(&bridges[0].batch), STATUS_STORE);
    assert_int_equal(lease_check(&bridges[0].lease, clock_boot_ms()), LEASE_LOST);
    /* What waited in line comes after what was taken over. */
    struct store_batch *batch = &bridges[1].batch;
    int64_t id = batch->batch.commands[0]->id;
    store_batch_begin(batch);
    store_batch_finish(batch, "t-1", id, INT64_MAX);
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    assert_int_equal(batch->batch.command_count, 1);
    assert_string_equal(batch->batch.commands[0]->token, "t-2");
}

static void test_a_bridge_that_stops_leaves_its_work_at_once_and_uncharged(void **state)
{
    (void)state;
    struct ledger_batch first = {.limits = &bridges[0].batch.limits};
    assert_int_equal(store_postgres_ops.start(bridges[0].store, &first), STATUS_OK);
    ledger_batch_reset(&first);
    buf_fini(&first.bytes);
    buf_fini(&first.scratch);
    give_work(&bridges[0]);
    close_bridge(&bridges[0]);
    sem_init(&bridges[0].calls, 0, 0);
    wait_until(&bridges[1], has_commands);
    assert_work(&bridges[1], 0);
}

/* ---- upkeep of the line ---- */

#define DEADLINE_MS INT64_C(1767323100123) /* of the commands of store_batch */

static void run_at(struct bridge *bridge, int64_t now_ms)
{
    store_batch_begin(&bridge->batch);
    bridge->batch.batch.now_ms = now_ms;
    postgres_lease_call_again(bridge->store->lease);
    assert_int_equal(store_batch_run(&bridge->batch), STATUS_OK);
}

static void assert_row(const struct bridge *bridge, const char *token, enum state state)
{
    struct store_row row;
    assert_int_equal(postgres_find(bridge->store, slice_text(token), &row), STATUS_OK);
    assert_int_equal(row.state, state);
}

static void test_a_command_in_line_expires_at_its_deadline_for_all_who_asked(void **state)
{
    (void)state;
    give_work(&bridges[0]);
    struct ledger_request *again = store_batch_claim(&bridges[1].batch, "t-2");
    assert_int_equal(store_batch_run(&bridges[1].batch), STATUS_OK);
    assert_true(again->claim.is_joined_elsewhere);
    run_at(&bridges[1], DEADLINE_MS - 1000);
    assert_null(bridges[1].batch.batch.overdue.head);
    assert_row(&bridges[1], "t-2", STATE_READY);
    run_at(&bridges[1], DEADLINE_MS + 1000);
    const struct ledger_request *ended = bridges[1].batch.batch.overdue.head;
    assert_non_null(ended);
    assert_null(ended->next);
    assert_int_equal(ended->status, STATUS_OK);
    assert_string_equal(ended->finish.command->token, "t-2");
    assert_string_equal(ended->finish.outcome.code, "Bridge.Expired");
    assert_int_equal(ended->finish.reply_to_count, 2);
    assert_int_equal(ended->message_count, 2);
    assert_row(&bridges[1], "t-2", STATE_DONE);
    assert_row(&bridges[1], "t-1", STATE_CALLING); /* the head belongs to its own bridge */
    /* It waits no more: neither for another sweep, nor behind its head. */
    run_at(&bridges[0], DEADLINE_MS + 1000);
    assert_null(bridges[0].batch.batch.overdue.head);
    store_batch_begin(&bridges[0].batch);
    store_batch_finish(&bridges[0].batch, "t-1", 1, INT64_MAX);
    assert_int_equal(store_batch_run(&bridges[0].batch), STATUS_OK);
    assert_int_equal(bridges[0].batch.batch.command_count, 0);
}

/* Between the look for overdue commands and the lock of the head, its bridge promoted it. */
static void test_a_command_that_was_promoted_meanwhile_does_not_expire(void **state)
{
    (void)state;
    give_work(&bridges[0]);
    struct ledger_request request = {0};
    struct item item = {.request = &request, .is_overdue = true};
    store_batch_finish(&bridges[0].batch, "t-1", 1, INT64_MAX);
    assert_int_equal(store_batch_run(&bridges[0].batch), STATUS_OK);
    assert_int_equal(bridges[0].batch.batch.command_count, 1);
    buf_append_text(&request.finish.order.token, "t-2");
    buf_append_text(&request.finish.order.note, "pg-1");
    struct store *store = bridges[1].store;
    bridges[1].batch.batch.now_ms = DEADLINE_MS + 1000;
    store->work.batch = &bridges[1].batch.batch;
    assert_int_equal(postgres_end_overdue(store, &item), STATUS_OK);
    store->work.batch = NULL;
    assert_int_equal(request.status, STATUS_NOT_FOUND);
    assert_row(&bridges[1], "t-2", STATE_READY);
    buf_fini(&request.finish.order.token);
    buf_fini(&request.finish.order.note);
}

static void execute(const char *sql)
{
    struct store *store = bridges[0].store;
    postgres_send_text(store->connection, sql);
    assert_int_equal(postgres_exchange(store->connection, store->timeout_ms, NULL, NULL),
                     STATUS_OK);
}

/* The first one's end takes the second one's deadline away, as another bridge does that orders it
 * again. */
static void test_a_command_that_is_not_overdue_any_more_ends_no_batch(void **state)
{
    (void)state;
    give_work(&bridges[0]);
    store_batch_claim(&bridges[0].batch, "t-3");
    assert_int_equal(store_batch_run(&bridges[0].batch), STATUS_OK);
    execute("CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " UPDATE command SET due_at = due_at + 3600000 WHERE line IS NOT NULL; RETURN NULL;"
            " END $$");
    execute("CREATE TRIGGER later AFTER UPDATE ON command FOR EACH ROW WHEN (NEW.state = 5)"
            " EXECUTE FUNCTION later()");
    run_at(&bridges[1], DEADLINE_MS + 1000);
    const struct ledger_request *ended = bridges[1].batch.batch.overdue.head;
    assert_non_null(ended);
    assert_int_equal(ended->status, STATUS_OK);
    assert_int_equal(ended->next->status, STATUS_NOT_FOUND);
    assert_row(&bridges[1], "t-2", STATE_DONE);
    assert_row(&bridges[1], "t-3", STATE_READY);
}

static void test_a_line_without_a_head_gets_one(void **state)
{
    (void)state;
    give_work(&bridges[0]);
    execute("UPDATE command SET owner = NULL, state = 5, status = 0, retention = 0"
            " WHERE token = 't-1'");
    bridges[1].store->must_adopt = true;
    bridges[1].store->lines_check_at_ms = 0;
    store_batch_begin(&bridges[1].batch);
    assert_int_equal(store_batch_run(&bridges[1].batch), STATUS_OK);
    assert_int_equal(bridges[1].batch.batch.command_count, 1);
    assert_string_equal(bridges[1].batch.batch.commands[0]->token, "t-2");
}

static void adopt_at(struct bridge *bridge, int64_t now_ms)
{
    bridge->store->must_adopt = true;
    run_at(bridge, now_ms);
}

static void test_a_command_whose_route_no_bridge_has_is_warned_of_and_ends_by_its_deadline(
    void **state)
{
    (void)state;
    bridges[1].batch.limits.route_count = 0;
    give_work(&bridges[0]);
    close_bridge(&bridges[0]);
    sem_init(&bridges[0].calls, 0, 0);
    struct store *store = bridges[1].store;
    adopt_at(&bridges[1], DEADLINE_MS - 1000);
    assert_int_equal(bridges[1].batch.batch.command_count, 0);
    assert_int_equal(bridges[1].batch.batch.adopted_count, 1); /* the message */
    assert_true(store->left_since_ms != 0);
    assert_false(store->has_warned_of_left);
    store->left_since_ms -= LEASE_MS;
    adopt_at(&bridges[1], DEADLINE_MS - 1000);
    assert_true(store->has_warned_of_left);
    adopt_at(&bridges[1], DEADLINE_MS + 1000);
    assert_int_equal(bridges[1].batch.batch.command_count, 1);
    assert_string_equal(bridges[1].batch.batch.commands[0]->token, "t-1");
    assert_null(bridges[1].batch.batch.commands[0]->route);
    adopt_at(&bridges[1], DEADLINE_MS + 1000);
    assert_int_equal(store->left_since_ms, 0);
}

static void look_after_rates(struct bridge *bridge, double rate_per_s)
{
    bridge->batch.limits.rate_per_s = rate_per_s;
    bridge->store->must_adopt = true;
    bridge->store->lines_check_at_ms = 0;
    store_batch_begin(&bridge->batch);
    assert_int_equal(store_batch_run(&bridge->batch), STATUS_OK);
}

static void test_bridges_with_different_rates_are_warned_of(void **state)
{
    (void)state;
    look_after_rates(&bridges[0], 0.5);
    look_after_rates(&bridges[1], 20);
    assert_false(bridges[1].store->has_warned_of_rates); /* the other one may be reloading */
    look_after_rates(&bridges[1], 20);
    assert_true(bridges[1].store->has_warned_of_rates);
    look_after_rates(&bridges[1], 0.5);
    assert_false(bridges[1].store->has_warned_of_rates);
    assert_false(bridges[1].store->has_other_rates);
    /* A bridge that does not run is not compared. */
    look_after_rates(&bridges[0], 7);
    close_bridge(&bridges[0]);
    sem_init(&bridges[0].calls, 0, 0);
    look_after_rates(&bridges[1], 0.5);
    assert_false(bridges[1].store->has_other_rates);
}

/* Before the first batch is carried out, the ids of the run's messages are not known. */
static void test_what_is_left_is_adopted_after_the_start_with_ids_of_the_run(void **state)
{
    (void)state;
    give_work(&bridges[0]);
    close_bridge(&bridges[1]);
    close_bridge(&bridges[0]);
    sem_init(&bridges[0].calls, 0, 0);
    assert_int_equal(open_bridge(&bridges[1], "b"), STATUS_OK);
    struct ledger_batch first = {.limits = &bridges[1].batch.limits};
    assert_int_equal(store_postgres_ops.start(bridges[1].store, &first), STATUS_OK);
    assert_int_equal(first.command_count, 0);
    assert_int_equal(first.adopted_count, 0);
    ledger_batch_reset(&first);
    buf_fini(&first.bytes);
    buf_fini(&first.scratch);
    store_batch_begin(&bridges[1].batch);
    assert_int_equal(store_batch_run(&bridges[1].batch), STATUS_OK);
    assert_int_equal(bridges[1].batch.batch.adopted_count, 1);
    assert_true(bridges[1].batch.batch.messages[0].id > 0);
}

/* What is granted to a bridge of a rate whose next token is far away. */
static struct allowance_grant ask(const struct bridge *bridge, int64_t wanted)
{
    struct allowance_request request = {
        .ask = {.name = "cn-a", .rate_per_s = 0.01, .burst = 40, .wanted_count = wanted}};
    assert_int_equal(postgres_grant(bridge->store, &request), STATUS_OK);
    return request.grant;
}

static void test_a_rate_is_shared(void **state)
{
    (void)state;
    assert_int_equal(ask(&bridges[0], 30).count, 30);
    /* Ten are left. One may be missing for a moment, where the two have measured the server's clock
     * differently. */
    int64_t count = 0;
    for (int i = 0; i < 3; i++) {
        count += ask(&bridges[1], 30).count;
    }
    struct allowance_grant none = ask(&bridges[1], 30);
    assert_in_range(count + none.count, 9, 10);
    assert_in_range(none.wait_ms, 1, 120000);
    assert_int_equal(none.pause_ms, 0);
    assert_true(none.slowed_per_s < 0.001);
}

static void test_a_bridge_learns_that_another_one_was_throttled(void **state)
{
    (void)state;
    struct allowance_request slowed = {
        .ask = {.name = "cn-a", .rate_per_s = 5, .is_slowed = true, .pause_ms = 50000}};
    assert_int_equal(ask(&bridges[0], 1).count, 1);
    assert_int_equal(postgres_grant(bridges[0].store, &slowed), STATUS_OK);
    struct allowance_grant grant = ask(&bridges[1], 1);
    assert_int_equal(grant.count, 0);
    assert_in_range(grant.pause_ms, 10000, 51000);
    assert_true(grant.slowed_per_s > 4.9 && grant.slowed_per_s < 5.1);
    assert_in_range(grant.slowed_ago_ms + 1000, 0, 41000);
    /* Two halvings within a second are one. */
    slowed.ask.rate_per_s = 2;
    assert_int_equal(postgres_grant(bridges[1].store, &slowed), STATUS_OK);
    assert_true(slowed.grant.slowed_per_s > 4.9 || slowed.grant.slowed_ago_ms < 1000);
}

/* ---- a loss ---- */

/* What the next run of the first bridge would report. */
static bool has_kept_loss(void)
{
    struct buf path = {0};
    buf_printf(&path, "%s/a.timeline", getenv("STATE_DIRECTORY"));
    struct timeline *timeline = timeline_new(path.data, true);
    bool has_loss = timeline_take_loss(timeline);
    timeline_free(timeline);
    buf_fini(&path);
    return has_loss;
}

/* A run may end right after a fail-over, because it was expelled or cannot write its heads again.
 */
static void test_a_loss_is_reported_by_the_next_run_if_its_report_was_not_stored(void **state)
{
    struct store_batch *batch = &bridges[0].batch;
    (void)state;
    assert_false(has_kept_loss());
    timeline_set_lost(bridges[0].store->timeline);
    assert_true(has_kept_loss());
    store_batch_begin(batch);
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    assert_true(batch->batch.may_have_lost);
    assert_true(has_kept_loss());
    store_batch_begin(batch);
    store_batch_remember(batch, LEDGER_META_LOST_AT, 1);
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    assert_false(batch->batch.may_have_lost);
    assert_false(has_kept_loss());
}

/* ---- watches ---- */

/* A success of the bridge with which the group's watch begins. */
static struct finish_request *begin_watch(struct bridge *bridge, const char *token,
                                          const char *group)
{
    struct store_batch *batch = &bridge->batch;
    batch->group = group;
    store_batch_begin(batch);
    int64_t id = store_batch_claim(batch, token)->claim.id;
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    store_batch_begin(batch);
    struct finish_request *finish = &store_batch_finish(batch, token, id, INT64_MAX)->finish;
    finish->watch = (struct watch_start){.started_at_ms = 5000, .ends_at_ms = 9000};
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    return finish;
}

static enum status step(struct bridge *bridge, const struct watch *watch, bool *out_is_there)
{
    struct watch_step step = {.state = watch->state};
    step.state.seq++;
    store_batch_begin(&bridge->batch);
    struct ledger_request *request = store_batch_watch(&bridge->batch, watch, &step, "event");
    enum status status = store_batch_run(&bridge->batch);
    *out_is_there = request->watch.is_there;
    return status;
}

/* The only region of the batch has these watches, in any order. */
static void assert_watches(const struct bridge *bridge, size_t count, const char *const *objects)
{
    const struct ledger_batch *batch = &bridge->batch.batch;
    assert_int_equal(batch->region_count, 1);
    assert_int_equal(batch->regions[0].first, 0);
    assert_int_equal(batch->regions[0].count, count);
    assert_int_equal(batch->watched_count, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < count && strcmp(batch->watched[at]->object, objects[i]) != 0) {
            at++;
        }
        assert_true(at < count);
        assert_string_equal(batch->watched[at]->region, batch->regions[0].name);
    }
}

static void test_a_region_is_polled_by_one_bridge_whoever_begins_a_watch(void **state)
{
    (void)state;
    bool is_there;
    assert_false(begin_watch(&bridges[0], "t-1", "pg-1")->is_polled_elsewhere);
    /* The commands of both bridges have the same ids: the stores have no clock here. */
    struct finish_request *second = begin_watch(&bridges[1], "t-2", "pg-2");
    assert_true(second->is_polled_elsewhere);
    struct watch *watch = watch_copy(second->begun);
    assert_int_equal(bridges[1].batch.batch.region_count, 0);
    wait_until(&bridges[0], has_regions);
    assert_watches(&bridges[0], 2, (const char *const[]){"pg-1", "pg-2"});
    /* Only the one that polls changes it, and each step is stored once. */
    assert_int_equal(step(&bridges[1], watch, &is_there), STATUS_OK);
    assert_false(is_there);
    assert_int_equal(step(&bridges[0], watch, &is_there), STATUS_OK);
    assert_true(is_there);
    assert_int_equal(step(&bridges[0], watch, &is_there), STATUS_OK);
    assert_false(is_there);
    /* What is there is read again: after a fail-over its Seq may be lower than the one in memory.
     */
    assert_watches(&bridges[0], 2, (const char *const[]){"pg-1", "pg-2"});
    watch_free(watch);
}

static void test_a_step_changes_no_watch_of_a_command_with_the_same_id(void **state)
{
    (void)state;
    bool is_there;
    struct finish_request *own = begin_watch(&bridges[0], "t-1", "pg-1");
    int64_t command_id = own->command->id;
    struct watch *watch = watch_copy(own->begun);
    struct finish_request *other = begin_watch(&bridges[1], "t-2", "pg-2");
    assert_int_equal(other->command->id, command_id);
    wait_until(&bridges[0], has_regions);
    assert_int_equal(step(&bridges[0], watch, &is_there), STATUS_OK);
    assert_true(is_there);
    bridges[0].store->must_read_watches = true;
    execute("UPDATE poller SET changes = changes + 1");
    store_batch_begin(&bridges[0].batch);
    assert_int_equal(store_batch_run(&bridges[0].batch), STATUS_OK);
    const struct ledger_batch *batch = &bridges[0].batch.batch;
    assert_int_equal(batch->watched_count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_own = strcmp(batch->watched[i]->object, "pg-1") == 0;
        assert_int_equal(batch->watched[i]->state.seq, is_own ? 1 : 0);
    }
    watch_free(watch);
}

static void test_a_watch_that_another_bridge_replaces_is_replaced_for_the_one_that_polls(
    void **state)
{
    (void)state;
    begin_watch(&bridges[0], "t-1", "pg-1");
    struct finish_request *second = begin_watch(&bridges[1], "t-2", "pg-1");
    assert_true(second->is_polled_elsewhere);
    assert_int_equal(bridges[1].batch.batch.message_count, 2); /* its reply, and `superseded` */
    wait_until(&bridges[0], has_regions);
    assert_watches(&bridges[0], 1, (const char *const[]){"pg-1"});
    assert_string_equal(bridges[0].batch.batch.watched[0]->token, "t-2");
}

static void test_the_watches_of_all_bridges_are_counted(void **state)
{
    (void)state;
    begin_watch(&bridges[0], "t-1", "pg-1");
    begin_watch(&bridges[1], "t-2", "pg-2");
    assert_false(begin_watch(&bridges[1], "t-3", "pg-2")->is_watch_refused); /* replaces one */
    struct finish_request *third = begin_watch(&bridges[0], "t-4", "pg-3");  /* the limit is 2 */
    assert_true(third->is_watch_refused);
}

static void test_the_watches_of_a_paused_bridge_are_taken_over_and_it_changes_none(void **state)
{
    (void)state;
    bool is_there;
    struct watch *watch = watch_copy(begin_watch(&bridges[0], "t-1", "pg-1")->begun);
    assert_int_equal(step(&bridges[0], watch, &is_there), STATUS_OK);
    assert_true(is_there);
    pause_bridge(&bridges[0]);
    wait_until(&bridges[1], has_regions);
    assert_watches(&bridges[1], 1, (const char *const[]){"pg-1"});
    struct watch *taken = watch_copy(bridges[1].batch.batch.watched[0]);
    assert_int_equal(taken->state.seq, 1);
    /* It comes back. */
    assert_int_equal(step(&bridges[0], taken, &is_there), STATUS_STORE);
    assert_int_equal(step(&bridges[1], taken, &is_there), STATUS_OK);
    assert_true(is_there);
    /* The watches that begin from now on are those of the one that polls. */
    assert_false(begin_watch(&bridges[1], "t-2", "pg-2")->is_polled_elsewhere);
    watch_free(watch);
    watch_free(taken);
}

static void test_a_bridge_that_stops_leaves_its_regions_at_once(void **state)
{
    (void)state;
    begin_watch(&bridges[0], "t-1", "pg-1");
    close_bridge(&bridges[0]);
    sem_init(&bridges[0].calls, 0, 0);
    wait_until(&bridges[1], has_regions);
    assert_watches(&bridges[1], 1, (const char *const[]){"pg-1"});
}

/* ---- sessions of a bridge without a run ---- */

/* How many numbers about sessions of absent instances the bridge is told, after it has tried to
 * take the lease on those of `lease_of`. */
static size_t list_absent(const struct bridge *bridge, char *lease_of, bool *out_is_leased)
{
    struct ledger_request request = {.type = &LEDGER_REQUEST_TYPES[REQUEST_ABSENT],
                                     .absent = {.lease_of = lease_of}};
    assert_int_equal(postgres_read_request(bridge->store, &request), STATUS_OK);
    size_t count = 0;
    *out_is_leased = false;
    for (size_t i = 0; i < request.absent.count; i++) {
        const struct absent_number *number = &request.absent.numbers[i];
        bool is_lease = strcmp(number->key, LEDGER_ADOPTER_KEY) == 0;
        assert_string_equal(number->instance, "dead");
        *out_is_leased |= is_lease; /* it comes first */
        assert_int_equal(number->is_leased, *out_is_leased);
        count += !is_lease;
    }
    absent_clear(&request.absent);
    free(request.absent.numbers);
    return count;
}

static void list_sessions(void)
{
    execute("INSERT INTO meta VALUES ('dead', 'broker.session:x', 3),"
            " ('dead', 'broker.filter:x\n$share/all/f', 1), ('dead', 'broker.status:s', 1),"
            " ('a', 'broker.session:y', 3)");
}

static void test_one_bridge_has_the_lease_on_the_sessions_of_an_absent_one(void **state)
{
    (void)state;
    bool is_leased;
    list_sessions();
    assert_int_equal(list_absent(&bridges[0], NULL, &is_leased), 2);
    assert_false(is_leased);
    assert_int_equal(list_absent(&bridges[0], "dead", &is_leased), 2);
    assert_true(is_leased);
    assert_int_equal(list_absent(&bridges[1], "dead", &is_leased), 0);
    assert_int_equal(list_absent(&bridges[0], NULL, &is_leased), 2);
    assert_true(is_leased);
}

static void test_a_lease_on_sessions_ends_with_the_run_that_has_it(void **state)
{
    (void)state;
    bool is_leased;
    list_sessions();
    assert_int_equal(list_absent(&bridges[1], "dead", &is_leased), 2);
    assert_true(is_leased);
    close_bridge(&bridges[1]);
    assert_int_equal(list_absent(&bridges[0], NULL, &is_leased), 2);
    assert_false(is_leased);
    assert_int_equal(open_bridge(&bridges[1], "b"), STATUS_OK);
    assert_int_equal(list_absent(&bridges[1], "dead", &is_leased), 2);
    execute("DELETE FROM bridge WHERE instance = 'b'"); /* without its lease */
    execute("DELETE FROM meta WHERE instance = 'a'");
    assert_int_equal(list_absent(&bridges[0], "dead", &is_leased), 2);
    assert_true(is_leased);
    assert_int_equal(list_absent(&bridges[1], "dead", &is_leased), 0);
}

static void test_a_bridge_that_starts_sees_the_lease_and_the_holder_sees_the_bridge(void **state)
{
    (void)state;
    bool is_leased;
    int64_t holder = 0;
    struct bridge dead = {0};
    list_sessions();
    assert_int_equal(list_absent(&bridges[0], "dead", &is_leased), 2);
    assert_int_equal(open_bridge(&dead, "dead"), STATUS_OK);
    assert_int_equal(postgres_get_meta(dead.store, LEDGER_ADOPTER_KEY, &holder), STATUS_OK);
    assert_int_equal(holder, bridges[0].store->run);
    assert_int_equal(list_absent(&bridges[0], NULL, &is_leased), 0);
    assert_true(is_leased);
    assert_int_equal(list_absent(&bridges[1], "dead", &is_leased), 0);
    assert_false(is_leased);
    close_bridge(&dead);
}

/* The holder asks for the lease while the bridge comes back, and must see that it has got it. */
static void test_a_lease_on_the_sessions_of_a_bridge_that_is_back_is_listed(void **state)
{
    (void)state;
    bool is_leased;
    struct bridge dead = {0};
    list_sessions();
    assert_int_equal(open_bridge(&dead, "dead"), STATUS_OK);
    assert_int_equal(list_absent(&bridges[0], "dead", &is_leased), 0);
    assert_true(is_leased);
    close_bridge(&dead);
}

/* How far this machine's wall clock is wrong. */
static _Atomic int64_t wrong_ms;

int64_t __real_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void)
{
    return __real_clock_wall_ms() + wrong_ms;
}

static int64_t server_clock_error_ms(const struct bridge *bridge)
{
    return store_postgres_ops.clock_ms(bridge->store, clock_boot_ms()) - __real_clock_wall_ms();
}

static void test_bridges_have_the_clock_of_the_server_and_one_sum_of_its_steps(void **state)
{
    int64_t value = 0;
    (void)state;
    wrong_ms = INT64_C(86400000);
    assert_in_range(server_clock_error_ms(&bridges[0]) + 60000, 0, 120000);
    close_bridge(&bridges[1]);
    assert_int_equal(open_bridge(&bridges[1], "b"), STATUS_OK);
    assert_in_range(server_clock_error_ms(&bridges[1]) + 60000, 0, 120000);
    wrong_ms = 0;
    assert_int_equal(
        store_write_meta(&store_postgres_ops, bridges[0].store, "ledger.clock_steps_ms", 5000),
        STATUS_OK);
    assert_int_equal(
        store_write_meta(&store_postgres_ops, bridges[0].store, "ledger.clock_base_ms", 6000),
        STATUS_OK);
    assert_int_equal(store_postgres_ops.get_meta(bridges[1].store, "ledger.clock_steps_ms", &value),
                     STATUS_OK);
    assert_int_equal(value, 5000);
    assert_int_equal(store_postgres_ops.get_meta(bridges[1].store, "ledger.clock_base_ms", &value),
                     STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_what_is_shown_of_a_command_names_the_bridge_that_holds_it),
        TEST(test_what_a_paused_bridge_held_is_taken_over_and_it_writes_nothing_more),
        TEST(test_a_rate_is_shared),
        TEST(test_a_region_is_polled_by_one_bridge_whoever_begins_a_watch),
        TEST(test_a_step_changes_no_watch_of_a_command_with_the_same_id),
        TEST(test_a_watch_that_another_bridge_replaces_is_replaced_for_the_one_that_polls),
        TEST(test_the_watches_of_all_bridges_are_counted),
        TEST(test_the_watches_of_a_paused_bridge_are_taken_over_and_it_changes_none),
        TEST(test_a_bridge_that_stops_leaves_its_regions_at_once),
        TEST(test_a_bridge_learns_that_another_one_was_throttled),
        TEST(test_a_bridge_that_stops_leaves_its_work_at_once_and_uncharged),
        TEST(test_a_command_in_line_expires_at_its_deadline_for_all_who_asked),
        TEST(test_a_command_that_was_promoted_meanwhile_does_not_expire),
        TEST(test_a_command_that_is_not_overdue_any_more_ends_no_batch),
        TEST(test_a_line_without_a_head_gets_one),
        TEST(test_a_command_whose_route_no_bridge_has_is_warned_of_and_ends_by_its_deadline),
        TEST(test_bridges_with_different_rates_are_warned_of),
        TEST(test_one_bridge_has_the_lease_on_the_sessions_of_an_absent_one),
        TEST(test_a_lease_on_sessions_ends_with_the_run_that_has_it),
        TEST(test_a_bridge_that_starts_sees_the_lease_and_the_holder_sees_the_bridge),
        TEST(test_a_lease_on_the_sessions_of_a_bridge_that_is_back_is_listed),
        TEST(test_what_is_left_is_adopted_after_the_start_with_ids_of_the_run),
        TEST(test_a_loss_is_reported_by_the_next_run_if_its_report_was_not_stored),
        TEST(test_bridges_have_the_clock_of_the_server_and_one_sum_of_its_steps),
    };
    return cmocka_run_group_tests(tests, postgres_server_start, postgres_server_stop);
}
