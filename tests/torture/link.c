#include "link.h"

#include "flow_check.h"

#include <assert.h>
#include <mqtt_protocol.h>
#include <sys/socket.h>

enum {
    KEEPALIVE_S = 8,
    RETRY_MS = 150,
    CONNECT_MS = 4000,
    SESSION_S = 86400,
    LINKS_IN_FLIGHT = 20
};

static void on_connect(struct mosquitto *mosq, void *arg, int code, int flags,
                       const mosquitto_property *properties)
{
    struct link *link = *(struct link **)arg;
    (void)mosq;
    (void)flags;
    (void)properties;
    if (code != 0) {
        flow_fail("the broker refuses a connection of the harness: %d", code);
    }
    link->is_connected = true;
    if (link->connected != NULL) {
        link->connected(link->arg);
    }
}

/* `arg` begins with the struct link, so that every callback can find it. */
void link_init(struct link *link, const char *id, int port, int version, void *arg)
{
    *link = (struct link){.port = port, .version = version, .arg = arg};
    link->mosq = mosquitto_new(id, false, arg);
    assert(link->mosq != NULL && *(struct link **)arg == link);
    mosquitto_int_option(link->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         version == 5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(link->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_int_option(link->mosq, MOSQ_OPT_SEND_MAXIMUM, LINKS_IN_FLIGHT);
    mosquitto_connect_v5_callback_set(link->mosq, on_connect);
}

void link_fini(struct link *link)
{
    if (link->mosq != NULL) {
        mosquitto_destroy(link->mosq);
    }
    *link = (struct link){0};
}

struct pollfd link_poll(const struct link *link)
{
    int fd = mosquitto_socket(link->mosq);
    short events = POLLIN;
    if (mosquitto_want_write(link->mosq)) {
        events |= POLLOUT;
    }
    return (struct pollfd){.fd = fd, .events = fd < 0 ? 0 : events};
}

static int begin(struct link *link)
{
    mosquitto_property *properties = NULL;
    if (link->version == 5) {
        mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_S);
    }
    int result = mosquitto_connect_bind_v5(link->mosq, "127.0.0.1", link->port, KEEPALIVE_S, NULL,
                                           properties);
    mosquitto_property_free_all(&properties);
    return result;
}

static void try_again(struct link *link, int64_t now_ms)
{
    if (now_ms < link->retry_ms) {
        return;
    }
    int result = link->has_begun ? mosquitto_reconnect(link->mosq) : begin(link);
    if (result == MOSQ_ERR_INVAL || result == MOSQ_ERR_NOT_SUPPORTED) {
        flow_fail("cannot begin a connection: %s", mosquitto_strerror(result));
    }
    link->has_begun |= result == MOSQ_ERR_SUCCESS;
    link->tried_ms = now_ms;
    link->retry_ms = now_ms + RETRY_MS;
}

static void lose(struct link *link, int64_t now_ms)
{
    link->lost_count += link->is_connected;
    link->is_connected = false;
    link->retry_ms = now_ms + RETRY_MS;
}

void link_hurry(struct link *link)
{
    link->retry_ms = 0;
}

void link_step(struct link *link, short revents, int64_t now_ms)
{
    int fd = mosquitto_socket(link->mosq);
    if (fd < 0) {
        if (link->is_connected) {
            lose(link, now_ms);
        }
        try_again(link, now_ms);
        return;
    }
    int result = MOSQ_ERR_SUCCESS;
    if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        result = mosquitto_loop_read(link->mosq, 1);
    }
    if (result == MOSQ_ERR_SUCCESS && mosquitto_want_write(link->mosq)) {
        result = mosquitto_loop_write(link->mosq, 1);
    }
    if (result == MOSQ_ERR_SUCCESS) {
        result = mosquitto_loop_misc(link->mosq);
    }
    if (result != MOSQ_ERR_SUCCESS) {
        lose(link, now_ms);
    } else if (!link->is_connected && now_ms - link->tried_ms > CONNECT_MS) {
        /* The CONNECT is not answered: closes the socket, and the next read reports the end. */
        shutdown(fd, SHUT_RDWR);
    }
}
