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
    struct api_answer *answer;
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

static struct buf *field_of(struct api_answer *answer, const char *name)
{
    struct buf *field = NULL;
    if (strcmp(name, "RequestId") == 0) {
        field = &answer->request_id;
    } else if (strcmp(name, "Code") == 0) {
        field = &answer->code;
    } else if (strcmp(name, "Message") == 0) {
        field = &answer->message;
    }
    /* The first of repeated elements counts, as in JSON. */
    return field == NULL || field->length > 0 ? NULL : field;
}

static void on_element_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = arg;
    (void)attributes;
    reading->depth++;
    reading->field = reading->depth == 2 ? field_of(reading->answer, name) : NULL;
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

enum status api_answer_read_xml(struct slice body, struct api_answer *answer)
{
    if (body.length > INT_MAX) {
        return STATUS_INVALID;
    }
    /* UTF-8 always: an encoding that the document declares is ignored. */
    struct reading reading = {.parser = XML_ParserCreate("UTF-8"), .answer = answer};
    assert(reading.parser != NULL);
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, on_element_start, on_element_end);
    XML_SetCharacterDataHandler(reading.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
    enum XML_Status result = XML_Parse(reading.parser, body.data, (int)body.length, XML_TRUE);
    XML_ParserFree(reading.parser);
    return result == XML_STATUS_OK ? STATUS_OK : STATUS_INVALID;
}
