#include "systemd.h"

#include "base/mem.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct systemd {
    struct sockaddr_un address;
    socklen_t address_bytes;
    int fd; /* -1: no $NOTIFY_SOCKET */
    struct loop_timer *watchdog;
    int64_t interval_ms; /* 0: no watchdog */
};

void systemd_notify(const struct systemd *systemd, const char *lines)
{
    if (systemd->fd < 0) {
        return;
    }
    ssize_t sent = sendto(systemd->fd, lines, strlen(lines), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&systemd->address, systemd->address_bytes);
    (void)sent; /* for information only */
}

static void watchdog_due(void *arg)
{
    struct systemd *systemd = arg;
    systemd_notify(systemd, "WATCHDOG=1");
    loop_timer_start(systemd->watchdog, systemd->interval_ms);
}

/* A leading '@' means an abstract name: its first byte is NUL. */
static void open_socket(struct systemd *systemd, const char *name)
{
    size_t length = name == NULL ? 0 : strlen(name);
    systemd->fd = -1;
    if (length < 2 || length >= sizeof systemd->address.sun_path ||
        (name[0] != '/' && name[0] != '@')) {
        return;
    }
    systemd->address.sun_family = AF_UNIX;
    memcpy(systemd->address.sun_path, name, length);
    if (name[0] == '@') {
        systemd->address.sun_path[0] = '\0';
    }
    systemd->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    systemd->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

struct systemd *systemd_new(struct loop *loop)
{
    struct systemd *systemd = mem_zalloc(1, sizeof *systemd);
    const char *interval_us = getenv("WATCHDOG_USEC");
    open_socket(systemd, getenv("NOTIFY_SOCKET"));
    systemd->watchdog = loop_timer_new(loop, watchdog_due, systemd);
    if (systemd->fd >= 0 && interval_us != NULL) {
        /* Twice as often as required, as sd_watchdog_enabled(3) advises. */
        systemd->interval_ms = strtoll(interval_us, NULL, 10) / 2000;
    }
    if (systemd->interval_ms > 0) {
        loop_timer_start(systemd->watchdog, systemd->interval_ms);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    return systemd;
}

void systemd_free(struct systemd *systemd)
{
    if (systemd != NULL) {
        loop_timer_free(systemd->watchdog);
        if (systemd->fd >= 0) {
            close(systemd->fd);
        }
        free(systemd);
    }
}
