/*
 * park - calls that wait: for a time, for their peer to close, or for a control request.
 *
 * A parked call's connection is suspended; resuming it makes the server advance the call again.
 */
#ifndef SIMULATOR_PARK_H
#define SIMULATOR_PARK_H

#include "sim.h"

#define PARK_FOREVER INT64_MAX

/* Watch descriptors with this epoll; its events carry the call as data.ptr. */
void park_init(int epoll);

/* Suspend a call until `due_ms` (monotonic). `is_watched`: also until its peer closes. */
void park_call(struct call *call, int64_t due_ms, bool is_watched);

/* Resume a call; nothing happens to one that is not parked. */
void park_resume(struct call *call);

/* Resume all that are due, all that hang, or all there are. */
void park_resume_due(int64_t now_ms);
void park_resume_hanging(void);
void park_resume_all(void);

/*
 * Milliseconds until the next call is due, or -1 if none is. 0 while the server has not
 * handled all resumed calls: libmicrohttpd does not report them.
 */
int park_wait_ms(int64_t now_ms);

/* The server handles the resumed calls now. */
void park_forget_resumed(void);

#endif
