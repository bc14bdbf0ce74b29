/*
 * record - a command's row as a record to be shown.
 *
 * Thread: any; pure.
 */
#ifndef LEDGER_ROW_RECORD_H
#define LEDGER_ROW_RECORD_H

#include "batch.h"
#include "ledger/record.h"

/* A copy of the row with its history; free it with free(). `steps_ms` is the sum of the wall
 * clock's steps (clock.h), by which the ledger's times become times of the wall clock. */
struct ledger_record *record_new(const struct store_row *row, int64_t steps_ms);

#endif
