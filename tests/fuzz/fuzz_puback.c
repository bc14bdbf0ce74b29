/* Any bytes come behind CONNACK, in pieces of any size. */
#include "mqtt/paho/connection_puback.h"

#include <assert.h>
#include <stdint.h>

static uint8_t read_in_pieces(const char *bytes, size_t size, size_t piece)
{
    puback_begin();
    for (size_t at = 0; at < size; at += piece) {
        puback_note(slice_of(bytes + at, size - at < piece ? size - at : piece));
    }
    return puback_code();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    uint8_t code = read_in_pieces(bytes, size, 1);
    assert(read_in_pieces(bytes, size, 3) == code);
    assert(read_in_pieces(bytes, size, size + 1) == code);
    return 0;
}
