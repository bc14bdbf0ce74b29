/*
 * A client is in one of two conditions: its next request is read, or its answer is owed or being
 * written. Nothing more is read from it meanwhile, so it can make the bridge keep no more than one
 * request and one answer.
 */
#include "control.h"

#include "base/log.h"
#include "base/mem.h"
#include "settings/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#define READ_BYTES 4096
#define BACKLOG    16

struct client {
    struct client *prev;
    struct client *next;
    struct control *control;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *stall;
    struct buf in;
    struct buf out;
    uint64_t serial;   /* of the request that is to be answered */
    bool owes_answer;  /* the bridge does */
    bool is_last_line; /* nothing is read any more: closed behind the answer */
};

struct control {
    struct loop *loop;
    char *path;
    ino_t inode; /* of the file that is ours */
    int fd;
    struct loop_watch *watch;
    control_requested_fn *requested;
    void *arg;
    struct client *clients; /* the longest without progress first */
    size_t client_count;
    uint64_t serials;
};

/* ---- Clients ---- */

static void client_free(struct client *client)
{
    struct control *control = client->control;
    DL_DELETE(control->clients, client);
    control->client_count--;
    loop_watch_free(client->watch);
    loop_timer_free(client->stall);
    close(client->fd);
    buf_fini(&client->in);
    buf_fini(&client->out);
    free(client);
}

static void stalled(void *arg)
{
    client_free(arg);
}

/* The client has made progress: it moves to the end of the list, and its time limit starts again.
 */
static void went_on(struct client *client)
{
    struct control *control = client->control;
    DL_DELETE(control->clients, client);
    DL_APPEND(control->clients, client);
    loop_timer_start(client->stall, CONTROL_STALL_MS);
}

static void take_request(struct client *client);

/* Writes what the socket takes. The client is freed on an error and behind its last answer. */
static void write_answer(struct client *client)
{
    size_t done = 0;
    while (done < client->out.length) {
        ssize_t sent = send(client->fd, client->out.data + done, client->out.length - done,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            break;
        }
        if (sent < 0 && errno != EINTR) {
            client_free(client);
            return;
        }
        done += sent > 0 ? (size_t)sent : 0;
    }
    if (done > 0) {
        went_on(client);
    }
    buf_consume(&client->out, done);
    if (client->out.length > 0) {
        loop_watch_set(client->watch, LOOP_WRITE);
    } else if (client->is_last_line) {
        client_free(client);
    } else {
        buf_fini(&client->out);
        loop_watch_set(client->watch, LOOP_READ);
        take_request(client);
    }
}

static void refuse(struct client *client, const struct buf *why)
{
    control_answer_put(false, buf_slice(why), &client->out);
    write_answer(client);
}

/* Takes the first line that was read, if it is whole. May free the client. */
static void take_request(struct client *client)
{
    struct control *control = client->control;
    const char *end =
        client->in.length == 0 ? NULL : memchr(client->in.data, '\n', client->in.length);
    struct control_request request;
    struct buf why = {0};
    if (end == NULL && client->in.length >= CONTROL_REQUEST_BYTES_MAX) {
        buf_printf(&why, "the request is longer than %d bytes", CONTROL_REQUEST_BYTES_MAX);
        client->is_last_line = true;
        refuse(client, &why);
    } else if (end != NULL) {
        size_t length = (size_t)(end - client->in.data);
        enum status status =
            control_request_read(slice_of(client->in.data, length), &request, &why);
        buf_consume(&client->in, length + 1);
        if (status == STATUS_OK) {
            client->serial = ++control->serials;
            client->owes_answer = true;
            loop_watch_set(client->watch, 0);
            loop_timer_stop(client->stall);
            control->requested(control->arg, &request, (struct control_ticket){client->serial});
        } else {
            refuse(client, &why);
        }
    }
    buf_fini(&why);
}

static void read_request(struct client *client)
{
    ssize_t got = recv(client->fd, buf_reserve(&client->in, READ_BYTES), READ_BYTES, MSG_DONTWAIT);
    if (got > 0) {
        client->in.length += (size_t)got;
        client->in.data[client->in.length] = '\0';
        take_request(client);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        client_free(client);
    }
}

static void client_ready(void *arg, int events)
{
    struct client *client = arg;
    if ((events & LOOP_WRITE) != 0) {
        write_answer(client);
    } else if ((events & LOOP_READ) != 0) {
        read_request(client);
    }
}

void control_answer(struct control *control, struct control_ticket ticket, bool is_done,
                    struct slice output)
{
    struct client *client = NULL;
    DL_FOREACH (control->clients, client) {
        if (client->owes_answer && client->serial == ticket.serial) {
            break;
        }
    }
    if (client == NULL) {
        return;
    }
    client->owes_answer = false;
    control_answer_put(is_done, output, &client->out);
    if (client->out.length > CONTROL_ANSWER_BYTES_MAX) {
        buf_clear(&client->out);
        control_answer_put(false, slice_text("the answer is too long"), &client->out);
    }
    went_on(client);
    /* From the loop: the caller may be in the middle of this client's request. */
    loop_watch_set(client->watch, LOOP_WRITE);
}

/* ---- Connections ---- */

/* Root, or the user that the bridge runs as. */
static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
        return false;
    }
    bool is_allowed = peer.uid == 0 || peer.uid == geteuid();
    if (!is_allowed) {
        LOG_WARN("control_refused", LOG_INT("uid", peer.uid), LOG_INT("pid", peer.pid));
    }
    return is_allowed;
}

static void accept_client(void *arg, int events)
{
    struct control *control = arg;
    (void)events;
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    if (!is_allowed(fd)) {
        close(fd);
        return;
    }
    if (control->client_count == CONTROL_CLIENTS_MAX) {
        client_free(control->clients);
    }
    struct client *client = mem_zalloc(1, sizeof *client);
    client->control = control;
    client->fd = fd;
    client->watch = loop_watch_new(control->loop, fd, client_ready, client);
    client->stall = loop_timer_new(control->loop, stalled, client);
    DL_APPEND(control->clients, client);
    control->client_count++;
    loop_timer_start(client->stall, CONTROL_STALL_MS);
    loop_watch_set(client->watch, LOOP_READ);
}

/* ---- The socket ---- */

/* Whether a program listens at the address, or may do so. */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_dead = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   (errno == ECONNREFUSED || errno == ENOENT);
    if (fd >= 0) {
        close(fd);
    }
    return !is_dead;
}

/* Removes the socket of a dead bridge. STATUS_BUSY: what is there is not that. */
static enum status clear_place(const struct sockaddr_un *address, struct buf *out_why)
{
    struct stat file;
    const char *path = address->sun_path;
    if (lstat(path, &file) != 0) {
        return STATUS_OK; /* nothing is there; for other errors bind() has the better reason */
    }
    if (!S_ISSOCK(file.st_mode)) {
        buf_printf(out_why,
                   "%s is there and is not a socket: remove it, or name another path in "
                   "control.socket",
                   path);
        return STATUS_BUSY;
    }
    if (is_alive(address)) {
        buf_printf(out_why,
                   "another program listens on %s: name another path in control.socket, or none",
                   path);
        return STATUS_BUSY;
    }
    unlink(path);
    return STATUS_OK;
}

/* A listening socket whose file nobody else can open, at any time; -1 with errno. */
static int listen_at(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    umask(before);
    if (is_bound && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return -1;
}

enum status control_new(struct loop *loop, const char *path, control_requested_fn *requested,
                        void *arg, struct control **out_control, struct buf *out_why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _Static_assert(sizeof address.sun_path == SETTINGS_SOCKET_BYTES_MAX + 1, "unix(7)");
    struct stat file;
    size_t length = strlen(path);
    if (length > SETTINGS_SOCKET_BYTES_MAX) {
        buf_printf(out_why,
                   "the path of the control socket has %zu bytes, and a Unix socket can have %d: "
                   "name a shorter one in control.socket, or none",
                   length, SETTINGS_SOCKET_BYTES_MAX);
        return STATUS_LIMIT;
    }
    memcpy(address.sun_path, path, length);
    enum status status = clear_place(&address, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    int fd = listen_at(&address);
    if (fd < 0) {
        buf_printf(out_why, "cannot listen on %s: %s; name another path in control.socket, or none",
                   path, strerror(errno));
        return STATUS_UNAVAILABLE;
    }
    struct control *control = mem_zalloc(1, sizeof *control);
    control->loop = loop;
    control->path = mem_strdup(path);
    control->inode = stat(path, &file) == 0 ? file.st_ino : 0;
    control->fd = fd;
    control->requested = requested;
    control->arg = arg;
    control->watch = loop_watch_new(loop, fd, accept_client, control);
    loop_watch_set(control->watch, LOOP_READ);
    *out_control = control;
    return STATUS_OK;
}

void control_free(struct control *control)
{
    struct stat file;
    if (control == NULL) {
        return;
    }
    struct client *client;
    struct client *next;
    DL_FOREACH_SAFE (control->clients, client, next) {
        client_free(client);
    }
    loop_watch_free(control->watch);
    /* Another bridge may have put its own there meanwhile. */
    if (stat(control->path, &file) == 0 && file.st_ino == control->inode) {
        unlink(control->path);
    }
    close(control->fd);
    free(control->path);
    free(control);
}
