#include "connection_read_ahead.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AHEAD_BYTES 4096

static struct {
    _Atomic int fd; /* -1: none */
    size_t taken;
    size_t length;
    bool is_exhausted;
    char bytes[AHEAD_BYTES];
} ahead = {.fd = -1};

void read_ahead_begin(int fd)
{
    ahead.taken = 0;
    ahead.length = 0;
    ahead.is_exhausted = false;
    ahead.fd = fd;
}

bool read_ahead_is_on(int fd)
{
    return fd >= 0 && fd == ahead.fd;
}

bool read_ahead_has_bytes(void)
{
    return ahead.taken < ahead.length;
}

ssize_t read_ahead_recv(void *bytes, size_t length)
{
    if (!read_ahead_has_bytes()) {
        bool is_large = length == 0 || length >= sizeof ahead.bytes;
        ssize_t got = syscall(SYS_recvfrom, ahead.fd, is_large ? bytes : ahead.bytes,
                              is_large ? length : sizeof ahead.bytes, 0, NULL, NULL);
        if (is_large || got <= 0) {
            return got;
        }
        ahead.taken = 0;
        ahead.length = (size_t)got;
    }
    if (bytes == NULL) { /* Paho has not checked its malloc(); the kernel answers this, too */
        errno = EFAULT;
        return -1;
    }
    size_t there = ahead.length - ahead.taken;
    size_t count = length < there ? length : there;
    memcpy(bytes, ahead.bytes + ahead.taken, count);
    ahead.taken += count;
    return (ssize_t)count;
}

void read_ahead_note(bool has_read)
{
    ahead.is_exhausted = !has_read;
}

bool read_ahead_is_exhausted(void)
{
    return ahead.is_exhausted;
}
