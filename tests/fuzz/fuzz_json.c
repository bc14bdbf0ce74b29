/*
 * The input is read as JSON. An accepted document must be the same after it was written and read
 * again; a refused one must have a phrase and an offset. The input as a quoted string must be a
 * document.
 */
#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>

#define DEPTH 32

static void write_value(struct buf *out, const struct json *value);

static void write_number(struct buf *out, double number)
{
    if (isinf(number)) {
        buf_append_text(out, number < 0 ? "-1e999" : "1e999");
    } else {
        buf_printf(out, "%.17g", number);
    }
}

static void write_list(struct buf *out, const struct json *list, bool is_object)
{
    json_put_open(out, is_object ? '{' : '[');
    for (const struct json *item = json_first(list); item != NULL; item = json_next(item)) {
        if (is_object) {
            assert(utf8_is_valid(json_name(item)));
            assert(json_member(list, json_name(item).data) != NULL);
            /* json_put_name() is for names that need no escape; one of the input may need one. */
            if (item != json_first(list)) {
                buf_append_char(out, ',');
            }
            json_quote(out, json_name(item));
            buf_append_char(out, ':');
        } else if (item != json_first(list) && json_kind(item) < JSON_ARRAY) {
            /* Before a list, json_put_open() writes the comma. */
            buf_append_char(out, ',');
        }
        write_value(out, item);
    }
    json_put_close(out, is_object ? '}' : ']');
}

static void write_value(struct buf *out, const struct json *value)
{
    switch (json_kind(value)) {
    case JSON_NULL:
        buf_append_text(out, "null");
        break;
    case JSON_FALSE:
        buf_append_text(out, "false");
        break;
    case JSON_TRUE:
        buf_append_text(out, "true");
        break;
    case JSON_NUMBER:
        write_number(out, json_number(value));
        break;
    case JSON_TEXT:
        assert(utf8_is_valid(json_text(value)));
        json_quote(out, json_text(value));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        write_list(out, value, json_kind(value) == JSON_OBJECT);
        break;
    }
}

static bool are_equal(const struct json *a, const struct json *b)
{
    if (json_kind(a) != json_kind(b) || !slice_equals(json_text(a), json_text(b)) ||
        json_number(a) > json_number(b) || json_number(a) < json_number(b)) {
        return false;
    }
    const struct json *of_a = json_first(a);
    const struct json *of_b = json_first(b);
    while (of_a != NULL && of_b != NULL) {
        if (!slice_equals(json_name(of_a), json_name(of_b)) || !are_equal(of_a, of_b)) {
            return false;
        }
        of_a = json_next(of_a);
        of_b = json_next(of_b);
    }
    return of_a == NULL && of_b == NULL;
}

static void check_round_trip(const struct json *root)
{
    struct buf text = {0};
    struct json_fault fault;
    write_value(&text, root);
    struct json *again = json_parse(buf_slice(&text), DEPTH, &fault);
    assert(again != NULL);
    assert(are_equal(root, again));
    json_free(again);
    buf_fini(&text);
}

static void check_quoting(struct slice bytes)
{
    /* NUL is quoted as \u0000, which json_parse() refuses on purpose. */
    bool has_nul = bytes.length > 0 && memchr(bytes.data, '\0', bytes.length) != NULL;
    struct buf text = {0};
    struct json_fault fault;
    json_quote(&text, bytes);
    struct json *value = json_parse(buf_slice(&text), 0, &fault);
    assert((value == NULL) == has_nul);
    if (value != NULL && utf8_is_valid(bytes)) {
        assert(slice_equals(json_text(value), bytes));
    }
    json_free(value);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct json_fault fault = {NULL, SIZE_MAX};
    struct json *root = json_parse(bytes, DEPTH, &fault);
    if (root == NULL) {
        assert(fault.what != NULL && fault.offset <= size);
        /* This phrase would mean that the scanner accepted a text that cJSON refused. */
        assert(strcmp(fault.what, "a form that the JSON parser does not support") != 0);
    } else {
        assert(utf8_is_valid(bytes));
        check_round_trip(root);
        json_free(root);
    }
    check_quoting(bytes);
    return 0;
}
