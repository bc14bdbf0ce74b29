/*
 * transfer - the rows of a ledger as lines, on their way from one store to another one.
 *
 * A line is a row in the text format of PostgreSQL's COPY: columns separated by tabs, \N for NULL,
 * backslash escapes, bytes as \\x and hexadecimal digits, no line end. Rows come in order of their
 * keys, so that two lists can be compared line by line.
 */
#ifndef LEDGER_TRANSFER_H
#define LEDGER_TRANSFER_H

#include "base/slice.h"
#include "base/status.h"

#include <stdint.h>

enum transfer_table {
    TRANSFER_COMMAND,
    TRANSFER_WAITER,
    TRANSFER_OUTBOX,
    TRANSFER_AUDIT,
    TRANSFER_WATCH,
    TRANSFER_META,
    TRANSFER_COUNT
};

/* To whom the rows belong in a store that bridges share. */
struct transfer_owner {
    int64_t run; /* a run that has ended */
    const char *instance;
};

/* Not STATUS_OK: stop there. The line is valid during the call. */
typedef enum status transfer_line_fn(void *arg, struct slice line);

#endif
