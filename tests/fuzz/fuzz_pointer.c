/*
 * The input is a JSON Pointer, a line end and a document. A pointer is found in the document or
 * not; where it is found, the pointer's last token leads there from its parent.
 */
#include "base/json_pointer.h"

#include <assert.h>
#include <stdint.h>

static void check(struct slice pointer, const struct json *document)
{
    const struct json *value = NULL;
    const struct json *parent = NULL;
    const char *slash = pointer.length == 0 ? NULL : memrchr(pointer.data, '/', pointer.length);
    enum json_pointer_result result = json_pointer_find(pointer, document, &value);
    assert((result == JSON_POINTER_FOUND) == (value != NULL));
    if (slash == NULL) {
        assert(value == document);
        return;
    }
    struct slice head = slice_of(pointer.data, (size_t)(slash - pointer.data));
    enum json_pointer_result of_parent = json_pointer_find(head, document, &parent);
    if (of_parent != JSON_POINTER_FOUND) {
        assert(result == of_parent);
        return;
    }
    const struct json *again = NULL;
    struct slice tail = slice_skip(pointer, head.length);
    assert(json_pointer_find(tail, parent, &again) == result && again == value);
    bool is_child = false;
    for (const struct json *child = json_first(parent); child != NULL; child = json_next(child)) {
        is_child = is_child || child == value;
    }
    assert(is_child == (result == JSON_POINTER_FOUND));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct slice pointer;
    struct json_fault fault;
    const char *why = NULL;
    if (!slice_take_line(&text, &pointer)) {
        return 0;
    }
    bool is_valid = json_pointer_is_valid(pointer, &why);
    assert(is_valid == (why == NULL));
    struct json *document = json_parse(text, 64, &fault);
    if (is_valid && document != NULL) {
        check(pointer, document);
    }
    json_free(document);
    return 0;
}
