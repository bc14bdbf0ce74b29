/* Memory, time, text and hashing. */
#include "base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void *base_alloc(size_t size_bytes)
{
    void *memory = calloc(1, size_bytes ? size_bytes : 1);
    if (!memory) {
        abort();
    }
    return memory;
}

void *base_resize(void *memory, size_t size_bytes)
{
    void *resized = realloc(memory, size_bytes ? size_bytes : 1);
    if (!resized) {
        abort();
    }
    return resized;
}

char *base_copy(const char *data, size_t length)
{
    char *copy = base_alloc(length + 1);
    if (length) {
        memcpy(copy, data, length);
    }
    return copy;
}

void base_fill(char *target, size_t target_bytes, const char *source)
{
    size_t length = source ? strnlen(source, target_bytes - 1) : 0;
    if (length) {
        memcpy(target, source, length);
    }
    target[length] = '\0';
}

static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9U;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

uint64_t base_hash(const void *data, size_t length)
{
    const uint8_t *byte = data;
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ byte[i]) * 0x100000001b3U;
    }
    hash = mix(hash);
    return hash ? hash : 1;
}

uint64_t base_random(void)
{
    static uint64_t state;
    if (!state && getrandom(&state, sizeof state, 0) != (ssize_t)sizeof state) {
        state = (uint64_t)base_wall_ms();
    }
    state += 0x9e3779b97f4a7c15U;
    return mix(state);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t base_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t base_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

static bool has_shape(const char *text, const char *shape)
{
    for (; *shape; text++, shape++) {
        bool is_digit = *text >= '0' && *text <= '9';
        if (*shape == '0' ? !is_digit : *text != *shape) {
            return false;
        }
    }
    return *text == '\0';
}

bool base_parse_time(const char *text, int64_t *out_s)
{
    if (!has_shape(text, "0000-00-00T00:00:00Z")) {
        return false;
    }
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (!end || *end) {
        return false;
    }
    struct tm normal = parts;
    time_t seconds = timegm(&normal);
    if (normal.tm_mday != parts.tm_mday || normal.tm_min != parts.tm_min) {
        return false;
    }
    *out_s = seconds;
    return true;
}

bool base_parse_integer(const char *text, int64_t minimum, int64_t maximum, int64_t *out_value)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < minimum || value > maximum) {
        return false;
    }
    *out_value = value;
    return true;
}

void base_hex(const uint8_t *data, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * length] = '\0';
}

void text_fini(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->length = 0;
    if (text->data) {
        text->data[0] = '\0';
    }
}

static void reserve(struct text *text, size_t more)
{
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) {
        return;
    }
    size_t capacity = text->capacity ? text->capacity : 128;
    while (capacity < needed) {
        capacity *= 2;
    }
    text->data = base_resize(text->data, capacity);
    text->capacity = capacity;
}

void text_add(struct text *text, const void *data, size_t length)
{
    reserve(text, length);
    if (length) {
        memcpy(text->data + text->length, data, length);
    }
    text->length += length;
    text->data[text->length] = '\0';
}

void text_puts(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = NULL;
    int length = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (length < 0) {
        abort();
    }
    text_add(text, line, (size_t)length);
    free(line);
}

const char *text_string(const struct text *text)
{
    return text->data ? text->data : "";
}

static bool is_unreserved(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.' || byte == '~';
}

void text_add_encoded(struct text *text, const char *string)
{
    static const char digits[] = "0123456789ABCDEF";
    reserve(text, 3 * strlen(string));
    char *out = text->data + text->length;
    for (const char *c = string; *c; c++) {
        uint8_t byte = (uint8_t)*c;
        if (is_unreserved(byte)) {
            *out++ = *c;
        } else {
            *out++ = '%';
            *out++ = digits[byte >> 4];
            *out++ = digits[byte & 15];
        }
    }
    *out = '\0';
    text->length = (size_t)(out - text->data);
}
