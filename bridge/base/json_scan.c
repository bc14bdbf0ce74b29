/*
 * A cursor goes over the text once. Each scan_ function starts at the first byte of the element in
 * its name and leaves the cursor after the last one, or sets the fault and returns false. Arrays
 * and objects are recursive, at most max_depth deep.
 */
#include "json_scan.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    const char *text;
    size_t length;
    size_t at;
    unsigned depth_left;
    struct json_scan found;
};

static bool scan_value(struct cursor *cursor);

static bool fail_at(struct cursor *cursor, size_t offset, const char *what)
{
    cursor->found.what = what;
    cursor->found.offset = offset;
    return false;
}

static bool fail(struct cursor *cursor, const char *what)
{
    return fail_at(cursor, cursor->at, what);
}

/* The next byte; 0 at the end, which is not valid anywhere in the grammar. */
static char peek(const struct cursor *cursor)
{
    if (cursor->at == cursor->length) {
        return '\0';
    }
    return cursor->text[cursor->at];
}

static bool take(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->length || cursor->text[cursor->at] != c) {
        return false;
    }
    cursor->at++;
    return true;
}

static void skip_space(struct cursor *cursor)
{
    for (;;) {
        char c = peek(cursor);
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return;
        }
        cursor->at++;
    }
}

static bool scan_word(struct cursor *cursor, const char *word)
{
    size_t length = strlen(word);
    if (cursor->length - cursor->at < length ||
        memcmp(cursor->text + cursor->at, word, length) != 0) {
        return fail(cursor, "this is not a JSON value");
    }
    cursor->at += length;
    return true;
}

static size_t skip_digits(struct cursor *cursor)
{
    size_t start = cursor->at;
    while (peek(cursor) >= '0' && peek(cursor) <= '9') {
        cursor->at++;
    }
    return cursor->at - start;
}

static bool scan_number(struct cursor *cursor)
{
    size_t start = cursor->at;
    take(cursor, '-');
    bool is_zero_first = peek(cursor) == '0';
    size_t digits = skip_digits(cursor);
    if (digits == 0) {
        return fail(cursor, "a number without digits");
    }
    if (is_zero_first && digits > 1) {
        return fail_at(cursor, start, "a number with a leading zero");
    }
    if (take(cursor, '.') && skip_digits(cursor) == 0) {
        return fail(cursor, "a number without digits after its point");
    }
    if (take(cursor, 'e') || take(cursor, 'E')) {
        if (!take(cursor, '-')) {
            take(cursor, '+');
        }
        if (skip_digits(cursor) == 0) {
            return fail(cursor, "a number without digits in its exponent");
        }
    }
    if (cursor->at - start > cursor->found.longest_number) {
        cursor->found.longest_number = cursor->at - start;
    }
    return true;
}

/* The four digits of \uXXXX; -1 where they are missing. */
static int take_hex4(struct cursor *cursor)
{
    char digits[5] = "";
    if (cursor->length - cursor->at < 4) {
        return -1;
    }
    memcpy(digits, cursor->text + cursor->at, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4) {
        return -1;
    }
    cursor->at += 4;
    return (int)strtol(digits, NULL, 16);
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static bool scan_escape(struct cursor *cursor)
{
    size_t start = cursor->at++;
    char c = peek(cursor);
    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL) {
        return fail_at(cursor, start, "an escape that does not exist");
    }
    cursor->at++;
    if (c != 'u') {
        return true;
    }
    int unit = take_hex4(cursor);
    if (unit < 0) {
        return fail_at(cursor, start, "an escape that does not exist");
    }
    if (unit == 0) {
        return fail_at(cursor, start, "U+0000 in a string");
    }
    bool is_high_surrogate = unit >= 0xd800 && unit <= 0xdbff;
    bool is_paired = !is_high_surrogate || (take(cursor, '\\') && take(cursor, 'u') &&
                                            is_low_surrogate(take_hex4(cursor)));
    if (is_low_surrogate(unit) || !is_paired) {
        return fail_at(cursor, start, "half a surrogate pair in a string");
    }
    return true;
}

static bool scan_string(struct cursor *cursor)
{
    size_t start = cursor->at++;
    while (cursor->at < cursor->length) {
        unsigned char c = (unsigned char)cursor->text[cursor->at];
        if (c == '"') {
            cursor->at++;
            return true;
        }
        if (c < 0x20) {
            return fail(cursor, "a control character in a string");
        }
        if (c == '\\') {
            if (!scan_escape(cursor)) {
                return false;
            }
            continue;
        }
        struct slice rest = slice_of(cursor->text + cursor->at, cursor->length - cursor->at);
        size_t length = c < 0x80 ? 1 : utf8_character_length(rest);
        if (length == 0) {
            return fail(cursor, "bytes that are not UTF-8");
        }
        cursor->at += length;
    }
    return fail_at(cursor, start, "a string that does not end");
}

static bool scan_member(struct cursor *cursor)
{
    if (peek(cursor) != '"') {
        return fail(cursor, "a name in quotes is missing");
    }
    if (!scan_string(cursor)) {
        return false;
    }
    skip_space(cursor);
    if (!take(cursor, ':')) {
        return fail(cursor, "a colon is missing");
    }
    skip_space(cursor);
    return scan_value(cursor);
}

/* An array or an object: elements of one kind, separated by commas. */
static bool scan_list(struct cursor *cursor, char close, bool (*scan_element)(struct cursor *))
{
    if (cursor->depth_left == 0) {
        return fail(cursor, "nested too deeply");
    }
    cursor->depth_left--;
    cursor->at++;
    skip_space(cursor);
    bool is_closed = take(cursor, close);
    while (!is_closed) {
        if (!scan_element(cursor)) {
            return false;
        }
        skip_space(cursor);
        is_closed = take(cursor, close);
        if (!is_closed && !take(cursor, ',')) {
            return fail(cursor, "a comma or a closing bracket is missing");
        }
        skip_space(cursor);
    }
    cursor->depth_left++;
    return true;
}

static bool scan_value(struct cursor *cursor)
{
    if (cursor->at == cursor->length) {
        return fail(cursor, "a value is missing");
    }
    switch (cursor->text[cursor->at]) {
    case '{':
        return scan_list(cursor, '}', scan_member);
    case '[':
        return scan_list(cursor, ']', scan_value);
    case '"':
        return scan_string(cursor);
    case 't':
        return scan_word(cursor, "true");
    case 'f':
        return scan_word(cursor, "false");
    case 'n':
        return scan_word(cursor, "null");
    default:
        if (peek(cursor) != '-' && (peek(cursor) < '0' || peek(cursor) > '9')) {
            return fail(cursor, "this is not a JSON value");
        }
        return scan_number(cursor);
    }
}

enum status json_scan(struct slice text, unsigned max_depth, struct json_scan *out)
{
    struct cursor cursor = {
        .text = text.data == NULL ? "" : text.data,
        .length = text.length,
        .depth_left = max_depth < JSON_SCAN_DEPTH_LIMIT ? max_depth : JSON_SCAN_DEPTH_LIMIT,
    };
    if (text.length >= 3 && memcmp(cursor.text, "\xef\xbb\xbf", 3) == 0) {
        fail(&cursor, "a byte order mark");
    } else {
        skip_space(&cursor);
        if (scan_value(&cursor)) {
            skip_space(&cursor);
            if (cursor.at < cursor.length) {
                fail(&cursor, "text after the value");
            }
        }
    }
    *out = cursor.found;
    return out->what == NULL ? STATUS_OK : STATUS_INVALID;
}
