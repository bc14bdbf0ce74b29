#include "flow_manager.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct manager manager_new(struct fixture *fixture)
{
    struct manager manager = {.address = {.sun_family = AF_UNIX}};
    snprintf(manager.address.sun_path, sizeof manager.address.sun_path, "%s/%s", fixture->directory,
             fixture_name(fixture, "notify"));
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(manager.fd, (const struct sockaddr *)&manager.address, sizeof manager.address), 0);
    return manager;
}

void manager_expect(const struct manager *manager, const char *text)
{
    char message[512] = "";
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (strstr(message, text) == NULL) {
        struct pollfd entry = {.fd = manager->fd, .events = POLLIN};
        if (poll(&entry, 1, 100) == 1) {
            ssize_t got = recv(manager->fd, message, sizeof message - 1, 0);
            message[got > 0 ? got : 0] = '\0';
        }
        if (flow_now_ms() > end_ms) {
            flow_fail("the service manager did not get: %s", text);
        }
    }
}
