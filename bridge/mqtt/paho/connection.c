/*
 * The life of a connection: one attempt for each address until one succeeds (UP), then the end.
 * Every attempt has a Paho client of its own, because a client cannot change between plain and TLS
 * addresses. Paho's threads only record how an attempt ended and wake the main thread: only that
 * may create and destroy clients, in a callback it deadlocks.
 *
 * Paho must not continue after a failure: a failed write of a publish leaves freed memory in its
 * lists. So every failure after UP goes to the `down` hook, which ends the process before Paho
 * looks at these lists again.
 */
#include "mqtt/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "connection_cause.h"
#include "connection_internal.h"
#include "connection_options.h"
#include "connection_tls.h"
#include "mqtt/held_acks.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Paho checks every 3 s whether an attempt has timed out, but not while name resolution holds its
 * lock. */
#define ATTEMPT_GRACE_MS 45000

/* ---- How it ends ---- */

void connection_down(struct connection *connection, enum wire_down_reason reason, uint32_t code,
                     const char *text)
{
    if (!connection->is_closing) {
        connection->hooks.down(connection->hooks.arg,
                               &(struct wire_down){reason, code, slice_text(text)});
    }
}

bool connection_is_v5(const struct connection *connection)
{
    return connection->params->protocol == MQTTVERSION_5;
}

static void attempt_end(struct connection *connection, enum attempt attempt)
{
    connection->attempt = attempt;
    uint64_t one = 1;
    ssize_t written = write(connection->wake_fd, &one, sizeof one);
    assert(written == sizeof one);
}

/* Set from Paho's trace, which has no context argument. */
static _Atomic bool has_no_memory;

static void on_paho_error(enum MQTTASYNC_TRACE_LEVELS level, char *message)
{
    (void)level;
    if (strstr(message, "emory") != NULL) {
        has_no_memory = true;
    }
}

/* Whether the attempt is over already: its client is not destroyed yet, and may still lose its
 * connection. */
static bool is_former(const struct connection *connection)
{
    enum attempt attempt = connection->attempt;
    return attempt == ATTEMPT_KEEPALIVE || attempt == ATTEMPT_FAILED;
}

void connection_on_lost(void *context, char *cause)
{
    (void)cause; /* always NULL in 1.3.12 */
    if (!is_former(context)) {
        connection_down(context, WIRE_DOWN_LOST, 0,
                        has_no_memory ? "a packet of the broker needed more memory than allowed"
                                      : "the connection to the broker was lost");
    }
}

/* MQTT 5: the broker sent DISCONNECT; Paho does not call connectionLost then. */
static void on_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes code)
{
    char text[CONNECTION_TEXT_BYTES];
    if (is_former(context)) {
        return;
    }
    const char *name = MQTTReasonCode_toString(code);
    struct slice why = property_text(properties, MQTTPROPERTY_CODE_REASON_STRING, NULL);
    struct slice server = property_text(properties, MQTTPROPERTY_CODE_SERVER_REFERENCE, NULL);
    bool is_taken_over = code == MQTTREASONCODE_SESSION_TAKEN_OVER;
    snprintf(text, sizeof text, "the broker disconnected: %s%s%.*s%s%.*s",
             is_taken_over  ? "another client took over: it uses the same client id"
             : name == NULL ? ""
                            : name,
             why.length > 0 ? ": " : "", (int)(why.length < 80 ? why.length : 80),
             why.length > 0 ? why.data : "", server.length > 0 ? ": use the server " : "",
             (int)(server.length < 80 ? server.length : 80), server.length > 0 ? server.data : "");
    connection_down(context, is_taken_over ? WIRE_DOWN_TAKEN_OVER : WIRE_DOWN_LOST, (uint32_t)code,
                    text);
}

/* ---- Connecting ---- */

static const struct wire_address *address_of(const struct connection *connection)
{
    return &connection->params->addresses[connection->address_index];
}

static void append_refusal(const struct connection *connection, int code, struct buf *out)
{
    static const char *const texts_311[] = {
        "",
        "the broker refused the protocol version",
        "the broker refused the client id",
        "the broker is unavailable",
        "the broker refused the user name or password",
        "the broker did not authorise the client",
    };
    const char *text = NULL;
    if (code > 0 && (size_t)code < sizeof texts_311 / sizeof texts_311[0]) {
        text = texts_311[code];
    } else if (connection_is_v5(connection)) {
        text = MQTTReasonCode_toString((enum MQTTReasonCodes)code);
    }
    buf_append_text(out, text == NULL ? "the broker refused the connection" : text);
    if (connection_is_v5(connection)) {
        bool is_version = code == 1 || code == (int)MQTTREASONCODE_UNSUPPORTED_PROTOCOL_VERSION;
        buf_append_text(out, is_version ? "; set broker.protocol = 4 for MQTT 3.1.1" : "");
        cause_append_connack(out);
    }
}

static void connect_failed(struct connection *connection, int code, const char *message)
{
    bool is_refused = code > 0;
    bool is_timeout = message != NULL && strstr(message, "timeout") != NULL;
    cause_end();
    pthread_mutex_lock(&connection->mutex);
    struct failure *failure = &connection->failure;
    /* The refusal of one address is more useful than the failure to reach another. */
    if (is_refused || failure->reason != WIRE_DOWN_REFUSED) {
        failure->reason = is_refused ? WIRE_DOWN_REFUSED : WIRE_DOWN_CONNECT;
        failure->code = is_refused ? (uint32_t)code : 0;
        buf_clear(&failure->text);
        address_append(&failure->text, address_of(connection));
        buf_append_text(&failure->text, ": ");
        if (is_refused) {
            append_refusal(connection, code, &failure->text);
        } else if (tls_guard_text() != NULL) {
            buf_append_text(&failure->text, tls_guard_text());
        } else {
            buf_append_text(&failure->text, "could not connect: ");
            cause_append(&failure->text, tls_guard_has_handshake(), is_timeout);
        }
    }
    pthread_mutex_unlock(&connection->mutex);
    attempt_end(connection, ATTEMPT_FAILED);
}

static void on_connect_failed(void *context, MQTTAsync_failureData *failure)
{
    connect_failed(context, failure->code, failure->message);
}

static void on_connect_failed_5(void *context, MQTTAsync_failureData5 *failure)
{
    /* 1.3.12 has the code of CONNACK in `code`, later versions in `reasonCode`. */
    int reason = (int)failure->reasonCode;
    connect_failed(context, reason >= 0x80 ? reason : failure->code, failure->message);
}

static int on_tls_error(const char *text, size_t length, void *context)
{
    (void)context;
    tls_guard_error(slice_of(text, length));
    return 1;
}

void connection_up(struct connection *connection)
{
    attempt_end(connection, ATTEMPT_UP);
    connection->hooks.up(connection->hooks.arg, &connection->limits);
}

/* From here on acknowledgements are held; false if they could not be. */
static bool take_socket(struct connection *connection)
{
    int fd = held_acks_begin(connection->keepalive_s, connection->hooks.held);
    if (fd < 0) {
        connection_down(connection, WIRE_DOWN_INTERNAL, 0,
                        "this build cannot hold the acknowledgements of the MQTT library");
        return false;
    }
    int one = 1; /* without Nagle's algorithm, which costs 40 ms a reply */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return true;
}

static void connected(struct connection *connection, bool is_session_present)
{
    cause_end();
    if (tls_guard_is_missing()) {
        connection_down(connection, WIRE_DOWN_INTERNAL, 0,
                        "this build cannot make the MQTT library require TLS 1.2");
        return;
    }
    connection->limits.is_session_present = is_session_present;
    connection->limits.address_index = connection->address_index;
    if (connection->params->filter_count > 0) {
        connection_subscribe(connection);
    } else {
        connection_up(connection);
    }
}

static void on_connected(void *context, MQTTAsync_successData *success)
{
    struct connection *connection = context;
    /* MQTT 3.1.1 has no limits in CONNACK; brokers have 20 messages in flight by default. */
    connection->limits = (struct wire_up){.receive_maximum = 20, .max_qos = 2, .has_retain = true};
    if (!take_socket(connection)) {
        return;
    }
    connected(connection, success->alt.connect.sessionPresent != 0);
}

static void on_connected_5(void *context, MQTTAsync_successData5 *success)
{
    struct connection *connection = context;
    MQTTProperties *properties = &success->properties;
    connection->limits = (struct wire_up){
        .receive_maximum = property_number(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, 65535),
        .packet_bytes_max = property_number(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, 0),
        .max_qos = (uint8_t)property_number(properties, MQTTPROPERTY_CODE_MAXIMUM_QOS, 2),
        .has_retain = property_number(properties, MQTTPROPERTY_CODE_RETAIN_AVAILABLE, 1) != 0,
    };
    if (!take_socket(connection)) {
        return;
    }
    uint32_t keepalive_s =
        property_number(properties, MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE, connection->keepalive_s);
    if (keepalive_s > 0 && keepalive_s < connection->keepalive_s) {
        /* Paho 1.3.12 ignores it, and the broker would drop the connection: connect again with it.
         */
        connection->keepalive_s = keepalive_s;
        attempt_end(connection, ATTEMPT_KEEPALIVE);
        return;
    }
    connected(connection, success->alt.connect.sessionPresent != 0);
}

static int create_client(struct connection *connection, MQTTAsync *out_client)
{
    char *uri = address_for_paho(address_of(connection));
    char *client_id =
        mem_dup(connection->params->client_id.data, connection->params->client_id.length);
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
    options.MQTTVersion = connection->params->protocol;
    options.maxBufferedMessages = 65535; /* the publisher's window is the limit */
    options.persistQoS0 = 0;
    int code = MQTTAsync_createWithOptions(out_client, uri, client_id, MQTTCLIENT_PERSISTENCE_NONE,
                                           NULL, &options);
    free(uri);
    free(client_id);
    return code;
}

static int connect_client(struct connection *connection)
{
    struct connect_options options;
    int code = MQTTASYNC_FAILURE;
    if (connect_options_init(&options, connection->params, connection->keepalive_s) == STATUS_OK) {
        options.tls.ssl_error_cb = on_tls_error;
        options.tls.ssl_error_context = connection;
        options.connect.context = connection;
        if (connection_is_v5(connection)) {
            options.connect.onSuccess5 = on_connected_5;
            options.connect.onFailure5 = on_connect_failed_5;
        } else {
            options.connect.onSuccess = on_connected;
            options.connect.onFailure = on_connect_failed;
        }
        MQTTAsync_setCallbacks(connection->client, connection, connection_on_lost,
                               connection_on_arrived, NULL);
        MQTTAsync_setDisconnected(connection->client, connection, on_disconnected);
        code = MQTTAsync_connect(connection->client, &options.connect);
    }
    connect_options_fini(&options);
    return code;
}

static void attempt_begin(struct connection *connection)
{
    MQTTAsync former = connection->client;
    MQTTAsync client = NULL;
    const struct wire_address *address = address_of(connection);
    int code = create_client(connection, &client);
    connection->client = client;
    if (former != NULL) {
        /* Not before there is another: Paho ends its threads with its last client. */
        held_acks_end();
        MQTTAsync_destroy(&former);
    }
    connection->attempt_ends_ms =
        clock_mono_ms() + (int64_t)connection->params->connect_timeout_s * 1000 + ATTEMPT_GRACE_MS;
    connection->attempt = ATTEMPT_RUNNING;
    tls_guard_begin(address->host, address_is_tls(address), connection->params->has_tls_verify);
    held_acks_prepare(address_is_tls(address), address_is_websocket(address));
    cause_begin(address, address_is_tls(address), connection->params->protocol);
    if (code == MQTTASYNC_SUCCESS) {
        code = connect_client(connection);
    }
    if (code != MQTTASYNC_SUCCESS) {
        connection_down(connection, WIRE_DOWN_INTERNAL, (uint32_t)-code, MQTTAsync_strerror(code));
    }
}

void connection_step(struct connection *connection)
{
    uint64_t count;
    ssize_t got = read(connection->wake_fd, &count, sizeof count);
    assert(got == sizeof count || errno == EAGAIN);
    enum attempt attempt = connection->attempt;
    switch (attempt) {
    case ATTEMPT_NONE:
    case ATTEMPT_UP:
        return;
    case ATTEMPT_KEEPALIVE:
        attempt_begin(connection);
        return;
    case ATTEMPT_RUNNING:
        if (connection_max_delay_ms(connection) == 0) {
            connection_down(connection, WIRE_DOWN_CONNECT, 0, "no answer from the MQTT library");
        }
        return;
    case ATTEMPT_FAILED:
        if (connection->address_index + 1 < connection->params->address_count) {
            connection->address_index++;
            attempt_begin(connection);
        } else {
            connection_down(connection, connection->failure.reason, connection->failure.code,
                            connection->failure.text.data);
        }
        return;
    }
}

int connection_max_delay_ms(const struct connection *connection)
{
    if (connection->attempt != ATTEMPT_RUNNING) {
        return -1;
    }
    int64_t left_ms = connection->attempt_ends_ms - clock_mono_ms();
    return left_ms > 0 ? (int)left_ms : 0;
}

/* ---- Start and end ---- */

struct connection *connection_new(const struct connect_params *params,
                                  const struct connection_hooks *hooks)
{
    struct connection *connection = mem_zalloc(1, sizeof *connection);
    connection->params = params;
    connection->hooks = *hooks;
    connection->keepalive_s = params->keepalive_s;
    MQTTAsync_setTraceCallback(on_paho_error);
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
    connection->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (connection->wake_fd < 0) {
        _exit(EX_OSERR);
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&connection->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&connection->mutex, NULL);
    return connection;
}

void connection_free(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    connection->is_closing = true;
    held_acks_end();
    MQTTAsync_destroy(&connection->client);
    pthread_mutex_destroy(&connection->mutex);
    pthread_cond_destroy(&connection->changed);
    buf_fini(&connection->failure.text);
    close(connection->wake_fd);
    free(connection);
}

void connection_open(struct connection *connection)
{
    assert(connection->attempt == ATTEMPT_NONE && connection->params->address_count > 0);
    attempt_begin(connection);
}

int connection_wake_fd(const struct connection *connection)
{
    return connection->wake_fd;
}

void connection_wake_sender(struct connection *connection)
{
    if (connection->attempt == ATTEMPT_UP && !connection->is_closing) {
        /*
         * Paho's send thread waits for its condition without checking the queue under the lock, and
         * no function of Paho only signals the condition. This one queues a CONNECT, which does
         * nothing while connected. It cannot connect again after a loss, because `down` ends the
         * process with Paho's lock held.
         */
        MQTTAsync_reconnect(connection->client);
    }
}

static void on_closed(void *context, MQTTAsync_successData *success)
{
    struct connection *connection = context;
    (void)success;
    pthread_mutex_lock(&connection->mutex);
    connection->is_closed = true;
    pthread_cond_broadcast(&connection->changed);
    pthread_mutex_unlock(&connection->mutex);
}

static void on_closed_5(void *context, MQTTAsync_successData5 *success)
{
    (void)success;
    on_closed(context, NULL);
}

bool connection_close(struct connection *connection, int64_t timeout_ms)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    if (connection_is_v5(connection)) {
        options = (MQTTAsync_disconnectOptions)MQTTAsync_disconnectOptions_initializer5;
        options.onSuccess5 = on_closed_5;
    } else {
        options.onSuccess = on_closed;
    }
    options.context = connection;
    connection->is_closing = true;
    held_acks_end();
    if (MQTTAsync_disconnect(connection->client, &options) != MQTTASYNC_SUCCESS) {
        return false;
    }
    int64_t ends_ms = clock_mono_ms() + timeout_ms;
    struct timespec deadline = {.tv_sec = ends_ms / 1000, .tv_nsec = (ends_ms % 1000) * 1000000};
    int waited = 0;
    pthread_mutex_lock(&connection->mutex);
    while (!connection->is_closed && waited == 0) {
        waited = pthread_cond_timedwait(&connection->changed, &connection->mutex, &deadline);
    }
    bool is_closed = connection->is_closed;
    pthread_mutex_unlock(&connection->mutex);
    return is_closed;
}
