/* Lost sessions, with a ledger that keeps its values in the test. */
#include "app/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define VALUES_MAX 8
#define LOST_AT_MS INT64_C(1767323045123)

static struct {
    struct settings settings;
    struct loop *loop;
    struct health *health;
    struct counters counters;
    struct sessions *sessions;
    struct {
        char key[64];
        int64_t value;
    } values[VALUES_MAX];
    size_t value_count;
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

void ledger_remember(struct ledger *ledger, const char *key, int64_t value)
{
    (void)ledger;
    int64_t *kept = value_of(key);
    if (kept == NULL) {
        assert_true(fixture.value_count < VALUES_MAX);
        snprintf(fixture.values[fixture.value_count].key, sizeof fixture.values[0].key, "%s", key);
        kept = &fixture.values[fixture.value_count++].value;
    }
    *kept = value;
}

int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise)
{
    (void)ledger;
    const int64_t *kept = value_of(key);
    return kept == NULL ? otherwise : *kept;
}

/* ---- steps of a test ---- */

static void start(void)
{
    sessions_free(fixture.sessions);
    health_free(fixture.health);
    fixture.health = health_new(fixture.loop);
    fixture.sessions = sessions_new(&fixture.settings, NULL, fixture.health, &fixture.counters);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.settings.broker.client_id = "client";
    fixture.loop = loop_new();
    start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sessions_free(fixture.sessions);
    health_free(fixture.health);
    loop_free(fixture.loop);
    return 0;
}

static void open_session(bool is_present)
{
    sessions_opened(fixture.sessions, "client-in", is_present);
}

static bool is_lost(void)
{
    return health_is_on(fixture.health, HEALTH_SESSION_LOST);
}

/* Starts again; returns what was logged meanwhile. */
static struct buf log_of_start(void)
{
    struct buf log = {0};
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_non_null(file);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    start();
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    close(kept);
    rewind(file);
    for (int byte; (byte = fgetc(file)) != EOF;) {
        buf_append_char(&log, (char)byte);
    }
    fclose(file);
    return log;
}

/* ---- tests ---- */

static void test_the_first_session_is_no_loss(void **state)
{
    (void)state;
    open_session(false);
    assert_false(is_lost());
}

static void test_a_kept_session_is_no_loss(void **state)
{
    (void)state;
    open_session(false);
    open_session(true);
    assert_false(is_lost());
}

static void test_a_session_the_broker_should_have_kept_is_a_loss(void **state)
{
    (void)state;
    int64_t before_ms = clock_wall_ms();
    open_session(false);
    open_session(false);
    assert_true(is_lost());
    assert_int_equal(counter_get(&fixture.counters, COUNTER_SESSIONS_LOST), 1);
    assert_in_range(*value_of("session.lost_at_ms"), before_ms, clock_wall_ms());
}

static void test_a_loss_over_a_restart_is_noticed(void **state)
{
    (void)state;
    open_session(false);
    start();
    open_session(false);
    assert_true(is_lost());
}

static void test_another_client_id_has_no_session_to_lose(void **state)
{
    (void)state;
    open_session(false);
    fixture.settings.broker.client_id = "other";
    start();
    open_session(false);
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
    open_session(false);
    start();
    open_session(false);
    assert_int_equal(health_since_ms(fixture.health, HEALTH_SESSION_LOST), LOST_AT_MS);
    assert_int_equal(*value_of("session.lost_at_ms"), LOST_AT_MS);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_SESSIONS_LOST), 1);
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
}

static void test_an_acknowledgement_without_a_loss_changes_nothing(void **state)
{
    (void)state;
    sessions_acknowledge_loss(fixture.sessions);
    assert_int_equal(fixture.value_count, 0);
}

static void test_sessions_of_several_receivers_are_reported_and_stay_recorded(void **state)
{
    (void)state;
    ledger_remember(NULL, "session:0:client", 1);
    ledger_remember(NULL, "session:2:client", 1);
    ledger_remember(NULL, "session:1:other", 1);
    for (int i = 0; i < 2; i++) {
        struct buf log = log_of_start();
        assert_non_null(strstr(log.data, "event=former_session client_id=client-in-1\n"));
        assert_non_null(strstr(log.data, "event=former_session client_id=client-in-3\n"));
        assert_null(strstr(log.data, "client-in-2"));
        assert_null(strstr(log.data, "other"));
        buf_fini(&log);
        open_session(i > 0);
        assert_true(is_lost()); /* what is in the former sessions does not arrive */
    }
    assert_int_equal(*value_of("session:0:client"), 1);
    assert_int_equal(*value_of("session:2:client"), 1);
}

static void test_a_single_receiver_left_no_former_session(void **state)
{
    (void)state;
    ledger_remember(NULL, "session:0:client", 1);
    struct buf log = log_of_start();
    assert_int_equal(log.length, 0);
    buf_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_the_first_session_is_no_loss),
        TEST(test_a_kept_session_is_no_loss),
        TEST(test_a_session_the_broker_should_have_kept_is_a_loss),
        TEST(test_a_loss_over_a_restart_is_noticed),
        TEST(test_another_client_id_has_no_session_to_lose),
        TEST(test_a_loss_is_reported_again_after_a_restart),
        TEST(test_of_several_losses_the_first_time_is_kept),
        TEST(test_an_acknowledged_loss_is_over_also_after_a_restart),
        TEST(test_an_acknowledgement_without_a_loss_changes_nothing),
        TEST(test_sessions_of_several_receivers_are_reported_and_stay_recorded),
        TEST(test_a_single_receiver_left_no_former_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
