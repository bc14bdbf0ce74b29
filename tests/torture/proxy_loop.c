/*
 * Every connection is a pair of sockets with a pipe for each direction. Each iteration first ends
 * the pairs whose client has closed, then moves bytes. So a call that a client has given up is over
 * before the next one is forwarded.
 */
#include "proxy_loop.h"

#include "flow_process.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum { PIPE_BYTES = 32768, EVENTS_MAX = 128, TICK_MS = 10 };

/* In the body of a second answer of the simulator. */
#define STRAY "\"RequestId\":\"STRAY\""
/* After so long the bridge has seen it, also on a busy machine. */
enum { STRAY_MS = 300 };

struct pair;

struct end {
    struct pair *pair;
    int fd;
    bool is_readable;
    uint32_t watched; /* requested epoll events */
};

struct pipe {
    char data[PIPE_BYTES];
    size_t length;
    int64_t due_ms;     /* the time before which it is not forwarded */
    bool is_ended;      /* its source has closed */
    bool is_shut;       /* its target was shut down */
    bool is_discarding; /* a fault has shut its target down */
};

struct pair {
    struct pair *prev;
    struct pair *next;
    struct route *route;
    struct end client;
    struct end server;
    struct pipe up;    /* from client to server */
    struct pipe down;  /* from server to client */
    int64_t cut_after; /* bytes, -1 for none */
    bool is_answered;  /* API: the last bytes came from the server */
    int64_t stray_ms;  /* API: a second answer was passed on; 0 for none */
    bool is_dead;
    struct tap_stream *stream; /* or NULL */
};

struct route {
    int port;
    int target;
    int listener; /* -1 while no connection is accepted */
    bool is_api;
    bool is_held;
    int64_t stalled_until_ms;
    int64_t delayed_until_ms;
    int64_t throttled_until_ms;
    int64_t slowed_ms; /* when the last fault that delays bytes was seen */
    int64_t refused_until_ms;
    int delay_ms;
    size_t tick_bytes;
    int64_t tick; /* the interval of `up_bytes` and `down_bytes` */
    size_t up_bytes;
    size_t down_bytes;
    struct pair *pairs;
};

static struct route routes[ROUTE_COUNT];
static int epoll = -1;
static struct tap *the_tap;

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};
    int result = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    assert(result == 0);
}

/* --- listening --- */

/* If the port is in use for a moment, the next iteration tries again. */
static void open_listener(struct route *route)
{
    int on = 1;
    struct sockaddr_in address = loopback(route->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0) {
        close(fd);
        return;
    }
    route->listener = fd;
    watch(fd, EPOLLIN, route);
}

static void close_listener(struct route *route)
{
    if (route->listener >= 0) {
        close(route->listener);
        route->listener = -1;
    }
}

static void set_listener(struct route *route, int64_t now_ms)
{
    bool is_wanted = !route->is_held && route->refused_until_ms <= now_ms;
    if (is_wanted && route->listener < 0) {
        open_listener(route);
    } else if (!is_wanted) {
        close_listener(route);
    }
}

/* --- pairs --- */

/* Resets both ends of the connection. */
static void cut(struct pair *pair)
{
    const struct linger at_once = {.l_onoff = 1};
    if (!pair->is_dead) {
        pair->is_dead = true;
        setsockopt(pair->client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        setsockopt(pair->server.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(pair->client.fd);
        close(pair->server.fd);
    }
}

static void close_in_order(struct pair *pair)
{
    pair->is_dead = true;
    close(pair->client.fd);
    close(pair->server.fd);
}

static void sweep(void)
{
    for (int i = 0; i < ROUTE_COUNT; i++) {
        struct pair *pair = NULL;
        struct pair *next = NULL;
        DL_FOREACH_SAFE (routes[i].pairs, pair, next) {
            if (pair->is_dead) {
                DL_DELETE(routes[i].pairs, pair);
                tap_stream_free(pair->stream);
                free(pair);
            }
        }
    }
}

static void set_fast(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void begin_pair(struct route *route, int client)
{
    struct sockaddr_in address = loopback(route->target);
    struct pair *pair = calloc(1, sizeof *pair);
    assert(pair != NULL);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *pair = (struct pair){.route = route,
                          .client = {.pair = pair, .fd = client},
                          .server = {.pair = pair, .fd = server},
                          .cut_after = -1};
    set_fast(client);
    set_fast(server);
    DL_APPEND(route->pairs, pair);
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        cut(pair);
        return;
    }
    watch(client, 0, &pair->client);
    watch(server, 0, &pair->server);
    if (route == &routes[ROUTE_BRIDGE]) {
        pair->stream = tap_stream_new(the_tap);
    }
}

static void let_in(struct route *route)
{
    int fd = -1;
    while (route->listener >= 0 &&
           (fd = accept4(route->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        begin_pair(route, fd);
    }
}

/* --- moving bytes --- */

static bool is_blocked(const struct route *route, int64_t now_ms)
{
    return route->is_held || route->stalled_until_ms > now_ms;
}

/* --- second answers of the API --- */

/*
 * HTTP/1.1 cannot tell a second answer from the answer to a request that is already on its way. So
 * a second answer is passed on only to an idle connection, and no request is passed on behind it:
 * in both cases the connection is cut. A bridge that still uses the connection later has not
 * looked.
 */
static void see_answer(struct pair *pair, const struct pipe *pipe)
{
    bool is_stray = memmem(pipe->data, pipe->length, STRAY, sizeof STRAY - 1) != NULL;
    if (is_stray && !pair->is_answered) {
        cut(pair);
    }
    pair->is_answered = true;
    if (is_stray && !pair->is_dead) {
        pair->stray_ms = flow_now_ms();
        the_tap->strays.passed++;
    }
}

static void see_request(struct pair *pair, int64_t now_ms)
{
    pair->is_answered = false;
    if (pair->stray_ms != 0) {
        bool is_late = now_ms - pair->stray_ms > STRAY_MS;
        the_tap->strays.reused += is_late && pair->route->slowed_ms < pair->stray_ms;
        cut(pair);
    }
}

static void fill(struct pair *pair, struct pipe *pipe, struct end *from, int64_t now_ms)
{
    if (!from->is_readable || pipe->is_ended || pipe->length > 0) {
        return;
    }
    ssize_t got = recv(from->fd, pipe->data, sizeof pipe->data, 0);
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        cut(pair);
    } else if (got == 0) {
        pipe->is_ended = true;
    } else if (got > 0) {
        bool is_delayed = pair->route->delayed_until_ms > now_ms;
        pipe->length = (size_t)got;
        pipe->due_ms = is_delayed ? now_ms + pair->route->delay_ms : 0;
        if (pair->stream != NULL) {
            tap_feed(pair->stream, pipe == &pair->up, pipe->data, pipe->length, now_ms);
        } else if (pair->route->is_api && pipe == &pair->up) {
            see_request(pair, now_ms);
        } else if (pair->route->is_api) {
            see_answer(pair, pipe);
        }
    }
}

/* The number of bytes that may be forwarded now. */
static size_t allowance(struct pair *pair, const struct pipe *pipe, int64_t now_ms)
{
    struct route *route = pair->route;
    size_t allowed = pipe->length;
    if (route->throttled_until_ms > now_ms) {
        size_t *used = pipe == &pair->up ? &route->up_bytes : &route->down_bytes;
        size_t left = *used < route->tick_bytes ? route->tick_bytes - *used : 0;
        allowed = left < allowed ? left : allowed;
        *used += allowed;
    }
    if (pair->cut_after >= 0 && allowed > (size_t)pair->cut_after) {
        allowed = (size_t)pair->cut_after;
    }
    return allowed;
}

static void drain(struct pair *pair, struct pipe *pipe, const struct end *to, int64_t now_ms)
{
    if (pipe->length == 0 || pipe->due_ms > now_ms) {
        return;
    }
    if (pipe->is_discarding) {
        pipe->length = 0;
        return;
    }
    size_t allowed = allowance(pair, pipe, now_ms);
    ssize_t sent = allowed > 0 ? send(to->fd, pipe->data, allowed, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) {
        cut(pair);
    } else if (sent > 0) {
        pipe->length -= (size_t)sent;
        memmove(pipe->data, pipe->data + sent, pipe->length);
        if (pair->cut_after >= 0) {
            pair->cut_after -= sent;
        }
    }
    if (pair->cut_after == 0) {
        cut(pair);
    }
}

static void end_pipe(struct pipe *pipe, const struct end *to)
{
    if (pipe->is_ended && pipe->length == 0 && !pipe->is_shut) {
        pipe->is_shut = true;
        shutdown(to->fd, SHUT_WR);
    }
}

static void move_pair(struct pair *pair, int64_t now_ms)
{
    if (pair->is_dead || is_blocked(pair->route, now_ms)) {
        return;
    }
    fill(pair, &pair->up, &pair->client, now_ms);
    if (!pair->is_dead) {
        fill(pair, &pair->down, &pair->server, now_ms);
    }
    if (!pair->is_dead) {
        drain(pair, &pair->up, &pair->server, now_ms);
    }
    if (!pair->is_dead) {
        drain(pair, &pair->down, &pair->client, now_ms);
    }
    if (pair->is_dead) {
        return;
    }
    end_pipe(&pair->up, &pair->server);
    end_pipe(&pair->down, &pair->client);
    if (pair->up.is_ended && pair->down.is_ended && pair->up.length + pair->down.length == 0) {
        close_in_order(pair);
    }
}

/* --- requested epoll events --- */

static void ask(struct end *end, const struct pipe *from_it, const struct pipe *to_it,
                int64_t now_ms)
{
    const struct route *route = end->pair->route;
    bool is_still = is_blocked(route, now_ms);
    bool is_timed = route->throttled_until_ms > now_ms || to_it->due_ms > now_ms;
    uint32_t wanted = route->is_api && end == &end->pair->client ? EPOLLRDHUP : 0;
    if (!is_still && from_it->length == 0 && !from_it->is_ended) {
        wanted |= EPOLLIN;
    }
    if (!is_still && !is_timed && to_it->length > 0) {
        wanted |= EPOLLOUT;
    }
    if (wanted != end->watched) {
        struct epoll_event event = {.events = wanted, .data.ptr = end};
        epoll_ctl(epoll, EPOLL_CTL_MOD, end->fd, &event);
        end->watched = wanted;
    }
}

/* Moves the bytes of a route; returns whether it has work that only needs time. */
static bool turn_route(struct route *route, int64_t now_ms)
{
    struct pair *pair = NULL;
    if (route->tick != now_ms / TICK_MS) {
        route->tick = now_ms / TICK_MS;
        route->up_bytes = route->down_bytes = 0;
    }
    set_listener(route, now_ms);
    bool is_slow = route->stalled_until_ms > now_ms || route->throttled_until_ms > now_ms;
    bool has_timer = is_slow || (route->listener < 0 && !route->is_held);
    if (is_slow || route->delayed_until_ms > now_ms) {
        route->slowed_ms = now_ms;
    }
    DL_FOREACH (route->pairs, pair) {
        move_pair(pair, now_ms);
        if (!pair->is_dead) {
            has_timer |= pair->up.due_ms > now_ms || pair->down.due_ms > now_ms;
            ask(&pair->client, &pair->up, &pair->down, now_ms);
            ask(&pair->server, &pair->down, &pair->up, now_ms);
        }
        pair->client.is_readable = pair->server.is_readable = false;
    }
    return has_timer;
}

/* Returns how long epoll may wait. */
static int turn(int64_t now_ms)
{
    bool has_timer = false;
    for (int i = 0; i < ROUTE_COUNT; i++) {
        has_timer |= turn_route(&routes[i], now_ms);
    }
    sweep();
    return has_timer ? TICK_MS / 2 : -1;
}

/* --- commands of the driver --- */

static struct pair *pick_pair(const struct route *route, uint32_t pick)
{
    struct pair *pair = NULL;
    uint32_t count = 0;
    DL_COUNT(route->pairs, pair, count);
    if (count == 0) {
        return NULL;
    }
    pair = route->pairs;
    for (uint32_t i = pick % count; i > 0; i--) {
        pair = pair->next;
    }
    return pair;
}

static void half_close(struct pair *pair, bool is_client)
{
    struct pipe *pipe = is_client ? &pair->down : &pair->up;
    pipe->is_shut = true;
    pipe->is_discarding = true;
    shutdown(is_client ? pair->client.fd : pair->server.fd, SHUT_WR);
}

static int for_one(const struct proxy_order *order)
{
    struct pair *pair = pick_pair(&routes[order->route], order->pick / 2);
    if (pair == NULL) {
        return 0;
    }
    if (order->verb == PROXY_CUT) {
        cut(pair);
    } else {
        half_close(pair, order->pick % 2 == 0);
    }
    return 1;
}

static int for_all(const struct proxy_order *order)
{
    int count = 0;
    struct pair *pair = NULL;
    DL_FOREACH (routes[order->route].pairs, pair) {
        count++;
        if (order->verb == PROXY_CUT_AFTER) {
            pair->cut_after = order->amount;
        } else {
            cut(pair);
        }
    }
    return count;
}

static int for_route(const struct proxy_order *order, int64_t now_ms)
{
    struct route *route = &routes[order->route];
    struct pair *pair = NULL;
    int count = 0;
    DL_COUNT(route->pairs, pair, count);
    switch (order->verb) {
    case PROXY_STALL:
        route->stalled_until_ms = now_ms + order->ms;
        break;
    case PROXY_DELAY:
        route->delayed_until_ms = now_ms + order->ms;
        route->delay_ms = order->amount;
        break;
    case PROXY_THROTTLE:
        route->throttled_until_ms = now_ms + order->ms;
        route->tick_bytes = (size_t)order->amount;
        break;
    case PROXY_REFUSE:
        route->refused_until_ms = now_ms + order->ms;
        break;
    case PROXY_HOLD:
    case PROXY_RELEASE:
        route->is_held = order->verb == PROXY_HOLD;
        break;
    default:
        route->stalled_until_ms = route->delayed_until_ms = 0;
        route->throttled_until_ms = route->refused_until_ms = 0;
        DL_FOREACH (route->pairs, pair) {
            pair->cut_after = -1;
        }
        break;
    }
    set_listener(route, now_ms);
    return count;
}

/* Executes a command; false after the driver has closed. */
static bool obey(int control)
{
    struct proxy_order order;
    int met = 0;
    if (recv(control, &order, sizeof order, 0) != (ssize_t)sizeof order) {
        return false;
    }
    switch (order.verb) {
    case PROXY_CUT:
    case PROXY_HALF_CLOSE:
        met = for_one(&order);
        break;
    case PROXY_CUT_ALL:
    case PROXY_CUT_AFTER:
    case PROXY_DROP:
        met = for_all(&order);
        break;
    default:
        met = for_route(&order, flow_now_ms());
        break;
    }
    sweep();
    return send(control, &met, sizeof met, MSG_NOSIGNAL) == (ssize_t)sizeof met;
}

/* --- the loop --- */

/* Handles epoll events: which ends may be read, and which pairs have ended. */
static void see_end(struct end *end, uint32_t events, int64_t now_ms)
{
    struct pair *pair = end->pair;
    bool is_api_client = pair->route->is_api && end == &pair->client;
    bool is_stuck = is_blocked(pair->route, now_ms) && (events & EPOLLHUP) != 0;
    if (pair->is_dead) {
        return;
    }
    const struct pipe *from_it = end == &pair->client ? &pair->up : &pair->down;
    if ((events & EPOLLERR) != 0 || is_stuck ||
        (is_api_client && (events & (EPOLLRDHUP | EPOLLHUP)) != 0)) {
        cut(pair);
    } else if ((events & EPOLLHUP) != 0 && from_it->is_ended && from_it->length == 0) {
        close_in_order(pair);
    }
    end->is_readable |= (events & (EPOLLIN | EPOLLHUP)) != 0;
}

static struct route *route_of(const void *what)
{
    for (int i = 0; i < ROUTE_COUNT; i++) {
        if (what == &routes[i]) {
            return &routes[i];
        }
    }
    return NULL;
}

static void see_events(const struct epoll_event *events, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL && route_of(events[i].data.ptr) == NULL) {
            see_end(events[i].data.ptr, events[i].events, now_ms);
        }
    }
    for (int i = 0; i < count; i++) {
        struct route *route = route_of(events[i].data.ptr);
        if (route != NULL) {
            let_in(route);
        }
    }
}

static bool is_ordered(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL) {
            return true;
        }
    }
    return false;
}

void proxy_loop(int control, const int ports[ROUTE_COUNT], const int targets[ROUTE_COUNT],
                struct tap *tap)
{
    struct epoll_event events[EVENTS_MAX];
    int timeout_ms = 0;
    bool is_on = true;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    the_tap = tap;
    watch(control, EPOLLIN, NULL);
    for (int i = 0; i < ROUTE_COUNT; i++) {
        routes[i] = (struct route){.port = ports[i],
                                   .target = targets[i],
                                   .listener = -1,
                                   .is_api = i == ROUTE_API,
                                   .is_held = targets[i] == 0};
    }
    while (is_on) {
        timeout_ms = turn(flow_now_ms());
        int count = epoll_wait(epoll, events, EVENTS_MAX, timeout_ms);
        see_events(events, count, flow_now_ms());
        if (is_ordered(events, count)) {
            is_on = obey(control);
        }
    }
}
