/*
 * A message always holds the whole present state, so only the last one counts: a change while a
 * message is in flight is published after its acknowledgement, and a new publisher begins with the
 * present state.
 */
#include "outbox/status_topic.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/message.h"
#include "model/retry.h"
#include "model/status_report.h"
#include "model/topic.h"

#include <stdlib.h>

/* After so long a state that the broker did not take is published again. */
#define RETRY_MS     5000
#define RETRY_MS_MAX 60000
/* The receiver's time to subscribe at start: before that, not being subscribed is not published. */
#define STARTING_MS 5000

struct status_topic {
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct workers *workers;
    struct loop_timer *starting; /* runs until the first message need not wait for the receiver */
    struct loop_timer *counting; /* runs until changed counts are published */
    struct loop_timer *retry;    /* runs until a state that was not taken is published again */
    struct loop_timer *flushed;
    loop_fn *done; /* of status_topic_flush() */
    void *done_arg;
    int64_t published_counts[COUNTER_COUNT];
    bool is_clearing; /* nothing is to be retained at the end */
    bool has_publisher;
    bool is_in_flight; /* a message is with the publisher */
    bool is_outdated;  /* and the state has changed since */
    uint32_t failures; /* states in a row that were not taken */
};

static bool is_offline(const struct status_topic *status_topic)
{
    return health_state(status_topic->health) == HEALTH_OFFLINE;
}

/* Whether counts differ from the published ones; they become the published ones. */
static bool note_counts(struct status_topic *status_topic)
{
    bool has_changed = false;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        int64_t count = counter_info((enum counter)i)->count_name == NULL
                            ? 0
                            : counter_get(status_topic->counters, (enum counter)i);
        has_changed |= status_topic->published_counts[i] != count;
        status_topic->published_counts[i] = count;
    }
    return has_changed;
}

enum status status_topic_name(const struct settings *settings, struct buf *out)
{
    const struct topic_values values = {.instance = settings->instance};
    return topic_expand(settings->topics.status, &values, out);
}

/* Appends `body` as a retained message for the status topic. */
static enum status encode(const struct settings *settings, struct slice body, struct buf *out)
{
    struct buf topic = {0};
    enum status status = status_topic_name(settings, &topic);
    if (status == STATUS_OK) {
        struct message message = {.topic = buf_slice(&topic),
                                  .body = body,
                                  .qos = 1,
                                  .is_retained = true,
                                  .is_json = true,
                                  .expiry_s = -1};
        message_encode(&message, out);
    }
    buf_fini(&topic);
    return status;
}

enum status status_topic_will(const struct settings *settings, struct buf *out)
{
    if (settings->topics.status[0] == '\0') {
        return STATUS_OK;
    }
    struct buf body = {0};
    status_report_put_will(settings->instance, &body);
    enum status status = encode(settings, buf_slice(&body), out);
    buf_fini(&body);
    return status;
}

static void publish(void *arg)
{
    struct status_topic *status_topic = arg;
    if (!status_topic->has_publisher || status_topic->settings->topics.status[0] == '\0' ||
        (loop_timer_is_running(status_topic->starting) && !is_offline(status_topic))) {
        return;
    }
    if (status_topic->is_in_flight) {
        status_topic->is_outdated = true;
        return;
    }
    const struct status_report report = {status_topic->settings->instance, status_topic->health,
                                         status_topic->counters};
    struct buf body = {0};
    struct buf message = {0};
    if (!is_offline(status_topic) || !status_topic->is_clearing) {
        json_put_open(&body, '{');
        status_report_put(&report, clock_wall_ms(), &body);
        json_put_close(&body, '}');
    }
    if (encode(status_topic->settings, buf_slice(&body), &message) == STATUS_OK) {
        note_counts(status_topic);
        status_topic->is_in_flight = true;
        status_topic->is_outdated = false;
        loop_timer_stop(status_topic->retry);
        workers_publish(status_topic->workers, STATUS_TOPIC_MESSAGE_ID, 0, buf_slice(&message));
    }
    buf_fini(&body);
    buf_fini(&message);
}

/* The timer runs on while counts change; status_topic_counts_changed() starts it again. A new
 * publisher gets them anyway. */
static void counts_due(void *arg)
{
    struct status_topic *status_topic = arg;
    if (status_topic->has_publisher && !is_offline(status_topic) && note_counts(status_topic)) {
        publish(status_topic);
        loop_timer_start(status_topic->counting, STATUS_TOPIC_COUNTS_MS);
    }
}

void status_topic_counts_changed(struct status_topic *status_topic)
{
    if (!loop_timer_is_running(status_topic->counting)) {
        loop_timer_start(status_topic->counting, STATUS_TOPIC_COUNTS_MS);
    }
}

static void flush_over(void *arg)
{
    struct status_topic *status_topic = arg;
    loop_fn *done = status_topic->done;
    status_topic->done = NULL;
    if (done != NULL) {
        done(status_topic->done_arg);
    }
}

static void health_changed(void *arg)
{
    struct status_topic *status_topic = arg;
    bool has_publisher = !health_is_on(status_topic->health, HEALTH_NO_PUBLISHER);
    if (has_publisher != status_topic->has_publisher) {
        status_topic->has_publisher = has_publisher;
        status_topic->is_in_flight = false;
    }
    if (!health_is_on(status_topic->health, HEALTH_NOT_SUBSCRIBED)) {
        loop_timer_stop(status_topic->starting);
    }
    publish(status_topic);
    if (!has_publisher && status_topic->done != NULL) {
        loop_timer_start(status_topic->flushed, 0);
    }
}

struct status_topic *status_topic_new(struct loop *loop, const struct settings *settings,
                                      struct health *health, struct counters *counters)
{
    struct status_topic *status_topic = mem_zalloc(1, sizeof *status_topic);
    status_topic->settings = settings;
    status_topic->health = health;
    status_topic->counters = counters;
    status_topic->starting = loop_timer_new(loop, publish, status_topic);
    status_topic->counting = loop_timer_new(loop, counts_due, status_topic);
    status_topic->retry = loop_timer_new(loop, publish, status_topic);
    status_topic->flushed = loop_timer_new(loop, flush_over, status_topic);
    loop_timer_start(status_topic->starting, STARTING_MS);
    health_watch(health, health_changed, status_topic);
    return status_topic;
}

void status_topic_connect(struct status_topic *status_topic, struct workers *workers)
{
    status_topic->workers = workers;
}

void status_topic_free(struct status_topic *status_topic)
{
    if (status_topic != NULL) {
        health_watch(status_topic->health, NULL, NULL);
        loop_timer_free(status_topic->starting);
        loop_timer_free(status_topic->counting);
        loop_timer_free(status_topic->retry);
        loop_timer_free(status_topic->flushed);
        free(status_topic);
    }
}

static void answered(struct status_topic *status_topic)
{
    status_topic->is_in_flight = false;
    if (status_topic->is_outdated) {
        publish(status_topic);
    } else if (status_topic->done != NULL) {
        loop_timer_start(status_topic->flushed, 0);
    }
}

void status_topic_published(struct status_topic *status_topic)
{
    status_topic->failures = 0;
    answered(status_topic);
}

void status_topic_unpublished(struct status_topic *status_topic, struct slice why)
{
    status_topic->failures++;
    LOG_WARN("status_not_published", LOG_SLICE("why", why));
    answered(status_topic);
    if (!status_topic->is_in_flight && !is_offline(status_topic)) {
        loop_timer_start(status_topic->retry,
                         retry_doubled_ms(status_topic->failures, RETRY_MS, RETRY_MS_MAX));
    }
}

void status_topic_clear(struct status_topic *status_topic)
{
    status_topic->is_clearing = true;
}

void status_topic_flush(struct status_topic *status_topic, loop_fn *done, void *arg)
{
    status_topic->done = done;
    status_topic->done_arg = arg;
    if (!status_topic->has_publisher || status_topic->settings->topics.status[0] == '\0') {
        loop_timer_start(status_topic->flushed, 0);
    }
}
