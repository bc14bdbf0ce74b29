#include "support/fakes/fake_timers.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

struct loop_timer {
    struct loop_timer *prev;
    struct loop_timer *next;
    loop_fn *due;
    void *arg;
    bool is_running;
    int64_t due_ms;
    uint64_t started; /* the order of starts decides between two that are due at once */
};

static struct {
    struct loop_timer *timers;
    int64_t now_ms;
    uint64_t starts;
} fake;

int64_t loop_now_ms(struct loop *loop)
{
    (void)loop;
    return fake.now_ms;
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *due, void *arg)
{
    struct loop_timer *timer = mem_zalloc(1, sizeof *timer);
    assert(loop == NULL);
    timer->due = due;
    timer->arg = arg;
    DL_APPEND(fake.timers, timer);
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    timer->is_running = true;
    timer->due_ms = fake.now_ms + delay_ms;
    timer->started = fake.starts++;
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer->is_running = false;
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
    return timer->is_running;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer != NULL) {
        DL_DELETE(fake.timers, timer);
        free(timer);
    }
}

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->started < b->started;
}

/* The first timer due until `end_ms`, among those that were running at `begin_ms` or are due later.
 */
static struct loop_timer *first_due(int64_t begin_ms, int64_t end_ms, uint64_t starts)
{
    struct loop_timer *timer;
    struct loop_timer *first = NULL;
    DL_FOREACH (fake.timers, timer) {
        bool is_due = timer->is_running && timer->due_ms <= end_ms &&
                      (timer->due_ms > begin_ms || timer->started < starts);
        if (is_due && (first == NULL || is_before(timer, first))) {
            first = timer;
        }
    }
    return first;
}

void fake_timers_advance(int64_t ms)
{
    int64_t begin_ms = fake.now_ms;
    int64_t end_ms = begin_ms + ms;
    uint64_t starts = fake.starts;
    struct loop_timer *timer;
    while ((timer = first_due(begin_ms, end_ms, starts)) != NULL) {
        fake.now_ms = timer->due_ms > fake.now_ms ? timer->due_ms : fake.now_ms;
        timer->is_running = false;
        timer->due(timer->arg);
    }
    fake.now_ms = end_ms;
}

size_t fake_timers_count(void)
{
    struct loop_timer *timer;
    size_t count;
    DL_COUNT(fake.timers, timer, count);
    return count;
}
