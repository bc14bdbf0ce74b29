#include "flow_broker.h"

#include "flow_check.h"
#include "flow_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Below the range of ephemeral ports. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12000, PORT_TRIES = 400 };

static bool is_free(int port)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool is_bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_bound;
}

/* A socket name in the abstract namespace: the kernel removes it when the process ends. */
static int take_guard(int port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ecs-mqtt-bridge-flow-%d", port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int port_reserve(int *out_guard)
{
    unsigned int start = (unsigned int)getpid() * 7919u;
    for (unsigned int i = 0; i < PORT_TRIES; i++) {
        int port = PORT_FIRST + (int)((start + i * 13u) % PORT_COUNT);
        int guard = take_guard(port);
        if (guard >= 0 && is_free(port)) {
            *out_guard = guard;
            return port;
        }
        if (guard >= 0) {
            close(guard);
        }
    }
    flow_fail("no free port");
}

void broker_init(struct broker *broker, const char *directory, const char *extra)
{
    char path[160];
    char text[4096];
    *broker = (struct broker){.guard = -1};
    broker->port = port_reserve(&broker->guard);
    snprintf(broker->directory, sizeof broker->directory, "%s", directory);
    snprintf(broker->log, sizeof broker->log, "%s/broker.log", directory);
    snprintf(path, sizeof path, "%s/broker.conf", directory);
    snprintf(text, sizeof text,
             "listener %d 127.0.0.1\n"
             "allow_anonymous true\n"
             "set_tcp_nodelay true\n"
             "log_type all\n"
             "persistence_location %s/\n"
             "%s%s",
             broker->port, directory, geteuid() == 0 ? "user root\n" : "",
             extra == NULL ? "" : extra);
    file_write(path, text);
}

void broker_start(struct broker *broker)
{
    char path[160];
    snprintf(path, sizeof path, "%s/broker.conf", broker->directory);
    const char *const argv[] = {MOSQUITTO_BINARY, "-c", path, NULL};
    const struct process_spec spec = {.argv = argv, .output = broker->log};
    long offset = file_size(broker->log);
    broker->pid = process_start(&spec);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!file_contains(broker->log, offset, " running")) {
        if (flow_now_ms() > end_ms || process_wait(broker->pid, 0) >= 0) {
            char *log = file_read(broker->log);
            printf("%s\n", log);
            fflush(stdout);
            free(log);
            broker->pid = 0;
            flow_fail("the broker did not start");
        }
        flow_pause();
    }
}

static void end(struct broker *broker, int signal_number)
{
    pid_t pid = broker->pid;
    broker->pid = 0;
    if (pid > 0 && process_end(pid, signal_number, FLOW_TIMEOUT_MS) < 0) {
        flow_fail("the broker did not end");
    }
}

void broker_stop(struct broker *broker)
{
    end(broker, SIGTERM);
}

void broker_kill(struct broker *broker)
{
    end(broker, SIGKILL);
}

void broker_fini(struct broker *broker)
{
    if (broker->port != 0) {
        end(broker, SIGKILL);
        close(broker->guard);
    }
    *broker = (struct broker){0};
}

void broker_wait_log(const struct broker *broker, const char *text)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!file_contains(broker->log, 0, text)) {
        if (flow_now_ms() > end_ms) {
            flow_fail("the broker's log does not contain: %s", text);
        }
        flow_pause();
    }
}
