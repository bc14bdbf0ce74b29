#include "trace_parent.h"

/* Where the fields of the text begin. */
#define TRACE_ID_AT 3
#define SPAN_ID_AT  (TRACE_ID_AT + TRACE_ID_DIGITS + 1)
#define FLAGS_AT    (SPAN_ID_AT + SPAN_ID_DIGITS + 1)
#define TEXT_BYTES  (FLAGS_AT + 2)

#define FLAG_SAMPLED 1

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* `count` digits and then a hyphen, or the end of the first TEXT_BYTES bytes. */
static bool is_field(const char *text, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
    }
    return at + count == TEXT_BYTES || text[at + count] == '-';
}

static bool is_zero(const char *text, size_t count)
{
    return strspn(text, "0") >= count;
}

bool trace_parent_read(struct slice text, struct trace_parent *out)
{
    if (text.length < TEXT_BYTES) {
        return false;
    }
    const char *bytes = text.data;
    bool is_first_version = memcmp(bytes, "00", 2) == 0;
    bool has_more = text.length > TEXT_BYTES;
    if (!is_field(bytes, 0, 2) || !is_field(bytes, TRACE_ID_AT, TRACE_ID_DIGITS) ||
        !is_field(bytes, SPAN_ID_AT, SPAN_ID_DIGITS) || !is_field(bytes, FLAGS_AT, 2) ||
        memcmp(bytes, "ff", 2) == 0 ||
        (has_more && (is_first_version || bytes[TEXT_BYTES] != '-'))) {
        return false;
    }
    struct trace_parent parent = {0};
    memcpy(parent.trace_id, bytes + TRACE_ID_AT, TRACE_ID_DIGITS);
    memcpy(parent.span_id, bytes + SPAN_ID_AT, SPAN_ID_DIGITS);
    char last = bytes[FLAGS_AT + 1];
    int value = last <= '9' ? last - '0' : last - 'a' + 10;
    parent.is_sampled = (value & FLAG_SAMPLED) != 0;
    if (is_zero(parent.trace_id, TRACE_ID_DIGITS) || is_zero(parent.span_id, SPAN_ID_DIGITS)) {
        return false;
    }
    *out = parent;
    return true;
}
