#include "systemd.h"

#include "base/mem.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct supervisor {
    struct sockaddr_un address;
    socklen_t address_bytes;
    int fd; /* -1: nobody to talk to */
    struct loop_timer *watchdog;
    int64_t interval_ms; /* 0: no watchdog */
};

void supervisor_say(const struct supervisor *supervisor, const char *lines)
{
    if (supervisor->fd < 0) {
        return;
    }
    ssize_t sent = sendto(supervisor->fd, lines, strlen(lines), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&supervisor->address, supervisor->address_bytes);
    (void)sent; /* it is for information */
}

static void watchdog_due(void *arg)
{
    struct supervisor *supervisor = arg;
    supervisor_say(supervisor, "WATCHDOG=1");
    loop_timer_start(supervisor->watchdog, supervisor->interval_ms);
}

/* '@' at the front stands for the NUL of a name without a file. */
static void open_socket(struct supervisor *supervisor, const char *name)
{
    size_t length = name == NULL ? 0 : strlen(name);
    supervisor->fd = -1;
    if (length < 2 || length >= sizeof supervisor->address.sun_path ||
        (name[0] != '/' && name[0] != '@')) {
        return;
    }
    supervisor->address.sun_family = AF_UNIX;
    memcpy(supervisor->address.sun_path, name, length);
    if (name[0] == '@') {
        supervisor->address.sun_path[0] = '\0';
    }
    supervisor->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    supervisor->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

struct supervisor *supervisor_new(struct loop *loop)
{
    struct supervisor *supervisor = mem_zalloc(1, sizeof *supervisor);
    const char *interval_us = getenv("WATCHDOG_USEC");
    open_socket(supervisor, getenv("NOTIFY_SOCKET"));
    supervisor->watchdog = loop_timer_new(loop, watchdog_due, supervisor);
    if (supervisor->fd >= 0 && interval_us != NULL) {
        /* Half of what it allows, as sd_watchdog_enabled(3) advises. */
        supervisor->interval_ms = strtoll(interval_us, NULL, 10) / 2000;
    }
    if (supervisor->interval_ms > 0) {
        loop_timer_start(supervisor->watchdog, supervisor->interval_ms);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (supervisor != NULL) {
        loop_timer_free(supervisor->watchdog);
        if (supervisor->fd >= 0) {
            close(supervisor->fd);
        }
        free(supervisor);
    }
}
