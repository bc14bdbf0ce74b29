/* Just enough of MQTT's framing (3.1.1 and 5 are alike here) to see whole packets and packet
 * identifiers. */
#include "tap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TYPE_PUBLISH = 3, TYPE_PUBACK = 4, TYPE_SUBACK = 9, ID_COUNT = 65536, NUMBER_DIGITS = 9 };

struct side {
    uint8_t *bytes; /* what came of the packet that is not whole yet, and behind it */
    size_t length;
    size_t capacity;
    int64_t numbers[ID_COUNT]; /* of the command, by the identifier of the last PUBLISH from here;
                                  -1 for none */
};

struct tap_stream {
    struct tap *tap;
    struct side bridge;
    struct side broker;
};

struct tap *tap_new(uint32_t capacity)
{
    size_t size = sizeof(struct tap) + capacity * sizeof(struct tap_mark);
    struct tap *tap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(tap != MAP_FAILED);
    tap->capacity = capacity;
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

static void forget_ids(struct side *side)
{
    for (size_t i = 0; i < ID_COUNT; i++) {
        side->numbers[i] = -1;
    }
}

struct tap_stream *tap_stream_new(struct tap *tap)
{
    struct tap_stream *stream = calloc(1, sizeof *stream);
    assert(stream != NULL);
    stream->tap = tap;
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

/* `body` is the packet behind its fixed header. */
static void see_publish(struct tap_stream *stream, struct side *side, uint8_t flags,
                        const uint8_t *body, size_t length)
{
    int64_t number = tap_find_mark((const char *)body, length);
    struct tap_mark *mark = mark_of(stream->tap, number);
    size_t topic_length = length < 2 ? 0 : (size_t)body[0] << 8 | body[1];
    if (mark == NULL || topic_length + 4 > length) {
        return;
    }
    if ((flags & 0x06) != 0) {
        side->numbers[body[topic_length + 2] << 8 | body[topic_length + 3]] = number;
    }
    if (side == &stream->broker) {
        mark->delivered++;
        stream->tap->delivered_count++;
    } else {
        mark->replied++;
        stream->tap->replied_count++;
    }
}

static void see_puback(struct tap_stream *stream, struct side *side, const uint8_t *body,
                       size_t length, int64_t now_ms)
{
    struct side *publisher = side == &stream->bridge ? &stream->broker : &stream->bridge;
    if (length < 2) {
        return;
    }
    int64_t *number = &publisher->numbers[body[0] << 8 | body[1]];
    struct tap_mark *mark = mark_of(stream->tap, *number);
    *number = -1;
    if (mark != NULL && side == &stream->bridge) {
        mark->acked_ms = now_ms;
    } else if (mark != NULL) {
        mark->reply_acked_ms = now_ms;
    }
}

static void see_packet(struct tap_stream *stream, struct side *side, uint8_t head,
                       const uint8_t *body, size_t length, int64_t now_ms)
{
    switch (head >> 4) {
    case TYPE_PUBLISH:
        see_publish(stream, side, head & 0x0f, body, length);
        break;
    case TYPE_PUBACK:
        see_puback(stream, side, body, length, now_ms);
        break;
    case TYPE_SUBACK:
        stream->tap->subscribed_ms = now_ms;
        stream->tap->subscribed_count++;
        break;
    default:
        break;
    }
}

/* The length of the packet at the front, its header included; 0 while that is not known. */
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
