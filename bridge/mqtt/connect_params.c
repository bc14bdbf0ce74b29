#include "mqtt/connect_params.h"

#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S  10
#define ACK_TIMEOUT_MS_MAX 10000
/*
 * A receiver announces limits.payload_bytes and this as its Maximum Packet Size. The broker drops
 * larger packets without a word to anybody, while a command that is merely too long shall be
 * refused by name; but Paho makes up to 180 bytes of one byte of user properties, so more would let
 * one message fill the memory.
 */
#define PACKET_BYTES_MORE (1u << 20)

/* An empty setting is one that is not there. */
static struct slice setting(const char *text)
{
    return text == NULL || text[0] == '\0' ? (struct slice){0} : slice_text(text);
}

static char *client_id_of(const struct settings *settings, enum wire_role role, uint32_t index)
{
    struct buf id = {0};
    buf_append_text(&id, settings->broker.client_id);
    buf_append_text(&id, role == WIRE_PUBLISHER ? "-out" : "-in");
    if (role == WIRE_RECEIVER && settings->broker.receivers > 1) {
        buf_printf(&id, "-%u", index + 1);
    }
    return buf_take(&id);
}

static void name_process(struct connect_params_buf *params_buf, enum wire_role role, uint32_t index)
{
    if (role == WIRE_PUBLISHER) {
        snprintf(params_buf->name, sizeof params_buf->name, "publisher");
    } else {
        snprintf(params_buf->name, sizeof params_buf->name, "receiver-%u", index + 1);
    }
    params_buf->params.process_name = params_buf->name;
}

/* "$share/<group>/" in front of a filter; several receivers must share, or each would get every
 * command. */
static void append_share(struct buf *out, const struct settings *settings,
                         const struct route *route)
{
    bool has_share = route->share != NULL && route->share[0] != '\0';
    if (!has_share && settings->broker.receivers <= 1) {
        return;
    }
    buf_append_text(out, "$share/");
    size_t start = out->length;
    buf_append_text(out, has_share ? route->share : settings->broker.client_id);
    /* MQTT 5, section 4.8.2: a share name holds none of these. */
    for (size_t i = start; i < out->length; i++) {
        if (strchr("/+#", out->data[i]) != NULL) {
            out->data[i] = '_';
        }
    }
    buf_append_char(out, '/');
}

static enum status add_filter(struct connect_params_buf *params_buf,
                              const struct settings *settings, const struct route *route,
                              const char *topic)
{
    struct connect_params *params = &params_buf->params;
    if (params->filter_count == ROUTE_FILTERS_MAX) {
        return STATUS_LIMIT;
    }
    struct buf text = {0};
    append_share(&text, settings, route);
    buf_append_text(&text, topic);
    char *filter = buf_take(&text);
    params_buf->filters[params->filter_count] = filter;
    params->filters[params->filter_count] =
        (struct wire_filter){.filter = slice_text(filter), .qos = (uint8_t)route->qos};
    params->filter_count++;
    return STATUS_OK;
}

static enum status add_filters(struct connect_params_buf *params_buf,
                               const struct settings *settings)
{
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct route *route = &settings->routes[i];
        for (size_t k = 0; k < route->topics.count; k++) {
            enum status status = add_filter(params_buf, settings, route, route->topics.items[k]);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

static void set_alpn(struct connect_params_buf *params_buf, const struct text_list *names)
{
    for (size_t i = 0; i < names->count; i++) {
        size_t length = strlen(names->items[i]);
        if (length > 0 && length <= 255) {
            buf_append_char(&params_buf->alpn, (char)(unsigned char)length);
            buf_append(&params_buf->alpn, slice_of(names->items[i], length));
        }
    }
    if (params_buf->alpn.length > 0) {
        params_buf->params.tls_alpn = buf_slice(&params_buf->alpn);
    }
}

static void set_broker(struct connect_params_buf *params_buf, const struct settings *settings)
{
    struct connect_params *params = &params_buf->params;
    for (size_t i = 0; i < settings->broker.uris.count && i < WIRE_URIS_MAX; i++) {
        params->uris[params->uri_count++] = slice_text(settings->broker.uris.items[i]);
    }
    int64_t ack_ms = settings->broker.keepalive_s * 1000 / 2;
    params->log_level = (uint8_t)log_level();
    params->is_json_log = log_is_json();
    params->protocol = (uint8_t)settings->broker.protocol;
    params->username = setting(settings->broker.username);
    params->keepalive_s = (uint32_t)settings->broker.keepalive_s;
    params->connect_timeout_s = CONNECT_TIMEOUT_S;
    params->payload_bytes_max = (uint32_t)settings->limits.payload_bytes;
    params->ack_timeout_ms = (uint32_t)(ack_ms < ACK_TIMEOUT_MS_MAX ? ack_ms : ACK_TIMEOUT_MS_MAX);
    params->has_tls_verify = settings->broker.tls.verify;
    set_alpn(params_buf, &settings->broker.tls.alpn);
}

static void set_receiver(struct connect_params *params, const struct settings *settings)
{
    params->session_expiry_s = (uint32_t)settings->broker.session_expiry_s;
    params->receive_maximum = (uint32_t)settings->broker.receive_maximum;
    params->packet_bytes_max = (uint32_t)settings->limits.payload_bytes + PACKET_BYTES_MORE;
}

/*
 * The Last Will is delayed only as long as the session lasts (MQTT 5, section 3.1.3.2.2), and
 * taking the session over with a clean start would send it (3.1.2.5): so a publisher has a session,
 * just as long as the delay. Nothing is ever in it.
 */
static void set_publisher(struct connect_params *params, struct slice will)
{
    params->will = will;
    if (slice_is_present(will) && params->protocol == 5) {
        params->will_delay_s = MQTT_WILL_DELAY_S;
        params->session_expiry_s = MQTT_WILL_DELAY_S;
    }
}

static enum status read_secret(struct secret *secret, const char *path, struct slice *out)
{
    if (path == NULL || path[0] == '\0') {
        return STATUS_OK;
    }
    enum status status = secret_read_file(secret, path);
    if (status != STATUS_OK) {
        LOG_ERROR("secret_unreadable", LOG_TEXT("file", path),
                  LOG_TEXT("status", status_text(status)));
        return status;
    }
    *out = secret_slice(secret);
    return STATUS_OK;
}

static enum status read_password(struct connect_params_buf *params_buf,
                                 const struct settings *settings, const char **out_why)
{
    char *path = settings_password_path(settings);
    *out_why = "the broker password cannot be read";
    enum status status = read_secret(&params_buf->password, path, &params_buf->params.password);
    free(path);
    return status;
}

/* A file in memory that nobody can change any more; -1 where there is nothing to put in, or no
 * room. */
static int make_file(const char *name, const struct secret *content)
{
    struct slice rest = tls_files_slice(content);
    if (!slice_is_present(rest)) {
        return -1;
    }
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
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

/* The names under which a process with these descriptors finds the files. */
static void name_files(struct connect_params_buf *params_buf, const int fds[WIRE_TLS_FD_COUNT])
{
    struct connect_params *params = &params_buf->params;
    struct slice *const names[WIRE_TLS_FD_COUNT] = {&params->tls_ca_file, &params->tls_cert_file,
                                                    &params->tls_key_file};
    for (size_t i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        *names[i] = (struct slice){0};
        if (params_buf->tls_fds[i] >= 0) {
            char *path = params_buf->tls_paths[i];
            snprintf(path, sizeof params_buf->tls_paths[i], "/proc/self/fd/%d", fds[i]);
            *names[i] = slice_text(path);
        }
    }
}

void connect_params_buf_move_files(struct connect_params_buf *params_buf)
{
    static const int there[WIRE_TLS_FD_COUNT] = {WIRE_TLS_FD, WIRE_TLS_FD + 1, WIRE_TLS_FD + 2};
    name_files(params_buf, there);
}

static enum status set_tls(struct connect_params_buf *params_buf, const struct tls_files *tls,
                           const char **out_why)
{
    const struct secret *const contents[WIRE_TLS_FD_COUNT] = {&tls->ca_pem, &tls->cert_pem,
                                                              &tls->key_pem};
    for (size_t i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        params_buf->tls_fds[i] = make_file("tls", contents[i]);
        if (params_buf->tls_fds[i] < 0 && secret_is_set(contents[i])) {
            *out_why = "no room in memory for the TLS files";
            return STATUS_UNAVAILABLE;
        }
    }
    name_files(params_buf, params_buf->tls_fds);
    params_buf->params.tls_ca_path = setting(tls->ca_path);
    params_buf->params.tls_key_password = tls_files_slice(&tls->key_password);
    return STATUS_OK;
}

enum status connect_params_buf_init(struct connect_params_buf *params_buf,
                                    const struct settings *settings, const struct tls_files *tls,
                                    enum wire_role role, uint32_t index, struct slice will,
                                    const char **out_why)
{
    *params_buf = (struct connect_params_buf){.params = {.role = role}, .tls_fds = {-1, -1, -1}};
    params_buf->client_id = client_id_of(settings, role, index);
    params_buf->params.client_id = slice_text(params_buf->client_id);
    name_process(params_buf, role, index);
    set_broker(params_buf, settings);
    if (settings->broker.uris.count > WIRE_URIS_MAX) {
        *out_why = "there are too many broker addresses";
        return STATUS_LIMIT;
    }
    if (role == WIRE_PUBLISHER) {
        set_publisher(&params_buf->params, will);
    } else {
        set_receiver(&params_buf->params, settings);
        *out_why = "the routes have too many topics";
        enum status status = add_filters(params_buf, settings);
        if (status != STATUS_OK) {
            return status;
        }
    }
    enum status status = set_tls(params_buf, tls, out_why);
    return status == STATUS_OK ? read_password(params_buf, settings, out_why) : status;
}

void connect_params_buf_fini(struct connect_params_buf *params_buf)
{
    for (size_t i = 0; i < params_buf->params.filter_count; i++) {
        free(params_buf->filters[i]);
    }
    free(params_buf->client_id);
    secret_fini(&params_buf->password);
    for (size_t i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        if (params_buf->tls_fds[i] >= 0) {
            close(params_buf->tls_fds[i]);
        }
    }
    buf_fini(&params_buf->alpn);
    *params_buf = (struct connect_params_buf){.tls_fds = {-1, -1, -1}};
}
