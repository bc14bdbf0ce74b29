/*
 * The life of a connection: one attempt, then it stands, then it is over. Everything that ends it
 * goes to the `down` hook on the thread that notices it. The hook ends the process, so Paho never
 * continues after a failure: a failed write of a publish leaves freed memory in its lists.
 */
#include "mqtt/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "connection_cause.h"
#include "connection_internal.h"
#include "connection_options.h"
#include "connection_puback.h"
#include "connection_tls.h"
#include "mqtt/held_acks.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* Paho checks every 3 s whether an attempt has timed out, but not while name resolution holds its
 * lock. */
#define ATTEMPT_GRACE_MS 45000

/* ---- How it ends ---- */

void connection_down(struct connection *connection, enum wire_down_reason reason, uint32_t code,
                     const char *text)
{
    if (!connection->is_closing) {
        connection->hooks.down(
            connection->hooks.arg,
            &(struct wire_down){.reason = reason, .code = code, .text = slice_text(text)});
    }
}

bool connection_is_v5(const struct connection *connection)
{
    return connection->params->protocol == MQTTVERSION_5;
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

void connection_on_lost(void *context, char *cause)
{
    (void)cause; /* always NULL in 1.3.12 */
    connection_down(context, WIRE_DOWN_LOST, 0,
                    has_no_memory ? "a packet of the broker needed more memory than allowed"
                                  : "the connection to the broker was lost");
}

/* MQTT 5: the broker sent DISCONNECT; Paho does not call connectionLost then. */
static void on_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes code)
{
    char text[CONNECTION_TEXT_BYTES];
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
    struct buf text = {0};
    cause_end();
    address_append(&text, &connection->params->address);
    if (slice_is_present(connection->params->address.ip)) {
        buf_append_text(&text, " at ");
        buf_append(&text, connection->params->address.ip);
    }
    buf_append_text(&text, ": ");
    if (is_refused) {
        append_refusal(connection, code, &text);
    } else if (tls_guard_text() != NULL) {
        buf_append_text(&text, tls_guard_text());
    } else {
        buf_append_text(&text, "could not connect: ");
        cause_append(&text, tls_guard_has_handshake(), is_timeout);
    }
    connection_down(connection, is_refused ? WIRE_DOWN_REFUSED : WIRE_DOWN_CONNECT,
                    is_refused ? (uint32_t)code : 0, text.data);
    buf_fini(&text);
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
    connection->is_up = true;
    connection->hooks.up(connection->hooks.arg, &connection->limits);
}

static void pass(const struct connection *connection, enum connection_point point)
{
    if (connection->hooks.passed != NULL) {
        connection->hooks.passed(connection->hooks.arg, point);
    }
}

static void on_socket(void *arg)
{
    pass(arg, CONNECTION_CONNECTS);
}

/* From here on acknowledgements are held; false if they could not be. */
static bool take_socket(struct connection *connection)
{
    int fd = held_acks_begin(connection->params->keepalive_s, connection->hooks.held);
    if (fd < 0) {
        connection_down(connection, WIRE_DOWN_INTERNAL, 0,
                        "this build cannot hold the acknowledgements of the MQTT library");
        return false;
    }
    if (connection->params->role == WIRE_PUBLISHER && connection_is_v5(connection) &&
        !address_is_websocket(&connection->params->address)) {
        puback_begin();
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
    pass(connection, CONNECTION_ACCEPTED);
    connection->limits.is_session_present = is_session_present;
    if (connection->hooks.connected == NULL) {
        connection_subscribe(connection);
    } else {
        connection->is_waiting = true; /* first: the answer comes on another thread */
        connection->hooks.connected(connection->hooks.arg, is_session_present);
    }
}

static int64_t attempt_limit_ms(const struct connection *connection)
{
    return clock_mono_ms() + (int64_t)connection->params->connect_timeout_s * 1000 +
           ATTEMPT_GRACE_MS;
}

void connection_go_on(struct connection *connection)
{
    if (connection->is_waiting) {
        connection->attempt_ends_ms = attempt_limit_ms(connection);
        connection->is_waiting = false;
        connection_subscribe(connection);
    }
}

static void on_connected(void *context, MQTTAsync_successData *success)
{
    struct connection *connection = context;
    /* MQTT 3.1.1 has no limits in CONNACK; brokers have 20 messages in flight by default. */
    connection->limits = (struct wire_up){
        .receive_maximum = 20,
        .session_expiry_s = connection->params->session_expiry_s,
        .max_qos = 2,
        .has_retain = connection->params->has_retain,
    };
    if (!take_socket(connection)) {
        return;
    }
    connected(connection, success->alt.connect.sessionPresent != 0);
}

/*
 * Paho 1.3.12 ignores a Server Keep Alive, and the broker would drop the connection: it has to be
 * made again with the shorter one. The next CONNACK will say that there is a session, since this
 * connection has made one, so what this CONNACK says is reported.
 */
static void keepalive_down(struct connection *connection, uint32_t keepalive_s,
                           bool is_session_present)
{
    const struct wire_down down = {
        .reason = WIRE_DOWN_KEEPALIVE,
        .code = keepalive_s,
        .text = slice_text("the broker wants a shorter keepalive"),
        .is_session_present = is_session_present,
    };
    if (!connection->is_closing) {
        connection->hooks.down(connection->hooks.arg, &down);
    }
}

static void on_connected_5(void *context, MQTTAsync_successData5 *success)
{
    struct connection *connection = context;
    MQTTProperties *properties = &success->properties;
    uint32_t expiry_s = connection->params->session_expiry_s;
    connection->limits = (struct wire_up){
        .receive_maximum = property_number(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, 65535),
        .packet_bytes_max = property_number(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, 0),
        .session_expiry_s =
            property_number(properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, expiry_s),
        .max_qos = (uint8_t)property_number(properties, MQTTPROPERTY_CODE_MAXIMUM_QOS, 2),
        .has_retain = connection->params->has_retain &&
                      property_number(properties, MQTTPROPERTY_CODE_RETAIN_AVAILABLE, 1) != 0,
    };
    if (!take_socket(connection)) {
        return;
    }
    bool is_session_present = success->alt.connect.sessionPresent != 0;
    connection->has_subscription_id =
        connection->params->unsubscribe_count > 0 && connection->params->filter_count > 0 &&
        property_number(properties, MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 1) != 0;
    uint32_t asked_s = connection->params->keepalive_s;
    uint32_t keepalive_s =
        property_number(properties, MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE, asked_s);
    if (keepalive_s > 0 && keepalive_s < asked_s) {
        keepalive_down(connection, keepalive_s, is_session_present);
    } else if (property_number(properties, MQTTPROPERTY_CODE_SHARED_SUBSCRIPTION_AVAILABLE, 1) ==
                   0 &&
               connection_is_shared(connection)) {
        connection_down(connection, WIRE_DOWN_SUBSCRIBE,
                        MQTTREASONCODE_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
                        "the broker has no shared subscriptions: `share` of the routes must be "
                        "empty");
    } else {
        connected(connection, is_session_present);
    }
}

static int create_client(struct connection *connection)
{
    char *uri = address_for_paho(&connection->params->address);
    char *client_id =
        mem_dup(connection->params->client_id.data, connection->params->client_id.length);
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
    options.MQTTVersion = connection->params->protocol;
    options.maxBufferedMessages = 65535; /* the publisher's window is the limit */
    options.persistQoS0 = 0;
    int code = MQTTAsync_createWithOptions(&connection->client, uri, client_id,
                                           MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    free(uri);
    free(client_id);
    return code;
}

static int connect_client(struct connection *connection)
{
    struct connect_options options;
    int code = MQTTASYNC_FAILURE;
    if (connect_options_init(&options, connection->params) == STATUS_OK) {
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

char *connection_files(const struct connect_params *params)
{
    const struct slice named[] = {params->tls_ca_file, params->tls_ca_path, params->tls_cert_file,
                                  params->tls_key_file};
    struct buf paths = {0};
    if (address_is_tls(&params->address)) {
        tls_guard_append_authorities(&paths);
        for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
            buf_append_char(&paths, ':');
            buf_append(&paths, slice_is_present(named[i]) ? named[i] : slice_text(""));
        }
    }
    return buf_take(&paths);
}

void connection_open(struct connection *connection)
{
    const struct connect_params *params = connection->params;
    bool is_tls = address_is_tls(&params->address);
    assert(connection->client == NULL);
    connection->attempt_ends_ms = attempt_limit_ms(connection);
    tls_guard_begin(params->address.host, is_tls, params->has_tls_verify);
    held_acks_prepare(is_tls, address_is_websocket(&params->address));
    cause_begin(&params->address, is_tls, params->protocol, on_socket, connection);
    pass(connection, CONNECTION_STARTS);
    int code = create_client(connection);
    if (code == MQTTASYNC_SUCCESS) {
        code = connect_client(connection);
    }
    if (code != MQTTASYNC_SUCCESS) {
        connection_down(connection, WIRE_DOWN_INTERNAL, (uint32_t)-code, MQTTAsync_strerror(code));
    }
}

void connection_check(struct connection *connection)
{
    if (connection_max_delay_ms(connection) == 0) {
        connection_down(connection, WIRE_DOWN_CONNECT, 0, "no answer from the MQTT library");
    }
}

int connection_max_delay_ms(const struct connection *connection)
{
    if (connection->is_up || connection->is_waiting) {
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
    MQTTAsync_setTraceCallback(on_paho_error);
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
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
    free(connection->batches);
    buf_fini(&connection->properties);
    pthread_mutex_destroy(&connection->mutex);
    pthread_cond_destroy(&connection->changed);
    free(connection);
}

void connection_wake_sender(struct connection *connection)
{
    if (connection->is_up && !connection->is_closing) {
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
