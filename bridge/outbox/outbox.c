/*
 * One list in the order of ids: first the messages that were handed to the publisher, then those
 * that wait. Where memory is full, the rest is in the ledger only: from `unread_from` on messages
 * are read from there, new ones too, until a read has reached the end.
 *
 * Of a message that is set back only a struct retry stays in memory, with a timer. When it is due,
 * it waits for one of RETRYING_MAX places, is read from the ledger again, and goes to the head of
 * the list.
 */
#include "outbox/outbox.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/retry.h"
#include "undelivered.h"

#include <stdlib.h>
#include <utlist.h>

#define OUTBOX_HANDED_MAX   128
#define OUTBOX_MEMORY_MAX   512
#define OUTBOX_READ_COUNT   256
#define OUTBOX_RETRYING_MAX 16 /* messages that were set back and are being published again */
#define OUTBOX_RETRY_MS     1000
#define OUTBOX_RETRY_MS_MAX 60000
/* Connections lost with a message: from then on it goes alone. */
#define OUTBOX_LOST_SET_BACK 2
/* Connections lost while it was alone: it becomes a dead letter. */
#define OUTBOX_LOST_ALONE_MAX 3
/* How long a connection must have lasted before a message is published alone. It leaves time for
 * the status message, which may be the one at which the broker closes the connection. */
#define OUTBOX_ALONE_AFTER_MS 1000
/* The end of a connection so soon after a refusal may be due to it. */
#define OUTBOX_REFUSAL_MS 1000
/* A broker that closes the connection at each refusal (mosquitto 2.0 with max_queued_messages 0)
 * gets the next message that was set back after so long a time for each of them, up to so many. */
#define OUTBOX_PACE_MS        1000
#define OUTBOX_PACE_COUNT_MAX 10
#define OUTBOX_FULL_CHECK_MS  500

/* Connections lost in a row while a message was in flight. */
struct losses {
    uint32_t count;
    uint32_t alone_count; /* of these, while nothing else was in flight */
};

struct entry {
    struct entry *prev;
    struct entry *next;
    int64_t id;
    int64_t stored_us;   /* monotonic: when it was stored; INT64_MIN: not known */
    struct retry *retry; /* NULL: it was never set back */
    struct losses losses;
    bool is_handed; /* to the publisher that is connected now */
    size_t length;
    char bytes[];
};

/* A message that was set back, until it has left the outbox. */
struct retry {
    struct retry *prev;
    struct retry *next;
    struct retry *due_prev; /* in outbox->due */
    struct retry *due_next;
    struct outbox *outbox;
    struct loop_timer *timer; /* runs until it is due */
    int64_t id;
    struct losses losses;
    uint32_t count;     /* how often it was set back */
    int64_t expires_ms; /* the loop's time */
    struct entry *entry;
    bool has_place; /* one of RETRYING_MAX */
    bool is_being_replaced;
};

struct outbox {
    struct loop *loop;
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct ledger *ledger;
    struct workers *workers;
    struct traces *traces; /* or NULL */
    struct entry *entries;
    size_t count; /* of the entries that were never set back */
    size_t handed_count;
    bool is_alone; /* the one that is handed over goes alone */
    struct retry *retries;
    struct retry *due;
    size_t retry_count;
    size_t retrying_count;
    bool closes_at_refusals; /* the broker does */
    int64_t paced_until_ms;  /* then the next one may be published again */
    int64_t unread_from;     /* 0: all of the outbox is in memory */
    bool is_reading;
    bool is_up;
    int64_t up_ms;            /* since when */
    int64_t refused_ms;       /* the last refusal on this connection; INT64_MIN: none */
    struct loop_timer *alone; /* runs until a message may go alone */
    struct loop_timer *paced; /* runs until paced_until_ms */
    struct loop_timer *full;  /* runs while the outbox is full */
    struct loop_timer *flushed;
    loop_fn *empty;
    void *empty_arg;
};

static void pump(void *arg);
static void read_due(void *arg);

static void flushed_due(void *arg)
{
    struct outbox *outbox = arg;
    loop_fn *empty = outbox->empty;
    outbox->empty = NULL;
    empty(outbox->empty_arg);
}

/* ---- The limits ---- */

bool outbox_is_full(struct outbox *outbox)
{
    bool is_full = counter_get(outbox->counters, COUNTER_OUTBOX_DEPTH) >=
                       outbox->settings->limits.outbox_messages ||
                   counter_get(outbox->counters, COUNTER_OUTBOX_BYTES) >=
                       outbox->settings->limits.outbox_bytes;
    health_set(outbox->health, HEALTH_OUTBOX_FULL, is_full);
    return is_full;
}

/* Nothing reports that deletions are committed, so it looks. */
static void check_full(void *arg)
{
    struct outbox *outbox = arg;
    if (outbox_is_full(outbox) && !loop_timer_is_running(outbox->full)) {
        loop_timer_start(outbox->full, OUTBOX_FULL_CHECK_MS);
    }
}

struct outbox *outbox_new(struct loop *loop, const struct settings *settings, struct health *health,
                          struct counters *counters)
{
    struct outbox *outbox = mem_zalloc(1, sizeof *outbox);
    outbox->loop = loop;
    outbox->settings = settings;
    outbox->health = health;
    outbox->counters = counters;
    outbox->refused_ms = INT64_MIN;
    outbox->alone = loop_timer_new(loop, pump, outbox);
    outbox->paced = loop_timer_new(loop, read_due, outbox);
    outbox->full = loop_timer_new(loop, check_full, outbox);
    outbox->flushed = loop_timer_new(loop, flushed_due, outbox);
    return outbox;
}

/* ---- Messages that were set back ---- */

static void free_retry(struct retry *retry)
{
    struct outbox *outbox = retry->outbox;
    DL_DELETE(outbox->retries, retry);
    outbox->retry_count--;
    loop_timer_free(retry->timer);
    free(retry);
}

static void free_place(struct retry *retry)
{
    if (retry->has_place) {
        retry->has_place = false;
        retry->outbox->retrying_count--;
    }
}

/* The message has left the outbox. */
static void end_retry(struct retry *retry)
{
    struct outbox *outbox = retry->outbox;
    free_place(retry);
    free_retry(retry);
    health_set(outbox->health, HEALTH_REPLY_REFUSED, outbox->retries != NULL);
    read_due(outbox);
}

void outbox_free(struct outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    struct entry *entry;
    struct entry *next;
    DL_FOREACH_SAFE (outbox->entries, entry, next) {
        free(entry);
    }
    struct retry *retry;
    struct retry *next_retry;
    DL_FOREACH_SAFE (outbox->retries, retry, next_retry) {
        free_retry(retry);
    }
    loop_timer_free(outbox->alone);
    loop_timer_free(outbox->paced);
    loop_timer_free(outbox->full);
    loop_timer_free(outbox->flushed);
    free(outbox);
}

static struct entry *append(struct outbox *outbox, int64_t id, struct slice message,
                            int64_t stored_us, struct retry *retry)
{
    struct entry *entry = mem_alloc(sizeof *entry + message.length);
    *entry =
        (struct entry){.id = id, .stored_us = stored_us, .length = message.length, .retry = retry};
    memcpy(entry->bytes, message.data, message.length);
    if (retry == NULL) {
        DL_APPEND(outbox->entries, entry);
        outbox->count++;
    } else {
        entry->losses = retry->losses;
        retry->entry = entry;
        DL_PREPEND(outbox->entries, entry);
    }
    return entry;
}

/* When a message that is read from the ledger was stored. */
static int64_t stored_us(struct slice bytes)
{
    struct message message;
    bool is_known = message_decode(bytes, &message) == STATUS_OK && message.made_at_ms != 0;
    return is_known ? clock_mono_us() - (clock_wall_ms() - message.made_at_ms) * 1000 : INT64_MIN;
}

static void remove_entry(struct outbox *outbox, struct entry *entry)
{
    if (entry->is_handed) {
        outbox->handed_count--;
        outbox->is_alone = false;
    }
    if (entry->retry == NULL) {
        outbox->count--;
    } else {
        entry->retry->entry = NULL;
    }
    DL_DELETE(outbox->entries, entry);
    free(entry);
}

static void retry_due(void *arg)
{
    struct retry *retry = arg;
    DL_APPEND2(retry->outbox->due, retry, due_prev, due_next);
    read_due(retry->outbox);
}

static bool is_lost_alone(const struct retry *retry)
{
    return retry->losses.alone_count >= OUTBOX_LOST_ALONE_MAX;
}

static bool is_over(const struct retry *retry)
{
    return is_lost_alone(retry) || loop_now_ms(retry->outbox->loop) >= retry->expires_ms;
}

static int64_t wait_ms(const struct retry *retry)
{
    int64_t left_ms = retry->expires_ms - loop_now_ms(retry->outbox->loop);
    int64_t backoff_ms = retry_doubled_ms(retry->count, OUTBOX_RETRY_MS, OUTBOX_RETRY_MS_MAX);
    return left_ms > 0 && left_ms < backoff_ms ? left_ms : backoff_ms;
}

/* The ledger has, or has not, put a dead letter in its place. */
static void replaced(void *arg, enum status status)
{
    struct retry *retry = arg;
    retry->is_being_replaced = false;
    if (status == STATUS_OK) {
        counter_add(retry->outbox->counters, COUNTER_UNDELIVERED, 1);
        end_retry(retry);
    } else {
        loop_timer_start(retry->timer, OUTBOX_RETRY_MS);
    }
}

/* The message becomes a dead letter; a dead letter is dropped. */
static void give_up(struct retry *retry, struct slice bytes)
{
    struct outbox *outbox = retry->outbox;
    struct undelivered undelivered;
    struct buf letter = {0};
    const char *why = is_lost_alone(retry)
                          ? "Three connections to the broker were lost while the bridge published "
                            "only this message."
                          : "The broker did not take this message before it expired.";
    undelivered_init(&undelivered, bytes);
    undelivered_put_letter(&undelivered, outbox->settings, why, &letter);
    LOG_ERROR(letter.length > 0 ? "reply_undelivered" : "dead_letter_dropped",
              LOG_INT("outbox_id", retry->id), LOG_SLICE("topic", undelivered.message.topic),
              LOG_SLICE("token", undelivered.token), LOG_TEXT("why", why));
    retry->is_being_replaced = true;
    ledger_replace(outbox->ledger, retry->id, bytes.length,
                   letter.length > 0 ? buf_slice(&letter) : (struct slice){0}, replaced, retry);
    buf_fini(&letter);
    undelivered_fini(&undelivered);
}

static struct retry *retry_new(struct outbox *outbox, const struct message *message, int64_t id)
{
    struct retry *retry = mem_zalloc(1, sizeof *retry);
    int64_t lasts_ms = outbox->settings->replies.expiry_s * 1000;
    int64_t age_ms = message->made_at_ms == 0 ? 0 : clock_wall_ms() - message->made_at_ms;
    age_ms = age_ms < 0 ? 0 : age_ms > lasts_ms ? lasts_ms : age_ms;
    retry->outbox = outbox;
    retry->id = id;
    retry->expires_ms = loop_now_ms(outbox->loop) + lasts_ms - age_ms;
    retry->timer = loop_timer_new(outbox->loop, retry_due, retry);
    DL_APPEND(outbox->retries, retry);
    outbox->retry_count++;
    health_set(outbox->health, HEALTH_REPLY_REFUSED, true);
    return retry;
}

/* Sets the message back: because the broker refused it with `code` and `why`, or (absent) because
 * connections were lost. */
static void set_back(struct outbox *outbox, struct entry *entry, uint32_t code, struct slice why)
{
    struct slice bytes = slice_of(entry->bytes, entry->length);
    struct undelivered undelivered;
    struct retry *retry = entry->retry;
    undelivered_init(&undelivered, bytes);
    if (retry == NULL) {
        retry = retry_new(outbox, &undelivered.message, entry->id);
    }
    free_place(retry);
    retry->losses = entry->losses;
    retry->count++;
    /* One line of level warn for each message; the log need not have all attempts. */
    if (slice_is_present(why)) {
        LOG_EVENT(retry->count == 1 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "reply_refused",
                  LOG_INT("outbox_id", retry->id), LOG_SLICE("topic", undelivered.message.topic),
                  LOG_SLICE("token", undelivered.token), LOG_INT("code", code),
                  LOG_SLICE("why", why), LOG_INT("retry_in_ms", wait_ms(retry)));
    } else {
        LOG_EVENT(retry->count == 1 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "reply_set_back",
                  LOG_INT("outbox_id", retry->id), LOG_SLICE("topic", undelivered.message.topic),
                  LOG_SLICE("token", undelivered.token),
                  LOG_INT("connections_lost", retry->losses.count),
                  LOG_INT("retry_in_ms", wait_ms(retry)));
    }
    undelivered_fini(&undelivered);
    if (is_over(retry)) {
        give_up(retry, bytes);
    } else {
        loop_timer_start(retry->timer, wait_ms(retry));
    }
    remove_entry(outbox, entry);
}

static void read_retry(void *arg, int64_t id, struct slice message)
{
    struct retry *retry = arg;
    if (id != retry->id) {
        return;
    }
    if (is_over(retry)) {
        free_place(retry);
        give_up(retry, message);
    } else {
        append(retry->outbox, id, message, stored_us(message), retry);
    }
}

static void read_retry_done(void *arg, size_t count)
{
    struct retry *retry = arg;
    struct outbox *outbox = retry->outbox;
    (void)count;
    if (retry->entry == NULL && !retry->is_being_replaced) {
        end_retry(retry); /* the ledger does not have it any more */
    }
    read_due(outbox);
    pump(outbox);
}

/* Whether one more may be published again now. */
static bool may_retry(struct outbox *outbox)
{
    if (!outbox->closes_at_refusals) {
        return outbox->retrying_count < OUTBOX_RETRYING_MAX;
    }
    int64_t now_ms = loop_now_ms(outbox->loop);
    if (now_ms < outbox->paced_until_ms) {
        loop_timer_start(outbox->paced, outbox->paced_until_ms - now_ms);
        return false;
    }
    return outbox->retrying_count == 0;
}

/* Reads messages that are due, while there are places. */
static void read_due(void *arg)
{
    struct outbox *outbox = arg;
    struct retry *retry;
    while ((retry = outbox->due) != NULL && may_retry(outbox)) {
        DL_DELETE2(outbox->due, retry, due_prev, due_next);
        retry->has_place = true;
        outbox->retrying_count++;
        ledger_read_outbox(outbox->ledger, retry->id, 1, read_retry, read_retry_done, retry);
    }
}

/* ---- Reading from the ledger ---- */

static void read_message(void *arg, int64_t id, struct slice message)
{
    struct outbox *outbox = arg;
    append(outbox, id, message, stored_us(message), NULL);
    outbox->unread_from = id + 1;
}

static void read_done(void *arg, size_t count)
{
    struct outbox *outbox = arg;
    outbox->is_reading = false;
    if (count < OUTBOX_READ_COUNT) {
        outbox->unread_from = 0;
    }
    pump(outbox);
}

/* Reads on once half of the memory is free again. */
static void read_more(struct outbox *outbox)
{
    if (outbox->unread_from != 0 && !outbox->is_reading &&
        outbox->count <= OUTBOX_MEMORY_MAX - OUTBOX_READ_COUNT) {
        outbox->is_reading = true;
        ledger_read_outbox(outbox->ledger, outbox->unread_from, OUTBOX_READ_COUNT, read_message,
                           read_done, outbox);
    }
}

/* ---- Handing over ---- */

static bool goes_alone(const struct entry *entry)
{
    return entry->losses.count >= OUTBOX_LOST_SET_BACK;
}

/* Whether the connection has lasted long enough for a message that goes alone; else the timer runs.
 */
static bool may_go_alone(struct outbox *outbox)
{
    int64_t left_ms = outbox->up_ms + OUTBOX_ALONE_AFTER_MS - loop_now_ms(outbox->loop);
    if (left_ms > 0 && !loop_timer_is_running(outbox->alone)) {
        loop_timer_start(outbox->alone, left_ms);
    }
    return left_ms <= 0;
}

static void hand_over(struct outbox *outbox)
{
    struct entry *entry;
    DL_FOREACH (outbox->entries, entry) {
        bool is_alone = goes_alone(entry);
        if (entry->is_handed || (is_alone && !may_go_alone(outbox))) {
            continue;
        }
        /* What is in flight ends before one goes alone, and the others wait until it is answered.
         */
        if (outbox->is_alone || outbox->handed_count >= (is_alone ? 1 : OUTBOX_HANDED_MAX) ||
            !workers_may_publish(outbox->workers)) {
            return;
        }
        entry->is_handed = true;
        outbox->handed_count++;
        outbox->is_alone = is_alone;
        workers_publish(outbox->workers, entry->id, slice_of(entry->bytes, entry->length));
    }
}

static void report_when_empty(struct outbox *outbox)
{
    if (outbox->empty != NULL && outbox->count == 0 && outbox->handed_count == 0 &&
        outbox->unread_from == 0) {
        loop_timer_start(outbox->flushed, 0);
    }
}

static void pump(void *arg)
{
    struct outbox *outbox = arg;
    if (outbox->is_up) {
        hand_over(outbox);
    }
    read_more(outbox);
    report_when_empty(outbox);
}

void outbox_trace(struct outbox *outbox, struct traces *traces)
{
    outbox->traces = traces;
}

void outbox_connect(struct outbox *outbox, struct ledger *ledger, struct workers *workers)
{
    outbox->ledger = ledger;
    outbox->workers = workers;
    outbox->unread_from = 1;
    check_full(outbox);
    read_more(outbox);
}

void outbox_posted(struct outbox *outbox, int64_t id, struct slice message)
{
    check_full(outbox);
    if (outbox->unread_from != 0) {
        return;
    }
    if (outbox->count >= OUTBOX_MEMORY_MAX) {
        outbox->unread_from = id;
        return;
    }
    append(outbox, id, message, clock_mono_us(), NULL);
    pump(outbox);
}

static struct entry *handed_entry(struct outbox *outbox, int64_t id)
{
    struct entry *entry;
    DL_FOREACH (outbox->entries, entry) {
        if (entry->id == id) {
            return entry->is_handed ? entry : NULL;
        }
    }
    return NULL;
}

void outbox_published(struct outbox *outbox, int64_t id)
{
    struct entry *entry = handed_entry(outbox, id);
    if (entry == NULL) {
        return;
    }
    struct retry *retry = entry->retry;
    CRASH_POINT_PASS(AFTER_REPLY_ACK, slice_of(entry->bytes, entry->length));
    if (entry->stored_us != INT64_MIN) {
        histogram_observe(outbox->counters, HISTOGRAM_PUBLISH, clock_mono_us() - entry->stored_us);
    }
    ledger_delivered(outbox->ledger, id, entry->length);
    traces_published(outbox->traces, id, slice_of(entry->bytes, entry->length));
    remove_entry(outbox, entry);
    if (retry != NULL) {
        outbox->closes_at_refusals = false; /* until it does so again */
        end_retry(retry);
    }
    pump(outbox);
}

void outbox_unpublished(struct outbox *outbox, int64_t id, uint32_t code, struct slice why)
{
    struct entry *entry = handed_entry(outbox, id);
    if (entry == NULL) {
        return;
    }
    size_t count =
        outbox->retry_count < OUTBOX_PACE_COUNT_MAX ? outbox->retry_count : OUTBOX_PACE_COUNT_MAX;
    counter_add(outbox->counters, COUNTER_PUBLISH_REFUSED, 1);
    outbox->refused_ms = loop_now_ms(outbox->loop);
    outbox->paced_until_ms = outbox->refused_ms + (int64_t)count * OUTBOX_PACE_MS;
    entry->losses = (struct losses){0}; /* the broker answers it instead of closing */
    set_back(outbox, entry, code, slice_is_present(why) ? why : slice_text(""));
    read_due(outbox);
    pump(outbox);
}

/* The connection was lost before an acknowledgement of these: they are handed over again. */
static void lose_handed(struct outbox *outbox)
{
    bool was_alone = outbox->handed_count == 1;
    bool is_behind_refusal = outbox->refused_ms != INT64_MIN &&
                             loop_now_ms(outbox->loop) - outbox->refused_ms < OUTBOX_REFUSAL_MS;
    struct entry *entry;
    struct entry *next;
    DL_FOREACH_SAFE (outbox->entries, entry, next) {
        if (!entry->is_handed) {
            continue;
        }
        entry->is_handed = false;
        outbox->handed_count--;
        if (!is_behind_refusal) {
            entry->losses.count++;
            entry->losses.alone_count += was_alone;
        }
        if (entry->retry != NULL || goes_alone(entry)) {
            set_back(outbox, entry, 0, (struct slice){0});
        }
    }
    outbox->is_alone = false;
    outbox->closes_at_refusals |= is_behind_refusal;
}

void outbox_publisher_changed(struct outbox *outbox, bool is_up)
{
    outbox->is_up = is_up;
    outbox->up_ms = loop_now_ms(outbox->loop);
    lose_handed(outbox);
    outbox->refused_ms = INT64_MIN;
    loop_timer_stop(outbox->alone);
    read_due(outbox);
    pump(outbox);
}

void outbox_flush(struct outbox *outbox, loop_fn *empty, void *arg)
{
    outbox->empty = empty;
    outbox->empty_arg = arg;
    report_when_empty(outbox);
}
