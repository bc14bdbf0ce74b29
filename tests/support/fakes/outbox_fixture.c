#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "outbox_fixture.h"

#include "base/clock.h"
#include "base/json.h"
#include "model/message.h"
#include "support/fakes/fake_timers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct outbox_fixture fixture;

/* ---- the ledger and the publisher of this test ---- */

struct slice fixture_row_bytes(int64_t id)
{
    static struct buf bytes;
    char topic[TEXT_BYTES];
    char body[2 * TEXT_BYTES];
    if (fixture.event_topics > 0) {
        snprintf(topic, sizeof topic, "events/%lld", (long long)(id % fixture.event_topics));
    } else {
        snprintf(topic, sizeof topic, "replies/%lld", (long long)id);
    }
    snprintf(body, sizeof body, "{\"ClientToken\":\"t%lld\"}", (long long)id);
    const struct message message = {.topic = slice_text(topic),
                                    .body = slice_text(body),
                                    .qos = 1,
                                    .expiry_s = EXPIRY_S,
                                    .made_at_ms = fixture.made_at_ms,
                                    .is_dead_letter = fixture.has_dead_letters,
                                    .is_event = fixture.event_topics > 0};
    buf_clear(&bytes);
    message_encode(&message, &bytes);
    return buf_slice(&bytes);
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    const struct waiting_read read = {from_id, limit, each, done, arg};
    (void)ledger;
    if (limit == 1) {
        assert_true(fixture.retry_read_count < READS_MAX);
        fixture.retry_reads[fixture.retry_read_count++] = read;
        fixture.retry_read_total++;
        return;
    }
    assert_false(fixture.is_reading);
    fixture.is_reading = true;
    fixture.read = read;
    fixture.read_count++;
}

void ledger_delivered(struct ledger *ledger, int64_t id, size_t length)
{
    (void)ledger;
    assert_true(fixture.has_row[id]);
    assert_int_equal(length, fixture_row_bytes(id).length);
    fixture.has_row[id] = false;
    fixture.delivered_count++;
}

void traces_published(struct traces *traces, int64_t id, struct slice message)
{
    (void)traces;
    fixture.traced_id = id;
    fixture.traced_bytes = message.length;
}

void ledger_replace(struct ledger *ledger, int64_t id, size_t length, struct slice dead_letter,
                    ledger_done_fn *done, void *arg)
{
    (void)ledger;
    assert_true(fixture.has_row[id]);
    assert_int_equal(length, fixture_row_bytes(id).length);
    assert_null(fixture.replaced);
    fixture.replaced_id = id;
    buf_clear(&fixture.letter);
    buf_append(&fixture.letter, dead_letter);
    fixture.replaced = done;
    fixture.replaced_arg = arg;
    fixture.replaced_count++;
}

bool workers_may_publish(const struct workers *workers)
{
    (void)workers;
    return fixture.room > 0;
}

void workers_publish(struct workers *workers, int64_t id, int64_t valid_until_ms,
                     struct slice message)
{
    fixture.valid_until_ms = valid_until_ms;
    (void)workers;
    assert_true(fixture.room > 0);
    assert_true(slice_equals(message, fixture_row_bytes(id)));
    fixture.room--;
    fixture.handed[fixture.handed_count++] = id;
}

void fixture_store(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        fixture.has_row[++fixture.last_id] = true;
    }
}

void fixture_post(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        fixture_store(1);
        outbox_posted(fixture.outbox, fixture.last_id, fixture_row_bytes(fixture.last_id));
    }
}

static void answer(const struct waiting_read *read)
{
    size_t count = 0;
    for (int64_t id = read->from_id; id <= fixture.last_id && count < read->limit; id++) {
        if (fixture.has_row[id]) {
            read->each(read->arg, id, fixture_row_bytes(id));
            count++;
        }
    }
    read->done(read->arg, count);
}

void fixture_answer_read(void)
{
    const struct waiting_read read = fixture.read;
    assert_true(fixture.is_reading);
    fixture.is_reading = false;
    answer(&read);
}

void fixture_advance(int64_t ms)
{
    fake_timers_advance(ms);
    while (fixture.retry_read_count > 0) {
        const struct waiting_read read = fixture.retry_reads[0];
        fixture.retry_read_count--;
        memmove(fixture.retry_reads, fixture.retry_reads + 1,
                fixture.retry_read_count * sizeof read);
        answer(&read);
    }
}

void fixture_answer_replace(enum status status)
{
    ledger_done_fn *done = fixture.replaced;
    assert_non_null(done);
    fixture.replaced = NULL;
    fixture.has_row[fixture.replaced_id] = status != STATUS_OK;
    done(fixture.replaced_arg, status);
}

void fixture_assert_letter(int64_t id, const char *word)
{
    struct message letter;
    struct json_fault fault;
    char topic[TEXT_BYTES];
    snprintf(topic, sizeof topic, "replies/%lld", (long long)id);
    assert_int_equal(fixture.replaced_id, id);
    assert_int_equal(message_decode(buf_slice(&fixture.letter), &letter), STATUS_OK);
    assert_true(letter.is_dead_letter);
    assert_true(slice_equals_text(letter.topic, "dead/i-1"));
    struct json *body = json_parse(letter.body, 4, &fault);
    const struct json *error = json_member(body, "Error");
    assert_true(
        slice_equals_text(json_text(json_member(error, "Code")), "Bridge.ReplyUndelivered"));
    assert_non_null(strstr(json_text(json_member(error, "Message")).data, word));
    assert_true(slice_equals_text(json_text(json_member(body, "Topic")), topic));
    json_free(body);
}

void fixture_refuse(int64_t id)
{
    outbox_unpublished(fixture.outbox, id, 0x87, slice_text("Not authorized"));
}

bool fixture_is_refused(void)
{
    return health_is_on(fixture.health, HEALTH_REPLY_REFUSED);
}

void fixture_connect_outbox(void)
{
    outbox_connect(fixture.outbox, NULL, NULL);
    fixture_answer_read();
}

void fixture_publisher_comes(void)
{
    fixture.room = 2 * ROWS_MAX;
    outbox_publisher_changed(fixture.outbox, true);
}

void fixture_publisher_goes(void)
{
    fixture.room = 0;
    outbox_publisher_changed(fixture.outbox, false);
}

void fixture_lose_connections(int count)
{
    for (int i = 0; i < count; i++) {
        fixture_publisher_comes();
        fixture_advance(ALONE_MS);
        fixture_publisher_goes();
    }
}

void fixture_publisher_comes_and_lasts(void)
{
    fixture_publisher_comes();
    fixture_advance(60000);
}

void fixture_publish_all(size_t from_index)
{
    for (size_t i = from_index; i < fixture.handed_count; i++) {
        outbox_published(fixture.outbox, fixture.handed[i]);
        while (i + 1 == fixture.handed_count && fixture.is_reading) {
            fixture_answer_read();
        }
    }
}

void fixture_assert_handed(size_t from_index, int64_t first_id, size_t count)
{
    assert_int_equal(fixture.handed_count, from_index + count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture.handed[from_index + i], first_id + (int64_t)i);
    }
}

void fixture_flushed(void *arg)
{
    assert_ptr_equal(arg, &fixture);
    fixture.flush_count++;
}

int fixture_set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.settings.instance = (char *)"i-1";
    fixture.settings.topics.dead_letters = (char *)"dead/{Instance}";
    fixture.settings.replies.qos = 1;
    fixture.settings.replies.expiry_s = EXPIRY_S;
    fixture.settings.limits.outbox_messages = INT64_MAX;
    fixture.settings.limits.outbox_bytes = INT64_MAX;
    fixture.made_at_ms = clock_wall_ms();
    fixture.health = health_new(NULL);
    fixture.outbox = outbox_new(NULL, &fixture.settings, fixture.health, &fixture.counters);
    return 0;
}

int fixture_tear_down(void **state)
{
    (void)state;
    outbox_free(fixture.outbox);
    health_free(fixture.health);
    buf_fini(&fixture.letter);
    assert_int_equal(fake_timers_count(), 0);
    return 0;
}

void fixture_acknowledge_all(size_t from_index)
{
    for (int i = 0; i < 5; i++) {
        for (; from_index < fixture.handed_count; from_index++) {
            outbox_published(fixture.outbox, fixture.handed[from_index]);
        }
        fixture_advance(RETRY_MS);
    }
}
