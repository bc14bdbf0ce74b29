/*
 * journal - the last requests, in a ring of fixed size.
 */
#ifndef SIMULATOR_JOURNAL_H
#define SIMULATOR_JOURNAL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { JOURNAL_ROWS = 1000 };

struct journal_row {
    uint64_t number;    /* 1 is the first request; 0: the row is unused */
    int64_t arrival_ms; /* since the simulator started */
    int64_t answer_ms;  /* since the simulator started; 0: not answered yet */
    bool has_security_token;
    bool has_effect;
    bool has_overlap;  /* began while another start or stop of its group was in progress */
    bool is_replay;    /* the token's stored RequestId was answered */
    unsigned http;     /* 0: no answer was sent */
    char signature[4]; /* "V3", "V1" or "" */
    char method[8];
    char action[64];
    char version[16];
    char date[32];
    char nonce[72];
    char host[96];
    char agent[96];
    char code[96];
    char fault[24];
    char request_id[37];
    char params[4608]; /* encoded, `name=value&…`, cut to fit; holds 100 ids of 40 bytes */
};

struct journal {
    struct journal_row rows[JOURNAL_ROWS];
    uint64_t last_number;
    uint64_t forgotten_number; /* requests up to this one are no longer shown */
};

/* A cleared row for a new request; its number identifies it later. */
struct journal_row *journal_add(struct journal *journal);

/* The row of a number, or NULL if the ring has moved past it. */
struct journal_row *journal_get(struct journal *journal, uint64_t number);

/* Forget all requests so far; numbers go on, so that calls in progress find no other's row. */
void journal_forget(struct journal *journal);

/* The last `count` requests, oldest first. */
cJSON *journal_describe(struct journal *journal, int64_t count);

#endif
