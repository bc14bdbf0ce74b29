/*
 * state - the ledger row's states and moves, the one state machine of the program.
 *
 *   NONE       nothing is recorded         CLAIM: READY
 *   READY      ours, no call had effect    START: CALLING, FINISH: DONE
 *   CALLING    a call is in flight         NOTHING_DONE: READY, NO_ANSWER: UNSURE,
 *                                          RESTART: UNSURE, FINISH: DONE
 *   UNSURE     a call may have had effect  START: RECALLING, FINISH: DONE
 *   RECALLING  another one in flight       NOTHING_DONE: UNSURE, NO_ANSWER: UNSURE,
 *                                          RESTART: UNSURE, FINISH: DONE
 *   DONE       the outcome is recorded     AGAIN: READY, AGAIN_UNSURE: UNSURE, FORGET: NONE
 *
 * RECALLING differs from CALLING in the state after a refused attempt: once a call may have had
 * effect, only a success ends the doubt. For the same reason a command that ended unknown begins
 * again as UNSURE.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_STATE_H
#define MODEL_STATE_H

#include <stdbool.h>

/* Numbers are stored in ledgers: never renumber. */
enum state {
    STATE_NONE = 0,
    STATE_READY = 1,
    STATE_CALLING = 2,
    STATE_UNSURE = 3,
    STATE_RECALLING = 4,
    STATE_DONE = 5,
    STATE_COUNT
};

enum move {
    MOVE_CLAIM,
    MOVE_START,
    MOVE_NOTHING_DONE,
    MOVE_NO_ANSWER,
    MOVE_RESTART,
    MOVE_FINISH,
    MOVE_AGAIN,
    MOVE_AGAIN_UNSURE,
    MOVE_FORGET,
    MOVE_COUNT
};

bool state_may(enum state from, enum move move);
/* The state after the move; an illegal move is our bug and ends the process. */
enum state state_after(enum state from, enum move move);
const char *state_text(enum state state);

#endif
