/*
 * json_scan - checks a text against the grammar of RFC 8259, without building a document.
 *
 * Private to json.c: cJSON accepts more than the grammar, so it only gets texts that passed here.
 * Thread: any.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/slice.h"
#include "base/status.h"

/* The largest max_depth. */
#define JSON_SCAN_DEPTH_LIMIT 1000

struct json_scan {
    const char *what;      /* what is wrong, as a phrase; NULL: nothing */
    size_t offset;         /* where, in bytes */
    size_t longest_number; /* its length in bytes; 0: no number */
};

/*
 * STATUS_INVALID: `what` and `offset` of *out are set. `max_depth` as in json_parse(), at most
 * JSON_SCAN_DEPTH_LIMIT.
 */
enum status json_scan(struct slice text, unsigned max_depth, struct json_scan *out);

#endif
