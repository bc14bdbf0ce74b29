/*
 * json_scan - checks a text against the grammar of RFC 8259, without building a document.
 *
 * Private to json.c: cJSON accepts more than the grammar, so it only gets texts that passed here.
 * Thread: any.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/json.h"

/* The largest max_depth. */
#define JSON_SCAN_DEPTH_LIMIT 1000

/*
 * STATUS_INVALID sets *out_fault to the place and the reason. `max_depth` as in json_parse(), at
 * most JSON_SCAN_DEPTH_LIMIT. *out_longest_number is the length of the longest number in bytes, 0
 * where there is none.
 */
enum status json_scan(struct slice text, unsigned max_depth, size_t *out_longest_number,
                      struct json_fault *out_fault);

#endif
