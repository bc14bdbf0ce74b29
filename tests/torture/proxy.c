/* The driver's side: fork and commands. */
#include "proxy.h"

#include "flow_broker.h"
#include "flow_check.h"
#include "flow_process.h"
#include "proxy_loop.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

void proxy_start(struct proxy *proxy, const int targets[ROUTE_COUNT], struct tap *tap)
{
    int ends[2];
    pid_t parent = getpid();
    for (int i = 0; i < ROUTE_COUNT; i++) {
        proxy->ports[i] = port_reserve(&proxy->guards[i]);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        flow_fail("no socket pair for the proxy");
    }
    proxy->pid = fork();
    if (proxy->pid < 0) {
        flow_fail("cannot fork the proxy");
    }
    if (proxy->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "torture-proxy");
        close(ends[0]);
        if (getppid() == parent) {
            proxy_loop(ends[1], proxy->ports, targets, tap);
        }
        _exit(0);
    }
    close(ends[1]);
    proxy->control = ends[0];
}

int proxy_execute(struct proxy *proxy, const struct proxy_order *order)
{
    int met = 0;
    if (send(proxy->control, order, sizeof *order, MSG_NOSIGNAL) != (ssize_t)sizeof *order ||
        recv(proxy->control, &met, sizeof met, 0) != (ssize_t)sizeof met) {
        flow_fail("the proxy is gone");
    }
    return met;
}

void proxy_execute_all(struct proxy *proxy, enum proxy_verb verb)
{
    for (int route = 0; route < ROUTE_COUNT; route++) {
        proxy_execute(proxy, &(struct proxy_order){.verb = verb, .route = (enum proxy_route)route});
    }
}

void proxy_stop(struct proxy *proxy)
{
    if (proxy->pid > 0) {
        process_end(proxy->pid, SIGKILL, FLOW_TIMEOUT_MS);
        close(proxy->control);
        for (int i = 0; i < ROUTE_COUNT; i++) {
            close(proxy->guards[i]);
        }
    }
    *proxy = (struct proxy){0};
}
