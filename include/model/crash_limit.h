/*
 * crash_limit - a command must not be called for ever if the bridge ends each time that it is
 * called.
 *
 * A crash is an end without an orderly stop: a fault, a kill, a power cut. Nobody can tell what
 * caused it. At the next start the ledger adds one to `crashes` of every command that was being
 * called. As long as `crashes` is above 0, the command is called alone: no other call is under way
 * (dispatch). Any answer to it sets `crashes` back to 0. With CRASH_LIMIT crashes in a row it is
 * not called again and ends `unknown` with Bridge.SetAside.
 *
 * So the first crash may count commands that only happened to be under way at the same time, and
 * each further one counts exactly one command. Of several, those with the fewest crashes are called
 * first: kills from outside then hit a different command each time, and none reaches the limit
 * before all of them were hit twice. Only where a single command is left, kills cannot be
 * distinguished from crashes.
 *
 * Thread: any; constant.
 */
#ifndef MODEL_CRASH_LIMIT_H
#define MODEL_CRASH_LIMIT_H

enum { CRASH_LIMIT = 3 };

#endif
