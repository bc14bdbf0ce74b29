/*
 * wire - the frames between the bridge and its MQTT processes.
 *
 * A frame is a 32-bit big-endian length of what follows, one type byte, and the body (pack.h). Both
 * ends are the same binary, so there is no version; a frame that does not parse is the other end's
 * crash and ends the connection.
 *
 * Thread: any; pure.
 */
#ifndef MQTT_WIRE_H
#define MQTT_WIRE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/route.h"

#include <stdbool.h>
#include <stdint.h>

/* File descriptors of an MQTT process. */
#define WIRE_CONTROL_FD      3
#define WIRE_DELIVERY_FD     4 /* receivers only: deliveries out, verdicts in */
#define WIRE_TLS_FD          5 /* and the next two: authorities, certificate, key, as files to read */
#define WIRE_TLS_FD_COUNT    3
#define WIRE_FRAME_BYTES_MAX (64u << 20)

enum wire_type {
    WIRE_CONNECT_PARAMS = 1, /* bridge → process, first: struct connect_params */
    WIRE_STOP,               /* bridge → process: disconnect in good order and end */
    WIRE_UP,                 /* process → bridge: struct wire_up */
    WIRE_DOWN,               /* process → bridge, last words: struct wire_down */
    WIRE_DELIVERY,           /* receiver → bridge, delivery fd: an encoded delivery */
    WIRE_ACK,       /* bridge → receiver, delivery fd: u8, 1 durable, 0 refuse (cut the connection
                           unacknowledged) */
    WIRE_PUBLISH,   /* bridge → publisher: i64 id, then an encoded message */
    WIRE_PUBLISHED, /* publisher → bridge: i64 id, acknowledged by the broker */
    WIRE_UNPUBLISHED, /* publisher → bridge: struct wire_unpublished */
};

enum wire_role { WIRE_RECEIVER = 1, WIRE_PUBLISHER = 2 };

struct wire_filter {
    struct slice filter; /* with "$share/<group>/" in front where shared */
    uint8_t qos;
};

#define WIRE_URIS_MAX 16

/* Everything a connection needs; slices are borrowed. */
struct connect_params {
    enum wire_role role;
    const char *process_name; /* "receiver-1", "publisher": stands in its log lines */
    uint8_t log_level;        /* enum log_level */
    bool is_json_log;
    uint8_t protocol; /* 5 or 4 */
    struct slice uris[WIRE_URIS_MAX];
    size_t uri_count;
    struct slice client_id;
    struct slice username; /* absent for none */
    struct slice password; /* absent for none; wiped by the receiving process after connecting */
    uint32_t keepalive_s;
    uint32_t session_expiry_s; /* 0: a clean session that ends with the connection */
    uint32_t receive_maximum;
    uint32_t payload_bytes_max; /* of a delivery to pass on: the rest is cut, its size is told */
    uint32_t packet_bytes_max;  /* Maximum Packet Size to announce */
    uint32_t ack_timeout_ms;
    uint32_t connect_timeout_s;
    struct slice tls_ca_file; /* paths; absent for none */
    struct slice tls_ca_path;
    struct slice tls_cert_file;
    struct slice tls_key_file;
    struct slice tls_key_password;
    struct slice tls_alpn; /* MQTT's names in ALPN wire form, absent for none */
    bool has_tls_verify;
    struct wire_filter filters[ROUTE_FILTERS_MAX];
    size_t filter_count;
    struct slice will; /* an encoded message, absent for none */
    uint32_t will_delay_s;
};

/* The connection stands; a receiver has subscribed. Limits are the broker's. */
struct wire_up {
    bool is_session_present;
    uint32_t uri_index;
    uint32_t receive_maximum;
    uint32_t packet_bytes_max; /* 0: no limit */
    uint8_t max_qos;
    bool has_retain;
};

enum wire_down_reason {
    WIRE_DOWN_STOPPED = 0, /* asked to */
    WIRE_DOWN_CONNECT,     /* could not connect: network, DNS, TLS */
    WIRE_DOWN_REFUSED,     /* the broker refused: credentials, client id, protocol */
    WIRE_DOWN_SUBSCRIBE,   /* a subscription was refused */
    WIRE_DOWN_LOST,        /* the connection broke or the broker closed it */
    WIRE_DOWN_ACK,         /* cut on purpose: a delivery was not stored */
    WIRE_DOWN_INTERNAL,    /* anything else */
};

struct wire_down {
    enum wire_down_reason reason;
    uint32_t code; /* the broker's or Paho's, 0 for none */
    struct slice text;
};

struct wire_unpublished {
    int64_t id;
    bool is_final; /* sending it again cannot help: too large, not authorised, topic refused */
    uint32_t code;
    struct slice text;
};

struct wire_frame {
    enum wire_type type;
    struct slice body;
};

/* Appends a frame around a body. */
void wire_put(struct buf *out, enum wire_type type, struct slice body);
/*
 * The first frame in `bytes`, and how many bytes it takes. STATUS_OK; STATUS_NOT_FOUND while it is
 * not whole; STATUS_INVALID for a length or type that cannot be.
 */
enum status wire_next(struct slice bytes, struct wire_frame *out_frame, size_t *out_taken);

void wire_put_connect_params(struct buf *out, const struct connect_params *params);
enum status wire_get_connect_params(struct slice body, struct connect_params *out_params,
                                    char name[32]);
void wire_put_up(struct buf *out, const struct wire_up *up);
enum status wire_get_up(struct slice body, struct wire_up *out_up);
void wire_put_down(struct buf *out, const struct wire_down *down);
enum status wire_get_down(struct slice body, struct wire_down *out_down);
void wire_put_unpublished(struct buf *out, const struct wire_unpublished *unpublished);
enum status wire_get_unpublished(struct slice body, struct wire_unpublished *out_unpublished);
/* PUBLISH: the id and the encoded message behind it. */
void wire_put_publish(struct buf *out, int64_t id, struct slice message);
enum status wire_get_publish(struct slice body, int64_t *out_id, struct slice *out_message);
void wire_put_published(struct buf *out, int64_t id);
enum status wire_get_published(struct slice body, int64_t *out_id);
void wire_put_ack(struct buf *out, bool is_durable);
enum status wire_get_ack(struct slice body, bool *out_is_durable);
const char *wire_down_reason_text(enum wire_down_reason reason);

#endif
