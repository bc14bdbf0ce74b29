/*
 * json_pointer - JSON Pointers (RFC 6901) into a document.
 *
 * Thread: any; pure.
 */
#ifndef BASE_JSON_POINTER_H
#define BASE_JSON_POINTER_H

#include "base/json.h"

enum json_pointer_result {
    JSON_POINTER_FOUND,
    JSON_POINTER_NOTHING,  /* there is no such member or element */
    JSON_POINTER_REPEATED, /* an object on the way has the member more than once */
};

/* Whether the text is a pointer: empty, or '/' first, and behind each '~' a 0 or a 1. *out_why says
 * what is wrong, as a phrase. */
bool json_pointer_is_valid(struct slice pointer, const char **out_why);
/*
 * Finds the value that a valid pointer names; the empty one names `root` itself. `root` may be
 * NULL: there is nothing then. An index of an array has no leading zeros, and "-", the element
 * behind the last, is never there. *out_value is set where the result is JSON_POINTER_FOUND.
 */
enum json_pointer_result json_pointer_find(struct slice pointer, const struct json *root,
                                           const struct json **out_value);

#endif
