/* Two lists of suspended calls: those with a time, soonest first, and those without. */
#include "park.h"

#include <assert.h>
#include <sys/epoll.h>
#include <utlist.h>

static struct call *timed;
static struct call *timeless;
static int watch_epoll = -1;
static bool has_resumed;

void park_init(int epoll)
{
    watch_epoll = epoll;
}

/* From the end, since most waits are of one length and so arrive in order. */
static void insert_timed(struct call *call)
{
    struct call *before = timed ? timed->park_prev : NULL;
    while (before && before->due_ms > call->due_ms) {
        before = before == timed ? NULL : before->park_prev;
    }
    if (before) {
        DL_APPEND_ELEM2(timed, before, call, park_prev, park_next);
    } else {
        DL_PREPEND2(timed, call, park_prev, park_next);
    }
}

void park_call(struct call *call, int64_t due_ms, bool is_watched)
{
    assert(!call->is_parked);
    call->is_parked = true;
    call->due_ms = due_ms;
    if (due_ms == PARK_FOREVER) {
        DL_APPEND2(timeless, call, park_prev, park_next);
    } else {
        insert_timed(call);
    }
    MHD_suspend_connection(call->connection);
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = call};
    call->is_watched =
        is_watched && epoll_ctl(watch_epoll, EPOLL_CTL_ADD, call->socket, &event) == 0;
}

void park_resume(struct call *call)
{
    if (!call->is_parked) {
        return;
    }
    call->is_parked = false;
    if (call->due_ms == PARK_FOREVER) {
        DL_DELETE2(timeless, call, park_prev, park_next);
    } else {
        DL_DELETE2(timed, call, park_prev, park_next);
    }
    if (call->is_watched) {
        epoll_ctl(watch_epoll, EPOLL_CTL_DEL, call->socket, NULL);
        call->is_watched = false;
    }
    MHD_resume_connection(call->connection);
    has_resumed = true;
}

void park_resume_due(int64_t now_ms)
{
    while (timed && timed->due_ms <= now_ms) {
        park_resume(timed);
    }
}

void park_resume_hanging(void)
{
    struct call *call = NULL;
    struct call *next = NULL;
    DL_FOREACH_SAFE2(timeless, call, next, park_next)
    {
        if (call->step == CALL_HANGING) {
            park_resume(call);
        }
    }
}

void park_resume_all(void)
{
    while (timed) {
        park_resume(timed);
    }
    while (timeless) {
        park_resume(timeless);
    }
}

int park_wait_ms(int64_t now_ms)
{
    if (has_resumed) {
        return 0;
    }
    if (!timed) {
        return -1;
    }
    int64_t wait_ms = timed->due_ms - now_ms;
    return wait_ms < 0 ? 0 : wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms;
}

void park_forget_resumed(void)
{
    has_resumed = false;
}
