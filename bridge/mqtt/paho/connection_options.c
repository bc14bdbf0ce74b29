#include "connection_options.h"

#include "mqtt/connection.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>

#define MQTT_STRING_BYTES_MAX 65535u

/* A copy that lives as long as the options; NULL for an absent text. */
static const char *copy_text(struct connect_options *options, struct slice text)
{
    if (!slice_is_present(text)) {
        return NULL;
    }
    assert(options->text_count < CONNECT_TEXTS_MAX);
    char *copy = mem_dup(text.data, text.length);
    options->texts[options->text_count++] = copy;
    return copy;
}

static void add_number(MQTTProperties *properties, enum MQTTPropertyCodes code, uint32_t number)
{
    MQTTProperty property = {.identifier = code};
    switch (MQTTProperty_getType(code)) {
    case MQTTPROPERTY_TYPE_BYTE:
        property.value.byte = (unsigned char)number;
        break;
    case MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER:
        property.value.integer2 = (unsigned short)number;
        break;
    default:
        property.value.integer4 = number;
        break;
    }
    MQTTProperties_add(properties, &property);
}

/* Paho copies the bytes and never writes to them. */
static MQTTLenString len_string(struct slice text)
{
    return (MQTTLenString){.len = (int)text.length, .data = (char *)text.data};
}

static void add_bytes(MQTTProperties *properties, enum MQTTPropertyCodes code, struct slice bytes)
{
    MQTTProperty property = {.identifier = code};
    property.value.data = len_string(bytes);
    MQTTProperties_add(properties, &property);
}

static bool is_property_text(struct slice text)
{
    return text.length <= MQTT_STRING_BYTES_MAX && utf8_is_mqtt_text(text);
}

void message_properties(const struct message *message, MQTTProperties *out)
{
    *out = (MQTTProperties)MQTTProperties_initializer;
    if (message->is_json) {
        add_number(out, MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR, 1);
        add_bytes(out, MQTTPROPERTY_CODE_CONTENT_TYPE, slice_text("application/json"));
    }
    if (message->expiry_s >= 0) {
        uint32_t expiry_s =
            message->expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)message->expiry_s;
        add_number(out, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, expiry_s);
    }
    if (slice_is_present(message->correlation_data) &&
        message->correlation_data.length <= MQTT_STRING_BYTES_MAX) {
        add_bytes(out, MQTTPROPERTY_CODE_CORRELATION_DATA, message->correlation_data);
    }
    for (size_t i = 0; i < message->property_count; i++) {
        struct slice name = message->properties[i].name;
        struct slice value = message->properties[i].value;
        if (!is_property_text(name) || !is_property_text(value)) {
            LOG_WARN("property_left_out", LOG_SLICE("topic", message->topic),
                     LOG_SLICE("property", name));
            continue;
        }
        MQTTProperty pair = {.identifier = MQTTPROPERTY_CODE_USER_PROPERTY};
        pair.value.data = len_string(name);
        pair.value.value = len_string(value);
        MQTTProperties_add(out, &pair);
    }
}

static size_t varint_bytes(size_t number)
{
    size_t count = 1;
    while (number > 127) {
        number >>= 7;
        count++;
    }
    return count;
}

size_t message_packet_bytes(const struct message *message, const MQTTProperties *properties)
{
    size_t rest = 2 + message->topic.length + (message->qos > 0 ? 2 : 0) + message->body.length;
    if (properties != NULL) {
        size_t length = (size_t)properties->length;
        rest += varint_bytes(length) + length;
    }
    return 1 + varint_bytes(rest) + rest;
}

uint32_t property_number(MQTTProperties *properties, enum MQTTPropertyCodes code,
                         uint32_t otherwise)
{
    const MQTTProperty *property = MQTTProperties_getProperty(properties, code);
    if (property == NULL) {
        return otherwise;
    }
    switch (MQTTProperty_getType(code)) {
    case MQTTPROPERTY_TYPE_BYTE:
        return property->value.byte;
    case MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER:
        return property->value.integer2;
    default:
        return property->value.integer4;
    }
}

struct slice len_slice(MQTTLenString text)
{
    /* Paho sometimes gives NULL for an empty string; here it is present and empty. */
    return text.len > 0 ? slice_of(text.data, (size_t)text.len) : slice_text("");
}

struct slice property_text(MQTTProperties *properties, enum MQTTPropertyCodes code,
                           const char *name)
{
    /* Not with Paho's accessor, which starts from the first property each time: there may be very
     * many. */
    for (int i = 0; i < properties->count; i++) {
        const MQTTProperty *property = &properties->array[i];
        if (property->identifier != code) {
            continue;
        }
        if (code != MQTTPROPERTY_CODE_USER_PROPERTY) {
            return len_slice(property->value.data);
        }
        if (slice_equals_text(len_slice(property->value.data), name)) {
            return len_slice(property->value.value);
        }
    }
    return (struct slice){0};
}

static const struct {
    const char *scheme;
    const char *pahos;
    bool is_tls;
} schemes[] = {
    {"mqtt", "tcp", false},
    {"mqtts", "ssl", true},
    {"ws", "ws", false},
    {"wss", "wss", true},
};

static size_t scheme_row(struct slice scheme)
{
    size_t row = 0;
    while (!slice_equals_text(scheme, schemes[row].scheme)) {
        row++;
        assert(row < sizeof schemes / sizeof schemes[0]); /* the settings allow no other */
    }
    return row;
}

static void append_address(struct buf *out, const char *scheme, const struct wire_address *address)
{
    bool is_ipv6 = memchr(address->host.data, ':', address->host.length) != NULL;
    buf_printf(out, "%s://%s", scheme, is_ipv6 ? "[" : "");
    buf_append(out, address->host);
    buf_printf(out, "%s:%u", is_ipv6 ? "]" : "", address->port);
    buf_append(out, address->path);
}

bool address_is_tls(const struct wire_address *address)
{
    return schemes[scheme_row(address->scheme)].is_tls;
}

bool address_is_websocket(const struct wire_address *address)
{
    return address->scheme.data[0] == 'w';
}

void address_append(struct buf *out, const struct wire_address *address)
{
    append_address(out, schemes[scheme_row(address->scheme)].scheme, address);
}

char *address_for_paho(const struct wire_address *address)
{
    struct buf text = {0};
    append_address(&text, schemes[scheme_row(address->scheme)].pahos, address);
    return buf_take(&text);
}

static void set_tls(struct connect_options *options, const struct connect_params *params)
{
    options->tls = (MQTTAsync_SSLOptions)MQTTAsync_SSLOptions_initializer;
    options->tls.trustStore = copy_text(options, params->tls_ca_file);
    options->tls.CApath = copy_text(options, params->tls_ca_path);
    options->tls.keyStore = copy_text(options, params->tls_cert_file);
    options->tls.privateKey = copy_text(options, params->tls_key_file);
    options->tls.privateKeyPassword = copy_text(options, params->tls_key_password);
    options->tls.enableServerCertAuth = params->has_tls_verify;
    options->tls.verify = params->has_tls_verify;
    /* Paho lowers OpenSSL's security level to 1; 2 is Debian's default. */
    options->tls.enabledCipherSuites = "DEFAULT:@SECLEVEL=2";
    if (slice_is_present(params->tls_alpn)) {
        options->tls.protos = (const unsigned char *)copy_text(options, params->tls_alpn);
        options->tls.protos_len = (unsigned)params->tls_alpn.length;
    }
    /* Always given: Paho uses it only for TLS addresses. */
    options->connect.ssl = &options->tls;
}

static enum status set_will(struct connect_options *options, const struct connect_params *params)
{
    struct message message;
    if (message_decode(params->will, &message) != STATUS_OK) {
        return STATUS_INVALID;
    }
    options->will = (MQTTAsync_willOptions)MQTTAsync_willOptions_initializer;
    options->will.topicName = copy_text(options, message.topic);
    options->will.payload.data = copy_text(options, message.body);
    options->will.payload.len = (int)message.body.length;
    options->will.qos = message.qos > params->will_qos_max ? params->will_qos_max : message.qos;
    options->will.retained = message.is_retained && params->has_retain;
    options->connect.will = &options->will;
    if (params->protocol == MQTTVERSION_5) {
        message_properties(&message, &options->will_properties);
        if (params->will_delay_s > 0) {
            add_number(&options->will_properties, MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL,
                       params->will_delay_s);
        }
        options->connect.willProperties = &options->will_properties;
    }
    return STATUS_OK;
}

static void set_session_5(struct connect_options *options, const struct connect_params *params)
{
    options->connect.cleanstart = params->session_expiry_s == 0;
    options->connect.connectProperties = &options->properties;
    if (params->session_expiry_s > 0) {
        add_number(&options->properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
                   params->session_expiry_s);
    }
    if (params->receive_maximum > 0) {
        uint32_t maximum =
            params->receive_maximum > UINT16_MAX ? UINT16_MAX : params->receive_maximum;
        add_number(&options->properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, maximum);
    }
    if (params->packet_bytes_max > 0) {
        add_number(&options->properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
                   params->packet_bytes_max);
    }
}

enum status connect_options_init(struct connect_options *options,
                                 const struct connect_params *params)
{
    *options = (struct connect_options){0};
    if (params->protocol == MQTTVERSION_5) {
        options->connect = (MQTTAsync_connectOptions)MQTTAsync_connectOptions_initializer5;
        set_session_5(options, params);
    } else {
        options->connect = (MQTTAsync_connectOptions)MQTTAsync_connectOptions_initializer;
        options->connect.MQTTVersion = MQTTVERSION_3_1_1;
        options->connect.cleansession = params->session_expiry_s == 0;
    }
    options->connect.keepAliveInterval = (int)params->keepalive_s;
    options->connect.connectTimeout = (int)params->connect_timeout_s;
    options->connect.username = copy_text(options, params->username);
    if (slice_is_present(params->password)) {
        options->connect.binarypwd.data = params->password.data;
        options->connect.binarypwd.len = (int)params->password.length;
    }
    set_tls(options, params);
    return slice_is_present(params->will) ? set_will(options, params) : STATUS_OK;
}

void connect_options_fini(struct connect_options *options)
{
    for (size_t i = 0; i < options->text_count; i++) {
        secret_wipe(options->texts[i], strlen(options->texts[i]));
        free(options->texts[i]);
    }
    MQTTProperties_free(&options->properties);
    MQTTProperties_free(&options->will_properties);
    *options = (struct connect_options){0};
}

const char *connection_library_version(void)
{
    const MQTTAsync_nameValue *info = MQTTAsync_getVersionInfo();
    while (info->name != NULL && strcmp(info->name, "Version") != 0) {
        info++;
    }
    return info->name == NULL ? "unknown" : info->value;
}
