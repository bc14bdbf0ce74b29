/*
 * trace_parent - the trace context of a sender, as W3C Trace Context (section 3.2, traceparent)
 * writes it: version, trace id, parent id, flags, as in
 * 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.
 *
 * Thread: any; pure.
 */
#ifndef TRACES_TRACE_PARENT_H
#define TRACES_TRACE_PARENT_H

#include "base/slice.h"

#include <stdbool.h>

#define TRACE_ID_DIGITS 32
#define SPAN_ID_DIGITS  16

struct trace_parent {
    char trace_id[TRACE_ID_DIGITS + 1]; /* lower-case hexadecimal, not all 0 */
    char span_id[SPAN_ID_DIGITS + 1];   /* the same */
    bool is_sampled;                    /* the sender may have recorded its own spans */
};

/* False, with *out untouched: the text is not of that form. Of a version later than 00, what
 * follows the flags is ignored, as section 3.2.4 says. */
bool trace_parent_read(struct slice text, struct trace_parent *out);

#endif
