#include "admin/server.h"

#include "base/mem.h"
#include "pages.h"

#include <microhttpd.h>

#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

/* With one more, the oldest is closed: clients that connect and send nothing, or one byte now and
 * then, keep no probe waiting. */
#define ADMIN_CONNECTIONS_MAX    32
#define ADMIN_CLOSING_MAX        32 /* more, until libmicrohttpd has closed them */
#define ADMIN_TIMEOUT_S          10
#define ADMIN_THREAD_STACK_BYTES (256u * 1024u)

struct client {
    struct client *prev;
    struct client *next;
    int fd;
};

struct admin {
    struct MHD_Daemon *daemon;
    struct admin_options options;
    struct client *clients; /* the oldest first; of libmicrohttpd's thread */
    size_t client_count;
};

static void connection_changed(void *cls, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct admin *admin = cls;
    struct client *client = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        client = mem_zalloc(1, sizeof *client);
        client->fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *socket_context = client;
        DL_APPEND(admin->clients, client);
        if (++admin->client_count > ADMIN_CONNECTIONS_MAX) {
            client = admin->clients;
            shutdown(client->fd, SHUT_RDWR); /* it is reported as closed, here or later */
            DL_DELETE(admin->clients, client);
            DL_APPEND(admin->clients, client);
        }
    } else if (client != NULL) {
        DL_DELETE(admin->clients, client);
        admin->client_count--;
        free(client);
    }
}

static unsigned render_livez(const struct admin_options *options, struct buf *out)
{
    bool is_live = health_is_live(options->health);
    buf_append_text(out, is_live ? "ok\n" : "the event loop does not run\n");
    return is_live ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static const struct page {
    const char *path;
    const char *content_type;
    unsigned (*render)(const struct admin_options *options, struct buf *out);
} PAGES[] = {
    {"/livez", "text/plain; charset=utf-8", render_livez},
    {"/readyz", "text/plain; charset=utf-8", admin_page_readyz},
    {"/status", "application/json", admin_page_status},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", admin_page_metrics},
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
                              const char *content_type, struct buf *body)
{
    size_t length = body->length;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, buf_take(body), MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    struct admin *admin = cls;
    struct buf body = {0};
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    (void)request;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        buf_append_text(&body, "only GET and HEAD\n");
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, PAGES[0].content_type, &body);
    }
    for (size_t i = 0; i < sizeof PAGES / sizeof PAGES[0]; i++) {
        if (strcmp(url, PAGES[i].path) == 0) {
            unsigned status = PAGES[i].render(&admin->options, &body);
            return answer(connection, status, PAGES[i].content_type, &body);
        }
    }
    buf_append_text(&body, "the pages are /livez, /readyz, /status and /metrics\n");
    return answer(connection, MHD_HTTP_NOT_FOUND, PAGES[0].content_type, &body);
}

/* Splits "host:port" or "[host]:port" and resolves it. */
static enum status resolve(const char *listen, struct addrinfo **out_address, struct buf *out_why)
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL) {
        buf_printf(out_why, "admin.listen: \"%s\" is not host:port", listen);
        return STATUS_INVALID;
    }
    bool has_brackets = listen[0] == '[' && colon > listen && colon[-1] == ']';
    char *host = has_brackets ? mem_dup(listen + 1, (size_t)(colon - listen) - 2)
                              : mem_dup(listen, (size_t)(colon - listen));
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC, .ai_flags = AI_PASSIVE};
    int result = getaddrinfo(host, colon + 1, &hints, out_address);
    if (result != 0) {
        buf_printf(out_why, "admin.listen: \"%s\": %s", listen, gai_strerror(result));
    }
    free(host);
    return result == 0 ? STATUS_OK : STATUS_UNAVAILABLE;
}

enum status admin_new(const struct admin_options *options, struct admin **out_admin,
                      struct buf *out_why)
{
    struct addrinfo *address = NULL;
    enum status status = resolve(options->listen, &address, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    struct admin *admin = mem_zalloc(1, sizeof *admin);
    admin->options = *options;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL |
                     (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    admin->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, admin, MHD_OPTION_SOCK_ADDR, address->ai_addr,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(ADMIN_CONNECTIONS_MAX + ADMIN_CLOSING_MAX),
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, admin, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ADMIN_TIMEOUT_S, MHD_OPTION_THREAD_STACK_SIZE, (size_t)ADMIN_THREAD_STACK_BYTES,
        MHD_OPTION_END);
    freeaddrinfo(address);
    if (admin->daemon == NULL) {
        buf_printf(out_why,
                   "admin.listen: cannot listen on %s; free the address, choose another, or set "
                   "\"\" to switch the endpoint off",
                   options->listen);
        free(admin);
        return STATUS_UNAVAILABLE;
    }
    *out_admin = admin;
    return STATUS_OK;
}

int admin_port(const struct admin *admin)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}

void admin_free(struct admin *admin)
{
    if (admin != NULL) {
        MHD_stop_daemon(admin->daemon);
        free(admin);
    }
}

const char *admin_library_version(void)
{
    return MHD_get_version();
}
