/*
 * record - what the ledger knows about one command: its row and its history, to be shown.
 *
 * The history has the events of the command in the order in which they were recorded: every arrival
 * with its token (also duplicates and mismatches), every attempt, the outcome, the replies and
 * their acknowledgements. It lives as long as the record. At most 64 entries are kept, the first 16
 * and the last 48; an event LEFT_OUT stands for those in between. An entry may be two events: an
 * arrival that is called at once, and an outcome that is the answer to an attempt. Times are those
 * of the wall clock, so they are not always in order if it was set back.
 *
 * Thread: any; plain data.
 */
#ifndef LEDGER_RECORD_H
#define LEDGER_RECORD_H

#include "base/buf.h"
#include "base/slice.h"
#include "model/outcome.h"
#include "model/state.h"
#include "model/watch.h"

#include <stddef.h>
#include <stdint.h>

/* Numbers are stored in ledgers: never renumber. */
enum ledger_event_kind {
    LEDGER_EVENT_ARRIVED = 1,
    LEDGER_EVENT_ATTEMPT_STARTED = 2,
    LEDGER_EVENT_ATTEMPT_ENDED = 3,
    LEDGER_EVENT_OUTCOME = 4,
    LEDGER_EVENT_REPLY_ACKNOWLEDGED = 5,
    LEDGER_EVENT_REPLY_UNDELIVERED = 6, /* a dead letter, or nothing, took its place */
    LEDGER_EVENT_INTERRUPTED = 7,       /* the bridge ended while a call was in flight */
    LEDGER_EVENT_LEFT_OUT = 8,
    LEDGER_EVENT_ORDERED = 9, /* by an operator */
    LEDGER_EVENT_KIND_COUNT
};

struct ledger_event {
    enum ledger_event_kind kind;
    int64_t at_ms; /* wall clock */
    /*
     * ARRIVED: "claimed", "claimed_again", "waits", "replayed", "mismatch", "refused".
     * ATTEMPT_ENDED: "succeeded", "failed", "no_answer" (it may have had effect), "not_made".
     * OUTCOME: "succeeded", "failed", "unknown". INTERRUPTED: "crash", "stop". ORDERED:
     * "retry", "resolve". Else NULL. Static.
     */
    const char *result;
    int64_t attempt; /* ATTEMPT_STARTED, ATTEMPT_ENDED: its number, 1, 2, ...; 0: not known */
    /* The id in the outbox of the (first) reply that was posted, acknowledged or undelivered. 0:
     * there is none. The log names it outbox_id. */
    int64_t reply_id;
    int64_t count;           /* ARRIVED, OUTCOME: replies that were posted. LEFT_OUT: events */
    struct slice code;       /* of the error; or absent */
    struct slice request_id; /* of the API's answer; or absent */
};

/* One heap object with all its texts and events. */
struct ledger_record {
    struct slice token;
    struct slice route; /* its name */
    struct slice action;
    struct slice region;
    struct slice group;
    struct slice params;   /* canonical, see model/action.h */
    struct slice instance; /* of a shared ledger: the bridge that holds the command; or absent */
    enum state state;
    uint32_t attempts;
    uint32_t crashes;
    int64_t received_at_ms; /* this and all other times: wall clock; 0: there is none */
    int64_t deadline_at_ms;
    int64_t not_before_ms; /* the next attempt waits until then */
    /* The outcome, of a record that is DONE. */
    enum outcome_status status;
    struct slice request_id;
    struct slice code;
    struct slice error;    /* the Error object as JSON, absent for a success */
    struct slice observed; /* the Observed object as JSON, or absent */
    int64_t completed_at_ms;
    int64_t expires_at_ms; /* INT64_MAX: never */
    /* Empty for a record that an older version of the bridge made. */
    const struct ledger_event *events;
    size_t event_count;
    /* What it has started, where that is known and still watched; borrowed. NULL: nothing. */
    const struct watch *watch;
};

/* Appends the record as one JSON object, as `ecs-mqtt-bridge ledger show` prints it; with
 * `has_history` it has the member History. Times in its member Watch are the API's. */
void ledger_record_put(const struct ledger_record *record, bool has_history, struct buf *out);

#endif
