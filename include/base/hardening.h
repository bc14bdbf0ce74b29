/*
 * guard - keeps what a process knows inside it: no core file, no debugger of the same user, nobody
 * else who reads its memory or its environment under /proc.
 *
 * Thread: the first, before others start. Fails with: nothing.
 */
#ifndef BASE_HARDENING_H
#define BASE_HARDENING_H

/* With this variable set to "1" a process stays open to debuggers and leaves core files. */
#define GUARD_OFF_VARIABLE "ECS_BRIDGE_DEBUGGABLE"

/* Holds until the next exec(2), so every program of ours begins with it. */
void guard_process(void);

#endif
