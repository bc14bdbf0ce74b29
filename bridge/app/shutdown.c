#include "shutdown.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define MQTT_MS 1000

enum step {
    STEP_CALLS,
    STEP_COMMIT,
    STEP_REPLIES,
    STEP_STATUS,
    STEP_AUDIT,
    STEP_TRACES,
    STEP_MQTT,
    STEP_LOOP,
    STEP_COUNT
};

struct shutdown {
    struct loop *loop;
    struct loop_timer *timer; /* of the present step */
    struct shutdown_parts parts;
    enum step step;
    bool has_begun;
};

static void step_done(struct shutdown *shutdown, enum step step);

static void calls_done(void *arg)
{
    step_done(arg, STEP_CALLS);
}

static void begin_calls(struct shutdown *shutdown)
{
    intake_stop(shutdown->parts.intake);
    workers_stop_intake(shutdown->parts.workers);
    dispatch_stop(shutdown->parts.dispatch, calls_done, shutdown);
}

static void ignore_message(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void commit_done(void *arg, size_t count)
{
    (void)count;
    step_done(arg, STEP_COMMIT);
}

/* The ledger answers in order, so the answer to a read comes after all outcomes are committed. */
static void begin_commit(struct shutdown *shutdown)
{
    ledger_read_outbox(shutdown->parts.ledger, INT64_MAX, 1, ignore_message, commit_done, shutdown);
}

static void replies_done(void *arg)
{
    step_done(arg, STEP_REPLIES);
}

static void begin_replies(struct shutdown *shutdown)
{
    outbox_flush(shutdown->parts.outbox, replies_done, shutdown);
}

static void status_done(void *arg)
{
    step_done(arg, STEP_STATUS);
}

static void begin_status(struct shutdown *shutdown)
{
    health_stop(shutdown->parts.health, "stopped");
    status_topic_flush(shutdown->parts.status_topic, status_done, shutdown);
}

static void audit_done(void *arg)
{
    step_done(arg, STEP_AUDIT);
}

static void begin_audit(struct shutdown *shutdown)
{
    if (shutdown->parts.exporter == NULL) {
        audit_done(shutdown);
    } else {
        exporter_flush(shutdown->parts.exporter, audit_done, shutdown);
    }
}

static void traces_done(void *arg)
{
    step_done(arg, STEP_TRACES);
}

static void begin_traces(struct shutdown *shutdown)
{
    traces_flush(shutdown->parts.traces, traces_done, shutdown);
}

static void begin_mqtt(struct shutdown *shutdown)
{
    workers_stop(shutdown->parts.workers, MQTT_MS);
}

void shutdown_workers_stopped(struct shutdown *shutdown)
{
    step_done(shutdown, STEP_MQTT);
}

static void begin_loop(struct shutdown *shutdown)
{
    loop_stop(shutdown->loop);
}

static const struct {
    const char *name;
    void (*begin)(struct shutdown *shutdown);
    int64_t timeout_ms;
} STEPS[STEP_COUNT] = {
    [STEP_CALLS] = {"calls", begin_calls, 4500},
    [STEP_COMMIT] = {"commit", begin_commit, 1000},
    [STEP_REPLIES] = {"replies", begin_replies, 1500},
    [STEP_STATUS] = {"status", begin_status, 500},
    [STEP_AUDIT] = {"audit", begin_audit, 500},
    [STEP_TRACES] = {"traces", begin_traces, 300},
    [STEP_MQTT] = {"mqtt", begin_mqtt, MQTT_MS + 500},
    [STEP_LOOP] = {"loop", begin_loop, 0},
};

static void begin_step(struct shutdown *shutdown, enum step step)
{
    shutdown->step = step;
    loop_timer_start(shutdown->timer, STEPS[step].timeout_ms);
    STEPS[step].begin(shutdown);
}

/* A step that ends after its time was up changes nothing: it is no longer the present one. */
static void step_done(struct shutdown *shutdown, enum step step)
{
    if (shutdown->has_begun && shutdown->step == step) {
        begin_step(shutdown, step + 1);
    }
}

static void timed_out(void *arg)
{
    struct shutdown *shutdown = arg;
    if (shutdown->step != STEP_LOOP) {
        LOG_WARN("stop_step_timed_out", LOG_TEXT("step", STEPS[shutdown->step].name));
        step_done(shutdown, shutdown->step);
    }
}

struct shutdown *shutdown_new(struct loop *loop)
{
    struct shutdown *shutdown = mem_zalloc(1, sizeof *shutdown);
    shutdown->loop = loop;
    shutdown->timer = loop_timer_new(loop, timed_out, shutdown);
    return shutdown;
}

void shutdown_free(struct shutdown *shutdown)
{
    if (shutdown != NULL) {
        loop_timer_free(shutdown->timer);
        free(shutdown);
    }
}

void shutdown_begin(struct shutdown *shutdown, const struct shutdown_parts *parts)
{
    shutdown->parts = *parts;
    shutdown->has_begun = true;
    begin_step(shutdown, STEP_CALLS);
}

bool shutdown_has_begun(const struct shutdown *shutdown)
{
    return shutdown->has_begun;
}

void shutdown_skip_step(struct shutdown *shutdown)
{
    timed_out(shutdown);
}
