/*
 * row - a command's row, with the columns that every store has.
 *
 * Thread: any; plain data.
 */
#ifndef LEDGER_ROW_H
#define LEDGER_ROW_H

#include "base/slice.h"
#include "model/command.h"

#include <stdbool.h>
#include <stdint.h>

/* Slices are valid until the next call on the store. */
struct store_row {
    int64_t id;
    enum state state;
    struct slice action;
    struct slice region;
    struct slice group;
    struct slice token;
    struct slice route;  /* its name */
    struct slice params; /* canonical, see model/action.h */
    struct slice fingerprint;
    int64_t received_at_ms;
    int64_t deadline_at_ms;
    uint32_t attempts;
    int64_t not_before_ms;
    uint32_t crashes;
    /* the outcome, of DONE rows */
    int status;    /* enum outcome_status */
    int retention; /* enum retention */
    struct slice request_id;
    struct slice code;
    struct slice error; /* the Error object as JSON, absent for a success */
    int64_t completed_at_ms;
    int64_t expires_at_ms;
};

#endif
