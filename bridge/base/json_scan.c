/*
 * A cursor goes over the text once. Each scan_ function starts at the first byte of the element in
 * its name and leaves the cursor after the last one, or sets the fault and returns false. Arrays
 * and objects are recursive, at most max_depth deep.
 */
#include "json_scan.h"

#include "base/utf8.h"

#include <string.h>

struct cursor {
    const char *text;
    size_t length;
    size_t at;
    unsigned depth_left;
    size_t longest_number;
    struct json_fault fault;
};

static bool scan_value(struct cursor *cursor);

static bool fail_at(struct cursor *cursor, size_t offset, const char *what)
{
    cursor->fault = (struct json_fault){what, offset};
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
    if (cursor->at - start > cursor->longest_number) {
        cursor->longest_number = cursor->at - start;
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits of \uXXXX; -1 where they are missing. */
static int take_hex4(struct cursor *cursor)
{
    if (cursor->length - cursor->at < 4) {
        return -1;
    }
    int unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(cursor->text[cursor->at + i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    cursor->at += 4;
    return unit;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* After "\u". */
static bool scan_unicode_escape(struct cursor *cursor)
{
    size_t start = cursor->at - 2;
    int unit = take_hex4(cursor);
    if (unit < 0) {
        return fail_at(cursor, start, "an escape that does not exist");
    }
    if (unit == 0) {
        return fail_at(cursor, start, "U+0000 in a string");
    }
    bool is_paired = !is_high_surrogate(unit) || (take(cursor, '\\') && take(cursor, 'u') &&
                                                  is_low_surrogate(take_hex4(cursor)));
    if (is_low_surrogate(unit) || !is_paired) {
        return fail_at(cursor, start, "half a surrogate pair in a string");
    }
    return true;
}

static bool scan_escape(struct cursor *cursor)
{
    size_t start = cursor->at;
    cursor->at++;
    char c = peek(cursor);
    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL) {
        return fail_at(cursor, start, "an escape that does not exist");
    }
    cursor->at++;
    return c != 'u' || scan_unicode_escape(cursor);
}

/* A control character, or one of more than one byte. */
static bool scan_rare_character(struct cursor *cursor)
{
    if ((unsigned char)cursor->text[cursor->at] < 0x20) {
        return fail(cursor, "a control character in a string");
    }
    size_t length =
        utf8_character_length(slice_of(cursor->text + cursor->at, cursor->length - cursor->at));
    if (length == 0) {
        return fail(cursor, "bytes that are not UTF-8");
    }
    cursor->at += length;
    return true;
}

static bool is_plain(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static bool scan_string(struct cursor *cursor)
{
    size_t start = cursor->at;
    cursor->at++;
    while (cursor->at < cursor->length) {
        char c = cursor->text[cursor->at];
        if (is_plain(c)) {
            cursor->at++;
        } else if (c == '"') {
            cursor->at++;
            return true;
        } else if (c == '\\' ? !scan_escape(cursor) : !scan_rare_character(cursor)) {
            return false;
        }
    }
    return fail_at(cursor, start, "a string that does not end");
}

static bool enter(struct cursor *cursor)
{
    if (cursor->depth_left == 0) {
        return fail(cursor, "nested too deeply");
    }
    cursor->depth_left--;
    cursor->at++;
    skip_space(cursor);
    return true;
}

static bool leave(struct cursor *cursor)
{
    cursor->depth_left++;
    return true;
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
    if (!enter(cursor)) {
        return false;
    }
    if (take(cursor, close)) {
        return leave(cursor);
    }
    for (;;) {
        if (!scan_element(cursor)) {
            return false;
        }
        skip_space(cursor);
        if (take(cursor, close)) {
            return leave(cursor);
        }
        if (!take(cursor, ',')) {
            return fail(cursor, "a comma or a closing bracket is missing");
        }
        skip_space(cursor);
    }
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

static bool scan_text(struct cursor *cursor)
{
    if (cursor->length >= 3 && memcmp(cursor->text, "\xef\xbb\xbf", 3) == 0) {
        return fail(cursor, "a byte order mark");
    }
    skip_space(cursor);
    if (!scan_value(cursor)) {
        return false;
    }
    skip_space(cursor);
    return cursor->at == cursor->length || fail(cursor, "text after the value");
}

enum status json_scan(struct slice text, unsigned max_depth, size_t *out_longest_number,
                      struct json_fault *out_fault)
{
    struct cursor cursor = {
        .text = text.data == NULL ? "" : text.data,
        .length = text.length,
        .depth_left = max_depth < JSON_SCAN_DEPTH_LIMIT ? max_depth : JSON_SCAN_DEPTH_LIMIT,
    };
    if (!scan_text(&cursor)) {
        *out_fault = cursor.fault;
        return STATUS_INVALID;
    }
    *out_longest_number = cursor.longest_number;
    return STATUS_OK;
}
