#include "connection_puback.h"

#include <stdbool.h>
#include <stddef.h>

#define PUBACK_TYPE    0x40
#define CODE_AT        2 /* behind the packet id */
#define LENGTH_BITS    7
#define LENGTH_BYTES_4 28 /* bits of the longest length */

static struct {
    enum { OFF, TYPE, LENGTH, BODY } step;
    bool is_puback;
    unsigned shift; /* of the next byte of the length */
    uint32_t left;  /* bytes of the packet */
    uint32_t at;
    uint8_t code;
} reader;

void puback_begin(void)
{
    reader.step = TYPE;
    reader.code = 0;
}

static void begin_packet(uint8_t type)
{
    reader.is_puback = (type & 0xf0) == PUBACK_TYPE;
    reader.shift = 0;
    reader.left = 0;
    reader.at = 0;
    reader.code = reader.is_puback ? 0 : reader.code;
    reader.step = LENGTH;
}

static void read_length(uint8_t byte)
{
    reader.left |= (uint32_t)(byte & 0x7f) << reader.shift;
    reader.shift += LENGTH_BITS;
    if ((byte & 0x80) == 0) {
        reader.step = reader.left > 0 ? BODY : TYPE;
    } else if (reader.shift == LENGTH_BYTES_4) {
        reader.step = OFF; /* not MQTT: Paho ends the connection */
    }
}

static void read_body(uint8_t byte)
{
    if (reader.is_puback && reader.at == CODE_AT) {
        reader.code = byte;
    }
    reader.at++;
    reader.step = --reader.left > 0 ? BODY : TYPE;
}

void puback_note(struct slice bytes)
{
    for (size_t i = 0; i < bytes.length && reader.step != OFF; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        if (reader.step == TYPE) {
            begin_packet(byte);
        } else if (reader.step == LENGTH) {
            read_length(byte);
        } else {
            read_body(byte);
        }
    }
}

uint8_t puback_code(void)
{
    return reader.code;
}
