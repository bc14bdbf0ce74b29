/*
 * sandbox - what an MQTT process gives up when it is connected. Wraps libseccomp.
 *
 * It reads what a broker sends, so it is the process that an attacker would take over first. From
 * sandbox_enter() on it has the sockets and the memory that it has then, and nothing else:
 *
 *   Landlock   no file by its name, see landlock.h
 *   seccomp    only the system calls that a connection needs. What a library tries on the way and
 *              does without (to open a file, to look at one) fails with EACCES or EPERM; anything
 *              else kills the process (SIGSYS): a new socket, connect(), a program, a thread,
 *              ptrace(), a signal to another process, executable memory
 *   limits     descriptors below SANDBOX_FD_MAX, no new process (which does not hold for root)
 *
 * A sanitizer needs files, programs and ptrace() for its reports, so a build with one never calls
 * sandbox_enter().
 */
#ifndef MQTT_SANDBOX_H
#define MQTT_SANDBOX_H

#include "base/buf.h"
#include "base/status.h"

/* More than a process has when it is connected: poll() takes no more descriptors than the limit. */
#define SANDBOX_FD_MAX 32

/* Before the first thread is started: the process can gain no rights by running a program, which
 * the rest depends on. */
void sandbox_prepare(void);
/*
 * Applies to all threads, for ever. STATUS_NOT_FOUND: the kernel has no seccomp; the rest is
 * applied. STATUS_UNAVAILABLE with the reason in *out_why: what the kernel has could not be
 * applied. Thread: any, once; no other may start or end a thread meanwhile.
 */
enum status sandbox_enter(struct buf *out_why);

#endif
