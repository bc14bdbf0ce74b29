/*
 * hardening - what each of our processes does first.
 *
 * It protects the secrets in its memory: no core file, no debugger of the same user, no reading of
 * its memory or environment under /proc. The environment cannot make TLS libraries write the
 * secrets of connections to a file (SSLKEYLOGFILE is removed). And it opens standard input, output
 * and error on /dev/null where the process was started without them: otherwise the ledger or a
 * socket would get the number of one of them, and what is printed would be written into it.
 *
 * Thread: the first, before others start. Fails with: it ends the process (EX_OSERR) if /dev/null
 * cannot be opened.
 */
#ifndef BASE_HARDENING_H
#define BASE_HARDENING_H

/* Set to "1", this variable allows debuggers and core files. */
#define HARDENING_OFF_VARIABLE "ECS_BRIDGE_DEBUGGABLE"

/* Lasts until the next exec(2), so each of our programs begins with it. */
void hardening_apply(void);

#endif
