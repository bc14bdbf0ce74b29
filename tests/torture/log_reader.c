#include "log_reader.h"

#include "flow_check.h"
#include "flow_process.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A small pipe, so that it is full soon after the reader has stopped. */
enum { PIPE_SIZE = 16384, CHUNK_BYTES = 16384 };

void log_reader_init(struct log_reader *reader, const char *directory, const char *file_path)
{
    *reader = (struct log_reader){.stalled_until_ms = 0};
    snprintf(reader->path, sizeof reader->path, "%s/log.pipe", directory);
    if (mkfifo(reader->path, 0600) != 0) {
        flow_fail("cannot make %s", reader->path);
    }
    /* Opened for writing, too, so that it has no end between two runs of the bridge. */
    reader->fd = open(reader->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    reader->file = open(file_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (reader->fd < 0 || reader->file < 0 || fcntl(reader->fd, F_SETPIPE_SZ, PIPE_SIZE) < 0) {
        flow_fail("cannot read %s", reader->path);
    }
}

static void read_all(struct log_reader *reader)
{
    char chunk[CHUNK_BYTES];
    ssize_t got = 0;
    while ((got = read(reader->fd, chunk, sizeof chunk)) > 0) {
        if (write(reader->file, chunk, (size_t)got) != got) {
            flow_fail("cannot write the log of the bridge");
        }
    }
}

void log_reader_fini(struct log_reader *reader)
{
    read_all(reader);
    close(reader->fd);
    close(reader->file);
}

void log_reader_stall(struct log_reader *reader, int ms)
{
    reader->stalled_until_ms = flow_now_ms() + ms;
    reader->stall_count++;
}

bool log_reader_is_stalled(const struct log_reader *reader)
{
    return reader->stalled_until_ms != 0;
}

void log_reader_resume(struct log_reader *reader)
{
    int waiting = 0;
    if (log_reader_is_stalled(reader) && ioctl(reader->fd, FIONREAD, &waiting) == 0) {
        reader->full_count += waiting > PIPE_SIZE - PIPE_BUF;
    }
    reader->stalled_until_ms = 0;
}

void log_reader_step(struct log_reader *reader, int64_t now_ms)
{
    if (log_reader_is_stalled(reader) && now_ms >= reader->stalled_until_ms) {
        log_reader_resume(reader);
    }
    if (!log_reader_is_stalled(reader)) {
        read_all(reader);
    }
}
