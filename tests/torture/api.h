/*
 * api - the API: the simulator with the groups of the plan, its faults, and its records.
 */
#ifndef TORTURE_API_H
#define TORTURE_API_H

#include "flow_simulator.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

/* What the simulator knows about a token. */
struct api_token {
    UT_hash_handle hh;
    int effects;
    int64_t effect_ms; /* arrival of the request with the effect, since the simulator's start; -1:
                          not seen */
    int64_t last_effect_ms;
    int forgotten; /* effects that the API allowed because it had forgotten the token */
    bool is_one_shot;
    bool is_stop;
    bool is_answered;  /* a reply has reported its success */
    bool is_set_aside; /* after three kills of the bridge: it stays unknown for good */
    int64_t told_ms;   /* the first success that a reply reported, on the wall clock; 0 for none */
    char request_id[40];
    char region[24];
    char group[24];
    char name[];
};

struct api {
    struct simulator simulator;
    bool is_state_first;
    int64_t token_ttl_ms;    /* 0: never forgotten */
    int64_t started_wall_ms; /* before its start, on the wall clock */
    int64_t started_ms;      /* the same on the monotonic clock */
    struct api_token *tokens;
    int64_t next_poll_ms;
    int64_t next_full_ms;
    int64_t last_row; /* number of the last simulator request that was read */
    int64_t rows_missed;
    int64_t calls;
    int64_t effects;
    int64_t overlaps;
    int64_t overlap_rows; /* of these: in the requests that were read */
    int64_t *overlaps_ms; /* their times, on the monotonic clock */
};

/* `is_state_first`: the API looks at the state of a group before it looks at the token.
 * `token_ttl_s`: after this time it forgets a token; 0 for never. */
void api_start(struct api *api, const char *directory, bool is_state_first, int token_ttl_s);
void api_stop(struct api *api);
/* Reads the new requests; must be called often. */
void api_step(struct api *api, int64_t now_ms);
/* Reads the remaining requests, and every token. */
void api_finish(struct api *api);
/* NULL if the API has never seen the token. */
struct api_token *api_find(const struct api *api, const char *token);

#endif
