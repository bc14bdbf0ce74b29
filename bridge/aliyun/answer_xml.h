/*
 * answer_xml - an XML answer of the API. The only code that knows expat.
 *
 * Thread: any; pure.
 */
#ifndef ALIYUN_ANSWER_XML_H
#define ALIYUN_ANSWER_XML_H

#include "aliyun/answer.h"
#include "base/slice.h"
#include "base/status.h"

/* Fills the parts of *answer. STATUS_INVALID where the body is no XML answer; parts may be filled
 * then, too. */
enum status api_answer_read_xml(struct slice body, struct api_answer *answer);

#endif
