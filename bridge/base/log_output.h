/*
 * log_output - standard error as the log writes it: never waiting for its reader.
 *
 * A pipe or a terminal whose reader has stopped must not stop the program. O_NONBLOCK cannot simply
 * be set: it belongs to the open file description, which other programs share. So
 *
 *   a socket             is written with MSG_DONTWAIT;
 *   a pipe or terminal   is opened once more under /proc/self/fd, with O_NONBLOCK: that description
 *                        is ours alone. Where this is not allowed (a pipe of another user), it is
 *                        written only while it certainly has room;
 *   anything else        is written as it is: a file has no reader.
 *
 * Thread: one at a time.
 */
#ifndef BASE_LOG_OUTPUT_H
#define BASE_LOG_OUTPUT_H

#include "base/slice.h"

#include <stdbool.h>

/* Looks at what standard error is now. Before the first call it is written as it is. */
void log_output_open(void);
/* Whether standard error is the stream that systemd connected to the journal. */
bool log_output_is_journal(void);
/*
 * Writes as much as can be written at once, and returns how many bytes that were: 0 if there is no
 * room or no reader. Up to PIPE_BUF bytes go to a pipe as a whole or not at all.
 */
size_t log_output_write(struct slice bytes);

#endif
