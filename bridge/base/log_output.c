#include "log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum output_kind { OUTPUT_PLAIN, OUTPUT_SOCKET, OUTPUT_PIPE };

static struct {
    enum output_kind kind;
    int fd; /* our own description of a pipe or terminal; -1: there is none */
} output = {OUTPUT_PLAIN, -1};

void log_output_open(void)
{
    struct stat file;
    if (output.fd >= 0) {
        close(output.fd);
    }
    output.kind = OUTPUT_PLAIN;
    output.fd = -1;
    if (fstat(STDERR_FILENO, &file) != 0) {
        return;
    }
    if (S_ISSOCK(file.st_mode)) {
        output.kind = OUTPUT_SOCKET;
    } else if (S_ISFIFO(file.st_mode) || isatty(STDERR_FILENO)) {
        output.kind = OUTPUT_PIPE;
        output.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
}

bool log_output_is_journal(void)
{
    struct stat file;
    const char *stream = getenv("JOURNAL_STREAM");
    char here[64];
    if (stream == NULL || fstat(STDERR_FILENO, &file) != 0) {
        return false;
    }
    snprintf(here, sizeof here, "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
    return strcmp(stream, here) == 0;
}

/*
 * Whether a blocking write of up to PIPE_BUF bytes does not wait. Another process may write between
 * this and our write: therefore a pipe must be three quarters empty. (Two writes next to each other
 * that do not share a page fill more than one, so a quarter of the bytes takes about half of the
 * pages.)
 */
static bool has_room(void)
{
    struct pollfd poll_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    int waiting = 0;
    int capacity = fcntl(STDERR_FILENO, F_GETPIPE_SZ);
    bool is_writable = poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLOUT;
    bool is_pipe = capacity > 0 && ioctl(STDERR_FILENO, FIONREAD, &waiting) == 0;
    return is_writable && (!is_pipe || waiting <= capacity / 4);
}

size_t log_output_write(struct slice bytes)
{
    ssize_t written;
    do {
        if (output.kind == OUTPUT_SOCKET) {
            written = send(STDERR_FILENO, bytes.data, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else if (output.fd >= 0) {
            written = write(output.fd, bytes.data, bytes.length);
        } else if (output.kind == OUTPUT_PLAIN || has_room()) {
            written = write(STDERR_FILENO, bytes.data, bytes.length);
        } else {
            return 0;
        }
    } while (written < 0 && errno == EINTR);
    return written > 0 ? (size_t)written : 0;
}
