/* Any bytes are a CONNACK, as anything that listens at the broker's address may send them. */
#include "mqtt/paho/connection_connack.h"

#include <assert.h>
#include <stdint.h>

static void check_inside(struct slice text, struct slice bytes)
{
    assert(!slice_is_present(text) ||
           (text.data >= bytes.data && text.data + text.length <= bytes.data + bytes.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct connack connack = connack_read(bytes);
    check_inside(connack.reason_string, bytes);
    check_inside(connack.server_reference, bytes);
    return 0;
}
