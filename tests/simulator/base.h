/*
 * base - memory, time, text and hashing for the simulator.
 *
 * Thread: the simulator has one thread; nothing here is shared.
 * Fails with: nothing. Memory exhaustion ends the process.
 */
#ifndef SIMULATOR_BASE_H
#define SIMULATOR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory; never NULL. Release with free(). */
void *base_alloc(size_t size_bytes);

/* realloc() that never returns NULL; new bytes are not zeroed. */
void *base_resize(void *memory, size_t size_bytes);

/* A NUL-terminated copy of the first `length` bytes. Release with free(). */
char *base_copy(const char *data, size_t length);

/* Copy `source` (NULL counts as "") into a fixed field, cut to fit, always terminated. */
void base_fill(char *target, size_t target_bytes, const char *source);

/* A well-mixed 64-bit hash; never 0, so that 0 can mean "empty" in tables. */
uint64_t base_hash(const void *data, size_t length);

/* A pseudo-random number, seeded from the system at first use. Not for secrets. */
uint64_t base_random(void);

/* Monotonic time in milliseconds. */
int64_t base_monotonic_ms(void);

/* Wall-clock time in milliseconds since 1970. */
int64_t base_wall_ms(void);

/* Read `yyyy-MM-ddTHH:mm:ssZ` exactly. False if it is anything else. */
bool base_parse_time(const char *text, int64_t *out_s);

/* Read a whole decimal integer in [minimum, maximum]. False if it is anything else. */
bool base_parse_integer(const char *text, int64_t minimum, int64_t maximum, int64_t *out_value);

/* Lower-case hex of `length` bytes; `out` has room for 2 * length + 1. */
void base_hex(const uint8_t *data, size_t length, char *out);

/* Growing text, always NUL-terminated once something was added. {0} is empty. */
struct text {
    char *data;
    size_t length;
    size_t capacity;
};

void text_fini(struct text *text);
void text_clear(struct text *text);
void text_add(struct text *text, const void *data, size_t length);
void text_puts(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text as a string, "" when empty. Borrowed until the next change. */
const char *text_string(const struct text *text);

/* Add `string` percent-encoded as RFC 3986 wants it: unreserved bytes stay, all else is %XX. */
void text_add_encoded(struct text *text, const char *string);

#endif
