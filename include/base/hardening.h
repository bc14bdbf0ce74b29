/*
 * hardening - protects the secrets in a process's memory: no core file, no debugger of the same
 * user, no reading of its memory or environment under /proc.
 *
 * Thread: the first, before others start. Fails with: nothing.
 */
#ifndef BASE_HARDENING_H
#define BASE_HARDENING_H

/* Set to "1", this variable allows debuggers and core files. */
#define HARDENING_OFF_VARIABLE "ECS_BRIDGE_DEBUGGABLE"

/* Lasts until the next exec(2), so each of our programs begins with it. */
void hardening_apply(void);

#endif
