/*
 * sandbox - what an MQTT process gives up, in three steps. Wraps libseccomp.
 *
 * It reads what a broker sends, so it is the process that an attacker would take over first.
 *
 * SANDBOX_START, before a byte of the network is read: no program, no other process, no look into
 * one and no signal to one, no file but those of the authorities that TLS may need (landlock.h; no
 * file is written where the kernel has no Landlock), no socket but for TCP, and with Landlock of
 * version 4 only to the broker's port.
 *
 * SANDBOX_CONNECT, when the socket for the broker is there: no other socket.
 *
 * SANDBOX_ACCEPTED, at CONNACK: the sockets and the memory that the process has, and nothing else.
 *
 *   Landlock   no file by its name, no connection, see landlock.h
 *   seccomp    only the system calls that a connection needs. What a library tries on the way and
 *              does without (to open a file, to look at one) fails with EACCES or EPERM; anything
 *              else sends SIGSYS: connect(), a thread, executable memory, ...
 *   limits     descriptors below SANDBOX_FD_MAX, no new process (which does not hold for root)
 *
 * A system call that is not allowed is never made; SIGSYS kills the process, unless it handles it.
 *
 * A sanitizer needs files, programs and ptrace() for its reports, so a build with one enters no
 * sandbox.
 */
#ifndef MQTT_SANDBOX_H
#define MQTT_SANDBOX_H

#include "base/buf.h"
#include "base/status.h"

#include <stdint.h>

/* More than a process has when it is connected: poll() takes no more descriptors than the limit. */
#define SANDBOX_FD_MAX 32

enum sandbox_step { SANDBOX_START, SANDBOX_CONNECT, SANDBOX_ACCEPTED };

/* For SANDBOX_START: the files and the port that stay allowed, as in landlock_deny_all_but(). */
struct sandbox_needs {
    const char *files;
    uint16_t port;
};

/*
 * Takes a step, for all threads, for ever; `needs` may be NULL at the others. STATUS_NOT_FOUND: the
 * kernel has no seccomp; the rest is applied. STATUS_UNAVAILABLE with the reason in *out_why: what
 * the kernel has could not be applied.
 *
 * Thread: the only one at SANDBOX_START; then any, one at a time, while no other starts or ends.
 */
enum status sandbox_enter(enum sandbox_step step, const struct sandbox_needs *needs,
                          struct buf *out_why);
/* The name of a system call, "" if it is not known, after SANDBOX_START. Thread: any, also in
 * signal handlers. */
const char *sandbox_call_name(int number);

#endif
