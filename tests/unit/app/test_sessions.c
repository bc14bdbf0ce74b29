/* Sessions at the broker: what the ledger lists, what is drained, what is lost. The ledger of the
 * test keeps its values, and commits when the test says so. */
#include "app/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/message.h"
#include "support/fakes/fake_timers.h"

#define VALUES_MAX 64
#define LOST_AT_MS INT64_C(1767323045123)

static struct {
    struct settings settings;
    struct route route;
    char *topics[2];
    struct health *health;
    struct counters counters;
    struct sessions *sessions;
    bool is_leaving;
    bool has_left;
    struct {
        char key[128];
        int64_t value;
    } values[VALUES_MAX];
    size_t value_count;
    size_t write_count;
    struct {
        ledger_read_fn *done;
        void *arg;
    } reads[8];
    size_t read_count;
    bool commits_later; /* else at once */
    /* What the workers were told. */
    struct workers_sessions told;
    bool has_unsubscribed;
    struct mqtt_session left;
    struct mqtt_session adopted;
    char abandoned[64];
    bool is_abandoned_at_once;
    bool has_started;
    uint32_t gone_on; /* generation */
    char ended[64];
    struct buf published;
    int64_t published_id;
    struct shared_text shown;
} fixture;

/* ---- the ledger ---- */

static int64_t *value_of(const char *key)
{
    for (size_t i = 0; i < fixture.value_count; i++) {
        if (strcmp(fixture.values[i].key, key) == 0) {
            return &fixture.values[i].value;
        }
    }
    return NULL;
}

/* Those of another instance have its name before the key. */
static const char *key_of(const char *instance, const char *key)
{
    static char full[128];
    snprintf(full, sizeof full, "%s%s%s", instance == NULL ? "" : instance,
             instance == NULL ? "" : "|", key);
    return full;
}

void ledger_remember_of(struct ledger *ledger, const char *instance, const char *own_key,
                        int64_t value)
{
    (void)ledger;
    const char *key = key_of(instance, own_key);
    int64_t *kept = value_of(key);
    fixture.write_count++;
    if (kept == NULL) {
        assert_true(fixture.value_count < VALUES_MAX);
        snprintf(fixture.values[fixture.value_count].key, sizeof fixture.values[0].key, "%s", key);
        kept = &fixture.values[fixture.value_count++].value;
    }
    *kept = value;
}

void ledger_remember(struct ledger *ledger, const char *key, int64_t value)
{
    ledger_remember_of(ledger, NULL, key, value);
}

void ledger_forget(struct ledger *ledger, const char *key)
{
    ledger_forget_of(ledger, NULL, key);
}

void ledger_forget_of(struct ledger *ledger, const char *instance, const char *own_key)
{
    (void)ledger;
    const char *key = key_of(instance, own_key);
    fixture.write_count++;
    for (size_t i = 0; i < fixture.value_count; i++) {
        if (strcmp(fixture.values[i].key, key) == 0) {
            fixture.values[i] = fixture.values[--fixture.value_count];
        }
    }
}

int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise)
{
    (void)ledger;
    const int64_t *kept = value_of(key);
    return kept == NULL ? otherwise : *kept;
}

void ledger_recall_all(struct ledger *ledger, const char *prefix, ledger_meta_fn *each, void *arg)
{
    (void)ledger;
    for (size_t i = 0; i < fixture.value_count; i++) {
        if (strncmp(fixture.values[i].key, prefix, strlen(prefix)) == 0) {
            each(arg, fixture.values[i].key, fixture.values[i].value);
        }
    }
}

static void commit(void)
{
    for (size_t i = 0; i < fixture.read_count; i++) {
        fixture.reads[i].done(fixture.reads[i].arg, 0);
    }
    fixture.read_count = 0;
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    (void)ledger;
    (void)from_id;
    (void)limit;
    (void)each;
    assert_true(fixture.read_count < sizeof fixture.reads / sizeof fixture.reads[0]);
    fixture.reads[fixture.read_count].done = done;
    fixture.reads[fixture.read_count++].arg = arg;
    if (!fixture.commits_later) {
        commit();
    }
}

/* ---- the workers ---- */

void workers_set_sessions(struct workers *workers, const struct workers_sessions *sessions)
{
    (void)workers;
    fixture.told = *sessions;
}

void workers_set_unsubscribe(struct workers *workers, const struct text_list *unsubscribe)
{
    (void)workers;
    fixture.told.unsubscribe = *unsubscribe;
}

bool workers_has_unsubscribed(const struct workers *workers)
{
    (void)workers;
    return fixture.has_unsubscribed;
}

void workers_leave(struct workers *workers, const struct mqtt_session *session)
{
    (void)workers;
    fixture.left = *session;
}

void workers_adopt(struct workers *workers, const struct mqtt_session *session)
{
    (void)workers;
    fixture.adopted = *session;
}

void workers_abandon(struct workers *workers, const char *client_id, bool at_once)
{
    (void)workers;
    snprintf(fixture.abandoned, sizeof fixture.abandoned, "%s", client_id);
    fixture.is_abandoned_at_once = at_once;
}

void workers_start(struct workers *workers)
{
    (void)workers;
    fixture.has_started = true;
}

void workers_go_on(struct workers *workers, uint32_t generation)
{
    (void)workers;
    fixture.gone_on = generation;
}

void workers_end_session(struct workers *workers, const char *client_id)
{
    (void)workers;
    snprintf(fixture.ended, sizeof fixture.ended, "%s", client_id);
}

bool workers_may_publish(const struct workers *workers)
{
    (void)workers;
    return true;
}

void workers_publish(struct workers *workers, int64_t id, int64_t valid_until_ms,
                     struct slice message)
{
    assert_int_equal(valid_until_ms, 0);
    (void)workers;
    fixture.published_id = id;
    buf_append(&fixture.published, message);
}

/* ---- steps of a test ---- */

static void on_left(void *arg)
{
    (void)arg;
    fixture.has_left = true;
}

static void load(void)
{
    sessions_free(fixture.sessions);
    health_free(fixture.health);
    fixture.health = health_new(NULL);
    counter_set(&fixture.counters, COUNTER_SESSIONS_LOST, 0);
    fixture.sessions = sessions_new(NULL, &fixture.settings, fixture.is_leaving, NULL,
                                    fixture.health, &fixture.counters, &fixture.shown);
}

static void start(void)
{
    load();
    fixture.has_started = false;
    fixture.read_count = 0;
    fixture.write_count = 0;
    sessions_start(fixture.sessions, NULL, on_left, NULL);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    shared_text_init(&fixture.shown);
    fixture.has_unsubscribed = true;
    fixture.settings.instance = "host";
    fixture.settings.broker.client_id = "client";
    fixture.settings.topics.status = "status/{Instance}";
    fixture.topics[0] = "commands/start";
    fixture.route.topics = (struct text_list){fixture.topics, 1};
    fixture.settings.routes = &fixture.route;
    fixture.settings.route_count = 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    commit();
    sessions_free(fixture.sessions);
    health_free(fixture.health);
    buf_fini(&fixture.published);
    shared_text_fini(&fixture.shown);
    return 0;
}

static void connect_id(const char *client_id, bool is_present)
{
    static uint32_t generation;
    sessions_connected(fixture.sessions, client_id, is_present, ++generation);
    if (!fixture.commits_later) {
        assert_int_equal(fixture.gone_on, generation);
    }
}

static void open_session(bool is_present)
{
    connect_id("client-in", is_present);
}

static bool is_lost(void)
{
    return health_is_on(fixture.health, HEALTH_SESSION_LOST);
}

static int64_t lost_count(void)
{
    return counter_get(&fixture.counters, COUNTER_SESSIONS_LOST);
}

static bool is_draining(void)
{
    return health_is_on(fixture.health, HEALTH_DRAINING_SESSION);
}

static bool has_former(const char *client_id)
{
    for (size_t i = 0; i < fixture.told.former_count; i++) {
        if (strcmp(fixture.told.former[i].client_id, client_id) == 0) {
            return true;
        }
    }
    return false;
}

static bool unsubscribes(const struct text_list *list, const char *filter)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], filter) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what is listed ---- */

static void test_a_session_is_durable_in_the_ledger_before_anything_connects(void **state)
{
    (void)state;
    fixture.commits_later = true;
    start();
    assert_non_null(value_of("broker.session:client-in"));
    assert_non_null(value_of("broker.filter:client-in\ncommands/start"));
    assert_non_null(value_of("broker.status:status/host"));
    assert_false(fixture.has_started);
    commit();
    assert_true(fixture.has_started);
}

static void test_a_start_without_news_writes_nothing_and_waits_for_nothing(void **state)
{
    (void)state;
    start();
    fixture.commits_later = true;
    start();
    assert_int_equal(fixture.write_count, 0);
    assert_true(fixture.has_started);
}

static void test_a_former_filter_is_listed_until_it_is_unsubscribed(void **state)
{
    (void)state;
    start();
    fixture.topics[0] = "commands/other";
    start();
    assert_int_equal(fixture.told.unsubscribe.count, 1);
    assert_string_equal(fixture.told.unsubscribe.items[0], "commands/start");
    assert_non_null(value_of("broker.filter:client-in\ncommands/start"));
    assert_non_null(value_of("broker.filter:client-in\ncommands/other"));
    sessions_receiver_changed(fixture.sessions, true);
    assert_null(value_of("broker.filter:client-in\ncommands/start"));
    assert_non_null(value_of("broker.filter:client-in\ncommands/other"));
    start();
    assert_int_equal(fixture.told.unsubscribe.count, 0);
}

static void test_a_share_is_another_filter(void **state)
{
    (void)state;
    fixture.route.share = "blue";
    start();
    assert_non_null(value_of("broker.filter:client-in\n$share/blue/commands/start"));
    fixture.route.share = "";
    start();
    assert_string_equal(fixture.told.unsubscribe.items[0], "$share/blue/commands/start");
}

/* ---- other settings while it runs ---- */

static void on_ready(void *arg)
{
    ++*(int *)arg;
}

static void test_new_filters_are_durable_before_the_settings_change(void **state)
{
    (void)state;
    int ready_count = 0;
    start();
    struct settings next = fixture.settings;
    struct route route = fixture.route;
    char *topics[] = {"commands/other"};
    route.topics = (struct text_list){topics, 1};
    next.routes = &route;
    fixture.commits_later = true;
    sessions_prepare(fixture.sessions, &next, on_ready, &ready_count);
    assert_non_null(value_of("broker.filter:client-in\ncommands/other"));
    fake_timers_advance(0);
    assert_int_equal(ready_count, 0);
    commit();
    assert_int_equal(ready_count, 1);
    fixture.settings.routes = &route;
    sessions_settings_changed(fixture.sessions);
    assert_int_equal(fixture.told.unsubscribe.count, 1);
    assert_string_equal(fixture.told.unsubscribe.items[0], "commands/start");
    /* A receiver that was started before comes up: it has not unsubscribed. */
    fixture.has_unsubscribed = false;
    sessions_receiver_changed(fixture.sessions, true);
    assert_non_null(value_of("broker.filter:client-in\ncommands/start"));
    fixture.has_unsubscribed = true;
    sessions_receiver_changed(fixture.sessions, true);
    assert_null(value_of("broker.filter:client-in\ncommands/start"));
    assert_non_null(value_of("broker.filter:client-in\ncommands/other"));
}

static void test_settings_without_new_filters_wait_for_no_commit(void **state)
{
    (void)state;
    int ready_count = 0;
    start();
    fixture.commits_later = true;
    fixture.write_count = 0;
    sessions_prepare(fixture.sessions, &fixture.settings, on_ready, &ready_count);
    assert_int_equal(ready_count, 0);
    fake_timers_advance(0);
    assert_int_equal(ready_count, 1);
    assert_int_equal(fixture.write_count, 0);
    sessions_settings_changed(fixture.sessions);
    assert_int_equal(fixture.told.unsubscribe.count, 0);
}

/* A filter that is named, not named and named again is never forgotten while it is subscribed. */
static void test_a_filter_that_comes_back_is_listed_again(void **state)
{
    (void)state;
    static char *const topics[] = {"commands/other", "commands/start"};
    int ready_count = 0;
    start();
    for (size_t i = 0; i < 2; i++) {
        fixture.topics[0] = topics[i];
        sessions_prepare(fixture.sessions, &fixture.settings, on_ready, &ready_count);
        fake_timers_advance(0);
        sessions_settings_changed(fixture.sessions);
        sessions_receiver_changed(fixture.sessions, true);
    }
    assert_int_equal(ready_count, 2);
    assert_non_null(value_of("broker.filter:client-in\ncommands/start"));
    assert_null(value_of("broker.filter:client-in\ncommands/other"));
}

static void test_a_bridge_that_leaves_while_it_runs_drains_its_own_session(void **state)
{
    (void)state;
    start();
    open_session(true);
    sessions_receiver_changed(fixture.sessions, true);
    assert_true(sessions_leave(fixture.sessions));
    assert_false(sessions_leave(fixture.sessions));
    assert_string_equal(fixture.left.client_id, "client-in");
    assert_int_equal(fixture.left.use, MQTT_SESSION_DRAIN);
    assert_true(unsubscribes(&fixture.left.unsubscribe, "commands/start"));
    assert_true(is_draining());
    sessions_receiver_changed(fixture.sessions, false);
    sessions_settings_changed(fixture.sessions); /* a reload meanwhile */
    connect_id("client-in", true);
    assert_false(is_lost());
    sessions_drained(fixture.sessions, "client-in");
    assert_string_equal(fixture.ended, "client-in");
    assert_false(fixture.has_left);
    sessions_ended(fixture.sessions, "client-in");
    assert_true(fixture.has_left);
    assert_null(value_of("broker.session:client-in"));
    assert_null(value_of("broker.filter:client-in\ncommands/start"));
}

/* ---- what /status shows ---- */

static void assert_shown(const char *json)
{
    struct buf text = {0};
    shared_text_append_to(&fixture.shown, &text);
    assert_string_equal(text.data, json);
    buf_fini(&text);
}

static void test_each_session_is_shown_with_its_filters_and_its_state(void **state)
{
    (void)state;
    start();
    assert_shown("[{\"ClientId\":\"client-in\",\"Filters\":[\"commands/start\"],"
                 "\"State\":\"not_subscribed\"}]");
    open_session(false);
    fixture.settings.broker.client_id = "new";
    start();
    sessions_receiver_changed(fixture.sessions, true);
    assert_shown("[{\"ClientId\":\"new-in\",\"Filters\":[\"commands/start\"],"
                 "\"State\":\"subscribed\"},"
                 "{\"ClientId\":\"client-in\",\"Filters\":[\"commands/start\"],"
                 "\"State\":\"draining\"}]");
    sessions_drained(fixture.sessions, "client-in");
    sessions_receiver_changed(fixture.sessions, false);
    assert_shown("[{\"ClientId\":\"new-in\",\"Filters\":[\"commands/start\"],"
                 "\"State\":\"not_subscribed\"},"
                 "{\"ClientId\":\"client-in\",\"Filters\":[\"commands/start\"],"
                 "\"State\":\"ending\"}]");
    sessions_ended(fixture.sessions, "client-in");
    assert_shown("[{\"ClientId\":\"new-in\",\"Filters\":[\"commands/start\"],"
                 "\"State\":\"not_subscribed\"}]");
}

static void test_a_former_filter_is_shown_until_it_is_unsubscribed(void **state)
{
    (void)state;
    start();
    fixture.topics[0] = "commands/other";
    start();
    assert_shown("[{\"ClientId\":\"client-in\",\"Filters\":[\"commands/start\","
                 "\"commands/other\"],\"State\":\"not_subscribed\"}]");
    sessions_receiver_changed(fixture.sessions, true);
    assert_shown("[{\"ClientId\":\"client-in\",\"Filters\":[\"commands/other\"],"
                 "\"State\":\"subscribed\"}]");
}

/* ---- former sessions ---- */

static void test_a_session_with_another_client_id_is_drained_and_ended(void **state)
{
    (void)state;
    start();
    open_session(false);
    fixture.settings.broker.client_id = "new";
    start();
    assert_true(is_draining());
    assert_int_equal(fixture.told.former_count, 1);
    assert_string_equal(fixture.told.former[0].client_id, "client-in");
    assert_int_equal(fixture.told.former[0].use, MQTT_SESSION_DRAIN);
    assert_true(unsubscribes(&fixture.told.former[0].unsubscribe, "commands/start"));
    connect_id("client-in", true);
    connect_id("new-in", false);
    sessions_receiver_changed(fixture.sessions, true);
    assert_true(is_draining());
    fixture.commits_later = true;
    sessions_drained(fixture.sessions, "client-in");
    assert_string_equal(fixture.ended, "");
    commit();
    assert_string_equal(fixture.ended, "client-in");
    sessions_ended(fixture.sessions, "client-in");
    assert_false(is_draining());
    assert_false(is_lost());
    assert_null(value_of("broker.session:client-in"));
    assert_null(value_of("broker.filter:client-in\ncommands/start"));
    assert_non_null(value_of("broker.session:new-in"));
    start();
    assert_int_equal(fixture.told.former_count, 0);
}

static void test_a_crash_while_a_session_ends_is_no_loss(void **state)
{
    (void)state;
    start();
    open_session(false);
    fixture.settings.broker.client_id = "new";
    start();
    connect_id("client-in", true);
    sessions_drained(fixture.sessions, "client-in");
    start();
    assert_true(has_former("client-in"));
    connect_id("client-in", false);
    assert_false(is_lost());
}

static void test_a_former_session_that_is_gone_is_a_loss(void **state)
{
    (void)state;
    start();
    open_session(false);
    fixture.settings.broker.client_id = "new";
    start();
    connect_id("client-in", false);
    assert_true(is_lost());
}

static void test_sessions_of_several_receivers_are_drained_and_no_loss_if_absent(void **state)
{
    (void)state;
    ledger_remember(NULL, "session:0:client", 1);
    ledger_remember(NULL, "session:2:client", 1);
    ledger_remember(NULL, "session:0:other", 1);
    start();
    assert_int_equal(fixture.told.former_count, 3);
    assert_true(has_former("client-in-1"));
    assert_true(has_former("client-in-3"));
    assert_true(has_former("other-in"));
    assert_true(unsubscribes(&fixture.told.former[0].unsubscribe, "$share/client/commands/start"));
    assert_null(value_of("session:0:client"));
    assert_null(value_of("session:2:client"));
    connect_id("client-in", false);
    connect_id("client-in-1", false);
    connect_id("client-in-3", false);
    assert_false(is_lost());
    connect_id("other-in", false);
    assert_true(is_lost());
    start();
    assert_int_equal(fixture.told.former_count, 3);
}

static void test_a_single_receiver_of_a_former_version_keeps_its_session(void **state)
{
    (void)state;
    ledger_remember(NULL, "session:0:client", 1);
    start();
    assert_int_equal(fixture.told.former_count, 0);
    assert_false(is_draining());
    open_session(false);
    assert_true(is_lost());
}

static void test_a_former_status_is_cleared(void **state)
{
    (void)state;
    start();
    fixture.settings.instance = "new";
    start();
    assert_non_null(value_of("broker.status:status/host"));
    sessions_publisher_changed(fixture.sessions, true);
    fake_timers_advance(11000);
    assert_int_equal(fixture.published.length, 0);
    fake_timers_advance(1000);
    struct message message;
    assert_int_equal(message_decode(buf_slice(&fixture.published), &message), STATUS_OK);
    assert_true(slice_equals_text(message.topic, "status/host"));
    assert_int_equal(message.body.length, 0);
    assert_true(message.is_retained);
    assert_true(fixture.published_id < 0);
    sessions_published(fixture.sessions, fixture.published_id, false);
    assert_non_null(value_of("broker.status:status/host"));
    sessions_published(fixture.sessions, fixture.published_id, true);
    assert_null(value_of("broker.status:status/host"));
    assert_non_null(value_of("broker.status:status/new"));
}

static void test_a_bridge_that_leaves_has_only_former_sessions(void **state)
{
    (void)state;
    start();
    open_session(false);
    fixture.is_leaving = true;
    start();
    assert_true(fixture.told.is_leaving);
    assert_int_equal(fixture.told.former_count, 1);
    assert_false(fixture.has_left);
    connect_id("client-in", true);
    sessions_drained(fixture.sessions, "client-in");
    sessions_ended(fixture.sessions, "client-in");
    assert_true(fixture.has_left);
    fixture.has_left = false;
    start();
    assert_true(fixture.has_left);
}

/* ---- sessions of another bridge ---- */

static bool adopt(const char *client_id)
{
    char *filters[] = {"$share/all/commands/start"};
    char id[64];
    snprintf(id, sizeof id, "%s", client_id);
    const struct session_record found = {
        .client_id = id, .flags = SESSION_LISTED | SESSION_OPENED, .filters = {filters, 1}};
    ledger_remember_of(NULL, "dead", "broker.session:dead-in", found.flags);
    ledger_remember_of(NULL, "dead", "broker.filter:dead-in\n$share/all/commands/start", 1);
    return sessions_adopt(fixture.sessions, "dead", &found);
}

static void test_the_session_of_another_bridge_is_drained_and_ended_in_its_name(void **state)
{
    (void)state;
    start();
    assert_true(adopt("dead-in"));
    assert_string_equal(fixture.adopted.client_id, "dead-in");
    assert_int_equal(fixture.adopted.use, MQTT_SESSION_DRAIN);
    assert_true(unsubscribes(&fixture.adopted.unsubscribe, "$share/all/commands/start"));
    assert_true(is_draining());
    connect_id("dead-in", true);
    sessions_drained(fixture.sessions, "dead-in");
    assert_int_equal(*value_of("dead|broker.session:dead-in"), SESSION_LISTED);
    assert_string_equal(fixture.ended, "dead-in");
    sessions_ended(fixture.sessions, "dead-in");
    assert_null(value_of("dead|broker.session:dead-in"));
    assert_null(value_of("dead|broker.filter:dead-in\n$share/all/commands/start"));
    assert_non_null(value_of("broker.session:client-in"));
    assert_false(is_draining());
    assert_true(adopt("dead-in")); /* it came, and died once more */
}

static void test_an_abandoned_session_stays_in_the_ledger(void **state)
{
    (void)state;
    start();
    assert_true(adopt("dead-in"));
    sessions_abandon(fixture.sessions, "dead-in", false);
    assert_string_equal(fixture.abandoned, "dead-in");
    assert_false(fixture.is_abandoned_at_once);
    sessions_abandon(fixture.sessions, "dead-in", true);
    assert_true(fixture.is_abandoned_at_once);
    assert_true(is_draining());
    sessions_ended(fixture.sessions, "dead-in");
    assert_false(is_draining());
    assert_non_null(value_of("dead|broker.session:dead-in"));
    assert_non_null(value_of("dead|broker.filter:dead-in\n$share/all/commands/start"));
}

static void test_a_bridge_adopts_neither_its_own_client_id_nor_anything_while_it_leaves(
    void **state)
{
    (void)state;
    start();
    assert_false(adopt("client-in"));
    sessions_leave(fixture.sessions);
    assert_false(adopt("dead-in"));
    assert_null(fixture.adopted.client_id);
}

/* ---- the instance ---- */

static void test_an_instance_is_made_once(void **state)
{
    (void)state;
    char made[64];
    load();
    snprintf(made, sizeof made, "%s", sessions_instance(fixture.sessions));
    assert_int_equal(strlen(made), strlen("host-") + 6);
    assert_memory_equal(made, "host-", 5);
    fixture.settings.instance = made;
    sessions_start(fixture.sessions, NULL, on_left, NULL);
    fixture.settings.instance = "another-host";
    load();
    assert_string_equal(sessions_instance(fixture.sessions), made);
}

static void test_a_ledger_of_a_former_version_keeps_the_host_name(void **state)
{
    (void)state;
    ledger_remember(NULL, "session:0:ecs-mqtt-bridge-host", 1);
    load();
    assert_string_equal(sessions_instance(fixture.sessions), "host");
    sessions_start(fixture.sessions, NULL, on_left, NULL);
    fixture.settings.instance = "another-host";
    load();
    assert_string_equal(sessions_instance(fixture.sessions), "host");
}

/* ---- losses ---- */

static void test_the_first_session_is_no_loss(void **state)
{
    (void)state;
    start();
    open_session(false);
    assert_false(is_lost());
}

static void test_a_kept_session_is_no_loss(void **state)
{
    (void)state;
    start();
    open_session(false);
    open_session(true);
    assert_false(is_lost());
}

static void test_a_session_the_broker_should_have_kept_is_a_loss(void **state)
{
    (void)state;
    int64_t before_ms = clock_wall_ms();
    start();
    open_session(false);
    open_session(false);
    assert_true(is_lost());
    assert_int_equal(lost_count(), 1);
    assert_in_range(*value_of("session.lost_at_ms"), before_ms, clock_wall_ms());
}

static void test_a_loss_is_durable_before_the_receiver_goes_on(void **state)
{
    (void)state;
    start();
    open_session(false);
    fixture.gone_on = 0;
    fixture.commits_later = true;
    open_session(false);
    assert_non_null(value_of("session.lost_at_ms"));
    assert_int_equal(fixture.gone_on, 0);
    commit();
    assert_int_not_equal(fixture.gone_on, 0);
}

static void test_a_loss_over_a_restart_is_noticed(void **state)
{
    (void)state;
    start();
    open_session(false);
    start();
    open_session(false);
    assert_true(is_lost());
}

static void test_losses_are_counted_over_restarts(void **state)
{
    (void)state;
    start();
    open_session(false);
    open_session(false);
    open_session(true);
    start();
    assert_int_equal(lost_count(), 1);
    open_session(false);
    assert_int_equal(lost_count(), 2);
    start();
    assert_int_equal(lost_count(), 2);
}

static void test_a_broker_that_never_has_a_session_is_reported_once(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 5; i++) {
        open_session(false);
    }
    start();
    open_session(false);
    assert_int_equal(lost_count(), 1);
    open_session(true);
    open_session(false);
    assert_int_equal(lost_count(), 2);
}

static void test_another_client_id_has_no_session_to_lose(void **state)
{
    (void)state;
    start();
    open_session(false);
    fixture.settings.broker.client_id = "other";
    start();
    connect_id("other-in", false);
    assert_false(is_lost());
}

static void test_a_loss_is_reported_again_after_a_restart(void **state)
{
    (void)state;
    ledger_remember(NULL, "session.lost_at_ms", LOST_AT_MS);
    start();
    assert_int_equal(health_since_ms(fixture.health, HEALTH_SESSION_LOST), LOST_AT_MS);
}

static void test_of_several_losses_the_first_time_is_kept(void **state)
{
    (void)state;
    ledger_remember(NULL, "session.lost_at_ms", LOST_AT_MS);
    start();
    open_session(false);
    open_session(false);
    assert_int_equal(health_since_ms(fixture.health, HEALTH_SESSION_LOST), LOST_AT_MS);
    assert_int_equal(*value_of("session.lost_at_ms"), LOST_AT_MS);
    assert_int_equal(lost_count(), 1);
}

static void test_the_reason_ends_after_its_time_and_the_time_of_the_loss_stays(void **state)
{
    (void)state;
    fixture.settings.broker.session_lost_hold_s = 3600;
    int64_t long_ago_ms = clock_wall_ms() - 3600000;
    ledger_remember(NULL, "session.lost_at_ms", long_ago_ms);
    ledger_remember(NULL, "session.lost_last_at_ms", long_ago_ms + 60000);
    start();
    assert_true(is_lost());
    ledger_remember(NULL, "session.lost_last_at_ms", long_ago_ms);
    start();
    assert_false(is_lost());
    assert_int_equal(health_last_since_ms(fixture.health, HEALTH_SESSION_LOST), long_ago_ms);
}

static void test_an_acknowledged_loss_is_over_also_after_a_restart(void **state)
{
    (void)state;
    ledger_remember(NULL, "session.lost_at_ms", LOST_AT_MS);
    start();
    sessions_acknowledge_loss(fixture.sessions);
    assert_false(is_lost());
    start();
    assert_false(is_lost());
    assert_int_equal(health_last_since_ms(fixture.health, HEALTH_SESSION_LOST), LOST_AT_MS);
}

static void test_an_acknowledgement_without_a_loss_changes_nothing(void **state)
{
    (void)state;
    start();
    fixture.write_count = 0;
    sessions_acknowledge_loss(fixture.sessions);
    assert_int_equal(fixture.write_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_session_is_durable_in_the_ledger_before_anything_connects),
        TEST(test_a_start_without_news_writes_nothing_and_waits_for_nothing),
        TEST(test_a_former_filter_is_listed_until_it_is_unsubscribed),
        TEST(test_new_filters_are_durable_before_the_settings_change),
        TEST(test_settings_without_new_filters_wait_for_no_commit),
        TEST(test_a_filter_that_comes_back_is_listed_again),
        TEST(test_a_bridge_that_leaves_while_it_runs_drains_its_own_session),
        TEST(test_a_share_is_another_filter),
        TEST(test_each_session_is_shown_with_its_filters_and_its_state),
        TEST(test_a_former_filter_is_shown_until_it_is_unsubscribed),
        TEST(test_a_session_with_another_client_id_is_drained_and_ended),
        TEST(test_a_crash_while_a_session_ends_is_no_loss),
        TEST(test_a_former_session_that_is_gone_is_a_loss),
        TEST(test_sessions_of_several_receivers_are_drained_and_no_loss_if_absent),
        TEST(test_a_single_receiver_of_a_former_version_keeps_its_session),
        TEST(test_a_former_status_is_cleared),
        TEST(test_a_bridge_that_leaves_has_only_former_sessions),
        TEST(test_the_session_of_another_bridge_is_drained_and_ended_in_its_name),
        TEST(test_an_abandoned_session_stays_in_the_ledger),
        TEST(test_a_bridge_adopts_neither_its_own_client_id_nor_anything_while_it_leaves),
        TEST(test_an_instance_is_made_once),
        TEST(test_a_ledger_of_a_former_version_keeps_the_host_name),
        TEST(test_the_first_session_is_no_loss),
        TEST(test_a_kept_session_is_no_loss),
        TEST(test_a_session_the_broker_should_have_kept_is_a_loss),
        TEST(test_a_loss_is_durable_before_the_receiver_goes_on),
        TEST(test_a_loss_over_a_restart_is_noticed),
        TEST(test_losses_are_counted_over_restarts),
        TEST(test_a_broker_that_never_has_a_session_is_reported_once),
        TEST(test_another_client_id_has_no_session_to_lose),
        TEST(test_a_loss_is_reported_again_after_a_restart),
        TEST(test_of_several_losses_the_first_time_is_kept),
        TEST(test_the_reason_ends_after_its_time_and_the_time_of_the_loss_stays),
        TEST(test_an_acknowledged_loss_is_over_also_after_a_restart),
        TEST(test_an_acknowledgement_without_a_loss_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
