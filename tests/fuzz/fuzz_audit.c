/*
 * The verifier reads files that somebody may have made to deceive it. Any bytes are checked as a
 * file; and a sound file with the input's changes in it must be found out unless they changed
 * nothing.
 */
#include "base/json.h"
#include "model/audit_record.h"

#include <assert.h>
#include <stdint.h>

#define SOUND_LINES 5

static bool is_sound(struct slice text)
{
    struct audit_check check;
    const char *what = NULL;
    bool fits = true;
    audit_check_init(&check);
    while (text.length > 0 && fits) {
        const char *end = memchr(text.data, '\n', text.length);
        size_t length = end == NULL ? text.length : (size_t)(end - text.data);
        int64_t count = check.count;
        fits = audit_check_line(&check, slice_of(text.data, length), &what) == STATUS_OK;
        assert(fits == (what == NULL));
        assert(check.count == count || (fits && check.count == count + 1));
        length += end != NULL;
        text = slice_of(text.data + length, text.length - length);
    }
    return fits && check.torn_bytes == 0;
}

static void make_sound(struct buf *out, const struct slice *token)
{
    struct audit_chain chain;
    audit_chain_init(&chain, true);
    for (int i = 0; i < SOUND_LINES; i++) {
        size_t start = audit_line_begin(&chain, i == 0 ? "opened" : "claimed", 0, out);
        if (i == 0) {
            json_put_bool(out, "NewFile", true);
            json_put_text(out, "Previous", slice_text(chain.hash));
        }
        audit_put_text(out, "ClientToken", *token);
        audit_line_end(&chain, start, out);
    }
}

/* Three bytes a change: where, and what is added to what stands there. */
static void change(struct buf *text, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 3 <= size; i += 3) {
        size_t at = ((size_t)data[i] << 8 | data[i + 1]) % text->length;
        text->data[at] = (char)(text->data[at] + (char)data[i + 2]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct buf sound = {0};
    struct buf changed = {0};
    is_sound(input);
    make_sound(&sound, &input);
    assert(is_sound(buf_slice(&sound)));
    buf_append(&changed, buf_slice(&sound));
    change(&changed, data, size);
    /* The last line end is no part of any line. */
    changed.data[changed.length - 1] = '\n';
    assert(!is_sound(buf_slice(&changed)) || slice_equals(buf_slice(&changed), buf_slice(&sound)));
    buf_fini(&sound);
    buf_fini(&changed);
    return 0;
}
