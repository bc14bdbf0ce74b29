/*
 * What is handed to the publisher, and what comes back: acknowledged, refused, or lost with the
 * connection.
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "common.h"

#include <utlist.h>

#define OUTBOX_HANDED_MAX 128
/* Connections lost with a message: from then on it goes alone. */
#define OUTBOX_LOST_SET_BACK 2
/* How long a connection must have lasted before a message is published alone. It leaves time for
 * the status message, which may be the one at which the broker closes the connection. */
#define OUTBOX_ALONE_AFTER_MS 1000
/* The end of a connection so soon after a refusal may be due to it. */
#define OUTBOX_REFUSAL_MS 1000
/* A broker that closes the connection at each refusal (mosquitto 2.0 with max_queued_messages 0)
 * gets the next message that was set back after so long a time for each of them, up to so many. */
#define OUTBOX_PACE_MS        1000
#define OUTBOX_PACE_COUNT_MAX 10

/* ---- handing over ---- */

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

/* Whether an event of the same object is in front of this one. */
static bool is_behind_another(const struct outbox *outbox, const struct entry *entry)
{
    const struct entry *other;
    DL_FOREACH (outbox->entries, other) {
        if (other != entry && other->order == entry->order && other->id < entry->id) {
            return true;
        }
    }
    return false;
}

void outbox_hand_over(struct outbox *outbox)
{
    struct entry *entry;
    struct entry *next;
    DL_FOREACH_SAFE (outbox->entries, entry, next) {
        bool is_alone = goes_alone(entry);
        if (entry->is_handed || (is_alone && !may_go_alone(outbox))) {
            continue;
        }
        if (entry->order != 0 && retry_is_before(outbox, entry)) {
            retry_hold(outbox, entry);
            continue;
        }
        if (entry->order != 0 && is_behind_another(outbox, entry)) {
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
        workers_publish(outbox->workers, entry->id, lease_valid_until_ms(outbox->lease),
                        slice_of(entry->bytes, entry->length));
    }
}

/* ---- what comes back ---- */

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
    if (entry->order == 0) {
        traces_published(outbox->traces, id, slice_of(entry->bytes, entry->length));
    }
    entry_remove(outbox, entry);
    if (retry != NULL) {
        outbox->closes_at_refusals = false; /* until it does so again */
        retry_end(retry);
    }
    outbox_pump(outbox);
}

/* It waited in the publisher for longer than the lease, and is handed over again. */
void outbox_expired(struct outbox *outbox, int64_t id)
{
    struct entry *entry = handed_entry(outbox, id);
    if (entry != NULL) {
        entry->is_handed = false;
        outbox->handed_count--;
        outbox->is_alone = false;
        outbox_pump(outbox);
    }
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
    retry_set_back(outbox, entry, code, slice_is_present(why) ? why : slice_text(""));
    retries_read_due(outbox);
    outbox_pump(outbox);
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
            retry_set_back(outbox, entry, 0, (struct slice){0});
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
    retries_read_due(outbox);
    outbox_pump(outbox);
}
