/*
 * Of a message that is set back only a struct retry stays in memory, with a timer. When it is due,
 * it waits for one of RETRYING_MAX places, is read from the ledger again, and goes to the head of
 * the list.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"
#include "model/retry.h"
#include "undelivered.h"

#include <stdlib.h>
#include <utlist.h>

#define OUTBOX_RETRYING_MAX 16 /* messages that were set back and are being published again */
#define OUTBOX_RETRY_MS     1000
#define OUTBOX_RETRY_MS_MAX 60000
/* Connections lost while it was alone: it becomes a dead letter. */
#define OUTBOX_LOST_ALONE_MAX 3

/* The new one mostly has the highest id. */
static void join_order(struct retry *retry, uint64_t number)
{
    struct outbox *outbox = retry->outbox;
    struct retry_order *order;
    HASH_FIND(hh, outbox->orders, &number, sizeof number, order);
    if (order == NULL) {
        order = mem_zalloc(1, sizeof *order);
        order->number = number;
        HASH_ADD(hh, outbox->orders, number, sizeof number, order);
    }
    struct retry *before = order->retries == NULL ? NULL : order->retries->order_prev;
    while (before != NULL && before->id > retry->id) {
        before = before == order->retries ? NULL : before->order_prev;
    }
    DL_APPEND_ELEM2(order->retries, before, retry, order_prev, order_next);
    retry->order = order;
}

/* The first one of the others waits for nobody any more. */
static void leave_order(struct retry *retry)
{
    struct retry_order *order = retry->order;
    DL_DELETE2(order->retries, retry, order_prev, order_next);
    if (order->retries == NULL) {
        HASH_DEL(retry->outbox->orders, order);
        free(order);
    } else if (order->retries->is_held) {
        loop_timer_start(order->retries->timer, 0);
    }
}

void retry_free(struct retry *retry)
{
    struct outbox *outbox = retry->outbox;
    if (retry->order != NULL) {
        leave_order(retry);
    }
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

void retry_end(struct retry *retry)
{
    struct outbox *outbox = retry->outbox;
    free_place(retry);
    retry_free(retry);
    health_set(outbox->health, HEALTH_REPLY_REFUSED, outbox->retries != NULL);
    retries_read_due(outbox);
}

static void retry_due(void *arg)
{
    struct retry *retry = arg;
    retry->is_held = false;
    DL_APPEND2(retry->outbox->due, retry, due_prev, due_next);
    retries_read_due(retry->outbox);
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
        retry_end(retry);
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
    const char *event = undelivered.message.is_event ? "event_dropped"
                        : letter.length > 0          ? "reply_undelivered"
                                                     : "dead_letter_dropped";
    LOG_ERROR(event, LOG_INT("outbox_id", retry->id), LOG_SLICE("topic", undelivered.message.topic),
              LOG_SLICE("token", undelivered.token), LOG_TEXT("why", why));
    retry->is_being_replaced = true;
    ledger_replace(outbox->ledger, retry->id, bytes.length,
                   letter.length > 0 ? buf_slice(&letter) : (struct slice){0}, replaced, retry);
    buf_fini(&letter);
    undelivered_fini(&undelivered);
}

static struct retry *retry_new(struct outbox *outbox, const struct message *message,
                               const struct entry *entry)
{
    struct retry *retry = mem_zalloc(1, sizeof *retry);
    int64_t lasts_ms =
        (message->is_event ? message->expiry_s : outbox->settings->replies.expiry_s) * 1000;
    int64_t age_ms = message->made_at_ms == 0 ? 0 : clock_wall_ms() - message->made_at_ms;
    age_ms = age_ms < 0 ? 0 : age_ms > lasts_ms ? lasts_ms : age_ms;
    retry->outbox = outbox;
    retry->id = entry->id;
    retry->expires_ms = loop_now_ms(outbox->loop) + lasts_ms - age_ms;
    retry->timer = loop_timer_new(outbox->loop, retry_due, retry);
    DL_APPEND(outbox->retries, retry);
    outbox->retry_count++;
    if (entry->order != 0) {
        join_order(retry, entry->order);
    }
    health_set(outbox->health, HEALTH_REPLY_REFUSED, true);
    return retry;
}

bool retry_is_before(const struct outbox *outbox, const struct entry *entry)
{
    const struct retry_order *order;
    HASH_FIND(hh, outbox->orders, &entry->order, sizeof entry->order, order);
    return order != NULL && order->retries->id < entry->id;
}

void retry_hold(struct outbox *outbox, struct entry *entry)
{
    struct slice bytes = slice_of(entry->bytes, entry->length);
    struct retry *retry = entry->retry;
    struct message message = {.expiry_s = 0};
    if (retry == NULL) {
        (void)message_decode(bytes, &message); /* it is an event, so it was decoded before */
        retry = retry_new(outbox, &message, entry);
    }
    free_place(retry);
    if (is_over(retry)) {
        give_up(retry, bytes);
    } else {
        retry->is_held = true;
        loop_timer_start(retry->timer, retry->expires_ms - loop_now_ms(outbox->loop));
    }
    entry_remove(outbox, entry);
}

void retry_set_back(struct outbox *outbox, struct entry *entry, uint32_t code, struct slice why)
{
    struct slice bytes = slice_of(entry->bytes, entry->length);
    struct undelivered undelivered;
    struct retry *retry = entry->retry;
    undelivered_init(&undelivered, bytes);
    if (retry == NULL) {
        retry = retry_new(outbox, &undelivered.message, entry);
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
    entry_remove(outbox, entry);
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
        entry_add(retry->outbox, id, message, entry_stored_us(message), retry);
    }
}

static void read_retry_done(void *arg, size_t count)
{
    struct retry *retry = arg;
    struct outbox *outbox = retry->outbox;
    (void)count;
    if (retry->entry == NULL && !retry->is_being_replaced) {
        retry_end(retry); /* the ledger does not have it any more */
    }
    retries_read_due(outbox);
    outbox_pump(outbox);
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

void retries_read_due(void *arg)
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
