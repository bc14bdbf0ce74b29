/*
 * store_loss - what a fail-over to an asynchronous standby has lost: which command or token had a
 * write in the part of the log that the standby never got.
 *
 * Triggers in the database write down each write (`torture_written` in store_watch.sql), in the
 * same transaction. So the lines that the server that was left has, and the one that took over has
 * not, are exactly what was lost.
 */
#ifndef TORTURE_STORE_LOSS_H
#define TORTURE_STORE_LOSS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

/* A lost write. */
enum store_write {
    WRITE_CLAIM = 1,   /* of a command */
    WRITE_STATE = 2,   /* of its calls */
    WRITE_OUTCOME = 4, /* of it */
    WRITE_JOIN = 8,    /* a duplicate waits for it */
    WRITE_LEAVE = 16,  /* it waits no more */
    WRITE_MESSAGE = 32,
    WRITE_WATCH = 64, /* its watch began, went on or ended */
};

/* Of one command's number, or of one token. */
struct store_lost {
    UT_hash_handle hh;
    unsigned writes;   /* of enum store_write */
    int count;         /* of all */
    int64_t killed_ms; /* when the server of the last of them was killed */
    char name[];       /* the number in digits, or the token */
};

enum { STORE_LOSSES_MAX = 64 };

struct store_losses {
    struct store_lost *numbers;
    struct store_lost *tokens;
    int64_t write_count;
    int count; /* of fail-overs */
    struct {
        int64_t killed_ms;
        int64_t back_ms; /* when the other server had taken over */
    } times[STORE_LOSSES_MAX];
};

/* Adds what the files' difference shows. They have lines "TIME|TRANSACTION|KIND|TOKEN|NUMBERS". */
void store_losses_read(struct store_losses *losses, const char *left, const char *taken_over,
                       int64_t killed_ms, int64_t back_ms);
void store_losses_fini(struct store_losses *losses);
/* NULL: none of its writes was lost. */
const struct store_lost *store_lost_number(const struct store_losses *losses, uint32_t number);
/* Whether one of these writes about the token was lost. */
bool store_lost_token(const struct store_losses *losses, const char *token, unsigned writes);
/* Whether the time is during a fail-over with losses, or at most `after_ms` later. */
bool store_losses_cover(const struct store_losses *losses, int64_t at_ms, int after_ms);

#endif
