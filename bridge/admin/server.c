#include "admin/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "host.h"
#include "pages.h"

#include <microhttpd.h>

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

/* With one more, the oldest is closed: clients that connect and send nothing, or one byte now and
 * then, keep no probe waiting. */
#define ADMIN_CONNECTIONS_MAX    32
#define ADMIN_CLOSING_MAX        32 /* more, until libmicrohttpd has closed them */
#define ADMIN_TIMEOUT_S          10
#define ADMIN_ADDRESSES_MAX      8 /* of a name; more are left out */
#define ADMIN_THREAD_STACK_BYTES (256u * 1024u)

struct client {
    struct client *prev;
    struct client *next;
    int fd;
};

/* One of the addresses, with a thread of its own. */
struct listener {
    struct MHD_Daemon *daemon;
    struct client *clients; /* the oldest first; of libmicrohttpd's thread */
    size_t client_count;
};

struct admin {
    struct admin_options options;
    struct listener listeners[ADMIN_ADDRESSES_MAX];
    size_t listener_count;
};

static void connection_changed(void *cls, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct listener *listener = cls;
    struct client *client = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        client = mem_zalloc(1, sizeof *client);
        client->fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *socket_context = client;
        DL_APPEND(listener->clients, client);
        if (++listener->client_count > ADMIN_CONNECTIONS_MAX) {
            client = listener->clients;
            shutdown(client->fd, SHUT_RDWR); /* it is reported as closed, here or later */
            DL_DELETE(listener->clients, client);
            DL_APPEND(listener->clients, client);
        }
    } else if (client != NULL) {
        DL_DELETE(listener->clients, client);
        listener->client_count--;
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
    /* Probes and scrapers may use any name of the machine; what they get is of no use to others. */
    bool checks_host;
} PAGES[] = {
    {"/livez", "text/plain; charset=utf-8", render_livez, false},
    {"/readyz", "text/plain; charset=utf-8", admin_page_readyz, false},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", admin_page_metrics, false},
    {"/status", "application/json", admin_page_status, true},
};

/* Of every answer: nothing is kept, guessed, framed or read by another origin. */
static const struct {
    const char *name;
    const char *value;
} HEADERS[] = {
    {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
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
    for (size_t i = 0; i < sizeof HEADERS / sizeof HEADERS[0]; i++) {
        MHD_add_response_header(response, HEADERS[i].name, HEADERS[i].value);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static bool has_allowed_host(const struct admin *admin, struct MHD_Connection *connection)
{
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    return host_is_allowed(slice_text(host), slice_text(admin->options.listen));
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
        if (strcmp(url, PAGES[i].path) == 0 && PAGES[i].checks_host &&
            !has_allowed_host(admin, connection)) {
            buf_append_text(&body, "use an IP address, localhost or the name in admin.listen\n");
            return answer(connection, MHD_HTTP_MISDIRECTED_REQUEST, PAGES[0].content_type, &body);
        }
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

static void set_port(struct sockaddr *address, int port)
{
    if (address->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
    }
}

/* False if it cannot listen there. */
static bool listen_on(struct admin *admin, const struct addrinfo *address)
{
    struct listener *listener = &admin->listeners[admin->listener_count];
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL |
                     (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    if (admin->listener_count > 0) {
        set_port(address->ai_addr, admin_port(admin)); /* port 0: the one that the first has got */
    }
    listener->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, admin, MHD_OPTION_SOCK_ADDR, address->ai_addr,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(ADMIN_CONNECTIONS_MAX + ADMIN_CLOSING_MAX),
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, listener, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ADMIN_TIMEOUT_S, MHD_OPTION_THREAD_STACK_SIZE, (size_t)ADMIN_THREAD_STACK_BYTES,
        MHD_OPTION_END);
    admin->listener_count += listener->daemon != NULL;
    return listener->daemon != NULL;
}

static void report_left_out(const struct addrinfo *address, const char *listen)
{
    char text[NI_MAXHOST] = "";
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof text, NULL, 0,
                      NI_NUMERICHOST);
    LOG_WARN("admin_address_left_out", LOG_TEXT("listen", listen), LOG_TEXT("ip", text));
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
    for (const struct addrinfo *at = address;
         at != NULL && admin->listener_count < ADMIN_ADDRESSES_MAX; at = at->ai_next) {
        if (!listen_on(admin, at) && (at != address || at->ai_next != NULL)) {
            report_left_out(at, options->listen);
        }
    }
    freeaddrinfo(address);
    if (admin->listener_count == 0) {
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
        MHD_get_daemon_info(admin->listeners[0].daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}

void admin_free(struct admin *admin)
{
    if (admin != NULL) {
        for (size_t i = 0; i < admin->listener_count; i++) {
            MHD_stop_daemon(admin->listeners[i].daemon);
        }
        free(admin);
    }
}

const char *admin_library_version(void)
{
    return MHD_get_version();
}
