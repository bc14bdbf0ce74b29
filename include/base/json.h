/*
 * json - a strict reader and a simple writer of JSON.
 *
 * Wraps cJSON, the only code that does. cJSON takes more than RFC 8259 allows, so the text is
 * scanned first: one value and nothing after it but white space, UTF-8, no U+0000 and no lone
 * surrogates in strings, numbers as in the grammar, a depth limit. Repeated names are not refused
 * here: the caller finds them and puts the name into its message.
 *
 * Thread: a document belongs to one thread at a time.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct json; /* a value; the root owns all below it */

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_TEXT,
    JSON_ARRAY,
    JSON_OBJECT
};

/* What is wrong with a text, for a message to the sender: a phrase that contains nothing of the
 * text, and the byte offset. */
struct json_fault {
    const char *what;
    size_t offset;
};

/*
 * The document, or NULL with *out_fault set. `max_depth` counts nested arrays and objects; 1 is a
 * flat object, 1000 the most.
 */
struct json *json_parse(struct slice text, unsigned max_depth, struct json_fault *out_fault);
/* Frees a root. Takes NULL. */
void json_free(struct json *root);
/* The same for a document that contains secrets: its texts are overwritten first. */
void json_free_secret(struct json *root);

enum json_kind json_kind(const struct json *value);
/* The name of the kind in JSON: "null", "boolean", "number", "string", "array", "object". */
const char *json_kind_text(enum json_kind kind);
/* First member or element, or NULL; then the next of the same parent. */
const struct json *json_first(const struct json *parent);
const struct json *json_next(const struct json *value);
/* The member's name within its object. */
struct slice json_name(const struct json *member);
/* The first member of that name (case-sensitive), or NULL. `object` may be NULL or no object. */
const struct json *json_member(const struct json *object, const char *name);

/* A string's bytes (JSON_TEXT), else the absent slice. Takes NULL. */
struct slice json_text(const struct json *value);
/* A number's value, else 0. */
double json_number(const struct json *value);

/*
 * Writing. A comma is added where one is needed (that is, unless nothing was written yet or the
 * last byte is '{', '[' or ':'), so callers just add one field after the other.
 */
void json_put_open(struct buf *out, char bracket);
void json_put_close(struct buf *out, char bracket);
/* The name and its colon; the value follows by json_put_open or json_put_raw. A name is written as
 * it is: no character of it needs to be escaped. */
void json_put_name(struct buf *out, const char *name);
void json_put_text(struct buf *out, const char *name, struct slice value);
/* As json_put_text, but adds nothing where the value is absent. */
void json_put_text_if(struct buf *out, const char *name, struct slice value);
void json_put_int(struct buf *out, const char *name, int64_t value);
/* A wall-clock time as clock_format_ms() writes it. */
void json_put_time(struct buf *out, const char *name, int64_t wall_ms);
/* As the two above, but add nothing for 0. */
void json_put_int_if(struct buf *out, const char *name, int64_t value);
void json_put_time_if(struct buf *out, const char *name, int64_t wall_ms);
void json_put_bool(struct buf *out, const char *name, bool value);
/* A value that already is JSON. */
void json_put_raw(struct buf *out, const char *name, struct slice json);
/* A string element of an array. */
void json_put_element(struct buf *out, struct slice value);
/* Appends the bytes as a quoted JSON string; bytes that are no UTF-8 become U+FFFD, and hidden
 * characters (utf8_is_hidden()) are escaped. */
void json_quote(struct buf *out, struct slice value);

#endif
