#include "base/json_pointer.h"

#define INDEX_MAX 100000000

bool json_pointer_is_valid(struct slice pointer, const char **out_why)
{
    if (pointer.length > 0 && pointer.data[0] != '/') {
        *out_why = "does not begin with '/'";
        return false;
    }
    for (size_t i = 0; i < pointer.length; i++) {
        bool is_escape = pointer.data[i] == '~';
        if (is_escape && (i + 1 == pointer.length ||
                          (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1'))) {
            *out_why = "has a '~' that is not part of ~0 or ~1";
            return false;
        }
    }
    return true;
}

/* Whether the escaped token of a pointer stands for this name. */
static bool token_is(struct slice token, struct slice name)
{
    size_t at = 0;
    for (size_t i = 0; i < token.length; i++, at++) {
        char c = token.data[i];
        if (c == '~') {
            c = token.data[++i] == '0' ? '~' : '/';
        }
        if (at == name.length || name.data[at] != c) {
            return false;
        }
    }
    return at == name.length;
}

static enum json_pointer_result find_member(const struct json *object, struct slice token,
                                            const struct json **out_value)
{
    const struct json *found = NULL;
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        if (!token_is(token, json_name(member))) {
            continue;
        }
        if (found != NULL) {
            return JSON_POINTER_REPEATED;
        }
        found = member;
    }
    *out_value = found;
    return found == NULL ? JSON_POINTER_NOTHING : JSON_POINTER_FOUND;
}

static enum json_pointer_result find_element(const struct json *array, struct slice token,
                                             const struct json **out_value)
{
    bool is_index = token.length > 0 && (token.data[0] != '0' || token.length == 1);
    for (size_t i = 0; i < token.length; i++) {
        is_index = is_index && token.data[i] >= '0' && token.data[i] <= '9';
    }
    const struct json *element = is_index ? json_first(array) : NULL;
    size_t index = 0;
    for (size_t i = 0; element != NULL && i < token.length; i++) {
        if (index > INDEX_MAX) { /* no document has so many elements */
            return JSON_POINTER_NOTHING;
        }
        index = index * 10 + (size_t)(token.data[i] - '0');
    }
    for (; element != NULL && index > 0; index--) {
        element = json_next(element);
    }
    *out_value = element;
    return element == NULL ? JSON_POINTER_NOTHING : JSON_POINTER_FOUND;
}

enum json_pointer_result json_pointer_find(struct slice pointer, const struct json *root,
                                           const struct json **out_value)
{
    const struct json *value = root;
    enum json_pointer_result result = root == NULL ? JSON_POINTER_NOTHING : JSON_POINTER_FOUND;
    while (result == JSON_POINTER_FOUND && pointer.length > 0) {
        pointer = slice_skip(pointer, 1);
        const char *end = pointer.length == 0 ? NULL : memchr(pointer.data, '/', pointer.length);
        size_t length = end == NULL ? pointer.length : (size_t)(end - pointer.data);
        struct slice token = slice_of(pointer.data, length);
        pointer = slice_skip(pointer, length);
        if (json_kind(value) == JSON_OBJECT) {
            result = find_member(value, token, &value);
        } else if (json_kind(value) == JSON_ARRAY) {
            result = find_element(value, token, &value);
        } else {
            result = JSON_POINTER_NOTHING;
        }
    }
    if (result == JSON_POINTER_FOUND) {
        *out_value = value;
    }
    return result;
}
