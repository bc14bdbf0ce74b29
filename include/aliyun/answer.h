/*
 * answer - the parts of an API answer, as every product of the vendor sends them.
 *
 * Thread: any; pure.
 */
#ifndef ALIYUN_ANSWER_H
#define ALIYUN_ANSWER_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>

/* The parts of an API answer, JSON or XML. Slices point into owned memory until api_answer_fini().
 */
struct api_answer {
    bool is_readable; /* a JSON object or an XML document of the API's kind */
    struct buf request_id;
    struct buf code;
    struct buf message;
};
void api_answer_read(struct slice body, struct api_answer *out_answer);
void api_answer_fini(struct api_answer *answer);
/* The XML half (expat); STATUS_INVALID where it is none. */
enum status api_answer_read_xml(struct slice body, struct api_answer *answer);

#endif
