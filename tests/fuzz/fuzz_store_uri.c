/*
 * The input is the value of ledger.store. What is refused has a reason. What is
 * masked needs no second mask.
 */
#include "base/mem.h"
#include "settings/store_uri.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A second mask changes nothing: all that may be a password is masked. */
static void check_mask(const char *text)
{
    struct buf shown = {0};
    struct buf again = {0};
    store_uri_mask(text, &shown);
    const char *masked = shown.length == 0 ? "" : shown.data;
    assert(store_uri_is_shared(masked) == store_uri_is_shared(text));
    store_uri_mask(masked, &again);
    assert(slice_equals(buf_slice(&again), buf_slice(&shown)));
    buf_fini(&again);
    buf_fini(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_dup(data, size);
    struct store_uri uri;
    const char *why = NULL;
    bool is_read = store_uri_read(text, &uri, &why);
    if (is_read) {
        assert(store_uri_is_shared(text));
        store_uri_fini(&uri);
    } else {
        assert(why != NULL);
    }
    check_mask(text);
    free(text);
    return 0;
}
