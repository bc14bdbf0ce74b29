#include "lease_guard.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <unistd.h>

/* Without any other callback the lease is checked so often. */
#define CHECK_MS 500

struct lease_guard {
    struct loop *loop;
    struct loop_timer *timer;
    struct lease_guard_parts parts;
};

static void lose(const struct lease_guard *guard)
{
    LOG_ERROR("lease_lost", LOG_INT("exit_code", LEASE_GUARD_EXIT));
    workers_kill(guard->parts.workers);
    (void)log_flush();
    _exit(LEASE_GUARD_EXIT);
}

static void follow(struct lease_guard *guard)
{
    bool is_valid = guard->parts.lease->is_valid;
    dispatch_hold(guard->parts.dispatch, !is_valid);
    if (is_valid) {
        outbox_lease_regained(guard->parts.outbox);
    }
    guard->parts.changed(guard->parts.arg);
}

static void check(void *arg)
{
    struct lease_guard *guard = arg;
    int64_t now_ms = clock_boot_ms();
    int64_t until_ms = lease_valid_until_ms(guard->parts.lease);
    switch (lease_check(guard->parts.lease, now_ms)) {
    case LEASE_SAME:
        break;
    case LEASE_LAPSED:
        LOG_WARN("lease_lapsed", LOG_INT("ago_ms", now_ms - until_ms));
        follow(guard);
        break;
    case LEASE_REGAINED:
        LOG_INFO("lease_valid", LOG_INT("left_ms", until_ms - now_ms));
        follow(guard);
        break;
    case LEASE_LOST:
        lose(guard);
        break;
    }
}

static void due(void *arg)
{
    struct lease_guard *guard = arg; /* checked before this callback, like before every other */
    loop_timer_start(guard->timer, CHECK_MS);
}

struct lease_guard *lease_guard_new(struct loop *loop, const struct lease_guard_parts *parts)
{
    struct lease_guard *guard = mem_zalloc(1, sizeof *guard);
    guard->loop = loop;
    guard->parts = *parts;
    guard->timer = loop_timer_new(loop, due, guard);
    (void)lease_check(parts->lease, clock_boot_ms());
    follow(guard);
    loop_call_first(loop, check, guard);
    due(guard);
    return guard;
}

void lease_guard_free(struct lease_guard *guard)
{
    if (guard != NULL) {
        loop_call_first(guard->loop, NULL, NULL);
        loop_timer_free(guard->timer);
        free(guard);
    }
}
