/*
 * secret - text that must not stay in memory, nor reach a log, an error or a reply.
 *
 * `{0}` is an empty one. Wraps OpenSSL's secure heap: the bytes are not in core files, not in the
 * swap where the process may lock memory, and are wiped when they are replaced or freed. More than
 * 128 KiB at once, or what the full heap (8 MiB) cannot take, lies on the normal heap and is wiped
 * too.
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
 * Makes the secure heap of the process. Before this, secrets lie on the normal heap. Thread: the
 * first, before others start.
 */
void secret_setup(void);
/* Wipes and frees. Takes NULL. */
void secret_fini(struct secret *secret);
/* Copies the bytes, wiping what was there. */
void secret_set(struct secret *secret, struct slice bytes);
/* Present and possibly empty; valid until the next change. */
struct slice secret_slice(const struct secret *secret);
bool secret_is_set(const struct secret *secret);
/*
 * Reads a file of at most 64 KiB; one trailing line end is dropped.
 * STATUS_NOT_FOUND, STATUS_UNAVAILABLE (permission, not a regular file, I/O), STATUS_LIMIT (too
 * large).
 */
enum status secret_read_file(struct secret *secret, const char *path);
/*
 * Reads an open file from where it stands to its end; returns 0, or the errno value of what went
 * wrong: EFBIG where there are more than `bytes_max`. The secret is changed only on success.
 */
int secret_read_fd(struct secret *secret, int fd, size_t bytes_max);
/* Where a file is a line: drops its end. */
void secret_drop_line_end(struct secret *secret);
/*
 * Moves the value of an environment variable, if there is one, to where secrets lie: programs
 * started later do not inherit it, /proc/PID/environ does not show it. Thread: the first, before
 * others start; at most 8 variables.
 */
void secret_hide_variable(const char *name);
/* The value of an environment variable, hidden or not; NULL where it is not set. */
const char *secret_variable(const char *name);
/* Overwrites memory in a way the compiler keeps. */
void secret_wipe(void *memory, size_t size_bytes);

#endif
