/*
 * Messages wait in a queue until the window has room. Whoever makes room or adds a message pumps,
 * one thread at a time, so that messages leave in order; Paho is never called with our lock held,
 * since its callbacks hold Paho's and want ours. The next message is handed over from the
 * acknowledgement of another: what Paho 1.3.12 queues by itself behind a full window waits a
 * second.
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
/* An answer that has not come after this many ms may be to a message that Paho forgot to send. */
#define NUDGE_MS_MIN 2
#define NUDGE_MS_MAX 1000
/* Acknowledgements are told in groups of this many, or at the next tick: nobody waits for them. */
#define MARKS_COUNT 16
/* A connection that acknowledges nothing for this long, and two keepalives, is given up. */
#define SILENCE_MS_MIN 30000

struct queued {
    struct queued *next;
    int64_t id;
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
    uint32_t window; /* 0 until the connection stands */
    uint32_t in_flight;
    int64_t answered_ms; /* the last answer, or the begin of waiting for one */
    bool has_answers;    /* since the last tick */
    int nudge_ms;        /* until the next tick */
    bool is_pumping;
    struct buf marks; /* frames for the bridge */
    unsigned mark_count;
};

static void flush_marks(struct publisher *publisher)
{
    if (publisher->mark_count > 0) {
        process_send(&publisher->process, buf_slice(&publisher->marks));
        buf_clear(&publisher->marks);
        publisher->mark_count = 0;
    }
}

static void mark_unpublished(struct publisher *publisher, const struct wire_unpublished *mark)
{
    wire_put(&publisher->marks, &(struct wire_frame){WIRE_UNPUBLISHED, .unpublished = *mark});
    publisher->mark_count++;
}

static struct queued *take_next(struct publisher *publisher)
{
    struct queued *queued = publisher->first;
    if (queued == NULL || publisher->in_flight >= publisher->window) {
        return NULL;
    }
    publisher->first = queued->next;
    if (publisher->first == NULL) {
        publisher->last = &publisher->first;
    }
    if (publisher->in_flight++ == 0) {
        publisher->answered_ms = clock_mono_ms();
        publisher->nudge_ms = NUDGE_MS_MIN;
    }
    return queued;
}

static void answered(struct publisher *publisher)
{
    publisher->in_flight--;
    publisher->answered_ms = clock_mono_ms();
    publisher->has_answers = true;
}

/* Hands one message to the connection. The lock is not held. */
static void publish_one(struct publisher *publisher, const struct queued *queued)
{
    struct message message;
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
        mark_unpublished(publisher, &(struct wire_unpublished){.id = queued->id,
                                                               .is_final = true,
                                                               .text = slice_text(why)});
        pthread_mutex_unlock(&publisher->mutex);
    }
}

static bool is_idle(const struct publisher *publisher)
{
    return publisher->first == NULL && publisher->in_flight == 0;
}

static void pump(struct publisher *publisher)
{
    struct queued *queued;
    pthread_mutex_lock(&publisher->mutex);
    if (!publisher->is_pumping) {
        publisher->is_pumping = true;
        while ((queued = take_next(publisher)) != NULL) {
            pthread_mutex_unlock(&publisher->mutex);
            publish_one(publisher, queued);
            free(queued);
            pthread_mutex_lock(&publisher->mutex);
        }
        publisher->is_pumping = false;
    }
    if (publisher->mark_count >= MARKS_COUNT) {
        flush_marks(publisher);
    }
    if (is_idle(publisher)) {
        pthread_cond_signal(&publisher->changed);
    }
    pthread_mutex_unlock(&publisher->mutex);
}

/* ---- The connection's hooks ---- */

static void publisher_up(void *arg, const struct wire_up *up)
{
    struct publisher *publisher = arg;
    struct buf words = {0};
    wire_put(&words, &(struct wire_frame){WIRE_UP, .up = *up});
    process_forget_secrets(&publisher->process);
    /* The window is open before the bridge hears of it: what it then sends finds the main thread
     * waiting with a time limit. */
    pthread_mutex_lock(&publisher->mutex);
    publisher->window = up->receive_maximum < WINDOW_MAX ? up->receive_maximum : WINDOW_MAX;
    pthread_mutex_unlock(&publisher->mutex);
    process_send(&publisher->process, buf_slice(&words));
    buf_fini(&words);
    pump(publisher);
}

static bool publisher_arrived(void *arg, const struct delivery *delivery)
{
    (void)arg;
    (void)delivery;
    return true; /* nothing is subscribed */
}

static void publisher_published(void *arg, int64_t id)
{
    struct publisher *publisher = arg;
    pthread_mutex_lock(&publisher->mutex);
    answered(publisher);
    wire_put(&publisher->marks, &(struct wire_frame){WIRE_PUBLISHED, .published = {id}});
    publisher->mark_count++;
    pthread_mutex_unlock(&publisher->mutex);
    pump(publisher);
}

/* MQTT 5, section 3.4.2.1: these say that the same message will be refused again. */
static bool is_final_refusal(uint32_t code)
{
    return code == 0x87 /* not authorised */ || code == 0x90 /* topic name invalid */ ||
           code == 0x95 /* packet too large */ || code == 0x99 /* payload format invalid */;
}

static void publisher_refused(void *arg, int64_t id, uint32_t code, struct slice text)
{
    struct publisher *publisher = arg;
    pthread_mutex_lock(&publisher->mutex);
    answered(publisher);
    mark_unpublished(publisher,
                     &(struct wire_unpublished){
                         .id = id, .is_final = is_final_refusal(code), .code = code, .text = text});
    flush_marks(publisher);
    pthread_mutex_unlock(&publisher->mutex);
    pump(publisher);
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
    queued->length = message.length;
    memcpy(queued->bytes, message.data, message.length);
    pthread_mutex_lock(&publisher->mutex);
    *publisher->last = queued;
    publisher->last = &queued->next;
    pthread_mutex_unlock(&publisher->mutex);
    pump(publisher);
}

/* Waits until everything handed over was answered, for a bounded time. */
static void drain(struct publisher *publisher)
{
    int64_t ends_ms = clock_mono_ms() + STOP_TIMEOUT_MS;
    struct timespec deadline = {.tv_sec = ends_ms / 1000, .tv_nsec = (ends_ms % 1000) * 1000000};
    int waited = 0;
    pthread_mutex_lock(&publisher->mutex);
    while (publisher->window > 0 && !is_idle(publisher) && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&publisher->changed, &publisher->mutex, &deadline);
    }
    flush_marks(publisher);
    pthread_mutex_unlock(&publisher->mutex);
}

static void publisher_stop(struct publisher *publisher)
{
    drain(publisher);
    (void)connection_close(publisher->connection, STOP_TIMEOUT_MS);
    process_end_because(&publisher->process, WIRE_DOWN_STOPPED, "");
}

static bool is_silent(const struct publisher *publisher)
{
    int64_t max_delay_ms = (int64_t)publisher->process.params.keepalive_s * 2000;
    max_delay_ms = max_delay_ms < SILENCE_MS_MIN ? SILENCE_MS_MIN : max_delay_ms;
    return publisher->in_flight > 0 && clock_mono_ms() - publisher->answered_ms > max_delay_ms;
}

/* Tells what has waited for company, wakes Paho where nothing moves, and gives up a broker that has
 * gone silent. */
static void publisher_tick(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->mutex);
    flush_marks(publisher);
    bool has_stalled = publisher->in_flight > 0 && !publisher->has_answers;
    int doubled_ms = publisher->nudge_ms < NUDGE_MS_MAX ? publisher->nudge_ms * 2 : NUDGE_MS_MAX;
    publisher->nudge_ms = has_stalled ? doubled_ms : NUDGE_MS_MIN;
    publisher->has_answers = false;
    bool is_given_up = is_silent(publisher);
    pthread_mutex_unlock(&publisher->mutex);
    if (is_given_up) {
        process_end_because(&publisher->process, WIRE_DOWN_LOST,
                            "the broker acknowledges nothing any more");
    }
    if (has_stalled) {
        connection_nudge(publisher->connection);
    }
}

static int wait_ms(struct publisher *publisher)
{
    int max_delay_ms = connection_max_delay_ms(publisher->connection);
    pthread_mutex_lock(&publisher->mutex);
    bool is_waiting = publisher->mark_count > 0 || (publisher->window > 0 && !is_idle(publisher));
    if (is_waiting && (max_delay_ms < 0 || max_delay_ms > publisher->nudge_ms)) {
        max_delay_ms = publisher->nudge_ms;
    }
    pthread_mutex_unlock(&publisher->mutex);
    return max_delay_ms;
}

static void publisher_init(struct publisher *publisher)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&publisher->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&publisher->mutex, NULL);
    publisher->last = &publisher->first;
    process_begin(&publisher->process, WIRE_PUBLISHER);
}

static void publisher_turn(struct publisher *publisher)
{
    struct wire_frame frame;
    int wake_fd = connection_wake_fd(publisher->connection);
    int timeout_ms = wait_ms(publisher);
    if (process_wait(&publisher->process, wake_fd, timeout_ms, &frame) != PROCESS_FRAME) {
        publisher_tick(publisher);
        connection_turn(publisher->connection);
    } else if (frame.type == WIRE_PUBLISH) {
        enqueue(publisher, &frame.publish);
    } else if (frame.type == WIRE_STOP) {
        publisher_stop(publisher);
    } else {
        process_end_because(&publisher->process, WIRE_DOWN_INTERNAL, "unexpected frame");
    }
}

int publisher_main(void)
{
    static struct publisher publisher; /* as long as the process */
    struct connection_hooks hooks = {
        .arg = &publisher,
        .up = publisher_up,
        .arrived = publisher_arrived,
        .published = publisher_published,
        .refused = publisher_refused,
        .down = publisher_down,
    };
    publisher_init(&publisher);
    publisher.connection = connection_new(&publisher.process.params, &hooks);
    connection_open(publisher.connection);
    for (;;) {
        publisher_turn(&publisher);
    }
}
