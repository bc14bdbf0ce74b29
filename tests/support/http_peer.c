#include "support/http_peer.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512

struct connection {
    struct peer *peer;
    pthread_t thread;
    int fd;
    size_t index;
};

struct peer {
    peer_serve_fn *serve;
    void *arg;
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection connections[CONNECTIONS_MAX];
    size_t connection_count;
    size_t request_count;
    struct buf last_request;
    struct buf answer;
    bool is_ending;
};

static void *connection_run(void *arg)
{
    struct connection *connection = arg;
    struct peer *peer = connection->peer;
    peer->serve(peer, connection->fd, connection->index, peer->arg);
    shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

/* Blocks signals, so that the test's thread gets them: ThreadSanitizer may delay one that comes
 * here for ever. */
static void thread_begin(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(result == 0);
}

static void connection_begin(struct peer *peer, int fd)
{
    pthread_mutex_lock(&peer->lock);
    assert(peer->connection_count < CONNECTIONS_MAX);
    struct connection *connection = &peer->connections[peer->connection_count];
    connection->peer = peer;
    connection->fd = fd;
    connection->index = peer->connection_count++;
    thread_begin(&connection->thread, connection_run, connection);
    pthread_mutex_unlock(&peer->lock);
}

static void *peer_run(void *arg)
{
    struct peer *peer = arg;
    int fd;
    while ((fd = accept(peer->listener, NULL, NULL)) >= 0) {
        connection_begin(peer, fd);
    }
    return NULL;
}

struct peer *peer_new(peer_serve_fn *serve, void *arg)
{
    struct peer *peer = mem_zalloc(1, sizeof *peer);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    peer->serve = serve;
    peer->arg = arg;
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = bind(peer->listener, (struct sockaddr *)&address, length);
    assert(result == 0);
    result = listen(peer->listener, CONNECTIONS_MAX);
    assert(result == 0);
    result = getsockname(peer->listener, (struct sockaddr *)&address, &length);
    assert(result == 0);
    peer->port = ntohs(address.sin_port);
    pthread_mutex_init(&peer->lock, NULL);
    pthread_cond_init(&peer->changed, NULL);
    thread_begin(&peer->thread, peer_run, peer);
    return peer;
}

void peer_free(struct peer *peer)
{
    if (peer == NULL) {
        return;
    }
    shutdown(peer->listener, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->listener);
    pthread_mutex_lock(&peer->lock);
    peer->is_ending = true;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
    for (size_t i = 0; i < peer->connection_count; i++) {
        shutdown(peer->connections[i].fd, SHUT_RDWR);
        pthread_join(peer->connections[i].thread, NULL);
        close(peer->connections[i].fd);
    }
    pthread_cond_destroy(&peer->changed);
    pthread_mutex_destroy(&peer->lock);
    buf_fini(&peer->last_request);
    buf_fini(&peer->answer);
    free(peer);
}

int peer_port(const struct peer *peer)
{
    return peer->port;
}

size_t peer_connections(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    size_t count = peer->connection_count;
    pthread_mutex_unlock(&peer->lock);
    return count;
}

size_t peer_requests(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    size_t count = peer->request_count;
    pthread_mutex_unlock(&peer->lock);
    return count;
}

static size_t body_bytes(const char *head)
{
    const char *line = strcasestr(head, "\r\ncontent-length:");
    return line == NULL ? 0 : strtoul(line + strlen("\r\ncontent-length:"), NULL, 10);
}

/* One byte at a time, so that no byte of the next request is read. */
static bool read_one(int fd, struct buf *out)
{
    char c;
    if (read(fd, &c, 1) != 1) {
        return false;
    }
    buf_append_char(out, c);
    return true;
}

static bool read_request(int fd, struct buf *out)
{
    while (strstr(buf_slice(out).data, "\r\n\r\n") == NULL) {
        if (!read_one(fd, out)) {
            return false;
        }
    }
    for (size_t left = body_bytes(buf_slice(out).data); left > 0; left--) {
        if (!read_one(fd, out)) {
            return false;
        }
    }
    return true;
}

bool peer_read(struct peer *peer, int fd)
{
    struct buf text = {0};
    bool is_whole = read_request(fd, &text);
    pthread_mutex_lock(&peer->lock);
    if (is_whole) {
        peer->request_count++;
        buf_clear(&peer->last_request);
        buf_append(&peer->last_request, buf_slice(&text));
        pthread_cond_broadcast(&peer->changed);
    }
    pthread_mutex_unlock(&peer->lock);
    buf_fini(&text);
    return is_whole;
}

void peer_last_request(struct peer *peer, struct buf *out)
{
    buf_clear(out);
    pthread_mutex_lock(&peer->lock);
    buf_append(out, buf_slice(&peer->last_request));
    pthread_mutex_unlock(&peer->lock);
}

void peer_set_answer(struct peer *peer, const char *text)
{
    pthread_mutex_lock(&peer->lock);
    buf_clear(&peer->answer);
    buf_append_text(&peer->answer, text);
    pthread_mutex_unlock(&peer->lock);
}

void peer_answer(struct peer *peer, int fd)
{
    pthread_mutex_lock(&peer->lock);
    char *text = mem_strdup(buf_slice(&peer->answer).data);
    pthread_mutex_unlock(&peer->lock);
    peer_write(fd, text);
    free(text);
}

void peer_write(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t count = send(fd, text, left, MSG_NOSIGNAL);
        if (count < 0) {
            return;
        }
        text += count;
        left -= (size_t)count;
    }
}

void peer_wait_requests(struct peer *peer, size_t count)
{
    pthread_mutex_lock(&peer->lock);
    while (peer->request_count < count && !peer->is_ending) {
        pthread_cond_wait(&peer->changed, &peer->lock);
    }
    pthread_mutex_unlock(&peer->lock);
}

bool peer_wait_ms(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, ms) == 0;
}

void peer_reset(int fd)
{
    /* connect() to AF_UNSPEC resets the connection; the descriptor stays open. */
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(fd, &none, sizeof none);
}
