/*
 * The verifier reads files that an attacker may have made. Any bytes are checked as a file; and a
 * valid file with the input's changes must not pass, unless they changed nothing.
 */
#include "audit/verify.h"

#include <assert.h>
#include <stdint.h>

#define SOUND_LINES 5

static bool is_sound(struct slice text)
{
    struct audit_check check = {.begins_file = true};
    bool fits = true;
    while (text.length > 0 && fits) {
        const char *end = memchr(text.data, '\n', text.length);
        size_t length = end == NULL ? text.length : (size_t)(end - text.data);
        int64_t count = check.count;
        fits = audit_check_line(&check, slice_of(text.data, length));
        assert(fits == (check.fault == NULL));
        assert(check.count == count || (fits && check.count == count + 1));
        length += end != NULL;
        text = slice_of(text.data + length, text.length - length);
    }
    return fits;
}

static void make_sound(struct buf *out, struct slice token)
{
    struct audit_chain chain;
    struct buf record = {0};
    audit_chain_init(&chain, true);
    for (int i = 1; i <= SOUND_LINES; i++) {
        const struct audit_place place = {.begins_file = i == 1};
        buf_clear(&record);
        audit_record_begin(i, 0, "claimed", &record);
        audit_put_text(&record, "ClientToken", token);
        audit_record_render(i, buf_slice(&record), &place, &chain, out);
    }
    buf_fini(&record);
}

/* Three bytes for each change: two for the position, one that is added to the byte there. */
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
    make_sound(&sound, input);
    assert(is_sound(buf_slice(&sound)));
    buf_append(&changed, buf_slice(&sound));
    change(&changed, data, size);
    /* The verifier does not check the last line end, so it is restored. */
    changed.data[changed.length - 1] = '\n';
    assert(!is_sound(buf_slice(&changed)) || slice_equals(buf_slice(&changed), buf_slice(&sound)));
    buf_fini(&sound);
    buf_fini(&changed);
    return 0;
}
