/* The input is read as a time. An accepted time is the same after it was written and read again. */
#include "base/clock.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[CLOCK_TEXT_BYTES];
    int64_t first_ms = 0;
    int64_t last_ms = 0;
    int64_t time_ms = -7;
    int64_t again_ms = 0;
    enum status first = clock_parse(slice_text("0000-01-01T00:00:00Z"), &first_ms);
    enum status last = clock_parse(slice_text("9999-12-31T23:59:59.999Z"), &last_ms);
    assert(first == STATUS_OK && last == STATUS_OK);
    if (clock_parse(slice_of(data, size), &time_ms) != STATUS_OK) {
        assert(time_ms == -7);
        return 0;
    }
    /* With an offset or a leap second the year may be outside 0000 to 9999, which cannot be
     * written. */
    if (time_ms >= first_ms && time_ms <= last_ms) {
        clock_format_ms(time_ms, text);
        enum status status = clock_parse(slice_text(text), &again_ms);
        assert(status == STATUS_OK && again_ms == time_ms);
    }
    return 0;
}
