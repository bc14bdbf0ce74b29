/*
 * The outbox with a ledger that is a table of rows, a publisher that records what it is given, and
 * timers that the test moves on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "model/message.h"
#include "outbox/outbox.h"
#include "support/fakes/fake_timers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS_MAX    2000
#define WINDOW      128 /* at most so many are handed over at a time */
#define MEMORY_MAX  512 /* at most so many are in memory */
#define RETRY_MS    1000
#define ALONE_MS    1000 /* so long a connection has lasted before a message goes alone */
#define EXPIRY_S    600
#define TEXT_BYTES  32
#define READS_MAX   32
#define PACE_MS_MAX 10000

/* A read that is not answered yet. */
struct waiting_read {
    int64_t from_id;
    size_t limit;
    ledger_message_fn *each;
    ledger_read_fn *done;
    void *arg;
};

static struct {
    struct settings settings;
    struct health *health;
    struct counters counters;
    struct outbox *outbox;
    /* the ledger */
    bool has_row[ROWS_MAX + 1];
    int64_t last_id;
    size_t delivered_count;
    int64_t traced_id; /* the last one */
    size_t traced_bytes;
    int64_t made_at_ms;    /* of all messages */
    bool has_dead_letters; /* the messages are dead letters */
    int64_t event_topics;  /* the messages are events, in turn to so many topics; 0: replies */
    bool is_reading;
    struct waiting_read read;
    size_t read_count;
    struct waiting_read retry_reads[READS_MAX];
    size_t retry_read_count;
    size_t retry_read_total;
    /* the replacement that is not answered yet */
    int64_t replaced_id;
    struct buf letter;
    ledger_done_fn *replaced;
    void *replaced_arg;
    size_t replaced_count;
    /* the publisher */
    size_t room; /* how many more its pipe takes */
    int64_t handed[2 * ROWS_MAX];
    size_t handed_count;
    int64_t valid_until_ms; /* of the last one */
    int flush_count;
} fixture;

/* ---- the ledger and the publisher of this test ---- */

/* A row's bytes, the same at each reading, until the next call. */
static struct slice row_bytes(int64_t id)
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
    assert_int_equal(length, row_bytes(id).length);
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
    assert_int_equal(length, row_bytes(id).length);
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
    assert_true(slice_equals(message, row_bytes(id)));
    fixture.room--;
    fixture.handed[fixture.handed_count++] = id;
}

/* ---- steps of a test ---- */

/* Stores so many rows; the outbox does not know of them yet. */
static void store(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        fixture.has_row[++fixture.last_id] = true;
    }
}

/* Stores so many rows and reports them to the outbox. */
static void post(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        store(1);
        outbox_posted(fixture.outbox, fixture.last_id, row_bytes(fixture.last_id));
    }
}

static void answer(const struct waiting_read *read)
{
    size_t count = 0;
    for (int64_t id = read->from_id; id <= fixture.last_id && count < read->limit; id++) {
        if (fixture.has_row[id]) {
            read->each(read->arg, id, row_bytes(id));
            count++;
        }
    }
    read->done(read->arg, count);
}

/* Answers the read of the next part of the outbox. */
static void answer_read(void)
{
    const struct waiting_read read = fixture.read;
    assert_true(fixture.is_reading);
    fixture.is_reading = false;
    answer(&read);
}

/* Lets time pass and answers the reads of messages that are due. */
static void advance(int64_t ms)
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

/* Answers the replacement. */
static void answer_replace(enum status status)
{
    ledger_done_fn *done = fixture.replaced;
    assert_non_null(done);
    fixture.replaced = NULL;
    fixture.has_row[fixture.replaced_id] = status != STATUS_OK;
    done(fixture.replaced_arg, status);
}

/* The dead letter that replaces this message, with a word of its error's message. */
static void assert_letter(int64_t id, const char *word)
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

static void refuse(int64_t id)
{
    outbox_unpublished(fixture.outbox, id, 0x87, slice_text("Not authorized"));
}

static bool is_refused(void)
{
    return health_is_on(fixture.health, HEALTH_REPLY_REFUSED);
}

static void connect_outbox(void)
{
    outbox_connect(fixture.outbox, NULL, NULL);
    answer_read();
}

static void publisher_comes(void)
{
    fixture.room = 2 * ROWS_MAX;
    outbox_publisher_changed(fixture.outbox, true);
}

static void publisher_goes(void)
{
    fixture.room = 0;
    outbox_publisher_changed(fixture.outbox, false);
}

/* A connection is lost when all that may go has gone: what goes alone waits for a moment. */
static void lose_connections(int count)
{
    for (int i = 0; i < count; i++) {
        publisher_comes();
        advance(ALONE_MS);
        publisher_goes();
    }
}

/* Publisher and connection have lasted, and waits have ended. */
static void publisher_comes_and_lasts(void)
{
    publisher_comes();
    advance(60000);
}

/* Acknowledges what is handed over until nothing more is; answers reads. */
static void publish_all(size_t from_index)
{
    for (size_t i = from_index; i < fixture.handed_count; i++) {
        outbox_published(fixture.outbox, fixture.handed[i]);
        while (i + 1 == fixture.handed_count && fixture.is_reading) {
            answer_read();
        }
    }
}

/* handed[from_index ...] are `count` ids in order, from `first_id` on. */
static void assert_handed(size_t from_index, int64_t first_id, size_t count)
{
    assert_int_equal(fixture.handed_count, from_index + count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture.handed[from_index + i], first_id + (int64_t)i);
    }
}

static void flushed(void *arg)
{
    assert_ptr_equal(arg, &fixture);
    fixture.flush_count++;
}

static int set_up(void **state)
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

static int tear_down(void **state)
{
    (void)state;
    outbox_free(fixture.outbox);
    health_free(fixture.health);
    buf_fini(&fixture.letter);
    assert_int_equal(fake_timers_count(), 0);
    return 0;
}

/* ---- tests ---- */

static void test_it_begins_with_what_the_ledger_still_holds(void **state)
{
    (void)state;
    store(5);
    fixture.has_row[1] = false;
    fixture.has_row[3] = false;
    connect_outbox();
    publisher_comes();
    assert_int_equal(fixture.handed_count, 3);
    assert_int_equal(fixture.handed[0], 2);
    assert_int_equal(fixture.handed[1], 4);
    assert_int_equal(fixture.handed[2], 5);
}

static void test_nothing_is_handed_over_without_a_publisher(void **state)
{
    (void)state;
    connect_outbox();
    fixture.room = ROWS_MAX;
    post(3);
    assert_int_equal(fixture.handed_count, 0);
    publisher_comes();
    assert_handed(0, 1, 3);
    publisher_goes();
    fixture.room = ROWS_MAX;
    post(1);
    assert_int_equal(fixture.handed_count, 3);
}

static void test_a_message_is_forgotten_when_the_broker_acknowledged_it(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    assert_int_equal(fixture.delivered_count, 0);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 1);
    assert_true(fixture.has_row[1]);
    assert_int_equal(fixture.traced_id, 2);
    assert_int_equal(fixture.traced_bytes, row_bytes(2).length);
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_window_of_messages_is_handed_over_at_a_time(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(WINDOW + 10);
    assert_handed(0, 1, WINDOW);
    outbox_published(fixture.outbox, 5);
    assert_handed(0, 1, WINDOW + 1);
    publish_all(0);
    assert_handed(0, 1, WINDOW + 10);
    assert_int_equal(fixture.delivered_count, WINDOW + 10);
}

static void test_a_full_pipe_holds_messages_back(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    fixture.room = 2;
    post(4);
    assert_handed(0, 1, 2);
    fixture.room = 1;
    outbox_published(fixture.outbox, 1);
    assert_handed(0, 1, 3);
}

static void test_what_a_lost_publisher_had_not_reported_is_handed_over_again(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(WINDOW + 2);
    outbox_published(fixture.outbox, 1);
    publisher_goes();
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 1);
    publisher_comes();
    assert_handed(WINDOW + 1, 2, WINDOW);
    publish_all(WINDOW + 1);
    assert_int_equal(fixture.delivered_count, WINDOW + 2);
}

/* Whoever runs the broker can mend each of these: permissions, quotas, limits, names. */
static void test_no_refusal_is_final(void **state)
{
    static const uint32_t CODES[] = {0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x95, 0x97, 0x99};
    enum { COUNT = sizeof CODES / sizeof CODES[0] };
    (void)state;
    connect_outbox();
    publisher_comes();
    post(COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        outbox_unpublished(fixture.outbox, (int64_t)i + 1, CODES[i], slice_text("refused"));
    }
    assert_int_equal(fixture.delivered_count + fixture.replaced_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), COUNT);
    assert_true(is_refused());
    advance(RETRY_MS);
    assert_int_equal(fixture.handed_count, 2 * COUNT);
    publish_all(COUNT);
    assert_int_equal(fixture.delivered_count, COUNT);
    assert_false(is_refused());
}

static void test_a_refusal_is_logged_with_topic_and_token(void **state)
{
    (void)state;
    int ends[2];
    char line[1024] = "";
    connect_outbox();
    publisher_comes();
    post(1);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    refuse(1);
    dup2(saved, STDERR_FILENO);
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line,
                           "event=reply_refused outbox_id=1 topic=replies/1 token=t1 code=135 "
                           "why=\"Not authorized\" retry_in_ms=1000"));
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

static void test_a_refused_message_is_tried_again_after_a_second_doubling_to_a_minute(void **state)
{
    static const int64_t WAITS_MS[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    (void)state;
    connect_outbox();
    publisher_comes();
    post(1);
    for (size_t i = 0; i < sizeof WAITS_MS / sizeof WAITS_MS[0]; i++) {
        refuse(1);
        advance(WAITS_MS[i] - 1);
        assert_int_equal(fixture.handed_count, i + 1);
        advance(1);
        assert_handed(i + 1, 1, 1);
    }
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 1);
}

static void test_any_number_of_refused_messages_delays_no_other(void **state)
{
    enum { COUNT = 2 * MEMORY_MAX };
    (void)state;
    connect_outbox();
    publisher_comes();
    for (int64_t id = 1; id <= COUNT; id++) {
        post(1);
        refuse(id);
    }
    post(1);
    assert_handed(0, 1, COUNT + 1);
    outbox_published(fixture.outbox, COUNT + 1);
    assert_int_equal(fixture.delivered_count, 1);
    /* Now the broker takes them. */
    for (size_t published = COUNT + 1; fixture.delivered_count <= COUNT; published++) {
        if (published == fixture.handed_count) {
            advance(RETRY_MS);
        }
        assert_true(published < fixture.handed_count);
        outbox_published(fixture.outbox, fixture.handed[published]);
    }
    assert_false(is_refused());
}

static void test_a_refused_message_becomes_a_dead_letter_when_it_expires(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(1);
    size_t tries = 0;
    for (int64_t waited_s = 0; waited_s < EXPIRY_S - 2; waited_s++) {
        while (tries < fixture.handed_count) {
            refuse(fixture.handed[tries++]);
        }
        advance(1000);
        assert_int_equal(fixture.replaced_count, 0);
    }
    advance(2000);
    assert_int_equal(fixture.replaced_count, 1);
    assert_letter(1, "expired");
    assert_true(is_refused());
    answer_replace(STATUS_OK);
    assert_false(is_refused());
    assert_int_equal(counter_get(&fixture.counters, COUNTER_UNDELIVERED), 1);
    assert_int_equal(fixture.delivered_count, 0);
    advance(60000);
    assert_int_equal(fixture.handed_count, tries);
}

static void test_the_expiry_counts_from_the_time_a_message_was_made(void **state)
{
    (void)state;
    fixture.made_at_ms -= (EXPIRY_S - 10) * 1000;
    store(1);
    connect_outbox();
    publisher_comes();
    refuse(1);
    advance(RETRY_MS);
    refuse(1);
    advance(2 * RETRY_MS);
    refuse(1);
    advance(4 * RETRY_MS);
    assert_int_equal(fixture.handed_count, 4);
    refuse(1);
    advance(4 * RETRY_MS); /* at its expiry, not after 8 s */
    assert_letter(1, "expired");
    answer_replace(STATUS_OK);
}

static void test_a_message_that_waited_for_the_broker_for_long_is_tried_once(void **state)
{
    (void)state;
    fixture.made_at_ms -= 2 * EXPIRY_S * 1000;
    store(2);
    connect_outbox();
    publisher_comes();
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 1);
    refuse(2);
    assert_letter(2, "expired");
    answer_replace(STATUS_OK);
}

static void test_a_dead_letter_that_expires_is_dropped(void **state)
{
    (void)state;
    fixture.has_dead_letters = true;
    fixture.made_at_ms -= EXPIRY_S * 1000;
    store(1);
    connect_outbox();
    publisher_comes();
    refuse(1);
    assert_int_equal(fixture.replaced_id, 1);
    assert_int_equal(fixture.letter.length, 0);
    answer_replace(STATUS_OK);
    assert_false(is_refused());
}

static void test_a_dead_letter_that_cannot_be_stored_is_made_again(void **state)
{
    (void)state;
    fixture.made_at_ms -= EXPIRY_S * 1000;
    store(1);
    connect_outbox();
    publisher_comes();
    refuse(1);
    answer_replace(STATUS_STORE);
    assert_true(is_refused());
    advance(RETRY_MS);
    assert_int_equal(fixture.replaced_count, 2);
    assert_letter(1, "expired");
    answer_replace(STATUS_OK);
    assert_false(is_refused());
}

static void test_a_refused_message_does_not_hold_back_one_that_goes_alone(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    lose_connections(2);
    publisher_comes_and_lasts();
    assert_handed(4, 1, 1);
    outbox_published(fixture.outbox, 1);
    post(1);
    assert_handed(5, 2, 1);
    refuse(2);
    assert_handed(6, 3, 1);
    outbox_published(fixture.outbox, 3);
    advance(4 * RETRY_MS);
    assert_handed(7, 2, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

static void test_a_connection_that_ends_right_behind_a_refusal_counts_for_no_message(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    for (int i = 0; i < 5; i++) {
        size_t before = fixture.handed_count;
        publisher_comes();
        advance(60000);
        assert_int_equal(fixture.handed_count, before + 2);
        refuse(1);
        advance(RETRY_MS - 1);
        publisher_goes();
    }
    assert_int_equal(fixture.replaced_count, 0);
    publisher_comes_and_lasts();
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 2);
}

/* Each of them costs the others the connection. */
static void test_a_broker_that_closes_at_refusals_gets_one_at_a_time_with_pauses(void **state)
{
    enum { COUNT = 20 };
    (void)state;
    connect_outbox();
    publisher_comes();
    post(COUNT);
    for (int64_t id = 1; id <= COUNT; id++) {
        refuse(id);
    }
    publisher_goes();
    publisher_comes();
    advance(60000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture.handed_count, COUNT + 1 + i);
        refuse(fixture.handed[fixture.handed_count - 1]);
        publisher_goes();
        publisher_comes();
        advance(PACE_MS_MAX - 1);
        assert_int_equal(fixture.handed_count, COUNT + 1 + i);
        advance(1);
    }
    outbox_published(fixture.outbox, fixture.handed[fixture.handed_count - 1]);
    advance(60000);
    assert_int_equal(fixture.handed_count, COUNT + 4 + 16); /* as many as there are places */
}

/* Else one refusal a day would protect a message at which the broker closes the connection. */
static void test_a_connection_that_ends_later_after_a_refusal_counts(void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    for (int64_t refused_id = 2; refused_id <= 3; refused_id++) {
        publisher_comes();
        post(1);
        refuse(refused_id);
        advance(RETRY_MS + 1);
        publisher_goes();
    }
    size_t before = fixture.handed_count;
    publisher_comes();
    assert_int_equal(fixture.handed_count, before); /* the first message goes alone from now on */
    advance(60000);
    assert_true(fixture.handed_count > before);
}

static void test_a_report_about_an_unknown_message_changes_nothing(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(1);
    outbox_published(fixture.outbox, 99);
    outbox_unpublished(fixture.outbox, 99, 0x87, slice_text(""));
    assert_int_equal(fixture.delivered_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), 0);
}

static void test_what_finds_no_room_in_memory_is_read_from_the_ledger(void **state)
{
    (void)state;
    connect_outbox();
    post(ROWS_MAX - 500);
    assert_int_equal(fixture.read_count, 1);
    publisher_comes();
    for (int64_t id = 1; !fixture.is_reading && id <= MEMORY_MAX; id++) {
        outbox_published(fixture.outbox, id);
    }
    assert_int_equal(fixture.read.from_id, MEMORY_MAX + 1);
    assert_true(fixture.delivered_count >= MEMORY_MAX / 4);
    publish_all(fixture.delivered_count);
    assert_handed(0, 1, ROWS_MAX - 500);
    assert_int_equal(fixture.delivered_count, ROWS_MAX - 500);
}

static int64_t published_within(int64_t bound_us)
{
    int64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        bool is_within = i < HISTOGRAM_BOUNDS && histogram_bounds_us[i] <= bound_us;
        count += is_within ? fixture.counters.histograms[HISTOGRAM_PUBLISH].buckets[i] : 0;
    }
    return count;
}

static void test_the_time_until_a_message_is_published_counts_from_when_it_was_stored(void **state)
{
    (void)state;
    fixture.made_at_ms = clock_wall_ms() - 100000;
    store(1); /* by an earlier run */
    connect_outbox();
    publisher_comes();
    post(1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(published_within(60000000), 1);
    outbox_published(fixture.outbox, 1);
    assert_int_equal(published_within(60000000), 1);
    assert_int_equal(published_within(300000000), 2);
}

static void test_a_long_outbox_is_read_in_parts_at_start(void **state)
{
    (void)state;
    store(ROWS_MAX);
    connect_outbox();
    while (fixture.is_reading) {
        answer_read();
    }
    assert_true(fixture.read_count * fixture.read.limit <= MEMORY_MAX);
    publisher_comes();
    publish_all(0);
    assert_handed(0, 1, ROWS_MAX);
    assert_int_equal(fixture.delivered_count, ROWS_MAX);
}

static void test_messages_posted_around_a_read_are_handed_over_once_and_in_order(void **state)
{
    (void)state;
    store(2);
    publisher_comes();
    outbox_connect(fixture.outbox, NULL, NULL);
    post(2); /* committed and reported before the read is carried out */
    answer_read();
    post(2); /* committed after it */
    assert_handed(0, 1, 6);
}

static void test_messages_posted_while_older_ones_are_not_read_go_behind_them(void **state)
{
    (void)state;
    store(300);
    publisher_comes();
    outbox_connect(fixture.outbox, NULL, NULL);
    answer_read(); /* 256 of them; the next read begins at once */
    post(5);
    answer_read();
    post(5);
    publish_all(0);
    assert_handed(0, 1, 310);
    assert_int_equal(fixture.delivered_count, 310);
}

static void test_an_empty_outbox_is_flushed_in_the_next_iteration(void **state)
{
    (void)state;
    connect_outbox();
    outbox_flush(fixture.outbox, flushed, &fixture);
    assert_int_equal(fixture.flush_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_waits_for_the_last_acknowledgement(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    outbox_flush(fixture.outbox, flushed, &fixture);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.flush_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_is_reported_once(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    outbox_flush(fixture.outbox, flushed, &fixture);
    fake_timers_advance(0);
    post(1);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(0);
    assert_int_equal(fixture.delivered_count, 1);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_waits_for_what_is_not_read_yet(void **state)
{
    (void)state;
    store(1);
    outbox_connect(fixture.outbox, NULL, NULL);
    publisher_comes();
    outbox_flush(fixture.outbox, flushed, &fixture);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    answer_read();
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_does_not_wait_for_what_is_refused(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    refuse(1);
    outbox_flush(fixture.outbox, flushed, &fixture);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 2);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_messages_with_which_two_connections_were_lost_go_alone(void **state)
{
    (void)state;
    connect_outbox();
    post(3);
    lose_connections(2);
    assert_true(is_refused());
    publisher_comes();
    assert_int_equal(fixture.handed_count, 6);
    post(1); /* the others do not wait for it */
    assert_handed(6, 4, 1);
    advance(ALONE_MS);
    assert_int_equal(fixture.handed_count, 7); /* what is in flight ends first */
    post(1);
    assert_int_equal(fixture.handed_count, 7);
    outbox_published(fixture.outbox, 4);
    assert_int_equal(fixture.handed_count, 8); /* one of the three, alone */
    int64_t seen = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(fixture.handed[7 + i] <= 3);
        seen += fixture.handed[7 + i];
        outbox_published(fixture.outbox, fixture.handed[7 + i]);
    }
    assert_int_equal(seen, 1 + 2 + 3);
    assert_int_equal(fixture.handed[10], 5);
    assert_false(is_refused());
}

static void test_a_single_lost_connection_changes_nothing(void **state)
{
    (void)state;
    connect_outbox();
    post(3);
    lose_connections(1);
    publisher_comes();
    assert_handed(3, 1, 3);
    assert_false(is_refused());
}

static void test_three_connections_lost_while_it_was_alone_make_a_message_a_dead_letter(
    void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    lose_connections(2);
    assert_int_equal(fixture.replaced_count, 0);
    publisher_comes();
    post(1);
    outbox_published(fixture.outbox, 2);
    advance(ALONE_MS);
    assert_int_equal(fixture.replaced_count, 0);
    publisher_goes();
    assert_letter(1, "Three connections");
    answer_replace(STATUS_OK);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_UNDELIVERED), 1);
    assert_false(is_refused());
    publisher_comes_and_lasts();
    assert_int_equal(fixture.handed_count, 4);
}

/* The status message may be the one at which the broker closes. */
static void test_connections_that_end_at_once_do_not_count_for_a_message_that_goes_alone(
    void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    lose_connections(2);
    for (int i = 0; i < 10; i++) {
        advance(60000);
        publisher_comes();
        advance(ALONE_MS - 1);
        publisher_goes();
    }
    assert_int_equal(fixture.replaced_count, 0);
    publisher_comes_and_lasts();
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 1);
}

static void test_connections_lost_with_several_messages_make_none_a_dead_letter(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    lose_connections(4); /* two with both, then one or two with each alone */
    assert_int_equal(fixture.replaced_count, 0);
    publisher_comes_and_lasts();
    for (size_t i = fixture.handed_count - 1; i < fixture.handed_count; i++) {
        outbox_published(fixture.outbox, fixture.handed[i]);
    }
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_message_that_ends_connections_is_tried_ever_less_often(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    lose_connections(2);
    publisher_comes();
    advance(ALONE_MS); /* the first of them goes alone */
    int64_t bad = fixture.handed[fixture.handed_count - 1];
    publisher_goes();
    publisher_comes();
    advance(ALONE_MS);
    assert_int_equal(fixture.handed[fixture.handed_count - 1], 3 - bad); /* then the other */
    outbox_published(fixture.outbox, 3 - bad);
    assert_int_equal(fixture.handed[fixture.handed_count - 1], 3 - bad);
    advance(RETRY_MS);
    assert_int_equal(fixture.handed[fixture.handed_count - 1], bad); /* 2 s after the loss */
    outbox_published(fixture.outbox, bad);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_refusal_in_between_begins_the_count_anew(void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    lose_connections(2);
    publisher_comes_and_lasts();
    refuse(1);
    publisher_goes();
    for (int i = 0; i < 2; i++) {
        advance(60000);
        lose_connections(1);
    }
    assert_int_equal(fixture.replaced_count, 0);
    advance(60000);
    lose_connections(1);
    assert_letter(1, "Three connections");
    answer_replace(STATUS_OK);
}

/* Acknowledges what is handed over, from this index on, and lets held messages come back. */
static void acknowledge_all(size_t from_index)
{
    for (int i = 0; i < 5; i++) {
        for (; from_index < fixture.handed_count; from_index++) {
            outbox_published(fixture.outbox, fixture.handed[from_index]);
        }
        advance(RETRY_MS);
    }
}

static void test_one_event_of_a_topic_is_handed_over_at_a_time(void **state)
{
    (void)state;
    fixture.event_topics = 2;
    connect_outbox();
    publisher_comes();
    post(4);
    assert_handed(0, 1, 2); /* one of each topic */
    outbox_published(fixture.outbox, 2);
    assert_handed(2, 4, 1);
    outbox_published(fixture.outbox, 1);
    assert_handed(3, 3, 1);
}

static void test_events_wait_behind_one_of_their_topic_that_is_refused(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    connect_outbox();
    publisher_comes();
    post(2);
    refuse(1);
    post(1);
    assert_handed(0, 1, 1);
    advance(RETRY_MS);
    assert_handed(1, 1, 1);
    refuse(1);
    advance(2 * RETRY_MS);
    assert_handed(2, 1, 1);
    acknowledge_all(2);
    assert_handed(3, 2, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

static void test_events_that_wait_are_read_again_when_it_is_their_turn(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    connect_outbox();
    publisher_comes();
    post(3);
    refuse(1);
    advance(RETRY_MS);
    refuse(1);
    advance(2 * RETRY_MS);
    assert_int_equal(fixture.retry_read_total, 2);
    assert_handed(2, 1, 1);
    outbox_published(fixture.outbox, 1);
    advance(0);
    assert_handed(3, 2, 1);
    refuse(2);
    advance(RETRY_MS);
    outbox_published(fixture.outbox, 2);
    advance(0);
    assert_handed(5, 3, 1);
    assert_int_equal(fixture.retry_read_total, 5);
}

static void test_an_event_that_waits_is_dropped_when_it_expires(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    connect_outbox();
    publisher_comes();
    post(1);
    refuse(1);
    fixture.made_at_ms -= (EXPIRY_S - 60) * 1000;
    post(1);
    size_t tries = 1;
    for (int64_t waited_s = 0; waited_s < 58; waited_s++) {
        while (tries < fixture.handed_count) {
            refuse(fixture.handed[tries++]);
        }
        advance(1000);
        assert_int_equal(fixture.replaced_count, 0);
    }
    advance(2000);
    assert_int_equal(fixture.replaced_id, 2);
    assert_int_equal(fixture.letter.length, 0);
    answer_replace(STATUS_OK);
    assert_true(is_refused());
    assert_int_equal(counter_get(&fixture.counters, COUNTER_UNDELIVERED), 1);
}

static void test_events_of_other_topics_do_not_wait_for_one_that_is_refused(void **state)
{
    (void)state;
    fixture.event_topics = 2;
    connect_outbox();
    publisher_comes();
    post(1);
    refuse(1);
    post(4);
    assert_handed(1, 2, 1); /* 3 and 5 wait for 1 */
    outbox_published(fixture.outbox, 2);
    assert_handed(2, 4, 1);
}

static void test_events_keep_their_order_over_lost_connections(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    connect_outbox();
    publisher_comes();
    post(3);
    lose_connections(1);
    publisher_comes_and_lasts();
    size_t count = fixture.handed_count;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture.handed[i], 1);
    }
    acknowledge_all(count - 1);
    assert_handed(count, 2, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

static void test_the_outbox_is_full_by_its_number_or_its_bytes_and_recovers(void **state)
{
    static const struct {
        int64_t messages;
        int64_t bytes;
        bool is_full;
    } ROWS[] = {{99, 999, false}, {100, 0, true}, {99, 1000, true}, {99, 999, false}};
    (void)state;
    fixture.settings.limits.outbox_messages = 100;
    fixture.settings.limits.outbox_bytes = 1000;
    connect_outbox();
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, ROWS[i].messages);
        counter_set(&fixture.counters, COUNTER_OUTBOX_BYTES, ROWS[i].bytes);
        assert_int_equal(outbox_is_full(fixture.outbox), ROWS[i].is_full);
        assert_int_equal(health_is_on(fixture.health, HEALTH_OUTBOX_FULL), ROWS[i].is_full);
    }
    /* Without a delivery that asks. */
    counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, 100);
    post(1);
    assert_true(health_is_on(fixture.health, HEALTH_OUTBOX_FULL));
    counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, 99);
    advance(1000);
    assert_false(health_is_on(fixture.health, HEALTH_OUTBOX_FULL));
    assert_false(health_is_ready(fixture.health));
}

static void test_without_a_valid_lease_nothing_is_handed_over(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease);
    lease_begin(&lease);
    outbox_set_lease(fixture.outbox, &lease);
    connect_outbox();
    publisher_comes();
    post(2);
    assert_int_equal(fixture.handed_count, 0);
    lease_renewed(&lease, 1000, LEASE_MARGIN_MS + 5000);
    assert_int_equal(lease_check(&lease, 1001), LEASE_REGAINED);
    outbox_lease_regained(fixture.outbox);
    assert_int_equal(fixture.handed_count, 2);
    assert_int_equal(fixture.valid_until_ms, 6000);
}

static void test_a_message_that_waited_longer_than_the_lease_is_handed_over_again(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    assert_int_equal(fixture.handed_count, 2);
    assert_int_equal(fixture.valid_until_ms, 0);
    outbox_expired(fixture.outbox, 1);
    assert_int_equal(fixture.handed_count, 3);
    assert_int_equal(fixture.handed[2], 1);
    assert_false(is_refused());
    outbox_expired(fixture.outbox, 77); /* not known */
    assert_int_equal(fixture.handed_count, 3);
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_it_begins_with_what_the_ledger_still_holds),
        TEST(test_nothing_is_handed_over_without_a_publisher),
        TEST(test_without_a_valid_lease_nothing_is_handed_over),
        TEST(test_a_message_that_waited_longer_than_the_lease_is_handed_over_again),
        TEST(test_a_message_is_forgotten_when_the_broker_acknowledged_it),
        TEST(test_a_window_of_messages_is_handed_over_at_a_time),
        TEST(test_a_full_pipe_holds_messages_back),
        TEST(test_what_a_lost_publisher_had_not_reported_is_handed_over_again),
        TEST(test_no_refusal_is_final),
        TEST(test_a_refusal_is_logged_with_topic_and_token),
        TEST(test_a_refused_message_is_tried_again_after_a_second_doubling_to_a_minute),
        TEST(test_any_number_of_refused_messages_delays_no_other),
        TEST(test_a_refused_message_becomes_a_dead_letter_when_it_expires),
        TEST(test_the_expiry_counts_from_the_time_a_message_was_made),
        TEST(test_a_message_that_waited_for_the_broker_for_long_is_tried_once),
        TEST(test_a_dead_letter_that_expires_is_dropped),
        TEST(test_a_dead_letter_that_cannot_be_stored_is_made_again),
        TEST(test_a_refused_message_does_not_hold_back_one_that_goes_alone),
        TEST(test_a_connection_that_ends_right_behind_a_refusal_counts_for_no_message),
        TEST(test_a_broker_that_closes_at_refusals_gets_one_at_a_time_with_pauses),
        TEST(test_a_connection_that_ends_later_after_a_refusal_counts),
        TEST(test_a_report_about_an_unknown_message_changes_nothing),
        TEST(test_what_finds_no_room_in_memory_is_read_from_the_ledger),
        TEST(test_the_time_until_a_message_is_published_counts_from_when_it_was_stored),
        TEST(test_a_long_outbox_is_read_in_parts_at_start),
        TEST(test_messages_posted_around_a_read_are_handed_over_once_and_in_order),
        TEST(test_messages_posted_while_older_ones_are_not_read_go_behind_them),
        TEST(test_an_empty_outbox_is_flushed_in_the_next_iteration),
        TEST(test_a_flush_waits_for_the_last_acknowledgement),
        TEST(test_a_flush_is_reported_once),
        TEST(test_a_flush_waits_for_what_is_not_read_yet),
        TEST(test_a_flush_does_not_wait_for_what_is_refused),
        TEST(test_messages_with_which_two_connections_were_lost_go_alone),
        TEST(test_a_single_lost_connection_changes_nothing),
        TEST(test_three_connections_lost_while_it_was_alone_make_a_message_a_dead_letter),
        TEST(test_connections_that_end_at_once_do_not_count_for_a_message_that_goes_alone),
        TEST(test_connections_lost_with_several_messages_make_none_a_dead_letter),
        TEST(test_a_message_that_ends_connections_is_tried_ever_less_often),
        TEST(test_a_refusal_in_between_begins_the_count_anew),
        TEST(test_one_event_of_a_topic_is_handed_over_at_a_time),
        TEST(test_events_wait_behind_one_of_their_topic_that_is_refused),
        TEST(test_events_that_wait_are_read_again_when_it_is_their_turn),
        TEST(test_an_event_that_waits_is_dropped_when_it_expires),
        TEST(test_events_of_other_topics_do_not_wait_for_one_that_is_refused),
        TEST(test_events_keep_their_order_over_lost_connections),
        TEST(test_the_outbox_is_full_by_its_number_or_its_bytes_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
