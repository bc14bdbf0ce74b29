/*
 * far - the far side: the simulator with the groups of the plan, its faults, and its records.
 */
#ifndef TORTURE_FAR_H
#define TORTURE_FAR_H

#include "flow_simulator.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

/* What the simulator knows of a token. */
struct far_token {
    UT_hash_handle hh;
    int effects;
    int64_t effect_ms; /* when the request with the effect arrived, since the simulator started; -1:
                          not seen */
    bool is_one_shot;
    bool is_told; /* the checker has seen a reply with its success */
    char request_id[40];
    char region[24];
    char group[24];
    char name[];
};

struct far {
    struct simulator simulator;
    struct far_token *tokens;
    int64_t next_poll_ms;
    int64_t next_full_ms;
    int64_t last_row; /* of the simulator's requests that was read */
    int64_t rows_missed;
    int64_t calls;
    int64_t effects;
    int64_t overlaps;
};

void far_start(struct far *far, const char *directory);
void far_stop(struct far *far);
/* Reads the requests that came since; to be called often. */
void far_turn(struct far *far, int64_t now_ms);
/* Reads all that is left, and every token. */
void far_finish(struct far *far);
/* NULL for one the API has never seen. */
struct far_token *far_find(const struct far *far, const char *token);

#endif
