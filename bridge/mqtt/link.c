#include "link.h"

#include "base/secret.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES     16384
#define OUT_BYTES_KEPT 16384 /* an empty buffer larger than this is freed */

static void update_watch(struct frame_link *link)
{
    if (link->is_broken) {
        loop_watch_set(link->watch, 0);
    } else {
        loop_watch_set(link->watch, link->out.length > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    }
}

void frame_link_open(struct frame_link *link, struct loop *loop, int fd, uint32_t frame_bytes_max,
                     loop_ready_fn *ready, void *arg)
{
    *link = (struct frame_link){.fd = fd, .in = {.frame_bytes_max = frame_bytes_max}};
    link->watch = loop_watch_new(loop, fd, ready, arg);
    update_watch(link);
}

void frame_link_close(struct frame_link *link)
{
    if (link->fd >= 0) {
        loop_watch_free(link->watch);
        close(link->fd);
    }
    buf_fini(&link->in.bytes);
    buf_fini(&link->out);
    *link = (struct frame_link)FRAME_LINK_CLOSED;
}

bool frame_link_is_open(const struct frame_link *link)
{
    return link->fd >= 0;
}

void frame_link_flush(struct frame_link *link)
{
    if (!frame_link_is_open(link)) {
        return;
    }
    size_t done = 0;
    bool has_failed = false; /* no write can succeed any more, but there may be frames to read */
    while (done < link->out.length) {
        ssize_t sent = send(link->fd, link->out.data + done, link->out.length - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            has_failed = errno != EAGAIN;
            break;
        }
        done += sent > 0 ? (size_t)sent : 0;
    }
    buf_consume(&link->out, done);
    if (has_failed || (link->out.length == 0 && link->out.capacity > OUT_BYTES_KEPT)) {
        secret_wipe(link->out.data, link->out.capacity); /* may have held the broker password */
        buf_fini(&link->out);
    }
    update_watch(link);
}

enum status frame_link_read(struct frame_link *link)
{
    if (!frame_link_is_open(link) || link->is_broken) {
        return STATUS_CLOSED;
    }
    char *room = buf_reserve(&link->in.bytes, READ_BYTES);
    ssize_t got = recv(link->fd, room, READ_BYTES, MSG_DONTWAIT);
    if (got > 0) {
        link->in.bytes.length += (size_t)got;
        return STATUS_OK;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return STATUS_NOT_FOUND;
    }
    link->is_broken = true;
    update_watch(link);
    return STATUS_CLOSED;
}
