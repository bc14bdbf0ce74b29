/* The simulator's main: options, socket, loop, end. */
#include "digest.h"
#include "options.h"
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { EVENT_LIMIT = 64, BACKLOG = 4096, FILE_LIMIT = 20000 };

static int fail(int code, const char *what)
{
    fprintf(stderr, "ecs-simulator: %s: %s\n", what, strerror(errno));
    return code;
}

static int open_socket(const struct options *options)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *address = NULL;
    if (getaddrinfo(options->host, options->port, &hints, &address) != 0) {
        return -1;
    }
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    freeaddrinfo(address);
    if (!is_ok && fd >= 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int socket_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char port[8] = "0";
    getsockname(fd, (struct sockaddr *)&address, &length);
    getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof port, NI_NUMERICSERV);
    return atoi(port);
}

/* Written under another name and renamed, so that a reader never sees half of it. */
static bool write_port_file(const char *path, int port)
{
    struct text temporary = {0};
    text_printf(&temporary, "%s.%ld", path, (long)getpid());
    FILE *file = fopen(text_string(&temporary), "we");
    bool is_ok = file && fprintf(file, "%d\n", port) > 0;
    is_ok = file && fclose(file) == 0 && is_ok;
    is_ok = is_ok && rename(text_string(&temporary), path) == 0;
    text_fini(&temporary);
    return is_ok;
}

static bool announce(const struct options *options, int port)
{
    if (options->port_file && !write_port_file(options->port_file, port)) {
        return false;
    }
    bool is_ipv6 = strchr(options->host, ':') != NULL;
    printf("ecs-simulator: listening on http://%s%s%s:%d\n", is_ipv6 ? "[" : "", options->host,
           is_ipv6 ? "]" : "", port);
    return fflush(stdout) == 0;
}

static int open_signals(int epoll)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    /* The data of this event is the address of a static; of a call's it is the call, of the
     * daemon's NULL. */
    static char signal_mark;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &signal_mark};
    return fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? fd : -1;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILE_LIMIT) {
        limit.rlim_cur = limit.rlim_max < FILE_LIMIT ? limit.rlim_max : FILE_LIMIT;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void run_loop(struct server *server, int epoll, int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) <= 0) {
        struct epoll_event events[EVENT_LIMIT];
        int count = epoll_wait(epoll, events, EVENT_LIMIT, server_wait_ms(server));
        for (int i = 0; i < count; i++) {
            /* Calls are freed in server_turn() only, so all these pointers still hold. */
            if (events[i].events & EPOLLRDHUP) {
                server_peer_event(events[i].data.ptr);
            }
        }
        server_turn(server);
    }
}

static int serve(struct sim *sim, int epoll, int signals)
{
    int listen_socket = open_socket(&sim->options);
    if (listen_socket < 0) {
        return fail(EX_UNAVAILABLE, "cannot listen");
    }
    int port = socket_port(listen_socket);
    struct server *server = server_new(sim, listen_socket, epoll);
    if (!server) {
        return fail(EX_SOFTWARE, "cannot start the HTTP server");
    }
    int code = EX_OK;
    if (announce(&sim->options, port)) {
        run_loop(server, epoll, signals);
    } else {
        code = fail(EX_CANTCREAT, "cannot write the port file");
    }
    server_free(server);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    int code = EX_OK;
    if (!options_read(&options, argc, argv, &code)) {
        return code;
    }
    raise_file_limit();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int signals = open_signals(epoll);
    if (epoll < 0 || signals < 0) {
        return fail(EX_OSERR, "cannot wait for events");
    }
    struct sim sim;
    digest_init();
    sim_init(&sim, &options);
    code = serve(&sim, epoll, signals);
    sim_fini(&sim);
    digest_fini();
    close(signals);
    close(epoll);
    return code;
}
