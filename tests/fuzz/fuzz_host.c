/* The input is two lines: admin.listen and a Host header. What is allowed has only characters of a
 * name or an address, and the port and the case never matter. */
#include "admin/host.h"
#include "base/buf.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_variants(struct slice host, struct slice listen)
{
    struct buf variant = {0};
    for (size_t i = 0; i < host.length; i++) {
        buf_append_char(&variant, (char)toupper((unsigned char)host.data[i]));
    }
    assert(host_is_allowed(buf_slice(&variant), listen));
    const char *bracket = memchr(host.data, ']', host.length);
    size_t host_length =
        host.data[0] == '[' ? (size_t)(bracket - host.data) + 1 : strcspn(variant.data, ":");
    buf_clear(&variant);
    buf_append(&variant, slice_of(host.data, host_length));
    assert(host_is_allowed(buf_slice(&variant), listen));
    buf_append_text(&variant, ":1");
    assert(host_is_allowed(buf_slice(&variant), listen));
    buf_fini(&variant);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct slice listen = {0};
    if (!slice_take_line(&rest, &listen)) {
        return 0;
    }
    if (host_is_allowed(rest, listen)) {
        assert(memchr(rest.data, '\0', rest.length) == NULL);
        check_variants(rest, listen);
    }
    return 0;
}
