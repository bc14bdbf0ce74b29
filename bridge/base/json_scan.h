/*
 * json_scan - the grammar of RFC 8259, checked over a text without building anything.
 *
 * The private half of json: what passes here is read by cJSON without a surprise.
 * Thread: any.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/json.h"

/* The deepest nesting that can be asked for. */
#define JSON_SCAN_DEPTH_LIMIT 1000

/*
 * STATUS_INVALID: *out_fault says where and why. `max_depth` as in json_parse(); a larger one than
 * the limit is the limit. *out_longest_number is the length of the longest number in bytes, 0
 * without one.
 */
enum status json_scan(struct slice text, unsigned max_depth, size_t *out_longest_number,
                      struct json_fault *out_fault);

#endif
