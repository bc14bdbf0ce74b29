/* clang-format off */
/*
 * What follows the time of an event:
 *
 *   ARRIVED             result (with CALLED_AT_ONCE), number of the reply if there is one
 *   ATTEMPT_STARTED     number of the attempt
 *   ATTEMPT_ENDED       result, length of the code, code, request id
 *   OUTCOME             status (with IS_ANSWER), number of the first reply, number of replies;
 *                       after history_carry_over() also length of the code, code, request id
 *   REPLY_ACKNOWLEDGED, REPLY_UNDELIVERED
 *                       number of the reply
 *   INTERRUPTED         1 if the bridge crashed
 *   LEFT_OUT            number of events
 *
 * At the end there may be room for further events: bytes that are 0.
 *
 * Numbers have 7 bits in each byte, the lowest first; all bytes but the last have the highest bit.
 */
/* clang-format on */
#include "history.h"

#include <assert.h>
#include <string.h>

#define EVENT_BYTES_MAX ((size_t)257)
#define HEAD_BYTES      ((size_t)2)
#define TIME_BYTES      ((size_t)6)
#define EVENTS_MAX      ((size_t)(HISTORY_FIRST_COUNT + HISTORY_LAST_COUNT))

#define FLAG           0x40 /* in the byte of a result */
#define CALLED_AT_ONCE FLAG
#define IS_ANSWER      FLAG

/* How an attempt ended: an outcome's status, or that it was not made. */
#define END_NOT_MADE 3u
static const char *const END_TEXTS[] = {[OUTCOME_SUCCEEDED] = "succeeded",
                                        [OUTCOME_FAILED] = "failed",
                                        [OUTCOME_UNKNOWN] = "no_answer",
                                        [END_NOT_MADE] = "not_made"};
#define END_TEXT_COUNT (sizeof END_TEXTS / sizeof END_TEXTS[0])
static const char *const ARRIVAL_TEXTS[] = {
    [CLAIM_NEW] = "claimed",       [CLAIM_AGAIN] = "claimed_again", [CLAIM_WAITS] = "waits",
    [CLAIM_REPLAYED] = "replayed", [CLAIM_MISMATCH] = "mismatch",   [CLAIM_REFUSED] = "refused"};
#define ARRIVAL_TEXT_COUNT (sizeof ARRIVAL_TEXTS / sizeof ARRIVAL_TEXTS[0])

/* ---- writing ---- */

struct event_bytes {
    uint8_t data[EVENT_BYTES_MAX];
    size_t length;
};

static void put_byte(struct event_bytes *event, unsigned value)
{
    assert(event->length < EVENT_BYTES_MAX);
    event->data[event->length++] = (uint8_t)value;
}

static void put_number(struct event_bytes *event, int64_t number)
{
    uint64_t rest = number < 0 ? 0 : (uint64_t)number;
    for (; rest > 0x7f; rest >>= 7) {
        put_byte(event, 0x80 | (rest & 0x7f));
    }
    put_byte(event, (unsigned)rest);
}

static void put_text(struct event_bytes *event, struct slice text)
{
    memcpy(event->data + event->length, text.data, text.length);
    event->length += text.length;
}

static void event_begin(struct event_bytes *event, enum ledger_event_kind kind, int64_t at_ms)
{
    event->data[0] = (uint8_t)kind;
    event->length = HEAD_BYTES;
    for (size_t i = 0; i < TIME_BYTES; i++) {
        put_byte(event, (unsigned)((uint64_t)at_ms >> (8 * (TIME_BYTES - 1 - i))) & 0xff);
    }
}

static void event_end(struct event_bytes *event, struct buf *out)
{
    event->data[1] = (uint8_t)(event->length - HEAD_BYTES);
    buf_append(out, slice_of(event->data, event->length));
}

static void put_error(struct event_bytes *event, struct slice code, struct slice request_id)
{
    code.length = code.length < HISTORY_TEXT_BYTES_MAX ? code.length : HISTORY_TEXT_BYTES_MAX;
    request_id.length =
        request_id.length < HISTORY_TEXT_BYTES_MAX ? request_id.length : HISTORY_TEXT_BYTES_MAX;
    put_byte(event, (unsigned)code.length);
    if (code.length > 0) {
        put_text(event, code);
    }
    if (request_id.length > 0) {
        put_text(event, request_id);
    }
}

void history_put_arrival(struct buf *out, int64_t at_ms, enum claim_result result,
                         bool is_called_at_once, int64_t reply_id)
{
    struct event_bytes event;
    event_begin(&event, LEDGER_EVENT_ARRIVED, at_ms);
    put_byte(&event, (unsigned)result | (is_called_at_once ? CALLED_AT_ONCE : 0));
    if (reply_id != 0) {
        put_number(&event, reply_id);
    }
    event_end(&event, out);
}

static void put_numbered(struct buf *out, enum ledger_event_kind kind, int64_t at_ms,
                         int64_t number)
{
    struct event_bytes event;
    event_begin(&event, kind, at_ms);
    put_number(&event, number);
    event_end(&event, out);
}

void history_put_start(struct buf *out, int64_t at_ms, uint32_t attempt)
{
    put_numbered(out, LEDGER_EVENT_ATTEMPT_STARTED, at_ms, attempt);
}

void history_put_end(struct buf *out, int64_t at_ms, const struct outcome *answer)
{
    struct event_bytes event;
    event_begin(&event, LEDGER_EVENT_ATTEMPT_ENDED, at_ms);
    put_byte(&event, answer == NULL ? END_NOT_MADE : (unsigned)answer->status);
    if (answer != NULL) {
        put_error(&event, slice_text(answer->code), slice_text(answer->request_id));
    }
    event_end(&event, out);
}

void history_put_outcome(struct buf *out, int64_t at_ms, enum outcome_status status, bool is_answer,
                         int64_t first_reply_id, size_t reply_count)
{
    struct event_bytes event;
    event_begin(&event, LEDGER_EVENT_OUTCOME, at_ms);
    put_byte(&event, (unsigned)status | (is_answer ? IS_ANSWER : 0));
    put_number(&event, first_reply_id);
    put_number(&event, (int64_t)reply_count);
    event_end(&event, out);
}

void history_put_room(struct buf *out, int64_t first_reply_id, size_t reply_count)
{
    struct buf events = {0};
    for (size_t i = 0; i < reply_count; i++) {
        history_put_acknowledged(&events, 0, first_reply_id + (int64_t)i);
    }
    memset(buf_reserve(out, events.length), 0, events.length);
    out->length += events.length;
    buf_fini(&events);
}

void history_put_acknowledged(struct buf *out, int64_t at_ms, int64_t reply_id)
{
    put_numbered(out, LEDGER_EVENT_REPLY_ACKNOWLEDGED, at_ms, reply_id);
}

void history_put_undelivered(struct buf *out, int64_t at_ms, int64_t reply_id)
{
    put_numbered(out, LEDGER_EVENT_REPLY_UNDELIVERED, at_ms, reply_id);
}

void history_put_interrupted(struct buf *out, int64_t at_ms, bool has_crashed)
{
    put_numbered(out, LEDGER_EVENT_INTERRUPTED, at_ms, has_crashed);
}

void history_put_ordered(struct buf *out, int64_t at_ms, bool is_resolved)
{
    put_numbered(out, LEDGER_EVENT_ORDERED, at_ms, is_resolved);
}

/* ---- reading ---- */

/* The bytes of the next event; absent: there is none, or the rest is no event. */
static struct slice take_bytes(struct slice *rest)
{
    const uint8_t *data = (const uint8_t *)rest->data;
    size_t length = rest->length < HEAD_BYTES ? SIZE_MAX : HEAD_BYTES + data[1];
    if (length > rest->length || length < HEAD_BYTES + TIME_BYTES || data[0] == 0 ||
        data[0] >= LEDGER_EVENT_KIND_COUNT) {
        return (struct slice){0};
    }
    struct slice bytes = slice_of(rest->data, length);
    *rest = slice_skip(*rest, length);
    return bytes;
}

static uint8_t take_byte(struct slice *rest)
{
    uint8_t value = 0;
    if (rest->length > 0) {
        value = (uint8_t)rest->data[0];
        *rest = slice_skip(*rest, 1);
    }
    return value;
}

static int64_t take_number(struct slice *rest)
{
    uint64_t number = 0;
    uint8_t byte = 0x80;
    for (unsigned shift = 0; shift < 63 && (byte & 0x80) != 0; shift += 7) {
        byte = take_byte(rest);
        number |= (uint64_t)(byte & 0x7f) << shift;
    }
    return (int64_t)number;
}

static void take_error(struct slice *rest, struct ledger_event *event)
{
    size_t length = take_byte(rest);
    length = length < rest->length ? length : rest->length;
    event->code = length > 0 ? slice_of(rest->data, length) : (struct slice){0};
    *rest = slice_skip(*rest, length);
    event->request_id = rest->length > 0 ? *rest : (struct slice){0};
}

static const char *text_of(const char *const *texts, size_t count, unsigned index)
{
    return index < count ? texts[index] : "";
}

/* The second event of the same bytes. */
static void add_next(struct history_reader *reader, const struct ledger_event *event)
{
    reader->has_more = true;
    reader->next = *event;
}

static void read_arrival(struct history_reader *reader, struct slice *rest,
                         struct ledger_event *event)
{
    unsigned result = take_byte(rest);
    event->result = text_of(ARRIVAL_TEXTS, ARRIVAL_TEXT_COUNT, result & (FLAG - 1));
    event->reply_id = rest->length > 0 ? take_number(rest) : 0;
    event->count = event->reply_id != 0;
    if ((result & CALLED_AT_ONCE) != 0) {
        reader->attempt = 1;
        add_next(reader, &(struct ledger_event){.kind = LEDGER_EVENT_ATTEMPT_STARTED,
                                                .at_ms = event->at_ms,
                                                .attempt = 1});
    }
}

static void read_outcome(struct history_reader *reader, struct slice *rest,
                         struct ledger_event *event)
{
    unsigned status = take_byte(rest);
    enum outcome_status outcome = (status & (FLAG - 1)) > OUTCOME_UNKNOWN
                                      ? OUTCOME_UNKNOWN
                                      : (enum outcome_status)(status & (FLAG - 1));
    event->result = outcome_status_text(outcome);
    event->reply_id = take_number(rest);
    event->count = take_number(rest);
    take_error(rest, event);
    if ((status & IS_ANSWER) != 0) {
        add_next(reader, event);
        event->kind = LEDGER_EVENT_ATTEMPT_ENDED;
        event->result = END_TEXTS[outcome];
        event->attempt = reader->attempt;
        event->reply_id = 0;
        event->count = 0;
    }
}

static void read_event(struct history_reader *reader, struct slice *rest,
                       struct ledger_event *event)
{
    switch (event->kind) {
    case LEDGER_EVENT_ARRIVED:
        read_arrival(reader, rest, event);
        break;
    case LEDGER_EVENT_ATTEMPT_STARTED:
        event->attempt = reader->attempt = take_number(rest);
        break;
    case LEDGER_EVENT_ATTEMPT_ENDED:
        event->result = text_of(END_TEXTS, END_TEXT_COUNT, take_byte(rest));
        event->attempt = reader->attempt;
        take_error(rest, event);
        break;
    case LEDGER_EVENT_OUTCOME:
        read_outcome(reader, rest, event);
        break;
    case LEDGER_EVENT_REPLY_ACKNOWLEDGED:
    case LEDGER_EVENT_REPLY_UNDELIVERED:
        event->reply_id = take_number(rest);
        break;
    case LEDGER_EVENT_INTERRUPTED:
        event->result = take_byte(rest) == 0 ? "stop" : "crash";
        break;
    case LEDGER_EVENT_ORDERED:
        event->result = take_byte(rest) == 0 ? "retry" : "resolve";
        break;
    case LEDGER_EVENT_LEFT_OUT:
        event->count = take_number(rest);
        reader->attempt = 0;
        break;
    case LEDGER_EVENT_KIND_COUNT:
        break;
    }
}

bool history_read(struct history_reader *reader, struct ledger_event *out_event)
{
    if (reader->has_more) {
        reader->has_more = false;
        *out_event = reader->next;
        return true;
    }
    struct slice bytes = take_bytes(&reader->rest);
    if (!slice_is_present(bytes)) {
        return false;
    }
    struct ledger_event event = {.kind = (enum ledger_event_kind)(uint8_t)bytes.data[0]};
    struct slice rest = slice_skip(bytes, HEAD_BYTES);
    for (size_t i = 0; i < TIME_BYTES; i++) {
        event.at_ms = event.at_ms * 256 + take_byte(&rest);
    }
    read_event(reader, &rest, &event);
    *out_event = event;
    return true;
}

/* ---- changing a history ---- */

static bool is_left_out(struct slice bytes)
{
    return (uint8_t)bytes.data[0] == LEDGER_EVENT_LEFT_OUT;
}

/* The number of events, and how many were left out before. */
static size_t count_events(struct slice history, int64_t *out_left_out)
{
    size_t count = 0;
    struct slice bytes;
    *out_left_out = 0;
    while (slice_is_present(bytes = take_bytes(&history))) {
        if (is_left_out(bytes)) {
            struct slice rest = slice_skip(bytes, HEAD_BYTES + TIME_BYTES);
            *out_left_out += take_number(&rest) & UINT32_MAX; /* the sum stays in range */
        } else {
            count++;
        }
    }
    return count;
}

/* Without `left_out` events after the first ones. */
static void put_limited(struct slice history, size_t count, int64_t left_out, struct buf *out)
{
    struct slice bytes;
    size_t i = 0;
    while (slice_is_present(bytes = take_bytes(&history))) {
        if (is_left_out(bytes)) {
            continue;
        }
        if (i == HISTORY_FIRST_COUNT && left_out > 0) {
            struct slice time = slice_skip(bytes, HEAD_BYTES);
            int64_t at_ms = 0;
            for (size_t t = 0; t < TIME_BYTES; t++) {
                at_ms = at_ms * 256 + take_byte(&time);
            }
            put_numbered(out, LEDGER_EVENT_LEFT_OUT, at_ms, left_out);
        }
        if (i < HISTORY_FIRST_COUNT || i + HISTORY_LAST_COUNT >= count) {
            buf_append(out, bytes);
        }
        i++;
    }
}

struct slice history_entries(struct slice history)
{
    struct slice rest = history;
    while (slice_is_present(take_bytes(&rest))) {
    }
    return slice_of(history.data, history.length - rest.length);
}

void history_append(struct slice old, struct slice events, struct buf *out)
{
    size_t offset = out->length;
    buf_reserve(out, old.length + events.length);
    if (old.length > 0) {
        buf_append(out, history_entries(old));
    }
    buf_append(out, events);
    size_t length = out->length - offset;
    if (length < old.length) { /* what is left of the room */
        memset(buf_reserve(out, old.length - length), 0, old.length - length);
        out->length = offset + old.length;
    }
    if (length <= EVENTS_MAX * (HEAD_BYTES + TIME_BYTES)) {
        return; /* too few bytes for more events */
    }
    int64_t left_out;
    struct slice all = slice_of(out->data + offset, out->length - offset);
    size_t count = count_events(all, &left_out);
    if (count > EVENTS_MAX) {
        struct buf limited = {0};
        put_limited(all, count, left_out + (int64_t)(count - EVENTS_MAX), &limited);
        out->length = offset;
        buf_append(out, buf_slice(&limited));
        buf_fini(&limited);
    }
}

/* Whether an outcome has its code and request id already. */
static bool has_error(struct slice bytes)
{
    struct slice rest = slice_skip(bytes, HEAD_BYTES + TIME_BYTES);
    take_byte(&rest);
    take_number(&rest);
    take_number(&rest);
    return rest.length > 0;
}

void history_carry_over(struct slice old, struct slice code, struct slice request_id,
                        struct buf *out)
{
    struct slice rest = old;
    struct slice last = {0};
    struct slice bytes;
    while (slice_is_present(bytes = take_bytes(&rest))) {
        if ((uint8_t)bytes.data[0] == LEDGER_EVENT_OUTCOME) {
            last = bytes;
        }
    }
    if (!slice_is_present(last) || has_error(last)) {
        buf_append(out, slice_of(old.data, old.length - rest.length));
        return;
    }
    struct event_bytes event = {.length = last.length};
    memcpy(event.data, last.data, last.length);
    put_error(&event, code, request_id);
    buf_append(out, slice_of(old.data, (size_t)(last.data - old.data)));
    event_end(&event, out);
    const char *behind = last.data + last.length;
    buf_append(out, slice_of(behind, (size_t)(rest.data - behind)));
}

/* ---- checking a history ---- */

enum certainty { NO, YES, UNKNOWN };

/* What the events so far mean for the command. */
struct course {
    enum certainty is_called;
    enum certainty is_done;
    size_t count;
};

static const char *follow(struct course *course, const struct ledger_event *event)
{
    switch (event->kind) {
    case LEDGER_EVENT_ARRIVED:
        if (strncmp(event->result, ARRIVAL_TEXTS[CLAIM_NEW], strlen(ARRIVAL_TEXTS[CLAIM_NEW])) ==
            0) {
            bool is_repeated = course->is_done == NO;
            course->is_called = course->is_done = NO;
            return is_repeated ? "its history has a claim before the outcome of the one before"
                               : NULL;
        }
        return NULL;
    case LEDGER_EVENT_ATTEMPT_STARTED:
        if (course->is_called == YES || course->is_done == YES) {
            return "its history has an attempt that began during another one or after the outcome";
        }
        course->is_called = YES;
        return NULL;
    case LEDGER_EVENT_ATTEMPT_ENDED:
    case LEDGER_EVENT_INTERRUPTED:
        if (course->is_called == NO) {
            return "its history has the end of an attempt that did not begin";
        }
        course->is_called = NO;
        return NULL;
    case LEDGER_EVENT_OUTCOME:
        if (course->is_called == YES || course->is_done == YES) {
            return "its history has an outcome during an attempt or after another outcome";
        }
        course->is_done = YES;
        course->is_called = NO;
        return NULL;
    case LEDGER_EVENT_ORDERED:
        course->is_called = course->is_done = NO;
        return NULL;
    case LEDGER_EVENT_LEFT_OUT:
        course->is_called = course->is_done = UNKNOWN;
        return NULL;
    case LEDGER_EVENT_REPLY_ACKNOWLEDGED:
    case LEDGER_EVENT_REPLY_UNDELIVERED:
    case LEDGER_EVENT_KIND_COUNT:
        break;
    }
    return NULL;
}

const char *history_fault(struct slice history, enum state state)
{
    struct history_reader reader = {.rest = history};
    struct course course = {UNKNOWN, UNKNOWN, 0};
    struct ledger_event event;
    const char *fault = NULL;
    while (fault == NULL && history_read(&reader, &event)) {
        fault = follow(&course, &event);
        course.count++;
    }
    bool is_called = state == STATE_CALLING || state == STATE_RECALLING;
    bool is_done = state == STATE_DONE;
    while (reader.rest.length > 0 && reader.rest.data[0] == 0) {
        reader.rest = slice_skip(reader.rest, 1); /* room */
    }
    if (fault == NULL && reader.rest.length > 0) {
        fault = "its history cannot be read to its end";
    } else if (fault == NULL &&
               ((course.is_called != UNKNOWN && (course.is_called == YES) != is_called) ||
                (course.is_done != UNKNOWN && (course.is_done == YES) != is_done))) {
        fault = "its history ends otherwise than its state says";
    }
    return fault;
}
