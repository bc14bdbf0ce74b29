/*
 * template - a text with places that are filled from a message: "am:{/fingerprint|=none}".
 *
 * Outside of braces a text stands for itself; {{ and }} are braces. Inside are sources, separated
 * by '|': the first that is there gives the value.
 *
 *   /a/b         JSON Pointer into the element, or into the document where there are no elements
 *   ^/a/b        the same into the whole document
 *   @name        attribute of the CloudEvent, else MQTT 5 user property
 *   #  #2        the topic; its second level
 *   =text        a constant
 *   NAME:SOURCE  the value of SOURCE, looked up in the table NAME
 *
 * Within a source ~|, ~{ and ~} stand for those characters. A string, true and false, and whole
 * numbers between -2^53 and 2^53 are values; any other JSON value is a fault. These are the
 * templates of a route's `when` and `map`; those of topics are in topic.h.
 *
 * Thread: any; pure. A parsed template never changes.
 */
#ifndef MODEL_TEMPLATE_H
#define MODEL_TEMPLATE_H

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "delivery.h"
#include "text_table.h"

#include <stdbool.h>

/* The longest value of a source. */
#define TEMPLATE_VALUE_BYTES_MAX 65535

struct template;

/* NULL where the text is no template; *out_why then says what is wrong, as a phrase. Free it with
 * template_free(). */
struct template *template_parse(const char *text, const char **out_why);
/* Takes NULL. */
void template_free(struct template *template);
bool template_is_valid(const char *text, const char **out_why);

/* Whether some source is a pointer into the element. */
bool template_uses_element(const struct template *template);
/* The name of the user property or table number `index` that the template uses; NULL behind the
 * last. A name that is used twice is there twice. */
const char *template_property(const struct template *template, size_t index);
const char *template_table(const struct template *template, size_t index);

/* What the sources are looked up in. */
struct template_scope {
    const struct json *element;       /* NULL: nothing is there */
    const struct json *document;      /* the same without elements */
    const struct json *event;         /* a structured CloudEvent, whose members are the attributes;
                                         NULL: user properties are */
    const struct delivery *delivery;  /* topic, user properties, Content Type */
    bool is_cloudevent;               /* @datacontenttype is the Content Type */
    const struct text_tables *tables; /* has all tables that the template uses */
};

enum template_result {
    TEMPLATE_FILLED,
    TEMPLATE_ABSENT, /* a place whose sources are all absent */
    TEMPLATE_FAULT,  /* a source that is there but is no value */
};

/* Which source decided a result that is not TEMPLATE_FILLED. */
struct template_problem {
    const char *source; /* the place or source as the template has it; points into the template */
    const char *found;  /* completes "the value at SOURCE is ..."; NULL where it is absent */
};

/* Appends the filled-in template. Otherwise `out` is unchanged and *out_problem set. */
enum template_result template_fill(const struct template *template,
                                   const struct template_scope *scope, struct buf *out,
                                   struct template_problem *out_problem);

#endif
