/*
 * secret - text that must not remain in memory and must not appear in a log, an error or a reply.
 *
 * `{0}` is an empty secret. Wraps OpenSSL's secure heap: the bytes are not in core files, not in
 * the swap where the process may lock memory, and are wiped when they are replaced or freed. A
 * secret of more than 128 KiB, or one for which the heap (8 MiB) has no room, is on the normal heap
 * and is wiped too.
 *
 * Thread: one at a time for a secret.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/slice.h"
#include "base/status.h"

struct secret {
    char *data; /* NUL-terminated, or NULL */
    size_t length;
};

/*
 * Makes the secure heap of the process. Without it, secrets are on the normal heap. Thread: the
 * first, before others start.
 */
void secret_setup(void);
/* Wipes and frees. Takes NULL. */
void secret_fini(struct secret *secret);
/* Copies the bytes and wipes the old ones. */
void secret_set(struct secret *secret, struct slice bytes);
/* Replaces the content by a copy of another secret's. */
void secret_copy(struct secret *secret, const struct secret *from);
/* Always present, possibly empty; valid until the next change. */
struct slice secret_slice(const struct secret *secret);
bool secret_is_set(const struct secret *secret);
/*
 * Reads a file of at most 64 KiB; one trailing line end is dropped.
 * STATUS_NOT_FOUND, STATUS_UNAVAILABLE (permission, not a regular file, I/O), STATUS_LIMIT (too
 * large).
 */
enum status secret_read_file(struct secret *secret, const char *path);
/*
 * Reads an open file from its current position to the end. Returns 0 or an errno value: EFBIG where
 * there are more than `bytes_max` bytes. The secret is changed only on success.
 */
int secret_read_fd(struct secret *secret, int fd, size_t bytes_max);
/* Removes one line end (\n or \r\n) from the end of the text. */
void secret_drop_line_end(struct secret *secret);
/*
 * Moves the value of an environment variable, if it is set, into a secret: child processes do not
 * inherit it and /proc/PID/environ does not show it. At most 8 variables. Thread: the first, before
 * others start.
 */
void secret_hide_variable(const char *name);
/* The value of an environment variable, hidden or not; NULL where it is not set. */
const char *secret_variable(const char *name);
/* Overwrites memory in a way that the compiler does not remove. */
void secret_wipe(void *memory, size_t size_bytes);

#endif
