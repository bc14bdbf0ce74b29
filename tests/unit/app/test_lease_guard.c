/* What a bridge does when its lease ends, comes back or is lost. The other parts are fakes. */
#include "app/lease_guard.h"

#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LEASE_MS (LEASE_MARGIN_MS + 600000)

static struct {
    int killed_fd;
    struct loop *loop;
    struct lease lease;
    struct lease_guard *guard;
    struct loop_timer *timer;
    bool is_held;
    unsigned regained_count;
    unsigned changed_count;
    unsigned due_count;
    bool was_held; /* when the timer was due */
} fixture;

/* ---- the parts ---- */

void dispatch_hold(struct dispatch *dispatch, bool is_held)
{
    (void)dispatch;
    fixture.is_held = is_held;
}

void outbox_lease_regained(struct outbox *outbox)
{
    (void)outbox;
    fixture.regained_count++;
}

/* Only the process that ends calls it. */
void workers_kill(struct workers *workers)
{
    (void)workers;
    if (write(fixture.killed_fd, "k", 1) != 1) {
        abort();
    }
}

static void on_changed(void *arg)
{
    (void)arg;
    fixture.changed_count++;
}

static void on_due(void *arg)
{
    (void)arg;
    fixture.due_count++;
    fixture.was_held = fixture.is_held;
    loop_stop(fixture.loop);
}

/* ---- steps ---- */

static void renew_at(int64_t sent_ms)
{
    lease_renewed(&fixture.lease, sent_ms, LEASE_MS);
}

/* One more callback of the loop. */
static void turn(void)
{
    unsigned count = fixture.due_count;
    loop_timer_start(fixture.timer, 0);
    loop_run(fixture.loop);
    assert_int_equal(fixture.due_count, count + 1);
}

static int set_up(void **state)
{
    (void)state;
    fixture.loop = loop_new();
    lease_init(&fixture.lease);
    lease_begin(&fixture.lease);
    fixture.regained_count = 0;
    fixture.changed_count = 0;
    fixture.timer = loop_timer_new(fixture.loop, on_due, NULL);
    return 0;
}

static void make_guard(void)
{
    const struct lease_guard_parts parts = {.lease = &fixture.lease, .changed = on_changed};
    fixture.guard = lease_guard_new(fixture.loop, &parts);
}

static int tear_down(void **state)
{
    (void)state;
    lease_guard_free(fixture.guard);
    fixture.guard = NULL;
    loop_timer_free(fixture.timer);
    loop_free(fixture.loop);
    return 0;
}

static void test_calls_are_held_until_there_is_a_lease(void **state)
{
    (void)state;
    make_guard();
    assert_true(fixture.is_held);
    turn();
    assert_true(fixture.was_held);
    renew_at(clock_boot_ms());
    turn();
    assert_false(fixture.was_held);
    assert_int_equal(fixture.regained_count, 1);
}

static void test_a_callback_after_the_lease_has_ended_finds_calls_held(void **state)
{
    (void)state;
    renew_at(clock_boot_ms());
    make_guard();
    assert_false(fixture.is_held);
    turn();
    assert_false(fixture.was_held);
    unsigned count = fixture.changed_count;
    renew_at(clock_boot_ms() - LEASE_MS); /* as if so much time had passed */
    turn();
    assert_true(fixture.was_held);
    assert_int_equal(fixture.changed_count, count + 1);
    renew_at(clock_boot_ms());
    turn();
    assert_false(fixture.was_held);
    assert_int_equal(fixture.changed_count, count + 2);
}

static void test_a_bridge_without_its_lease_ends_before_the_next_callback(void **state)
{
    (void)state;
    int ends[2];
    char text[8];
    int status = 0;
    assert_int_equal(pipe(ends), 0);
    fixture.killed_fd = ends[1];
    renew_at(clock_boot_ms());
    make_guard();
    pid_t pid = fork();
    if (pid == 0) {
        lease_lose(&fixture.lease);
        loop_timer_start(fixture.timer, 0);
        loop_run(fixture.loop);
        _exit(fixture.due_count == 0 ? 1 : 2);
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), LEASE_GUARD_EXIT);
    assert_int_equal(read(ends[0], text, sizeof text), 1); /* the MQTT processes were killed */
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_calls_are_held_until_there_is_a_lease),
        TEST(test_a_callback_after_the_lease_has_ended_finds_calls_held),
        TEST(test_a_bridge_without_its_lease_ends_before_the_next_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
