/*
 * A scanner in front of libconfig's own. It knows the same tokens as far as they matter here:
 * names, numbers, strings and comments. Other syntax errors pass through, and libconfig finds them;
 * syntax.c gets every token, to explain them.
 */
#include "syntax.h"

#include <ctype.h>

struct scan {
    struct slice rest;
    unsigned line;
    const char *file;
    struct buf *out;
    struct settings_report *report;
    struct syntax *syntax;
    bool is_faulty;
};

static void fault(struct scan *scan, unsigned line, const char *text)
{
    scan->is_faulty = true;
    settings_report_error(scan->report, scan->file, line, "syntax", "%s", text);
}

static bool is_at(const struct scan *scan, const char *text)
{
    size_t length = strlen(text);
    return scan->rest.length >= length && memcmp(scan->rest.data, text, length) == 0;
}

/* Copies `count` bytes. */
static void take(struct scan *scan, size_t count)
{
    struct slice taken = slice_of(scan->rest.data, count);
    for (size_t i = 0; i < count; i++) {
        scan->line += taken.data[i] == '\n';
    }
    buf_append(scan->out, taken);
    scan->rest = slice_skip(scan->rest, count);
}

static void take_line(struct scan *scan)
{
    const char *end = memchr(scan->rest.data, '\n', scan->rest.length);
    take(scan, end == NULL ? scan->rest.length : (size_t)(end - scan->rest.data));
}

static void take_comment(struct scan *scan)
{
    unsigned start = scan->line;
    take(scan, 2);
    while (scan->rest.length > 0 && !is_at(scan, "*/")) {
        take(scan, 1);
    }
    if (scan->rest.length == 0) {
        fault(scan, start, "a comment /* has no end; allowed: /* ... */");
        return;
    }
    take(scan, 2);
}

static void take_string(struct scan *scan)
{
    unsigned start = scan->line;
    const char *begin = scan->rest.data;
    take(scan, 1);
    while (scan->rest.length > 0 && scan->rest.data[0] != '"') {
        if (is_at(scan, "\\x00")) {
            fault(scan, scan->line, "a text contains a NUL, \\x00; allowed: any other character");
        }
        take(scan, scan->rest.data[0] == '\\' && scan->rest.length > 1 ? 2 : 1);
    }
    if (scan->rest.length == 0) {
        fault(scan, start, "a text has no end; allowed: \"...\"");
        return;
    }
    take(scan, 1);
    syntax_token(scan->syntax, SYNTAX_STRING, slice_of(begin, (size_t)(scan->rest.data - begin)),
                 start);
}

/* The length of the letters, digits and characters of `others` at the start. */
static size_t word_length(struct slice text, const char *others)
{
    size_t length = 0;
    while (length < text.length && (isalnum((unsigned char)text.data[length]) ||
                                    strchr(others, text.data[length]) != NULL)) {
        length++;
    }
    return length;
}

/* Whether the word is a whole number that libconfig would truncate to 32 bits. */
static bool is_wide_number(struct slice word)
{
    bool is_hex = word.length > 2 && word.data[0] == '0' && (word.data[1] | 0x20) == 'x';
    uint64_t number = 0;
    for (size_t i = is_hex ? 2 : 0; i < word.length; i++) {
        unsigned char c = (unsigned char)word.data[i];
        if (is_hex ? !isxdigit(c) : !isdigit(c)) {
            return false;
        }
        if (number <= INT32_MAX) {
            int digit = isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
            number = number * (is_hex ? 16 : 10) + (uint64_t)digit;
        }
    }
    return number > INT32_MAX;
}

static void take_number(struct scan *scan)
{
    struct slice word = slice_of(scan->rest.data, word_length(scan->rest, ""));
    const char *begin = word.data;
    take(scan, word.length);
    if (is_at(scan, ".")) {
        /* The digits after the point are not a number of their own. */
        take(scan, 1);
        take(scan, word_length(scan->rest, ""));
    } else if (is_wide_number(word)) {
        buf_append_char(scan->out, 'L');
    }
    syntax_token(scan->syntax, SYNTAX_NUMBER, slice_of(begin, (size_t)(scan->rest.data - begin)),
                 scan->line);
}

/* Whether a sign stands before a number, which it belongs to. */
static bool is_sign(const struct scan *scan)
{
    return scan->rest.length > 1 && (scan->rest.data[0] == '-' || scan->rest.data[0] == '+') &&
           (isdigit((unsigned char)scan->rest.data[1]) || scan->rest.data[1] == '.');
}

static void take_token(struct scan *scan)
{
    unsigned char c = (unsigned char)scan->rest.data[0];
    struct slice word;
    if (c == '#' || is_at(scan, "//")) {
        take_line(scan);
    } else if (is_at(scan, "/*")) {
        take_comment(scan);
    } else if (c == '"') {
        take_string(scan);
    } else if (isalpha(c) || c == '*') {
        word = slice_of(scan->rest.data, word_length(scan->rest, "-_*"));
        take(scan, word.length);
        syntax_token(scan->syntax, SYNTAX_WORD, word, scan->line);
    } else if (isdigit(c)) {
        take_number(scan);
    } else if (is_at(scan, "@include")) {
        fault(scan, scan->line, "@include is not supported; allowed: one file with all settings");
        take_line(scan);
    } else {
        if (!isspace(c) && !is_sign(scan)) {
            syntax_token(scan->syntax, SYNTAX_CHAR, slice_of(scan->rest.data, 1), scan->line);
        }
        take(scan, 1);
    }
}

/* A mark that some editors put at the start of a file. False: the file must be refused. */
static bool check_byte_order_mark(struct scan *scan)
{
    if (is_at(scan, "\xef\xbb\xbf")) {
        fault(scan, 1,
              "the file begins with a byte order mark (the bytes EF BB BF); allowed: UTF-8 without "
              "it, save the file so");
    } else if (is_at(scan, "\xff\xfe") || is_at(scan, "\xfe\xff")) {
        fault(
            scan, 1,
            "the file begins with a byte order mark of UTF-16; allowed: UTF-8 without a byte order "
            "mark, save the file so");
    }
    return !scan->is_faulty;
}

enum status settings_scan(struct slice text, const char *file, struct buf *out,
                          struct settings_report *report, struct syntax *syntax)
{
    struct scan scan = {
        .rest = text, .line = 1, .file = file, .out = out, .report = report, .syntax = syntax};
    if (!check_byte_order_mark(&scan)) {
        return STATUS_INVALID;
    }
    const char *nul = text.length == 0 ? NULL : memchr(text.data, '\0', text.length);
    if (nul != NULL) {
        unsigned line = 1;
        for (const char *at = text.data; at < nul; at++) {
            line += *at == '\n';
        }
        fault(&scan, line, "the file contains a NUL byte; allowed: text");
        return STATUS_INVALID;
    }
    while (scan.rest.length > 0) {
        take_token(&scan);
    }
    /* libconfig refuses a comment in the last line without a line end. */
    if (text.length > 0 && text.data[text.length - 1] != '\n') {
        buf_append_char(out, '\n');
    }
    syntax_end(syntax, scan.line);
    return scan.is_faulty ? STATUS_INVALID : STATUS_OK;
}
