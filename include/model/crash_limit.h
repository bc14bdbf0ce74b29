/*
 * blame - what is owed to a command that was under way when the bridge ended without being asked:
 * killed, crashed, without power.
 *
 * Each such end is charged to whatever was under way, since nobody knows what caused it, and
 * whatever comes through (an answer of the API, a verdict) has its charges dropped. After two ends
 * in a row it is a suspect: it is taken up again with nothing of its kind beside it and no other
 * suspect under way, and those go first that the fewest ends met alone. After three it is set
 * aside, but only if it was alone at two of them: ends with many commands under way are charged to
 * all, and the next one may be anybody's, too. So a command that had neighbours is set aside at its
 * fourth end, one that had none at its third, and one that the ends had nothing to do with only if
 * two of them, at random, meet the very call that it makes alone.
 *
 * A called command's charges are in its ledger row; a delivery's, which has no row yet, in a table
 * that lies in a file (io/takings.h). Deliveries are under way for the time of a commit: to them
 * every end counts as one alone.
 *
 * Thread: the loop's; pure.
 */
#ifndef MODEL_CRASH_LIMIT_H
#define MODEL_CRASH_LIMIT_H

#include "base/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLAME_ENDS_ALONE     2 /* so many make a suspect */
#define BLAME_ENDS_SET_ASIDE 3
#define BLAME_ALONE_MIN      2 /* of these */

/* Unclean ends of the bridge in a row with a command under way; in how many there was no other. */
struct blame_charges {
    uint32_t ends;
    uint32_t alone;
};

enum blame { BLAME_NONE, BLAME_ALONE, BLAME_SET_ASIDE };

enum blame blame_of(const struct blame_charges *charges);
/* Of something that is always alone. */
enum blame blame_of_ends(uint32_t ends);

/* ---- deliveries ---- */

/* One delivery; free where both numbers are 0. The layout is that of files. */
struct blame_mark {
    uint8_t digest[DIGEST_SHA256_BYTES];
    uint32_t crash_count;
    uint32_t taking; /* so many of this digest are being taken */
};

#define BLAME_MARKS      256
#define BLAME_TAKING_MAX 64 /* more cannot be taken at once */

/* Whether the table can have been written by these functions. */
bool blame_marks_are_sound(const struct blame_mark marks[BLAME_MARKS]);
/* The bridge starts: what was being taken when it ended is charged. Returns how many were. */
size_t blame_marks_charge(struct blame_mark marks[BLAME_MARKS]);
/* The bridge ends in good order: nothing is being taken. */
void blame_marks_release(struct blame_mark marks[BLAME_MARKS]);
uint32_t blame_marks_count(const struct blame_mark marks[BLAME_MARKS],
                           const uint8_t digest[DIGEST_SHA256_BYTES]);
/* From now on it is being taken; returns its mark for blame_mark_end(). Where all are in use the
 * least charged one that is not being taken gives way; NULL where there is none. */
struct blame_mark *blame_mark_begin(struct blame_mark marks[BLAME_MARKS],
                                    const uint8_t digest[DIGEST_SHA256_BYTES]);
/* Its verdict was given: it came through. Takes NULL. */
void blame_mark_end(struct blame_mark *mark);
/* It is not taken any more, and nothing is decided. */
void blame_mark_leave(struct blame_mark *mark);

/* ---- one suspect at a time ---- */

typedef void blame_freed_fn(void *arg);

/* Held by the one suspect that is under way, a command or a delivery. */
struct blame_gate {
    const void *holder;
    struct {
        blame_freed_fn *freed;
        void *arg;
    } parties[2];
};

/* `freed` is called when the other party leaves; `arg` is the party's name. At most two. */
void blame_gate_join(struct blame_gate *gate, blame_freed_fn *freed, void *arg);
/* False while the other one has it. */
bool blame_gate_is_open(const struct blame_gate *gate, const void *party);
bool blame_gate_enter(struct blame_gate *gate, const void *party);
/* Nothing where the party is not in. */
void blame_gate_leave(struct blame_gate *gate, const void *party);

#endif
