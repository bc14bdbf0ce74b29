/*
 * Reads any bytes as an ini file. Values must lie within the text and contain no line end and no
 * NUL; an error must have a phrase and a line of the text.
 */
#include "base/section.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define KEY_COUNT 4

static void check_value(struct slice text, struct slice value)
{
    assert(value.data >= text.data && value.data + value.length <= text.data + text.length);
    assert(value.length == 0 || memchr(value.data, '\n', value.length) == NULL);
    assert(value.length == 0 || memchr(value.data, '\0', value.length) == NULL);
}

static size_t count_lines(struct slice text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == '\n' ? 1 : 0;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[KEY_COUNT] = {"type", "access_key_id", "role_arn", "policy"};
    struct slice text = slice_of(data, size);
    struct slice values[KEY_COUNT] = {{0}};
    struct section_fault fault = {0};
    enum status status = section_read(text, "default", keys, KEY_COUNT, values, &fault);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (slice_is_present(values[i])) {
            assert(status == STATUS_OK);
            check_value(text, values[i]);
        }
    }
    assert((status == STATUS_INVALID) == (fault.what != NULL));
    if (status == STATUS_INVALID) {
        assert(fault.line >= 1 && fault.line <= count_lines(text));
    }
    return 0;
}
