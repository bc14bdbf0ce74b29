/*
 * landlock - takes the file system away from a process, by the system calls of Linux's Landlock.
 *
 * glibc has no functions for them, and the headers of Debian 12 do not know all of their versions.
 *
 * Thread: see the functions.
 */
#ifndef MQTT_LANDLOCK_H
#define MQTT_LANDLOCK_H

#include "base/buf.h"
#include "base/status.h"

#include <stdint.h>

/* The version of Landlock that this kernel offers; 0: none, it is switched off, or a filter of
 * system calls does not allow to ask. Thread: any. */
int landlock_version(void);
/*
 * Denies the calling thread, and those that it starts, for ever, to use a file or folder by its
 * name (to open, make, rename, remove or run it), to bind or connect a TCP socket (version 4), and
 * to reach processes outside by a signal or an abstract socket (version 6; builds with crash points
 * allow signals). What stays possible:
 *
 * - to read the files of `paths`, with ':' between them. A path of a folder stands for
 *   the certificates in it under the names that `openssl rehash` gives them, wherever these links
 *   lead. What does not exist is left out;
 * - to connect to this TCP port, on any machine;
 * - to use descriptors that are open, and to open those of unnamed files anew (memfd_create()).
 *
 * prctl(PR_SET_NO_NEW_PRIVS) must be set. STATUS_UNAVAILABLE with the reason in *out_why. Thread:
 * the only one, once.
 */
enum status landlock_deny_all_but(const char *paths, uint16_t port, struct buf *out_why);
/*
 * Denies all threads of the process all of it.
 *
 * Landlock restricts one thread; a signal, SIGRTMIN, makes the others restrict themselves.
 * prctl(PR_SET_NO_NEW_PRIVS) must be set in all of them, and none may start or end meanwhile.
 * STATUS_UNAVAILABLE with the reason in *out_why: at least one thread is not restricted. Thread:
 * any, once.
 */
enum status landlock_deny_all(struct buf *out_why);

#endif
