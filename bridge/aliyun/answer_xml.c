/*
 * An answer is <Error> or <...Response> with its fields as direct children. A DOCTYPE is refused,
 * so a document can declare no entities, which could expand to a huge text or make expat read
 * files.
 */
#include "answer_xml.h"

#include <assert.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#define DEPTH_MAX 16

struct reading {
    XML_Parser parser;
    const struct answer_xml_field *fields;
    size_t count;
    struct buf *field; /* where text goes now; NULL: nowhere */
    unsigned depth;
};

static bool is_root(const char *name)
{
    static const char ending[] = "Response";
    size_t length = strlen(name);
    size_t tail = sizeof ending - 1;
    return strcmp(name, "Error") == 0 ||
           (length > tail && strcmp(name + length - tail, ending) == 0);
}

static void on_element_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = arg;
    (void)attributes;
    reading->depth++;
    reading->field = NULL;
    for (size_t i = 0; reading->depth == 2 && i < reading->count; i++) {
        /* The first of repeated elements counts, as in JSON. */
        struct buf *field = reading->fields[i].out;
        if (field->length == 0 && strcmp(name, reading->fields[i].name) == 0) {
            reading->field = field;
        }
    }
    if ((reading->depth == 1 && !is_root(name)) || reading->depth > DEPTH_MAX) {
        XML_StopParser(reading->parser, XML_FALSE);
    }
}

static void on_element_end(void *arg, const XML_Char *name)
{
    struct reading *reading = arg;
    (void)name;
    reading->depth--;
    reading->field = NULL;
}

static void on_text(void *arg, const XML_Char *text, int length)
{
    struct reading *reading = arg;
    if (reading->field != NULL) {
        buf_append(reading->field, slice_of(text, (size_t)length));
    }
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_internal_subset)
{
    struct reading *reading = arg;
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    XML_StopParser(reading->parser, XML_FALSE);
}

enum status answer_xml_read(struct slice body, const struct answer_xml_field *fields, size_t count)
{
    if (body.length > INT_MAX) {
        return STATUS_INVALID;
    }
    /* UTF-8 always: an encoding that the document declares is ignored. */
    struct reading reading = {
        .parser = XML_ParserCreate("UTF-8"), .fields = fields, .count = count};
    assert(reading.parser != NULL);
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, on_element_start, on_element_end);
    XML_SetCharacterDataHandler(reading.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
    enum XML_Status result = XML_Parse(reading.parser, body.data, (int)body.length, XML_TRUE);
    XML_ParserFree(reading.parser);
    return result == XML_STATUS_OK ? STATUS_OK : STATUS_INVALID;
}
