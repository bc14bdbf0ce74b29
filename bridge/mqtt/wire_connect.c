/*
 * The hello is written and read in the same order, a group of fields at a time.
 */
#include "mqtt/wire.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"

#include <assert.h>

#define NAME_BYTES 32

static void put_process(struct buf *out, const struct wire_hello *hello)
{
    pack_u8(out, (uint8_t)hello->role);
    pack_text(out, hello->process_name);
    pack_u8(out, hello->log_level);
    pack_u8(out, hello->is_json_log);
}

static void put_broker(struct buf *out, const struct wire_hello *hello)
{
    assert(hello->uri_count <= WIRE_URIS_MAX);
    pack_u8(out, hello->protocol);
    pack_u8(out, (uint8_t)hello->uri_count);
    for (size_t i = 0; i < hello->uri_count; i++) {
        pack_bytes(out, hello->uris[i]);
    }
    pack_bytes(out, hello->client_id);
    pack_bytes(out, hello->username);
    pack_bytes(out, hello->password);
}

static void put_limits(struct buf *out, const struct wire_hello *hello)
{
    pack_u32(out, hello->keepalive_s);
    pack_u32(out, hello->session_expiry_s);
    pack_u32(out, hello->receive_maximum);
    pack_u32(out, hello->payload_bytes_max);
    pack_u32(out, hello->packet_bytes_max);
    pack_u32(out, hello->verdict_timeout_ms);
    pack_u32(out, hello->connect_timeout_s);
}

static void put_tls(struct buf *out, const struct wire_hello *hello)
{
    pack_bytes(out, hello->tls_ca_file);
    pack_bytes(out, hello->tls_ca_path);
    pack_bytes(out, hello->tls_cert_file);
    pack_bytes(out, hello->tls_key_file);
    pack_bytes(out, hello->tls_key_password);
    pack_bytes(out, hello->tls_alpn);
    pack_u8(out, hello->has_tls_verify);
}

static void put_filters(struct buf *out, const struct wire_hello *hello)
{
    assert(hello->filter_count <= ROUTE_FILTERS_MAX);
    pack_u32(out, (uint32_t)hello->filter_count);
    for (size_t i = 0; i < hello->filter_count; i++) {
        pack_bytes(out, hello->filters[i].filter);
        pack_u8(out, hello->filters[i].qos);
    }
}

void wire_put_hello(struct buf *out, const struct wire_hello *hello)
{
    struct buf body = {0};
    put_process(&body, hello);
    put_broker(&body, hello);
    put_limits(&body, hello);
    put_tls(&body, hello);
    put_filters(&body, hello);
    pack_bytes(&body, hello->will);
    pack_u32(&body, hello->will_delay_s);
    wire_put(out, WIRE_HELLO, buf_slice(&body));
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

static void get_process(struct unpack *in, struct wire_hello *hello, char name[NAME_BYTES])
{
    uint8_t role = unpack_u8(in);
    expect(in, role == WIRE_RECEIVER || role == WIRE_PUBLISHER);
    hello->role = (enum wire_role)role;
    struct slice text = get_present(in);
    expect(in, text.length < NAME_BYTES);
    expect(in, text.length == 0 || memchr(text.data, '\0', text.length) == NULL);
    size_t length = in->is_bad ? 0 : text.length;
    if (length > 0) {
        memcpy(name, text.data, length);
    }
    name[length] = '\0';
    hello->process_name = name;
    hello->log_level = unpack_u8(in);
    expect(in, hello->log_level <= LOG_LEVEL_DEBUG);
    hello->is_json_log = get_bool(in);
}

static void get_broker(struct unpack *in, struct wire_hello *hello)
{
    hello->protocol = unpack_u8(in);
    expect(in, hello->protocol == 4 || hello->protocol == 5);
    hello->uri_count = get_count(in, unpack_u8(in), WIRE_URIS_MAX);
    for (size_t i = 0; i < hello->uri_count; i++) {
        hello->uris[i] = get_present(in);
    }
    hello->client_id = get_present(in);
    hello->username = unpack_bytes(in);
    hello->password = unpack_bytes(in);
}

static void get_limits(struct unpack *in, struct wire_hello *hello)
{
    hello->keepalive_s = unpack_u32(in);
    hello->session_expiry_s = unpack_u32(in);
    hello->receive_maximum = unpack_u32(in);
    hello->payload_bytes_max = unpack_u32(in);
    hello->packet_bytes_max = unpack_u32(in);
    hello->verdict_timeout_ms = unpack_u32(in);
    hello->connect_timeout_s = unpack_u32(in);
}

static void get_tls(struct unpack *in, struct wire_hello *hello)
{
    hello->tls_ca_file = unpack_bytes(in);
    hello->tls_ca_path = unpack_bytes(in);
    hello->tls_cert_file = unpack_bytes(in);
    hello->tls_key_file = unpack_bytes(in);
    hello->tls_key_password = unpack_bytes(in);
    hello->tls_alpn = unpack_bytes(in);
    hello->has_tls_verify = get_bool(in);
}

static void get_filters(struct unpack *in, struct wire_hello *hello)
{
    hello->filter_count = get_count(in, unpack_u32(in), ROUTE_FILTERS_MAX);
    for (size_t i = 0; i < hello->filter_count; i++) {
        hello->filters[i].filter = get_present(in);
        hello->filters[i].qos = unpack_u8(in);
        expect(in, hello->filters[i].qos <= 2);
    }
}

enum status wire_get_hello(struct slice body, struct wire_hello *out_hello, char name[NAME_BYTES])
{
    struct unpack in = {.rest = body};
    struct wire_hello hello = {0};
    char read_name[NAME_BYTES];
    get_process(&in, &hello, read_name);
    get_broker(&in, &hello);
    get_limits(&in, &hello);
    get_tls(&in, &hello);
    get_filters(&in, &hello);
    hello.will = unpack_bytes(&in);
    hello.will_delay_s = unpack_u32(&in);
    if (!unpack_is_done(&in)) {
        return STATUS_INVALID;
    }
    memcpy(name, read_name, NAME_BYTES);
    hello.process_name = name;
    *out_hello = hello;
    return STATUS_OK;
}
