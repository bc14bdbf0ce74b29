#include "broker_saved.h"

#include "flow_check.h"
#include "flow_process.h"
#include "tap.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BRIDGE_CLIENTS "ecs-mqtt-bridge"
#define WITNESS_CLIENT "torture-witness"
/* Of all filters of the route of starts, if it has no share: those with one begin with "$share/",
 * and are not there any more after a restart of mosquitto 2.0.11. */
#define STARTS "ecs-bridge/v1/commands/"

/* Offsets in the file. Numbers are in network byte order, except the id of a message. */
enum {
    MAGIC_BYTES = 15,
    HEAD_BYTES = 23,
    VERSION = 6,
    CHUNK_HEAD_BYTES = 8,
    CHUNK_MESSAGE = 2,
    CHUNK_CLIENT_MESSAGE = 3,
    CHUNK_SUBSCRIPTION = 5,
    ID_BYTES = 8,
    CLIENT_MESSAGE_BYTES = 16,
    CLIENT_MESSAGE_LENGTH_AT = 10, /* after the client id */
    CLIENT_MESSAGE_WAY_AT = 15,
    SUBSCRIPTION_BYTES = 12,
    SUBSCRIPTION_LENGTH_AT = 4,
    WAY_OUT = 1,
};

/* A stored message and the number of its command; -1: neither a command nor an answer. */
struct stored {
    uint64_t id;
    int64_t number;
};

struct reading {
    struct broker_saved *saved;
    struct stored *stored;
    size_t count;
    size_t capacity;
    bool has_witness; /* the witness, which is always subscribed */
};

static uint32_t read_u16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t read_u32(const uint8_t *at)
{
    return read_u16(at) << 16 | read_u16(at + 2);
}

static uint64_t read_id(const uint8_t *at)
{
    uint64_t id = 0;
    memcpy(&id, at, sizeof id);
    return id;
}

static void add_number(struct number_list *list, int64_t number)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->numbers = realloc(list->numbers, list->capacity * sizeof *list->numbers);
        assert(list->numbers != NULL);
    }
    list->numbers[list->count++] = (uint32_t)number;
}

bool number_list_has(const struct number_list *list, uint32_t number)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->numbers[i] == number) {
            return true;
        }
    }
    return false;
}

static void keep_message(struct reading *reading, const uint8_t *body, size_t length)
{
    if (reading->count == reading->capacity) {
        reading->capacity = reading->capacity == 0 ? 256 : reading->capacity * 2;
        reading->stored = realloc(reading->stored, reading->capacity * sizeof *reading->stored);
        assert(reading->stored != NULL);
    }
    const char *text = (const char *)body + ID_BYTES;
    size_t text_length = length - ID_BYTES;
    reading->stored[reading->count++] = (struct stored){
        .id = read_id(body),
        .number = tap_is_early(text, text_length) ? -1 : tap_find_mark(text, text_length),
    };
}

static int64_t number_of(const struct reading *reading, uint64_t id)
{
    for (size_t i = 0; i < reading->count; i++) {
        if (reading->stored[i].id == id) {
            return reading->stored[i].number;
        }
    }
    return -1;
}

/* Whether the bytes are a client id with this prefix. */
static bool is_client(const uint8_t *id, size_t length, const char *begins)
{
    return length >= strlen(begins) && memcmp(id, begins, strlen(begins)) == 0;
}

static void keep_client_message(const struct reading *reading, const uint8_t *body, size_t length)
{
    size_t id_length = read_u16(body + CLIENT_MESSAGE_LENGTH_AT);
    const uint8_t *id = body + CLIENT_MESSAGE_BYTES;
    int64_t number = number_of(reading, read_id(body));
    if (CLIENT_MESSAGE_BYTES + id_length > length || number < 0 ||
        body[CLIENT_MESSAGE_WAY_AT] != WAY_OUT) {
        return;
    }
    if (is_client(id, id_length, BRIDGE_CLIENTS)) {
        add_number(&reading->saved->commands, number);
    } else if (is_client(id, id_length, WITNESS_CLIENT)) {
        add_number(&reading->saved->replies, number);
    }
}

static void keep_subscription(struct reading *reading, const uint8_t *body, size_t length)
{
    size_t id_length = read_u16(body + SUBSCRIPTION_LENGTH_AT);
    size_t start = SUBSCRIPTION_BYTES + id_length;
    if (start <= length) {
        const uint8_t *id = body + SUBSCRIPTION_BYTES;
        bool is_of_starts = length - start >= sizeof STARTS - 1 &&
                            memcmp(body + start, STARTS, sizeof STARTS - 1) == 0;
        reading->saved->has_bridge |= is_of_starts && is_client(id, id_length, BRIDGE_CLIENTS);
        reading->has_witness |= is_client(id, id_length, WITNESS_CLIENT);
    }
}

static void keep_chunk(struct reading *reading, uint32_t kind, const uint8_t *body, size_t length)
{
    if (kind == CHUNK_MESSAGE && length >= ID_BYTES) {
        keep_message(reading, body, length);
    } else if (kind == CHUNK_CLIENT_MESSAGE && length >= CLIENT_MESSAGE_BYTES) {
        keep_client_message(reading, body, length);
    } else if (kind == CHUNK_SUBSCRIPTION && length >= SUBSCRIPTION_BYTES) {
        keep_subscription(reading, body, length);
    }
}

static void read_chunks(struct broker_saved *saved, const uint8_t *bytes, size_t length)
{
    static const uint8_t magic[MAGIC_BYTES] = {0,   0xb5, 0,   'm', 'o', 's', 'q', 'u',
                                               'i', 't',  't', 'o', ' ', 'd', 'b'};
    struct reading reading = {.saved = saved};
    size_t at = HEAD_BYTES;
    if (length < HEAD_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0 ||
        read_u32(bytes + HEAD_BYTES - 4) != VERSION) {
        flow_fail("the broker's database is not of version %d", VERSION);
    }
    while (at + CHUNK_HEAD_BYTES <= length) {
        size_t size = read_u32(bytes + at + 4);
        if (size > length - at - CHUNK_HEAD_BYTES) {
            flow_fail("the broker's database is cut off");
        }
        keep_chunk(&reading, read_u32(bytes + at), bytes + at + CHUNK_HEAD_BYTES, size);
        at += CHUNK_HEAD_BYTES + size;
    }
    if (!reading.has_witness) {
        flow_fail("the broker's database has an unexpected content");
    }
    free(reading.stored);
}

static int64_t age_ms(const struct stat *info)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)(now.tv_sec - info->st_mtim.tv_sec) * 1000 +
           (now.tv_nsec - info->st_mtim.tv_nsec) / 1000000;
}

void broker_saved_read(struct broker_saved *out_saved, const char *path)
{
    struct stat info;
    *out_saved = (struct broker_saved){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return;
    }
    if (fd < 0 || fstat(fd, &info) != 0) {
        flow_fail("cannot read %s", path);
    }
    size_t size = (size_t)info.st_size;
    uint8_t *bytes = malloc(size + 1);
    assert(bytes != NULL);
    if (read(fd, bytes, size) != (ssize_t)size) {
        flow_fail("cannot read %s", path);
    }
    close(fd);
    out_saved->is_there = true;
    out_saved->saved_ms = flow_now_ms() - age_ms(&info);
    read_chunks(out_saved, bytes, size);
    free(bytes);
}

void broker_saved_fini(struct broker_saved *saved)
{
    free(saved->commands.numbers);
    free(saved->replies.numbers);
    *saved = (struct broker_saved){0};
}
