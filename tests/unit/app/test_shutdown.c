/* The steps of a stop, with parts that only note what was asked of them, on timers that the test
 * moves. */
#include "app/shutdown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/fakes/fake_timers.h"

static struct {
    struct health *health;
    struct shutdown *shutdown;
    struct shutdown_parts parts;
    struct buf asked; /* what the parts were asked for, in order */
    loop_fn *calls_done;
    loop_fn *replies_done;
    loop_fn *status_done;
    loop_fn *audit_done;
    loop_fn *traces_done;
    ledger_read_fn *commit_done;
} fixture;

static void note(const char *text)
{
    buf_append_text(&fixture.asked, fixture.asked.length > 0 ? " " : "");
    buf_append_text(&fixture.asked, text);
}

/* ---- the parts ---- */

void intake_stop(struct intake *intake)
{
    (void)intake;
    note("intake");
}

void workers_stop_intake(struct workers *workers)
{
    (void)workers;
    note("receivers");
}

void dispatch_stop(struct dispatch *dispatch, loop_fn *idle, void *arg)
{
    (void)dispatch;
    assert_ptr_equal(arg, fixture.shutdown);
    fixture.calls_done = idle;
    note("calls");
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    (void)ledger;
    (void)from_id;
    (void)limit;
    (void)each;
    assert_ptr_equal(arg, fixture.shutdown);
    fixture.commit_done = done;
    note("commit");
}

void outbox_flush(struct outbox *outbox, loop_fn *done, void *arg)
{
    (void)outbox;
    assert_ptr_equal(arg, fixture.shutdown);
    fixture.replies_done = done;
    note("replies");
}

void status_topic_flush(struct status_topic *status_topic, loop_fn *done, void *arg)
{
    (void)status_topic;
    assert_ptr_equal(arg, fixture.shutdown);
    assert_int_equal(health_state(fixture.health), HEALTH_OFFLINE);
    fixture.status_done = done;
    note("status");
}

void exporter_flush(struct exporter *exporter, loop_fn *done, void *arg)
{
    (void)exporter;
    assert_ptr_equal(arg, fixture.shutdown);
    fixture.audit_done = done;
    note("audit");
}

void traces_flush(struct traces *traces, loop_fn *done, void *arg)
{
    (void)traces;
    assert_ptr_equal(arg, fixture.shutdown);
    fixture.traces_done = done;
    note("traces");
}

void workers_stop(struct workers *workers, int64_t timeout_ms)
{
    (void)workers;
    assert_true(timeout_ms > 0);
    note("mqtt");
}

void loop_stop(struct loop *loop)
{
    (void)loop;
    note("loop");
}

/* ---- steps of a test ---- */

static int set_up(void **state)
{
    static char exporter; /* only passed on */
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.health = health_new(NULL);
    fixture.shutdown = shutdown_new(NULL);
    fixture.parts.health = fixture.health;
    fixture.parts.exporter = (struct exporter *)(void *)&exporter;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shutdown_free(fixture.shutdown);
    health_free(fixture.health);
    buf_fini(&fixture.asked);
    assert_int_equal(fake_timers_count(), 0);
    return 0;
}

static void begin(void)
{
    shutdown_begin(fixture.shutdown, &fixture.parts);
}

/* What was asked for since the last such check. */
static void assert_asked(const char *text)
{
    assert_string_equal(fixture.asked.length == 0 ? "" : fixture.asked.data, text);
    buf_clear(&fixture.asked);
}

/* ---- tests ---- */

static void test_each_step_begins_when_the_one_before_is_done(void **state)
{
    (void)state;
    assert_false(shutdown_has_begun(fixture.shutdown));
    begin();
    assert_true(shutdown_has_begun(fixture.shutdown));
    assert_asked("intake receivers calls");
    fixture.calls_done(fixture.shutdown);
    assert_asked("commit");
    fixture.commit_done(fixture.shutdown, 0);
    assert_asked("replies");
    assert_int_not_equal(health_state(fixture.health), HEALTH_OFFLINE);
    fixture.replies_done(fixture.shutdown);
    assert_asked("status");
    fixture.status_done(fixture.shutdown);
    assert_asked("audit");
    fixture.audit_done(fixture.shutdown);
    assert_asked("traces");
    fixture.traces_done(fixture.shutdown);
    assert_asked("mqtt");
    shutdown_workers_stopped(fixture.shutdown);
    assert_asked("loop");
}

static void test_without_an_audit_file_its_step_is_left_out(void **state)
{
    (void)state;
    fixture.parts.exporter = NULL;
    begin();
    fixture.calls_done(fixture.shutdown);
    fixture.commit_done(fixture.shutdown, 0);
    fixture.replies_done(fixture.shutdown);
    fixture.status_done(fixture.shutdown);
    assert_asked("intake receivers calls commit replies status traces");
}

static void test_steps_that_never_end_take_less_than_ten_seconds(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 9999; i++) {
        fake_timers_advance(1);
    }
    assert_asked("intake receivers calls commit replies status audit traces mqtt loop");
}

static void test_a_step_that_ends_too_late_changes_nothing(void **state)
{
    (void)state;
    begin();
    shutdown_skip_step(fixture.shutdown);
    assert_asked("intake receivers calls commit");
    fixture.calls_done(fixture.shutdown);
    assert_asked("");
    fixture.commit_done(fixture.shutdown, 0);
    assert_asked("replies");
}

static void test_workers_that_end_before_their_step_change_nothing(void **state)
{
    (void)state;
    shutdown_workers_stopped(fixture.shutdown);
    assert_asked("");
    begin();
    shutdown_workers_stopped(fixture.shutdown);
    assert_asked("intake receivers calls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_each_step_begins_when_the_one_before_is_done),
        TEST(test_without_an_audit_file_its_step_is_left_out),
        TEST(test_steps_that_never_end_take_less_than_ten_seconds),
        TEST(test_a_step_that_ends_too_late_changes_nothing),
        TEST(test_workers_that_end_before_their_step_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
