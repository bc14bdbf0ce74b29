/*
 * answer_xml - an XML answer of the API. The only code that knows expat.
 *
 * Thread: any; pure.
 */
#ifndef ALIYUN_ANSWER_XML_H
#define ALIYUN_ANSWER_XML_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* The text of the root's child with this name; of repeated ones the first. */
struct answer_xml_field {
    const char *name;
    struct buf *out; /* empty */
};

/* STATUS_INVALID where the body is no XML answer; fields may be filled then, too. */
enum status answer_xml_read(struct slice body, const struct answer_xml_field *fields, size_t count);

#endif
