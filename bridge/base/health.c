#include "base/health.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

struct health {
    _Atomic int64_t since_ms[HEALTH_REASON_COUNT]; /* wall clock; 0: not on */
    _Atomic int64_t last_since_ms[HEALTH_REASON_COUNT];
    const char *_Atomic stop_reason;
    _Atomic int64_t beat_ms; /* clock_mono_ms() of the last health_beat(); 0: none yet */
    int64_t started_at_ms;
    struct loop_timer *ends[HEALTH_REASON_COUNT]; /* of health_set_for(); NULL until used */
    struct health_end {
        struct health *health;
        enum health_reason reason;
    } end_args[HEALTH_REASON_COUNT];
    struct loop *loop;
    loop_fn *changed;
    void *changed_arg;
};

#define BLOCKS_READY_READY     false
#define BLOCKS_READY_NOT_READY true
static const struct health_reason_info REASONS[HEALTH_REASON_COUNT] = {
#define HEALTH_REASON(id, name, ready, meaning, advice) \
    [HEALTH_##id] = {name, meaning, advice, BLOCKS_READY_##ready},
#include "tables/health_reasons.def"
#undef HEALTH_REASON
};

const struct health_reason_info *health_reason_info(enum health_reason reason)
{
    assert((unsigned)reason < HEALTH_REASON_COUNT);
    return &REASONS[reason];
}

struct health *health_new(struct loop *loop)
{
    struct health *health = mem_zalloc(1, sizeof *health);
    health->loop = loop;
    health->started_at_ms = clock_wall_ms();
    health->since_ms[HEALTH_NOT_SUBSCRIBED] = health->started_at_ms;
    health->since_ms[HEALTH_NO_PUBLISHER] = health->started_at_ms;
    return health;
}

void health_free(struct health *health)
{
    if (health != NULL) {
        for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
            loop_timer_free(health->ends[i]);
        }
        free(health);
    }
}

void health_watch(struct health *health, loop_fn *changed, void *arg)
{
    health->changed = changed;
    health->changed_arg = arg;
}

int64_t health_since_ms(const struct health *health, enum health_reason reason)
{
    assert((unsigned)reason < HEALTH_REASON_COUNT);
    return atomic_load(&health->since_ms[reason]);
}

int64_t health_last_since_ms(const struct health *health, enum health_reason reason)
{
    assert((unsigned)reason < HEALTH_REASON_COUNT);
    return atomic_load(&health->last_since_ms[reason]);
}

bool health_is_on(const struct health *health, enum health_reason reason)
{
    return health_since_ms(health, reason) != 0;
}

const char *health_stop_reason(const struct health *health)
{
    return atomic_load(&health->stop_reason);
}

int64_t health_started_at_ms(const struct health *health)
{
    return health->started_at_ms;
}

enum health_state health_state(const struct health *health)
{
    if (health_stop_reason(health) != NULL) {
        return HEALTH_OFFLINE;
    }
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        if (health_is_on(health, (enum health_reason)i)) {
            return HEALTH_DEGRADED;
        }
    }
    return HEALTH_ONLINE;
}

const char *health_state_text(enum health_state state)
{
    static const char *const texts[] = {
        [HEALTH_ONLINE] = "online", [HEALTH_DEGRADED] = "degraded", [HEALTH_OFFLINE] = "offline"};
    return texts[state];
}

void health_beat(struct health *health)
{
    atomic_store(&health->beat_ms, clock_mono_ms());
}

bool health_is_live(const struct health *health)
{
    int64_t beat_ms = atomic_load(&health->beat_ms);
    return beat_ms == 0 || clock_mono_ms() - beat_ms <= HEALTH_LIVE_MS;
}

bool health_is_ready(const struct health *health)
{
    bool is_ready = health_stop_reason(health) == NULL && health_is_live(health);
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        is_ready &= !REASONS[i].blocks_ready || !health_is_on(health, (enum health_reason)i);
    }
    return is_ready;
}

void health_put_reasons(const struct health *health, struct buf *out)
{
    json_put_open(out, '[');
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        if (health_is_on(health, (enum health_reason)i)) {
            json_put_element(out, slice_text(REASONS[i].name));
        }
    }
    json_put_close(out, ']');
}

static void report_change(struct health *health)
{
    struct buf reasons = {0};
    health_put_reasons(health, &reasons);
    LOG_INFO("status", LOG_TEXT("state", health_state_text(health_state(health))),
             LOG_AS_JSON("reasons", buf_slice(&reasons)));
    buf_fini(&reasons);
}

/* `since_ms` 0: the reason ends. */
static void change(struct health *health, enum health_reason reason, int64_t since_ms)
{
    if (health_is_on(health, reason) == (since_ms != 0)) {
        return;
    }
    atomic_store(&health->since_ms[reason], since_ms);
    if (since_ms != 0) {
        atomic_store(&health->last_since_ms[reason], since_ms);
    }
    if (health_stop_reason(health) == NULL) {
        report_change(health);
    }
    if (health->changed != NULL) {
        health->changed(health->changed_arg);
    }
}

void health_set(struct health *health, enum health_reason reason, bool is_on)
{
    change(health, reason, is_on ? clock_wall_ms() : 0);
}

void health_set_since(struct health *health, enum health_reason reason, int64_t since_ms)
{
    assert(since_ms != 0);
    change(health, reason, since_ms);
}

void health_set_past(struct health *health, enum health_reason reason, int64_t since_ms)
{
    atomic_store(&health->last_since_ms[reason], since_ms);
}

static void end_due(void *arg)
{
    const struct health_end *end = arg;
    change(end->health, end->reason, 0);
}

void health_set_for(struct health *health, enum health_reason reason, int64_t duration_ms)
{
    if (health->ends[reason] == NULL) {
        health->end_args[reason] = (struct health_end){health, reason};
        health->ends[reason] = loop_timer_new(health->loop, end_due, &health->end_args[reason]);
    }
    loop_timer_start(health->ends[reason], duration_ms);
    health_set(health, reason, true);
}

void health_stop(struct health *health, const char *why)
{
    atomic_store(&health->stop_reason, why);
    report_change(health);
    if (health->changed != NULL) {
        health->changed(health->changed_arg);
    }
}
