/*
 * One list in the order of ids: first the messages that were handed to the publisher, then those
 * that wait. Where memory is full, the rest is in the ledger only: from `unread_from` on messages
 * are read from there, new ones too, until a read has reached the end. publish.c hands them over,
 * set_back.c has those that the broker did not take.
 */
#include "outbox/outbox.h"

#include "base/clock.h"
#include "base/mem.h"
#include "common.h"

#include <stdlib.h>
#include <utlist.h>

#define OUTBOX_MEMORY_MAX    512
#define OUTBOX_READ_COUNT    256
#define OUTBOX_FULL_CHECK_MS 500

static void flushed_due(void *arg)
{
    struct outbox *outbox = arg;
    loop_fn *empty = outbox->empty;
    outbox->empty = NULL;
    empty(outbox->empty_arg);
}

/* ---- the limits ---- */

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

/* ---- making and freeing ---- */

struct outbox *outbox_new(struct loop *loop, const struct settings *settings, struct health *health,
                          struct counters *counters)
{
    struct outbox *outbox = mem_zalloc(1, sizeof *outbox);
    outbox->loop = loop;
    outbox->settings = settings;
    outbox->health = health;
    outbox->counters = counters;
    outbox->refused_ms = INT64_MIN;
    outbox->alone = loop_timer_new(loop, outbox_pump, outbox);
    outbox->paced = loop_timer_new(loop, retries_read_due, outbox);
    outbox->full = loop_timer_new(loop, check_full, outbox);
    outbox->flushed = loop_timer_new(loop, flushed_due, outbox);
    return outbox;
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
        retry_free(retry);
    }
    loop_timer_free(outbox->alone);
    loop_timer_free(outbox->paced);
    loop_timer_free(outbox->full);
    loop_timer_free(outbox->flushed);
    free(outbox);
}

void outbox_trace(struct outbox *outbox, struct traces *traces)
{
    outbox->traces = traces;
}

void outbox_set_lease(struct outbox *outbox, const struct lease *lease)
{
    outbox->lease = lease;
}

void outbox_lease_regained(struct outbox *outbox)
{
    outbox_pump(outbox);
}

/* ---- the messages in memory ---- */

/* Events with the same topic keep their order: a number made of the topic, which two topics may
 * share without harm. 0 for other messages. */
static uint64_t order_of(struct slice bytes)
{
    struct message message;
    uint64_t order = UINT64_C(14695981039346656037); /* FNV-1a */
    if (message_decode(bytes, &message) != STATUS_OK || !message.is_event) {
        return 0;
    }
    for (size_t i = 0; i < message.topic.length; i++) {
        order = (order ^ (uint8_t)message.topic.data[i]) * UINT64_C(1099511628211);
    }
    return order | 1;
}

struct entry *entry_add(struct outbox *outbox, int64_t id, struct slice message, int64_t stored_us,
                        struct retry *retry)
{
    struct entry *entry = mem_alloc(sizeof *entry + message.length);
    *entry = (struct entry){.id = id,
                            .stored_us = stored_us,
                            .length = message.length,
                            .retry = retry,
                            .order = order_of(message)};
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

int64_t entry_stored_us(struct slice bytes)
{
    struct message message;
    bool is_known = message_decode(bytes, &message) == STATUS_OK && message.made_at_ms != 0;
    return is_known ? clock_mono_us() - (clock_wall_ms() - message.made_at_ms) * 1000 : INT64_MIN;
}

void entry_remove(struct outbox *outbox, struct entry *entry)
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

/* ---- reading from the ledger ---- */

static void read_message(void *arg, int64_t id, struct slice message)
{
    struct outbox *outbox = arg;
    entry_add(outbox, id, message, entry_stored_us(message), NULL);
    outbox->unread_from = id + 1;
}

static void read_done(void *arg, size_t count)
{
    struct outbox *outbox = arg;
    outbox->is_reading = false;
    if (count < OUTBOX_READ_COUNT) {
        outbox->unread_from = 0;
    }
    outbox_pump(outbox);
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

/* ---- what moves the queue ---- */

static void report_when_empty(struct outbox *outbox)
{
    if (outbox->empty != NULL && outbox->count == 0 && outbox->handed_count == 0 &&
        outbox->unread_from == 0) {
        loop_timer_start(outbox->flushed, 0);
    }
}

void outbox_pump(void *arg)
{
    struct outbox *outbox = arg;
    if (outbox->is_up && (outbox->lease == NULL || outbox->lease->is_valid)) {
        outbox_hand_over(outbox);
    }
    read_more(outbox);
    report_when_empty(outbox);
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
    entry_add(outbox, id, message, clock_mono_us(), NULL);
    outbox_pump(outbox);
}

void outbox_flush(struct outbox *outbox, loop_fn *empty, void *arg)
{
    outbox->empty = empty;
    outbox->empty_arg = arg;
    report_when_empty(outbox);
}
