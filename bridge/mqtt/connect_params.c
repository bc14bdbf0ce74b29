#include "mqtt/connect_params.h"

#include "base/log.h"
#include "base/mem.h"
#include "mqtt/broker_login.h"
#include "settings/url.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S  10
#define ACK_TIMEOUT_MS_MAX 10000
/*
 * A receiver announces the largest payload of its routes and this as its Maximum Packet Size. A
 * broker drops larger packets silently, while a command that is only a little too long must be
 * refused with a reply, so there must be room above the payload. But Paho allocates up to 180 bytes
 * for one byte of user properties, so more room would let one message fill the memory.
 */
#define PACKET_BYTES_MORE (1u << 20)

/* An empty setting counts as absent. */
static struct slice setting(const char *text)
{
    return text == NULL || text[0] == '\0' ? (struct slice){0} : slice_text(text);
}

/* Takes over what was built, for as long as the params live. */
static struct slice own(struct connect_params *params, struct buf *text)
{
    assert(params->text_count < CONNECT_PARAMS_TEXTS_MAX);
    size_t length = text->length;
    char *owned = buf_take(text);
    params->texts[params->text_count++] = owned;
    return slice_of(owned, length);
}

static void set_names(struct connect_params *params, const struct settings *settings,
                      const struct mqtt_session *session)
{
    bool is_publisher = params->role == WIRE_PUBLISHER;
    bool is_former = session != NULL && session->use != MQTT_SESSION_USE;
    if (session != NULL && session->client_id != NULL) {
        params->client_id = slice_text(session->client_id);
    } else {
        struct buf id = {0};
        buf_printf(&id, "%s%s", settings->broker.client_id, is_publisher ? "-out" : "-in");
        params->client_id = own(params, &id);
    }
    snprintf(params->name, sizeof params->name,
             is_publisher ? "publisher" : (is_former ? "drainer" : "receiver"));
}

static enum status add_filters(struct connect_params *params, const struct settings *settings)
{
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct route *route = &settings->routes[i];
        for (size_t k = 0; k < route->topics.count; k++) {
            if (params->filter_count == ROUTE_FILTERS_MAX) {
                return STATUS_LIMIT;
            }
            struct buf text = {0};
            route_append_filter(route, k, &text);
            params->filters[params->filter_count++] =
                (struct wire_filter){.filter = own(params, &text), .qos = (uint8_t)route->qos};
        }
    }
    return STATUS_OK;
}

/* STATUS_LIMIT: the settings' checks allow no more. */
static enum status add_properties(struct connect_params *params, const struct settings *settings)
{
    struct text_list names = {0};
    route_list_properties(settings->routes, settings->route_count, &names);
    enum status status = names.count > DELIVERY_PROPERTIES_MAX ? STATUS_LIMIT : STATUS_OK;
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++) {
        struct buf text = {0};
        buf_append_text(&text, names.items[i]);
        params->properties[params->property_count++].name = own(params, &text);
    }
    text_list_fini(&names);
    return status;
}

/* A receiver forwards so much of a payload: what some route allows. */
static uint32_t payload_bytes_max(const struct settings *settings)
{
    int64_t bytes = settings->limits.payload_bytes;
    for (size_t i = 0; i < settings->route_count; i++) {
        bytes =
            settings->routes[i].payload_bytes > bytes ? settings->routes[i].payload_bytes : bytes;
    }
    return (uint32_t)bytes;
}

/* What a receiver does with its session. */
static enum status set_session(struct connect_params *params, const struct settings *settings,
                               const struct mqtt_session *session)
{
    enum mqtt_session_use use = session == NULL ? MQTT_SESSION_USE : session->use;
    if (use != MQTT_SESSION_END) { /* else a clean start, and no session that outlives it */
        params->session_expiry_s = (uint32_t)settings->broker.session_expiry_s;
    }
    params->receive_maximum = (uint32_t)settings->broker.receive_maximum;
    params->packet_bytes_max = payload_bytes_max(settings) + PACKET_BYTES_MORE;
    if (add_properties(params, settings) != STATUS_OK) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; session != NULL && i < session->unsubscribe.count; i++) {
        if (params->unsubscribe_count == MQTT_UNSUBSCRIBE_MAX) {
            return STATUS_LIMIT;
        }
        params->unsubscribe[params->unsubscribe_count++] =
            (struct wire_filter){.filter = slice_text(session->unsubscribe.items[i])};
    }
    return use == MQTT_SESSION_USE ? add_filters(params, settings) : STATUS_OK;
}

static enum status set_address(struct connect_params *params, const char *uri, const char *ip,
                               const char **out_why)
{
    struct url url;
    if (!url_split(uri, &url, out_why)) {
        return STATUS_INVALID;
    }
    int port = url.port > 0 ? url.port : url_broker_port(url.scheme);
    params->address =
        (struct wire_address){url.scheme, url.host, slice_text(ip), (uint32_t)port, url.path};
    return STATUS_OK;
}

bool connect_params_needs_lookup(const struct settings *settings, size_t uri, char **out_host)
{
    struct url url;
    struct in6_addr ignored;
    const char *why;
    if (!url_split(settings->broker.uris.items[uri], &url, &why)) {
        return false; /* connect_params_init() will tell */
    }
    char *host = mem_dup(url.host.data, url.host.length);
    bool is_ip =
        inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1;
    if (is_ip) {
        free(host);
    } else {
        *out_host = host;
    }
    return !is_ip;
}

static void set_alpn(struct connect_params *params, const struct text_list *names)
{
    struct buf alpn = {0};
    for (size_t i = 0; i < names->count; i++) {
        size_t length = strlen(names->items[i]);
        if (length > 0 && length <= 255) {
            buf_append_char(&alpn, (char)(unsigned char)length);
            buf_append_text(&alpn, names->items[i]);
        }
    }
    if (alpn.length > 0) {
        params->tls_alpn = own(params, &alpn);
    }
}

/* `keepalive_s`: the shorter one that the broker asked for; 0: none. */
static void set_broker(struct connect_params *params, const struct settings *settings,
                       uint32_t keepalive_s)
{
    params->keepalive_s = keepalive_s > 0 ? keepalive_s : (uint32_t)settings->broker.keepalive_s;
    int64_t ack_ms = (int64_t)params->keepalive_s * 1000 / 2;
    params->log_level = (uint8_t)log_level();
    params->log_style = (uint8_t)log_style();
    params->protocol = (uint8_t)settings->broker.protocol;
    params->connect_timeout_s = CONNECT_TIMEOUT_S;
    params->payload_bytes_max = payload_bytes_max(settings);
    params->ack_timeout_ms = (uint32_t)(ack_ms < ACK_TIMEOUT_MS_MAX ? ack_ms : ACK_TIMEOUT_MS_MAX);
    params->has_tls_verify = settings->broker.tls.verify;
    set_alpn(params, &settings->broker.tls.alpn);
}

static enum status set_login(struct connect_params *params, const struct settings *settings,
                             const char **out_why)
{
    struct broker_login login = {0};
    struct broker_login_fault fault = {0};
    enum status status = broker_login_make(settings, params->client_id, &login, &fault);
    if (status != STATUS_OK) {
        *out_why = settings->broker.apsaramq.instance_id[0] == '\0'
                       ? "the broker password cannot be read"
                       : "the login for ApsaraMQ cannot be made";
        LOG_ERROR("secret_unreadable", LOG_TEXT("setting", fault.setting),
                  LOG_TEXT("file", fault.file), LOG_TEXT("why", fault.text.data));
    } else if (login.username.length > 0) {
        params->username = own(params, &login.username);
    }
    if (status == STATUS_OK && login.has_password) {
        secret_copy(&params->secret, &login.password);
        params->password = secret_slice(&params->secret);
    }
    broker_login_fini(&login);
    broker_login_fault_fini(&fault);
    return status;
}

/* A sealed file in memory; -1 where there is no content, or no room. */
static int make_file(const struct secret *content)
{
    struct slice rest = tls_files_slice(content);
    if (!slice_is_present(rest)) {
        return -1;
    }
    int fd = memfd_create("tls", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    while (fd >= 0 && rest.length > 0) {
        ssize_t written = write(fd, rest.data, rest.length);
        if (written < 0) {
            close(fd);
            return -1;
        }
        rest.data += written;
        rest.length -= (size_t)written;
    }
    if (fd >= 0) {
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
    }
    return fd;
}

/* Names the files for a process that has them as these descriptors. */
static void name_files(struct connect_params *params, const int fds[WIRE_TLS_FD_COUNT])
{
    struct slice *const names[WIRE_TLS_FD_COUNT] = {&params->tls_ca_file, &params->tls_cert_file,
                                                    &params->tls_key_file};
    for (size_t i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        if (params->tls_fds[i] >= 0) {
            struct buf path = {0};
            buf_printf(&path, "/proc/self/fd/%d", fds[i]);
            *names[i] = own(params, &path);
        }
    }
}

void connect_params_move_files(struct connect_params *params)
{
    static const int there[WIRE_TLS_FD_COUNT] = {WIRE_TLS_FD, WIRE_TLS_FD + 1, WIRE_TLS_FD + 2};
    name_files(params, there);
}

static enum status set_tls(struct connect_params *params, const struct tls_files *tls,
                           const char **out_why)
{
    const struct secret *const contents[WIRE_TLS_FD_COUNT] = {&tls->ca_pem, &tls->cert_pem,
                                                              &tls->key_pem};
    for (size_t i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        params->tls_fds[i] = make_file(contents[i]);
        if (params->tls_fds[i] < 0 && secret_is_set(contents[i])) {
            *out_why = "no room in memory for the TLS files";
            return STATUS_UNAVAILABLE;
        }
    }
    name_files(params, params->tls_fds);
    params->tls_ca_path = setting(tls->ca_path);
    params->tls_key_password = tls_files_slice(&tls->key_password);
    return STATUS_OK;
}

enum status connect_params_init(struct connect_params *params, const struct settings *settings,
                                const struct tls_files *tls, enum wire_role role,
                                const struct connect_attempt *attempt, struct slice will,
                                const char **out_why)
{
    *params = (struct connect_params){.role = role, .tls_fds = {-1, -1, -1}};
    set_names(params, settings, attempt->session);
    set_broker(params, settings, attempt->keepalive_s);
    params->has_retain = settings->broker.retain && !attempt->has_no_retain;
    params->will_qos_max = attempt->has_no_qos_1 ? 0 : 1;
    enum status status =
        set_address(params, settings->broker.uris.items[attempt->uri], attempt->ip, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    if (role == WIRE_PUBLISHER) {
        params->will = settings->broker.will ? will : (struct slice){0};
        if (settings->broker.publish_per_s > 0) {
            double interval_us = 1e6 / settings->broker.publish_per_s;
            params->publish_interval_us =
                interval_us < UINT32_MAX ? (uint32_t)interval_us : UINT32_MAX;
        }
        /*
         * The Last Will is delayed only as long as the session lasts (MQTT 5, section 3.1.3.2.2),
         * and a clean start that takes the session over would send it (3.1.2.5). So a publisher has
         * a session that lasts as long as the delay. The session never holds a message.
         */
        if (slice_is_present(params->will) && params->protocol == 5) {
            params->will_delay_s = MQTT_WILL_DELAY_S;
            params->session_expiry_s = MQTT_WILL_DELAY_S;
        }
    } else if (set_session(params, settings, attempt->session) != STATUS_OK) {
        *out_why = "the routes have too many topics or user properties";
        return STATUS_LIMIT;
    }
    status = set_tls(params, tls, out_why);
    return status == STATUS_OK ? set_login(params, settings, out_why) : status;
}

void connect_params_fini(struct connect_params *params)
{
    for (size_t i = 0; i < params->text_count; i++) {
        free(params->texts[i]);
    }
    secret_fini(&params->secret);
    for (size_t i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        if (params->tls_fds[i] >= 0) {
            close(params->tls_fds[i]);
        }
    }
    *params = (struct connect_params){.tls_fds = {-1, -1, -1}};
}
