/*
 * answer - the parts of an API answer, as every product of the vendor sends them.
 *
 * Thread: any; pure.
 */
#ifndef ALIYUN_ANSWER_H
#define ALIYUN_ANSWER_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>

/* Parts that the answer does not have are empty. */
struct api_answer {
    bool is_readable;    /* a JSON object or an XML document of the API's kind */
    bool has_error_form; /* Code and RequestId are there, in exactly this spelling */
    bool says_no;        /* Success is false, whatever else is there */
    struct buf request_id;
    struct buf code;
    struct buf message;
};
/* Reads JSON or XML; `is_readable` is false where it is neither. Free it with api_answer_fini(). */
void api_answer_read(struct slice body, struct api_answer *out_answer);
/* Takes NULL. */
void api_answer_fini(struct api_answer *answer);

#endif
