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

/* The version of Landlock that this kernel offers; 0: none, it is switched off, or a filter of
 * system calls does not allow to ask. Thread: any. */
int landlock_version(void);
/*
 * Denies all threads of the process, for ever, to use a file or folder by its name (to open, make,
 * rename, remove or run it), to bind or connect a TCP socket (version 4), and to reach processes
 * outside by a signal or an abstract socket (version 6). Open descriptors stay usable.
 *
 * Landlock restricts one thread; a signal, SIGRTMIN, makes the others restrict themselves.
 * prctl(PR_SET_NO_NEW_PRIVS) must be set in all of them, and none may start or end meanwhile.
 * STATUS_UNAVAILABLE with the reason in *out_why: at least one thread is not restricted. Thread:
 * any, once.
 */
enum status landlock_deny_all(struct buf *out_why);

#endif
