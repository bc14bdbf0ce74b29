/*
 * wire - the frames between the bridge and its MQTT processes.
 *
 * A frame is a 32-bit big-endian length of what follows, one type byte, and the body
 * (base/codec.h). Both ends come from the same build, so there is no version. A frame that does not
 * parse means that the other end is broken: the reader ends the connection.
 *
 * The fields of every frame, their order and their limits are in the tables of wire.c. Reading
 * checks each field against its limits and refuses a body that is too short or too long.
 *
 * Thread: any; pure.
 */
#ifndef MQTT_WIRE_H
#define MQTT_WIRE_H

#include "base/buf.h"
#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/delivery.h"
#include "model/route.h"
#include "mqtt/session.h"

#include <stdbool.h>
#include <stdint.h>

/* File descriptors of an MQTT process. */
#define WIRE_CONTROL_FD      3
#define WIRE_DELIVERY_FD     4 /* receivers only: deliveries out, acks in */
#define WIRE_TLS_FD          5 /* and the next two: authorities, certificate, key, as files to read */
#define WIRE_TLS_FD_COUNT    3
#define WIRE_FRAME_BYTES_MAX (64u << 20)
/* Deliveries of one receiver that may wait for their acks. A power of two. */
#define WIRE_WINDOW 256
/* What a delivery may have besides its payload: six texts of up to 65,535 bytes, the forwarded user
 * properties, and numbers. */
#define WIRE_DELIVERY_BYTES_MORE \
    ((448u << 10) + DELIVERY_PROPERTIES_MAX * (DELIVERY_PROPERTY_BYTES_MAX + 16))

enum wire_type {
    WIRE_CONNECT_PARAMS = 1, /* bridge → process, first: struct connect_params */
    WIRE_STOP,        /* bridge → process: disconnect cleanly and end; no body. To a receiver
                         on the delivery fd as well, in order with the acks */
    WIRE_UP,          /* process → bridge: struct wire_up */
    WIRE_DOWN,        /* process → bridge, last: struct wire_down */
    WIRE_DELIVERY,    /* receiver → bridge, delivery fd: an encoded delivery */
    WIRE_ACK,         /* bridge → receiver, delivery fd: struct wire_ack */
    WIRE_PUBLISH,     /* bridge → publisher: struct wire_publish */
    WIRE_PUBLISHED,   /* publisher → bridge: struct wire_published */
    WIRE_UNPUBLISHED, /* publisher → bridge: struct wire_unpublished */
    WIRE_CONNECTED,   /* receiver → bridge, at CONNACK: struct wire_connected */
    WIRE_SUBSCRIBE, /* bridge → receiver, in answer to it: what it has said is durable; no body */
    WIRE_EXPIRED,   /* publisher → bridge: struct wire_expired */
};

enum wire_role { WIRE_RECEIVER = 1, WIRE_PUBLISHER = 2 };

/* argv[0] of an MQTT process, which tells it its role; argv[1] is the version of the bridge. */
#define WIRE_RECEIVER_TITLE  "ecs-mqtt-bridge: receiver"
#define WIRE_PUBLISHER_TITLE "ecs-mqtt-bridge: publisher"

#define WIRE_NAME_BYTES 32 /* with its NUL */

/* Where a broker listens. */
struct wire_address {
    struct slice scheme; /* mqtt, mqtts, ws or wss */
    struct slice host;   /* a name or an IP address, without brackets */
    struct slice ip;     /* the address of the name to connect to; absent for one in `host` */
    uint32_t port;       /* 1..65535 */
    struct slice path;   /* from the first '/' on, absent for none */
};

struct wire_filter {
    struct slice filter; /* with "$share/<group>/" in front where shared */
    uint8_t qos;         /* 0..2 */
};

struct wire_property {
    struct slice name;
};

/* The filters, the user properties, the client id, the user name, ALPN, and the names of the TLS
 * files, which change once. */
#define CONNECT_PARAMS_TEXTS_MAX \
    (ROUTE_FILTERS_MAX + DELIVERY_PROPERTIES_MAX + 3 + 2 * WIRE_TLS_FD_COUNT)

/*
 * Everything an MQTT process needs for its connection. Slices point into the settings, into the
 * frame that was read, or into `texts` and `secret`. connect_params.h makes one from the settings.
 */
struct connect_params {
    enum wire_role role;
    char name[WIRE_NAME_BYTES]; /* "receiver", "publisher"; for the log lines */
    uint8_t log_level;          /* enum log_level */
    uint8_t log_style;          /* enum log_style */
    uint8_t protocol;           /* 5 or 4 */
    struct wire_address address;
    struct slice client_id;
    struct slice username; /* absent for none */
    struct slice password; /* absent for none; the process wipes it once it is connected */
    uint32_t keepalive_s;
    uint32_t session_expiry_s; /* 0: a clean session that ends with the connection */
    uint32_t receive_maximum;
    uint32_t payload_bytes_max; /* of a delivery: longer payloads are cut, their length is sent */
    uint32_t packet_bytes_max;  /* Maximum Packet Size to announce; 0 for none */
    uint32_t ack_timeout_ms;
    uint32_t connect_timeout_s;
    struct slice tls_ca_file; /* paths; absent for none */
    struct slice tls_ca_path;
    struct slice tls_cert_file;
    struct slice tls_key_file;
    struct slice tls_key_password;
    struct slice tls_alpn; /* protocol names in ALPN's wire form, absent for none */
    bool has_tls_verify;
    struct wire_filter filters[ROUTE_FILTERS_MAX];
    size_t filter_count;
    struct wire_filter
        unsubscribe[MQTT_UNSUBSCRIBE_MAX]; /* of a receiver; the QoS has no meaning */
    size_t unsubscribe_count;
    struct wire_property properties[DELIVERY_PROPERTIES_MAX]; /* user properties to forward */
    size_t property_count;
    uint8_t will_qos_max;         /* 0 or 1 */
    bool has_retain;              /* messages and the will may be retained */
    struct slice will;            /* an encoded message, absent for none */
    uint32_t publish_interval_us; /* from one message to the next at least; 0: no limit */
    uint32_t will_delay_s;

    /* Not on the wire; used by the side that made the params from settings. */
    int tls_fds[WIRE_TLS_FD_COUNT]; /* -1 for none */
    char *texts[CONNECT_PARAMS_TEXTS_MAX];
    size_t text_count;
    struct secret secret;
};

/* The broker has accepted a receiver's connection; it subscribes after WIRE_SUBSCRIBE. */
struct wire_connected {
    bool is_session_present;
};

/* Connected and, for a receiver, subscribed. The limits are the broker's. */
struct wire_up {
    bool is_session_present;
    uint32_t receive_maximum;
    uint32_t packet_bytes_max; /* 0: no limit */
    uint32_t session_expiry_s; /* what was asked for, or less */
    uint8_t max_qos;           /* 0..2 */
    bool has_retain;
};

enum wire_down_reason {
    WIRE_DOWN_STOPPED = 0, /* WIRE_STOP was received */
    WIRE_DOWN_CONNECT,     /* could not connect: network, DNS, TLS */
    WIRE_DOWN_REFUSED,     /* the broker refused: credentials, client id, protocol */
    WIRE_DOWN_SUBSCRIBE,   /* a subscription was refused */
    WIRE_DOWN_LOST,        /* the connection broke or the broker closed it */
    WIRE_DOWN_ACK,         /* cut on purpose: a delivery was not stored */
    WIRE_DOWN_INTERNAL,    /* anything else */
    WIRE_DOWN_TAKEN_OVER,  /* another client connected with the same client id */
    WIRE_DOWN_KEEPALIVE,   /* the broker accepted, and wants a shorter keepalive: `code` seconds */
};

/* Why the process ends. */
struct wire_down {
    enum wire_down_reason reason;
    uint32_t code; /* the broker's or Paho's, 0 for none */
    struct slice text;
    bool is_session_present; /* of WIRE_DOWN_KEEPALIVE, as in struct wire_up */
};

/* The answer to a delivery; answers may come in any order. */
struct wire_ack {
    uint32_t number; /* of the delivery: they count from 0 in each process */
    bool is_durable; /* false: cut the connection, so that the broker gets no acknowledgement */
};

struct wire_publish {
    int64_t id;
    int64_t valid_until_ms; /* CLOCK_BOOTTIME: it is not published after that; 0: whenever */
    struct slice message;   /* encoded, not empty */
};

/* The broker has acknowledged the message. */
struct wire_published {
    int64_t id;
    bool has_subscriber; /* false: the broker said that nobody subscribes to the topic */
};

struct wire_unpublished {
    int64_t id;
    uint32_t code;
    struct slice text;
};

/* The message was not published, because its time had passed. */
struct wire_expired {
    int64_t id;
};

/* A frame; its slices point into the bytes it was read from. */
struct wire_frame {
    enum wire_type type;
    union {
        struct slice params; /* WIRE_CONNECT_PARAMS, for wire_get_connect_params() */
        struct wire_up up;
        struct wire_down down;
        struct slice delivery; /* for delivery_decode() */
        struct wire_ack ack;
        struct wire_publish publish;
        struct wire_published published;
        struct wire_unpublished unpublished;
        struct wire_connected connected;
        struct wire_expired expired;
    };
};

/* Appends the frame. */
void wire_put(struct buf *out, const struct wire_frame *frame);
/*
 * Reads the first frame in `bytes`; *out_taken is how many bytes it takes. STATUS_NOT_FOUND while
 * it is incomplete; STATUS_INVALID where length, type or body are not allowed.
 */
enum status wire_next(struct slice bytes, struct wire_frame *out_frame, size_t *out_taken);

/* Bytes that were received, for reading frame after frame. `{0}` is an empty one; buf_fini(&bytes)
 * frees it. */
struct wire_input {
    struct buf bytes;         /* append what is received */
    size_t taken;             /* how many of them have been read as frames */
    uint32_t frame_bytes_max; /* a longer frame is STATUS_INVALID; 0: WIRE_FRAME_BYTES_MAX */
};
/* As wire_next(), for the next frame. Its slices are valid until the next call. */
enum status wire_input_next(struct wire_input *input, struct wire_frame *out_frame);

/* Appends WIRE_CONNECT_PARAMS and leaves no other copy of the passwords in memory. */
void wire_put_connect_params(struct buf *out, const struct connect_params *params);
/* Reads the body of WIRE_CONNECT_PARAMS; STATUS_OK or STATUS_INVALID. There is nothing to free. */
enum status wire_get_connect_params(struct slice body, struct connect_params *out_params);

/* The value of "reason" in log lines. */
const char *wire_down_reason_text(enum wire_down_reason reason);

#endif
