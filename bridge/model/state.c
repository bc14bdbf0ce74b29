#include "model/state.h"

#include <assert.h>

/* STATE_NONE (0) is a legal target too: entries are the target plus TO, 0 is an illegal move. */
enum { NO = 0, TO = 1 };

static const unsigned char moves[STATE_COUNT][MOVE_COUNT] = {
    [STATE_NONE] =
        {
            [MOVE_CLAIM] = TO + STATE_READY,
        },
    [STATE_READY] =
        {
            [MOVE_START] = TO + STATE_CALLING,
            [MOVE_FINISH] = TO + STATE_DONE,
        },
    [STATE_CALLING] =
        {
            [MOVE_NOTHING_DONE] = TO + STATE_READY,
            [MOVE_NO_ANSWER] = TO + STATE_UNSURE,
            [MOVE_RESTART] = TO + STATE_UNSURE,
            [MOVE_FINISH] = TO + STATE_DONE,
        },
    [STATE_UNSURE] =
        {
            [MOVE_START] = TO + STATE_RECALLING,
            [MOVE_FINISH] = TO + STATE_DONE,
        },
    [STATE_RECALLING] =
        {
            [MOVE_NOTHING_DONE] = TO + STATE_UNSURE,
            [MOVE_NO_ANSWER] = TO + STATE_UNSURE,
            [MOVE_RESTART] = TO + STATE_UNSURE,
            [MOVE_FINISH] = TO + STATE_DONE,
        },
    [STATE_DONE] =
        {
            [MOVE_AGAIN] = TO + STATE_READY,
            [MOVE_AGAIN_UNSURE] = TO + STATE_UNSURE,
            [MOVE_FORGET] = TO + STATE_NONE,
        },
};

bool state_may(enum state from, enum move move)
{
    assert((unsigned)from < STATE_COUNT && (unsigned)move < MOVE_COUNT);
    return moves[from][move] != NO;
}

enum state state_after(enum state from, enum move move)
{
    assert(state_may(from, move));
    return (enum state)(moves[from][move] - TO);
}

const char *state_text(enum state state)
{
    static const char *const texts[STATE_COUNT] = {
        [STATE_NONE] = "none",     [STATE_READY] = "ready",         [STATE_CALLING] = "calling",
        [STATE_UNSURE] = "unsure", [STATE_RECALLING] = "recalling", [STATE_DONE] = "done",
    };
    assert((unsigned)state < STATE_COUNT);
    return texts[state];
}
