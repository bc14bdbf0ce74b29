#include "admin/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "host.h"
#include "pages.h"

#include <microhttpd.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
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
    struct loop_wake *wake; /* signalled after a new ask */
    pthread_mutex_t mutex;  /* for what follows */
    struct admin_ask *asks; /* those without an answer */
    size_t ask_count;
    bool is_closing;
    /* of the loop's thread */
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

/* ---- requests that the loop's thread answers ---- */

struct admin_ask {
    struct admin_ask *prev; /* among those without an answer */
    struct admin_ask *next;
    struct admin *admin;
    struct MHD_Connection *connection;
    void (*hook)(struct admin_ask *ask);
    char *token;    /* NULL: none is named */
    bool is_passed; /* to the loop's thread */
    unsigned status;
    struct buf body;
};

static void pass_commands(struct admin_ask *ask)
{
    const struct admin_hooks *hooks = &ask->admin->options.hooks;
    hooks->commands(hooks->arg, ask);
}

static void pass_command(struct admin_ask *ask)
{
    const struct admin_hooks *hooks = &ask->admin->options.hooks;
    hooks->command(hooks->arg, ask, slice_text(ask->token));
}

static void pass_watches(struct admin_ask *ask)
{
    const struct admin_hooks *hooks = &ask->admin->options.hooks;
    hooks->watches(hooks->arg, ask);
}

/* The connection is suspended until the answer. NULL: too many requests wait already. */
static struct admin_ask *ask_new(struct admin *admin, struct MHD_Connection *connection,
                                 void (*hook)(struct admin_ask *ask), const char *token)
{
    struct admin_ask *ask = NULL;
    pthread_mutex_lock(&admin->mutex);
    if (admin->ask_count < ADMIN_ASKS_MAX && !admin->is_closing) {
        ask = mem_zalloc(1, sizeof *ask);
        ask->admin = admin;
        ask->connection = connection;
        ask->hook = hook;
        ask->token = mem_strdup(token);
        DL_APPEND(admin->asks, ask);
        admin->ask_count++;
        MHD_suspend_connection(connection);
    }
    pthread_mutex_unlock(&admin->mutex);
    if (ask != NULL) {
        loop_wake_signal(admin->wake);
    }
    return ask;
}

void admin_answer(struct admin_ask *ask, unsigned http_status, struct buf *json_take)
{
    struct admin *admin = ask->admin;
    struct MHD_Connection *connection = ask->connection;
    pthread_mutex_lock(&admin->mutex);
    DL_DELETE(admin->asks, ask);
    admin->ask_count--;
    ask->status = http_status;
    ask->body = *json_take;
    pthread_mutex_unlock(&admin->mutex);
    *json_take = (struct buf){0};
    MHD_resume_connection(connection); /* from now on the request is the other thread's */
}

void *admin_ask_arg(const struct admin_ask *ask)
{
    return ask->admin->options.hooks.arg;
}

/* The first one that the loop's thread does not have yet; NULL for none. */
static struct admin_ask *next_to_pass(struct admin *admin)
{
    struct admin_ask *ask;
    pthread_mutex_lock(&admin->mutex);
    DL_FOREACH (admin->asks, ask) {
        if (!ask->is_passed) {
            ask->is_passed = true;
            break;
        }
    }
    pthread_mutex_unlock(&admin->mutex);
    return ask;
}

static void woken(void *arg)
{
    struct admin_ask *ask;
    while ((ask = next_to_pass(arg)) != NULL) {
        ask->hook(ask);
    }
}

static void request_completed(void *cls, struct MHD_Connection *connection, void **request,
                              enum MHD_RequestTerminationCode code)
{
    struct admin_ask *ask = *request;
    struct admin *admin = cls;
    (void)connection;
    (void)code;
    if (ask != NULL) {
        pthread_mutex_lock(&admin->mutex); /* after admin_answer(), also for ThreadSanitizer */
        pthread_mutex_unlock(&admin->mutex);
        free(ask->token);
        buf_fini(&ask->body);
        free(ask);
        *request = NULL;
    }
}

static void answer_rest(struct admin *admin)
{
    pthread_mutex_lock(&admin->mutex);
    admin->is_closing = true;
    pthread_mutex_unlock(&admin->mutex);
    while (admin->asks != NULL) {
        struct buf body = {0};
        buf_append_text(&body, "{}\n");
        admin_answer(admin->asks, MHD_HTTP_SERVICE_UNAVAILABLE, &body);
    }
}

/* ---- pages ---- */

static unsigned render_livez(const struct admin_options *options, struct buf *out)
{
    bool is_live = health_is_live(options->health);
    buf_append_text(out, is_live ? "ok\n" : "the event loop does not run\n");
    return is_live ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"

static const struct page {
    const char *path; /* one that ends with "/", except "/" itself, is followed by a token */
    const char *content_type;
    unsigned (*render)(const struct admin_options *options, struct buf *out);
    void (*hook)(struct admin_ask *ask); /* in the place of `render` */
    /* Probes and scrapers may use any name of the machine; what they get is of no use to others. */
    bool has_any_host;
} PAGES[] = {
    {"/livez", TEXT, render_livez, NULL, true},
    {"/readyz", TEXT, admin_page_readyz, NULL, true},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", admin_page_metrics, NULL, true},
    {"/status", JSON, admin_page_status, NULL, false},
    {"/api/commands", JSON, NULL, pass_commands, false},
    {"/api/commands/", JSON, NULL, pass_command, false},
    {"/api/watches", JSON, NULL, pass_watches, false},
    {"/", "text/html; charset=utf-8", admin_page_html, NULL, false},
    {"/page.css", "text/css; charset=utf-8", admin_page_css, NULL, false},
    {"/page.js", "text/javascript; charset=utf-8", admin_page_js, NULL, false},
    {"/words.js", "text/javascript; charset=utf-8", admin_page_words, NULL, false},
    {"/icon.svg", "image/svg+xml", admin_page_icon, NULL, false},
};

/* Of every answer: nothing is stored, guessed, framed or read by another origin, and the page runs
 * nothing but its own script. */
static const struct {
    const char *name;
    const char *value;
} HEADERS[] = {
    {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
     "require-trusted-types-for 'script'"},
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

static enum MHD_Result answer_ask(struct MHD_Connection *connection, struct admin_ask *ask)
{
    pthread_mutex_lock(&ask->admin->mutex);
    unsigned status = ask->status;
    struct buf body = ask->body;
    ask->body = (struct buf){0};
    pthread_mutex_unlock(&ask->admin->mutex);
    return answer(connection, status, JSON, &body);
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct buf body = {0};
    buf_append_text(&body, text);
    return answer(connection, status, TEXT, &body);
}

static bool has_allowed_host(const struct admin *admin, struct MHD_Connection *connection)
{
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    return host_is_allowed(slice_text(host), slice_text(admin->options.listen));
}

/* NULL: there is no such page. *out_token is what follows its path, or NULL. */
static const struct page *find_page(const char *url, const char **out_token)
{
    for (size_t i = 0; i < sizeof PAGES / sizeof PAGES[0]; i++) {
        size_t length = strlen(PAGES[i].path);
        bool has_token = length > 1 && PAGES[i].path[length - 1] == '/';
        if (has_token ? strncmp(url, PAGES[i].path, length) == 0
                      : strcmp(url, PAGES[i].path) == 0) {
            *out_token = has_token ? url + length : NULL;
            return &PAGES[i];
        }
    }
    return NULL;
}

/* For a request that the loop's thread answers this is called twice: the second time with the
 * answer. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    struct admin *admin = cls;
    struct admin_ask *ask = *request;
    const char *token = NULL;
    const struct page *page = find_page(url, &token);
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    if (ask != NULL) {
        return answer_ask(connection, ask);
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    if (page == NULL) {
        return refuse(connection, MHD_HTTP_NOT_FOUND,
                      "the pages are /, /status, /metrics, /livez, /readyz, /api/commands, "
                      "/api/commands/TOKEN and /api/watches\n");
    }
    if (!page->has_any_host && !has_allowed_host(admin, connection)) {
        return refuse(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                      "use an IP address, localhost or the name in admin.listen\n");
    }
    if (page->render != NULL) {
        struct buf body = {0};
        unsigned status = page->render(&admin->options, &body);
        return answer(connection, status, page->content_type, &body);
    }
    *request = ask_new(admin, connection, page->hook, token);
    return *request != NULL ? MHD_YES
                            : refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                                     "too many requests wait for an answer\n");
}

/* ---- listening ---- */

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

/* -1, with the reason in errno. libmicrohttpd would bind it, too, but loses the reason, and 1.0.1
 * closes the descriptor twice where it cannot. */
static int bind_to(const struct addrinfo *address)
{
    static const int YES = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &YES, sizeof YES);
    if (address->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &YES, sizeof YES);
    }
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* False, with the reason in errno, if it cannot listen there. */
static bool listen_on(struct admin *admin, const struct addrinfo *address)
{
    struct listener *listener = &admin->listeners[admin->listener_count];
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    if (admin->listener_count > 0) {
        set_port(address->ai_addr, admin_port(admin)); /* port 0: the one that the first has got */
    }
    int fd = bind_to(address);
    if (fd < 0) {
        return false;
    }
    /* The descriptor is libmicrohttpd's now. Without threads or memory, versions differ in whether
     * they close it. */
    listener->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, admin, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(ADMIN_CONNECTIONS_MAX + ADMIN_CLOSING_MAX),
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, listener, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, admin, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ADMIN_TIMEOUT_S,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)ADMIN_THREAD_STACK_BYTES, MHD_OPTION_END);
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
    int error = 0;
    enum status status = resolve(options->listen, &address, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    struct admin *admin = mem_zalloc(1, sizeof *admin);
    admin->options = *options;
    admin->wake = loop_wake_new(options->loop, woken, admin);
    pthread_mutex_init(&admin->mutex, NULL);
    for (const struct addrinfo *at = address;
         at != NULL && admin->listener_count < ADMIN_ADDRESSES_MAX; at = at->ai_next) {
        bool is_listening = listen_on(admin, at);
        error = errno;
        if (!is_listening && (at != address || at->ai_next != NULL)) {
            report_left_out(at, options->listen);
        }
    }
    freeaddrinfo(address);
    if (admin->listener_count == 0) {
        buf_printf(out_why,
                   "admin.listen: cannot listen on %s: %s; choose another address, or set \"\" to "
                   "switch the endpoint off",
                   options->listen, strerror(error));
        admin_free(admin);
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
        answer_rest(admin);
        for (size_t i = 0; i < admin->listener_count; i++) {
            MHD_stop_daemon(admin->listeners[i].daemon);
        }
        loop_wake_free(admin->wake);
        pthread_mutex_destroy(&admin->mutex);
        free(admin);
    }
}

const char *admin_library_version(void)
{
    return MHD_get_version();
}
