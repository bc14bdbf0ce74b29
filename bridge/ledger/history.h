/*
 * history - the events of a command as the bytes of one column of its row.
 *
 * An event is: its kind, the length of the rest (a byte each), the time (6 bytes), then what it
 * says. So a store can append events without reading them, in the same statement that changes the
 * row. history_append() also keeps the number of events within its limit.
 *
 * Thread: any; pure.
 */
#ifndef LEDGER_HISTORY_H
#define LEDGER_HISTORY_H

#include "base/buf.h"
#include "base/slice.h"
#include "ledger/record.h"
#include "model/claim.h"
#include "model/outcome.h"

#include <stdbool.h>
#include <stddef.h>

#define HISTORY_FIRST_COUNT 16
#define HISTORY_LAST_COUNT  48

/* Each appends one event. Codes and request ids are cut to HISTORY_TEXT_BYTES_MAX bytes. */
#define HISTORY_TEXT_BYTES_MAX 96

/* `reply_id` 0: no reply was posted. `is_called_at_once`: attempt 1 started at the same time. */
void history_put_arrival(struct buf *out, int64_t at_ms, enum claim_result result,
                         bool is_called_at_once, int64_t reply_id);
void history_put_start(struct buf *out, int64_t at_ms, uint32_t attempt);

/* `answer` is how the attempt ended; NULL: it was not made. */
void history_put_end(struct buf *out, int64_t at_ms, const struct outcome *answer);

/* `is_answer`: the outcome is also what the attempt ended with. Its code and request id are in the
 * row. */
void history_put_outcome(struct buf *out, int64_t at_ms, enum outcome_status status, bool is_answer,
                         int64_t first_reply_id, size_t reply_count);
/* Room for the acknowledgements of these replies: bytes that are 0. Appending an event of that size
 * then does not change the length of the history, so that a row can be overwritten at its place. */
void history_put_room(struct buf *out, int64_t first_reply_id, size_t reply_count);
void history_put_acknowledged(struct buf *out, int64_t at_ms, int64_t reply_id);
void history_put_undelivered(struct buf *out, int64_t at_ms, int64_t reply_id);
void history_put_interrupted(struct buf *out, int64_t at_ms, bool has_crashed);
void history_put_ordered(struct buf *out, int64_t at_ms, bool is_resolved);

/* The history without the room at its end. */
struct slice history_entries(struct slice history);

/*
 * Appends the history with the new events to *out. Of more than 64 events, the first 16 and the
 * last 48 stay, and one event LEFT_OUT in between counts the others. `old` may be absent. What
 * cannot be read in `old` is dropped.
 */
void history_append(struct slice old, struct slice events, struct buf *out);

/* Appends `old`, and adds the code and the request id to its last outcome: its row is replaced and
 * has them no more. */
void history_carry_over(struct slice old, struct slice code, struct slice request_id,
                        struct buf *out);

/*
 * A sentence about what is wrong with the history of a row in this state, or NULL: bytes that are
 * no history, attempts that overlap, or an end that does not fit the state. A history that began
 * with an older version, or of which something was left out, may begin anywhere. Static.
 */
const char *history_fault(struct slice history, enum state state);

/*
 * Reads the next event. False: the end, or what follows is not a history (`rest` is not empty
 * then). An outcome that is also the end of an attempt is two events: ATTEMPT_ENDED first.
 */
struct history_reader {
    struct slice rest;
    int64_t attempt; /* the last that started */
    bool has_more;   /* the second event of the last bytes */
    struct ledger_event next;
};
bool history_read(struct history_reader *reader, struct ledger_event *out_event);

#endif
