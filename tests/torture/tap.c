/* Parses just enough of MQTT (3.1.1 and 5 are the same here) to find packets and packet
 * identifiers. */
#include "tap.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    TYPE_CONNECT = 1,
    TYPE_PUBLISH = 3,
    TYPE_PUBACK = 4,
    TYPE_SUBACK = 9,
    TYPE_UNSUBACK = 11,
    ID_COUNT = 65536,
    NUMBER_DIGITS = 9,
    REFUSED = 0x80,
    TOKEN_DIGITS = 64,
    KEPT_DIGITS = 16
};

/* The last PUBLISH with an identifier. */
struct sent {
    int64_t number; /* number of the command; -1 for none */
    uint32_t count; /* of the commands in one message, whose numbers follow each other */
    int64_t seen_ms;
    bool is_early;
    bool is_event; /* about a watched group */
};

struct side {
    uint8_t *bytes; /* bytes of the incomplete packet and after it */
    size_t length;
    size_t capacity;
    struct sent sent[ID_COUNT]; /* indexed by packet identifier */
};

struct tap_stream {
    struct tap *tap;
    struct tap_trap_state *trap; /* of its bridge: the first one until CONNECT tells it */
    unsigned number;             /* of the connection */
    struct side bridge;
    struct side broker;
};

struct tap *tap_new(uint32_t capacity, const char *events_path)
{
    size_t token_count = (size_t)capacity * 2;
    size_t marks_bytes = sizeof(struct tap) + capacity * sizeof(struct tap_mark);
    size_t size = marks_bytes + token_count * sizeof(uint64_t);
    struct tap *tap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(tap != MAP_FAILED);
    tap->capacity = capacity;
    snprintf(tap->events_path, sizeof tap->events_path, "%s", events_path);
    tap->tokens = (uint64_t *)(void *)((char *)tap + marks_bytes);
    tap->token_count = token_count;
    return tap;
}

int64_t tap_find_mark(const char *data, size_t length)
{
    const char *end = data + length;
    const char *at = data;
    while ((at = memchr(at, '~', (size_t)(end - at))) != NULL) {
        int64_t number = 0;
        const char *digit = ++at;
        for (; digit < end && digit - at < NUMBER_DIGITS && *digit >= '0' && *digit <= '9';
             digit++) {
            number = number * 10 + (*digit - '0');
        }
        if (digit > at && digit < end && *digit == '~') {
            return number;
        }
    }
    return -1;
}

bool tap_is_early(const char *data, size_t length)
{
    static const char early[] = "\"Status\":\"accepted\"";
    return memmem(data, length, early, sizeof early - 1) != NULL;
}

/* --- the tokens that the bridge makes --- */

/* The first digits as a number; 0 if it is not such a token. */
static uint64_t token_key(const char *token, size_t length)
{
    uint64_t key = 0;
    for (size_t i = 0; i < TOKEN_DIGITS; i++) {
        const char *digit = i < length ? strchr("0123456789abcdef", token[i]) : NULL;
        if (digit == NULL || *digit == '\0') {
            return 0;
        }
        if (i < KEPT_DIGITS) {
            key = key << 4 | (uint64_t)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
        }
    }
    return key;
}

/* Its entry in the table, or the free entry for it. */
static uint64_t *token_place(const struct tap *tap, uint64_t key)
{
    size_t at = (size_t)(key % tap->token_count);
    while (tap->tokens[at] != 0 && tap->tokens[at] != key) {
        at = (at + 1) % tap->token_count;
    }
    return &tap->tokens[at];
}

static void keep_token(struct tap *tap, const char *body, size_t length)
{
    static const char name[] = "\"ClientToken\":\"";
    const char *at = memmem(body, length, name, sizeof name - 1);
    if (at != NULL) {
        const char *token = at + sizeof name - 1;
        uint64_t key = token_key(token, length - (size_t)(token - body));
        if (key != 0) {
            *token_place(tap, key) = key;
        }
    }
}

bool tap_has_token(const struct tap *tap, const char *token)
{
    uint64_t key = token_key(token, strlen(token));
    return key != 0 && token[TOKEN_DIGITS] == '\0' && *token_place(tap, key) == key;
}

/* --- events about watched groups --- */

#define EVENTS "ecs-bridge/v1/events/"

static unsigned connections;
static FILE *events;

static bool is_event(const char *topic, size_t length)
{
    return length > sizeof EVENTS - 1 && memcmp(topic, EVENTS, sizeof EVENTS - 1) == 0;
}

static void write_event_line(const struct tap_stream *stream, char kind, unsigned id,
                             const char *topic, int topic_length, const char *payload,
                             int payload_length)
{
    if (events == NULL) {
        events = fopen(stream->tap->events_path, "ae");
        assert(events != NULL);
    }
    fprintf(events, "%c %u %u%s%.*s%s%.*s\n", kind, stream->number, id, topic_length > 0 ? " " : "",
            topic_length, topic, topic_length > 0 ? " " : "", payload_length, payload);
    fflush(events);
}

/* `at` is behind the packet identifier of a PUBLISH of MQTT 5. */
static size_t properties_length(const uint8_t *body, size_t at, size_t length)
{
    size_t value = 0;
    for (size_t i = 0; at + i < length && i < 4; i++) {
        value |= (size_t)(body[at + i] & 0x7f) << (7 * i);
        if ((body[at + i] & 0x80) == 0) {
            return value + i + 1;
        }
    }
    return 0;
}

/* --- packets --- */

static void forget_ids(struct side *side)
{
    for (size_t i = 0; i < ID_COUNT; i++) {
        side->sent[i].number = -1;
    }
}

struct tap_stream *tap_stream_new(struct tap *tap)
{
    struct tap_stream *stream = calloc(1, sizeof *stream);
    assert(stream != NULL);
    stream->tap = tap;
    stream->trap = &tap->traps[0];
    stream->number = ++connections;
    forget_ids(&stream->bridge);
    forget_ids(&stream->broker);
    return stream;
}

void tap_stream_free(struct tap_stream *stream)
{
    if (stream != NULL) {
        free(stream->bridge.bytes);
        free(stream->broker.bytes);
        free(stream);
    }
}

static struct tap_mark *mark_of(struct tap *tap, int64_t number)
{
    return number >= 0 && number < tap->capacity ? &tap->marks[number] : NULL;
}

/* Kills the bridge if the trap waits for this packet; the broker still gets the bytes that were
 * sent. */
static void spring(struct tap_trap_state *trap, enum tap_trap packet)
{
    int expected = (int)packet;
    if (atomic_load(&trap->packet) == expected && --trap->count <= 0 &&
        atomic_compare_exchange_strong(&trap->packet, &expected, TAP_TRAP_NONE)) {
        kill(trap->pid, SIGKILL);
    }
}

static void see_connect(struct tap_stream *stream, const uint8_t *body, size_t length)
{
    const uint8_t *at = memmem(body, length, TAP_INSTANCE, sizeof TAP_INSTANCE - 1);
    const uint8_t *digit = at == NULL ? NULL : at + sizeof TAP_INSTANCE - 1;
    if (digit != NULL && digit < body + length && *digit >= '0' && *digit < '0' + TAP_BRIDGES_MAX) {
        stream->trap = &stream->tap->traps[*digit - '0'];
    }
}

#define ALERTS "ecs-bridge/v1/alerts/"

/* How many commands a message has: the last level of its topic says it. */
static uint32_t commands_of(const struct tap *tap, const char *topic, size_t length, int64_t number)
{
    bool is_alerts = length > sizeof ALERTS - 1 && memcmp(topic, ALERTS, sizeof ALERTS - 1) == 0;
    uint32_t count = is_alerts ? (uint32_t)(topic[length - 1] - '0') : 1;
    return number + count <= tap->capacity ? count : 1;
}

static void see_command(struct tap *tap, struct tap_mark *marks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        marks[i].delivered++;
    }
    tap->delivered_count += count;
}

static void see_reply(struct tap_stream *stream, const struct sent *sent, const char *body,
                      size_t length)
{
    if (!sent->is_early) {
        keep_token(stream->tap, body, length);
        spring(stream->trap, TAP_TRAP_ANSWERED);
    }
}

static void see_event(struct tap_stream *stream, const uint8_t *body, size_t topic_length,
                      size_t length)
{
    size_t id_at = topic_length + 2;
    unsigned id = (unsigned)body[id_at] << 8 | body[id_at + 1];
    size_t at = id_at + 2 + properties_length(body, id_at + 2, length);
    write_event_line(stream, 'S', id, (const char *)body + 2, (int)topic_length,
                     (const char *)body + at, at < length ? (int)(length - at) : 0);
    stream->bridge.sent[id] = (struct sent){.number = -1, .is_event = true};
    spring(stream->trap, TAP_TRAP_ANSWERED);
}

/* `body` is the packet without its fixed header. */
static void see_publish(struct tap_stream *stream, struct side *side, uint8_t flags,
                        const uint8_t *body, size_t length, int64_t now_ms)
{
    const char *text = (const char *)body;
    struct sent sent = {.number = tap_find_mark(text, length), .seen_ms = now_ms};
    struct tap_mark *mark = mark_of(stream->tap, sent.number);
    size_t topic_length = length < 2 ? 0 : (size_t)body[0] << 8 | body[1];
    if (topic_length + 4 > length) {
        return;
    }
    if (side == &stream->bridge && is_event(text + 2, topic_length)) {
        see_event(stream, body, topic_length, length);
        return;
    }
    if (mark == NULL) {
        return;
    }
    sent.count = commands_of(stream->tap, text + 2, topic_length, sent.number);
    sent.is_early = side == &stream->bridge && tap_is_early(text, length);
    if ((flags & 0x06) != 0) {
        side->sent[body[topic_length + 2] << 8 | body[topic_length + 3]] = sent;
    }
    if (side == &stream->broker) {
        see_command(stream->tap, mark, sent.count);
    } else {
        see_reply(stream, &sent, text, length);
    }
}

static int64_t later(int64_t one_ms, int64_t other_ms)
{
    return one_ms > other_ms ? one_ms : other_ms;
}

static void see_puback(struct tap_stream *stream, struct side *side, const uint8_t *body,
                       size_t length, int64_t now_ms)
{
    bool is_bridge = side == &stream->bridge;
    struct side *publisher = is_bridge ? &stream->broker : &stream->bridge;
    if (length < 2) {
        return;
    }
    unsigned id = (unsigned)body[0] << 8 | body[1];
    struct sent *sent = &publisher->sent[id];
    struct tap_mark *mark = mark_of(stream->tap, sent->number);
    bool is_refused = length > 2 && body[2] >= REFUSED;
    if (sent->is_event && !is_refused) {
        write_event_line(stream, 'A', id, "", 0, "", 0);
    }
    sent->is_event = false;
    sent->number = -1;
    stream->tap->refused_count += mark != NULL && is_refused && !is_bridge;
    if (mark == NULL || is_refused || sent->is_early) {
        return;
    }
    if (is_bridge) {
        for (uint32_t i = 0; i < sent->count; i++) {
            mark[i].taken++;
            mark[i].taken_ms = later(mark[i].taken_ms, sent->seen_ms);
        }
        spring(stream->trap, TAP_TRAP_TAKEN);
    } else {
        mark->answers++;
        mark->answer_sent_ms = later(mark->answer_sent_ms, sent->seen_ms);
        mark->answer_acked_ms = now_ms;
    }
}

static void see_packet(struct tap_stream *stream, struct side *side, uint8_t head,
                       const uint8_t *body, size_t length, int64_t now_ms)
{
    switch (head >> 4) {
    case TYPE_CONNECT:
        if (side == &stream->bridge) {
            see_connect(stream, body, length);
        }
        break;
    case TYPE_PUBLISH:
        see_publish(stream, side, head & 0x0f, body, length, now_ms);
        break;
    case TYPE_PUBACK:
        see_puback(stream, side, body, length, now_ms);
        break;
    case TYPE_SUBACK:
        stream->tap->subscribed_count++;
        break;
    case TYPE_UNSUBACK:
        stream->tap->unsubscribed_count++;
        break;
    default:
        break;
    }
}

/* The length of the first packet with its header; 0 while it is not known. */
static size_t packet_length(const struct side *side, size_t *out_head_length)
{
    size_t value = 0;
    for (size_t i = 1; i < side->length && i <= 4; i++) {
        value |= (size_t)(side->bytes[i] & 0x7f) << (7 * (i - 1));
        if ((side->bytes[i] & 0x80) == 0) {
            *out_head_length = i + 1;
            return i + 1 + value;
        }
    }
    return 0;
}

static void append(struct side *side, const char *data, size_t length)
{
    if (side->length + length > side->capacity) {
        side->capacity = (side->length + length) * 2;
        side->bytes = realloc(side->bytes, side->capacity);
        assert(side->bytes != NULL);
    }
    memcpy(side->bytes + side->length, data, length);
    side->length += length;
}

void tap_feed(struct tap_stream *stream, bool is_from_bridge, const char *data, size_t length,
              int64_t now_ms)
{
    struct side *side = is_from_bridge ? &stream->bridge : &stream->broker;
    size_t head_length = 0;
    size_t packet = 0;
    append(side, data, length);
    while ((packet = packet_length(side, &head_length)) != 0 && packet <= side->length) {
        see_packet(stream, side, side->bytes[0], side->bytes + head_length, packet - head_length,
                   now_ms);
        memmove(side->bytes, side->bytes + packet, side->length - packet);
        side->length -= packet;
    }
}
