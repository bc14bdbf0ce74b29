/* libmicrohttpd in one thread, driven by the main loop. */
#include "server.h"

#include "answer.h"
#include "api.h"
#include "control.h"
#include "park.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { BODY_LIMIT_BYTES = 1024 * 1024, CONNECTION_LIMIT = 16384, CUT_BYTES = 64 };

struct server {
    struct sim *sim;
    struct MHD_Daemon *daemon;
    bool is_stopping;
    int64_t date_s; /* the second that `date` shows */
    char date[40];
};

static void *begin_call(void *argument, const char *target, struct MHD_Connection *connection)
{
    struct call *call = base_alloc(sizeof *call);
    call->sim = argument;
    call->connection = connection;
    call->target = base_copy(target, strlen(target));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    call->socket = info ? info->connect_fd : -1;
    return call;
}

/* Written behind the library's back: on a connection without TLS that is a second answer. */
static void send_stray(const struct call *call)
{
    static const char body[] =
        "{\"RequestId\":\"STRAY\",\"Code\":\"OperationDenied.InvalidStatus\","
        "\"Message\":\"An answer to nobody.\"}";
    char text[512];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          sizeof body - 1, body);
    /* The client reads its own answer first; it would drop a connection with bytes behind that. */
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    nanosleep(&pause, NULL);
    (void)!send(call->socket, text, (size_t)length, MSG_NOSIGNAL);
}

static void end_call(void *argument, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode reason)
{
    struct call *call = *state;
    (void)argument;
    (void)connection;
    if (!call) {
        return;
    }
    assert(!call->is_parked);
    if (call->has_fault && call->fault.kind->delivery == DELIVERY_TWICE &&
        reason == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        send_stray(call);
    }
    control_finish(call);
    api_finish(call, reason == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    problem_fini(&call->problem);
    params_fini(&call->params);
    cJSON_Delete(call->fields);
    text_fini(&call->body);
    text_fini(&call->answer);
    free(call->target);
    free(call);
    *state = NULL;
}

static void count_connection(void *argument, struct MHD_Connection *connection, void **state,
                             enum MHD_ConnectionNotificationCode code)
{
    struct sim *sim = argument;
    (void)state;
    if (code != MHD_CONNECTION_NOTIFY_STARTED) {
        return;
    }
    sim->totals.connections++;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int on = 1;
    if (info) {
        setsockopt(info->connect_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

static bool is_form(const struct call *call)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = call_header(call, "Content-Type");
    return type && strncasecmp(type, form, sizeof form - 1) == 0;
}

static void read_params(struct call *call)
{
    const char *query = strchr(call->target, '?');
    query = query ? query + 1 : "";
    call->is_malformed = !params_add(&call->params, query, strlen(query));
    call->query_count = call->params.count;
    if (is_form(call) && call->body.length > 0 && !call->is_malformed) {
        call->is_malformed = !params_add(&call->params, call->body.data, call->body.length);
    }
}

static void read_body(struct call *call, const char *data, size_t *length)
{
    if (call->body.length + *length > BODY_LIMIT_BYTES) {
        call->is_body_too_large = true;
    } else {
        text_add(&call->body, data, *length);
    }
    *length = 0;
}

/* Sends the answer, then ends the connection before Content-Length is reached. */
static ssize_t read_cut(void *argument, uint64_t position, char *buffer, size_t limit)
{
    const struct call *call = argument;
    size_t rest = position < call->answer.length ? call->answer.length - (size_t)position : 0;
    if (rest == 0) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t length = rest < limit ? rest : limit;
    memcpy(buffer, call->answer.data + position, length);
    return (ssize_t)length;
}

static ssize_t read_slow(void *argument, uint64_t position, char *buffer, size_t limit)
{
    struct call *call = argument;
    int64_t now_ms = base_monotonic_ms();
    (void)limit;
    if (call->is_peer_gone || call->sim->server->is_stopping) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (now_ms < call->next_byte_ms) {
        park_call(call, call->next_byte_ms, true);
        return 0;
    }
    call->next_byte_ms = now_ms + call->fault.byte_ms;
    buffer[0] = call->answer.data[position];
    return 1;
}

/* `{"RequestId":"…","Padding":"xxx…"}` of exactly the size asked for. */
static ssize_t read_huge(void *argument, uint64_t position, char *buffer, size_t limit)
{
    static const char tail[] = "\"}";
    const struct call *call = argument;
    uint64_t size = (uint64_t)call->fault.size_bytes;
    size_t length = size - position < limit ? (size_t)(size - position) : limit;
    for (size_t i = 0; i < length; i++) {
        uint64_t at = position + i;
        if (at < call->answer.length) {
            buffer[i] = call->answer.data[at];
        } else {
            buffer[i] = at + 2 >= size ? tail[at + 2 - size] : 'x';
        }
    }
    return (ssize_t)length;
}

static void open_padding(struct call *call)
{
    char request_id[REQUEST_ID_TEXT_BYTES];
    request_id_format(call->request_id, request_id);
    text_clear(&call->answer);
    text_printf(&call->answer, "{\"RequestId\":\"%s\",\"P\":\"", request_id);
    call->http = 200;
    call->content_type = "application/json;charset=utf-8";
}

static struct MHD_Response *make_response(struct call *call)
{
    size_t length = call->answer.length;
    switch (call->has_fault ? call->fault.kind->delivery : DELIVERY_NORMAL) {
    case DELIVERY_CUT:
        return MHD_create_response_from_callback(length + CUT_BYTES, 4096, read_cut, call, NULL);
    case DELIVERY_SLOW:
        return MHD_create_response_from_callback(length, 1, read_slow, call, NULL);
    case DELIVERY_HUGE:
        open_padding(call);
        return MHD_create_response_from_callback((uint64_t)call->fault.size_bytes, 65536, read_huge,
                                                 call, NULL);
    default:
        return MHD_create_response_from_buffer(length, call->answer.data, MHD_RESPMEM_PERSISTENT);
    }
}

static const char *date_header(struct server *server, const struct call *call)
{
    int64_t now_s = (sim_wall_ms(server->sim) + call->clock_offset_ms) / 1000;
    if (now_s != server->date_s) {
        time_t seconds = (time_t)now_s;
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        server->date_s = now_s;
    }
    return server->date;
}

static enum MHD_Result send_answer(struct call *call)
{
    struct MHD_Response *response = make_response(call);
    if (!response) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", call->content_type);
    MHD_add_response_header(response, "Date", date_header(call->sim->server, call));
    if (call->retry_after_ms > 0) {
        char value[24];
        snprintf(value, sizeof value, "%lld", (long long)call->retry_after_ms);
        MHD_add_response_header(response, "x-acs-retry-after", value);
    }
    enum MHD_Result result = MHD_queue_response(call->connection, call->http, response);
    MHD_destroy_response(response);
    return result;
}

/* Disconnecting a TCP socket sends RST; closing it would send FIN. */
static enum MHD_Result drop(struct call *call)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    connect(call->socket, &nobody, sizeof nobody);
    return MHD_NO;
}

static enum MHD_Result advance(struct call *call)
{
    bool is_over = call->sim->server->is_stopping || call->reset_count != call->sim->reset_count;
    if (is_over && call->step != CALL_ARRIVED) {
        call->step = CALL_DROPPED;
    } else if (control_owns(call->target)) {
        control_advance(call);
    } else {
        api_advance(call);
    }
    if (call->is_parked) {
        return MHD_YES;
    }
    return call->step == CALL_DROPPED ? drop(call) : send_answer(call);
}

static enum MHD_Result handle(void *argument, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *length, void **state)
{
    struct call *call = *state;
    (void)argument;
    (void)connection;
    (void)url;
    (void)version;
    if (call->step == CALL_READING && !call->method[0]) {
        base_fill(call->method, sizeof call->method, method);
        return MHD_YES;
    }
    if (*length > 0) {
        read_body(call, data, length);
        return MHD_YES;
    }
    if (call->step == CALL_READING) {
        read_params(call);
        call->step = CALL_ARRIVED;
        call->reset_count = call->sim->reset_count;
    }
    return advance(call);
}

static bool watch_daemon(struct server *server, int epoll)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event event = {.events = EPOLLIN};
    return info && epoll_ctl(epoll, EPOLL_CTL_ADD, info->epoll_fd, &event) == 0;
}

struct server *server_new(struct sim *sim, int listen_socket, int epoll)
{
    struct server *server = base_alloc(sizeof *server);
    server->sim = sim;
    sim->server = server;
    park_init(epoll);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL, NULL,
        handle, NULL, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listen_socket,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTION_LIMIT, MHD_OPTION_URI_LOG_CALLBACK,
        begin_call, sim, MHD_OPTION_NOTIFY_COMPLETED, end_call, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        count_connection, sim, MHD_OPTION_END);
    if (!server->daemon || !watch_daemon(server, epoll)) {
        server_free(server);
        return NULL;
    }
    return server;
}

int server_wait_ms(struct server *server)
{
    unsigned long long daemon_ms = 0;
    int wait_ms = park_wait_ms(base_monotonic_ms());
    if (MHD_get_timeout(server->daemon, &daemon_ms) != MHD_YES) {
        return wait_ms;
    }
    int limited_ms = daemon_ms > 60000 ? 60000 : (int)daemon_ms;
    return wait_ms < 0 || limited_ms < wait_ms ? limited_ms : wait_ms;
}

void server_peer_event(void *argument)
{
    struct call *call = argument;
    call->is_peer_gone = true;
    park_resume(call);
}

void server_turn(struct server *server)
{
    park_resume_due(base_monotonic_ms());
    park_forget_resumed();
    MHD_run(server->daemon);
}

void server_free(struct server *server)
{
    if (!server) {
        return;
    }
    if (server->daemon) {
        server->is_stopping = true;
        park_resume_all();
        MHD_run(server->daemon);
        park_resume_all();
        MHD_stop_daemon(server->daemon);
    }
    free(server);
}
