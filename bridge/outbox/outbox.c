/*
 * One list in the order of ids: first the messages that were handed to the publisher, then those
 * that wait. Where memory is full, the rest is in the ledger only: from `unread_from` on messages
 * are read from there, new ones too, until a read has reached the end.
 */
#include "outbox/outbox.h"

#include "base/crash_point.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/command.h"
#include "model/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define OUTBOX_HANDED_MAX     128
#define OUTBOX_MEMORY_MAX     512
#define OUTBOX_READ_COUNT     256
#define OUTBOX_RETRY_DELAY_MS 1000
#define OUTBOX_AGAIN_DELAY_MS 60000 /* then a message that was set aside is tried once more */
#define OUTBOX_LOST_ALONE     2 /* connections lost with a message: from then on it goes alone */
#define BODY_DEPTH_MAX        16
#define OUTBOX_LOST_SET_ASIDE 3 /* connections lost while it was alone */

struct entry {
    struct entry *prev;
    struct entry *next;
    int64_t id;
    bool is_handed;            /* to the publisher that is connected now */
    bool is_waiting;           /* the broker refused it for now: until the retry timer */
    uint32_t lost_count;       /* connections lost in a row while it was in flight */
    uint32_t lost_alone_count; /* of these, while nothing else was in flight */
    size_t length;
    char bytes[];
};

struct outbox {
    struct counters *counters;
    struct ledger *ledger;
    struct workers *workers;
    struct entry *entries;
    size_t count;
    size_t handed_count;
    size_t set_aside_count; /* of the entries: not handed over until `again` */
    bool is_alone;          /* the one that is handed over goes alone */
    bool was_refused;       /* on this connection a message, for now */
    int64_t unread_from;    /* 0: all of the outbox is in memory */
    bool is_reading;
    bool is_up;
    struct loop_timer *retry; /* ends the wait of refused messages */
    struct loop_timer *again; /* ends the wait of messages that were set aside */
    struct loop_timer *flushed;
    loop_fn *empty;
    void *empty_arg;
};

static void pump(struct outbox *outbox);

static void flushed_due(void *arg)
{
    struct outbox *outbox = arg;
    loop_fn *empty = outbox->empty;
    outbox->empty = NULL;
    empty(outbox->empty_arg);
}

static void retry_due(void *arg)
{
    struct outbox *outbox = arg;
    struct entry *entry;
    DL_FOREACH (outbox->entries, entry) {
        entry->is_waiting = false;
    }
    pump(outbox);
}

static bool is_set_aside(const struct entry *entry)
{
    return entry->lost_alone_count >= OUTBOX_LOST_SET_ASIDE;
}

/* The broker may have been the cause: each goes alone once more. */
static void again_due(void *arg)
{
    struct outbox *outbox = arg;
    struct entry *entry;
    DL_FOREACH (outbox->entries, entry) {
        if (is_set_aside(entry)) {
            entry->lost_alone_count = OUTBOX_LOST_SET_ASIDE - 1;
            outbox->set_aside_count--;
        }
    }
    pump(outbox);
}

struct outbox *outbox_new(struct loop *loop, struct counters *counters)
{
    struct outbox *outbox = mem_zalloc(1, sizeof *outbox);
    outbox->counters = counters;
    outbox->retry = loop_timer_new(loop, retry_due, outbox);
    outbox->again = loop_timer_new(loop, again_due, outbox);
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
    loop_timer_free(outbox->retry);
    loop_timer_free(outbox->again);
    loop_timer_free(outbox->flushed);
    free(outbox);
}

static void append(struct outbox *outbox, int64_t id, struct slice message)
{
    struct entry *entry = mem_alloc(sizeof *entry + message.length);
    *entry = (struct entry){.id = id, .length = message.length};
    memcpy(entry->bytes, message.data, message.length);
    DL_APPEND(outbox->entries, entry);
    outbox->count++;
}

static void read_message(void *arg, int64_t id, struct slice message)
{
    struct outbox *outbox = arg;
    append(outbox, id, message);
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
        outbox->count - outbox->set_aside_count <= OUTBOX_MEMORY_MAX - OUTBOX_READ_COUNT) {
        outbox->is_reading = true;
        ledger_read_outbox(outbox->ledger, outbox->unread_from, OUTBOX_READ_COUNT, read_message,
                           read_done, outbox);
    }
}

static bool goes_alone(const struct entry *entry)
{
    return entry->lost_count >= OUTBOX_LOST_ALONE;
}

static void hand_over(struct outbox *outbox)
{
    struct entry *entry;
    DL_FOREACH (outbox->entries, entry) {
        if (entry->is_handed || entry->is_waiting || is_set_aside(entry)) {
            continue;
        }
        /* The order of ids holds here, too: behind a message that goes alone everything waits. */
        if (outbox->is_alone ||
            outbox->handed_count >= (goes_alone(entry) ? 1 : OUTBOX_HANDED_MAX) ||
            !workers_may_publish(outbox->workers)) {
            return;
        }
        entry->is_handed = true;
        outbox->handed_count++;
        outbox->is_alone = goes_alone(entry);
        workers_publish(outbox->workers, entry->id, slice_of(entry->bytes, entry->length));
    }
}

static void report_when_empty(struct outbox *outbox)
{
    if (outbox->empty != NULL && outbox->count == outbox->set_aside_count &&
        outbox->unread_from == 0) {
        loop_timer_start(outbox->flushed, 0);
    }
}

static void pump(struct outbox *outbox)
{
    if (outbox->is_up) {
        hand_over(outbox);
    }
    read_more(outbox);
    report_when_empty(outbox);
}

void outbox_connect(struct outbox *outbox, struct ledger *ledger, struct workers *workers)
{
    outbox->ledger = ledger;
    outbox->workers = workers;
    outbox->unread_from = 1;
    read_more(outbox);
}

void outbox_posted(struct outbox *outbox, int64_t id, struct slice message)
{
    if (outbox->unread_from != 0) {
        return;
    }
    if (outbox->count - outbox->set_aside_count >= OUTBOX_MEMORY_MAX) {
        outbox->unread_from = id;
        return;
    }
    append(outbox, id, message);
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

/* The broker acknowledged or refused it: the ledger may forget it. */
static void forget(struct outbox *outbox, struct entry *entry)
{
    ledger_delivered(outbox->ledger, entry->id);
    DL_DELETE(outbox->entries, entry);
    outbox->count--;
    outbox->handed_count--;
    outbox->is_alone = false;
    free(entry);
    pump(outbox);
}

void outbox_published(struct outbox *outbox, int64_t id)
{
    struct entry *entry = handed_entry(outbox, id);
    if (entry != NULL) {
        CRASH_POINT_PASS(AFTER_REPLY_ACK, slice_of(entry->bytes, entry->length));
        forget(outbox, entry);
    }
}

/* For the log: the topic of the message, and the ClientToken in its body, "" for none. */
static struct slice read_names(const struct entry *entry, char out_token[])
{
    struct message message;
    struct json_fault fault;
    out_token[0] = '\0';
    if (message_decode(slice_of(entry->bytes, entry->length), &message) != STATUS_OK) {
        return slice_text("");
    }
    struct json *body = json_parse(message.body, BODY_DEPTH_MAX, &fault);
    struct slice token = json_text(json_member(body, "ClientToken"));
    if (token.length <= COMMAND_TOKEN_BYTES_MAX) {
        snprintf(out_token, COMMAND_TOKEN_BYTES_MAX + 1, "%.*s", (int)token.length,
                 token.length > 0 ? token.data : "");
    }
    json_free(body);
    return message.topic;
}

void outbox_unpublished(struct outbox *outbox, int64_t id, bool is_final, struct slice why)
{
    struct entry *entry = handed_entry(outbox, id);
    if (entry == NULL) {
        return;
    }
    char token[COMMAND_TOKEN_BYTES_MAX + 1];
    struct slice topic = read_names(entry, token);
    if (is_final) {
        LOG_ERROR("reply_refused_by_broker", LOG_INT("outbox_id", id), LOG_SLICE("topic", topic),
                  LOG_TEXT("token", token), LOG_SLICE("why", why));
        counter_add(outbox->counters, COUNTER_PUBLISH_REFUSED, 1);
        forget(outbox, entry);
        return;
    }
    LOG_WARN("reply_not_published", LOG_INT("outbox_id", id), LOG_SLICE("topic", topic),
             LOG_TEXT("token", token), LOG_SLICE("why", why));
    entry->is_handed = false;
    entry->is_waiting = true;
    entry->lost_count = 0;
    entry->lost_alone_count = 0;
    outbox->handed_count--;
    outbox->is_alone = false;
    outbox->was_refused = true;
    if (!loop_timer_is_running(outbox->retry)) {
        loop_timer_start(outbox->retry, OUTBOX_RETRY_DELAY_MS);
    }
    pump(outbox);
}

void outbox_publisher_changed(struct outbox *outbox, bool is_up)
{
    struct entry *entry;
    bool was_alone = outbox->handed_count == 1;
    outbox->is_up = is_up;
    outbox->handed_count = 0;
    outbox->is_alone = false;
    DL_FOREACH (outbox->entries, entry) {
        if (!entry->is_handed) {
            continue;
        }
        /* Its connection was lost before an acknowledgement: it is handed over again. A connection
         * on which another message was refused may have ended for that. */
        entry->is_handed = false;
        if (outbox->was_refused) {
            continue;
        }
        entry->lost_count++;
        entry->lost_alone_count += was_alone;
        if (is_set_aside(entry)) {
            char token[COMMAND_TOKEN_BYTES_MAX + 1];
            struct slice topic = read_names(entry, token);
            LOG_ERROR("reply_set_aside", LOG_INT("outbox_id", entry->id), LOG_SLICE("topic", topic),
                      LOG_TEXT("token", token), LOG_INT("connections_lost", entry->lost_count));
            counter_add(outbox->counters, COUNTER_PUBLISH_SET_ASIDE, 1);
            outbox->set_aside_count++;
            if (!loop_timer_is_running(outbox->again)) {
                loop_timer_start(outbox->again, OUTBOX_AGAIN_DELAY_MS);
            }
        }
    }
    outbox->was_refused = false;
    pump(outbox);
}

void outbox_flush(struct outbox *outbox, loop_fn *empty, void *arg)
{
    outbox->empty = empty;
    outbox->empty_arg = arg;
    report_when_empty(outbox);
}
