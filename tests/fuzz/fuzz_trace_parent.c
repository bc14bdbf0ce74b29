/* What is read as a parent is what stands in the text, and reads the same when it is written
 * again. */
#include "traces/trace_parent.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_parent parent;
    struct trace_parent again;
    char text[64];
    if (!trace_parent_read(slice_of(data, size), &parent)) {
        return 0;
    }
    assert(strlen(parent.trace_id) == TRACE_ID_DIGITS);
    assert(strlen(parent.span_id) == SPAN_ID_DIGITS);
    assert(memcmp(data + 3, parent.trace_id, TRACE_ID_DIGITS) == 0);
    assert(memcmp(data + 4 + TRACE_ID_DIGITS, parent.span_id, SPAN_ID_DIGITS) == 0);
    snprintf(text, sizeof text, "00-%s-%s-%s", parent.trace_id, parent.span_id,
             parent.is_sampled ? "01" : "00");
    assert(trace_parent_read(slice_text(text), &again));
    assert(memcmp(&again, &parent, sizeof parent) == 0);
    return 0;
}
