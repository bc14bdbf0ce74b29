/*
 * Messages wait in a queue until the window has room. The thread that adds a message or makes room
 * calls publish_queued(); one thread at a time publishes, so messages leave in order. Paho is never
 * called with our lock held, because its callbacks hold Paho's lock and take ours. The next message
 * is handed over from the acknowledgement of another: what Paho 1.3.12 queues itself behind a full
 * window waits up to a second.
 */
#include "mqtt/publisher.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/mem.h"
#include "mqtt/connection.h"
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW_MAX      64
#define STOP_TIMEOUT_MS 2000
/* Without an answer for this many ms, Paho may have missed its signal and not sent the message. */
#define WAKE_MS_MIN 2
#define WAKE_MS_MAX 1000
/* Answers are sent to the bridge in groups of this many, or at the next tick. */
#define ANSWERS_MAX 16
/* A connection without any acknowledgement for this long, and for two keepalives, is given up. */
#define SILENCE_MS_MIN 30000

struct queued {
    struct queued *next;
    int64_t id;
    int64_t valid_until_ms; /* 0: whenever */
    size_t length;
    char bytes[]; /* the encoded message */
};

struct publisher {
    struct process process;
    struct connection *connection;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct queued *first;
    struct queued **last;
    uint32_t window; /* 0 until connected */
    uint32_t in_flight;
    int64_t answered_ms; /* when the last answer came, or the wait for one began */
    bool has_answers;    /* since the last tick */
    int wake_ms;         /* until the next tick */
    int64_t next_us;     /* when the next message may go out */
    bool is_publishing;
    struct buf answers; /* frames for the bridge */
    unsigned answer_count;
};

static void send_answers(struct publisher *publisher)
{
    if (publisher->answer_count > 0) {
        process_send(&publisher->process, buf_slice(&publisher->answers));
        buf_clear(&publisher->answers);
        publisher->answer_count = 0;
    }
}

static void add_unpublished(struct publisher *publisher, const struct wire_unpublished *unpublished)
{
    wire_put(&publisher->answers,
             &(struct wire_frame){WIRE_UNPUBLISHED, .unpublished = *unpublished});
    publisher->answer_count++;
}

static void add_expired(struct publisher *publisher, int64_t id)
{
    wire_put(&publisher->answers, &(struct wire_frame){WIRE_EXPIRED, .expired = {id}});
    publisher->answer_count++;
}

/* How long the next message has to wait for broker.publish_per_s; 0: not at all. */
static int pace_ms(const struct publisher *publisher)
{
    int64_t left_us = publisher->next_us - clock_mono_us();
    return left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
}

static void count_publish(struct publisher *publisher)
{
    uint32_t interval_us = publisher->process.params.publish_interval_us;
    if (interval_us > 0) {
        /* The main thread wakes up each millisecond at most, so what a millisecond may have is
         * published at once. */
        int64_t earliest_us = clock_mono_us() - 1000;
        int64_t from_us = publisher->next_us > earliest_us ? publisher->next_us : earliest_us;
        publisher->next_us = from_us + interval_us;
    }
}

static struct queued *take_next(struct publisher *publisher)
{
    struct queued *queued = publisher->first;
    if (queued == NULL || publisher->in_flight >= publisher->window || pace_ms(publisher) > 0) {
        return NULL;
    }
    count_publish(publisher);
    publisher->first = queued->next;
    if (publisher->first == NULL) {
        publisher->last = &publisher->first;
    }
    if (publisher->in_flight++ == 0) {
        publisher->answered_ms = clock_mono_ms();
        publisher->wake_ms = WAKE_MS_MIN;
    }
    return queued;
}

static void answered(struct publisher *publisher)
{
    publisher->in_flight--;
    publisher->answered_ms = clock_mono_ms();
    publisher->has_answers = true;
}

/* Others may have published something newer since: the bridge was stopped longer than its lease. */
static bool has_expired(const struct queued *queued)
{
    return queued->valid_until_ms != 0 && clock_boot_ms() >= queued->valid_until_ms;
}

/* Hands one message to the connection. The lock must not be held. */
static void publish_one(struct publisher *publisher, const struct queued *queued)
{
    struct message message;
    if (has_expired(queued)) {
        pthread_mutex_lock(&publisher->mutex);
        answered(publisher);
        add_expired(publisher, queued->id);
        pthread_mutex_unlock(&publisher->mutex);
        return;
    }
    const char *why = "the message does not parse";
    CRASH_POINT_PASS(BEFORE_PUBLISH, slice_of(queued->bytes, queued->length));
    enum status status = message_decode(slice_of(queued->bytes, queued->length), &message);
    if (status == STATUS_OK) {
        status = connection_publish(publisher->connection, queued->id, &message, &why);
    }
    CRASH_POINT_PASS(AFTER_PUBLISH, slice_of(queued->bytes, queued->length));
    if (status == STATUS_CLOSED) {
        process_end_because(&publisher->process, WIRE_DOWN_LOST,
                            "the connection to the broker was lost");
    }
    if (status != STATUS_OK) {
        pthread_mutex_lock(&publisher->mutex);
        answered(publisher);
        add_unpublished(publisher,
                        &(struct wire_unpublished){.id = queued->id, .text = slice_text(why)});
        pthread_mutex_unlock(&publisher->mutex);
    }
}

static bool is_idle(const struct publisher *publisher)
{
    return publisher->first == NULL && publisher->in_flight == 0;
}

static void publish_queued(struct publisher *publisher)
{
    struct queued *queued;
    pthread_mutex_lock(&publisher->mutex);
    if (!publisher->is_publishing) {
        publisher->is_publishing = true;
        while ((queued = take_next(publisher)) != NULL) {
            pthread_mutex_unlock(&publisher->mutex);
            publish_one(publisher, queued);
            free(queued);
            pthread_mutex_lock(&publisher->mutex);
        }
        publisher->is_publishing = false;
    }
    if (publisher->answer_count >= ANSWERS_MAX) {
        send_answers(publisher);
    }
    if (is_idle(publisher)) {
        pthread_cond_signal(&publisher->changed);
    }
    pthread_mutex_unlock(&publisher->mutex);
}

/* ---- The connection's hooks ---- */

static void publisher_passed(void *arg, enum connection_point point)
{
    struct publisher *publisher = arg;
    process_confine(&publisher->process, point);
}

static void publisher_up(void *arg, const struct wire_up *up)
{
    struct publisher *publisher = arg;
    /* Opened before the bridge learns of it: the main thread waits with a time limit from then on.
     */
    pthread_mutex_lock(&publisher->mutex);
    publisher->window = up->receive_maximum < WINDOW_MAX ? up->receive_maximum : WINDOW_MAX;
    pthread_mutex_unlock(&publisher->mutex);
    process_up(&publisher->process, up);
    publish_queued(publisher);
}

/* Nothing is subscribed. */
static void publisher_arrived(void *arg, const struct delivery *delivery)
{
    (void)arg;
    (void)delivery;
}

static void publisher_published(void *arg, int64_t id, bool has_subscriber)
{
    struct publisher *publisher = arg;
    pthread_mutex_lock(&publisher->mutex);
    answered(publisher);
    wire_put(&publisher->answers,
             &(struct wire_frame){WIRE_PUBLISHED, .published = {id, has_subscriber}});
    publisher->answer_count++;
    pthread_mutex_unlock(&publisher->mutex);
    publish_queued(publisher);
}

static void publisher_refused(void *arg, int64_t id, uint32_t code, struct slice text)
{
    struct publisher *publisher = arg;
    pthread_mutex_lock(&publisher->mutex);
    answered(publisher);
    add_unpublished(publisher, &(struct wire_unpublished){.id = id, .code = code, .text = text});
    send_answers(publisher);
    pthread_mutex_unlock(&publisher->mutex);
    publish_queued(publisher);
}

static void publisher_down(void *arg, const struct wire_down *down)
{
    struct publisher *publisher = arg;
    process_end(&publisher->process, down);
}

/* ---- The bridge's frames ---- */

static void enqueue(struct publisher *publisher, const struct wire_publish *publish)
{
    struct slice message = publish->message;
    struct queued *queued = mem_alloc(sizeof *queued + message.length);
    queued->next = NULL;
    queued->id = publish->id;
    queued->valid_until_ms = publish->valid_until_ms;
    queued->length = message.length;
    memcpy(queued->bytes, message.data, message.length);
    pthread_mutex_lock(&publisher->mutex);
    *publisher->last = queued;
    publisher->last = &queued->next;
    pthread_mutex_unlock(&publisher->mutex);
    publish_queued(publisher);
}

/* Waits until every message handed over has been answered, STOP_TIMEOUT_MS at most, and ends. */
static void publisher_stop(struct publisher *publisher)
{
    int64_t ends_ms = clock_mono_ms() + STOP_TIMEOUT_MS;
    struct timespec deadline = {.tv_sec = ends_ms / 1000, .tv_nsec = (ends_ms % 1000) * 1000000};
    int waited = 0;
    pthread_mutex_lock(&publisher->mutex);
    while (publisher->window > 0 && !is_idle(publisher) && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&publisher->changed, &publisher->mutex, &deadline);
    }
    send_answers(publisher);
    pthread_mutex_unlock(&publisher->mutex);
    (void)connection_close(publisher->connection, STOP_TIMEOUT_MS);
    process_end_because(&publisher->process, WIRE_DOWN_STOPPED, "");
}

/* Sends the answers that wait for more, wakes Paho if there is no progress, and gives up a broker
 * that has stopped acknowledging. */
static void publisher_tick(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->mutex);
    send_answers(publisher);
    bool has_stalled = publisher->in_flight > 0 && !publisher->has_answers;
    int doubled_ms = publisher->wake_ms < WAKE_MS_MAX ? publisher->wake_ms * 2 : WAKE_MS_MAX;
    publisher->wake_ms = has_stalled ? doubled_ms : WAKE_MS_MIN;
    publisher->has_answers = false;
    int64_t silence_ms = (int64_t)publisher->process.params.keepalive_s * 2000;
    silence_ms = silence_ms < SILENCE_MS_MIN ? SILENCE_MS_MIN : silence_ms;
    bool is_given_up =
        publisher->in_flight > 0 && clock_mono_ms() - publisher->answered_ms > silence_ms;
    pthread_mutex_unlock(&publisher->mutex);
    if (is_given_up) {
        process_end_because(&publisher->process, WIRE_DOWN_LOST,
                            "the broker has stopped acknowledging");
    }
    if (has_stalled) {
        connection_wake_sender(publisher->connection);
    }
}

static int wait_ms(struct publisher *publisher)
{
    int max_delay_ms = connection_max_delay_ms(publisher->connection);
    pthread_mutex_lock(&publisher->mutex);
    bool may_publish = publisher->first != NULL && publisher->in_flight < publisher->window;
    int paced_ms = may_publish ? pace_ms(publisher) : 0;
    bool is_waiting = publisher->answer_count > 0 || publisher->in_flight > 0;
    int tick_ms = is_waiting || (may_publish && paced_ms == 0) ? publisher->wake_ms : -1;
    if (paced_ms > 0 && (tick_ms < 0 || tick_ms > paced_ms)) {
        tick_ms = paced_ms;
    }
    if (tick_ms >= 0 && (max_delay_ms < 0 || max_delay_ms > tick_ms)) {
        max_delay_ms = tick_ms;
    }
    pthread_mutex_unlock(&publisher->mutex);
    return max_delay_ms;
}

int publisher_main(void)
{
    static struct publisher publisher; /* as long as the process */
    struct connection_hooks hooks = {
        .arg = &publisher,
        .passed = publisher_passed,
        .up = publisher_up,
        .arrived = publisher_arrived,
        .published = publisher_published,
        .refused = publisher_refused,
        .down = publisher_down,
    };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&publisher.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&publisher.mutex, NULL);
    publisher.last = &publisher.first;
    process_begin(&publisher.process, WIRE_PUBLISHER);
    publisher.connection = connection_new(&publisher.process.params, &hooks);
    connection_open(publisher.connection);
    for (;;) {
        struct wire_frame frame;
        if (!process_wait(&publisher.process, wait_ms(&publisher), &frame)) {
            publisher_tick(&publisher);
            publish_queued(&publisher);
            connection_check(publisher.connection);
        } else if (frame.type == WIRE_PUBLISH) {
            enqueue(&publisher, &frame.publish);
        } else if (frame.type == WIRE_STOP) {
            publisher_stop(&publisher);
        } else {
            process_end_because(&publisher.process, WIRE_DOWN_INTERNAL, "unexpected frame");
        }
    }
}
