/*
 * log_reader - reads the bridge's log from a pipe and writes it to a file; at times it stops
 * reading, as a log shipper may do.
 *
 * Thread: the driver's only thread; nothing blocks.
 */
#ifndef TORTURE_LOG_READER_H
#define TORTURE_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

struct log_reader {
    char path[192]; /* of the pipe */
    int fd;
    int file;
    int64_t stalled_until_ms; /* 0: it reads */
    int stall_count;
    int full_count; /* stalls at whose end the pipe was full: the bridge could write nothing more */
};

/* Makes the pipe in `directory`; the log is appended to `file_path`. */
void log_reader_init(struct log_reader *reader, const char *directory, const char *file_path);
void log_reader_fini(struct log_reader *reader);
/* Reads nothing for `ms`; call it only while it reads. */
void log_reader_stall(struct log_reader *reader, int ms);
/* Ends a stall. */
void log_reader_resume(struct log_reader *reader);
bool log_reader_is_stalled(const struct log_reader *reader);
void log_reader_step(struct log_reader *reader, int64_t now_ms);

#endif
