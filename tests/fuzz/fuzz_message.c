/*
 * Any bytes are an encoded message, as in a damaged row of a ledger. A message that is accepted is
 * encoded again to the same bytes.
 */
#include "model/message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message message;
    if (message_decode(slice_of(data, size), &message) == STATUS_OK) {
        struct buf bytes = {0};
        message_encode(&message, &bytes);
        assert(slice_equals(buf_slice(&bytes), slice_of(data, size)));
        buf_fini(&bytes);
    }
    return 0;
}
