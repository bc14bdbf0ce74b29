/*
 * The params is written and read in the same order, a group of fields at a time.
 */
#include "mqtt/wire.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"

#include <assert.h>

#define NAME_BYTES 32

static void put_process(struct buf *out, const struct connect_params *params)
{
    pack_u8(out, (uint8_t)params->role);
    pack_text(out, params->process_name);
    pack_u8(out, params->log_level);
    pack_u8(out, params->is_json_log);
}

static void put_broker(struct buf *out, const struct connect_params *params)
{
    assert(params->uri_count <= WIRE_URIS_MAX);
    pack_u8(out, params->protocol);
    pack_u8(out, (uint8_t)params->uri_count);
    for (size_t i = 0; i < params->uri_count; i++) {
        pack_bytes(out, params->uris[i]);
    }
    pack_bytes(out, params->client_id);
    pack_bytes(out, params->username);
    pack_bytes(out, params->password);
}

static void put_limits(struct buf *out, const struct connect_params *params)
{
    pack_u32(out, params->keepalive_s);
    pack_u32(out, params->session_expiry_s);
    pack_u32(out, params->receive_maximum);
    pack_u32(out, params->payload_bytes_max);
    pack_u32(out, params->packet_bytes_max);
    pack_u32(out, params->ack_timeout_ms);
    pack_u32(out, params->connect_timeout_s);
}

static void put_tls(struct buf *out, const struct connect_params *params)
{
    pack_bytes(out, params->tls_ca_file);
    pack_bytes(out, params->tls_ca_path);
    pack_bytes(out, params->tls_cert_file);
    pack_bytes(out, params->tls_key_file);
    pack_bytes(out, params->tls_key_password);
    pack_bytes(out, params->tls_alpn);
    pack_u8(out, params->has_tls_verify);
}

static void put_filters(struct buf *out, const struct connect_params *params)
{
    assert(params->filter_count <= ROUTE_FILTERS_MAX);
    pack_u32(out, (uint32_t)params->filter_count);
    for (size_t i = 0; i < params->filter_count; i++) {
        pack_bytes(out, params->filters[i].filter);
        pack_u8(out, params->filters[i].qos);
    }
}

void wire_put_connect_params(struct buf *out, const struct connect_params *params)
{
    struct buf body = {0};
    put_process(&body, params);
    put_broker(&body, params);
    put_limits(&body, params);
    put_tls(&body, params);
    put_filters(&body, params);
    pack_bytes(&body, params->will);
    pack_u32(&body, params->will_delay_s);
    wire_put(out, WIRE_CONNECT_PARAMS, buf_slice(&body));
    secret_wipe(body.data, body.length);
    buf_fini(&body);
}

/* Spoils the reader where what was read cannot be. */
static void expect(struct unpack *in, bool is_possible)
{
    in->is_bad = in->is_bad || !is_possible;
}

static struct slice get_present(struct unpack *in)
{
    struct slice bytes = unpack_bytes(in);
    expect(in, slice_is_present(bytes));
    return bytes;
}

static bool get_bool(struct unpack *in)
{
    uint8_t value = unpack_u8(in);
    expect(in, value <= 1);
    return value == 1;
}

/* A count that is not possible reads as 0. */
static size_t get_count(struct unpack *in, uint32_t count, uint32_t max)
{
    expect(in, count <= max);
    return in->is_bad ? 0 : count;
}

static void get_process(struct unpack *in, struct connect_params *params, char name[NAME_BYTES])
{
    uint8_t role = unpack_u8(in);
    expect(in, role == WIRE_RECEIVER || role == WIRE_PUBLISHER);
    params->role = (enum wire_role)role;
    struct slice text = get_present(in);
    expect(in, text.length < NAME_BYTES);
    expect(in, text.length == 0 || memchr(text.data, '\0', text.length) == NULL);
    size_t length = in->is_bad ? 0 : text.length;
    if (length > 0) {
        memcpy(name, text.data, length);
    }
    name[length] = '\0';
    params->process_name = name;
    params->log_level = unpack_u8(in);
    expect(in, params->log_level <= LOG_LEVEL_DEBUG);
    params->is_json_log = get_bool(in);
}

static void get_broker(struct unpack *in, struct connect_params *params)
{
    params->protocol = unpack_u8(in);
    expect(in, params->protocol == 4 || params->protocol == 5);
    params->uri_count = get_count(in, unpack_u8(in), WIRE_URIS_MAX);
    for (size_t i = 0; i < params->uri_count; i++) {
        params->uris[i] = get_present(in);
    }
    params->client_id = get_present(in);
    params->username = unpack_bytes(in);
    params->password = unpack_bytes(in);
}

static void get_limits(struct unpack *in, struct connect_params *params)
{
    params->keepalive_s = unpack_u32(in);
    params->session_expiry_s = unpack_u32(in);
    params->receive_maximum = unpack_u32(in);
    params->payload_bytes_max = unpack_u32(in);
    params->packet_bytes_max = unpack_u32(in);
    params->ack_timeout_ms = unpack_u32(in);
    params->connect_timeout_s = unpack_u32(in);
}

static void get_tls(struct unpack *in, struct connect_params *params)
{
    params->tls_ca_file = unpack_bytes(in);
    params->tls_ca_path = unpack_bytes(in);
    params->tls_cert_file = unpack_bytes(in);
    params->tls_key_file = unpack_bytes(in);
    params->tls_key_password = unpack_bytes(in);
    params->tls_alpn = unpack_bytes(in);
    params->has_tls_verify = get_bool(in);
}

static void get_filters(struct unpack *in, struct connect_params *params)
{
    params->filter_count = get_count(in, unpack_u32(in), ROUTE_FILTERS_MAX);
    for (size_t i = 0; i < params->filter_count; i++) {
        params->filters[i].filter = get_present(in);
        params->filters[i].qos = unpack_u8(in);
        expect(in, params->filters[i].qos <= 2);
    }
}

enum status wire_get_connect_params(struct slice body, struct connect_params *out_params,
                                    char name[NAME_BYTES])
{
    struct unpack in = {.rest = body};
    struct connect_params params = {0};
    char read_name[NAME_BYTES];
    get_process(&in, &params, read_name);
    get_broker(&in, &params);
    get_limits(&in, &params);
    get_tls(&in, &params);
    get_filters(&in, &params);
    params.will = unpack_bytes(&in);
    params.will_delay_s = unpack_u32(&in);
    if (!unpack_is_done(&in)) {
        return STATUS_INVALID;
    }
    memcpy(name, read_name, NAME_BYTES);
    params.process_name = name;
    *out_params = params;
    return STATUS_OK;
}
